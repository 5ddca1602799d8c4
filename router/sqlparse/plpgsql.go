package sqlparse

import (
	"encoding/json"
	"errors"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// ErrPLpgSQL says that a body in PL/pgSQL has something that this package has no shape for.
var ErrPLpgSQL = errors.New("read PL/pgSQL: not a shape that is known")

// PLFunction is a body in PL/pgSQL, as PostgreSQL's pl_gram.y reads it.
type PLFunction struct {
	Vars []PLVar // by datum number; Name is "" for a row, which is a list of targets
	Body []PLStatement
	Line int
}

// PLVar is one datum.
type PLVar struct {
	Name, Type string
	Default    string // an expression; "" for none
	Line       int
	Plain      bool // neither CONSTANT nor NOT NULL
}

// PLStatement is one statement. Kind is as pl_exec.c calls it in error contexts.
type PLStatement struct {
	Kind    string
	Line    int
	Query   string // SQL, the expression, or the condition of the first arm
	Into    []int  // datum numbers; nil without INTO
	Strict  bool
	Target  int // datum number of an assignment or of GET DIAGNOSTICS
	Arms    []PLArm
	Else    []PLStatement
	Level   int // RAISE: elog.h's
	Message string
	Args    []string // RAISE's or USING's expressions
	Options []PLOption
}

// PLArm is IF's and ELSIF's.
type PLArm struct {
	Cond string
	Body []PLStatement
}

// PLOption is one of RAISE … USING: PLpgSQL_raise_option_type.
type PLOption struct {
	Option int
	Expr   string
}

// maxPLBlocks bounds the statements of a body that hold others: the parser's stack grows with their depth.
const maxPLBlocks = 200

// ParsePLpgSQL reads CREATE FUNCTION, CREATE PROCEDURE or DO in PL/pgSQL. body is the code alone, which stands in text as a
// constant that nobody has looked into.
func ParsePLpgSQL(text, body string) (*PLFunction, error) {
	for _, s := range []string{text, body} {
		if err := Guard([]byte(s)); err != nil {
			return nil, err
		}
	}
	blocks := 0
	for _, t := range Tokens(body) {
		switch t.Word {
		case "if", "elsif", "elseif", "begin", "loop", "case", "for", "while", "foreach":
			blocks++
		}
	}
	if blocks > maxPLBlocks {
		return nil, ErrPLpgSQL
	}
	parseSlots <- struct{}{}
	raw, err := pg_query.ParsePlPgSqlToJSON(text)
	<-parseSlots
	if err != nil {
		return nil, err
	}
	var list []map[string]struct {
		Datums []map[string]json.RawMessage
		Action map[string]plNode
	}
	if err := json.Unmarshal([]byte(raw), &list); err != nil || len(list) != 1 {
		return nil, ErrPLpgSQL
	}
	f := list[0]["PLpgSQL_function"]
	r := &plReader{fn: &PLFunction{}}
	for _, d := range f.Datums {
		r.datum(d)
	}
	block, ok := f.Action["PLpgSQL_stmt_block"]
	if !ok || len(block.Exceptions) > 0 || block.Label != "" {
		return nil, ErrPLpgSQL
	}
	r.fn.Line = block.Line
	r.fn.Body = r.statements(block.Body)
	if r.bad {
		return nil, ErrPLpgSQL
	}
	return r.fn, nil
}

// plExpr is PLpgSQL_expr.
type plExpr map[string]struct {
	Query string `json:"query"`
}

func (e plExpr) text() string { return e["PLpgSQL_expr"].Query }

// plNode has the fields of every statement that is read.
type plNode struct {
	Line       int                    `json:"lineno"`
	Label      string                 `json:"label"`
	Body       []map[string]plNode    `json:"body"`
	Exceptions json.RawMessage        `json:"exceptions"`
	SQL        plExpr                 `json:"sqlstmt"`
	Query      plExpr                 `json:"query"`
	Expr       plExpr                 `json:"expr"`
	Cond       plExpr                 `json:"cond"`
	Into       bool                   `json:"into"`
	Strict     bool                   `json:"strict"`
	Target     json.RawMessage        `json:"target"`
	Varno      int                    `json:"varno"`
	Retvarno   *int                   `json:"retvarno"`
	Items      []map[string]plDiag    `json:"diag_items"`
	Stacked    bool                   `json:"is_stacked"`
	Then       []map[string]plNode    `json:"then_body"`
	Elsif      []map[string]plNode    `json:"elsif_list"`
	Else       []map[string]plNode    `json:"else_body"`
	Stmts      []map[string]plNode    `json:"stmts"`
	Level      int                    `json:"elog_level"`
	Condition  string                 `json:"condname"`
	Message    string                 `json:"message"`
	Params     []plExpr               `json:"params"`
	Options    []map[string]plOptions `json:"options"`
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
	fn  *PLFunction
	bad bool
}

func (r *plReader) datum(d map[string]json.RawMessage) {
	v := PLVar{}
	switch {
	case d["PLpgSQL_var"] != nil:
		var in struct {
			Refname  string `json:"refname"`
			Line     int    `json:"lineno"`
			Const    bool   `json:"isconst"`
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
		v = PLVar{Name: in.Refname, Type: in.Datatype["PLpgSQL_type"].Name, Default: in.Default.text(), Line: in.Line, Plain: !in.Const && !in.NotNull}
	case d["PLpgSQL_row"] != nil:
	default:
		r.bad = true
	}
	r.fn.Vars = append(r.fn.Vars, v)
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

func (r *plReader) statement(kind string, n *plNode) PLStatement {
	s := PLStatement{Line: n.Line}
	for _, p := range n.Params {
		s.Args = append(s.Args, p.text())
	}
	switch kind {
	case "PLpgSQL_stmt_execsql":
		s.Kind, s.Query = "SQL statement", n.SQL.text()
		s.Into, s.Strict = r.targets(n), n.Strict
	case "PLpgSQL_stmt_dynexecute":
		s.Kind, s.Query = "EXECUTE", n.Query.text()
		s.Into, s.Strict = r.targets(n), n.Strict
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
		d, ok := map[string]plDiag{}, len(n.Items) == 1
		if ok {
			d = n.Items[0]
		}
		item := d["PLpgSQL_diag_item"]
		r.bad = r.bad || !ok || n.Stacked || item.Kind != "ROW_COUNT"
		s.Target = item.Target
	case "PLpgSQL_stmt_if":
		s.Kind = "IF"
		s.Arms = append(s.Arms, PLArm{n.Cond.text(), r.statements(n.Then)})
		for _, m := range n.Elsif {
			arm := m["PLpgSQL_if_elsif"]
			s.Arms = append(s.Arms, PLArm{arm.Cond.text(), r.statements(arm.Stmts)})
		}
		s.Else = r.statements(n.Else)
	case "PLpgSQL_stmt_raise":
		s.Kind, s.Level, s.Message = "RAISE", n.Level, n.Message
		r.bad = r.bad || n.Condition != "" || n.Message == ""
		for _, m := range n.Options {
			o := m["PLpgSQL_raise_option"]
			s.Options = append(s.Options, PLOption{o.Type, o.Expr.text()})
		}
	default:
		r.bad = true
	}
	return s
}

// targets are the variables of INTO.
func (r *plReader) targets(n *plNode) []int {
	if !n.Into {
		return nil
	}
	var t map[string]struct {
		Fields []struct {
			Varno int `json:"varno"`
		} `json:"fields"`
	}
	if json.Unmarshal(n.Target, &t) != nil || len(t["PLpgSQL_row"].Fields) == 0 {
		r.bad = true
		return nil
	}
	var out []int
	for _, f := range t["PLpgSQL_row"].Fields {
		out = append(out, f.Varno)
	}
	return out
}
