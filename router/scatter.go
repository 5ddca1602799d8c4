package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// scatterSelect plans a SELECT over several backends, or says why that is not proved.
func (p *planner) scatterSelect(a *analysis, q *query) (*Scatter, *pgerr.Error) {
	if err := a.several(q); err != nil {
		return nil, err
	}
	if a.orderLost(q) {
		return nil, refSortShape
	}
	d := a.distributor()
	s, err := d.level(q, true)
	if err == nil && !s.sharded {
		err = refSubquery
	}
	if err == nil {
		var out *Scatter
		if out, err = p.merge(a, q); err == nil {
			if !p.env.NoMerge || len(out.Sort) == 0 {
				return out, nil
			}
			err = refSortShape
		}
	}
	return p.combineElse(a, q, err)
}

// combineElse plans partial rows and their combination, or gives err.
func (p *planner) combineElse(a *analysis, q *query, err *pgerr.Error) (*Scatter, *pgerr.Error) {
	if p.t.onOne() {
		return nil, err
	}
	if out := p.combineSame(a, q); out != nil {
		return out, nil
	}
	if out := p.combine(a, q); out != nil {
		return out, nil
	}
	return nil, err
}

// several checks what forbids running on several backends whatever the query's shape.
func (a *analysis) several(q *query) *pgerr.Error {
	outer := false
	q.walk(func(q *query) { outer = outer || q.outerAggregate })
	switch {
	case a.noScatter != nil:
		return a.noScatter
	case outer:
		return refAggregate
	case a.tableOID:
		return refTableOID
	case a.hiddenClock || a.fn&(fnClock|fnClockInside) != 0:
		return refClock
	case a.fn&fnUnknown != 0:
		return refUnknownFunc
	case a.fn&(fnVolatile|fnServer|fnHome|fnNextval|fnCurrval|fnDynamic|fnPins) != 0:
		return refVolatile
	}
	return nil
}

// merge plans ORDER BY, LIMIT and OFFSET.
func (p *planner) merge(a *analysis, q *query) (*Scatter, *pgerr.Error) {
	out := &Scatter{}
	s := q.sel
	var ok1, ok2 bool
	out.Limit, ok1 = p.count(a, s.LimitCount)
	out.Offset, ok2 = p.count(a, s.LimitOffset)
	if !ok1 || !ok2 {
		return nil, refLimitExpr
	}
	if out.Ties = s.LimitOption == sqlparse.LimitWithTies; out.Ties && !out.tiesKnown() {
		return nil, refWithTies
	}
	inherits := q.sortedBelow() != nil
	if len(s.SortClause) == 0 && s.LimitCount == nil && s.LimitOffset == nil && !inherits {
		return out, nil
	}
	c, ok := selectClauses(p.text, p.from, len(q.arms) > 0)
	if !ok {
		return nil, refSortShape
	}
	for _, paren := range c.parens {
		out.Splices = append(out.Splices, Splice{Start: paren.Start, End: paren.End, With: " "})
	}
	if len(s.SortClause) > 0 {
		if err := p.hidden(a, q, &c, out); err != nil {
			return nil, err
		}
	}
	if inherits && !p.inherit(a, q, &c, out) {
		return nil, refSortShape
	}
	if s.LimitCount != nil || s.LimitOffset != nil {
		if c.limit.End == 0 {
			return nil, refLimitExpr
		}
		out.Splices = append(out.Splices, Splice{Start: c.limit.Start, End: c.limit.End, Limit: true})
	}
	slices.SortStableFunc(out.Splices, func(x, y Splice) int { return x.Start - y.Start })
	return out, nil
}

// volatileExpr reports whether two evaluations of an expression on one row may differ.
func (a *analysis) volatileExpr(n sqlparse.Node) bool {
	found := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if f := n.GetFuncCall(); f != nil {
			name := sqlparse.Strings(f.Funcname)
			facts := fnUnknown
			switch len(name) {
			case 1:
				facts = a.env.functionFacts("", name[0])
			case 2:
				facts = a.env.functionFacts(name[0], name[1])
			}
			found = found || facts&(fnPerRow|fnVolatile|fnUserVol|fnUnknown|fnNextval|fnHome|fnPins) != 0
		}
		return !found
	})
	return found
}
