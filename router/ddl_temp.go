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
	switch s := d.stmt; {
	case s.GetCreateFunctionStmt() != nil:
		// A call is judged anew, for what its words mean may change.
		_, signature, _ := strings.Cut(strings.ToLower(d.text), strings.ToLower(d.tag[len("CREATE "):]))
		if (d.env.sourceReach(s.GetCreateFunctionStmt().Options)|d.env.bodyReach(signature))&ReachSharded != 0 {
			return d.refuse(refTempEverywhere)
		}
	case s.GetDefineStmt() != nil && s.GetDefineStmt().Kind == sqlparse.ObjectOperator:
		return d.refuse(refTempCode)
	}
	return d.plainHome(EffectPins)
}
