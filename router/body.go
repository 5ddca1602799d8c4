package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// Reach is what code may use besides its arguments and the statement that calls it. It spreads from callee to caller.
type Reach uint16

// What is reached. A view counts as what it reads.
const (
	ReachReference Reach = 1 << iota // reads reference tables: the same on every backend
	ReachLocal                       // reads or writes what home alone has
	ReachSharded                     // may read or write sharded tables, write reference tables, or do anything
	ReachSequence                    // may advance a sequence, if only by a default
	ReachState                       // may leave something in the session: settings, locks, temporary tables, sequences' values
	ReachClock                       // may read the transaction's or the statement's time
	ReachUnknown                     // may name a relation that the snapshot does not hold: a temporary one, or none
	ReachFiredName                   // reads the name of the table that it is a trigger of: a partition's, where rows fire it
	ReachFiredOID                    // reads that table's oid, which differs between backends
	ReachVolatile                    // is a user's volatile function, which may write
	ReachRole                        // runs as another role, by a setting of a function's: the session's right to that counts
)

// ReachAnything is of code that cannot be judged.
const ReachAnything = ReachReference | ReachLocal | ReachSharded | ReachSequence | ReachState | ReachClock | ReachUnknown

// reachFacts is what a call of code with this reach means. A session's temporary relations, which are on home alone, hide
// others in functions too.
func (e *Env) reachFacts(r Reach) fnFacts {
	var f fnFacts
	if r&ReachLocal != 0 || len(e.Temp) > 0 && r&(ReachReference|ReachUnknown) != 0 {
		f |= fnTables
	}
	if r&ReachReference != 0 {
		f |= fnReference
	}
	if r&ReachSharded != 0 {
		f |= fnSharded | fnTables
	}
	if r&ReachSequence != 0 {
		f |= fnNextval
	}
	if r&ReachState != 0 {
		f |= fnPins
	}
	if r&ReachClock != 0 {
		f |= fnClockInside
	}
	if r&ReachFiredName != 0 {
		f |= fnFiredName
	}
	if r&ReachFiredOID != 0 {
		f |= fnFiredOID
	}
	if r&ReachVolatile != 0 {
		f |= fnUnseenVol
	}
	return f
}

// Body is what the source of a function in SQL or PL/pgSQL, of a DO block or of an expression may do, read off its words:
// whatever could name a thing counts as naming it.
type Body struct {
	Dynamic   bool  // runs SQL that is not in it, reads what values name, or changes the schema
	Tables    bool  // has a keyword without which no statement reads or writes a table
	Writes    bool  // has a keyword without which no statement writes or locks rows
	Refreshes bool  // has the word REFRESH: runs the query of a materialized view that it names
	Advances  bool  // may advance a sequence
	State     bool  // may leave something in the session
	Clock     bool  // may read the transaction's or the statement's time
	Fired     Reach // ReachFiredName, ReachFiredOID
	Catches   bool  // goes on after an error: that a relation does not exist can be an answer
	// Names is every identifier, folded as PostgreSQL folds it: possible relations, functions and types.
	Names []string
}

