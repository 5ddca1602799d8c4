package sqlparse

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	pg_query "github.com/pganalyze/pg_query_go/v6"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// deepShapes make a statement of n repetitions of what makes the parser recurse, or might.
var deepShapes = map[string]func(n int) string{
	"plus":       around("SELECT 1", "+1", "", ""),
	"and":        around("SELECT a", " AND a", "", ""),
	"minus":      around("SELECT ", "- ", "a", ""),
	"not":        around("SELECT ", "NOT ", "a", ""),
	"paren":      around("SELECT ", "(", "1", ")"),
	"call":       around("SELECT ", "f(", "1", ")"),
	"subselect":  around("SELECT ", "(SELECT ", "1", ")"),
	"from":       around("", "SELECT * FROM (", "SELECT 1", ") x"),
	"union":      around("SELECT 1", " UNION ALL SELECT 1", "", ""),
	"union tree": around("", "SELECT 1 UNION (", "SELECT 1", ")"),
	"names":      around("SELECT a", ".b", "", ""),
	"cast":       around("SELECT x", "::int", "", ""),
	"index":      around("SELECT x", "[1]", "", ""),
	"index tree": around("SELECT ", "x[", "1", "]"),
	"array":      around("SELECT ARRAY", "[", "1", "]"),
	"join":       around("SELECT 1 FROM a", " CROSS JOIN b", "", ""),
	"join tree":  around("SELECT 1 FROM a", " JOIN b", "", " ON true"),
	"case":       around("SELECT ", "CASE WHEN a THEN ", "1", " END"),
	"case else":  around("SELECT ", "CASE WHEN a THEN 1 ELSE ", "1", " END"),
	"is null":    around("SELECT a", " IS NULL", "", ""),
	"collate":    around("SELECT a", " COLLATE b", "", ""),
	"time zone":  around("SELECT a", " AT TIME ZONE b", "", ""),
	"with":       around("", "WITH x AS (", "SELECT 1", ") SELECT 1"),
	"operator":   around("SELECT 1", " OPERATOR(+) 1", "", ""),
	"in":         around("SELECT ", "a IN (", "a", ")"),
	"exists":     around("SELECT ", "EXISTS (SELECT ", "a", ")"),
	"row":        around("SELECT ROW", "(1,", "1", ")"),
	"lateral":    around("SELECT 1 FROM ", "LATERAL (SELECT 1 FROM ", "a", ") x"),
	"grouping":   around("SELECT 1 GROUP BY ", "GROUPING SETS (", "a", ")"),
	"json":       around("SELECT ", "JSON_OBJECT('a': ", "1", ")"),
	"window":     around("SELECT ", "sum(1) OVER (ORDER BY ", "1", ")"),
	"between":    around("SELECT ", "(a BETWEEN b AND ", "1", ")"),
	"order":      around("SELECT 1 ORDER BY ", "(SELECT 1 ORDER BY ", "1", ")"),
	"not case":   around("SELECT ", "NOT CASE WHEN a AND ", "1", " THEN b END"),
	"filter":     around("SELECT ", "count(*) FILTER (WHERE ", "a", ")"),
	"insert":     around("", "WITH x AS (INSERT INTO a ", "SELECT 1", ") SELECT 1"),
	"rows from":  around("SELECT 1 FROM ", "ROWS FROM (f((SELECT 1 FROM ", "a", ")))"),
}

func around(head, each, middle, close string) func(n int) string {
	return func(n int) string {
		return head + strings.Repeat(each, n) + middle + strings.Repeat(close, n)
	}
}

// deepestAllowed finds the largest n whose text Guard lets pass, up to 20,000.
func deepestAllowed(shape func(n int) string) int {
	lo, hi := 0, 20000
	for lo < hi {
		n := (lo + hi + 1) / 2
		if Guard([]byte(shape(n))) == nil {
			lo = n
		} else {
			hi = n - 1
		}
	}
	return lo
}

const smallStackVariable = "SQLPARSE_SMALL_STACK"

