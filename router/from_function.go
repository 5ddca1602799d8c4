package router

import (
	"github.com/pleiad/pleiad/router/sqlparse"
)

// tableFunction analyses a function, XMLTABLE or JSON_TABLE in FROM: its columns are not known, unless a
// scalar function gives it one column of its alias's name.
func (a *analysis) tableFunction(q *query, n sqlparse.Node, sc *scope) (*jnode, *namespace) {
	r := &rel{level: q, open: true, lateral: true}
	q.rels = append(q.rels, r)
	a.expr(q, n, sc, &r.facts)
	q.whereFacts |= r.facts
	var alias *sqlparse.Alias
	switch {
	case n.GetRangeFunction() != nil:
		alias = n.GetRangeFunction().Alias
		a.functionColumns(r, n, alias)
	case n.GetRangeTableFunc() != nil:
		alias = n.GetRangeTableFunc().Alias
	case n.GetJsonTable() != nil:
		alias = n.GetJsonTable().Alias
	}
	return a.leaf(r), expose(r, alias, "", "")
}

// pairSets are set-returning functions of columns key and value.
var pairSets = map[string]bool{"jsonb_each": true, "json_each": true, "jsonb_each_text": true, "json_each_text": true}

// scalarSets are set-returning functions of one column, whose output is named after the alias.
var scalarSets = map[string]bool{
	"generate_series": true, "unnest": true, "jsonb_array_elements": true, "json_array_elements": true,
	"jsonb_array_elements_text": true, "json_array_elements_text": true, "jsonb_object_keys": true,
	"json_object_keys": true, "jsonb_path_query": true, "regexp_split_to_table": true, "string_to_table": true,
	"generate_subscripts": true,
}

func (a *analysis) functionColumns(r *rel, n sqlparse.Node, alias *sqlparse.Alias) {
	f := n.GetRangeFunction()
	if len(f.Functions) != 1 || f.Ordinality {
		return
	}
	items := f.Functions[0].GetList().GetItems()
	if len(items) == 0 {
		return
	}
	call := items[0].GetFuncCall()
	if call == nil {
		return
	}
	name := sqlparse.Strings(call.Funcname)
	if len(name) == 1 && a.env.Schema.Functions[name[0]] != nil {
		return // perhaps the user's
	}
	if len(f.Coldeflist) > 0 {
		r.cols, r.open = columnNames(f.Coldeflist), false
		return
	}
	if len(name) == 1 && pairSets[name[0]] {
		r.cols, r.open = []string{"key", "value"}, false
		return
	}
	if len(name) != 1 || !scalarSets[name[0]] || len(call.Args) == 0 || name[0] == "unnest" && len(call.Args) != 1 {
		return
	}
	r.cols, r.open = []string{name[0]}, false
	if alias != nil {
		r.cols[0] = alias.Aliasname
	}
}

// columnNames reads a column definition list: AS t(a int, b text).
func columnNames(list []sqlparse.Node) []string {
	var out []string
	for _, n := range list {
		out = append(out, n.GetColumnDef().GetColname())
	}
	return out
}
