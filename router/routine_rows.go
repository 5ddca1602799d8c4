package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// rows reads a SELECT from one function: its rows are made first, and home computes the rest of them.
func (b *routineBuilder) rows(s *sqlparse.SelectStmt) {
	rf := s.FromClause[0].GetRangeFunction()
	call := tableCall(rf)
	if call == nil || rf.Ordinality || rf.IsRowsfrom || len(rf.Coldeflist) > 0 || rf.Lateral || !readsAll(s) ||
		len(rf.Functions[0].GetList().GetItems()) > 1 && rf.Functions[0].GetList().GetItems()[1].GetList() != nil {
		b.bad = true
		return
	}
	b.inFrom = true
	fn := b.add(b.call(call, 'f', true))
	if b.bad {
		return
	}
	alias := fn.Name
	if rf.Alias != nil {
		alias = rf.Alias.Aliasname
	}
	cols, ok := b.env.resultColumns(fn, alias)
	if !ok || len(cols) == 1 && fn.Sig.ReturnsRow != 0 || fn.Sig.Returns == "void" {
		b.bad = true
		return
	}
	prog := b.out.Calls[0].Program
	prog.Rows = true
	names := make([]string, len(cols))
	var nulls []string
	for i, c := range cols {
		names[i] = c.Name
		prog.Columns = append(prog.Columns, c.Type)
		nulls = append(nulls, "NULL::"+c.Type)
	}
	if rf.Alias != nil {
		given := sqlparse.Strings(rf.Alias.Colnames)
		if b.bad = len(given) > len(names); b.bad {
			return
		}
		copy(names, given)
	}
	s.FromClause[0] = sqlparse.Range(preludeRows(0), alias, names)
	text, err := sqlparse.Deparse(sqlparse.SelectNode(s))
	if b.bad = err != nil || steps(text) != 1; b.bad {
		return
	}
	rest := plan(FillRows(text, []string{"(SELECT " + strings.Join(nulls, ", ") + ")"}), *b.env, planner{inlined: maxInlined})
	b.bad = rest.Kind != KindHome && rest.Kind != KindAny || len(rest.SetConfig) > 0 || rest.NeedsSequenceState || rest.Clock != nil
	b.out.Answer, b.out.Rows = text, true
}

// readsAll reports whether PostgreSQL is certain to call the function in FROM: not for LIMIT 0, nor where it sees while it plans
// that no row passes.
func readsAll(s *sqlparse.SelectStmt) bool {
	rest := &sqlparse.SelectStmt{
		TargetList: s.TargetList, FromClause: s.FromClause, WhereClause: s.WhereClause, SortClause: s.SortClause, GroupClause: s.GroupClause,
		GroupDistinct: s.GroupDistinct, DistinctClause: s.DistinctClause, LimitCount: s.LimitCount, LimitOffset: s.LimitOffset,
		LimitOption: s.LimitOption, Op: s.Op,
	}
	if !sqlparse.Same(sqlparse.SelectNode(rest), sqlparse.SelectNode(s)) {
		return false
	}
	for _, n := range []sqlparse.Node{s.LimitCount, s.LimitOffset} {
		if n != nil && (n.GetAConst().GetIval() == nil || n == s.LimitCount && n.GetAConst().GetIval().Ival < 1) {
			return false
		}
	}
	if s.WhereClause == nil {
		return true
	}
	for _, n := range conjuncts(s.WhereClause, nil) {
		columns, plain := false, true
		sqlparse.Walk(n, func(n sqlparse.Node) bool {
			switch c := n.GetAConst(); {
			case n.GetColumnRef() != nil:
				columns = true
			case c != nil:
				plain = plain && !c.Isnull && c.GetBoolval() == nil
			case n.GetFuncCall() != nil || n.GetParamRef() != nil || n.GetSubLink() != nil || n.GetCaseExpr() != nil || n.GetCoalesceExpr() != nil ||
				n.GetMinMaxExpr() != nil || n.GetSqlvalueFunction() != nil || n.GetAExpr().GetKind() == sqlparse.ExprNullIf:
				plain = false
			}
			return plain
		})
		if !columns || !plain {
			return false
		}
	}
	return true
}

// outs are the places of the columns that a function has as arguments.
func (g *Signature) outs() (out []int) {
	for i, a := range g.Args {
		if a.Mode == 'o' || a.Mode == 't' {
			out = append(out, i)
		}
	}
	return out
}

// returnNext reads RETURN NEXT: the function's own columns, a record, or a value.
func (b *routineBuilder) returnNext(s *ProgramStep, in *sqlparse.PLStatement, names *programNames) {
	at := names.index(in.Name)
	switch {
	case !b.inFrom:
		b.bad = true
	case len(names.prog.Outs) > 0:
		b.bad = b.bad || in.Query != "" || in.Name != ""
	case in.Query != "":
		s.SQL = b.expr(in.Query, names)
	case names.records[at] != nil:
		s.Record = names.records[at]
		s.Record.Whole = true
	case at < 0 || names.record[at]:
		b.bad = true
	default:
		s.SQL = b.expr(in.Name, names)
	}
}

// returnQuery reads RETURN QUERY.
func (b *routineBuilder) returnQuery(s *ProgramStep, in *sqlparse.PLStatement, names *programNames) {
	b.bad = b.bad || !b.inFrom
	if s.Dynamic = in.Dynamic; s.Dynamic {
		s.SQL, s.Args = b.expr(in.Query, names), b.exprs(in.Args, names)
		return
	}
	s.SQL = b.query(in.Query, names)
	b.bad = b.bad || s.SQL == nil || !s.SQL.gives || s.SQL.Call != nil
}
