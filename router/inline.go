package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// A function in SQL that is one SELECT gives what the SELECT gives as a subquery in the call's place, where its backends can
// be proved. That is done for functions over sharded and reference tables alone: all others run where they are called.

// maxInlined bounds how often a statement is rewritten: a function's body may call others, and itself.
const maxInlined = 16

// inliner puts functions' bodies in the places of their calls.
type inliner struct {
	env *Env
	// columns are the column references of the statement that are columns of tables.
	columns map[*sqlparse.ColumnRef]callersColumn
	withs   map[string]bool // names of WITH queries
	writes  bool            // the statement changes rows: a volatile function would see them change
	around  surroundings
	calls   int
	err     *pgerr.Error
}

// callersColumn is what a column reference means.
type callersColumn struct {
	qualifier string // a name that means its relation where the reference stands
	typ       string // the column's type
}

// tryInline plans a statement anew that is refused for a function it calls.
func (p *planner) tryInline() {
	t := p.t
	if t.Kind != KindRefuse || t.Refusal != refFuncSharded && t.Refusal != refReach || p.from > 0 || p.gatherOnly || p.homeCopy || p.inlined >= maxInlined {
		return
	}
	text, alone, ok := p.inline()
	if !ok {
		return
	}
	in := plan(text, *p.env, planner{inlined: p.inlined + 1})
	switch in.Kind {
	case KindRefuse, KindSyntax, KindInvalid, KindEmpty:
		return
	case KindInlined:
		text, alone = in.Inlined, "" // one calls the other
	case KindShards:
		if in.Scatter == nil && in.Gather == nil && in.InsertQuery == nil && in.Prelude == nil && in.LockRows == nil && in.LockPick == nil && len(in.Prune) == 0 {
			return
		}
	}
	t.Kind, t.Refusal, t.Inlined, t.InlinedCall, t.Cacheable = KindInlined, nil, text, alone, false
	t.Clock, t.ClockWords = nil, nil // the rewritten text is asked for them
	t.Writes, t.Effect = t.Writes || in.Writes, max(t.Effect, in.Effect)
}

// inline writes the statement with the bodies of what it calls in it. alone is the function that a SELECT does nothing but
// call.
func (p *planner) inline() (text, alone string, ok bool) {
	stmts, err := sqlparse.Parse(p.text)
	if err != nil || len(stmts) != 1 {
		return "", "", false
	}
	n := stmts[0].Node
	in := &inliner{env: p.env, columns: map[*sqlparse.ColumnRef]callersColumn{}, writes: n.GetSelectStmt() == nil}
	if n.GetSelectStmt() == nil && n.GetInsertStmt() == nil && n.GetUpdateStmt() == nil && n.GetDeleteStmt() == nil {
		return "", "", false
	}
	a := &analysis{env: p.env, text: p.text, lits: p.lits}
	a.seen = in.see
	in.noteWiths(n)
	if a.statement(n) == nil || a.err != nil && a.err != refReach || a.writes && !in.writes {
		return "", "", false
	}
	alone = in.loneCall(n.GetSelectStmt())
	in.around = in.env.surroundingsOf(n)
	in.rewrite(n)
	if in.err != nil || in.calls == 0 {
		return "", "", false
	}
	text, err = sqlparse.Deparse(n)
	return text, alone, err == nil
}

// loneCall names the function that a SELECT calls with constants and parameters, and does nothing else.
func (in *inliner) loneCall(s *sqlparse.SelectStmt) string {
	if s == nil || len(s.TargetList) != 1 || !onlyTargets(s) {
		return ""
	}
	call := s.TargetList[0].GetResTarget().GetVal().GetFuncCall()
	for _, n := range call.GetArgs() {
		if cast := n.GetTypeCast(); cast != nil {
			n = cast.Arg
		}
		if n.GetAConst() == nil && n.GetParamRef() == nil {
			return ""
		}
	}
	_, name := listName(call.GetFuncname())
	return name
}

// onlyTargets reports whether a SELECT has nothing but a target list.
func onlyTargets(s *sqlparse.SelectStmt) bool {
	rest := &sqlparse.SelectStmt{TargetList: s.TargetList, LimitOption: s.LimitOption, Op: s.Op, GroupDistinct: s.GroupDistinct}
	return sqlparse.Same(sqlparse.SelectNode(rest), sqlparse.SelectNode(s))
}

// see notes what a column reference of the statement means.
func (in *inliner) see(ref *sqlparse.ColumnRef, sc *scope) {
	id, at := sc.lookup(ref)
	if at == nil || id.r == nil || id.r.table == nil || id.i >= len(id.r.table.Columns) {
		return
	}
	for _, it := range at.ns.items {
		if it.rel != id.r || it.name == "" {
			continue
		}
		again := sqlparse.ColumnNode(it.name, id.r.cols[id.i]).GetColumnRef()
		if same, _ := sc.lookup(again); same == id {
			in.columns[ref] = callersColumn{it.name, id.r.table.Columns[id.i].TypeName}
		}
	}
}

