package router

import "github.com/pleiad/pleiad/router/sqlparse"

// regTypes name objects in text form and are their oids otherwise, which differ between backends.
var regTypes = wordSet("regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype")

// nameCast notes a cast to a type that names objects. Its oid as a number is home's alone to tell.
func (a *analysis) nameCast(tc *sqlparse.TypeCast) fnFacts {
	switch {
	case isRegType(tc.TypeName):
		a.byName = true
	case lastName(tc.TypeName) == "oid" && isRegType(tc.Arg.GetTypeCast().GetTypeName()):
		a.fn |= fnHome
		return fnHome
	}
	return 0
}

func isRegType(t *sqlparse.TypeName) bool { return regTypes[lastName(t)] }

func lastName(t *sqlparse.TypeName) string {
	names := sqlparse.Strings(t.GetNames())
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}
