package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// LockPick is how a locking query of tables whose rows no backend has beside one another runs where it passes over what others
// have locked, or stops at a LIMIT. As PostgreSQL does, it goes through the joined rows in order and locks the tables' rows that
// each is made of. Those that it could lock are read again, which tells whether they still are what was asked for.
type LockPick struct {
	// Query is the statement without its locks and its LIMIT, with the primary keys of all tables behind its outputs.
	Query string
	// Again gives the same columns of the rows that certain rows are made of: an array parameter for each column of a lock's
	// key, lock by lock.
	Again string
	// Keys is the number of key columns.
	Keys   int
	Locks  []PickLock
	Counts LockCounts
}

// PickLock locks rows of one table and gives the keys of those that are locked now.
type PickLock struct {
	RowLock
	Key   int  // the first of its columns among the key columns
	Skips bool // SKIP LOCKED
}

// lockPick plans a locking query that neither lockRows nor lockJoin can.
func (p *planner) lockPick(a *analysis, q *query) *LockPick {
	s := q.sel
	switch {
	case !a.locking || a.err != nil || s == nil || p.from > 0 || len(s.LockingClause) == 0 || s.WithClause != nil || len(q.rels) == 0,
		q.grouped || q.aggregates || len(q.windows) > 0 || len(q.arms) > 0 || len(s.DistinctClause) > 0 || q.targetFacts&fnSRF != 0,
		s.LimitOption == sqlparse.LimitWithTies || q.open || a.tableOID || a.setConfig > 0,
		a.fn&(fnNextval|fnCurrval|fnPins|fnWrites|fnUserVol|fnUnknown) != 0, // it runs more than once
		!steady(q):
		return nil
	}
	out := &LockPick{}
	var ok bool
	if out.Counts, ok = p.lockCounts(a, s); !ok || len(q.scope.ns.items) != len(q.rels) {
		return nil
	}
	b := &pickBuilder{out: out, first: p.t.NParams, keys: map[*rel]int{}, targets: slices.Clone(s.TargetList)}
	for _, it := range q.scope.ns.items {
		if it.rel == nil || !b.key(it.name, it.rel) {
			return nil
		}
	}
	for _, n := range s.LockingClause {
		l := n.GetLockingClause()
		for _, it := range q.scope.ns.items {
			named := slices.ContainsFunc(l.LockedRels, func(rv sqlparse.Node) bool { return rv.GetRangeVar().GetRelname() == it.name })
			if (named || len(l.LockedRels) == 0) && !b.lock(l, it.name, it.rel) {
				return nil
			}
		}
	}
	if len(out.Locks) == 0 || !b.texts(s) {
		return nil
	}
	p.t.Cacheable = false
	if in := Plan(out.Query, *p.env); in.Kind != KindShards || in.Scatter == nil && in.Gather == nil {
		return nil
	}
	return out
}

// steady reports whether a query's conditions, and its subqueries, give the same when they are evaluated again.
func steady(top *query) bool {
	ok := true
	top.walk(func(q *query) {
		ok = ok && q.whereFacts&fnOnce == 0 && (q == top || q.targetFacts&fnOnce == 0) && !q.sample
	})
	return ok
}

type pickBuilder struct {
	out     *LockPick
	first   int // parameters of the statement
	keys    map[*rel]int
	targets []sqlparse.Node
	arrays  int
	where   []string
}

// key lets the query give a relation's primary key.
func (b *pickBuilder) key(name string, r *rel) bool {
	if !r.keyed() || r.place.sampled {
		return false
	}
	b.keys[r] = b.out.Keys
	for _, k := range r.table.PrimKey {
		b.targets = append(b.targets, sqlparse.Output(sqlparse.Column(name, r.table.Columns[k].Name)))
		b.out.Keys++
	}
	return true
}

// lock locks a relation's rows.
func (b *pickBuilder) lock(l *sqlparse.LockingClause, name string, r *rel) bool {
	t := r.table
	if r.nullable || t.HasRules {
		return false
	}
	var names []string
	for _, k := range t.PrimKey {
		column := quoteIdent(t.Columns[k].Name)
		names = append(names, lockedRow+column)
		b.arrays++
		b.where = append(b.where, quoteIdent(name)+"."+column+equals+"ANY ($"+itoa(b.first+b.arrays)+")")
	}
	lock := PickLock{RowLock: r.lock(strings.Join(names, ", "), l), Key: b.keys[r], Skips: sqlparse.SkipsLocked(l)}
	if lock.Skips {
		lock.Text += " SKIP LOCKED"
	}
	b.out.Locks = append(b.out.Locks, lock)
	return true
}

// texts writes the two queries.
func (b *pickBuilder) texts(s *sqlparse.SelectStmt) bool {
	query := sqlparse.SelectStmt{TargetList: b.targets, FromClause: s.FromClause, WhereClause: s.WhereClause, Op: s.Op}
	where := b.where
	if s.WhereClause != nil {
		text, err := sqlparse.DeparseExpr(s.WhereClause)
		if err != nil {
			return false
		}
		where = append(where, "("+text+")")
	}
	cond, err := sqlparse.ParseExpr(strings.Join(where, " AND "))
	if err != nil {
		return false
	}
	var err1, err2 error
	again := sqlparse.SelectStmt{TargetList: query.TargetList, FromClause: query.FromClause, WhereClause: cond, Op: s.Op}
	b.out.Again, err1 = sqlparse.Deparse(sqlparse.SelectNode(&again))
	query.SortClause = s.SortClause
	b.out.Query, err2 = sqlparse.Deparse(sqlparse.SelectNode(&query))
	return err1 == nil && err2 == nil
}