func (in *inliner) refuse() {
	if in.err == nil {
		in.err = refFuncSharded
	}
}

// rewrite replaces the calls beneath n, those in arguments first.
func (in *inliner) rewrite(n sqlparse.Node) sqlparse.Node {
	return sqlparse.Rewrite(n, func(n sqlparse.Node) (sqlparse.Node, bool) {
		switch {
		case n.GetRangeVar() != nil:
			return in.view(n), false
		case n.GetRangeFunction() != nil:
			rf := n.GetRangeFunction()
			call := tableCall(rf)
			if call == nil || !in.over(call) {
				return n, true
			}
			sqlparse.RewriteList(call.Args, in.child)
			return in.fromCall(n, rf, call), false
		case n.GetFuncCall() != nil:
			call := n.GetFuncCall()
			if !in.over(call) {
				return n, true
			}
			sqlparse.RewriteList(call.Args, in.child)
			return in.scalarCall(call), false
		}
		return n, true
	})
}

func (in *inliner) child(n sqlparse.Node) (sqlparse.Node, bool) { return in.rewrite(n), false }

// tableCall is the one function call of an item of FROM; nil where there is none alone.
func tableCall(rf *sqlparse.RangeFunction) *sqlparse.FuncCall {
	if len(rf.Functions) != 1 {
		return nil
	}
	items := rf.Functions[0].GetList().GetItems()
	if len(items) == 0 {
		return nil
	}
	return items[0].GetFuncCall()
}

// over reports whether a call may be of a function over sharded or reference tables.
func (in *inliner) over(call *sqlparse.FuncCall) bool {
	schema, name := listName(call.Funcname)
	return name != "" && in.env.functionFacts(schema, name)&(fnSharded|fnDynamic) != 0
}

// callee is the one function that a call can be of; nil where there may be others, or where the call is not proved to be what
// its body is.
func (in *inliner) callee(call *sqlparse.FuncCall) *Function {
	if call.AggStar || call.AggDistinct || call.AggFilter != nil || call.Over != nil || len(call.AggOrder) > 0 || call.AggWithinGroup || call.FuncVariadic {
		return nil
	}
	fn := in.env.theFunction(call.Funcname, len(call.Args))
	if fn == nil || fn.Kind != 'f' || fn.Language != "sql" || fn.Sig == nil || !in.env.mayCall(fn) {
		return nil
	}
	if fn.Volatility == 'v' && in.writes {
		return nil
	}
	return fn
}

// mayCall reports whether calling the function does nothing but what its body does in the caller's hands.
func (e *Env) mayCall(fn *Function) bool {
	return !fn.Sig.Config && (fn.Sig.Owner == e.User || fn.Sig.Public && !fn.Sig.Definer)
}

// theFunction is the only function that a call by this name with so many arguments may mean, nil where there are none or
// several: which of them is meant depends on types that the text does not show.
func (e *Env) theFunction(funcname []sqlparse.Node, args int) *Function {
	schema, name := listName(funcname)
	if name == "" || len(funcname) > 2 || tempSchema(schema) || len(e.TempCode) > 0 && e.TempCode[name] != "" {
		return nil
	}
	if _, builtin := builtins[name]; builtin && (schema == "" || schema == "pg_catalog") {
		return nil
	}
	var found *Function
	for _, f := range e.Schema.Functions[name] {
		if schema == "" && !slices.Contains(e.Path, f.Schema) || schema != "" && f.Schema != schema {
			continue
		}
		if f.Sig != nil && !f.Sig.takes(args) {
			continue
		}
		if found != nil {
			return nil
		}
		found = f
	}
	return found
}

// takes reports whether a call may have so many arguments.
func (g *Signature) takes(args int) bool {
	least, most := 0, 0
	for _, a := range g.Args {
		switch a.Mode {
		case 'v':
			return true
		case 'i', 'b':
			most++
			if a.Default == "" {
				least++
			}
		}
	}
	return least <= args && args <= most
}

// scalarCall is what takes the place of a call in an expression.
func (in *inliner) scalarCall(call *sqlparse.FuncCall) sqlparse.Node {
	n := sqlparse.FuncCallNode(call)
	fn := in.callee(call)
	if fn == nil || fn.RetSet || !scalarKind(fn.Sig) {
		in.refuse()
		return n
	}
	out, ok := in.scalar(fn, call, in.around.once)
	if !ok {
		in.refuse()
		return n
	}
	in.calls++
	return out
}

// scalarKind reports whether a function gives one value of a type without parts.
func scalarKind(g *Signature) bool {
	return g.ReturnsRow == 0 && (g.ReturnsKind == 'b' || g.ReturnsKind == 'd' || g.ReturnsKind == 'e' || g.ReturnsKind == 'r' || g.ReturnsKind == 'm')
}

