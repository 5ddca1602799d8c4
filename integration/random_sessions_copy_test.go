package integration

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// copyStream is one COPY FROM STDIN with its data. At most one row is at fault: which of several PostgreSQL meets first depends
// on its buffers for the partitions.
type copyStream struct {
	sql    string
	chunks [][]byte
	fail   bool // the client gives up at the end
}

func (c *copyStream) what() string {
	end := "CopyDone"
	if c.fail {
		end = "CopyFail"
	}
	data := strings.Join(chunkTexts(c.chunks), ", ")
	if len(data) > 300 {
		data = data[:300] + "…"
	}
	return c.sql + " [" + data + "] " + end
}

func chunkTexts(chunks [][]byte) (all []string) {
	for _, c := range chunks {
		all = append(all, fmt.Sprintf("%q", c))
	}
	return all
}

func (c *copyStream) data() (all []pgproto3.FrontendMessage) {
	for _, chunk := range c.chunks {
		all = append(all, &pgproto3.CopyData{Data: chunk})
	}
	if c.fail {
		return append(all, &pgproto3.CopyFail{Message: "changed my mind"})
	}
	return append(all, &pgproto3.CopyDone{})
}

// copyTargets are tables with columns whose values are made by name.
var copyTargets = []string{"t (k, n)", "t (k, n)", "t (k, v, n)", "t (k, at)", "m (k, at)", "m", "u (k)", "u", "t", "t (n)", "w (k)", "pb.t (k, n)", "pa.t (n, k)", "tt (k)", "tt"}

// copyIn makes a COPY FROM STDIN.
func (r *sharing) copyIn() *copyStream {
	target := copyTargets[r.IntN(len(copyTargets))]
	rows := r.pick("0", "1", "3", "6", "6", "9", "9", "60")
	count, _ := strconv.Atoi(rows)
	if r.IntN(4) == 0 && strings.Contains(target, "(") && !strings.Contains(target, "at") && !strings.Contains(target, "v") {
		return r.copyBinary(target, count)
	}
	columns := []string{"k", "at"}
	switch _, list, given := strings.Cut(target, "("); {
	case given:
		columns = strings.Split(strings.TrimSuffix(list, ")"), ", ")
	case target == "u":
		columns = []string{"k", "v"}
	case target == "t": // it may have more or fewer columns by now
		columns = []string{"k", "v", "at", "n"}
	case target == "tt":
		columns = []string{"k", "v"}
	}
	c := &copyStream{fail: r.IntN(9) == 0}
	separator, null, end, options := "\t", `\N`, "\n", ""
	var lines []string
	switch r.IntN(7) {
	case 0:
		separator, null, options = ",", "", " (format csv)"
	case 1:
		separator, null, options = ";", "nil", " (format csv, delimiter ';', null 'nil', header)"
		lines = append(lines, strings.Join(columns, ";")+end)
	case 2:
		separator, null, options = ",", "", " with csv header match"
		lines = append(lines, strings.Join(columns, ",")+end)
	case 3:
		separator, options = "|", " (delimiter '|')"
	case 4:
		end = "\r\n"
	}
	csv := strings.Contains(options, "csv")
	if r.IntN(8) == 0 && strings.Contains(target, "n") && strings.Contains(target, "(") {
		options += " where n > 15"
	}
	c.sql = "copy " + target + " from stdin" + options
	fault := -1
	if r.IntN(3) == 0 && count > 0 {
		fault = r.IntN(count)
	}
	for i := range count {
		fields := make([]string, len(columns))
		for j, column := range columns {
			fields[j] = r.copyValue(column, null)
		}
		line := strings.Join(fields, separator) + end
		if i == fault {
			line = r.faulty(fields, columns, separator, null, end, csv, lines)
		}
		lines = append(lines, line)
	}
	text := strings.Join(lines, "")
	switch r.IntN(10) {
	case 0:
		text = strings.TrimSuffix(text, end)
	case 1:
		if !csv && fault < 0 {
			text += `\.` + end + r.pick("", "more\n") // what follows is not looked at
		}
	}
	c.chunks = r.chunked([]byte(text))
	return c
}

func (r *sharing) copyValue(column, null string) string {
	switch column {
	case "k":
		r.fresh++
		return strconv.Itoa(1000 + r.fresh)
	case "at":
		return r.pick("2024-01-01 00:00:00+00", "2024-03-31 01:30:00", null)
	case "n":
		return r.pick(strconv.Itoa(r.IntN(30)), null)
	}
	return null // of another type in each schema
}

// faulty is a row with a fault.
func (r *sharing) faulty(fields, columns []string, separator, null, end string, csv bool, before []string) string {
	at := r.IntN(len(fields))
	switch r.IntN(11) {
	case 0:
		fields[at] = "bad"
	case 1:
		return strings.Join(append(fields, "1"), separator) + end
	case 2:
		return strings.Join(fields[:len(fields)-1], separator) + end
	case 3:
		fields[at] = "99999999999999999999"
	case 4:
		fields[at] = "\xff"
	case 5:
		if columns[0] == "k" {
			fields[0] = null
		}
	case 6, 7: // a row that is there: of those that the tables began with, or an earlier one of this data
		if columns[0] == "k" {
			fields[0] = "2"
		}
		if len(before) > 1 && r.IntN(2) == 0 {
			return before[len(before)-1]
		}
	case 8:
		if csv {
			fields[at] = `"open`
		} else {
			fields[at] = "a\rb"
		}
	case 9:
		fields[at] = `\x41` + r.pick("", "\\", "\\\n")
	case 10:
		return "\n"
	}
	return strings.Join(fields, separator) + end
}

