package sqlparse

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// folded writes a key of Fold readable: ‹…› for the rest of a list, with the forms of its columns.
func folded(key []byte) string {
	return strings.ReplaceAll(shape(key), "\x08", "…")
}

func TestFoldedKeys(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"SELECT * FROM t WHERE k IN (1, 2, 3) AND v = 4", "SELECT * FROM t WHERE k IN (‹4›…) AND v = ‹4›"},
		{"SELECT * FROM t WHERE k in(1,-2 , - 3 )", "SELECT * FROM t WHERE k in(‹4›… )"},
		{"SELECT * FROM t WHERE k IN (-1, 2)", "SELECT * FROM t WHERE k IN (-‹4›…)"},
		{"SELECT * FROM t WHERE k NOT IN ('a', E'b', $$c$$)", "SELECT * FROM t WHERE k NOT IN (‹s›…)"},
		{"SELECT * FROM t WHERE k IN ('a'::uuid, 'b'::uuid)", "SELECT * FROM t WHERE k IN (‹s›::uuid…)"},
		{"SELECT * FROM t WHERE k IN (1.5, 2e3)", "SELECT * FROM t WHERE k IN (‹n›…)"},
		{"SELECT * FROM t WHERE k IN (5000000000, 6000000000)", "SELECT * FROM t WHERE k IN (‹8›…)"},
		{"SELECT * FROM t WHERE k = ANY (ARRAY[1, -2, 3]) AND v = 4", "SELECT * FROM t WHERE k = ANY (ARRAY[‹4›…]) AND v = ‹4›"},
		{"SELECT array ['a'::uuid,'b'::uuid]::uuid[], 5", "SELECT array [‹s›::uuid…]::uuid[], ‹4›"},
		{"SELECT ARRAY[1], ARRAY[[1, 2], [3, 4]], ARRAY(SELECT 1), x[1:2]", "SELECT ARRAY[‹4›], ARRAY[[‹4›, ‹4›], [‹4›, ‹4›]], ARRAY(SELECT ‹4›), x[‹4›:‹4›]"},
		{"SELECT ARRAY[1, NULL], ARRAY[1, 2), array", "SELECT ARRAY[‹4›, NULL], ARRAY[‹4›, ‹4›), array"},
		// Lists that stay as they are.
		{"SELECT * FROM t WHERE k IN (1)", "SELECT * FROM t WHERE k IN (‹4›)"},
		{"SELECT * FROM t WHERE k IN (1, NULL)", "SELECT * FROM t WHERE k IN (‹4›, NULL)"},
		{"SELECT * FROM t WHERE k IN (1, 5000000000)", "SELECT * FROM t WHERE k IN (‹4›, ‹8›)"},
		{"SELECT * FROM t WHERE k IN (1, '2')", "SELECT * FROM t WHERE k IN (‹4›, ‹s›)"},
		{"SELECT * FROM t WHERE k IN (1, -'2')", "SELECT * FROM t WHERE k IN (‹4›, -‹s›)"},
		{"SELECT * FROM t WHERE k IN (1, - -2)", "SELECT * FROM t WHERE k IN (‹4›, - -‹4›)"},
		{"SELECT * FROM t WHERE k IN (1, +2)", "SELECT * FROM t WHERE k IN (‹4›, +‹4›)"},
		{"SELECT * FROM t WHERE k IN (1, 0x2)", "SELECT * FROM t WHERE k IN (‹4›, ‹4›)"},
		{"SELECT * FROM t WHERE k IN (1, 2 + 3, 4)", "SELECT * FROM t WHERE k IN (‹4›, ‹4› + ‹4›, ‹4›)"},
		{"SELECT * FROM t WHERE k IN (1, $1)", "SELECT * FROM t WHERE k IN (‹4›, $1)"},
		{"SELECT * FROM t WHERE k IN (1, /* c */ 2)", "SELECT * FROM t WHERE k IN (‹4›, ‹c› ‹4›)"},
		{"SELECT * FROM t WHERE k IN (N'a', N'b')", "SELECT * FROM t WHERE k IN (N‹s›, N‹s›)"},
		{"SELECT * FROM t WHERE k IN ('a', U&'b')", "SELECT * FROM t WHERE k IN (‹s›, U&'b')"},
		{"SELECT * FROM t WHERE k IN (B'0', B'1')", "SELECT * FROM t WHERE k IN (‹b›, ‹b›)"},
		{"SELECT * FROM t WHERE k IN ('a'::uuid, 'b')", "SELECT * FROM t WHERE k IN (‹s›::uuid, ‹s›)"},
		{"SELECT * FROM t WHERE k IN ('a'::text, 'b'::uuid)", "SELECT * FROM t WHERE k IN (‹s›::text, ‹s›::uuid)"},
		{"SELECT * FROM t WHERE k IN ('a'::text[], 'b'::text[])", "SELECT * FROM t WHERE k IN (‹s›::text[], ‹s›::text[])"},
		{"SELECT * FROM t WHERE k IN ('a'::varchar(3), 'b'::varchar(3))", "SELECT * FROM t WHERE k IN (‹s›::varchar(3), ‹s›::varchar(3))"},
		{"SELECT * FROM t WHERE (a, b) IN ((1, 2), (3, 4))", "SELECT * FROM t WHERE (a, b) IN ((‹4›, ‹4›), (‹4›, ‹4›))"},
		{"SELECT x.in (1, 2), f(1, 2)", "SELECT x.in (‹4›, ‹4›), f(‹4›, ‹4›)"},
		{"SELECT 1 FROM t ORDER BY k IN (1, 2)", "SELECT ‹4› FROM t ORDER BY k IN (1, 2)"},
		{"VALUES (1), (2)", "VALUES (‹4›), (‹4›)"},
		{"SELECT * FROM (VALUES (1), (2)) v", "SELECT * FROM (VALUES (‹4›), (‹4›)) v"},
		// Rows, with the form of each column behind the first one.
		{"INSERT INTO t VALUES (1, 'x'), (2, 'y'), (-3, E'z')", "INSERT INTO t VALUES (‹4›, ‹s›)…b…c…"},
		{"INSERT INTO t VALUES (1, NULL, true) , (NULL, 'y', NULL)  RETURNING a", "INSERT INTO t VALUES (‹4›, NULL, true)…a…c…a…  RETURNING a"},
		{"INSERT INTO t VALUES ('a'::date, 1), ('b'::date, 2.5), (NULL, 9999999999)", "INSERT INTO t VALUES (‹s›::date, ‹4›)…c::date…b…"},
		{"INSERT INTO t (a) VALUES (1),(2) /* tag */", "INSERT INTO t (a) VALUES (‹4›)…b… ‹c›"},
		{"INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (‹4›)"},
		{"INSERT INTO t VALUES (1, 'x'), (2, 3)", "INSERT INTO t VALUES (‹4›, ‹s›)…b…b…"},
		{"INSERT INTO t VALUES (1), ('x'), (2)", "INSERT INTO t VALUES (‹4›), (‹s›), (‹4›)"},
		{"INSERT INTO t VALUES (1), (2, 3)", "INSERT INTO t VALUES (‹4›), (‹4›, ‹4›)"},
		{"INSERT INTO t VALUES (1), (DEFAULT)", "INSERT INTO t VALUES (‹4›), (DEFAULT)"},
		{"INSERT INTO t VALUES (1), (2),", "INSERT INTO t VALUES (‹4›), (‹4›),"},
		{"INSERT INTO t VALUES ('a'::date), ('b')", "INSERT INTO t VALUES (‹s›::date)…c…"},
		{"INSERT INTO t VALUES (1), ('a'::date), ('b'::text)", "INSERT INTO t VALUES (‹4›), (‹s›::date), (‹s›::text)"},
		{"INSERT INTO t SELECT 1 WHERE 2 IN (3, 4)", "INSERT INTO t SELECT ‹4› WHERE ‹4› IN (‹4›…)"},
	} {
		var s, plain Scanner
		got := s.Fold([]byte(c.text))
		if folded(got.Key) != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, folded(got.Key), c.want)
		}
		checkFold(t, []byte(c.text), got, plain.Scan([]byte(c.text)))
	}
}

