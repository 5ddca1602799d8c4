package router

import (
	"math"
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// LockRows is how SELECT … ORDER BY … LIMIT … FOR UPDATE runs over several backends. As PostgreSQL does, it goes through the
// rows in order and locks one after the other until it has as many as are asked for: rows that are locked by others, or have
// changed meanwhile, are passed over as SKIP LOCKED and the new state of the row say.
type LockRows struct {
	// Candidates gives the primary keys in order, without locks; LIMIT n goes behind it.
	Candidates string
	// Row is the statement for one row, whose primary key is its last parameters, of types Types.
	Row    string
	Types  []uint32
	Counts LockCounts
}

// lockRows plans a locking query of one sharded table.
func (p *planner) lockRows(a *analysis, q *query) *LockRows {
	s := q.sel
	if !a.locking || a.err != nil || s == nil || p.from > 0 || len(q.rels) != 1 || len(s.FromClause) != 1 || s.WithClause != nil {
		return nil
	}
	r, rv := q.rels[0], s.FromClause[0].GetRangeVar()
	switch {
	case rv == nil || !r.sharded() || len(r.table.PrimKey) == 0 || r.table.HasRules || len(s.LockingClause) == 0,
		q.grouped || q.aggregates || len(q.windows) > 0 || len(q.arms) > 0 || len(s.DistinctClause) > 0 || q.targetFacts&fnSRF != 0,
		s.LimitOption == sqlparse.LimitWithTies || s.LimitCount == nil || q.open || len(q.subs) > 0 || a.tableOID,
		q.whereFacts&fnOnce != 0, // a condition is tested with the keys and with the row
		a.several(q) != nil:
		return nil
	}
	out := &LockRows{}
	var ok bool
	if out.Counts, ok = p.lockCounts(a, s); !ok || !out.Counts.of.Limit.Present {
		return nil
	}
	alias := rv.Relname
	if rv.Alias != nil {
		alias = rv.Alias.Aliasname
		if len(rv.Alias.Colnames) > 0 {
			return nil
		}
	}
	sorted, ok := a.sortExprs(s)
	if !ok {
		return nil
	}
	candidates := &sqlparse.SelectStmt{FromClause: s.FromClause, WhereClause: s.WhereClause, SortClause: sorted}
	row := &sqlparse.SelectStmt{TargetList: s.TargetList, FromClause: s.FromClause, LockingClause: s.LockingClause}
	where := []string{}
	for i, k := range r.table.PrimKey {
		c := &r.table.Columns[k]
		if !builtinOID(c.TypeOID) {
			return nil
		}
		candidates.TargetList = append(candidates.TargetList, sqlparse.Output(sqlparse.Column(alias, c.Name)))
		out.Types = append(out.Types, c.TypeOID)
		where = append(where, quoteIdent(alias)+"."+quoteIdent(c.Name)+equals+"$"+itoa(p.t.NParams+i+1))
	}
	if s.WhereClause != nil {
		text, err := sqlparse.DeparseExpr(s.WhereClause)
		if err != nil {
			return nil
		}
		where = append(where, "("+text+")")
	}
	cond, err := sqlparse.ParseExpr(strings.Join(where, " AND "))
	if err != nil {
		return nil
	}
	row.WhereClause = cond
	var err1, err2 error
	out.Candidates, err1 = sqlparse.Deparse(sqlparse.SelectNode(candidates))
	out.Row, err2 = sqlparse.Deparse(sqlparse.SelectNode(row))
	if err1 != nil || err2 != nil {
		return nil
	}
	p.t.Cacheable = false
	return out
}

// sortExprs is an ORDER BY whose items do not depend on the target list.
func (a *analysis) sortExprs(s *sqlparse.SelectStmt) (out []sqlparse.Node, ok bool) {
	for _, n := range s.SortClause {
		by := n.GetSortBy()
		if by == nil || a.volatileExpr(by.Node) {
			return nil, false
		}
		expr := by.Node
		switch {
		case expr.GetAConst() != nil:
			i := int(expr.GetAConst().GetIval().GetIval()) - 1
			if i < 0 || i >= len(s.TargetList) || hasStarTarget(s.TargetList) {
				return nil, false
			}
			expr = s.TargetList[i].GetResTarget().GetVal()
		case expr.GetColumnRef() != nil && len(expr.GetColumnRef().Fields) == 1:
			name := sqlparse.Strings(expr.GetColumnRef().Fields)
			for _, t := range s.TargetList {
				if rt := t.GetResTarget(); len(name) == 1 && rt.GetName() == name[0] {
					expr = rt.Val
				}
			}
		}
		out = append(out, sqlparse.OrderBy(by, expr))
	}
	return out, true
}

func hasStarTarget(list []sqlparse.Node) bool {
	return slices.ContainsFunc(list, func(n sqlparse.Node) bool {
		return hasStar(n.GetResTarget().GetVal().GetColumnRef().GetFields())
	})
}

// LockCounts are LIMIT and OFFSET of a query that locks its rows one after the other. PostgreSQL locks those that OFFSET passes
// over, too.
type LockCounts struct{ of Scatter }

func (p *planner) lockCounts(a *analysis, s *sqlparse.SelectStmt) (c LockCounts, ok bool) {
	var ok1, ok2 bool
	c.of.Limit, ok1 = p.count(a, s.LimitCount)
	c.of.Offset, ok2 = p.count(a, s.LimitOffset)
	return c, ok1 && ok2
}

// Read gives how many rows to lock, math.MaxInt64 for all of them, and how many of these not to give.
func (c *LockCounts) Read(v *Values) (lock, skip int64, err error) {
	n, err := c.of.Counts(v)
	if err != nil {
		return 0, 0, err
	}
	if !n.Limited || n.Limit > math.MaxInt64-n.Offset {
		return math.MaxInt64, n.Offset, nil
	}
	return n.Limit + n.Offset, n.Offset, nil
}