// copyBinary makes rows of int4.
func (r *sharing) copyBinary(target string, count int) *copyStream {
	c := &copyStream{sql: "copy " + target + " from stdin " + r.pick("(format binary)", "binary"), fail: r.IntN(9) == 0}
	width := 1 + strings.Count(target, ",")
	b := []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	fault := -1
	if r.IntN(3) == 0 && count > 0 {
		fault = r.IntN(count)
	}
	for i := range count {
		fields := width
		if i == fault {
			fields = width + r.IntN(3) - 1
		}
		b = binary.BigEndian.AppendUint16(b, uint16(fields))
		for range fields {
			r.fresh++
			if i == fault && r.IntN(2) == 0 {
				b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(b, 2), 7) // an int2
				continue
			}
			b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 4), uint32(1000+r.fresh))
		}
	}
	switch r.IntN(8) {
	case 0: // no trailer
	case 1:
		b = b[:len(b)-r.IntN(4)]
	case 2:
		b = append(b, "\xff\xffx"...)
	default:
		b = append(b, "\xff\xff"...)
	}
	c.chunks = r.chunked(b)
	return c
}

// chunked cuts data anywhere.
func (r *sharing) chunked(b []byte) (chunks [][]byte) {
	for len(b) > 0 {
		n := len(b)
		if r.IntN(2) == 0 {
			n = 1 + r.IntN(len(b))
		}
		chunks = append(chunks, b[:n])
		b = b[n:]
	}
	return chunks
}

// copyOut is a COPY TO STDOUT, and whether the order of its rows is said.
func (r *sharing) copyOut() (sql string, ordered bool) {
	options := r.pick("", "", " (format csv, header)", " with csv", " binary", " (format binary)", " (delimiter '|', null 'nil')", " (format csv, force_quote *)")
	if r.IntN(4) == 0 {
		schema := r.pick(tenants...) // a table that is not found is an error of the query which PostgreSQL is given instead
		return "copy " + schema + "." + r.pick("t (k, n)", "t (k, v, n)", "m (k)", "u", "t") + " to stdout" + options, false
	}
	query := r.inlined(r.query())
	if r.IntN(8) == 0 {
		query = r.pick("delete from u where k > 25 returning k", "insert into m values (7, '2024-01-01') on conflict (k) do update set at = excluded.at returning k")
	}
	return "copy (" + query + ") to stdout" + options, strings.Contains(query, "order by")
}

// copying is a step of one COPY.
func (r *sharing) copying(n int, s *sharer) {
	w := &exchange{writes: true}
	if r.IntN(5) < 2 {
		var sql string
		sql, w.ordered = r.copyOut()
		w.writes = strings.Contains(sql, "returning")
		if w.writes && !r.free(s) {
			return
		}
		w.unplaced = !strings.HasPrefix(sql, "copy (")
		if r.IntN(3) > 0 {
			w.add(sql, &pgproto3.Query{String: sql})
		} else {
			w.extended("", "", sql, 0, 0, r.IntN(2) == 0)
			w.add("sync", &pgproto3.Sync{})
		}
		r.exchange(n, w)
		return
	}
	if !r.free(s) {
		return
	}
	c := r.copyIn()
	switch r.IntN(4) {
	case 0: // as drivers do: the data once the server asks for it
		r.asked(n, c)
		return
	case 1:
		w.extended("", "", c.sql, 0, 0, r.IntN(2) == 0)
		w.add(c.what(), c.data()...)
		w.add("sync", &pgproto3.Sync{})
	case 2: // in the middle of a message
		before, after := r.pick("select 1", "select max(k) from t", "set timezone = 'UTC'"), r.pick("select 2", "select count(*) from t", "select 1/0", "savepoint x")
		w.add(before+"; "+c.what()+"; "+after, &pgproto3.Query{String: before + "; " + c.sql + "; " + after})
		w.messages = append(w.messages, c.data()...)
	default: // before the server has asked
		w.add(c.what(), &pgproto3.Query{String: c.sql})
		w.messages = append(w.messages, c.data()...)
	}
	r.exchange(n, w)
}

// asked sends the data when it is asked for. In the extended protocol Sync comes with the statement, as libpq sends it, and again
// behind the data.
func (r *sharing) asked(n int, c *copyStream) {
	// PostgreSQL asks for a view's data before it says that it takes none; then it has not read the Sync, and answers both.
	extended := r.IntN(2) == 0 && !strings.HasPrefix(c.sql, "copy w ")
	r.reads = false
	r.both(n, fmt.Sprintf("asked (extended %t): %s", extended, c.what()), func(ctx context.Context, a *actor) (o outcome) {
		begin := []pgproto3.FrontendMessage{&pgproto3.Query{String: c.sql}}
		data := c.data()
		if extended {
			begin = []pgproto3.FrontendMessage{&pgproto3.Parse{Query: c.sql}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{}}
			data = append(data, &pgproto3.Sync{})
		}
		a.send(&o, begin)
		lines := a.receive(ctx, &o, "CopyInResponse", "ReadyForQuery")
		if len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], "CopyInResponse") {
			a.send(&o, data)
			lines = append(lines, a.receive(ctx, &o, "ReadyForQuery")...)
		}
		o.rows = settle(lines)
		return o
	}, true)
}
