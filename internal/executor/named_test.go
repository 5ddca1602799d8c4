package executor

import (
	"bytes"
	"slices"
	"testing"

	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// keepers are two servers that answer "SELECT" with a row each, and fail what says so.
func keepers(t *testing.T) *fakeServers {
	one := int32(1)
	script := func(sql string) answer {
		a := answer{oids: sortColumns, rows: [][]byte{intRow(&one)}, tag: "SELECT 1"}
		if sql == "SELECT failing" {
			a = answer{oids: sortColumns, code: "22012"}
		}
		return a
	}
	return newServers(t, script, script)
}

// runAs scatters a text as prepared statement id and tells what both servers had to parse for it.
func runAs(t *testing.T, fs *fakeServers, g *Gang, id uint64, change func(*Scatter)) (parsed []string, rows int, failed bool) {
	t.Helper()
	s := scatterOver(t, g, len(fs.fakes))
	s.Statement = id
	if change != nil {
		change(s)
	}
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	failed, err := s.Run(t.Context(), w, nobody{})
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	g.Release()
	parsed = fs.fakes[0].parsed()
	if other := fs.fakes[1].parsed(); len(s.Sort) == 0 && !slices.Equal(parsed, other) {
		t.Errorf("one server parsed %q, the other one %q", parsed, other)
	}
	return parsed, len(values(t, out.Bytes())), failed
}

func TestServersKeepAScattersStatement(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		fs := keepers(t)
		g := newGang(t, fs)
		g.Snapshot = snapshot
		for i, want := range [][]string{{"pleiad_7"}, nil, nil} {
			if parsed, rows, failed := runAs(t, fs, g, 7, nil); !slices.Equal(parsed, want) || rows != 2 || failed {
				t.Errorf("execution %d: parsed %q, %d rows, failed %t; want %q", i, parsed, rows, failed, want)
			}
		}
		failing := func(s *Scatter) { s.Texts = []string{"SELECT failing"} }
		for i, want := range [][]string{{"pleiad_8"}, nil} { // it is there though its execution failed
			if parsed, _, failed := runAs(t, fs, g, 8, failing); !slices.Equal(parsed, want) || !failed {
				t.Errorf("failing execution %d: parsed %q, failed %t; want %q", i, parsed, failed, want)
			}
		}
	}
}

// TestStatementsKeptAreBounded runs more statements than a server may keep: those used of late stay, and one that has not been
// used for long makes room.
func TestStatementsKeptAreBounded(t *testing.T) {
	fs := keepers(t)
	g := newGang(t, fs)
	limit := uint64(fs.StatementLimit())
	for id := range limit {
		runAs(t, fs, g, 1+id, nil)
	}
	if parsed, rows, _ := runAs(t, fs, g, 100, nil); !slices.Equal(parsed, []string{""}) || rows != 2 {
		t.Errorf("one more statement: parsed %q, %d rows", parsed, rows)
	}
	for range 10 * limit {
		if parsed, _, _ := runAs(t, fs, g, 1, nil); parsed != nil {
			t.Fatalf("one that is kept: parsed %q", parsed)
		}
	}
	for i, want := range [][]string{{"pleiad_100"}, nil} {
		if parsed, rows, _ := runAs(t, fs, g, 100, nil); !slices.Equal(parsed, want) || rows != 2 {
			t.Errorf("behind many uses of another, execution %d: parsed %q, %d rows", i, parsed, rows)
		}
	}
	if parsed, _, _ := runAs(t, fs, g, 3, nil); parsed != nil {
		t.Errorf("another one that is kept: parsed %q", parsed)
	}
	if parsed, _, _ := runAs(t, fs, g, 2, nil); !slices.Equal(parsed, []string{"pleiad_2"}) {
		t.Errorf("the one that made room: parsed %q", parsed)
	}
}

// TestSortColumnsKnownAreNotAsked merges by columns that an execution before has learned.
func TestSortColumnsKnownAreNotAsked(t *testing.T) {
	fs := keepers(t)
	g := newGang(t, fs)
	var learned *SortColumns
	sorted := func(s *Scatter) {
		s.Sort, s.Known = []router.SortKey{{}}, learned
		if err := s.Learn(); err != nil {
			t.Fatal(err)
		}
		learned = s.Learned()
	}
	for i, want := range [][]string{{"", "pleiad_7"}, nil} { // the question is an unnamed statement
		parsed, rows, failed := runAs(t, fs, g, 7, sorted)
		if !slices.Equal(parsed, want) || rows != 2 || failed || learned.Visible != 1 || !slices.Equal(learned.Types, sortColumns[1:]) {
			t.Errorf("execution %d: parsed %q, %d rows, failed %t, learned %+v", i, parsed, rows, failed, learned)
		}
	}
}
