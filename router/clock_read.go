package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// clockReader finds where a text reads the time.
type clockReader struct {
	env      *Env
	text     string
	toks     []sqlparse.Token
	offset   int // of the parsed text's beginning before text
	splices  []ClockSplice
	names    []ClockSplice // of output columns; each stands behind what else is put at its place
	defaults bool          // as Clock.Defaults
	hidden   bool          // the time is read where it cannot be written
}

// clockCalls are the functions without arguments that give a time.
var clockCalls = map[string]ClockTime{
	"now": ClockTransaction, "transaction_timestamp": ClockTransaction, "statement_timestamp": ClockStatement,
}

// clockWord is one of SQL's own words for the time.
type clockWord struct{ name, cast string }

var valueClocks = map[sqlparse.ValueOp]clockWord{
	sqlparse.ValueDate:       {"current_date", "::pg_catalog.date"},
	sqlparse.ValueTime:       {"current_time", "::pg_catalog.timetz"},
	sqlparse.ValueTimeN:      {"current_time", "::pg_catalog.timetz"},
	sqlparse.ValueTimestamp:  {"current_timestamp", ""},
	sqlparse.ValueTimestampN: {"current_timestamp", ""},
	sqlparse.ValueLocalTime:  {"localtime", "::pg_catalog.time"},
	sqlparse.ValueLocalTimeN: {"localtime", "::pg_catalog.time"},
	sqlparse.ValueLocal:      {"localtimestamp", "::pg_catalog.timestamp"},
	sqlparse.ValueLocalN:     {"localtimestamp", "::pg_catalog.timestamp"},
}

const clockType = "::pg_catalog.timestamptz"

func (c *clockReader) visit(n sqlparse.Node) bool {
	switch {
	case n.GetMultiAssignRef().GetColno() > 1:
		return false // the first column's source again, at the same places
	case n.GetRangeFunction() != nil:
		// FROM now() gives a relation, which no constant is.
		for _, item := range n.GetRangeFunction().GetFunctions() {
			for _, f := range item.GetList().GetItems() {
				c.hidden = c.hidden || c.isClock(f)
			}
		}
	case n.GetXmlExpr() != nil:
		c.hidden = true // its names follow other rules
	case n.GetResTarget() != nil:
		c.target(n.GetResTarget())
	case n.GetFuncCall() != nil:
		c.call(n.GetFuncCall())
	case n.GetSqlvalueFunction() != nil:
		c.word(n.GetSqlvalueFunction())
	}
	return true
}

// inOrder gives all splices in the order of their places.
func (c *clockReader) inOrder() []ClockSplice {
	all := append(c.splices, c.names...)
	slices.SortStableFunc(all, func(x, y ClockSplice) int { return x.Start - y.Start })
	return all
}

// isClock reports whether an expression is nothing but a time.
func (c *clockReader) isClock(n sqlparse.Node) bool {
	if v := n.GetSqlvalueFunction(); v != nil {
		return valueClocks[v.Op].name != ""
	}
	f := n.GetFuncCall()
	return f != nil && c.clockName(f) != ""
}

// clockName is the name of a call that gives a time; "" for every other call.
func (c *clockReader) clockName(f *sqlparse.FuncCall) string {
	name := sqlparse.Strings(f.Funcname)
	if len(name) == 0 || len(name) > 2 || len(name) == 2 && name[0] != "pg_catalog" {
		return ""
	}
	last := name[len(name)-1]
	if clockCalls[last] == 0 || len(f.Args) > 0 || len(name) == 1 && !c.env.builtinFirst(last) {
		return ""
	}
	return last
}

// builtinFirst reports whether an unqualified call means pg_catalog's function, where it has one that fits.
func (e *Env) builtinFirst(name string) bool {
	return len(e.Schema.Functions[name]) == 0 || !slices.Contains(e.Path, "pg_catalog")
}

func (c *clockReader) call(f *sqlparse.FuncCall) {
	name := sqlparse.Strings(f.Funcname)
	if len(name) == 0 || len(name) > 2 {
		return
	}
	schema, last := "", name[len(name)-1]
	if len(name) == 2 {
		schema = name[0]
	}
	if c.env.functionFacts(schema, last)&fnClock == 0 || last == "age" && len(f.Args) != 1 {
		return
	}
	start, open, end, ok := c.extent(int(f.Location) - c.offset)
	known := c.clockName(f)
	switch {
	case !ok:
		c.hidden = true
	case known != "":
		c.splices = append(c.splices, ClockSplice{start, end, []ClockPiece{{Text: "("}, {Time: clockCalls[known]}, {Text: clockType + ")"}}})
	case last == "age" && (schema == "pg_catalog" || c.env.builtinFirst(last)):
		// age(x) is age(CURRENT_DATE, x).
		c.splices = append(c.splices, ClockSplice{open, open, []ClockPiece{{Time: ClockTransaction}, {Text: clockType + "::pg_catalog.date, "}}})
	default:
		c.hidden = true
	}
}

