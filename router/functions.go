package router

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed data/functions.txt
var functionsData string

//go:embed data/catalogs.txt
var catalogsData string

// fnFacts is what calling a function means for routing; of several functions, the union.
type fnFacts uint32

const (
	fnStable      fnFacts = 1 << iota // same on every backend within a statement, but not a constant
	fnClock                           // the transaction's or statement's time
	fnServer                          // reads the server's catalogs or state
	fnPerRow                          // volatile, anew for each row, harmless
	fnVolatile                        // volatile built-in that reads or changes a server's state
	fnHome                            // only meaningful on home
	fnPins                            // changes the session's state
	fnNextval                         // advances a sequence
	fnCurrval                         // reads the session's sequence state
	fnDynamic                         // runs SQL given as text
	fnAggregate                       //
	fnWindow                          //
	fnSRF                             //
	fnUnknown                         // no such function is known: anything may be true of it
	fnUserStable                      // a user's stable function
	fnUserVol                         // a user's volatile function
	fnTables                          // code that may read or write local tables
	fnSharded                         // code that may read or write sharded tables, or write reference tables
	fnClockInside                     // code that may read the transaction's or the statement's time
	fnFiredName                       // as a trigger, reads its table's name
	fnFiredOID                        // as a trigger, reads its table's oid
	fnUnseenVol                       // a user's volatile function that is not called by its name
	fnHomeWrites                      // writes on home: large objects
	fnReference                       // code that reads reference tables
)

// fnWrites are those of functions that may write rows or take locks to the transaction's end: their backend has a part in its
// outcome. A sequence's value is no such part.
const fnWrites = fnVolatile | fnUserVol | fnUnseenVol | fnUnknown | fnDynamic | fnHomeWrites

// fnImpure are the facts that make two calls with equal arguments on two backends differ.
const fnImpure = fnClock | fnServer | fnPerRow | fnVolatile | fnHome | fnPins | fnNextval | fnCurrval | fnDynamic |
	fnUnknown | fnUserStable | fnUserVol | fnTables | fnSharded

var sectionFacts = map[string]fnFacts{
	"immutable": 0, "stable": fnStable, "clock": fnClock, "server": fnServer, "perrow": fnPerRow,
	"volatile": fnVolatile, "home": fnHome, "pins": fnPins, "nextval": fnNextval, "currval": fnCurrval,
	"dynamic": fnDynamic, "writes": fnHomeWrites, "aggregate": fnAggregate, "window": fnWindow, "srf": fnSRF,
}

var builtins = readFunctions(functionsData)

// systemRelations are pg_catalog's tables and views.
var systemRelations = func() map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(catalogsData) {
		if !strings.HasPrefix(line, "#") {
			for _, w := range strings.Fields(line) {
				m[w] = true
			}
		}
	}
	return m
}()

func readFunctions(data string) map[string]fnFacts {
	out := map[string]fnFacts{}
	var facts fnFacts
	for line := range strings.Lines(data) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			facts = sectionFacts[strings.Trim(line, "[]")]
			continue
		}
		for _, name := range strings.Fields(line) {
			out[name] |= facts
		}
	}
	return out
}

// functionFacts is what a call of the named function may mean: schema is "" when the name is unqualified. Overloads
// are not told apart, so the facts are those of all that the name could reach.
func (e *Env) functionFacts(schema, name string) fnFacts {
	var facts fnFacts
	found := false
	if schema == "" || schema == "pg_catalog" {
		var f fnFacts
		if f, found = builtins[name]; found {
			facts |= f
		}
	}
	for _, f := range e.Schema.Functions[name] {
		if schema == "" && f.Schema != "pg_catalog" && !slices.Contains(e.Path, f.Schema) || schema != "" && f.Schema != schema {
			continue
		}
		found = true
		facts |= f.facts() | e.reachFacts(f.Reach)
	}
	switch {
	case tempSchema(schema):
		return facts | fnUserVol | fnHome | e.reachFacts(e.tempReach(name))
	case schema == "pleiad" && name == "next_identity" && !found:
		return fnNextval
	case schema == "pleiad" && jobFunctions[name] && !found:
		return fnUserVol | fnHome
	case (schema == "pleiad" || schema == "" && slices.Contains(e.Path, "pleiad")) && !readingFunctions[name] && !found:
		return fnSharded | fnUnknown
	case !found:
		return fnUnknown
	}
	return facts
}

// readingFunctions are those of schema pleiad that give the same in a client's hands as in pleiad's own.
var readingFunctions = wordSet("acting_role local_shard_sizes shape shard_relation snapshot oids partition_key")

// jobFunctions are those of schema pleiad that write a row of its job list on home and no more.
var jobFunctions = wordSet("rebalance move_shard drain add_backend remove_backend verify cancel_job resume_job")

func (f *Function) facts() fnFacts {
	var facts fnFacts
	switch f.Volatility {
	case 'i':
	case 's':
		facts |= fnUserStable
	default:
		facts |= fnUserVol
	}
	if f.Aggregate || f.Kind == 'a' {
		facts |= fnAggregate
	}
	if f.Kind == 'w' {
		facts |= fnWindow
	}
	if f.RetSet {
		facts |= fnSRF
	}
	return facts
}

// equals compares in SQL that is composed anew, whatever the search path has for the name.
const equals = " OPERATOR(pg_catalog.=) "

// operatorShadowed reports whether a user-defined operator of this name may be meant instead of PostgreSQL's own on
// built-in types: only where the search path puts a schema before pg_catalog.
func (e *Env) operatorShadowed() bool {
	i := slices.Index(e.Path, "pg_catalog")
	return i > 0
}
