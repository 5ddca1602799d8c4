package router

import "strings"

// SortProbe is a query that tells of the text of a scatter what its keys of the form SortCollated are, which their rows tell
// otherwise: for each a type's oid and a collation as pg_collation_for names it. It reads no row of the text's. "" is that there is
// no such key.
func (s *Scatter) SortProbe(text string) string {
	var columns []string
	for i, k := range s.Sort {
		if k.Form != SortCollated {
			continue
		}
		name := " AS pleiad_sort_" + itoa(i+1)
		text = strings.Replace(text, k.Form.column(k.Expr)+name, "("+k.Expr+")"+name, 1)
		column := "pleiad_q.pleiad_sort_" + itoa(i+1)
		columns = append(columns, "pg_catalog.pg_typeof("+column+")::pg_catalog.oid", "pg_catalog.pg_collation_for("+column+"::pg_catalog.text)")
	}
	if columns == nil {
		return ""
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM (" + text + "\n) pleiad_q RIGHT JOIN (VALUES (1)) pleiad_v ON false"
}
