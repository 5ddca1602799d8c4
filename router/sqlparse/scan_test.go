package sqlparse

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// shape writes a key with its markers readable: ‹s› string, ‹4› ‹8› ‹n› numbers, ‹b› ‹x› bit strings, ‹c› comment.
func shape(key []byte) string {
	return strings.NewReplacer("\x01", "‹c›", "\x02", "‹s›", "\x03", "‹4›", "\x04", "‹8›", "\x05", "‹n›", "\x06", "‹b›", "\x07", "‹x›").
		Replace(string(key))
}

func TestNewNumber(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT 0x1F": true, "SELECT 0b1": true, "SELECT a, 1_000 FROM t": true, "SELECT 1_0.5": true, "UPDATE t SET a = 0O7": true,
		"SELECT 10, 0, 1.5e3, a_1, '0x1', t1_0.x, $1": false, "SELECT 'x' -- 0x1": false,
	} {
		var s Scanner
		if got := s.Scan([]byte(text)).NewNumber; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", "SELECT abalance FROM pgbench_accounts WHERE aid = ‹4›;"},
		{"SELECT 'a', E'b\\n', $$c$$, $t$d$t$", "SELECT ‹s›, ‹s›, ‹s›, ‹s›"},
		{"SELECT 'a'\n 'b', 'it''s'", "SELECT ‹s›, ‹s›"},
		{"SELECT 1, 2147483647, 2147483648, 2147483649, 0x7fffffff, 0xffffffff", "SELECT ‹4›, ‹4›, 2147483648, ‹8›, ‹4›, ‹8›"},
		{"SELECT 9223372036854775807, 9223372036854775808, 9223372036854775809, 1.5, 1e3, .5, 5.", "SELECT ‹8›, 9223372036854775808, ‹n›, ‹n›, ‹n›, ‹n›, ‹n›"},
		{"SELECT B'01', X'1f', N'x', U&'\\0041' UESCAPE '!', 'kept'", "SELECT ‹b›, ‹x›, N‹s›, U&'\\0041' UESCAPE '!', 'kept'"},
		{"SELECT a -- note\n FROM t /* 'x' */", "SELECT a ‹c›\n FROM t ‹c›"},
		{"SELECT a1, \"b2\", $3 FROM t4 WHERE c='x'", "SELECT a1, \"b2\", $3 FROM t4 WHERE c=‹s›"},
		{"SELECT a FROM t WHERE b = 1 ORDER BY 1, a + 2 LIMIT 3 OFFSET 4", "SELECT a FROM t WHERE b = ‹4› ORDER BY 1, a + 2 LIMIT ‹4› OFFSET ‹4›"},
		{"SELECT a FROM t GROUP BY 1 HAVING count(*) > 5", "SELECT a FROM t GROUP BY 1 HAVING count(*) > ‹4›"},
		{"SELECT (SELECT b FROM u ORDER BY 1), 2 FROM t", "SELECT (SELECT b FROM u ORDER BY 1), ‹4› FROM t"},
		{"SELECT a FROM t ORDER BY (SELECT 1 LIMIT 2), 3 FETCH FIRST 4 ROWS ONLY", "SELECT a FROM t ORDER BY (SELECT 1 LIMIT 2), 3 FETCH FIRST ‹4› ROWS ONLY"},
		{"SELECT a FROM t ORDER BY substring(a FOR 3), 2 FOR UPDATE", "SELECT a FROM t ORDER BY substring(a FOR 3), 2 FOR UPDATE"},
		{"SELECT sum(a) OVER (PARTITION BY 1 ORDER BY 2 ROWS 3 PRECEDING), 4", "SELECT sum(a) OVER (PARTITION BY 1 ORDER BY 2 ROWS 3 PRECEDING), ‹4›"},
		{"SELECT DISTINCT ON (1) a, 2", "SELECT DISTINCT ON (1) a, ‹4›"},
		{"SELECT 'x'::varchar(3), CAST('1' AS numeric(10, 2)), 5", "SELECT ‹s›::varchar(3), CAST(‹s› AS numeric(10, 2)), ‹4›"},
		{"SELECT a::text IN ('x'), b::int AND (c = 5), 'x'::character varying(4)", "SELECT a::text IN (‹s›), b::int AND (c = ‹4›), ‹s›::character varying(4)"},
		{"SELECT a::pg_catalog.bpchar(3)", "SELECT a::pg_catalog.bpchar(3)"},
		{"WITH x AS MATERIALIZED (SELECT 5) SELECT 6", "WITH x AS MATERIALIZED (SELECT ‹4›) SELECT ‹4›"},
		{"WITH x AS NOT MATERIALIZED (SELECT 5) SELECT 6", "WITH x AS NOT MATERIALIZED (SELECT ‹4›) SELECT ‹4›"},
		{"WITH x AS (SELECT 5) SELECT 6", "WITH x AS (SELECT ‹4›) SELECT ‹4›"},
		{"(SELECT 1) UNION SELECT 2 ORDER BY 1", "(SELECT ‹4›) UNION SELECT ‹4› ORDER BY 1"},
		{"SELECT date '2020-01-01', interval '1' year", "SELECT date ‹s›, interval ‹s› year"},
		{"SELECT 1-1, -5, a-1, 1--x", "SELECT ‹4›-‹4›, -‹4›, a-‹4›, ‹4›‹c›"},
		{"INSERT INTO t VALUES (1, 'x'), (2, NULL) ON CONFLICT DO NOTHING", "INSERT INTO t VALUES (‹4›, ‹s›), (‹4›, NULL) ON CONFLICT DO NOTHING"},
		{"INSERT INTO t SELECT a FROM u ORDER BY 1 RETURNING 'x'", "INSERT INTO t SELECT a FROM u ORDER BY 1 RETURNING ‹s›"},
		{"SET x = 5", "SET x = 5"},
		{"/* c */ BEGIN", "/* c */ BEGIN"},
	} {
		var s Scanner
		got := s.Scan([]byte(c.text))
		if shape(got.Key) != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, shape(got.Key), c.want)
		}
	}
}

