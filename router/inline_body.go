package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// Names that stand in rewritten statements; no statement of a client's has such.
const (
	bodyAlias = "pleiad body"
	rowsAlias = "pleiad rows"
	argsAlias = "pleiad arguments"
	rowAlias  = "pleiad row"
)

// inlinedBody is a function's body with a call's arguments in it.
type inlinedBody struct {
	sel *sqlparse.SelectStmt
	q   *query // of the body as it was
	fn  *Function
	// args is the subquery in FROM that evaluates the arguments, once, where they are not put into the body themselves.
	args  sqlparse.Node
	names []string // of its columns
	// barred is true where PostgreSQL must not see the arguments' values while it plans.
	barred bool
	// aggregated is true where an aggregate is of arguments alone: of columns it would be one of the level around it.
	aggregated bool
	// simple are the arguments in the body that may be NULL.
	simple []sqlparse.Node
}

// body reads a function's body and puts the arguments of a call into it; nil where it is not proved to be one query that
// gives the same however often it is evaluated. once tells whether the call's place evaluates it once.
func (in *inliner) body(fn *Function, call *sqlparse.FuncCall, once bool) *inlinedBody {
	args := in.arguments(fn, call)
	stmts := fn.statements()
	if args == nil || in.repeated(args, once) || len(stmts) != 1 || stmts[0].GetSelectStmt() == nil {
		return nil
	}
	sel := stmts[0].GetSelectStmt()
	ps := &parameters{fn: fn, of: map[*sqlparse.ColumnRef]int{}, used: make([]int, len(args))}
	a := &analysis{env: in.env}
	a.seen = func(ref *sqlparse.ColumnRef, sc *scope) {
		if a.foreign == 0 {
			ps.see(ref, sc)
		}
	}
	q := a.query(sel, nil)
	if a.err != nil || a.writes || a.locking || len(a.unknown) > 0 || a.fn&fnRepeats != 0 || !ps.count(sel) {
		return nil
	}
	b := &inlinedBody{sel: sel, q: q, fn: fn}
	of := func(ref *sqlparse.ColumnRef) int {
		if i, ok := ps.of[ref]; ok {
			return i
		}
		return -1
	}
	b.barred = in.env.folds(sqlparse.SelectNode(sel), of)
	if b.barred && in.env.Major >= plansWithValues && in.env.mayFail(sqlparse.SelectNode(sel), of) {
		if slices.ContainsFunc(args, notConstant) {
			return nil
		}
		b.barred = false
	}
	b.aggregated = in.env.aggregatesArguments(sqlparse.SelectNode(sel), of)
	if !b.place(in, args, ps, relationNames(sel)) {
		return nil
	}
	return b
}

// fnRepeats are the facts of functions that may not be called another number of times than a function's body would.
const fnRepeats = fnPerRow | fnVolatile | fnHome | fnPins | fnNextval | fnCurrval | fnDynamic | fnUnknown | fnUserVol | fnUnseenVol

// statements are those of a function's body in SQL; nil where it cannot be read.
func (f *Function) statements() []sqlparse.Node {
	text := f.Body
	if f.Sig.SQLBody {
		text = strings.TrimSpace(text)
		if expr, ok := strings.CutPrefix(text, "RETURN "); ok {
			text = "SELECT " + expr
		} else {
			text, ok = strings.CutPrefix(text, "BEGIN ATOMIC")
			end := strings.HasSuffix(text, "END")
			if !ok || !end {
				return nil
			}
			text = strings.TrimSuffix(text, "END")
		}
	}
	stmts, err := sqlparse.Parse(text)
	if err != nil {
		return nil
	}
	var out []sqlparse.Node
	for _, s := range stmts {
		out = append(out, s.Node)
	}
	return out
}

