package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// Routine is a statement that runs code over sharded or reference tables, and does nothing else: DO, CALL, or a SELECT of
// calls. Its code runs statement by statement, each of them planned by itself.
type Routine struct {
	Calls []RoutineCall
	// Answer gives the row of a SELECT: parameter i is the value of call i. With Rows it is the SELECT, with the rows of the only call
	// as those of step 0.
	Answer string
	Rows   bool
	Tag    string // of DO and CALL
}

// RoutineCall is one call.
type RoutineCall struct {
	Fn      *Function // nil for DO
	Args    string    // a SELECT of the arguments, with the client's parameters; "" for none
	Program *Program
}

// tryRoutine plans DO, CALL and a SELECT of calls that are refused for what their code reaches.
func (p *planner) tryRoutine() {
	t := p.t
	if t.Kind != KindRefuse || t.Refusal != refFuncSharded && t.Refusal != refDo || p.from > 0 || p.gatherOnly || p.homeCopy || p.inlined > 0 {
		return
	}
	stmts, err := sqlparse.Parse(p.text)
	if err != nil || len(stmts) != 1 {
		return
	}
	b := &routineBuilder{env: p.env, out: &Routine{}, programs: map[*Function]*Program{}}
	switch n := stmts[0].Node; {
	case n.GetDoStmt() != nil:
		b.do(n, p.whole())
		t.Command = "DO"
	case n.GetCallStmt() != nil:
		b.out.Tag, t.Returns = "CALL", false
		b.add(b.call(n.GetCallStmt().Funccall, 'p', false))
	case n.GetSelectStmt() != nil:
		b.selects(n.GetSelectStmt())
	default:
		return
	}
	if b.bad || len(b.out.Calls) == 0 || b.severalSnapshots() || len(p.env.TempCode) > 0 && (!b.inDo || b.foreign) {
		return
	}
	t.Kind, t.Refusal, t.Routine, t.Cacheable = KindRoutine, nil, b.out, false
	t.Clock, t.ClockWords = nil, nil
	t.Writes, t.Effect = true, EffectUnclean
}

type routineBuilder struct {
	env  *Env
	out  *Routine
	vars []ProgramVar // of the function in SQL that is read
	// defaults are the expressions of the variables of the body in PL/pgSQL that is read.
	defaults map[int]string
	inFrom   bool // the call that is read gives rows
	// programs are those of the functions that are called, which may call each other.
	programs map[*Function]*Program
	stable   []*RoutineCall // of STABLE functions in bodies
	inDo     bool           // it is a DO block that is read
	changes  bool           // which changes the schema
	foreign  bool           // and has statements whose types a schema change could change
	bad      bool
}

// do reads a DO block.
func (b *routineBuilder) do(n sqlparse.Node, text string) {
	body := ""
	for _, d := range n.GetDoStmt().Args {
		if d.GetDefElem().GetDefname() == "as" {
			body = d.GetDefElem().Arg.GetString_().GetSval()
		}
		if d.GetDefElem().GetDefname() == "language" && d.GetDefElem().Arg.GetString_().GetSval() != "plpgsql" {
			b.bad = true
		}
	}
	b.out.Tag, b.inDo = "DO", true
	c := RoutineCall{Program: b.plpgsql(text, body, nil)}
	if b.bad = b.bad || b.changes && b.foreign; b.bad {
		return
	}
	c.Program.Settled = !b.foreign
	b.out.Calls = append(b.out.Calls, c)
}

// selects reads a SELECT of nothing but calls.
func (b *routineBuilder) selects(s *sqlparse.SelectStmt) {
	if len(s.FromClause) == 1 && s.FromClause[0].GetRangeFunction() != nil {
		b.rows(s)
		return
	}
	if !onlyTargets(s) || len(s.TargetList) == 0 {
		b.bad = true
		return
	}
	var values []string
	for i, n := range s.TargetList {
		call := n.GetResTarget().GetVal().GetFuncCall()
		if call == nil {
			b.bad = true
			return
		}
		fn := b.add(b.call(call, 'f', false))
		if b.bad {
			return
		}
		value := "$" + itoa(i+1) + "::" + fn.Sig.Returns
		if fn.Sig.Returns == "void" {
			value = "CASE WHEN $" + itoa(i+1) + "::int IS NOT NULL THEN ''::void END"
		}
		values = append(values, value)
	}
	b.out.Answer = "SELECT " + strings.Join(values, ", ")
}