func wordSet(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

// tableWords are keywords without which no statement reads or writes a table.
var tableWords = wordSet("from join update insert into delete merge truncate copy table lock refresh")

// writeWords are keywords without which no statement changes or locks rows.
var writeWords = wordSet("update insert delete merge truncate copy lock share refresh")

// stateWords leave something in the session wherever they stand; "set" and "prepare" depend on their place.
var stateWords = wordSet(`temp temporary listen unlisten discard reset load set_config setseed nextval setval currval
	lastval pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared
	pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all prepare deallocate
	hold dblink_connect lo_open lo_create create drop alter grant revoke comment security do
	pg_export_snapshot pg_replication_origin_session_setup`)

// sequenceWords are those without which no sequence advances.
var sequenceWords = wordSet("nextval setval insert merge copy")

// firedWords are the variables that tell a trigger function in PL/pgSQL of its table.
var firedWords = map[string]Reach{
	"tg_table_name": ReachFiredName, "tg_table_schema": ReachFiredName, "tg_relname": ReachFiredName, "tg_relid": ReachFiredOID,
}

// dynamicFunctions run SQL given as text, or read tables or call type functions named by values.
var dynamicFunctions = wordSet(`query_to_xml query_to_xmlschema query_to_xml_and_xmlschema table_to_xml
	table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema
	schema_to_xml_and_xmlschema database_to_xml database_to_xmlschema database_to_xml_and_xmlschema
	cursor_to_xml cursor_to_xmlschema ts_stat ts_rewrite dblink crosstab connectby xpath_table lo_get lo_put
	lo_import lo_export lo_from_bytea lo_unlink pg_read_file pg_ls_dir currtid2 run_if run_unchecked
	domain_in domain_recv array_in array_recv record_in record_recv range_in range_recv multirange_in multirange_recv
	pg_input_is_valid pg_input_error_info`)

// dynamicWords begin statements that run other SQL, change the schema, or open a cursor by its name.
var dynamicWords = wordSet(`execute open create drop alter grant revoke comment security do truncate cluster vacuum
	reindex import reassign analyze analyse`)

// clockWords give the time of the transaction or of the statement.
var clockWords = wordSet(`now age transaction_timestamp statement_timestamp current_timestamp current_date current_time localtime
	localtimestamp`)

// BuiltinReach is that of one of PostgreSQL's own functions, where an operator, cast or expression beside a statement calls it.
func BuiltinReach(name string) Reach {
	switch {
	case dynamicFunctions[name] || strings.HasPrefix(name, "pg_read_") || strings.HasPrefix(name, "pg_ls_"):
		return ReachAnything
	case strings.HasPrefix(name, "lo_") || strings.HasPrefix(name, "be_lo_") || name == "loread" || name == "lowrite" || name == "pg_notify":
		return ReachLocal | ReachState
	case clockWords[name]:
		return ReachClock
	case sequenceWords[name]:
		return ReachLocal | ReachSequence | ReachState
	case stateWords[name] || strings.HasPrefix(name, "pg_advisory") || strings.HasPrefix(name, "pg_try_advisory") ||
		strings.HasPrefix(name, "set_config") || strings.HasPrefix(name, "pg_replication_origin"):
		return ReachLocal | ReachState
	}
	return 0
}

// ReadBody reads source.
func ReadBody(src string) Body {
	var b Body
	seen := map[string]bool{}
	updating := false                                  // an UPDATE earlier in the statement explains SET
	if strings.Contains(strings.ToLower(src), `u&"`) { // a name spelt with escapes
		return Body{Dynamic: true, Tables: true, Writes: true, Advances: true, State: true, Clock: true}
	}
	b.Clock = strings.Contains(src, "'") && holdsPresent([]byte(src))
	before := ""
	for w := range bodyWords(src) {
		switch w {
		case ";", "begin", "then", "else", "loop", "atomic":
			updating = false
		case "update":
			// FOR UPDATE and ON UPDATE have no SET that follows; nothing is lost by taking them for one
			// but a SET in the same statement, which cannot be.
			updating = true
		case "set":
			b.State = b.State || !updating
		}
		b.Tables = b.Tables || tableWords[w]
		b.Writes = b.Writes || writeWords[w]
		b.Refreshes = b.Refreshes || w == "refresh"
		b.State = b.State || stateWords[w]
		b.Advances = b.Advances || sequenceWords[w]
		b.Clock = b.Clock || clockWords[w]
		b.Fired |= firedWords[w]
		b.Catches = b.Catches || w == "when" && before == "exception"
		before = w
		// What belongs to a schema of shards, or to toast tables, is one server's own.
		if dynamicWords[w] || dynamicFunctions[w] || shardSchema(w) && w != "pleiad" || strings.HasPrefix(w, "pg_toast") {
			b.Dynamic, b.Tables, b.Writes, b.State = true, true, true, true
		}
		if w != ";" && !seen[w] {
			seen[w] = true
			b.Names = append(b.Names, w)
		}
	}
	return b
}

// Own is the reach of the body's own words, leaving aside what its names mean.
func (b Body) Own() Reach {
	var r Reach
	if b.Dynamic {
		r |= ReachAnything
	}
	if b.Tables {
		r |= ReachUnknown
	}
	if b.Tables && b.Catches {
		r |= ReachLocal
	}
	if b.Advances {
		r |= ReachSequence
	}
	if b.State {
		r |= ReachState
	}
	if b.Clock {
		r |= ReachClock
	}
	return r | b.Fired
}

// bodyReach is the reach of source that runs now, or that is kept outside of the snapshot, as the schema is now.
func (e *Env) bodyReach(src string) Reach {
	b := ReadBody(src)
	r := b.Own() | e.Schema.AnyReach
	for _, w := range b.Names {
		r |= e.nameReach(w, b)
	}
	for name, o := range e.Schema.OperatorReach {
		if strings.Contains(src, name) {
			r |= o
		}
	}
	return r
}

// sourceReach is the reach of the source among the options of DO or CREATE FUNCTION; anything in a language other than
// SQL and PL/pgSQL.
func (e *Env) sourceReach(options []sqlparse.Node) Reach {
	var r Reach
	for _, n := range options {
		def := n.GetDefElem()
		switch def.GetDefname() {
		case "as":
			sources := []string{def.Arg.GetString_().GetSval()}
			for _, s := range append(sources, sqlparse.Strings(def.Arg.GetList().GetItems())...) {
				r |= e.bodyReach(s)
			}
		case "language":
			if l := strings.ToLower(def.Arg.GetString_().GetSval()); l != "sql" && l != "plpgsql" {
				return ReachAnything
			}
		}
	}
	return r
}

// nameReach is what an identifier in a body may reach: any relation, function or type of that name.
func (e *Env) nameReach(w string, b Body) Reach {
	r := e.Schema.TypeReach[w]
	for _, rels := range e.Schema.Relations {
		if t := rels[w]; t != nil && b.Tables {
			r |= t.NameReach
			if b.Writes {
				r |= t.ChangeReach
			}
			if b.Refreshes {
				r |= t.RefreshReach
			}
		}
	}
	for _, f := range e.Schema.Functions[w] {
		r |= f.Reach
	}
	if e.TempCode[w] != "" && !e.judging[w] {
		r |= e.tempReach(w)
	}
	return r
}

// tempReach is the reach of the session's own relations, functions and types of a name.
func (e *Env) tempReach(name string) Reach {
	in := *e
	in.judging = map[string]bool{name: true}
	for n := range e.judging {
		in.judging[n] = true
	}
	return in.bodyReach(e.TempCode[name])
}
