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
	case a.writes || a.noScatter != nil || len(t.Triggers) > 0 || t.HasRules || t.RLS || len(t.ReferencedBy) > 0 || t.Relkind == 'v':
		return nil, refKeyUpdate // a view may not show all of the row
	case len(s.FromClause) > 0 && len(s.ReturningList) > 0:
		return nil, refKeyUpdate // RETURNING may name the other tables
	}
	name := s.Relation.Relname
	if s.Relation.Alias != nil {
		name = s.Relation.Alias.Aliasname
	}
	out := &InsertQuery{Table: t, Returning: len(s.ReturningList) > 0}
	del := &sqlparse.DeleteStmt{Relation: s.Relation, UsingClause: s.FromClause, WhereClause: s.WhereClause, WithClause: s.WithClause}
	ins := &sqlparse.InsertStmt{Relation: s.Relation, ReturningList: s.ReturningList, SelectStmt: allSourceRows(), Override: sqlparse.OverrideSystem}
	values := make([]sqlparse.Node, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Generated {
			continue
		}
		val, err := a.assigned(s, name, c)
		if err != nil {
			return nil, err
		}
		values[i] = val
		del.ReturningList = append(del.ReturningList, sqlparse.Output(val))
		ins.Cols = append(ins.Cols, sqlparse.Target(c.Name))
	}
	out.Columns = len(del.ReturningList)
	for _, k := range t.Key {
		if values[k] == nil || a.volatileExpr(values[k]) {
			return nil, refKeyUpdate
		}
		key, err := sqlparse.Cast(values[k], t.Columns[k].TypeName)
		if err != nil {
			return nil, refKeyUpdate
		}
		out.Keys = append(out.Keys, len(del.ReturningList))
		del.ReturningList = append(del.ReturningList, sqlparse.Output(key))
	}
	for _, k := range t.PrimKey {
		if values[k] == nil || a.volatileExpr(values[k]) {
			return nil, refKeyUpdate
		}
		next, err := sqlparse.Cast(values[k], t.Columns[k].TypeName)
		if err != nil {
			return nil, refKeyUpdate
		}
		out.Old, out.New = append(out.Old, len(del.ReturningList)), append(out.New, len(del.ReturningList)+1)
		del.ReturningList = append(del.ReturningList, sqlparse.Output(sqlparse.Column(name, t.Columns[k].Name)), sqlparse.Output(next))
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
	if len(rt.Indirection) > 0 || rt.Val.GetMultiAssignRef() != nil {
		return nil, refKeyUpdate
	}
	val := rt.Val
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
	val, err := sqlparse.Cast(val, c.BaseType())
	if err != nil {
		return nil, refKeyUpdate
	}
	return val, nil
}
