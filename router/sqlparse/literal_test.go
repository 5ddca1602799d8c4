package sqlparse

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// value scans a text that is one literal and decodes it.
func value(text string) (string, LiteralKind, bool) {
	var s Scanner
	lits := s.Scan([]byte("SELECT " + text)).Lits
	if len(lits) != 1 || lits[0].Start != 7 || lits[0].End != 7+len(text) {
		return "", 0, false
	}
	v, ok := LiteralValue([]byte("SELECT "+text), lits[0], []byte("kept"))
	if !bytes.HasPrefix(v, []byte("kept")) || !ok && len(v) != 4 {
		return "", lits[0].Kind, false
	}
	return string(v[4:]), lits[0].Kind, ok
}

func TestLiteralValue(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"'it''s'", "it's"}, {"''", ""}, {"'a'\n  -- c\n 'b'", "ab"}, {`'\n'`, `\n`},
		{`E'\b\f\n\r\t\\\'\"\q'`, "\b\f\n\r\t\\'\"q"}, {`E'\101\x41\x4g\1018'`, "AA\x04gA8"}, {`E'\u00e9\U0001F600\ud83d\ude00'`, "é😀😀"},
		{"E'a'\n'\\n'", "a\n"}, {"$$a'$$", "a'"}, {"$é$a$$b$é$", "a$$b"},
		{"5", "5"}, {"007", "7"}, {"0x1F", "31"}, {"0b101", "5"}, {"0o17", "15"}, {"1_000", "1000"}, {"3000000000", "3000000000"},
		{"1.50", "1.50"}, {"1_0.5_0e1_0", "10.50e10"}, {"99999999999999999999", "99999999999999999999"},
		{"B'01'", "01"}, {"X'1f'", "00011111"}, {"B'0'\n'1'", "01"}, {"X'1'\n'F'", "00011111"},
	} {
		if got, _, ok := value(c.text); !ok || got != c.want {
			t.Errorf("%s: %q %v, want %q", c.text, got, ok, c.want)
		}
	}
	for _, text := range []string{`E'\v'`, `E'\0'`, `E'\xff'`, `E'\ud83d'`, `E'\ud83dx'`, `E'\ude00'`, `E'\u12'`, `E'\U00110000'`, "B'2'", "X'g'", "0xfffffffffffffffff"} {
		if got, _, ok := value(text); ok {
			t.Errorf("%s is told to be %q", text, got)
		}
	}
}

