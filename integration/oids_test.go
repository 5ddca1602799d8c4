package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// oidTypes are columns whose binary values hold oids of what the test makes, each with a value.
var oidTypes = []struct{ name, typ, value string }{
	{"one", "mood", "'ok'"},
	{"arr", "mood[]", "'{ok,sad}'"},
	{"none", "mood[]", "'{}'"},
	{"row", "address", "row('x', 'ok', '{sad}')"},
	{"rows", "address[]", "array[row('x', 'ok', '{sad}')::address, null]"},
	{"dom", "moods", "'{happy}'"},
	{"rng", "span", "span(row('a', 'ok', '{sad}')::address, null)"},
	{"rngs", "spans", "spans(span(null, row('a', 'ok', null)::address), span(row('b', 'ok', null)::address, null))"},
	{"typ", "regtype", "'mood[]'"},
	{"rel", "regclass", "'spread'"},
	{"deep", "nested", "row(array[row('x', 'ok', '{sad}')::address], row('y', 'sad', null))"},
	{"num", "int4", "16500"},
}

var oidSetup = []string{
	"CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
	"CREATE TYPE address AS (street text, mood mood, moods mood[])",
	"CREATE DOMAIN moods AS mood[] CHECK (cardinality(value) < 5)",
	"CREATE TYPE span AS RANGE (subtype = address, multirange_type_name = spans)",
	"CREATE TYPE nested AS (list address[], one address)",
}

const oidKeys = 12

// TestOIDsInBinaryValues reads and writes the same values on every backend, in each way that values travel in binary
// format: their bytes have to be those that home gives.
func TestOIDsInBinaryValues(t *testing.T) {
	t.Parallel()
	for _, s := range both() {
		for _, within := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, transaction %t", s.name, within), func(t *testing.T) {
				t.Parallel()
				binaryOIDs(t, s, within)
			})
		}
	}
}

