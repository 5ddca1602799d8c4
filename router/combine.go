package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// combiners are aggregates whose value over all rows follows exactly from their values over parts of the rows, and the
// aggregate of the parts. sum and avg stand for exact types alone: CombineSQL sees the type and refuses floats.
var combiners = map[string]string{
	"count": "sum", "sum": "sum", "min": "min", "max": "max", "avg": combineAvg,
	"bool_and": "bool_and", "every": "bool_and", "bool_or": "bool_or", "bit_and": "bit_and", "bit_or": "bit_or",
}

// combineAvg divides a sum by a count, as numeric_avg does.
const combineAvg = "avg"

// partialName is the name of a partial column that the client did not write.
const partialName = "pleiad_partial_"

// combinable plans a query whose one row is made of aggregates over all rows: what each backend computes, and the
// expressions over the aggregates, which PostgreSQL evaluates once. ok is false for every other query.
func (p *planner) combinable(a *analysis, q *query) (s *Scatter, ok bool) {
	sel := q.sel
	switch {
	case sel == nil || len(q.arms) > 0 || !q.aggregates || q.outerAggregate || len(q.windows) > 0 || q.targetFacts&fnSRF != 0,
		len(sel.GroupClause) > 0 || sel.HavingClause != nil || len(sel.DistinctClause) > 0 || len(sel.SortClause) > 0,
		sel.LimitCount != nil || sel.LimitOffset != nil || len(sel.LockingClause) > 0 || len(sel.TargetList) == 0,
		len(q.subs) > 0:
		return nil, false
	}
	c, ok := selectClauses(p.text, p.from, false)
	targets := c.split(c.targets)
	if !ok || len(targets) != len(sel.TargetList) {
		return nil, false
	}
	b := &combineBuilder{p: p, a: a, q: q}
	for i, n := range sel.TargetList {
		if !b.target(n.GetResTarget(), targets[i]) {
			return nil, false
		}
	}
	s = &Scatter{Combine: b.out}
	if !simple(b.out) {
		with := " "
		for i, partial := range b.partials {
			if i > 0 {
				with += ", "
			}
			with += partial + " AS " + partialName + itoa(i+1)
		}
		s.Splices = []Splice{{Start: c.targets.Start, End: c.targets.End, With: with + " "}}
		p.t.Cacheable = p.t.Cacheable && !p.hasLiterals(c.targets)
	}
	return s, true
}

// combineBuilder takes a target list apart.
type combineBuilder struct {
	p        *planner
	a        *analysis
	q        *query
	partials []string // SQL of what each backend computes
	out      []Combine
}

// target reads one output column.
func (b *combineBuilder) target(rt *sqlparse.ResTarget, toks []sqlparse.Token) bool {
	if rt.GetVal() == nil {
		return false
	}
	name := rt.Name
	if name == "" {
		var ok bool
		if name, _, ok = figureName(rt.Val); !ok {
			return false
		}
	} else {
		toks = withoutAlias(toks)
	}
	calls, ok := b.aggregates(rt.Val)
	if !ok || len(toks) == 0 {
		return false
	}
	out := Combine{Name: name}
	span := rangeOf(toks)
	at := span.Start
	for _, f := range calls {
		args, end := callSpan(toks, int(f.Location))
		if args < 0 || int(f.Location) < at {
			return false
		}
		if before := b.p.span(Span{at, int(f.Location)}); before != "" {
			out.Pieces = append(out.Pieces, CombinePiece{Text: before})
		}
		out.Pieces = append(out.Pieces, b.piece(f, args, end))
		at = end
	}
	if at < span.End {
		out.Pieces = append(out.Pieces, CombinePiece{Text: b.p.span(Span{at, span.End})})
	}
	b.out = append(b.out, out)
	return true
}

// piece adds the partial columns of one aggregate.
func (b *combineBuilder) piece(f *sqlparse.FuncCall, args, end int) CombinePiece {
	names := sqlparse.Strings(f.Funcname)
	piece := CombinePiece{Func: combiners[names[len(names)-1]], Column: len(b.partials)}
	if len(f.Args) == 1 {
		piece.Collation = b.a.collationOf(f.Args[0], b.a.column(f.Args[0], b.q.scope), b.q.scope)
	}
	if piece.Func == combineAvg {
		rest := b.p.span(Span{args, end})
		b.partials = append(b.partials, "pg_catalog.sum"+rest, "pg_catalog.count"+rest)
		return piece
	}
	b.partials = append(b.partials, b.p.span(Span{int(f.Location), end}))
	return piece
}