// arguments are a call's, one for each of the function's, with defaults, in the types that the function has them in.
func (in *inliner) arguments(fn *Function, call *sqlparse.FuncCall) []sqlparse.Node {
	ins := fn.Sig.ins()
	if ins == nil {
		return nil
	}
	out := make([]sqlparse.Node, len(ins))
	for i, n := range call.Args {
		at := i
		if named := n.GetNamedArgExpr(); named != nil {
			n = named.Arg
			at = slices.IndexFunc(ins, func(a Argument) bool { return a.Name == named.Name })
		}
		if at < 0 || at >= len(out) || out[at] != nil || !in.plain(n) {
			return nil
		}
		out[at] = n
	}
	for i, a := range ins {
		if out[i] == nil {
			n, err := sqlparse.ParseExpr(a.Default)
			if a.Default == "" || err != nil || !in.plain(n) {
				return nil
			}
			out[i] = n
		}
	}
	return out
}

// ins are the arguments that a call gives; nil where one of them takes more than one value or any type.
func (g *Signature) ins() []Argument {
	out := []Argument{}
	for _, a := range g.Args {
		switch {
		case a.Mode == 'v' || strings.HasPrefix(a.Type, "any") || a.Type == "record":
			return nil
		case a.Mode == 'i' || a.Mode == 'b':
			out = append(out, a)
		}
	}
	return out
}

// plain reports whether an expression means the same one query level further down: no aggregates, windows or sets.
func (in *inliner) plain(n sqlparse.Node) bool {
	ok := true
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetSelectStmt() != nil:
			return false // has levels of its own
		case n.GetFuncCall() != nil:
			f := n.GetFuncCall()
			schema, name := listName(f.Funcname)
			ok = ok && f.Over == nil && in.env.functionFacts(schema, name)&(fnAggregate|fnWindow|fnSRF|fnUnknown) == 0
		case n.GetGroupingFunc() != nil || n.GetSetToDefault() != nil || n.GetNamedArgExpr() != nil || isJSONAggregate(n):
			ok = false
		}
		return ok
	})
	return ok
}

// parameters are where a body names its function's arguments.
type parameters struct {
	fn   *Function
	of   map[*sqlparse.ColumnRef]int
	used []int
	bad  bool
}

// see judges a column reference of the body: a column where there is one, as sql_fn_post_column_ref of functions.c
// has it.
func (ps *parameters) see(ref *sqlparse.ColumnRef, sc *scope) {
	parts := sqlparse.Strings(ref.Fields)
	if len(parts) != len(ref.Fields) || len(parts) == 0 {
		ps.bad = ps.bad || len(parts) > 0 && len(ref.Fields) > 1 && ps.index(parts[0]) >= 0 && !sc.names(parts[0])
		return // a star
	}
	at := -1
	switch last := ps.index(parts[len(parts)-1]); {
	case len(parts) == 1 && last >= 0:
		switch column, open := sc.has(parts[0]); {
		case column:
		case open:
			ps.bad = true
		default:
			at = last
		}
	case len(parts) == 2 && parts[0] == ps.fn.Name && last >= 0 && !sc.names(parts[0]):
		at = last
	case len(parts) > 1 && ps.index(parts[0]) >= 0 && !sc.names(parts[0]):
		ps.bad = true // a field of a row
	}
	if before, again := ps.of[ref]; again && before != at {
		ps.bad = true
	}
	ps.of[ref] = at
}

// index is the argument of a name, -1 for none.
func (ps *parameters) index(name string) int {
	found := -1
	for i, a := range ps.fn.Sig.ins() {
		if a.Name == name && name != "" {
			if found >= 0 || hiddenColumns[name] {
				ps.bad = true
			}
			found = i
		}
	}
	return found
}

var hiddenColumns = wordSet("tableoid ctid xmin xmax cmin cmax oid")

// has reports whether a name alone is a column or a whole row somewhere in sight, and whether it may be one that is not known.
func (sc *scope) has(name string) (column, open bool) {
	for s := sc; s != nil; s = s.parent {
		if s.ns == nil {
			continue
		}
		if s.ns.open {
			return false, true
		}
		if _, ok, stop := s.ns.unqualified(name); ok || stop {
			return true, false
		}
	}
	return false, false
}