// binaryOIDs makes the types, uses them, and does so all in one transaction or in many.
func binaryOIDs(t *testing.T, s *side, within bool) {
	c := s.low(t, s.newDatabase(t), nil)
	ctx := ctxFor(t)
	columns, values, names, marks := "", "", "", ""
	for i, o := range oidTypes {
		columns += ", " + o.name + " " + o.typ
		values += ", " + o.value
		names += ", " + o.name
		marks += fmt.Sprintf(", $%d", i+2)
	}
	setup := append(slices.Clone(oidSetup),
		"CREATE TABLE here (k int PRIMARY KEY"+columns+")",
		"CREATE TABLE spread (k int PRIMARY KEY"+columns+") PARTITION BY HASH (k)",
		"CREATE TABLE again (k int PRIMARY KEY"+columns+") PARTITION BY HASH (k)",
		"INSERT INTO here VALUES (0"+values+")",
		fmt.Sprintf("INSERT INTO spread SELECT g%s FROM generate_series(1, %d) g, here", names, oidKeys))
	if within {
		setup = append([]string{"BEGIN"}, setup...)
	}
	for _, sql := range setup {
		if _, err := c.Exec(ctx, sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if err := s.afterDDL(ctx, c, sql); err != nil {
			t.Fatal(err)
		}
	}
	o := &oidRun{t: t, ctx: ctx, c: c, s: s}
	o.want = o.one("SELECT "+names[2:]+" FROM here", nil)
	o.reads(names[2:])
	o.writes(names[2:], marks)
}

type oidRun struct {
	t    *testing.T
	ctx  context.Context
	c    *pgconn.PgConn
	s    *side
	want [][]byte
}

// one runs a query of one row, all in binary.
func (o *oidRun) one(sql string, params [][]byte) [][]byte {
	r := o.c.ExecParams(o.ctx, sql, params, nil, nil, []int16{1}).Read()
	if r.Err != nil || len(r.Rows) != 1 {
		o.t.Fatalf("%s: %d rows, %v", sql, len(r.Rows), r.Err)
	}
	return r.Rows[0]
}

func (o *oidRun) same(how string, rows [][][]byte, n int) {
	o.t.Helper()
	if len(rows) != n {
		o.t.Fatalf("%s: %d rows instead of %d", how, len(rows), n)
	}
	for _, row := range rows {
		for i, v := range row {
			if !bytes.Equal(v, o.want[i]) {
				o.t.Errorf("%s: %s is %q instead of %q", how, oidTypes[i].name, v, o.want[i])
			}
		}
	}
}

func (o *oidRun) reads(names string) {
	for k := 1; k <= oidKeys; k++ {
		sql := fmt.Sprintf("SELECT %s FROM spread WHERE k = %d", names, k)
		o.same("unnamed statement", [][][]byte{o.one(sql, nil)}, 1)
		o.same("not described", o.undescribed(sql, ""), 1)
	}
	if _, err := o.c.Prepare(o.ctx, "p", "SELECT "+names+" FROM spread WHERE k = $1", nil); err != nil {
		o.t.Fatal(err)
	}
	for k := 1; k <= oidKeys; k++ {
		r := o.c.ExecPrepared(o.ctx, "p", [][]byte{[]byte(fmt.Sprint(k))}, nil, []int16{1}).Read()
		if r.Err != nil {
			o.t.Fatal(r.Err)
		}
		o.same("prepared statement", r.Rows, 1)
		o.same("statement described before", o.undescribed("", fmt.Sprint(k)), 1)
	}
	for _, sql := range []string{
		"SELECT " + names + " FROM spread",
		"SELECT " + names + " FROM spread ORDER BY k",
		"SELECT " + names + " FROM spread WHERE k IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) LIMIT 12",
		"SELECT s." + names[:3] + names[3:] + " FROM spread s, (SELECT count(*) AS n FROM spread) c WHERE c.n = 12",
		"UPDATE spread SET num = num WHERE k > 0 RETURNING " + names,
	} {
		r := o.c.ExecParams(o.ctx, sql, nil, nil, nil, []int16{1}).Read()
		if r.Err != nil {
			o.t.Fatalf("%s: %v", sql, r.Err)
		}
		o.same(sql[:20], r.Rows, oidKeys)
	}
	o.cursors(names)
}

// cursors reads through cursors of one backend and of several.
func (o *oidRun) cursors(names string) {
	for _, query := range []string{
		"SELECT " + names + " FROM spread WHERE k = 1", "SELECT " + names + " FROM spread WHERE k = 2",
		"SELECT " + names + " FROM spread WHERE k = 3", "SELECT " + names + " FROM spread WHERE k = 4",
		"SELECT " + names + " FROM spread ORDER BY k", "SELECT " + names + " FROM spread",
	} {
		n := 1
		if !bytes.Contains([]byte(query), []byte("k =")) {
			n = oidKeys
		}
		results, err := o.c.Exec(o.ctx, "BEGIN; DECLARE c BINARY SCROLL CURSOR FOR "+query+"; FETCH ALL FROM c").ReadAll()
		if err != nil {
			o.t.Fatalf("%s: %v", query, err)
		}
		o.same("binary cursor", results[2].Rows, n)
		if _, err := o.c.Exec(o.ctx, "MOVE ABSOLUTE 0 IN c").ReadAll(); err != nil {
			o.t.Fatal(err)
		}
		r := o.c.ExecParams(o.ctx, "FETCH ALL FROM c", nil, nil, nil, []int16{1}).Read()
		if r.Err != nil {
			o.t.Fatal(r.Err)
		}
		o.same("FETCH in binary", r.Rows, n)
		if _, err := o.c.Exec(o.ctx, "COMMIT").ReadAll(); err != nil {
			o.t.Fatal(err)
		}
	}
}

// undescribed runs a statement without asking for its columns: the prepared one with a key, or a text.
func (o *oidRun) undescribed(sql, key string) (rows [][][]byte) {
	f := o.c.Frontend()
	bind := &pgproto3.Bind{PreparedStatement: "p", ResultFormatCodes: []int16{1}}
	if key == "" {
		f.SendParse(&pgproto3.Parse{Query: sql})
		bind.PreparedStatement = ""
	} else {
		bind.Parameters = [][]byte{[]byte(key)}
	}
	f.SendBind(bind)
	f.SendExecute(&pgproto3.Execute{})
	f.SendSync(&pgproto3.Sync{})
	if err := f.Flush(); err != nil {
		o.t.Fatal(err)
	}
	for {
		m, err := f.Receive()
		if err != nil {
			o.t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			var row [][]byte
			for _, v := range m.Values {
				row = append(row, bytes.Clone(v))
			}
			rows = append(rows, row)
		case *pgproto3.ErrorResponse:
			o.t.Fatalf("%s: %s", sql, m.Message)
		case *pgproto3.ReadyForQuery:
			return rows
		}
	}
}

// writes sends the values of home to every backend: as parameters and with COPY.
func (o *oidRun) writes(names, marks string) {
	formats := []int16{0}
	for range oidTypes {
		formats = append(formats, 1)
	}
	insert := "INSERT INTO again VALUES ($1" + marks + ")"
	if _, err := o.c.Prepare(o.ctx, "i", insert, nil); err != nil {
		o.t.Fatal(err)
	}
	for k := 1; k <= oidKeys; k++ {
		params := append([][]byte{[]byte(fmt.Sprint(k))}, o.want...)
		var err error
		if k%2 == 0 {
			err = o.c.ExecPrepared(o.ctx, "i", params, formats, nil).Read().Err
		} else {
			err = o.c.ExecParams(o.ctx, insert, params, nil, formats, nil).Read().Err
		}
		if err != nil {
			o.t.Fatalf("row %d: %v", k, err)
		}
	}
	o.checkAgain("parameters", names)
	for _, from := range []string{"spread", "(SELECT * FROM spread ORDER BY k LIMIT 12)", "(SELECT s.* FROM spread s, (SELECT count(*) FROM spread) c)"} {
		var data bytes.Buffer
		if _, err := o.c.CopyTo(o.ctx, &data, o.s.dialect("COPY "+from+" TO STDOUT (FORMAT binary)")); err != nil {
			o.t.Fatalf("copy %s: %v", from, err)
		}
		if _, err := o.c.Exec(o.ctx, "DELETE FROM again WHERE k > 0").ReadAll(); err != nil {
			o.t.Fatal(err)
		}
		if _, err := o.c.CopyFrom(o.ctx, &data, "COPY again FROM STDIN (FORMAT binary)"); err != nil {
			o.t.Fatalf("copy back of %s: %v", from, err)
		}
		o.checkAgain("COPY "+from, names)
	}
	o.same("COPY of one backend", o.copied(), oidKeys)
	// A parameter that several backends get.
	r := o.c.ExecParams(o.ctx, "SELECT "+names+" FROM again WHERE rows = $1 AND typ = $2::regtype", [][]byte{o.want[4], o.want[8]}, nil, []int16{1}, []int16{1}).Read()
	if r.Err != nil {
		o.t.Fatal(r.Err)
	}
	o.same("parameter of several backends", r.Rows, oidKeys)
}

// copied copies rows out one by one, and in on home.
func (o *oidRun) copied() [][][]byte {
	for k := 1; k <= oidKeys; k++ {
		var data bytes.Buffer
		if _, err := o.c.CopyTo(o.ctx, &data, fmt.Sprintf("COPY (SELECT * FROM spread WHERE k = %d) TO STDOUT (FORMAT binary)", k)); err != nil {
			o.t.Fatal(err)
		}
		if _, err := o.c.CopyFrom(o.ctx, &data, "COPY here FROM STDIN (FORMAT binary)"); err != nil {
			o.t.Fatal(err)
		}
	}
	names := ""
	for _, t := range oidTypes {
		names += ", " + t.name
	}
	r := o.c.ExecParams(o.ctx, "SELECT "+names[2:]+" FROM here WHERE k > 0", nil, nil, nil, []int16{1}).Read()
	if r.Err != nil {
		o.t.Fatal(r.Err)
	}
	return r.Rows
}

// checkAgain reads what was written, as text and in binary.
func (o *oidRun) checkAgain(how, names string) {
	o.t.Helper()
	r := o.c.ExecParams(o.ctx, "SELECT "+names+" FROM again", nil, nil, nil, []int16{1}).Read()
	if r.Err != nil {
		o.t.Fatal(r.Err)
	}
	o.same(how, r.Rows, oidKeys)
	text := o.c.ExecParams(o.ctx, "SELECT "+names+" FROM again UNION SELECT "+names+" FROM here WHERE k = 0", nil, nil, nil, nil).Read()
	if text.Err != nil || len(text.Rows) != 1 {
		o.t.Fatalf("%s: %d different rows, %v", how, len(text.Rows), text.Err)
	}
}

// TestOIDsOfTheOwnTransaction makes the types in a transaction whose first use of them, on each backend, is of one kind.
func TestOIDsOfTheOwnTransaction(t *testing.T) {
	t.Parallel()
	names, marks := "", ""
	for i, o := range oidTypes {
		names += ", " + o.name
		marks += fmt.Sprintf(", $%d", i+1)
	}
	rows := ""
	for k := 1; k <= oidKeys; k++ {
		rows += fmt.Sprintf(", (%d%s)", k, marks)
	}
	names, rows = names[2:], rows[2:]
	binaryAll := slices.Repeat([]int16{1}, len(oidTypes))
	returned := func(o *oidRun, sql string, params [][]byte, formats []int16) {
		r := o.c.ExecParams(o.ctx, sql, params, nil, formats, []int16{1}).Read()
		if r.Err != nil {
			o.t.Fatalf("%.40s: %v", sql, r.Err)
		}
		o.same(sql[:20], r.Rows, oidKeys)
	}
	fill := fmt.Sprintf("INSERT INTO spread SELECT g, %s FROM generate_series(1, %d) g, here", names, oidKeys)
	for _, s := range both() {
		for how, use := range map[string]func(*oidRun){
			"INSERT of rows":    func(o *oidRun) { returned(o, "INSERT INTO spread VALUES "+rows+" RETURNING "+names, o.want, binaryAll) },
			"INSERT of a query": func(o *oidRun) { returned(o, fill+" RETURNING "+names, nil, nil) },
			"gathered UPDATE": func(o *oidRun) {
				o.run(fill)
				returned(o, "UPDATE spread SET num = num WHERE k IN (SELECT s.num - 16500 + s.k FROM spread s) RETURNING "+names, nil, nil)
			},
			"combined groups": func(o *oidRun) {
				o.run(fill)
				for _, list := range []string{names, names + ", count(*)"} {
					r := o.c.ExecParams(o.ctx, "SELECT "+list+" FROM (SELECT "+names+" FROM spread) s GROUP BY "+names, nil, nil, nil, []int16{1}).Read()
					if r.Err != nil {
						o.t.Fatal(r.Err)
					}
					o.same("groups", [][][]byte{r.Rows[0][:len(oidTypes)]}, len(r.Rows))
				}
			},
			"gathered": func(o *oidRun) {
				o.run(fill)
				returned(o, "SELECT s."+strings.ReplaceAll(names, ", ", ", s.")+" FROM spread s, (SELECT one, count(*) AS n FROM spread GROUP BY one) c WHERE c.one = s.one AND c.n = 12", nil, nil)
			},
			"COPY": func(o *oidRun) {
				data := bytes.NewBufferString("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
				for k := 1; k <= oidKeys; k++ {
					line := binary.BigEndian.AppendUint16(nil, uint16(1+len(o.want)))
					line = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(line, 4), uint32(k))
					for _, v := range o.want {
						line = append(binary.BigEndian.AppendUint32(line, uint32(len(v))), v...)
					}
					data.Write(line)
				}
				data.WriteString("\xff\xff")
				if _, err := o.c.CopyFrom(o.ctx, data, "COPY spread FROM STDIN (FORMAT binary)"); err != nil {
					o.t.Fatal(err)
				}
			},
			"COPY TO": func(o *oidRun) {
				o.run(fill)
				var data bytes.Buffer
				if _, err := o.c.CopyTo(o.ctx, &data, o.s.dialect("COPY spread TO STDOUT (FORMAT binary)")); err != nil {
					o.t.Fatal(err)
				}
				o.run("DELETE FROM spread")
				if _, err := o.c.CopyFrom(o.ctx, &data, "COPY spread FROM STDIN (FORMAT binary)"); err != nil {
					o.t.Fatal(err)
				}
			},
			"cursor": func(o *oidRun) {
				o.run(fill)
				o.run("DECLARE c BINARY CURSOR FOR SELECT " + names + " FROM spread")
				o.same("binary cursor", o.run("FETCH ALL FROM c"), oidKeys)
			},
			"sorted cursor": func(o *oidRun) {
				o.run(fill)
				o.run("DECLARE c BINARY CURSOR FOR SELECT " + names + " FROM spread ORDER BY k")
				o.same("binary cursor", o.run("FETCH ALL FROM c"), oidKeys)
			},
		} {
			t.Run(s.name+", "+how, func(t *testing.T) {
				t.Parallel()
				o := &oidRun{t: t, ctx: ctxFor(t), c: s.low(t, s.newDatabase(t), nil), s: s}
				o.run("CREATE TABLE other (k int PRIMARY KEY) PARTITION BY HASH (k)")
				o.run("INSERT INTO other SELECT generate_series(1, 40)")
				o.run("BEGIN")
				columns, values := "", ""
				for _, c := range oidTypes {
					columns += ", " + c.name + " " + c.typ
					values += ", " + c.value
				}
				for _, sql := range append(slices.Clone(oidSetup), "CREATE TABLE here (k int PRIMARY KEY"+columns+")",
					"CREATE TABLE spread (k int PRIMARY KEY"+columns+") PARTITION BY HASH (k)", "INSERT INTO here VALUES (0"+values+")") {
					o.run(sql)
				}
				o.want = o.one("SELECT "+names+" FROM here", nil)
				use(o)
				returned(o, "SELECT "+names+" FROM spread", nil, nil)
				o.run("COMMIT")
			})
		}
	}
}

// run runs a simple query, and what plain PostgreSQL needs behind it.
func (o *oidRun) run(sql string) [][][]byte {
	o.t.Helper()
	results, err := o.c.Exec(o.ctx, sql).ReadAll()
	if err != nil {
		o.t.Fatalf("%.60s: %v", sql, err)
	}
	if err := o.s.afterDDL(o.ctx, o.c, sql); err != nil {
		o.t.Fatal(err)
	}
	return results[0].Rows
}

// TestOIDsOnHeldConnections makes types while the session holds connections that a cursor WITH HOLD is on: they speak of
// the types by home's oids all the same.
func TestOIDsOnHeldConnections(t *testing.T) {
	t.Parallel()
	for _, s := range both() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			c := s.low(t, s.newDatabase(t), nil)
			ctx := ctxFor(t)
			for _, sql := range []string{
				"CREATE TABLE spread (k int PRIMARY KEY) PARTITION BY HASH (k)",
				"INSERT INTO spread SELECT generate_series(1, 20)",
				"BEGIN", "DECLARE held CURSOR WITH HOLD FOR SELECT k FROM spread", "COMMIT",
				"CREATE TYPE mood AS ENUM ('sad', 'ok')",
				"CREATE TABLE felt (k int PRIMARY KEY, m mood) PARTITION BY HASH (k)",
			} {
				if _, err := c.Exec(ctx, sql).ReadAll(); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
				if err := s.afterDDL(ctx, c, sql); err != nil {
					t.Fatal(err)
				}
			}
			o := &oidRun{t: t, ctx: ctx, c: c, s: s}
			mood := binary.BigEndian.Uint32(o.one("SELECT 'mood'::regtype::oid", nil)[0])
			for k := range oidKeys {
				sql := fmt.Sprintf("INSERT INTO felt VALUES (%d, $1) RETURNING m", k)
				r := c.ExecParams(ctx, sql, [][]byte{[]byte("ok")}, []uint32{mood}, nil, nil).Read()
				if r.Err != nil {
					t.Fatalf("%s: %v", sql, r.Err)
				}
				if got := r.FieldDescriptions[0].DataTypeOID; got != mood {
					t.Errorf("%s: the column's type is %d instead of %d", sql, got, mood)
				}
			}
		})
	}
}
