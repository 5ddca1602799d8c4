package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// movesRows plans an UPDATE of the partition key. Where one row's key becomes a constant on the same backend that backend
// does it; else rows are deleted, and inserted with their new keys wherever these belong, as PostgreSQL itself moves a row
// between partitions.
func (p *planner) movesRows(a *analysis, q *query, r *rel, s *sqlparse.UpdateStmt) {
	to, err := a.newKey(r)
	in, why := p.moveRows(a, q, r, s)
	switch {
	case err == nil && to != nil && !a.keyMoves:
		p.t.KeyTo, p.t.NoScatter = to, why
		if why == nil {
			p.t.InsertQuery = in
		}
	case why == nil:
		p.t.Kind, p.t.InsertQuery, p.t.Prune = KindInsertQuery, in, nil
		p.t.NeedsHome, p.t.NoScatter = false, nil
	default:
		p.refuse(why)
	}
}

// moveRows makes the DELETE that gives the rows as they will be, and the INSERT of these.
func (p *planner) moveRows(a *analysis, q *query, r *rel, s *sqlparse.UpdateStmt) (*InsertQuery, *pgerr.Error) {
	t := r.table
	switch {
	case a.err != nil:
		return nil, a.err
	case a.oldNew:
		return nil, refOldNew
	case a.writes || a.noScatter != nil || len(t.Triggers) > 0 || t.HasRules || t.RLS || len(t.ReferencedBy) > 0 || t.Relkind == 'v':
		return nil, refKeyUpdate // a view may not show all of the row
	case len(s.FromClause) > 0 && !a.ofTarget(s, q.scope, r):
		return nil, refKeyUpdate // RETURNING names the other tables
	case returningReads(p.env, s):
		return nil, refKeyUpdate // behind the DELETE, and where the rows go to
	}
	name := targetName(s.Relation)
	out := &InsertQuery{Table: t, Returning: len(s.ReturningList) > 0}
	del := &sqlparse.DeleteStmt{Relation: s.Relation, UsingClause: s.FromClause, WhereClause: s.WhereClause, WithClause: s.WithClause}
	ins := &sqlparse.InsertStmt{Relation: s.Relation, ReturningList: s.ReturningList, SelectStmt: allSourceRows(), Override: sqlparse.OverrideSystem}
	values := make([]sqlparse.Node, len(t.Columns))
	places := make([]int, len(t.Columns)) // in the DELETE's RETURNING
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Generated {
			continue
		}
		val, err := a.assigned(s, name, c)
		if err != nil {
			return nil, err
		}
		values[i], places[i] = val, len(del.ReturningList)
		del.ReturningList = append(del.ReturningList, sqlparse.Output(val))
		ins.Cols = append(ins.Cols, sqlparse.Target(c.Name))
	}
	out.Columns = len(del.ReturningList)
	// stored is where a column's new value is as it will be stored: evaluated once more, unless that might give another one.
	stored := func(k int) (int, bool) {
		c := &t.Columns[k]
		switch {
		case values[k] == nil:
			return 0, false
		case a.volatileExpr(values[k]):
			return places[k], c.BaseType() == c.TypeName
		}
		val, err := sqlparse.Cast(values[k], c.TypeName)
		del.ReturningList = append(del.ReturningList, sqlparse.Output(val))
		return len(del.ReturningList) - 1, err == nil
	}
	for _, k := range t.Key {
		at, ok := stored(k)
		if !ok {
			return nil, refKeyUpdate
		}
		out.Keys = append(out.Keys, at)
	}
	for _, k := range t.PrimKey {
		next, ok := stored(k)
		if !ok {
			return nil, refKeyUpdate
		}
		out.Old, out.New = append(out.Old, len(del.ReturningList)), append(out.New, next)
		del.ReturningList = append(del.ReturningList, sqlparse.Output(sqlparse.Column(name, t.Columns[k].Name)))
	}
	var err1, err2 error
	out.Source, err1 = sqlparse.Deparse(sqlparse.DeleteNode(del))
	out.Text, err2 = sqlparse.Deparse(sqlparse.InsertNode(ins))
	if err1 != nil || err2 != nil {
		return nil, refKeyUpdate
	}
	return out, p.readable(out.Source)
}

// assigned is the value a column has after the UPDATE.
func (a *analysis) assigned(s *sqlparse.UpdateStmt, name string, c *Column) (sqlparse.Node, *pgerr.Error) {
	i := slices.IndexFunc(s.TargetList, func(n sqlparse.Node) bool { return n.GetResTarget().GetName() == c.Name })
	if i < 0 {
		return sqlparse.Column(name, c.Name), nil
	}
	rt := s.TargetList[i].GetResTarget()
	val := rt.Val
	if m := val.GetMultiAssignRef(); m != nil {
		row := m.Source.GetRowExpr().GetArgs() // else a subquery
		if len(row) != int(m.Ncolumns) {
			return nil, refKeyUpdate
		}
		val = row[m.Colno-1]
	}
	if len(rt.Indirection) > 0 {
		return nil, refKeyUpdate
	}
	if val.GetSetToDefault() != nil {
		if !sameDefault(*c) {
			return nil, refKeyUpdate
		}
		def := c.Default
		if def == "" {
			def = "NULL"
		}
		var err error
		if val, err = sqlparse.ParseExpr(def); err != nil {
			return nil, refKeyUpdate
		}
	}
	val, err := sqlparse.Cast(val, c.sourceType())
	if err != nil {
		return nil, refKeyUpdate
	}
	return val, nil
}

// returningReads reports whether an UPDATE's RETURNING reads what some backend lacks, or the UPDATE's own WITH queries.
func returningReads(env *Env, s *sqlparse.UpdateStmt) bool {
	own := map[string]bool{}
	for _, c := range s.WithClause.GetCtes() {
		own[c.GetCommonTableExpr().GetCtename()] = true
	}
	found := false
	sqlparse.WalkList(s.ReturningList, func(n sqlparse.Node) bool {
		if rv := n.GetRangeVar(); rv != nil {
			t, known := env.resolve(rv)
			found = found || rv.Schemaname == "" && own[rv.Relname] || t == nil && known || t != nil && t.lacking()
		}
		return !found
	})
	return found
}

// ofTarget reports whether an UPDATE's RETURNING names columns of the target alone.
func (a *analysis) ofTarget(s *sqlparse.UpdateStmt, sc *scope, r *rel) bool {
	ok := true
	sqlparse.WalkList(s.ReturningList, func(n sqlparse.Node) bool {
		switch ref := n.GetColumnRef(); {
		case n.GetSubLink() != nil:
			ok = false
		case ref != nil && hasStar(ref.Fields):
			names := sqlparse.Strings(ref.Fields)
			ok = ok && len(names) == 1 && names[0] == targetName(s.Relation)
		case ref != nil:
			id, at := sc.lookup(ref)
			ok = ok && at == sc && id.r == r
		}
		return ok
	})
	return ok
}

// targetName is what a write's text calls its target.
func targetName(rv *sqlparse.RangeVar) string {
	if rv.Alias != nil {
		return rv.Alias.Aliasname
	}
	return rv.Relname
}
