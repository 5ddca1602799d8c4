package sqlparse

import "encoding/json"

// plExpr is PLpgSQL_expr.
type plExpr map[string]struct {
	Query string `json:"query"`
}

func (e plExpr) text() string { return e["PLpgSQL_expr"].Query }

// plNode has the fields of every statement that is read. What is zero is left out of the text: number 0, too.
type plNode struct {
	Line       int                             `json:"lineno"`
	Label      string                          `json:"label"`
	Body       []map[string]plNode             `json:"body"`
	Exceptions map[string]map[string][]plNamed `json:"exceptions"`
	SQL        plExpr                          `json:"sqlstmt"`
	Query      plExpr                          `json:"query"`
	Dynamic    plExpr                          `json:"dynquery"`
	Expr       plExpr                          `json:"expr"`
	Cond       plExpr                          `json:"cond"`
	Into       bool                            `json:"into"`
	Strict     bool                            `json:"strict"`
	Target     plTarget                        `json:"target"`
	Var        plTarget                        `json:"var"`
	Varno      int                             `json:"varno"`
	Retvarno   *int                            `json:"retvarno"`
	Items      []map[string]plDiag             `json:"diag_items"`
	Stacked    bool                            `json:"is_stacked"`
	Then       []map[string]plNode             `json:"then_body"`
	Elsif      []map[string]plNode             `json:"elsif_list"`
	Else       []map[string]plNode             `json:"else_body"`
	Stmts      []map[string]plNode             `json:"stmts"`
	ElseStmts  []map[string]plNode             `json:"else_stmts"`
	Whens      []map[string]plNode             `json:"case_when_list"`
	Tested     plExpr                          `json:"t_expr"`
	TestVar    int                             `json:"t_varno"`
	HaveElse   bool                            `json:"have_else"`
	Lower      plExpr                          `json:"lower"`
	Upper      plExpr                          `json:"upper"`
	Step       plExpr                          `json:"step"`
	Reverse    bool                            `json:"reverse"`
	Slice      int                             `json:"slice"`
	IsExit     bool                            `json:"is_exit"`
	Level      int                             `json:"elog_level"`
	Condition  string                          `json:"condname"`
	Message    json.RawMessage                 `json:"message"` // RAISE's text, or ASSERT's expression
	Params     []plExpr                        `json:"params"`
	Options    []map[string]plOptions          `json:"options"`
}

type plNamed map[string]struct {
	Conditions []map[string]struct {
		Name string `json:"condname"`
	} `json:"conditions"`
	Action []map[string]plNode `json:"action"`
}

// plTarget is where values go: a row, a record, or a loop's own variable.
type plTarget map[string]struct {
	Name   string `json:"refname"`
	Line   int    `json:"lineno"`
	Number int    `json:"dno"`
	Fields []struct {
		Varno int `json:"varno"`
	} `json:"fields"`
}

type plDiag struct {
	Kind   string `json:"kind"`
	Target int    `json:"target"`
}

type plOptions struct {
	Type int    `json:"opt_type"`
	Expr plExpr `json:"expr"`
}

type plReader struct {
	fn       *PLFunction
	declared [][]string // of the blocks that are still to come
	given    []string   // by the RETURN NEXT that are still to come
	next     int        // the first datum that no block and no loop has claimed
	bad      bool
}

func (r *plReader) datum(d map[string]json.RawMessage) {
	v := PLVar{}
	switch {
	case d["PLpgSQL_var"] != nil:
		var in struct {
			Refname  string `json:"refname"`
			Line     int    `json:"lineno"`
			NotNull  bool   `json:"notnull"`
			Datatype map[string]struct {
				Name string `json:"typname"`
			} `json:"datatype"`
			Default plExpr          `json:"default_val"`
			Cursor  json.RawMessage `json:"cursor_explicit_expr"`
		}
		if json.Unmarshal(d["PLpgSQL_var"], &in) != nil || in.Cursor != nil {
			r.bad = true
		}
		v = PLVar{Name: in.Refname, Type: in.Datatype["PLpgSQL_type"].Name, Default: in.Default.text(), Line: in.Line, Plain: !in.NotNull}
	case d["PLpgSQL_rec"] != nil:
		var in struct {
			Refname string `json:"refname"`
			Line    int    `json:"lineno"`
			Default plExpr `json:"default_val"`
		}
		r.bad = r.bad || json.Unmarshal(d["PLpgSQL_rec"], &in) != nil || in.Default != nil
		v = PLVar{Name: in.Refname, Line: in.Line, Record: true}
	case d["PLpgSQL_row"] != nil:
	default: // a record's field, which is refused where it is a target
	}
	r.fn.Vars = append(r.fn.Vars, v)
}

