package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// refusalsFile is the golden list of what pleiad refuses of testdata/shards: family, statement, SQLSTATE, message, HINT.
const refusalsFile = "testdata/shards/refused.txt"

// refusalsSince18 is what is refused beside that on servers of PostgreSQL 18; it is written by hand.
const refusalsSince18 = "testdata/shards/refused_since_18.txt"

// family is one file of testdata/shards and what came out.
type family struct {
	name       string
	statements []statement

	identical, refused, wrong int
	refusals                  []refusal
	faults                    []string
}

var userTypeOID = regexp.MustCompile(`type oid \d+`)

type refusal struct{ family, sql, code, message, hint string }

func (r refusal) String() string {
	r.message = userTypeOID.ReplaceAllString(r.message, "a user's type") // the number is chance
	return fmt.Sprintf("%s: %s\n%s: %s\nHINT: %s\n", r.family, strings.Join(strings.Fields(r.sql), " "), r.code, r.message, r.hint)
}

// TestDifferentialCorpus runs testdata/shards, a file a family, on plain PostgreSQL and on pleiad, in every protocol
// mode. Each file begins with the tables and rows of schema.sql. The test fails for each wrong answer, and when the
// refused statements are not those of the golden list. It prints a table by family.
func TestDifferentialCorpus(t *testing.T) {
	families := readFamilies(t)
	schema, err := readStatements("testdata/shards/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	var shared [2]string
	for i, s := range both() {
		shared[i] = s.newDatabase(t)
	}
	fillDatabase(t, newSQLRunIn(t, shared), schema)
	t.Run("family", func(t *testing.T) {
		for _, f := range families {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				var r *sqlRun
				if f.statements[0].shared {
					r = newSQLRunIn(t, shared)
				} else {
					r = newSQLRun(t)
					fillDatabase(t, r, schema)
				}
				f.run(t, r)
			})
		}
	})
	t.Log("\n" + corpusTable(families))
	compareRefusals(t, families)
}

func readFamilies(t *testing.T) []*family {
	files, err := filepath.Glob("testdata/shards/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no SQL files: %v", err)
	}
	var families []*family
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sql")
		if name == "schema" {
			continue
		}
		statements, err := readStatements(file)
		if err != nil {
			t.Fatal(err)
		}
		families = append(families, &family{name: name, statements: statements})
	}
	return families
}

// fillDatabase runs statements that must succeed on both sides.
func fillDatabase(t *testing.T, r *sqlRun, statements []statement) {
	t.Helper()
	r.quiet = true
	for i := range statements {
		if v := r.judge(&statements[i], 0); v != verdictIdentical {
			t.Fatalf("line %d of the schema: %s: %v", statements[i].line, brief(statements[i].sql), r.refusal)
		}
	}
}

func (f *family) run(t *testing.T, r *sqlRun) {
	r.anyRefusal, r.strict, r.quiet = true, true, true
	for i := range f.statements {
		st := &f.statements[i]
		v := r.judge(st, i)
		switch {
		case st.setup || st.load:
			if v != verdictIdentical {
				t.Errorf("line %d prepares what follows and did not succeed alike: %s", st.line, brief(st.sql))
			}
		case v == verdictRefused:
			f.refused++
			f.refusals = append(f.refusals, refusal{f.name, st.sql, r.refusal.Code, r.refusal.Message, r.refusal.Hint})
		case v == verdictWrong:
			f.wrong++
			f.faults = append(f.faults, fmt.Sprintf("%s.sql:%d: %s", f.name, st.line, r.fault))
		default:
			f.identical++
		}
	}
}

// corpusTable is what the run prints: a line a family, the totals, and each statement that is not identical.
func corpusTable(families []*family) string {
	var b, rest strings.Builder
	var sum family
	line := func(name string, f *family) {
		n := f.identical + f.refused + f.wrong
		fmt.Fprintf(&b, "%-24s %10d %9d %7d %8.1f %%\n", name, f.identical, f.refused, f.wrong, 100*float64(f.identical)/float64(max(n, 1)))
	}
	fmt.Fprintf(&b, "%-24s %10s %9s %7s %10s\n", "family", "identical", "refused", "WRONG", "identical")
	for _, f := range families {
		line(f.name, f)
		sum.identical += f.identical
		sum.refused += f.refused
		sum.wrong += f.wrong
		for _, r := range f.refusals {
			fmt.Fprintf(&rest, "refused  %s: %s\n         %s: %s\n", f.name, brief(r.sql), r.code, r.message)
		}
		for _, w := range f.faults {
			fmt.Fprintf(&rest, "WRONG    %s\n", w)
		}
	}
	line(fmt.Sprintf("all %d", sum.identical+sum.refused+sum.wrong), &sum)
	return b.String() + rest.String()
}

// compareRefusals holds what was refused to the golden list, or writes it.
func compareRefusals(t *testing.T, families []*family) {
	if !suite.target.pleiad {
		return
	}
	raw, err := os.ReadFile(refusalsFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	if c := suite.plain.conn(t, suite.plain.database); suite.plain.one(t, c, "select current_setting('server_version_num')::int >= 180000") == "t" {
		more, err := os.ReadFile(refusalsSince18)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(append(raw, "\n\n"...), more...)
	}
	listed := map[string]bool{}
	for block := range strings.SplitSeq(string(raw), "\n\n") {
		if block = strings.TrimSpace(block); block != "" && !strings.HasPrefix(block, "#") {
			listed[block] = true
		}
	}
	var out strings.Builder
	out.WriteString("# What pleiad refuses of the statements in this directory: family, statement, SQLSTATE, message and hint.\n" +
		"# `make golden` writes it; read the diff: a new entry is an answer lost.\n\n")
	for _, f := range families {
		for _, r := range f.refusals {
			out.WriteString(r.String() + "\n")
			entry := strings.TrimSpace(r.String())
			if r.hint == "" {
				t.Errorf("a refusal without a hint:\n%s", entry)
			}
			if !listed[entry] && !*update {
				t.Errorf("refused, and not in %s:\n%s", refusalsFile, entry)
			}
			delete(listed, entry)
		}
	}
	if *update {
		if err := os.WriteFile(refusalsFile, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for entry := range listed {
		t.Errorf("in %s, and refused no longer (or otherwise):\n%s", refusalsFile, entry)
	}
}
