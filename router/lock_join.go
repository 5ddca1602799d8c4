package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// LockJoin is how a locking query of several tables, whose rows no backend has beside one another, runs: the query gives the
// primary keys of the rows that it is made of, these are locked, and the query runs again, until it gives none but locked rows.
// That is what it would have given, had it run then.
type LockJoin struct {
	// Query is the statement without its locks, with the primary keys of the locked tables behind its outputs.
	Query string
	Locks []RowLock
}

// RowLock locks rows of one table by their primary keys.
type RowLock struct {
	Text  string   // an array parameter for each column of the key
	Types []uint32 // the columns' types
}

// lockJoin plans a locking query that no backend can run.
func (p *planner) lockJoin(a *analysis, q *query) *LockJoin {
	s := q.sel
	switch {
	case !a.locking || a.err != nil || p.t.NeedsHome || s == nil || p.from > 0 || len(s.LockingClause) == 0 || s.WithClause != nil || len(q.rels) < 2,
		q.grouped || q.aggregates || len(q.windows) > 0 || len(q.arms) > 0 || len(s.DistinctClause) > 0 || q.targetFacts&fnSRF != 0,
		s.LimitOption == sqlparse.LimitWithTies || s.LimitOffset != nil || q.open || a.tableOID || a.setConfig > 0,
		a.fn&(fnNextval|fnCurrval|fnPins|fnWrites|fnUserVol|fnUnknown) != 0: // it runs more than once
		return nil
	}
	out := &LockJoin{}
	query := sqlparse.SelectNode(&sqlparse.SelectStmt{
		TargetList: slices.Clone(s.TargetList), FromClause: s.FromClause, WhereClause: s.WhereClause, SortClause: s.SortClause,
		LimitCount: s.LimitCount, LimitOption: s.LimitOption, Op: s.Op,
	})
	for _, n := range s.LockingClause {
		l := n.GetLockingClause()
		if sqlparse.SkipsLocked(l) {
			return nil
		}
		for _, it := range q.scope.ns.items {
			named := slices.ContainsFunc(l.LockedRels, func(rv sqlparse.Node) bool { return rv.GetRangeVar().GetRelname() == it.name })
			if !named && len(l.LockedRels) > 0 {
				continue
			}
			if it.rel == nil || !out.add(l, it.name, it.rel, query.GetSelectStmt()) {
				return nil
			}
		}
	}
	var err error
	if out.Query, err = sqlparse.Deparse(query); err != nil || len(out.Locks) == 0 {
		return nil
	}
	p.t.Cacheable = false
	if in := Plan(out.Query, *p.env); in.Kind != KindShards || in.Scatter == nil && in.Gather == nil {
		return nil
	}
	return out
}

// add locks a relation's rows and lets the query give their keys.
func (j *LockJoin) add(l *sqlparse.LockingClause, name string, r *rel, query *sqlparse.SelectStmt) bool {
	if r.table == nil || r.table.RLS || r.nullable || r.table.HasRules || !r.keyed() { // a policy may keep rows from being locked
		return false
	}
	for _, k := range r.table.PrimKey {
		query.TargetList = append(query.TargetList, sqlparse.Output(sqlparse.Column(name, r.table.Columns[k].Name)))
	}
	j.Locks = append(j.Locks, r.lock("", l))
	return true
}

// keyed reports whether a relation stands in FROM as a table whose rows its primary key tells apart.
func (r *rel) keyed() bool {
	t := r.table
	if t == nil || r.sub != nil || len(t.PrimKey) == 0 || t.Kind == TableView || r.place == nil || r.place.rv == nil || t.Children && r.place.rv.Inh ||
		len(sqlparse.Strings(r.place.rv.Alias.GetColnames())) > 0 {
		return false
	}
	return !slices.ContainsFunc(t.PrimKey, func(k int) bool { return !builtinOID(t.Columns[k].TypeOID) })
}

// lock locks rows of a relation's table by their keys, and gives the columns of these that it is told.
func (r *rel) lock(outs string, l *sqlparse.LockingClause) (lock RowLock) {
	t := r.table
	var names, arrays []string
	for i, k := range t.PrimKey {
		c := &t.Columns[k]
		lock.Types = append(lock.Types, c.TypeOID)
		names = append(names, lockedRow+quoteIdent(c.Name))
		arrays = append(arrays, "pg_catalog.unnest($"+itoa(i+1)+")")
	}
	from := " FROM "
	if !r.place.rv.Inh {
		from = " FROM ONLY "
	}
	lock.Text = "SELECT " + outs + from + quoteName(t.Schema, t.Name) + " AS pleiad_locked WHERE "
	if len(names) == 1 {
		lock.Text += names[0] + equals + "ANY ($1)"
	} else {
		lock.Text += "(" + strings.Join(names, ", ") + ")" + equals + "ANY (SELECT * FROM ROWS FROM (" + strings.Join(arrays, ", ") + ") AS pleiad_keys)"
	}
	lock.Text += sqlparse.LockSQL(l)
	return lock
}

// lockedRow is before the columns of a RowLock's table.
const lockedRow = "pleiad_locked."