// claim finds the datums that were made next with these names, one behind the other.
func (r *plReader) claim(names []string, from, to int) (out []int) {
	if len(names) == 0 {
		return nil
	}
	for at := r.next; at+len(names) <= len(r.fn.Vars); at++ {
		same := true
		for i, n := range names {
			v := &r.fn.Vars[at+i]
			same = same && n != "" && v.Name == n && v.Line >= from && v.Line <= to
		}
		if same {
			for i := range names {
				out = append(out, at+i)
			}
			r.next = at + len(names)
			return out
		}
	}
	r.bad = true
	return nil
}

func (r *plReader) statements(list []map[string]plNode) []PLStatement {
	var out []PLStatement
	for _, m := range list {
		for kind, n := range m {
			out = append(out, r.statement(kind, &n))
		}
	}
	return out
}

// block reads BEGIN … END.
func (r *plReader) block(s *PLStatement, n *plNode) {
	s.Kind = "statement block"
	if n.Line > 0 { // else it was put around the code's own
		if len(r.declared) == 0 {
			r.bad = true
			return
		}
		names := r.declared[0]
		r.declared = r.declared[1:]
		s.Declared = r.claim(names, 1, n.Line)
	}
	s.Body = r.statements(n.Body)
	for _, handlers := range n.Exceptions {
		// SQLSTATE is made before the handlers are read.
		if at := r.claim([]string{"sqlstate", "sqlerrm"}, 0, int(^uint(0)>>1)); at != nil {
			s.Target = at[0]
		}
		for _, m := range handlers["exc_list"] {
			in := m["PLpgSQL_exception"]
			var h PLHandler
			for _, c := range in.Conditions {
				h.Conditions = append(h.Conditions, c["PLpgSQL_condition"].Name)
			}
			h.Body = r.statements(in.Action)
			s.Handlers = append(s.Handlers, h)
		}
		r.bad = r.bad || len(s.Handlers) == 0
	}
}

// loop reads what repeats; false for other statements.
func (r *plReader) loop(kind string, s *PLStatement, n *plNode) bool {
	switch kind {
	case "PLpgSQL_stmt_loop":
		s.Kind = "LOOP"
	case "PLpgSQL_stmt_while":
		s.Kind, s.Query = "WHILE", n.Cond.text()
	case "PLpgSQL_stmt_fori":
		s.Kind, s.Reverse = "FOR with integer loop variable", n.Reverse
		v := n.Var["PLpgSQL_var"]
		s.Name = v.Name
		if at := r.claim([]string{v.Name}, v.Line, v.Line); at != nil {
			s.Target = at[0]
		}
		s.Bounds = []string{n.Lower.text(), n.Upper.text()}
		if n.Step != nil {
			s.Bounds = append(s.Bounds, n.Step.text())
		}
	case "PLpgSQL_stmt_fors":
		s.Kind, s.Query = "FOR over SELECT rows", n.Query.text()
		s.Into, s.Record = r.targets(n.Var)
	case "PLpgSQL_stmt_dynfors":
		s.Kind, s.Query = "FOR over EXECUTE statement", n.Query.text()
		s.Into, s.Record = r.targets(n.Var)
	case "PLpgSQL_stmt_foreach_a":
		s.Kind, s.Query, s.Target = "FOREACH over array", n.Expr.text(), n.Varno
		r.bad = r.bad || n.Slice != 0
	default:
		return false
	}
	s.Body = r.statements(n.Body)
	return true
}

// branch reads what decides where control goes; false for other statements.
func (r *plReader) branch(kind string, s *PLStatement, n *plNode) bool {
	switch kind {
	case "PLpgSQL_stmt_exit":
		s.Kind, s.Query = "CONTINUE", n.Cond.text()
		if n.IsExit {
			s.Kind = "EXIT"
		}
	case "PLpgSQL_stmt_if":
		s.Kind = "IF"
		s.Arms = append(s.Arms, PLArm{n.Cond.text(), r.statements(n.Then)})
		for _, m := range n.Elsif {
			arm := m["PLpgSQL_if_elsif"]
			s.Arms = append(s.Arms, PLArm{arm.Cond.text(), r.statements(arm.Stmts)})
		}
		s.Else = r.statements(n.Else)
	case "PLpgSQL_stmt_case":
		s.Kind, s.Query, s.Target, s.Missing = "CASE", n.Tested.text(), n.TestVar, !n.HaveElse
		for _, m := range n.Whens {
			arm := m["PLpgSQL_case_when"]
			s.Arms = append(s.Arms, PLArm{arm.Expr.text(), r.statements(arm.Stmts)})
		}
		s.Else = r.statements(n.ElseStmts)
	default:
		return false
	}
	return true
}

