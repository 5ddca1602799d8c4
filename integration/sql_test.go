package integration

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestSQL runs every statement of testdata/sql on plain PostgreSQL and on pleiad, in every protocol mode.
// A statement is identical, refused (0A000 with a HINT, and listed with `--! refused`), or wrong.
func TestSQL(t *testing.T) {
	files, err := filepath.Glob("testdata/sql/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no SQL files: %v", err)
	}
	for _, file := range files {
		statements, err := readStatements(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".sql"), func(t *testing.T) {
			t.Parallel()
			r := newSQLRun(t)
			refused := map[int]bool{}
			for i := range statements {
				if r.judge(&statements[i], i) == verdictRefused && statements[i].since == 0 {
					refused[statements[i].line] = true
				}
			}
			t.Logf("%d statements: %d identical, %d refused, %d wrong", len(statements), r.identical, r.refused, r.wrong)
			if *update && suite.target.pleiad {
				if err := rewriteRefusals(file, refused); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

type verdict int

const (
	verdictIdentical verdict = iota
	verdictRefused
	verdictMoot // refused, where PostgreSQL has an error of its own: no answer is missing
	verdictWrong
)

type sqlRun struct {
	t      *testing.T
	actors [2]*actor // plain, target

	anyRefusal bool // refusals need not be listed
	strict     bool // a refusal is one also where PostgreSQL has an error of its own
	quiet      bool // errors that agree are not logged
	turned     bool // every statement runs in one mode, by turns

	identical, refused, wrong int

	refusal *pgconn.PgError // the last one
	agreed  *pgconn.PgError // the last error that both sides had
	fault   string          // the last wrong answer
}

func newSQLRun(t *testing.T) *sqlRun {
	var databases [2]string
	for i, s := range both() {
		databases[i] = s.newDatabase(t)
	}
	return newSQLRunIn(t, databases)
}

// newSQLRunIn works in databases that are there: the plain side's and the target's.
func newSQLRunIn(t *testing.T, databases [2]string) *sqlRun {
	r := &sqlRun{t: t}
	for i, s := range both() {
		a := &actor{side: s, types: map[uint32]serverType{}, tables: map[uint32]string{}}
		a.conn = s.low(t, databases[i], a.heard, "plan_cache_mode=force_generic_plan") // statements name their shard at once
		a.names = s.low(t, databases[i], nil)
		r.actors[i] = a
	}
	return r
}

// judge runs one statement in all its modes. What only reads runs in each mode as it is; what modifies
// rows runs for good in one mode, by turns, and before that in the others inside a block that is rolled
// back; all else runs once.
func (r *sqlRun) judge(st *statement, turn int) verdict {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	if st.load {
		return r.load(ctx, st)
	}
	final := modes[turn%len(modes)]
	if st.bound {
		final = modes[1+turn%2]
	}
	tries := modes
	switch {
	case st.reads() && r.inBlock():
		tries = []mode{final} // an error in the first mode would leave the others nothing to say
	case st.reads():
	case st.modifies():
		tries = nil
		if !r.inBlock() {
			for _, m := range modes {
				if m != final {
					tries = append(tries, m)
				}
			}
			tries = append(tries, final)
		} else {
			tries = []mode{final}
		}
	default:
		tries = []mode{viaSimple}
	}
	if st.bound && tries[0] == viaSimple {
		tries = tries[1:]
	}
	if r.turned {
		tries = []mode{final}
	}
	verdicts := map[verdict]int{}
	r.refusal, r.fault = nil, ""
	var wrong, refusedIn []string
	for i, m := range tries {
		undo := st.modifies() && i < len(tries)-1
		v, what := r.once(ctx, st, m, undo)
		verdicts[v]++
		if v == verdictRefused {
			refusedIn = append(refusedIn, string(m))
		}
		if what != "" {
			wrong = append(wrong, what)
		}
	}
	answered := len(tries) - verdicts[verdictMoot]
	switch {
	case verdicts[verdictWrong] > 0:
		r.wrong++
		r.fault = fmt.Sprintf("wrong in %d of %d modes, %s", len(wrong), len(tries), wrong[0])
		r.t.Errorf("line %d, %s", st.line, r.fault)
		return verdictWrong
	case verdicts[verdictRefused] > 0 && verdicts[verdictRefused] == answered:
		r.refused++
		if !r.listed(st) && !r.anyRefusal && (!*update || st.since > 0) {
			r.t.Errorf("line %d: refused but not listed so:\n  %s", st.line, brief(st.sql))
		}
		return verdictRefused
	case verdicts[verdictRefused] > 0:
		r.wrong++
		r.fault = fmt.Sprintf("refused in %s only (%s):\n  %s", strings.Join(refusedIn, ", "), r.refusal.Message, brief(st.sql))
		r.t.Errorf("line %d: %s", st.line, r.fault)
		return verdictWrong
	case r.strict && verdicts[verdictMoot] > 0:
		r.refused++
		return verdictRefused
	default:
		r.identical++
		if r.listed(st) && !r.anyRefusal && (!*update || st.since > 0) && r.actors[1].side.pleiad && answered > 0 {
			r.t.Errorf("line %d: listed as refused but answered:\n  %s", st.line, brief(st.sql))
		}
		return verdictIdentical
	}
}

// listed tells whether the statement's file says that pleiad refuses it on servers of this version.
func (r *sqlRun) listed(st *statement) bool { return st.refused && r.actors[0].major() >= st.since }

func (r *sqlRun) load(ctx context.Context, st *statement) verdict {
	target, query, ok := strings.Cut(strings.TrimPrefix(st.sql, "insert into "), " select ")
	if !ok {
		r.t.Fatalf("line %d: want insert into … select …", st.line)
	}
	for _, a := range r.actors {
		if err := loadRows(ctx, a.conn, target, "select "+query); err != nil {
			r.t.Errorf("line %d: %s: %v", st.line, a.side.name, err)
			r.wrong++
			return verdictWrong
		}
	}
	r.identical++
	return verdictIdentical
}

func (r *sqlRun) inBlock() bool { return r.actors[0].conn.TxStatus() != 'I' }

// once runs the statement in one mode on both sides, the judged one first: what it refuses must not
// change the plain one either.
func (r *sqlRun) once(ctx context.Context, st *statement, m mode, undo bool) (v verdict, wrong string) {
	plain, target := r.actors[0], r.actors[1]
	if undo {
		r.command(ctx, plain, "begin")
		r.command(ctx, target, "begin")
		defer r.command(ctx, plain, "rollback")
		defer r.command(ctx, target, "rollback")
	}
	got := target.run(ctx, st, m)
	if got.refusal() {
		return r.refusedOrSame(ctx, st, m, got, undo), ""
	}
	want := plain.run(ctx, st, m)
	if what := want.differs(got, st.ordered(), st.compare); what != "" {
		return verdictWrong, fmt.Sprintf("%s: %s differs:\n  %s\nPostgreSQL: %s\n%s: %s%s",
			m, what, brief(st.sql), want, target.side.name, got, unlike(want.rows, got.rows, st.ordered()))
	}
	if want.err != nil {
		r.agreed = want.err
	}
	if want.err != nil && !r.quiet {
		r.t.Logf("line %d, %s: both say %s: %s", st.line, m, want.err.Code, want.err.Message)
	}
	return verdictIdentical, ""
}

// refusedOrSame tells pleiad's refusal from PostgreSQL's own 0A000, for which the plain side must try,
// without lasting effect.
func (r *sqlRun) refusedOrSame(ctx context.Context, st *statement, m mode, got outcome, undo bool) verdict {
	plain := r.actors[0]
	guard := "begin"
	end := "rollback"
	if undo || r.inBlock() {
		guard, end = "savepoint judge", "rollback to judge"
	}
	r.command(ctx, plain, guard)
	want := plain.run(ctx, st, m)
	r.command(ctx, plain, end)
	if target := r.actors[1]; target.conn.TxStatus() == 'E' && plain.conn.TxStatus() == 'T' {
		plain.run(ctx, &statement{sql: "select 1/0"}, viaSimple) // its block must be a failed one too
	}
	if want.differs(got, st.ordered(), st.compare) == "" {
		return verdictIdentical
	}
	r.refusal = got.err
	if want.err != nil && want.err.Code != "25001" { // 25001: the guard's block is what PostgreSQL minds
		return verdictMoot
	}
	return verdictRefused
}

func (r *sqlRun) command(ctx context.Context, a *actor, sql string) {
	if err := a.conn.Exec(ctx, sql).Close(); err != nil {
		r.t.Errorf("%s: %s: %v", a.side.name, sql, err)
	}
}

// TestOutcomeDiffers proves that the comparison sees what it must see.
func TestOutcomeDiffers(t *testing.T) {
	base := func() outcome {
		return outcome{columns: []string{"a int4(-1)"}, rows: []string{`"1"`, `"2"`}, tag: "SELECT 2"}
	}
	for what, change := range map[string]func(*outcome){
		"":               func(o *outcome) {},
		"rows":           func(o *outcome) { o.rows[1] = `"3"` },
		"number of rows": func(o *outcome) { o.rows = o.rows[:1] },
		"columns":        func(o *outcome) { o.columns[0] = "a int8(-1)" },
		"tag":            func(o *outcome) { o.tag = "SELECT 3" },
		"notices":        func(o *outcome) { o.notices = []string{"NOTICE"} },
		"connection":     func(o *outcome) { o.broken = fmt.Errorf("gone") },
	} {
		changed := base()
		change(&changed)
		if got := base().differs(changed, true, compareAll); got != what {
			t.Errorf("differs() = %q, want %q", got, what)
		}
	}
	swapped := base()
	swapped.rows[0], swapped.rows[1] = swapped.rows[1], swapped.rows[0]
	if base().differs(swapped, true, compareAll) != "rows" || base().differs(swapped, false, compareAll) != "" {
		t.Error("the order of rows counts exactly when it is said")
	}
}
