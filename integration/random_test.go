package integration

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDifferentialRandom makes statements by chance over tables of every key type, from queries of one table to
// nested ones of all shapes and transactions of several writes, and compares each answer, and after each transaction the
// tables written to, with PostgreSQL's. PLEIAD_TEST_SEED and PLEIAD_TEST_STATEMENTS choose others and more. What fails
// is made smaller before it is shown; it belongs into testdata/shards then.
func TestDifferentialRandom(t *testing.T) {
	t.Parallel()
	seed, count := uint64(20261120), 800
	if s := os.Getenv("PLEIAD_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("PLEIAD_TEST_SEED: %v", err)
		}
	}
	if n := os.Getenv("PLEIAD_TEST_STATEMENTS"); n != "" {
		var err error
		if count, err = strconv.Atoi(n); err != nil {
			t.Fatalf("PLEIAD_TEST_STATEMENTS: %v", err)
		}
	}
	const workers = 2
	t.Logf("seed %d", seed)
	for w := range workers {
		t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
			t.Parallel()
			r := newRandomRun(t, seed, w)
			for unit := uint64(w); r.statements < count/workers && len(r.faults) < 10; unit += workers {
				r.unit(unit)
			}
			r.report()
		})
	}
}

// randomRun runs units: one query, or one transaction.
type randomRun struct {
	*sqlRun
	seed       uint64
	statements int
	tally      map[string]*[3]int // by shape: identical, refused, WRONG
	reasons    map[string]int     // of refusals
	errors     map[string]int     // that both sides had
	examples   map[string]string  // the shortest statement of each reason
	faults     []string
	last       string // the last statement that was refused
	slow       int
	dirty      int // transactions committed since the tables were filled
}

func newRandomRun(t *testing.T, seed uint64, worker int) *randomRun {
	r := &randomRun{sqlRun: newSQLRun(t), seed: seed, tally: map[string]*[3]int{}, reasons: map[string]int{}, errors: map[string]int{}, examples: map[string]string{}}
	r.quiet, r.anyRefusal = true, true
	var schema []statement
	add := func(sql string) { schema = append(schema, statement{sql: sql, line: len(schema) + 1}) }
	add(fmt.Sprint("set pleiad.shard_count = ", 6+3*worker))
	add("set statement_timeout = '5s'")
	for _, sql := range randomTypes {
		add(sql)
	}
	for _, table := range randomTables {
		add(table.ddl())
	}
	for _, v := range randomViews {
		add(v)
	}
	for _, sql := range randomRoutines {
		add(sql)
	}
	fillDatabase(t, r.sqlRun, schema)
	r.fill()
	return r
}

// fill gives all tables their first rows.
func (r *randomRun) fill() {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	r.dirty = 0
	for _, a := range r.actors { // what an interrupted unit has left
		r.command(ctx, a, "deallocate all")
		r.command(ctx, a, "close all")
	}
	for _, t := range randomTables {
		table, query, _ := strings.Cut(strings.TrimPrefix(t.load(), "insert into "), " ")
		for _, a := range r.actors {
			r.command(ctx, a, "truncate "+table)
			if err := loadRows(ctx, a.conn, table, query); err != nil {
				r.t.Fatalf("%s: %v", a.side.name, err)
			}
		}
	}
}

// randomUnit is what one tape says.
type randomUnit struct {
	statements []statement
	tables     []string // written to
	commit     bool
	alone      bool // each statement is its own transaction
	mode       mode
}

// newUnit reads a tape. number makes the ids of new rows unlike those of other units.
func newUnit(t *tape, number uint64) randomUnit {
	g := &author{tape: t, lastID: 1000*1000 + int(number%200_000)*10_000}
	u := randomUnit{mode: modes[t.below(len(modes))]}
	g.binds = u.mode != viaSimple
	if t.below(100) < 70 {
		if t.in(4) {
			u.statements = []statement{{sql: "copy (" + g.unbound(g.selection) + ") to stdout", multiset: true}}
			return u
		}
		u.add(g, g.selection())
		return u
	}
	u.alone = t.in(20)
	for i := range 1 + t.below(4) {
		g.step(&u, i+1)
	}
	u.commit = t.in(50)
	return u
}

