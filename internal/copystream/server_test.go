package copystream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
	"github.com/pleiad/pleiad/router"
)

// server is a real PostgreSQL with tables whole, even and odd of three text columns.
func server(t *testing.T) *pgconn.PgConn {
	cluster := devcluster.ForTest(t, devcluster.Options{Backends: 1})
	conn, err := pgconn.Connect(t.Context(), cluster.DSN(cluster.Primaries()[0], "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	for _, name := range []string{"t", "even", "odd"} {
		run(t, conn, "CREATE TABLE "+name+" (a text, b text, c text)")
	}
	return conn
}

func run(t *testing.T, conn *pgconn.PgConn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// options writes a format as COPY's option list.
func options(f router.CopyFormat) string {
	quote := func(c byte) string { return "'" + strings.ReplaceAll(string(c), "'", "''") + "'" }
	list := []string{"FORMAT text", "DELIMITER " + quote(withDefaults(f).Delimiter)}
	if f.CSV {
		list[0] = "FORMAT csv"
		list = append(list, "QUOTE "+quote(withDefaults(f).Quote), "ESCAPE "+quote(withDefaults(f).Escape))
	}
	list = append(list, "NULL '"+f.Null+"'")
	switch {
	case f.HeaderMatch:
		list = append(list, "HEADER match")
	case f.Header:
		list = append(list, "HEADER")
	}
	if f.ForceNull != nil {
		list = append(list, "FORCE_NULL (a)", "FORCE_NOT_NULL (b)")
	}
	return strings.Join(list, ", ")
}

// load copies data into a table and returns its rows, or the server's error.
func load(t *testing.T, conn *pgconn.PgConn, table string, f router.CopyFormat, data []byte) ([]string, error) {
	run(t, conn, "TRUNCATE "+table)
	_, err := conn.CopyFrom(t.Context(), bytes.NewReader(data), "COPY "+table+" FROM STDIN ("+options(f)+")")
	if err != nil {
		return nil, err
	}
	results, err := conn.Exec(t.Context(), "SELECT a, b, c FROM "+table+" ORDER BY ctid").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range results[0].Rows {
		fields := make([]Field, len(row))
		for i, v := range row {
			fields[i] = Field{Value: v, Null: v == nil}
		}
		rows = append(rows, fieldsText(fields))
	}
	return rows, nil
}

// TestServerAgrees gives random streams to a real server, whole and split in two by row, and compares rows and errors
// with the Reader's.
func TestServerAgrees(t *testing.T) {
	conn := server(t)
	r := rand.New(rand.NewPCG(11, 12))
	major, err := strconv.Atoi(strings.SplitN(conn.ParameterStatus("server_version"), ".", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	rows, failures := 0, 0
	for range 1500 {
		spec, data := randomStream(r)
		spec.ServerMajor = major
		what := fmt.Sprintf("%s\n%q", options(spec.Format), data)
		got := read(t, spec, data, randomCuts(r, len(data)))
		want, err := load(t, conn, "t", spec.Format, data)
		if err != nil {
			failures++
			compareErrors(t, what, got, err)
			continue
		}
		if got.err != "" {
			t.Fatalf("%s\nthe server takes it, the reader says %s", what, got.err)
		}
		if len(got.rows) != len(want) {
			t.Fatalf("%s\n%d rows, the server has %d: %q %q", what, len(got.rows), len(want), got.rows, want)
		}
		for i := range want {
			if !strings.HasSuffix(got.rows[i], ") "+want[i]) {
				t.Fatalf("%s\nrow %d is %s, the server's is %s", what, i, got.rows[i], want[i])
			}
		}
		rows += len(want)
		halves(t, conn, what, spec, got, want)
	}
	if rows < 500 || failures < 100 {
		t.Errorf("only %d rows and %d failures were compared", rows, failures)
	}
}

// compareErrors holds the reader's error against the server's, field by field.
func compareErrors(t *testing.T, what string, got outcome, err error) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if short, ok := strings.CutPrefix(e.Message, "missing data for column "); ok {
		if at := fmt.Sprintf("COPY t, line %d: ", got.short); got.short == 0 || !strings.HasPrefix(e.Where, at) {
			t.Fatalf("%s\nline %d is short, the server says that of %s: %s", what, got.short, e.Where, short)
		}
		return
	}
	if e.Code == "22021" {
		return // an escape made a zero byte: the server's to judge
	}
	want := fmt.Sprintf("%s: %s (SQLSTATE %s) (%s)", e.Severity, e.Message, e.Code, e.Where)
	if got.err != want || got.hint != e.Hint {
		t.Fatalf("%s\nthe reader says %q\nthe server says %q %q", what, got.err+got.hint, want, e.Hint)
	}
}

// halves sends every other row to another table, as to another backend.
func halves(t *testing.T, conn *pgconn.PgConn, what string, spec Spec, got outcome, want []string) {
	parts := [2][]byte{[]byte(got.prologue), []byte(got.prologue)}
	for i, raw := range got.raw {
		parts[i%2] = append(parts[i%2], raw...)
	}
	all := make([]string, len(want))
	for half, table := range []string{"even", "odd"} {
		rows, err := load(t, conn, table, spec.Format, append(parts[half], got.epilogue...))
		if err != nil {
			t.Fatalf("%s\nits half %q: %v", what, parts[half], err)
		}
		for i, row := range rows {
			if 2*i+half >= len(all) {
				t.Fatalf("%s\nits half %q has %d rows", what, parts[half], len(rows))
			}
			all[2*i+half] = row
		}
	}
	if !slices.Equal(all, want) {
		t.Fatalf("%s\nin halves %q, whole %q", what, all, want)
	}
}

// TestAppendedColumns adds a third column to rows of two and lets the server read them.
func TestAppendedColumns(t *testing.T) {
	conn := server(t)
	values := []string{"", "x", `\N`, "a\tb\n\\c|\"'", "NULL", "é\r\b\f\v", "\\."}
	for _, f := range []router.CopyFormat{
		{Null: `\N`}, {Null: "x", Delimiter: '|'}, {CSV: true}, {CSV: true, Null: "NULL", Quote: '\'', Escape: '\\', Delimiter: '|'},
		{CSV: true, HeaderMatch: true}, {Null: `\N`, HeaderMatch: true},
	} {
		spec := Spec{Table: "t", Columns: []string{"a", "b"}, Format: f}
		reader, err := NewReader(spec)
		if err != nil {
			t.Fatal(err)
		}
		delim := string(withDefaults(f).Delimiter)
		if f.HeaderMatch {
			reader.Feed([]byte("a" + delim + "b\n"))
		}
		for range len(values) + 1 {
			reader.Feed([]byte("1" + delim + "2\n"))
		}
		reader.Finish()
		var data []byte
		var want []string
		for i := 0; ; i++ {
			row, ok, err := reader.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if i == 0 {
				if data, err = reader.AppendHeader(data, []string{"c"}); err != nil {
					t.Fatal(err)
				}
			}
			extra := Field{Null: true}
			if i < len(values) {
				extra = Field{Value: []byte(values[i])}
			}
			if data, err = reader.AppendRow(data, row, []Field{extra}); err != nil {
				t.Fatal(err)
			}
			want = append(want, fieldsText([]Field{{Value: []byte("1")}, {Value: []byte("2")}, extra}))
		}
		got, err := load(t, conn, "t", f, data)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s %q: %v\n got %q\nwant %q", options(f), data, err, got, want)
		}
	}
}

// TestBinaryAgainstServer splits the server's own binary output, adds a column, and lets the server read it again.
func TestBinaryAgainstServer(t *testing.T) {
	conn := server(t)
	run(t, conn, "INSERT INTO t SELECT i::text, nullif(i % 3, 0)::text, repeat('x', i * 7) FROM generate_series(1, 50) i")
	var out bytes.Buffer
	if _, err := conn.CopyTo(t.Context(), &out, "COPY (SELECT a, b FROM t ORDER BY ctid) TO STDOUT (FORMAT binary)"); err != nil {
		t.Fatal(err)
	}
	reader, err := NewReader(Spec{Table: "t", Columns: []string{"a", "b"}, Want: []int{0}, Format: router.CopyFormat{Binary: true}})
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	rows := 0
	for i, c := range out.Bytes() {
		reader.Feed([]byte{c})
		if i == out.Len()-1 {
			reader.Finish()
		}
		for {
			row, ok, err := reader.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if rows == 0 {
				data = append(data, reader.Prologue()...)
			}
			rows++
			extra := []Field{{Value: bytes.Repeat([]byte("x"), 7*rows)}}
			if data, err = reader.AppendRow(data, row, extra); err != nil {
				t.Fatal(err)
			}
		}
	}
	data = append(data, reader.Epilogue()...)
	if _, err := conn.CopyFrom(t.Context(), bytes.NewReader(data), "COPY even FROM STDIN (FORMAT binary)"); err != nil {
		t.Fatal(err)
	}
	results, err := conn.Exec(t.Context(), "SELECT count(*) FROM t JOIN even USING (a, c) WHERE t.b IS NOT DISTINCT FROM even.b").ReadAll()
	if err != nil || string(results[0].Rows[0][0]) != "50" {
		t.Errorf("%d rows were read, the server has %v (%v)", rows, results, err)
	}
}

// TestBinaryErrorsAgainstServer compares messages and contexts.
func TestBinaryErrorsAgainstServer(t *testing.T) {
	conn := server(t)
	row := string(binaryRow("x", "y", "z"))
	for _, data := range []string{
		"", "PGC", signature + "\x00", signature + "\x00\x01\x00\x00", signature + "\x00\x02\x00\x00", signature + "\x00\x00\x00\x00\xff\x00\x00\x00",
		string(binaryStart()) + row + "\x00\x02", string(binaryStart()) + row + "\x00\x03\x00\x00", string(binaryStart()) + row + "\x00\x03\x00\x00\x00\x05x",
		string(binaryStart()) + row + "\x00\x03\xff\x00\x00\x05x", string(binaryStart()) + row + "\xff\xffx",
	} {
		_, err := conn.CopyFrom(t.Context(), strings.NewReader(data), "COPY t FROM STDIN (FORMAT binary)")
		var e *pgconn.PgError
		if !errors.As(err, &e) {
			t.Fatalf("%q: the server says %v", data, err)
		}
		want := fmt.Sprintf("%s: %s (SQLSTATE %s)", e.Severity, e.Message, e.Code)
		if e.Where != "" {
			want += " (" + e.Where + ")"
		}
		if got := read(t, binarySpec("a", "b", "c"), []byte(data), nil); got.err != want {
			t.Errorf("%q:\n got %q\nwant %q", data, got.err, want)
		}
	}
}
