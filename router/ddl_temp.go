package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// temporary plans what makes or changes an object in pg_temp by its qualified name: such an object belongs to the one server
// session that made it, so the statement runs on home alone and the connection stays with the client. nil for every
// other statement; relations' own statements see to theirs.
func (d *ddl) temporary() *Template {
	var name []sqlparse.Node
	switch s := d.stmt; sqlparse.Kind(s) {
	case "create_function_stmt":
		name, d.tag = s.GetCreateFunctionStmt().Funcname, "CREATE FUNCTION"
		if s.GetCreateFunctionStmt().IsProcedure {
			d.tag = "CREATE PROCEDURE"
		}
	case "alter_function_stmt":
		name, d.tag = s.GetAlterFunctionStmt().Func.GetObjname(), "ALTER "+objectWords[s.GetAlterFunctionStmt().Objtype]
	case "define_stmt":
		name, d.tag = s.GetDefineStmt().Defnames, "CREATE "+objectWords[s.GetDefineStmt().Kind]
	case "composite_type_stmt":
		name, d.tag = relationParts(s.GetCompositeTypeStmt().Typevar), "CREATE TYPE"
	case "create_foreign_table_stmt":
		name, d.tag = relationParts(s.GetCreateForeignTableStmt().GetBaseStmt().GetRelation()), "CREATE FOREIGN TABLE"
	case "create_domain_stmt":
		name, d.tag = s.GetCreateDomainStmt().Domainname, "CREATE DOMAIN"
	case "alter_domain_stmt":
		name, d.tag = s.GetAlterDomainStmt().TypeName, "ALTER DOMAIN"
	case "create_enum_stmt":
		name, d.tag = s.GetCreateEnumStmt().TypeName, "CREATE TYPE"
	case "alter_enum_stmt":
		name, d.tag = s.GetAlterEnumStmt().TypeName, "ALTER TYPE"
	case "create_range_stmt":
		name, d.tag = s.GetCreateRangeStmt().TypeName, "CREATE TYPE"
	case "alter_type_stmt":
		name, d.tag = s.GetAlterTypeStmt().TypeName, "ALTER TYPE"
	case "create_conversion_stmt":
		name, d.tag = s.GetCreateConversionStmt().ConversionName, "CREATE CONVERSION"
	}
	if schema, _ := listName(name); !tempSchema(schema) {
		return nil
	}
	if s := d.stmt.GetCreateFunctionStmt(); s != nil && d.mayUseEverywhere(s.Options) {
		return d.refuse(refTempEverywhere)
	}
	return d.plainHome(EffectPins)
}

// mayUseEverywhere is true of a function whose source could use what is not on home alone, were it run there: the
// snapshot does not hold the functions of pg_temp, so their calls are not looked into. Any word counts that could be a
// name of such a thing, and so does SQL made at run time.
func (d *ddl) mayUseEverywhere(options []sqlparse.Node) bool {
	sources := []string{d.text}
	for _, n := range options {
		switch def := n.GetDefElem(); def.GetDefname() {
		case "as":
			sources = append(sources, sqlparse.Strings(def.Arg.GetList().GetItems())...)
		case "language":
			if l := strings.ToLower(def.Arg.GetString_().GetSval()); l != "sql" && l != "plpgsql" {
				return true
			}
		}
	}
	for _, src := range sources {
		if strings.Contains(strings.ToLower(src), `u&"`) {
			return true // a name spelt with escapes
		}
		for _, t := range sqlparse.Tokens(src) {
			word := t.Word
			if word == "" && src[t.Start] == '"' {
				word = strings.ReplaceAll(strings.Trim(src[t.Start:t.End], `"`), `""`, `"`)
			}
			if word != "" && d.namesEverywhere(word) {
				return true
			}
		}
	}
	return false
}

// namesEverywhere is true of the name, in whatever schema, of a relation that every backend has, or a view or function that
// uses one, and of words that run other SQL.
func (d *ddl) namesEverywhere(word string) bool {
	for _, relations := range d.env.Schema.Relations {
		if t := relations[word]; t != nil && (t.Touches || t.Everywhere && t.Kind != TableSequence) {
			return true
		}
	}
	facts := builtins[word]
	for _, f := range d.env.Schema.Functions[word] {
		facts |= f.facts()
	}
	return facts&(fnSharded|fnDynamic) != 0 || word == "execute" || word == "call" || word == "do"
}
