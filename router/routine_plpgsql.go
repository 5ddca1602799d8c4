package router

import (
	"maps"
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
	out := &Program{PL: true, Found: -1, Held: map[int]*ProgramRecord{}, Void: fn == nil || fn.Kind == 'p' || fn.Sig.Returns == "void"}
	if fn != nil && !b.inFrom {
		b.programs[fn] = out
	}
	names := &programNames{prog: out, record: map[int]bool{}, records: map[int]*ProgramRecord{}, fills: map[int]int{}}
	if fn != nil {
		names.fn, names.in = fn.Name, len(fn.Sig.Args)
		out.Outs = fn.Sig.outs()
	}
	var outer []int
	b.defaults = map[int]string{}
	for i, v := range f.Vars {
		in := ProgramVar{Line: v.Line}
		t := b.rowType(v)
		if t == nil || i < names.in || v.Default != "" {
			in.Type = b.variableType(v)
		}
		switch {
		case in.Type == "" && t != nil:
			names.record[i] = true
			names.records[i] = &ProgramRecord{Like: "SELECT * FROM " + quoteName(t.Schema, t.Name)}
			out.Held[i] = names.records[i]
		case v.Record:
			names.record[i] = true
		case v.Name == "found" && v.Line == 0 && i >= names.in:
			out.Found, in.Type = i, "boolean" // which the parser spells in quotes
		case strings.HasPrefix(v.Name, "__Case__Variable_"):
			in = ProgramVar{Learned: true}
		}
		if i < names.in || i == out.Found {
			outer = append(outer, i)
		}
		b.defaults[i] = v.Default
		names.list, out.Vars = append(names.list, v.Name), append(out.Vars, in)
	}
	names.push(outer...)
	countFills([]sqlparse.PLStatement{f.Block}, names.fills)
	out.Steps = b.steps([]sqlparse.PLStatement{f.Block}, names)
	return out
}

// variableType is a variable's type as a cast names it, "" where it has none of its own.
func (b *routineBuilder) variableType(v sqlparse.PLVar) string {
	typ := strings.TrimSpace(v.Type)
	if v.Name == "" || v.Record {
		return ""
	}
	if typ == `pg_catalog."integer"` { // the parser's spelling of a loop's variable
		return "integer"
	}
	if column, ok := strings.CutSuffix(strings.ToLower(typ), "%type"); ok {
		typ = b.columnType(column)
	}
	b.bad = b.bad || strings.ContainsAny(typ, "%()") || typ == "" || !v.Plain
	return typ
}

// rowType is the table whose rows a variable holds, nil for others.
func (b *routineBuilder) rowType(v sqlparse.PLVar) *Table {
	name := strings.TrimSpace(v.Type)
	if v.Name == "" || v.Record || !v.Plain {
		return nil
	}
	if i := strings.IndexByte(name, '%'); i >= 0 {
		if !strings.EqualFold(strings.TrimSpace(name[i+1:]), "rowtype") {
			return nil
		}
		name = name[:i]
	}
	return b.tableNamed(name)
}

// tableNamed is a table by its name as SQL has it, nil where there is none.
func (b *routineBuilder) tableNamed(name string) *Table {
	stmts, err := sqlparse.Parse("SELECT FROM " + name)
	if err != nil || len(stmts) != 1 || len(stmts[0].Node.GetSelectStmt().GetFromClause()) != 1 {
		return nil
	}
	rv := stmts[0].Node.GetSelectStmt().FromClause[0].GetRangeVar()
	if rv == nil || rv.Alias != nil {
		return nil
	}
	t, _ := b.env.resolve(rv)
	if t != nil && t.Kind != TableLocal && t.Kind != TableSharded && t.Kind != TableReference {
		return nil
	}
	return t
}

// columnType is the type of table.column, "" where that is not certain.
func (b *routineBuilder) columnType(name string) string {
	at := strings.LastIndexByte(name, '.')
	if at < 0 {
		return "" // of a variable
	}
	t := b.tableNamed(name[:at])
	if t == nil {
		return ""
	}
	for i := range t.Columns {
		if t.Columns[i].Name == strings.TrimSpace(name[at+1:]) {
			return t.Columns[i].TypeName
		}
	}
	return ""
}

// steps reads statements. What records hold behind them is not certain where the statements may not have run.
func (b *routineBuilder) steps(list []sqlparse.PLStatement, names *programNames) []ProgramStep {
	before := maps.Clone(names.records)
	var out []ProgramStep
	for i := range list {
		if b.bad {
			return nil
		}
		out = append(out, b.step(&list[i], names))
	}
	names.records = before
	return out
}

