package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// plpgsql reads a body in PL/pgSQL; fn is nil for DO.
func (b *routineBuilder) plpgsql(definition, body string, fn *Function) *Program {
	f, err := sqlparse.ParsePLpgSQL(definition, body)
	b.bad = b.bad || strings.Contains(definition, "#print_strict_params")
	for _, w := range ReadBody(definition).Names {
		b.bad = b.bad || w == "statement_timestamp" // that of the statement that calls
	}
	if b.bad = b.bad || err != nil; b.bad {
		return nil
	}
	out := &Program{PL: true, Found: -1, Line: f.Line, Void: fn == nil || fn.Kind == 'p' || fn.Sig.Returns == "void"}
	names := &programNames{}
	if fn != nil {
		names.fn, names.in = fn.Name, len(fn.Sig.Args)
	}
	for i, v := range f.Vars {
		if v.Name == "found" && v.Line == 0 && i >= names.in {
			out.Found, v.Type = i, "boolean" // which the parser spells in quotes
		}
		if v.Name == "(unnamed row)" {
			v.Name = ""
		}
		b.bad = b.bad || v.Name != "" && (names.index(v.Name) >= 0 || strings.ContainsAny(v.Type, "%()") || !v.Plain)
		names.list = append(names.list, v.Name)
		out.Vars = append(out.Vars, ProgramVar{Type: strings.TrimSpace(v.Type), Line: v.Line})
	}
	for i, v := range f.Vars {
		if v.Default != "" {
			out.Vars[i].Default = b.expr(v.Default, names)
		}
	}
	out.Steps = b.steps(f.Body, names)
	if !out.Void && !returns(out.Steps) {
		b.bad = true // 2F005 may be due
	}
	return out
}

// returns reports whether control cannot reach the end of the statements.
func returns(list []ProgramStep) bool {
	for _, s := range list {
		switch s.Kind {
		case "RETURN":
			return s.SQL != nil
		case "IF":
			all := returns(s.Else)
			for _, a := range s.Arms {
				all = all && returns(a.Body)
			}
			if all {
				return true
			}
		}
	}
	return false
}

func (b *routineBuilder) steps(list []sqlparse.PLStatement, names *programNames) []ProgramStep {
	var out []ProgramStep
	for _, in := range list {
		if b.bad {
			return nil
		}
		s := ProgramStep{Kind: in.Kind, Line: in.Line, Into: in.Into, Strict: in.Strict, Target: in.Target}
		switch in.Kind {
		case "SQL statement", "PERFORM":
			s.SQL = b.query(in.Query, names)
			if s.SQL != nil && in.Kind == "SQL statement" {
				b.bad = b.bad || s.SQL.gives != (in.Into != nil)
			}
		case "EXECUTE":
			s.SQL = b.expr(in.Query, names)
			s.Args = b.exprs(in.Args, names)
		case "assignment":
			s.SQL = b.assigned(in.Query, names)
		case "RETURN":
			if in.Query != "" {
				s.SQL = b.expr(in.Query, names)
			}
		case "IF":
			for _, arm := range in.Arms {
				s.Arms = append(s.Arms, ProgramArm{b.expr(arm.Cond, names), b.steps(arm.Body, names)})
			}
			s.Else = b.steps(in.Else, names)
		case "RAISE":
			b.raise(&s, in, names)
		}
		out = append(out, s)
	}
	return out
}

// query is one SQL statement of a body.
func (b *routineBuilder) query(text string, names *programNames) *ProgramSQL {
	stmts, err := sqlparse.Parse(text)
	if b.bad = b.bad || err != nil || len(stmts) != 1; b.bad {
		return nil
	}
	s := b.statement(stmts[0].Node, names, true)
	if s != nil {
		s.Source = `SQL statement "` + text + `"`
	}
	return s
}

// expr is an expression of a body.
func (b *routineBuilder) expr(text string, names *programNames) *ProgramSQL {
	stmts, err := sqlparse.Parse("SELECT " + text)
	if b.bad = b.bad || err != nil || len(stmts) != 1 || stmts[0].Node.GetSelectStmt() == nil; b.bad {
		return nil
	}
	sel := stmts[0].Node.GetSelectStmt()
	b.bad = b.bad || len(sel.TargetList) != 1 || len(sel.FromClause) > 0 && !aggregated(sel)
	n := stmts[0].Node
	simple := len(sel.FromClause) == 0
	sqlparse.Walk(sel.TargetList[0], func(n sqlparse.Node) bool {
		simple = simple && n.GetSelectStmt() == nil
		return simple
	})
	s := b.statement(n, names, true)
	if s != nil && !simple {
		s.Source = `SQL expression "` + text + `"`
	}
	return s
}

// aggregated reports whether a SELECT gives one row as its shape tells.
func aggregated(s *sqlparse.SelectStmt) bool {
	found := false
	sqlparse.WalkList(s.TargetList, func(n sqlparse.Node) bool {
		if f := n.GetFuncCall(); f != nil && f.Over == nil {
			_, name := listName(f.Funcname)
			found = found || builtins[name]&fnAggregate != 0
		}
		return n.GetSelectStmt() == nil
	})
	return found && len(s.GroupClause) == 0
}

func (b *routineBuilder) exprs(list []string, names *programNames) []*ProgramSQL {
	var out []*ProgramSQL
	for _, e := range list {
		out = append(out, b.expr(e, names))
	}
	return out
}

// assigned is the right side of an assignment, which the parser gives as a whole.
func (b *routineBuilder) assigned(text string, names *programNames) *ProgramSQL {
	target, expr, ok := strings.Cut(text, "=")
	target = strings.TrimSpace(strings.TrimSuffix(target, ":"))
	if !ok || names.index(strings.ToLower(target)) < 0 {
		b.bad = true
		return nil
	}
	s := b.expr(expr, names)
	if s != nil && s.Source != "" {
		s.Source = `PL/pgSQL assignment "` + text + `"`
	}
	return s
}

// raiseLevels are elog.h's.
var raiseLevels = map[int]string{14: "DEBUG", 15: "LOG", 17: "INFO", 18: "NOTICE", 19: "WARNING", 21: "EXCEPTION"}

// raiseOptions are those of PLpgSQL_raise_option_type.
var raiseOptions = []string{"ERRCODE", "", "DETAIL", "HINT", "COLUMN", "CONSTRAINT", "DATATYPE", "TABLE", "SCHEMA"}

func (b *routineBuilder) raise(s *ProgramStep, in sqlparse.PLStatement, names *programNames) {
	s.Level = raiseLevels[in.Level]
	var part strings.Builder
	for i := 0; i < len(in.Message); i++ {
		switch {
		case in.Message[i] != '%':
			part.WriteByte(in.Message[i])
		case i+1 < len(in.Message) && in.Message[i+1] == '%':
			part.WriteByte('%')
			i++
		default:
			s.Message = append(s.Message, part.String())
			part.Reset()
		}
	}
	s.Message = append(s.Message, part.String())
	s.Args = b.exprs(in.Args, names)
	b.bad = b.bad || s.Level == "" || len(s.Args) != len(s.Message)-1
	for _, o := range in.Options {
		if o.Option < 0 || o.Option >= len(raiseOptions) || raiseOptions[o.Option] == "" {
			b.bad = true
			return
		}
		s.Options = append(s.Options, RaiseOption{raiseOptions[o.Option], b.expr(o.Expr, names)})
	}
}
