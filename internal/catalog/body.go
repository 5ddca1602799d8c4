package catalog

import (
	"strings"
)

// body is what a function's source may do, read off its words: whatever could name a thing counts as
// naming it.
type body struct {
	touchesSharded bool
	touchesTables  bool
	leavesState    bool
	names          []string // every identifier, folded as PostgreSQL folds it: possible callees
}

// tableWords are keywords without which no statement reads or writes a table.
var tableWords = words("from join update insert into delete merge truncate copy table lock refresh")

// stateWords leave something in the session wherever they stand; "set" and "prepare" depend on their place.
var stateWords = words(`temp temporary listen unlisten discard reset load set_config setseed nextval setval currval
	lastval pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared
	pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all insert merge copy prepare deallocate
	hold dblink_connect lo_open lo_create create drop alter grant revoke comment security do call
	pg_export_snapshot pg_replication_origin_session_setup`)

// dynamicWords run SQL that is not in the source, or read tables named by values.
var dynamicWords = words(`execute query_to_xml query_to_xmlschema query_to_xml_and_xmlschema table_to_xml
	table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema
	schema_to_xml_and_xmlschema database_to_xml database_to_xmlschema database_to_xml_and_xmlschema
	cursor_to_xml cursor_to_xmlschema ts_stat ts_rewrite dblink crosstab connectby open lo_get lo_put
	lo_import lo_export lo_from_bytea lo_unlink pg_read_file pg_ls_dir currtid2
	create drop alter grant revoke comment security do call truncate cluster vacuum reindex import`)

// unsafeBuiltin is true of C functions of the server that read tables named at run time or leave state.
func unsafeBuiltin(name string) bool {
	return dynamicWords[name] || stateWords[name] || strings.HasPrefix(name, "lo_") || strings.HasPrefix(name, "be_lo_") ||
		strings.HasPrefix(name, "pg_advisory") || strings.HasPrefix(name, "set_config")
}

// readBody reads the source of a function in SQL or PL/pgSQL. relations maps bare names to whether one is
// sharded, a reference table or a view.
func readBody(src string, relations map[string]bool) body {
	var b body
	seen := map[string]bool{}
	updating := false                                  // an UPDATE earlier in the statement explains SET
	if strings.Contains(strings.ToLower(src), `u&"`) { // a name spelt with escapes
		return body{touchesSharded: true, touchesTables: true, leavesState: true}
	}
	for w := range bodyWords(src) {
		switch w {
		case ";", "begin", "then", "else", "loop", "atomic":
			updating = false
		case "update":
			// FOR UPDATE and ON UPDATE have no SET that follows; nothing is lost by taking them for one
			// but a SET in the same statement, which cannot be.
			updating = true
		case "set":
			b.leavesState = b.leavesState || !updating
		}
		b.touchesTables = b.touchesTables || tableWords[w]
		if stateWords[w] {
			b.leavesState = true
		}
		if dynamicWords[w] {
			b.touchesSharded, b.touchesTables, b.leavesState = true, true, true
		}
		if sharded, known := relations[w]; known {
			b.touchesTables = true
			b.touchesSharded = b.touchesSharded || sharded
		}
		if w != ";" && !seen[w] {
			seen[w] = true
			b.names = append(b.names, w)
		}
	}
	return b
}
