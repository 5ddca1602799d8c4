package integration

import (
	"context"
	"fmt"
	"os"
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
	faults     []string
	slow       int
	dirty      int // transactions committed since the tables were filled
}

func newRandomRun(t *testing.T, seed uint64, worker int) *randomRun {
	r := &randomRun{sqlRun: newSQLRun(t), seed: seed, tally: map[string]*[3]int{}, reasons: map[string]int{}}
	r.quiet, r.anyRefusal = true, true
	var schema []statement
	add := func(sql string) { schema = append(schema, statement{sql: sql, line: len(schema) + 1}) }
	add(fmt.Sprint("set pleiad.shard_count = ", 6+3*worker))
	add("set statement_timeout = '5s'")
	for _, table := range randomTables {
		add(table.ddl())
	}
	for _, v := range randomViews {
		add(v)
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
	mode       mode
}

// newUnit reads a tape. number makes the ids of new rows unlike those of other units.
func newUnit(t *tape, number uint64) randomUnit {
	g := &author{tape: t, lastID: 1000*1000 + int(number%200_000)*10_000}
	u := randomUnit{mode: modes[t.below(len(modes))]}
	if t.below(100) < 70 {
		g.binds = u.mode != viaSimple
		u.statements = []statement{{sql: g.selection()}}
		u.statements[0].params, u.statements[0].bound = g.params, len(g.params) > 0
		return u
	}
	for range 1 + t.below(4) {
		if t.in(20) {
			u.statements = append(u.statements, statement{sql: g.selection()})
			g.ctes, g.nesting = nil, 0
			continue
		}
		sql, table := g.write()
		u.statements = append(u.statements, statement{sql: sql})
		if !slices.Contains(u.tables, table) {
			u.tables = append(u.tables, table)
		}
	}
	u.commit = t.in(50)
	return u
}

func (u randomUnit) shape() string {
	sql := u.statements[0].sql
	switch {
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
	v, what := r.try(u, u.commit)
	r.statements += len(u.statements)
	n := r.tally[u.shape()]
	if n == nil {
		n = &[3]int{}
		r.tally[u.shape()] = n
	}
	switch {
	case r.slow > slow: // nothing was compared
	case v == verdictRefused, v == verdictMoot:
		n[1]++
		r.reasons[r.refusal.Message]++
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
	if len(u.tables) > 0 && u.commit {
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
	plain, target := r.actors[0], r.actors[1]
	if len(u.tables) == 0 {
		return r.one(ctx, u, &u.statements[0])
	}
	r.command(ctx, plain, "begin")
	r.command(ctx, target, "begin")
	end := "rollback"
	defer func() {
		r.command(ctx, plain, end)
		r.command(ctx, target, end)
	}()
	for i := range u.statements {
		if v, what := r.one(ctx, u, &u.statements[i]); v != verdictIdentical {
			return v, what
		}
		if plain.conn.TxStatus() == 'E' {
			return verdictIdentical, ""
		}
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

func (r *randomRun) one(ctx context.Context, u randomUnit, st *statement) (verdict, string) {
	st.compare = compareCode
	began := time.Now()
	v, what := r.once(ctx, st, u.mode, false)
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
	}
	return verdictIdentical, ""
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
		fmt.Fprintf(&b, "refused %5d: %s\n", n, reason)
	}
	r.t.Log(b.String())
}