func (r *plReader) statement(kind string, n *plNode) PLStatement {
	s := PLStatement{Line: n.Line, Label: n.Label, Record: -1}
	for _, p := range n.Params {
		s.Args = append(s.Args, p.text())
	}
	if r.loop(kind, &s, n) || r.branch(kind, &s, n) {
		return s
	}
	switch kind {
	case "PLpgSQL_stmt_block":
		r.block(&s, n)
	case "PLpgSQL_stmt_execsql":
		s.Kind, s.Query, s.Strict = "SQL statement", n.SQL.text(), n.Strict
		if n.Into {
			s.Into, s.Record = r.targets(n.Target)
		}
	case "PLpgSQL_stmt_dynexecute":
		s.Kind, s.Query, s.Strict = "EXECUTE", n.Query.text(), n.Strict
		if n.Into {
			s.Into, s.Record = r.targets(n.Target)
		}
	case "PLpgSQL_stmt_return_next":
		r.returnNext(&s, n)
	case "PLpgSQL_stmt_return_query":
		s.Kind, s.Query = "RETURN QUERY", n.Query.text()
		if n.Dynamic != nil {
			s.Query, s.Dynamic = n.Dynamic.text(), true
		}
	case "PLpgSQL_stmt_perform":
		s.Kind, s.Query = "PERFORM", n.Expr.text()
	case "PLpgSQL_stmt_assign":
		s.Kind, s.Query, s.Target = "assignment", n.Expr.text(), n.Varno
	case "PLpgSQL_stmt_return":
		s.Kind, s.Query = "RETURN", n.Expr.text()
		if n.Retvarno != nil && *n.Retvarno >= 0 && s.Query == "" {
			r.bad = true
		}
	case "PLpgSQL_stmt_getdiag":
		s.Kind = "GET DIAGNOSTICS"
		if n.Stacked {
			s.Kind = "GET STACKED DIAGNOSTICS"
		}
		for _, m := range n.Items {
			item := m["PLpgSQL_diag_item"]
			r.bad = r.bad || !n.Stacked && item.Kind != "ROW_COUNT"
			s.Items = append(s.Items, PLItem(item))
		}
	case "PLpgSQL_stmt_assert":
		s.Kind, s.Query = "ASSERT", n.Cond.text()
		if n.Message != nil {
			var message plExpr
			r.bad = r.bad || json.Unmarshal(n.Message, &message) != nil
			s.Args = []string{message.text()}
		}
	case "PLpgSQL_stmt_raise":
		s.Kind, s.Level, s.Name, s.Told = "RAISE", n.Level, n.Condition, n.Message != nil
		r.bad = r.bad || n.Message != nil && json.Unmarshal(n.Message, &s.Message) != nil
		for _, m := range n.Options {
			o := m["PLpgSQL_raise_option"]
			s.Options = append(s.Options, PLOption{o.Type, o.Expr.text()})
		}
	default:
		r.bad = true
	}
	return s
}

// returnNext reads what RETURN NEXT gives: an expression, a variable by name, or the function's own columns.
func (r *plReader) returnNext(s *PLStatement, n *plNode) {
	s.Kind, s.Query = "RETURN NEXT", n.Expr.text()
	if len(r.given) == 0 {
		r.bad = true
		return
	}
	if s.Query == "" {
		s.Name = r.given[0]
		r.bad = r.bad || s.Name == "("
	}
	r.given = r.given[1:]
}

// targets are the variables of INTO or of FOR: a list, or one record.
func (r *plReader) targets(t plTarget) (into []int, record int) {
	if rec, ok := t["PLpgSQL_rec"]; ok {
		return nil, rec.Number
	}
	row := t["PLpgSQL_row"]
	r.bad = r.bad || len(row.Fields) == 0
	for _, f := range row.Fields {
		into = append(into, f.Varno)
	}
	return into, -1
}
