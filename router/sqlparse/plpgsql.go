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
	Vars  []PLVar // by datum number
	Block PLStatement
}

// PLVar is one datum. Name is "" for what has none: a row, which is a list of targets, and a field of a record.
type PLVar struct {
	Name, Type string
	Default    string // an expression; "" for none
	Line       int
	Plain      bool // a variable without NOT NULL
	Record     bool // of no type of its own
}

// PLStatement is one statement. Kind is as pl_exec.c calls it in error contexts.
type PLStatement struct {
	Kind     string
	Line     int
	Label    string
	Query    string // SQL, the expression, or a condition
	Into     []int  // datum numbers; nil without INTO
	Record   int    // the datum number of the record that is the target instead; -1 for none
	Strict   bool
	Target   int // datum number: of an assignment, a loop's variable, SQLSTATE of the handlers (SQLERRM is the next), the tested value of CASE
	Arms     []PLArm
	Else     []PLStatement
	Body     []PLStatement
	Handlers []PLHandler
	Declared []int // datum numbers of a block's own variables
	Name     string
	Bounds   []string // FOR: from, to, step
	Reverse  bool
	Missing  bool // CASE without ELSE
	Dynamic  bool // RETURN QUERY EXECUTE
	Items    []PLItem
	Level    int // RAISE: elog.h's
	Message  string
	Told     bool     // RAISE has a message
	Args     []string // RAISE's or USING's expressions
	Options  []PLOption
}

// PLArm is IF's and ELSIF's, or WHEN's of CASE.
type PLArm struct {
	Cond string
	Body []PLStatement
}

// PLHandler is WHEN of EXCEPTION: conditions are names, or SQLSTATEs.
type PLHandler struct {
	Conditions []string
	Body       []PLStatement
}

// PLItem is one of GET DIAGNOSTICS.
type PLItem struct {
	Kind   string
	Target int
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
	r := &plReader{fn: &PLFunction{}, declared: declaredNames(body), given: rowsGiven(body)}
	for _, d := range f.Datums {
		r.datum(d)
	}
	block, ok := f.Action["PLpgSQL_stmt_block"]
	if !ok {
		return nil, ErrPLpgSQL
	}
	r.fn.Block = r.statement("PLpgSQL_stmt_block", &block)
	if r.bad || len(r.declared) > 0 || len(r.given) > 0 {
		return nil, ErrPLpgSQL
	}
	return r.fn, nil
}

// declaredNames lists the variables that each block of a body declares, block by block as they begin. A name is "" where it is
// not certain to be a plain one.
func declaredNames(body string) (out [][]string) {
	var names []string
	declaring, first := false, false
	tokens := Tokens(body)
	for i, t := range tokens {
		switch {
		case t.Word == "declare":
			declaring, first, names = true, true, nil
		case t.Word == "begin":
			out = append(out, names)
			declaring, names = false, nil
		case !declaring || t.Depth > 0:
		case t.Punct == ';':
			first = true
		case first:
			name := t.Word
			if i+1 < len(tokens) && tokens[i+1].Word == "alias" {
				name = ""
			}
			names, first = append(names, name), false
		}
	}
	return out
}

// rowsGiven lists what each RETURN NEXT gives: the parser leaves out a variable's name. It is "" for none, and "(" for an
// expression.
func rowsGiven(body string) (out []string) {
	tokens := Tokens(body)
	for i := 0; i+2 < len(tokens); i++ {
		if tokens[i].Word != "return" || tokens[i+1].Word != "next" {
			continue
		}
		given := "("
		switch {
		case tokens[i+2].Punct == ';':
			given = ""
		case i+3 < len(tokens) && tokens[i+2].Word != "" && tokens[i+3].Punct == ';':
			given = tokens[i+2].Word
		}
		out = append(out, given)
	}
	return out
}