// call reads one call; rows tells that it stands in FROM.
func (b *routineBuilder) call(call *sqlparse.FuncCall, kind byte, rows bool) *RoutineCall {
	if call.AggStar || call.AggDistinct || call.AggFilter != nil || call.Over != nil || len(call.AggOrder) > 0 || call.AggWithinGroup || call.FuncVariadic {
		b.bad = true
		return nil
	}
	fn := b.env.theFunction(call.Funcname, len(call.Args))
	if fn == nil || fn.Sig == nil || fn.Kind != kind || !b.env.mayCall(fn) ||
		kind == 'f' && (fn.Volatility != 'v' && (fn.Volatility != 's' || fn.Language != "plpgsql") || !rows && (fn.RetSet || !scalarKind(fn.Sig) && fn.Sig.Returns != "void")) {
		b.bad = true
		return nil
	}
	for i, a := range fn.Sig.Args {
		// A call's arguments are the first variables.
		b.bad = b.bad || a.Mode != 'i' && (!rows || a.Mode != 'o' && a.Mode != 't') || a.Mode == 'i' && i > 0 && fn.Sig.Args[i-1].Mode != 'i'
	}
	args := (&inliner{env: b.env}).arguments(fn, call)
	if args == nil {
		b.bad = true
	}
	if b.bad {
		return nil
	}
	c := &RoutineCall{Fn: fn}
	if len(args) > 0 {
		s := &sqlparse.SelectStmt{LimitOption: sqlparse.LimitDefault, Op: sqlparse.SetNone}
		for i, n := range args {
			cast, err := sqlparse.Cast(n, fn.Sig.Args[i].Type)
			b.bad = b.bad || err != nil
			s.TargetList = append(s.TargetList, sqlparse.TargetNode("", cast))
		}
		text, err := sqlparse.Deparse(sqlparse.SelectNode(s))
		b.bad = b.bad || err != nil || !b.runs(text)
		c.Args = text
	}
	switch c.Program = b.programs[fn]; {
	case c.Program != nil && !rows:
	case fn.Language == "plpgsql":
		c.Program = b.plpgsql(fn.definition(), fn.Body, fn)
	default:
		c.Program = b.sql(fn)
	}
	return c
}

// add makes a call one of the statement's own.
func (b *routineBuilder) add(c *RoutineCall) *Function {
	if c == nil {
		return nil
	}
	b.out.Calls = append(b.out.Calls, *c)
	return c.Fn
}

// nested reads a statement of a body that is the call of another function.
func (b *routineBuilder) nested(n sqlparse.Node) *RoutineCall {
	s := n.GetSelectStmt()
	if s == nil || !onlyTargets(s) || len(s.TargetList) != 1 || s.TargetList[0].GetResTarget().GetVal().GetFuncCall() == nil {
		b.bad = true
		return nil
	}
	vars, defaults, inFrom := b.vars, b.defaults, b.inFrom
	b.inFrom = false
	c := b.call(s.TargetList[0].GetResTarget().Val.GetFuncCall(), 'f', false)
	b.vars, b.defaults, b.inFrom = vars, defaults, inFrom
	if c != nil && c.Fn.Volatility == 's' {
		b.stable = append(b.stable, c)
	}
	return c
}

// runs reports whether a statement has a plan.
func (b *routineBuilder) runs(text string) bool {
	switch t := plan(text, *b.env, planner{inlined: maxInlined - 1}); t.Kind {
	case KindHome, KindAny, KindShards, KindInsert, KindInsertQuery, KindPrelude, KindCopyRows, KindEverywhere, KindInlined:
		return len(t.SetConfig) == 0 && !t.NeedsSequenceState && (t.Clock == nil || !t.Clock.Hidden)
	}
	return false
}