// TestGuardKeepsParserAlive parses and deparses the deepest texts that Guard lets pass in a process with a 1 MiB
// stack, an eighth of the usual.
func TestGuardKeepsParserAlive(t *testing.T) {
	if os.Getenv(smallStackVariable) != "" {
		for name, shape := range deepShapes {
			n := deepestAllowed(shape)
			os.Stderr.WriteString(name + "\n")
			tree, err := pg_query.Parse(shape(n))
			if err != nil {
				continue // the grammar's own stack is bounded, and says so
			}
			if _, err := pg_query.Deparse(tree); err != nil {
				t.Errorf("deparse %s: %v", name, err)
			}
		}
		return
	}
	cmd := exec.Command("sh", "-c", `ulimit -c 0; ulimit -s 1024; exec "$0" -test.run '^TestGuardKeepsParserAlive$'`, os.Args[0])
	cmd.Env = append(os.Environ(), smallStackVariable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the parser died: %v; the start of its output:\n%.3000s", err, out)
	}
}

func TestGuardBounds(t *testing.T) {
	for name, want := range map[string]struct{ least, most int }{
		"plus": {300, 400}, "subselect": {95, 100}, "call": {150, 200}, "union": {300, 400}, "join": {300, 400}, "and": {20000, 20000},
		"index": {20000, 20000}, "names": {20000, 20000},
	} {
		if n := deepestAllowed(deepShapes[name]); n < want.least || n > want.most {
			t.Errorf("%s: up to %d pass, want %d to %d", name, n, want.least, want.most)
		}
	}
}

// TestGuardRefuses has texts so long that whatever takes more than one pass for each byte would not end within the tests' time.
func TestGuardRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, code, message string }{
		{"parentheses", strings.Repeat("(", 10<<20), pgerr.StatementTooComplex, "stack depth limit exceeded"},
		{"sum", "SELECT 1" + strings.Repeat("+1", 100_000), pgerr.StatementTooComplex, "stack depth limit exceeded"},
		{"comments", strings.Repeat("/* ", 1<<20), pgerr.StatementTooComplex, "comments are nested too deeply"},
		{"signs", "SELECT 1" + strings.Repeat("+-", 1<<20), pgerr.StatementTooComplex, "statement is too complex"},
		{"flat comments", "/*" + strings.Repeat("/**/", 1<<20), pgerr.StatementTooComplex, "statement is too complex"},
		{"tokens", "SELECT 1" + strings.Repeat(",1", 2<<20), pgerr.StatementTooComplex, "statement is too complex"},
		{"zero byte", "SELECT '\x00'", "22021", `invalid byte sequence for encoding "UTF8": 0x00`},
		{"stray byte", "SELECT '\xff'", "22021", `invalid byte sequence for encoding "UTF8": 0xff`},
		{"cut sequence", "SELECT '\xe2\x82'", "22021", `invalid byte sequence for encoding "UTF8": 0xe2 0x82 0x27`},
		{"surrogate", "\xed\xa0\x80", "22021", `invalid byte sequence for encoding "UTF8": 0xed 0xa0 0x80`},
	} {
		var e *pgerr.Error
		if err := Guard([]byte(c.text)); !errors.As(err, &e) || e.Code != c.code || e.Message != c.message {
			t.Errorf("%s: got %v", c.name, err)
		}
		var s Scanner
		s.Scan([]byte(c.text))
		Split(nil, []byte(c.text))
	}
}

func TestGuardLength(t *testing.T) {
	var e *pgerr.Error
	if err := GuardLength([]byte("12345"), 4); !errors.As(err, &e) || e.Code != pgerr.ProgramLimitExceeded {
		t.Errorf("got %v", err)
	}
	if err := GuardLength([]byte("1234"), 4); err != nil {
		t.Error(err)
	}
}

func TestGuardPasses(t *testing.T) {
	for _, text := range []string{
		"", "SELECT 1", "SELECT 'unterminated", ")))", "END END END", "SELECT a FROM t WHERE a IN (1" + strings.Repeat(",1", 100_000) + ")",
		"INSERT INTO t VALUES (1, -2)" + strings.Repeat(",(1, -2)", 100_000),
		"SELECT a FROM t WHERE a = 1 AND b BETWEEN 1 AND 2" + strings.Repeat(" OR a = 1 AND b BETWEEN 3 AND 4", 10_000),
		"/**********************************************************/ SELECT 1 -- ==================================",
	} {
		if err := Guard([]byte(text)); err != nil {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}