// names reports whether a name is a relation's in sight.
func (sc *scope) names(name string) bool {
	for s := sc; s != nil; s = s.parent {
		if s.ns != nil && slices.ContainsFunc(s.ns.items, func(it nsItem) bool { return it.name == name }) {
			return true
		}
	}
	return false
}

// count counts how often each argument stands in the body; false where some use of one is not certain.
func (ps *parameters) count(sel *sqlparse.SelectStmt) bool {
	sqlparse.Walk(sqlparse.SelectNode(sel), func(n sqlparse.Node) bool {
		switch {
		case n.GetColumnRef() != nil:
			ref := n.GetColumnRef()
			at, seen := ps.of[ref]
			if !seen {
				for _, part := range sqlparse.Strings(ref.Fields) {
					ps.bad = ps.bad || ps.index(part) >= 0
				}
			} else if at >= 0 {
				ps.used[at]++
			}
		case n.GetParamRef() != nil:
			i := int(n.GetParamRef().Number) - 1
			if i < 0 || i >= len(ps.used) {
				ps.bad = true
				return false
			}
			ps.used[i]++
		case n.GetSelectStmt() != nil:
			s := n.GetSelectStmt()
			ps.outputs(s.GroupClause)
			ps.outputs(s.DistinctClause)
			for _, by := range s.SortClause {
				ps.outputs([]sqlparse.Node{by.GetSortBy().GetNode()})
			}
			ps.bad = ps.bad || len(s.LockingClause) > 0 || s.IntoClause != nil || s.LimitOption == sqlparse.LimitWithTies
		}
		return true
	})
	return !ps.bad
}

// outputs refuses argument names where a name may be an output column's.
func (ps *parameters) outputs(list []sqlparse.Node) {
	for _, n := range list {
		parts := sqlparse.Strings(n.GetColumnRef().GetFields())
		ps.bad = ps.bad || len(parts) == 1 && ps.index(parts[0]) >= 0
	}
}

// relationNames are all names of relations in a query, at any level.
func relationNames(sel *sqlparse.SelectStmt) map[string]bool {
	out := map[string]bool{}
	alias := func(a *sqlparse.Alias) {
		if a != nil {
			out[a.Aliasname] = true
		}
	}
	sqlparse.Walk(sqlparse.SelectNode(sel), func(n sqlparse.Node) bool {
		switch {
		case n.GetRangeVar() != nil:
			out[n.GetRangeVar().Relname] = true
			alias(n.GetRangeVar().Alias)
		case n.GetRangeSubselect() != nil:
			alias(n.GetRangeSubselect().Alias)
		case n.GetRangeFunction() != nil:
			alias(n.GetRangeFunction().Alias)
			if call := tableCall(n.GetRangeFunction()); call != nil {
				_, name := listName(call.Funcname)
				out[name] = true
			}
		case n.GetRangeTableFunc() != nil:
			alias(n.GetRangeTableFunc().Alias)
		case n.GetJsonTable() != nil:
			alias(n.GetJsonTable().Alias)
		case n.GetJoinExpr() != nil:
			alias(n.GetJoinExpr().Alias)
			alias(n.GetJoinExpr().JoinUsingAlias)
		}
		return true
	})
	return out
}