// aggregates lists the aggregates of an expression in the order of their places. ok is false where one cannot be
// combined, or where something outside of them is not known to the combining backend: columns, parameters.
func (b *combineBuilder) aggregates(n sqlparse.Node) (calls []*sqlparse.FuncCall, ok bool) {
	ok = true
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetColumnRef() != nil, n.GetParamRef() != nil, n.GetSubLink() != nil, n.GetGroupingFunc() != nil, isJSONAggregate(n):
			ok = false
		case n.GetFuncCall() != nil:
			f := n.GetFuncCall()
			var facts fnFacts
			switch name := sqlparse.Strings(f.Funcname); len(name) {
			case 1:
				facts = b.a.env.functionFacts("", name[0])
			case 2:
				facts = b.a.env.functionFacts(name[0], name[1])
			}
			if facts&fnAggregate != 0 {
				ok = ok && b.combinable(f)
				calls = append(calls, f)
				return false
			}
		}
		return ok
	})
	slices.SortFunc(calls, func(x, y *sqlparse.FuncCall) int { return int(x.Location - y.Location) })
	return calls, ok
}

func (b *combineBuilder) combinable(f *sqlparse.FuncCall) bool {
	if f.AggDistinct || f.AggWithinGroup || len(f.AggOrder) > 0 || f.Over != nil || f.FuncVariadic {
		return false
	}
	name := sqlparse.Strings(f.Funcname)
	if len(name) == 2 && name[0] == "pg_catalog" {
		name = name[1:]
	}
	return len(name) == 1 && combiners[name[0]] != "" && len(f.Args) <= 1 && len(b.a.env.Schema.Functions[name[0]]) == 0 &&
		(len(f.Args) == 1 || f.AggStar && name[0] == "count")
}

// callSpan finds where the arguments' parenthesis of the call at byte at opens, and the end of the call, FILTER included.
func callSpan(toks []sqlparse.Token, at int) (args, end int) {
	i := slices.IndexFunc(toks, func(t sqlparse.Token) bool { return t.Start == at })
	if i < 0 {
		return -1, -1
	}
	for i < len(toks) && toks[i].Punct != '(' {
		i++
	}
	closing := func(i int) int {
		for j := i + 1; j < len(toks); j++ {
			if toks[j].Punct == ')' && toks[j].Depth == toks[i].Depth {
				return j
			}
		}
		return -1
	}
	if i == len(toks) || closing(i) < 0 {
		return -1, -1
	}
	args, i = toks[i].Start, closing(i)
	if i+2 < len(toks) && toks[i+1].Word == "filter" && toks[i+2].Punct == '(' {
		if i = closing(i + 2); i < 0 {
			return -1, -1
		}
	}
	return args, toks[i].End
}

// withoutAlias drops [AS] name from the end of a target.
func withoutAlias(toks []sqlparse.Token) []sqlparse.Token {
	toks = toks[:len(toks)-1]
	if n := len(toks); n > 1 && toks[n-1].Word == "as" {
		toks = toks[:n-1]
	}
	return toks
}

// figureName is the name PostgreSQL gives an unnamed output column, and how sure of it PostgreSQL is
// (FigureColnameInternal in parse_target.c). ok is false for shapes that are not read here.
func figureName(n sqlparse.Node) (name string, strength int, ok bool) {
	last := func(list []sqlparse.Node) (string, int, bool) {
		names := sqlparse.Strings(list)
		if len(names) == 0 {
			return "", 0, false
		}
		return names[len(names)-1], 2, true
	}
	weaker := func(arg sqlparse.Node, own string) (string, int, bool) {
		name, strength, ok := "", 0, true
		if arg != nil {
			name, strength, ok = figureName(arg)
		}
		if strength <= 1 {
			return own, 1, ok
		}
		return name, strength, ok
	}
	switch {
	case n.GetFuncCall() != nil:
		return last(n.GetFuncCall().Funcname)
	case n.GetTypeCast() != nil:
		own, _, ok := last(n.GetTypeCast().TypeName.GetNames())
		if !ok {
			return "", 0, false
		}
		return weaker(n.GetTypeCast().Arg, own)
	case n.GetCaseExpr() != nil:
		return weaker(n.GetCaseExpr().Defresult, "case")
	case n.GetCoalesceExpr() != nil:
		return "coalesce", 2, true
	case n.GetMinMaxExpr() != nil:
		if n.GetMinMaxExpr().Op == sqlparse.MinMaxLeast {
			return "least", 2, true
		}
		return "greatest", 2, true
	case n.GetCollateClause() != nil:
		return figureName(n.GetCollateClause().Arg)
	case n.GetAExpr() != nil && n.GetAExpr().Kind == sqlparse.ExprNullIf:
		return "nullif", 2, true
	case n.GetAExpr() != nil, n.GetAConst() != nil, n.GetBoolExpr() != nil, n.GetNullTest() != nil, n.GetBooleanTest() != nil:
		return "?column?", 0, true
	}
	return "", 0, false
}