func (b *routineBuilder) step(in *sqlparse.PLStatement, names *programNames) ProgramStep {
	if len(in.Into) == 1 && names.record[in.Into[0]] && in.Record < 0 {
		row := *in
		row.Record, row.Into = in.Into[0], nil
		in = &row
	}
	s := ProgramStep{Kind: in.Kind, Line: in.Line, Label: in.Label, Into: in.Into, Strict: in.Strict, Target: in.Target}
	for _, v := range s.Into {
		b.bad = b.bad || names.list[v] == "" || names.record[v]
	}
	switch in.Kind {
	case "SQL statement", "PERFORM":
		s.SQL = b.query(in.Query, names)
		if s.SQL != nil && in.Kind == "SQL statement" {
			b.bad = b.bad || s.SQL.gives != (in.Into != nil || in.Record >= 0)
		}
		b.fill(&s, in, names)
	case "EXECUTE":
		s.SQL = b.expr(in.Query, names)
		s.Args = b.exprs(in.Args, names)
		b.bad = b.bad || in.Record >= 0
	case "assignment":
		s.SQL = b.assigned(in, names)
	case "RETURN":
		if in.Query != "" {
			s.SQL = b.expr(in.Query, names)
		}
	case "IF":
		b.arms(&s, in, names)
	case "CASE":
		if in.Query != "" {
			s.SQL = b.expr(in.Query, names)
			names.push(in.Target)
			defer names.pop()
		}
		s.Missing = in.Missing
		b.arms(&s, in, names)
	case "EXIT", "CONTINUE":
		if in.Query != "" {
			s.SQL = b.expr(in.Query, names)
		}
	case "GET DIAGNOSTICS", "GET STACKED DIAGNOSTICS":
		for _, item := range in.Items {
			s.Items = append(s.Items, ProgramItem(item))
			b.bad = b.bad || names.list[item.Target] == "" || names.record[item.Target]
		}
	case "RETURN NEXT":
		b.returnNext(&s, in, names)
	case "RETURN QUERY":
		b.returnQuery(&s, in, names)
	case "ASSERT":
		s.SQL, s.Args = b.expr(in.Query, names), b.exprs(in.Args, names)
	case "RAISE":
		b.raise(&s, in, names)
	default:
		b.compound(&s, in, names)
	}
	for _, a := range s.Args {
		b.bad = b.bad || a == nil || a.Call != nil // their values are told as text, or bound
	}
	return s
}

func (b *routineBuilder) arms(s *ProgramStep, in *sqlparse.PLStatement, names *programNames) {
	for _, arm := range in.Arms {
		s.Arms = append(s.Arms, ProgramArm{b.expr(arm.Cond, names), b.steps(arm.Body, names)})
	}
	s.Else = b.steps(in.Else, names)
}

// query is one SQL statement of a body.
func (b *routineBuilder) query(text string, names *programNames) *ProgramSQL {
	stmts, err := sqlparse.Parse(text)
	if b.bad = b.bad || err != nil || len(stmts) != 1; b.bad {
		return nil
	}
	if s := b.schemaChange(text, names); s != nil {
		return s
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
	if s == nil {
		return nil
	}
	s.Long = `SQL expression "` + text + `"`
	if b.env.Major >= 18 {
		s.Long = "PL/pg" + s.Long
	}
	if !simple {
		s.Source = s.Long
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
func (b *routineBuilder) assigned(in *sqlparse.PLStatement, names *programNames) *ProgramSQL {
	target, expr, ok := strings.Cut(in.Query, "=")
	target = strings.TrimSpace(strings.TrimSuffix(target, ":"))
	if !ok || names.index(strings.ToLower(target)) != in.Target || names.record[in.Target] {
		b.bad = true
		return nil
	}
	s := b.expr(expr, names)
	if s == nil {
		return nil
	}
	if s.Long = `PL/pgSQL assignment "` + in.Query + `"`; s.Source != "" {
		s.Source = s.Long
	}
	return s
}

// raiseLevels are elog.h's.
var raiseLevels = map[int]string{14: "DEBUG", 15: "LOG", 17: "INFO", 18: "NOTICE", 19: "WARNING", 21: "EXCEPTION"}

// raiseOptions are those of PLpgSQL_raise_option_type.
var raiseOptions = []string{"ERRCODE", "MESSAGE", "DETAIL", "HINT", "COLUMN", "CONSTRAINT", "DATATYPE", "TABLE", "SCHEMA"}

func (b *routineBuilder) raise(s *ProgramStep, in *sqlparse.PLStatement, names *programNames) {
	s.Level, s.Name = raiseLevels[in.Level], in.Name
	s.Args = b.exprs(in.Args, names)
	if in.Told {
		s.Message = messageParts(in.Message)
	}
	b.bad = b.bad || s.Level == "" || len(s.Args) != max(len(s.Message)-1, 0)
	for _, o := range in.Options {
		if o.Option < 0 || o.Option >= len(raiseOptions) {
			b.bad = true
			return
		}
		s.Options = append(s.Options, RaiseOption{raiseOptions[o.Option], b.expr(o.Expr, names)})
	}
}

// messageParts is what stands between the places of RAISE's arguments.
func messageParts(message string) (out []string) {
	var part strings.Builder
	for i := 0; i < len(message); i++ {
		switch {
		case message[i] != '%':
			part.WriteByte(message[i])
		case i+1 < len(message) && message[i+1] == '%':
			part.WriteByte('%')
			i++
		default:
			out = append(out, part.String())
			part.Reset()
		}
	}
	return append(out, part.String())
}

// countFills counts the statements that fill each record.
func countFills(list []sqlparse.PLStatement, fills map[int]int) {
	for i := range list {
		s := &list[i]
		if s.Record >= 0 {
			fills[s.Record]++
		}
		for _, arm := range s.Arms {
			countFills(arm.Body, fills)
		}
		for _, h := range s.Handlers {
			countFills(h.Body, fills)
		}
		countFills(s.Else, fills)
		countFills(s.Body, fills)
	}
}