func (u randomUnit) shape() string {
	sql := u.statements[0].sql
	switch {
	case u.alone:
		return "alone"
	case len(u.statements) > 1:
		return "transactions"
	case len(u.tables) > 0:
		verb, _, _ := strings.Cut(sql, " ")
		return verb
	}
	for _, s := range [][2]string{{"with ", "with (queries)"}, {" over (", "windows"}, {"distinct on", "distinct on"}, {" union ", "set operations"},
		{" except ", "set operations"}, {" intersect ", "set operations"}, {"group by", "group by"}, {"lateral ", "lateral"},
		{"(select", "subqueries"}, {" join ", "joins"}, {"select distinct", "distinct"}, {"limit", "limit"}} {
		if strings.Contains(sql, s[0]) {
			return s[1]
		}
	}
	return "one table"
}

// unit makes one from its number and the seed, runs it and counts it.
func (r *randomRun) unit(number uint64) {
	t := newTape(r.seed, number)
	u := newUnit(t, number)
	slow := r.slow
	v, what := r.try(u, u.commit || u.alone)
	r.statements += len(u.statements)
	n := r.tally[u.shape()]
	if n == nil {
		n = &[3]int{}
		r.tally[u.shape()] = n
	}
	switch {
	case r.slow > slow: // nothing was compared, and one side may have done what the other did not
		r.fill()
	case v == verdictRefused, v == verdictMoot:
		n[1]++
		r.countRefusal()
	case v == verdictWrong:
		n[2]++
		small := shrink(t.marks, 100, func(marks []uint32) bool {
			v, _ := r.try(newUnit(&tape{marks: marks}, number), false)
			return v == verdictWrong
		})
		again := newUnit(&tape{marks: small}, number)
		if v, smaller := r.try(again, false); v == verdictWrong {
			what = smaller
			u = again
		}
		var all []string
		for _, st := range u.statements {
			all = append(all, "    "+st.sql+";")
		}
		fault := fmt.Sprintf("seed %d, unit %d, %s:\n%s\n  %s", r.seed, number, u.mode, strings.Join(all, "\n"), what)
		r.faults = append(r.faults, fault)
		r.t.Error(fault)
		r.fill()
	default:
		n[0]++
	}
	if len(u.tables) > 0 && (u.commit || u.alone) {
		if r.dirty++; r.dirty >= 25 {
			r.fill()
		}
	}
}

// try runs a unit; what is wrong is told.
func (r *randomRun) try(u randomUnit, commit bool) (verdict, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*callLimit)
	defer cancel()
	r.refusal = nil
	slow := r.slow
	plain, target := r.actors[0], r.actors[1]
	if len(u.statements) == 1 && len(u.tables) == 0 {
		return r.one(ctx, u, &u.statements[0])
	}
	if u.alone {
		return r.tryAlone(ctx, u, commit)
	}
	r.command(ctx, plain, "begin")
	r.command(ctx, target, "begin")
	end := "rollback"
	defer func() {
		for _, a := range []*actor{plain, target} {
			r.command(ctx, a, end)
			r.command(ctx, a, "deallocate all") // an error may have come between PREPARE and DEALLOCATE
		}
	}()
	for i := range u.statements {
		if plain.conn.TxStatus() == 'E' && !strings.HasPrefix(u.statements[i].sql, "rollback to ") {
			continue
		}
		if v, what := r.one(ctx, u, &u.statements[i]); v != verdictIdentical || r.slow > slow {
			return v, what
		}
		if p, t := plain.conn.TxStatus(), target.conn.TxStatus(); p != t {
			return verdictWrong, fmt.Sprintf("after %s: status %c, PostgreSQL's is %c", brief(u.statements[i].sql), t, p)
		}
	}
	if plain.conn.TxStatus() == 'E' {
		return verdictIdentical, ""
	}
	if v, what := r.contents(ctx, u); v != verdictIdentical {
		return v, what
	}
	if commit {
		r.command(ctx, plain, "commit")
		r.command(ctx, target, "commit")
		if v, what := r.contents(ctx, u); v != verdictIdentical {
			return v, "after COMMIT: " + what
		}
	}
	return verdictIdentical, ""
}