func TestScanned(t *testing.T) {
	var s Scanner
	for _, c := range []struct {
		text                      string
		first                     string
		param                     int
		empty, utility, cacheable bool
	}{
		{"select $2, $10, $1", "select", 10, false, false, true},
		{"SELECT $99999999999", "SELECT", 1<<31 - 1, false, false, true},
		{" /* x */ (( SELECT 1 ))", "SELECT", 0, false, false, true},
		{"", "", 0, true, false, false},
		{" -- x\n ; /* y */", "", 0, true, false, false},
		{"BEGIN", "BEGIN", 0, false, true, false},
		{"PREPARE a AS SELECT $1", "PREPARE", 1, false, true, false},
		{"'x'", "'x'", 0, false, true, false},
		{"SELECT 'x", "SELECT", 0, false, false, false},
		{"SELECT \x01", "SELECT", 0, false, false, false},
		{"SELECT 1x", "SELECT", 0, false, false, false},
		{"SELECT varchar(3) 'abcdef'", "SELECT", 0, false, false, false},
		{"selectx", "selectx", 0, false, true, false},
	} {
		got := s.Scan([]byte(c.text))
		if string(got.First) != c.first || got.MaxParam != c.param || got.Empty != c.empty || got.Utility != c.utility || got.Cacheable != c.cacheable {
			t.Errorf("%q: %+v", c.text, got)
		}
		if !got.Cacheable && (got.Utility || got.Empty) && (string(got.Key) != c.text || len(got.Lits) != 0) {
			t.Errorf("%q: a text that is not cached was changed: %q", c.text, got.Key)
		}
	}
}

// statements are what property tests vary: every literal in them is replaced by others of its kind.
var statements = []string{
	"SELECT a, 'x' || b FROM t WHERE k = 5 AND d > 1.5 AND e IN ('p', E'q', $$r$$) ORDER BY a + 1, 2 LIMIT 10 OFFSET 20 -- c",
	"INSERT INTO t (a, b) VALUES (1, 'x'), (-2, B'01'), (3000000000, X'ff') ON CONFLICT (a) DO UPDATE SET b = 'z' RETURNING a, 7",
	"WITH x AS (SELECT a FROM t WHERE b = 'q' GROUP BY 1 HAVING sum(c) > 5) UPDATE u SET v = CAST('1.23' AS numeric(3,1)) FROM x WHERE u.a = x.a AND w = 'a'::varchar(2)",
	"DELETE FROM t WHERE /* why */ a = ANY ('{1,2}'::int[]) AND b BETWEEN 3 AND 4 RETURNING count(*) OVER (PARTITION BY 1)",
	"SELECT DISTINCT ON (1) a, date '2020-01-01', interval '1' year, N'x', f(g => 5), arr[1:2] FROM t TABLESAMPLE system(5)",
	"SELECT CASE a WHEN 1 THEN 'x' ELSE 'y' END FROM a JOIN b ON a.x = b.y + 1 UNION ALL SELECT 'z' FETCH FIRST 3 ROWS ONLY",
}

func otherLiteral(r *rand.Rand, k LiteralKind) string {
	switch k {
	case LiteralComment:
		return "/* other */"
	case LiteralInt4:
		return fmt.Sprint(r.Int32())
	case LiteralInt8:
		return fmt.Sprint(1<<31 + 1 + r.Int64N(1<<40))
	case LiteralNumeric:
		return fmt.Sprintf("%d.%d", r.IntN(1000), r.IntN(1000))
	case LiteralBit:
		return []string{"B'1'", "b''", "B'0101'"}[r.IntN(3)]
	case LiteralHexBit:
		return []string{"X'1'", "x''", "X'abc'"}[r.IntN(3)]
	}
	return []string{"'v'", "''", "'it''s'", `E'\'\\'`, "$$d$$", "$q$x$$y$q$", "'a'\n'b'"}[r.IntN(7)]
}