// checkFold holds what is true of every folded text.
func checkFold(t *testing.T, text []byte, got, plain Scanned) {
	t.Helper()
	if len(got.Lits) != len(plain.Lits) || got.Cacheable != plain.Cacheable || got.MaxParam != plain.MaxParam {
		t.Errorf("%s: folding changes what is seen: %+v, not %+v", text, got, plain)
	}
	for i := range got.Lits {
		if got.Lits[i] != plain.Lits[i] {
			t.Errorf("%s: literal %d is %+v, not %+v", text, i, got.Lits[i], plain.Lits[i])
		}
	}
	if len(got.Folds) == 0 {
		if !bytes.Equal(got.Key, plain.Key) || got.Hash != plain.Hash {
			t.Errorf("%s: key %q without lists, not %q", text, got.Key, plain.Key)
		}
		return
	}
	for _, f := range got.Folds {
		if len(f.Rows) < 2 || len(f.Cells) != f.Width*len(f.Rows) {
			t.Fatalf("%s: %d cells in %d rows of %d", text, len(f.Cells), len(f.Rows), f.Width)
		}
		for i, c := range f.Cells {
			row := f.Rows[i/f.Width]
			if c.Start < row.Start || c.End > row.End || c.Start >= c.End {
				t.Errorf("%s: cell %d at %d to %d", text, i, c.Start, c.End)
			}
			if c.Literal >= 0 && (got.Lits[c.Literal].Start < c.Start || got.Lits[c.Literal].End > c.End) {
				t.Errorf("%s: cell %d is not its literal", text, i)
			}
		}
	}
	var s Scanner
	short := got.Shortest(text)
	again := s.Fold(short)
	if !bytes.Equal(again.Key, got.Key) || again.Hash != got.Hash {
		t.Errorf("%s: the shortest text %s has key %q, not %q", text, short, again.Key, got.Key)
	}
	for _, f := range again.Folds {
		if len(f.Rows) != 2 {
			t.Errorf("%s: %s has a list of %d", text, short, len(f.Rows))
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range statements {
		f.Add(s)
	}
	f.Add("INSERT INTO t VALUES (1,NULL),(-2,'a'::text),(NULL,NULL) ON CONFLICT (a) WHERE a IN (1,2) DO UPDATE SET b = 1")
	f.Add("SELECT a IN (-1,2,- 3), b IN ('x'::uuid , 'y'::uuid) FROM t WHERE c NOT IN (1.5,2.)")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		var s, plain Scanner
		checkFold(t, []byte(text), s.Fold([]byte(text)), plain.Scan([]byte(text)))
	})
}