// definition is a statement that makes the function's body known to the parser of PL/pgSQL.
func (f *Function) definition() string {
	var args, columns []string
	outs := false
	for _, a := range f.Sig.Args {
		arg := strings.TrimSpace(quoted(a.Name) + " " + a.Type)
		switch a.Mode {
		case 't':
			columns = append(columns, arg)
		case 'o':
			arg, outs = "OUT "+arg, true
			fallthrough
		default:
			args = append(args, arg)
		}
	}
	head, tail := "CREATE PROCEDURE ", ""
	switch {
	case f.Kind != 'f':
	case len(columns) > 0:
		head, tail = "CREATE FUNCTION ", " RETURNS TABLE ("+strings.Join(columns, ", ")+")"
	case outs && !f.RetSet:
		head = "CREATE FUNCTION "
	case f.RetSet:
		head, tail = "CREATE FUNCTION ", " RETURNS SETOF "+f.Sig.Returns
	default:
		head, tail = "CREATE FUNCTION ", " RETURNS "+f.Sig.Returns
	}
	tag := "$pleiad$"
	for strings.Contains(f.Body, tag) {
		tag = strings.TrimSuffix(tag, "$") + "x$"
	}
	return head + quoted(f.Name) + "(" + strings.Join(args, ", ") + ")" + tail + " LANGUAGE plpgsql AS " + tag + f.Body + tag
}

func quoted(name string) string {
	if name == "" {
		return ""
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// sql reads the statements of a function in SQL.
func (b *routineBuilder) sql(fn *Function) *Program {
	out := &Program{Found: -1, Void: fn.Sig.Returns == "void"}
	if !b.inFrom {
		b.programs[fn] = out
	}
	names := &programNames{fn: fn.Name}
	b.bad = b.bad || b.inFrom && !fn.RetSet && len(fn.Sig.outs()) > 0
	for _, a := range fn.Sig.Args {
		out.Vars = append(out.Vars, ProgramVar{Type: a.Type})
		names.list = append(names.list, a.Name)
	}
	b.vars = out.Vars
	stmts := fn.statements()
	for i, n := range stmts {
		s := b.statement(n, names, false)
		if b.bad {
			return nil
		}
		if i == len(stmts)-1 && !out.Void && n.GetSelectStmt() == nil && len(sqlparse.ReturningOf(n)) == 0 {
			b.bad = true
		}
		out.Steps = append(out.Steps, ProgramStep{Line: i + 1, SQL: s})
	}
	b.bad = b.bad || len(stmts) == 0
	return out
}

// statement puts parameters in the places of variables.
func (b *routineBuilder) statement(n sqlparse.Node, names *programNames, pl bool) *ProgramSQL {
	if n.GetSelectStmt() == nil && n.GetInsertStmt() == nil && n.GetUpdateStmt() == nil && n.GetDeleteStmt() == nil && n.GetMergeStmt() == nil {
		b.bad = true
		return nil
	}
	out := &ProgramSQL{Reads: n.GetSelectStmt() != nil}
	out.gives = out.Reads || len(sqlparse.ReturningOf(n)) > 0
	ps := &programUses{names: names, pl: pl, of: map[*sqlparse.ColumnRef]int{}}
	a := &analysis{env: b.env}
	a.seen = func(ref *sqlparse.ColumnRef, sc *scope) {
		if a.foreign == 0 {
			ps.see(ref, sc)
		}
	}
	if a.statement(n) == nil || !ps.settled(n) {
		b.bad = true
		return nil
	}
	out.lazy = out.Reads && (a.locking || a.fn&fnRepeats != 0)
	out.readsTables(n, a)
	b.settle(n)
	if !pl && b.env.foldsInStatement(n, names, b.vars, func(ref *sqlparse.ColumnRef) int { return ps.of[ref] - 1 }) {
		b.bad = true
		return nil
	}
	param := func(i int) sqlparse.Node {
		at := slices.Index(out.Vars, i)
		if at < 0 {
			at = len(out.Vars)
			out.Vars = append(out.Vars, i)
		}
		return sqlparse.ParamNode(at + 1)
	}
	sqlparse.RewriteChildren(n, func(n sqlparse.Node) (sqlparse.Node, bool) {
		switch {
		case n.GetParamRef() != nil:
			i := int(n.GetParamRef().Number) - 1
			if i < 0 || i >= names.args() {
				b.bad = true
				return n, false
			}
			return param(i), false
		case n.GetColumnRef() != nil:
			if i := ps.of[n.GetColumnRef()]; i > 0 {
				return param(i - 1), false
			}
		}
		return n, true
	})
	text, err := sqlparse.Deparse(n)
	if b.bad = b.bad || err != nil; b.bad {
		return nil
	}
	if out.Text = text; !b.runs(text) {
		if !pl {
			b.bad = true
		} else {
			out.Call = b.nested(n)
		}
	}
	return out
}