// place puts the arguments into the body: themselves where they are constants, parameters or columns, and otherwise by the
// columns of a subquery that evaluates them once.
func (b *inlinedBody) place(in *inliner, args []sqlparse.Node, ps *parameters, taken map[string]bool) bool {
	ins := b.fn.Sig.ins()
	direct := !b.barred
	forms := make([]sqlparse.Node, len(args))
	for i, n := range args {
		cast, err := sqlparse.Cast(n, ins[i].Type)
		if err != nil {
			return false
		}
		forms[i] = cast
		switch {
		case n.GetAConst() != nil && !n.GetAConst().Isnull || n.GetTypeCast() != nil && n.GetTypeCast().Arg.GetAConst() != nil && !n.GetTypeCast().Arg.GetAConst().Isnull:
		case n.GetParamRef() != nil || n.GetTypeCast().GetArg().GetParamRef() != nil:
			direct = direct && ps.used[i] > 0
			b.simple = append(b.simple, cast)
		case n.GetColumnRef() != nil:
			use, ok := in.columns[n.GetColumnRef()]
			direct = direct && ok && use.typ == ins[i].Type && !taken[use.qualifier]
			if ok {
				forms[i] = sqlparse.ColumnNode(use.qualifier, sqlparse.Strings(n.GetColumnRef().Fields)[len(n.GetColumnRef().Fields)-1])
			}
			b.simple = append(b.simple, forms[i])
		default:
			direct = false
		}
	}
	if b.aggregated && (!direct || slices.ContainsFunc(args, func(n sqlparse.Node) bool { return n.GetColumnRef() != nil })) {
		return false
	}
	if !direct {
		b.simple = nil
		s := &sqlparse.SelectStmt{LimitOption: sqlparse.LimitDefault, Op: sqlparse.SetNone}
		for i, n := range args {
			cast, err := sqlparse.Cast(n, ins[i].Type)
			if err != nil {
				return false
			}
			b.names = append(b.names, "p"+itoa(i+1))
			s.TargetList = append(s.TargetList, sqlparse.TargetNode(b.names[i], cast))
			forms[i] = sqlparse.ColumnNode(argsAlias, b.names[i])
		}
		if b.barred {
			s.LimitOffset = sqlparse.Integer(0) // keeps the subquery apart
			s.LimitOption = sqlparse.LimitCountOption
		}
		b.args = sqlparse.SubqueryNode(s, argsAlias, b.names, true)
	}
	return b.substitute(forms, ps)
}

func (b *inlinedBody) substitute(forms []sqlparse.Node, ps *parameters) bool {
	sqlparse.RewriteChildren(sqlparse.SelectNode(b.sel), func(n sqlparse.Node) (sqlparse.Node, bool) {
		switch {
		case n.GetParamRef() != nil:
			return sqlparse.Clone(forms[n.GetParamRef().Number-1]), false
		case n.GetColumnRef() != nil:
			if i, ok := ps.of[n.GetColumnRef()]; ok && i >= 0 {
				return sqlparse.Clone(forms[i]), false
			}
		}
		return n, true
	})
	return true
}

// nulls is the condition under which the arguments let the body run: none of them NULL where the function is STRICT. It
// evaluates them all.
func (b *inlinedBody) nulls() sqlparse.Node { return b.notNulls(b.fn.Sig.Strict) }

func (b *inlinedBody) notNulls(strict bool) sqlparse.Node {
	var list []sqlparse.Node
	for _, n := range b.names {
		list = append(list, sqlparse.ColumnNode(argsAlias, n))
	}
	if b.args == nil {
		for _, n := range b.simple {
			list = append(list, sqlparse.Clone(n))
		}
	}
	op := ">="
	if strict {
		op = "="
	}
	return sqlparse.Operation(op, sqlparse.CallNode(list, "pg_catalog", "num_nulls"), sqlparse.Integer(0))
}

// single reports whether the body gives at most one row whatever the tables hold.
func (b *inlinedBody) single() bool {
	return b.q.targetFacts&fnSRF == 0 && (b.q.aggregates || len(b.sel.FromClause) == 0)
}

// typed reports whether the body's columns have the types of the function's columns as they are.
func (b *inlinedBody) typed(cols []Argument) bool {
	for i, o := range b.q.out {
		if t := o.id.r; t == nil || t.table == nil || t.table.Columns[o.id.i].TypeName != cols[i].Type {
			return false
		}
	}
	return len(b.q.arms) == 0
}