// word replaces CURRENT_DATE and its kin. A precision stays where it is.
func (c *clockReader) word(v *sqlparse.ValueFunction) {
	w, ok := valueClocks[v.Op]
	if !ok {
		return
	}
	at := int(v.Location) - c.offset
	i := slices.IndexFunc(c.toks, func(t sqlparse.Token) bool { return t.Start == at })
	if i < 0 {
		c.hidden = true
		return
	}
	start, end := at, c.toks[i].End
	c.splices = append(c.splices, ClockSplice{start, end, []ClockPiece{{Text: "("}, {Time: ClockTransaction}, {Text: clockType + w.cast}}})
	if i+1 < len(c.toks) && c.toks[i+1].Punct == '(' {
		_, _, end, ok = c.extent(at)
		c.hidden = c.hidden || !ok
	}
	c.splices = append(c.splices, ClockSplice{end, end, []ClockPiece{{Text: ")"}}})
}

// extent finds a call's parts: its name's start, the byte behind its opening parenthesis, and its end.
func (c *clockReader) extent(at int) (start, open, end int, ok bool) {
	i := slices.IndexFunc(c.toks, func(t sqlparse.Token) bool { return t.Start == at })
	if i < 0 {
		return 0, 0, 0, false
	}
	for i++; i+1 < len(c.toks) && c.toks[i].Punct == '.'; i += 2 {
	}
	if i >= len(c.toks) || c.toks[i].Punct != '(' {
		return 0, 0, 0, false
	}
	for j := i + 1; j < len(c.toks); j++ {
		if c.toks[j].Punct == ')' && c.toks[j].Depth == c.toks[i].Depth {
			return at, c.toks[i].End, c.toks[j].End, true
		}
	}
	return 0, 0, 0, false
}

// target keeps the name of an output column that is called after the time it shows.
func (c *clockReader) target(rt *sqlparse.ResTarget) {
	if rt.Name != "" || rt.Val == nil {
		return
	}
	name := c.figure(rt.Val)
	if name == "" {
		return
	}
	end, ok := c.itemEnd(int(rt.Location) - c.offset)
	if !ok {
		c.hidden = true
		return
	}
	c.names = append(c.names, ClockSplice{end, end, []ClockPiece{{Text: " AS " + quoteIdent(name)}}})
}

// figure is FigureColnameInternal of PostgreSQL's parse_target.c for the expressions whose name may be a time's.
func (c *clockReader) figure(n sqlparse.Node) string {
	switch {
	case n.GetFuncCall() != nil:
		return c.clockName(n.GetFuncCall())
	case n.GetSqlvalueFunction() != nil:
		return valueClocks[n.GetSqlvalueFunction().Op].name
	case n.GetTypeCast() != nil:
		return c.figure(n.GetTypeCast().Arg)
	case n.GetCollateClause() != nil:
		return c.figure(n.GetCollateClause().Arg)
	case n.GetCaseExpr() != nil:
		return c.figure(n.GetCaseExpr().Defresult)
	}
	return ""
}

// itemEnd is the end of the output column that starts at a byte. Only shapes that figure knows come here.
func (c *clockReader) itemEnd(at int) (end int, ok bool) {
	i := slices.IndexFunc(c.toks, func(t sqlparse.Token) bool { return t.Start == at })
	if i < 0 {
		return 0, false
	}
	depth, cases := c.toks[i].Depth, 0
	for ; i < len(c.toks); i++ {
		t := c.toks[i]
		switch {
		case t.Depth < depth:
			return end, true
		case t.Depth > depth || t.Word == "" && t.Punct != ',' && t.Punct != ';':
		case t.Word == "case":
			cases++
		case t.Word == "end":
			cases--
		case cases > 0:
		case t.Punct == ',' || t.Punct == ';' || clauseEnds[t.Word] || t.Word == "on":
			return end, true
		}
		end = t.End
	}
	return end, true
}
