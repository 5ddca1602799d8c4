package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// CopyRows is an UPDATE or DELETE of a reference table that might do different things on different backends: home runs it,
// whatever that takes, and the other copies get the rows that it has made, or lose those that it has removed.
type CopyRows struct {
	// Source is the statement at home, with the whole changed rows as its RETURNING: Columns of them.
	Source  string
	Columns int
	// Apply does the same to another copy, with SourceRows for the rows.
	Apply string
	// Answer, if not "", gives the client's RETURNING, computed from the rows.
	Answer string
	// Answered is true where the client's RETURNING stands behind the rows in Source: it reads tables.
	Answered bool
	// Shape is a query with the rows' columns, which tells their collations.
	Shape string
}

// copyRows plans a write of a reference table by its effects on home's copy; why is the reason against running it
// everywhere.
func (p *planner) copyRows(a *analysis, q *query, r *rel, why *pgerr.Error) {
	if why != refRefWrite && why != refRefLimit && why != refSubLimit || p.from > 0 {
		p.refuse(why)
		return
	}
	c, err := p.changedRows(a, q, r)
	if err != nil {
		p.refuse(why)
		return
	}
	in := PlanHome(c.Source, *p.env)
	if in.Kind != KindHome && (in.Kind != KindShards || in.Gather == nil) {
		p.refuse(why)
		return
	}
	p.t.Kind, p.t.CopyRows, p.t.Cacheable = KindCopyRows, c, false
	p.t.Writes = true
	p.t.Effect = max(p.t.Effect, in.Effect)
}

func (p *planner) changedRows(a *analysis, q *query, r *rel) (*CopyRows, *pgerr.Error) {
	t := r.table
	up, del := p.node.GetUpdateStmt(), p.node.GetDeleteStmt()
	if q.scope != nil && namesOldNew(sqlparse.ReturningOf(p.node), q.scope) {
		return nil, refRefWrite
	}
	if up == nil && del == nil || len(t.PrimKey) == 0 || len(t.Triggers) > 0 || t.HasRules || t.RLS {
		return nil, refRefWrite
	}
	returning := sqlparse.ReturningOf(p.node)
	rv := sqlparse.TargetOf(p.node)
	name := rv.Relname
	if rv.Alias != nil {
		name = rv.Alias.Aliasname
	}
	out := &CopyRows{Columns: len(t.Columns), Answered: len(returning) > 0 && (len(q.rels) != 1 || hasSubquery(returning))}
	for _, n := range returning { // what reads tables must not see the rows as they are behind the statement
		out.Answered = out.Answered || a.exprFacts(n)&(fnReference|fnTables) != 0
	}
	var all, set []sqlparse.Node
	var names []string
	for i := range t.Columns {
		c := &t.Columns[i]
		all = append(all, sqlparse.Output(sqlparse.Column(name, c.Name)))
		names = append(names, c.Name)
		if up != nil && slices.Contains(t.PrimKey, i) && assigns(up, c.Name) {
			return nil, refRefWrite // the old key is not told
		}
		if !slices.Contains(t.PrimKey, i) && !c.Generated && c.Identity != 'a' {
			set = append(set, sqlparse.Assign(c.Name, sqlparse.Column("pleiad_rows", c.Name)))
		}
	}
	if out.Answered {
		all = append(all, returning...)
	}
	rows := sqlparse.Range(sourceRows, "pleiad_rows", names)
	var match sqlparse.Node
	for _, k := range t.PrimKey {
		match = sqlparse.And(match, sqlparse.Equal(sqlparse.Column(t.Name, names[k]), sqlparse.Column("pleiad_rows", names[k])))
	}
	target := &sqlparse.RangeVar{Schemaname: t.Schema, Relname: t.Name, Inh: true, Relpersistence: "p"}
	var err1, err2, err3 error
	if up != nil {
		if len(set) == 0 {
			return nil, refRefWrite
		}
		out.Apply, err1 = sqlparse.Deparse(sqlparse.UpdateNode(&sqlparse.UpdateStmt{Relation: target, TargetList: set, FromClause: []sqlparse.Node{rows}, WhereClause: match}))
		up.ReturningList = all
		out.Source, err2 = sqlparse.Deparse(p.node)
		up.ReturningList = returning
	} else {
		out.Apply, err1 = sqlparse.Deparse(sqlparse.DeleteNode(&sqlparse.DeleteStmt{Relation: target, UsingClause: []sqlparse.Node{rows}, WhereClause: match}))
		del.ReturningList = all
		out.Source, err2 = sqlparse.Deparse(p.node)
		del.ReturningList = returning
	}
	if len(returning) > 0 && !out.Answered {
		withoutSchema(returning)
		out.Shape = "SELECT " + quoteIdents(names) + " FROM " + quoteName(t.Schema, t.Name)
		out.Answer, err3 = sqlparse.Deparse(sqlparse.SelectNode(&sqlparse.SelectStmt{
			TargetList: returning, FromClause: []sqlparse.Node{sqlparse.Range(sourceRows, name, names)},
		}))
	}
	if err1 != nil || err2 != nil || err3 != nil {
		return nil, refRefWrite
	}
	return out, nil
}

// withoutSchema takes the schema off references like public.meetings.room: rows that stand in the table's place have none.
func withoutSchema(list []sqlparse.Node) {
	sqlparse.WalkList(list, func(n sqlparse.Node) bool {
		if ref := n.GetColumnRef(); len(ref.GetFields()) > 2 {
			ref.Fields = ref.Fields[len(ref.Fields)-2:]
		}
		return true
	})
}

func hasSubquery(list []sqlparse.Node) bool {
	found := false
	sqlparse.WalkList(list, func(n sqlparse.Node) bool {
		found = found || n.GetSubLink() != nil
		return !found
	})
	return found
}

func assigns(s *sqlparse.UpdateStmt, column string) bool {
	return slices.ContainsFunc(s.TargetList, func(n sqlparse.Node) bool { return n.GetResTarget().GetName() == column })
}