func connect(t *testing.T) *pgconn.PgConn {
	cluster := devcluster.ForTest(t, devcluster.Options{Backends: 1})
	conn, err := pgconn.Connect(t.Context(), cluster.DSN(cluster.Primaries()[0], "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// ask returns the row a query gives, or the server's error.
func ask(t *testing.T, conn *pgconn.PgConn, sql string) ([][]byte, error) {
	results, err := conn.Exec(t.Context(), sql).ReadAll()
	if err != nil {
		return nil, err
	}
	return results[0].Rows[0], nil
}

var stringParts = strings.Split(`a é '' \\ \' \n \t \b \q \7 \101 \377 \x41 \xc3\xa9 \x \u0041 \ud83d\ude00 \u00e9 \U0001f600 \ " $ $$ $a$ --`, " ")

func randomLiteral(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(5) {
		b.WriteString(stringParts[r.IntN(len(stringParts))])
		if r.IntN(6) == 0 {
			b.WriteString([]string{"'\n'", "' \r\n '", "' -- c\n'", "'\n-- c\n'"}[r.IntN(4)])
		}
	}
	switch r.IntN(8) {
	case 0:
		return "$a$" + strings.ReplaceAll(b.String(), "$a$", "") + "$a$"
	case 1:
		return fmt.Sprint(r.Uint64() >> r.IntN(64))
	case 2:
		return fmt.Sprintf("%d.%de%d", r.IntN(1000), r.IntN(1000), r.IntN(10))
	case 3:
		return fmt.Sprintf("B'%b'", r.Uint32())
	case 4:
		return fmt.Sprintf("X'%x'", r.Uint64())
	case 5:
		return "'" + b.String() + "'"
	}
	return "E'" + b.String() + "'"
}

// TestServerAgreesOnLiterals compares values with those of a real server, and the kinds with the types it gives.
func TestServerAgreesOnLiterals(t *testing.T) {
	conn := connect(t)
	types := map[LiteralKind]string{LiteralInt4: "integer", LiteralInt8: "bigint", LiteralNumeric: "numeric", LiteralBit: "bit", LiteralHexBit: "bit",
		LiteralString: "unknown", LiteralEscape: "unknown", LiteralDollar: "unknown"}
	r := rand.New(rand.NewPCG(13, 14))
	decoded := 0
	for range 6000 {
		text := randomLiteral(r)
		got, kind, ok := value(text)
		row, err := ask(t, conn, "SELECT x::text, pg_typeof("+text+") FROM (SELECT "+text+") AS s(x)")
		switch {
		case ok && err != nil:
			t.Fatalf("%s: told to be %q, the server says %v", text, got, err)
		case ok:
			decoded++
			want := string(row[0])
			if kind == LiteralNumeric {
				if same, err := ask(t, conn, "SELECT '"+got+"'::numeric = "+text); err != nil || string(same[0]) != "t" {
					t.Fatalf("%s: told to be %s (%v)", text, got, err)
				}
			} else if got != want {
				t.Fatalf("%s: told to be %q, is %q", text, got, want)
			}
			if string(row[1]) != types[kind] {
				t.Fatalf("%s: kind %d, type %s", text, kind, row[1])
			}
		case err == nil && kind != 0:
			t.Fatalf("%s: not decoded, is %q", text, row[0])
		}
	}
	if decoded < 3000 {
		t.Errorf("only %d literals were compared", decoded)
	}
}

// TestSignsKeepTypes: a minus sign must not change the type of a literal whose kind says so.
func TestSignsKeepTypes(t *testing.T) {
	conn := connect(t)
	for _, text := range []string{"2147483647", "2147483648", "2147483649", "9223372036854775807", "9223372036854775808", "9223372036854775809", "0", "1.5"} {
		plain, err := ask(t, conn, "SELECT pg_typeof("+text+"), pg_typeof(- "+text+")")
		if err != nil {
			t.Fatal(err)
		}
		if _, kind, _ := value(text); (kind != 0) != (string(plain[0]) == string(plain[1])) {
			t.Errorf("%s: kind %d, types %s", text, kind, plain)
		}
	}
}

// TestContinuedOverComment: PostgreSQL continues strings over line comments, which the parser library does not.
func TestContinuedOverComment(t *testing.T) {
	conn := connect(t)
	for _, text := range []string{"'a' -- c\n'b'", "'a'\n-- c\n'b'", "'a' -- c\r -- d\r\n 'b'", "E'a' -- '\n'\\n'"} {
		got, _, ok := value(text)
		row, err := ask(t, conn, "SELECT "+text)
		if err != nil || !ok || string(row[0]) != got {
			t.Errorf("%s: %q %v, the server says %q %v", text, got, ok, row, err)
		}
	}
	for _, text := range []string{"'a' 'b'", "'a' /* \n */ 'b'", "'a'\n/**/'b'", "'a'\n-- c"} {
		if got := lexAll(text); len(got) < 2 {
			t.Errorf("%s is one token", text)
		}
	}
}

func FuzzLiteralValue(f *testing.F) {
	r := rand.New(rand.NewPCG(15, 16))
	for range 50 {
		f.Add(randomLiteral(r))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s Scanner
		b := []byte("SELECT " + text)
		for _, l := range s.Scan(b).Lits {
			if v, ok := LiteralValue(b, l, nil); !ok && len(v) > 0 {
				t.Fatalf("%q: %q is left behind without being the value", text, v)
			}
		}
	})
}