// ofCursor matches the statements behind whose refusal there is no cursor.
var ofCursor = regexp.MustCompile("^(declare|fetch|move) ")

// tryAlone runs each statement as a transaction of its own; the attempts to make a unit smaller each begin with the
// first rows.
func (r *randomRun) tryAlone(ctx context.Context, u randomUnit, forGood bool) (verdict, string) {
	if !forGood {
		r.fill()
	}
	slow, worst := r.slow, verdictIdentical
	for i := range u.statements {
		v, what := r.one(ctx, u, &u.statements[i])
		if r.slow > slow {
			return verdictIdentical, ""
		}
		if v == verdictIdentical {
			v, what = r.contents(ctx, u)
		}
		if v == verdictWrong {
			return v, what
		}
		if worst = max(worst, v); v == verdictRefused && ofCursor.MatchString(u.statements[i].sql) {
			break // the cursor is of no use any longer
		}
	}
	return worst, ""
}

func (r *randomRun) one(ctx context.Context, u randomUnit, st *statement) (verdict, string) {
	st.compare = compareCode
	refused := r.refusal
	began := time.Now()
	v, what := r.once(ctx, st, u.mode, false)
	if r.refusal != refused {
		r.last = st.sql
	}
	if r.agreed != nil {
		reason := r.agreed.Code + " " + r.agreed.Message
		if r.errors[reason]++; r.errors[reason] == 1 || len(st.sql) < len(r.examples[reason]) {
			r.examples[reason] = st.sql
		}
		r.agreed = nil
	}
	if time.Since(began) > 4*time.Second {
		r.slow++ // over its time limit on one side at least
		return verdictIdentical, ""
	}
	return v, what
}

// contents compares the tables that were written to.
func (r *randomRun) contents(ctx context.Context, u randomUnit) (verdict, string) {
	for _, table := range u.tables {
		if v, what := r.once(ctx, &statement{sql: "select * from " + table}, viaSimple, false); v != verdictIdentical {
			return v, what
		}
		// The copies of a reference table are alike: each backend reads its own.
		if st := (statement{sql: "select t.id, r.* from g_int8 t cross join g_ref r where r.id < 1000 or t.id < 4"}); table == "g_ref" {
			if v, what := r.once(ctx, &st, viaSimple, false); v != verdictIdentical {
				return v, what
			}
		}
	}
	return verdictIdentical, ""
}

// countRefusal counts a refusal and keeps the shortest statement with its reason.
func (r *randomRun) countRefusal() {
	r.reasons[r.refusal.Message]++
	if old := r.examples[r.refusal.Message]; old == "" || len(old) > len(r.last) {
		r.examples[r.refusal.Message] = r.last
	}
}

func (r *randomRun) report() {
	var b strings.Builder
	var sum [3]int
	fmt.Fprintf(&b, "\n%-20s %10s %9s %7s\n", "shape", "identical", "refused", "WRONG")
	shapes := make([]string, 0, len(r.tally))
	for s := range r.tally {
		shapes = append(shapes, s)
	}
	slices.Sort(shapes)
	for _, s := range shapes {
		n := r.tally[s]
		fmt.Fprintf(&b, "%-20s %10d %9d %7d\n", s, n[0], n[1], n[2])
		for i := range sum {
			sum[i] += n[i]
		}
	}
	fmt.Fprintf(&b, "%-20s %10d %9d %7d   (%d statements, %d over their time limit)\n", "all", sum[0], sum[1], sum[2], r.statements, r.slow)
	for reason, n := range r.reasons {
		fmt.Fprintf(&b, "refused %5d: %s\n    %s\n", n, reason, r.examples[reason])
	}
	for reason, n := range r.errors {
		fmt.Fprintf(&b, "error   %5d: %s\n    %s\n", n, reason, r.examples[reason])
	}
	r.t.Log(b.String())
}