// TestOneKeyOneTree replaces the literals of statements by others of their kinds: the key must stay, the literals must be
// where the parser has its constants, and the trees must be equal but for the constants' values.
func TestOneKeyOneTree(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var s, s2 Scanner
	for _, text := range statements {
		first := s.Scan([]byte(text))
		if !first.Cacheable {
			t.Fatalf("%s is not cacheable", text)
		}
		want := skeleton(t, text, first.Lits)
		for range 200 {
			var b strings.Builder
			at := 0
			for _, l := range first.Lits {
				with := otherLiteral(r, l.Kind)
				if text[l.Start-1] == 'N' {
					with = "'v'" // no other kind of string can follow N
				}
				b.WriteString(text[at:l.Start] + with)
				at = l.End
			}
			b.WriteString(text[at:])
			other := s2.Scan([]byte(b.String()))
			if !bytes.Equal(first.Key, other.Key) || first.Hash != other.Hash || len(first.Lits) != len(other.Lits) {
				t.Fatalf("keys differ:\n%s\n%s\n%s\n%s", text, shape(first.Key), b.String(), shape(other.Key))
			}
			if got := skeleton(t, b.String(), other.Lits); got != want {
				t.Fatalf("trees differ:\n%s\n%s\n%s\n%s", text, want, b.String(), got)
			}
		}
	}
}

// skeleton is a statement's tree with its locations given as tokens' ordinals and its lifted constants as their number.
func skeleton(t *testing.T, text string, lits []Literal) string {
	tree, err := pg_query.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	strip(t, tree.ProtoReflect(), text, lits)
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func strip(t *testing.T, m protoreflect.Message, text string, lits []Literal) {
	if c, ok := m.Interface().(*pg_query.A_Const); ok && !c.Isnull {
		if i, negated, ok := LiteralAt([]byte(text), lits, int(c.Location)); ok {
			c.Val, c.Location = nil, int32(-2-i)
			if negated {
				c.Location -= 1000
			}
			return
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.Name())
		switch {
		case strings.HasSuffix(name, "location") || strings.HasSuffix(name, "_len"):
			m.Clear(f)
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			for i := range v.List().Len() {
				strip(t, v.List().Get(i).Message(), text, lits)
			}
		case f.Kind() == protoreflect.MessageKind:
			strip(t, v.Message(), text, lits)
		}
		return true
	})
}

func TestLiteralAt(t *testing.T) {
	text := []byte("SELECT - /* c */ -(-5), 'x' - 6, 2147483648")
	var s Scanner
	lits := s.Scan(text).Lits
	for _, c := range []struct {
		at, index   int
		negated, ok bool
	}{{7, 1, true, true}, {17, 1, false, true}, {20, 1, false, true}, {24, 2, false, true}, {30, 3, false, true}, {33, 0, false, false}, {-1, 0, false, false}, {99, 0, false, false}} {
		index, negated, ok := LiteralAt(text, lits, c.at)
		if ok != c.ok || ok && (index != c.index || negated != c.negated) {
			t.Errorf("at %d: %d %v %v", c.at, index, negated, ok)
		}
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	var s Scanner
	for _, text := range statements {
		b := []byte(text)
		s.Scan(b)
		if n := testing.AllocsPerRun(100, func() { s.Scan(b) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
	s.Scan([]byte("SELECT " + strings.Repeat("1,", 10_000) + "1"))
	s.Release()
	if cap(s.key) > keepBytes || cap(s.lits) > keepBytes/32 {
		t.Errorf("Release left %d and %d", cap(s.key), cap(s.lits))
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range statements {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		var s Scanner
		got := s.Scan([]byte(text))
		// The literals put back into the key give the text.
		var b []byte
		rest, at := got.Key, 0
		for _, l := range got.Lits {
			n := l.Start - at
			b = append(append(b, rest[:n]...), text[l.Start:l.End]...)
			if k := LiteralKind(rest[n]); k > LiteralHexBit {
				t.Fatalf("%q: marker %d", text, k)
			}
			rest, at = rest[n+1:], l.End
			if v, ok := LiteralValue([]byte(text), l, nil); ok && !utf8.Valid(v) {
				t.Fatalf("%q: %q is not UTF-8", text, v)
			}
		}
		if b = append(b, rest...); string(b) != text {
			t.Fatalf("%q became %q", text, b)
		}
	})
}

func BenchmarkScanPoint(b *testing.B) {
	var s Scanner
	text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 12345;")
	b.ReportAllocs()
	for b.Loop() {
		s.Scan(text)
	}
}

func BenchmarkScanInsert(b *testing.B) {
	var s Scanner
	text := []byte("INSERT INTO docs (room, id, doc) VALUES ('room-17', 'id-12345', '{\"a\": 1, \"text\": \"some words\", \"list\": [1, 2, 3]}') ON CONFLICT (room, id) DO UPDATE SET doc = excluded.doc")
	b.ReportAllocs()
	for b.Loop() {
		s.Scan(text)
	}
}