// Two texts with one folded key are, cut to two elements a list, one statement but for their constants.
func TestOneFoldedKeyOneTree(t *testing.T) {
	for _, texts := range [][2]string{
		{"SELECT * FROM t WHERE k IN (1, -2) AND v = 'x'", "SELECT * FROM t WHERE k IN (7, - 5, 9, 4) AND v = 'long'"},
		{"INSERT INTO t VALUES (1, 'a', NULL), (2, 'q', 'x'::date)", "INSERT INTO t VALUES (3, 'b', NULL), (NULL, NULL, NULL),\n(5, 'b', 'y'::date), (6, E'\\'', 'z'::date)"},
	} {
		var a, b Scanner
		x, y := a.Fold([]byte(texts[0])), b.Fold([]byte(texts[1]))
		if !bytes.Equal(x.Key, y.Key) {
			t.Errorf("%q is not the key %q", x.Key, y.Key)
		}
		shortX, shortY := string(x.Shortest([]byte(texts[0]))), string(y.Shortest([]byte(texts[1])))
		if got, want := skeleton(t, shortY, b.Fold([]byte(shortY)).Lits), skeleton(t, shortX, a.Fold([]byte(shortX)).Lits); got != want {
			t.Errorf("trees differ:\n%s\n%s\n%s\n%s", shortX, want, shortY, got)
		}
	}
}

// What is too long to fold is left as it is, for the guard to judge.
func TestLongListsAreNotFolded(t *testing.T) {
	var s Scanner
	for text, want := range map[string]int{
		"SELECT a IN (" + strings.Repeat("1,", maxFolded-1) + "1)":                       1,
		"SELECT a IN (" + strings.Repeat("1,", maxFolded) + "1)":                         0,
		"INSERT INTO t VALUES " + strings.Repeat("(1,2),", maxFoldedCells/2-1) + "(1,2)": 1,
		"INSERT INTO t VALUES " + strings.Repeat("(1,2),", maxFoldedCells/2) + "(1,2)":   0,
	} {
		if got := s.Fold([]byte(text)); len(got.Folds) != want {
			t.Errorf("%.30s… of %d bytes: %d lists", text, len(text), len(got.Folds))
		}
	}
}

func TestFoldDoesNotAllocate(t *testing.T) {
	var s Scanner
	for _, text := range append([]string{"INSERT INTO t VALUES (1, NULL, 'x'), (2, 'y'::text, 'z')", "SELECT 1 WHERE a IN (1, 2, 3)"}, statements...) {
		b := []byte(text)
		s.Fold(b)
		if n := testing.AllocsPerRun(100, func() { s.Fold(b) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
	s.Fold([]byte("SELECT a IN (" + strings.Repeat("1,", 9000) + "1)"))
	s.Release()
	if cap(s.folder.cells) > keepBytes/32 {
		t.Errorf("Release left %d", cap(s.folder.cells))
	}
}

func BenchmarkFoldInsertRows(b *testing.B) {
	var s Scanner
	text := []byte("INSERT INTO docs (room, id, doc) VALUES " + strings.Repeat("('room-17', 12345, '{\"a\": 1}'), ", 99) + "('room-18', 12346, NULL)")
	b.ReportAllocs()
	for b.Loop() {
		s.Fold(text)
	}
}