// scalar is the subquery that gives a function's value.
func (in *inliner) scalar(fn *Function, call *sqlparse.FuncCall, once bool) (sqlparse.Node, bool) {
	b := in.body(fn, call, once)
	if b == nil || len(b.q.out) != 1 || b.q.open {
		return nil, false
	}
	sel, ok := firstValue(b, fn)
	if !ok {
		return nil, false
	}
	n := sqlparse.SubLinkNode(sel)
	switch {
	case b.args != nil:
		n = sqlparse.SubLinkNode(&sqlparse.SelectStmt{
			TargetList: []sqlparse.Node{sqlparse.TargetNode(fn.Name, n)}, FromClause: []sqlparse.Node{b.args}, WhereClause: b.nulls(),
			LimitOption: sqlparse.LimitDefault, Op: sqlparse.SetNone,
		})
	case fn.Sig.Strict && len(b.simple) > 0:
		n = sqlparse.UnlessNode(b.nulls(), n)
	}
	return n, true
}

// firstValue makes the body give its first row's value alone, in the function's type and under its name, as
// FigureColname in parse_target.c names an expression.
func firstValue(b *inlinedBody, fn *Function) (*sqlparse.SelectStmt, bool) {
	s := b.sel
	plain := s.Op == sqlparse.SetNone && len(s.ValuesLists) == 0 && len(s.SortClause) == 0 && len(s.DistinctClause) == 0 &&
		len(s.GroupClause) == 0 && len(s.TargetList) == 1
	if !plain {
		var ok bool
		if s, ok = wrapped(s, []string{"value"}); !ok {
			return nil, false
		}
	}
	one := plain && b.single()
	if !one && !limitToOne(s) {
		if s.LimitCount != nil || s.LimitOffset != nil {
			var ok bool
			if s, ok = wrapped(s, []string{"value"}); !ok {
				return nil, false
			}
			plain = false
		}
		s.LimitCount, s.LimitOption = sqlparse.Integer(1), sqlparse.LimitCountOption
	}
	rt := s.TargetList[0].GetResTarget()
	val, err := sqlparse.Cast(rt.Val, fn.Sig.Returns)
	if err != nil {
		return nil, false
	}
	rt.Val, rt.Name = val, fn.Name
	return s, true
}

// limitToOne lowers a constant LIMIT to one row.
func limitToOne(s *sqlparse.SelectStmt) bool {
	c := s.LimitCount.GetAConst()
	if c == nil || c.GetIval() == nil || s.LimitOption == sqlparse.LimitWithTies {
		return false
	}
	if c.GetIval().Ival > 1 {
		c.GetIval().Ival = 1
	}
	return true
}

// wrapped is SELECT columns FROM (s) with names for its columns.
func wrapped(s *sqlparse.SelectStmt, names []string) (*sqlparse.SelectStmt, bool) {
	out := &sqlparse.SelectStmt{LimitOption: sqlparse.LimitDefault, Op: sqlparse.SetNone}
	out.FromClause = []sqlparse.Node{sqlparse.SubqueryNode(s, bodyAlias, names, false)}
	for _, n := range names {
		out.TargetList = append(out.TargetList, sqlparse.TargetNode("", sqlparse.ColumnNode(bodyAlias, n)))
	}
	return out, true
}

// noteWiths notes the names of WITH queries, which hide views.
func (in *inliner) noteWiths(n sqlparse.Node) {
	in.withs = map[string]bool{}
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if cte := n.GetCommonTableExpr(); cte != nil {
			in.withs[cte.Ctename] = true
		}
		return true
	})
}

// view is what takes the place of a view that calls functions over sharded or reference tables: its query, where the view's
// rights are the session's own.
func (in *inliner) view(n sqlparse.Node) sqlparse.Node {
	rv := n.GetRangeVar()
	if rv.Schemaname == "" && in.withs[rv.Relname] {
		return n
	}
	t, _ := in.env.resolve(rv)
	if t == nil || t.Kind != TableView || in.env.reachFacts(t.ReadReach)&(fnSharded|fnDynamic) == 0 {
		return n
	}
	stmts, err := sqlparse.Parse(t.Definition)
	if err != nil || len(stmts) != 1 || stmts[0].Node.GetSelectStmt() == nil || t.Owner != in.env.User {
		in.refuse()
		return n
	}
	alias, names := t.Name, make([]string, len(t.Columns))
	for i := range t.Columns {
		names[i] = t.Columns[i].Name
	}
	if rv.Alias != nil {
		alias = rv.Alias.Aliasname
		given := sqlparse.Strings(rv.Alias.Colnames)
		if len(given) > len(names) {
			in.refuse()
			return n
		}
		copy(names, given)
	}
	in.calls++
	return sqlparse.SubqueryNode(stmts[0].Node.GetSelectStmt(), alias, names, false)
}

// RefuseFunction is why a call of a function over sharded or reference tables does not run.
func RefuseFunction() *pgerr.Error { return refFuncSharded }

// RefuseCode is why DO or CALL with code over sharded or reference tables does not run.
func RefuseCode() *pgerr.Error { return refDo }

// RefuseLoopQuery is why code does not go on whose loop PostgreSQL would have begun.
func RefuseLoopQuery() *pgerr.Error { return refLoopQuery }
