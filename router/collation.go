package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// collationOf is the collation of an expression where the text tells it: an explicit one, a column's, or the default
// where the expression can have no other. n is nil for a column of a star. "" is not known, or none.
func (a *analysis) collationOf(n sqlparse.Node, id colID, sc *scope) string {
	if a.env.operatorShadowed() {
		return "" // another collation may be called C
	}
	if c := n.GetCollateClause(); c != nil {
		return collationName(sqlparse.Strings(c.Collname))
	}
	for depth := 0; id.r != nil && depth < maxLevels; depth++ {
		if id.r.table != nil {
			if id.i < len(id.r.table.Columns) {
				return id.r.table.Columns[id.i].Collation
			}
			return ""
		}
		q := id.r.sub
		if q == nil || len(q.arms) > 0 || q.recursive || id.i >= len(q.out) {
			return ""
		}
		o := q.out[id.i]
		n, id, sc = o.expr, o.id, q.scope
		if c := n.GetCollateClause(); c != nil {
			return collationName(sqlparse.Strings(c.Collname))
		}
	}
	if n != nil && a.defaultCollation(n, sc) {
		return "default"
	}
	return ""
}

func collationName(name []string) string {
	if len(name) == 0 {
		return ""
	}
	switch last := name[len(name)-1]; last {
	case "C", "POSIX", "default":
		return last
	}
	for i := range name {
		name[i] = quoteIdent(name[i])
	}
	return strings.Join(name, ".")
}

// plainFunctions take and give built-in types other than name, which has a collation of its own.
var plainFunctions = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`lower upper initcap left right substr substring btrim ltrim rtrim replace translate repeat
		reverse lpad rpad split_part concat concat_ws format md5 length char_length character_length octet_length abs round
		ceil ceiling floor trunc sign mod power sqrt count sum avg min max string_agg to_char to_number to_date
		to_timestamp date_trunc date_part extract age array_length cardinality jsonb_array_length jsonb_typeof
		jsonb_extract_path_text coalesce position strpos ascii chr hashtext row_number rank dense_rank lag lead`) {
		m[w] = true
	}
	return m
}()

// plainOperators, on built-in types, give none of type name.
var plainOperators = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields("+ - * / % ^ || -> ->> #> #>> = <> != < > <= >= ~ ~* !~ !~* ~~ ~~* !~~ !~~* @> <@ ? ?| ?&") {
		m[w] = true
	}
	return m
}()

// defaultCollation proves that an expression that has a collation has the default one: every column in it has that or
// none, nothing says COLLATE, and no type or function in it has another.
func (a *analysis) defaultCollation(n sqlparse.Node, sc *scope) bool {
	plain := true
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetColumnRef() != nil:
			id, _ := sc.lookup(n.GetColumnRef())
			c := a.collationOf(nil, id, sc)
			if id.r == nil || c != "default" && (c != "" || collatable(a.baseType(id, 0))) {
				plain = false
			}
			return false
		case n.GetFuncCall() != nil:
			f := n.GetFuncCall()
			name := sqlparse.Strings(f.Funcname)
			fn := name[len(name)-1]
			plain = plain && plainFunctions[fn] && len(a.env.Schema.Functions[fn]) == 0 && (len(name) == 1 || name[0] == "pg_catalog")
		case n.GetAExpr() != nil:
			name := sqlparse.Strings(n.GetAExpr().Name)
			plain = plain && len(name) == 1 && plainOperators[name[0]]
		case n.GetTypeCast() != nil:
			// A user's domain may have a collation of its own.
			plain = plain && builtinName(n.GetTypeCast().TypeName)
		case n.GetAConst() != nil, n.GetBoolExpr() != nil, n.GetNullTest() != nil, n.GetBooleanTest() != nil, n.GetCaseExpr() != nil,
			n.GetCaseWhen() != nil, n.GetCoalesceExpr() != nil, n.GetMinMaxExpr() != nil, n.GetTypeName() != nil, n.GetList() != nil,
			n.GetString_() != nil, n.GetInteger() != nil, n.GetWindowDef() != nil, n.GetSortBy() != nil:
		default:
			plain = false
		}
		return plain
	})
	return plain
}

// builtinName reports whether a type's name is one of the built-in types that name no collation of their own.
func builtinName(t *sqlparse.TypeName) bool {
	if t == nil {
		return false
	}
	names := sqlparse.Strings(t.Names)
	return len(names) > 0 && typeOIDs[names[len(names)-1]] != 0 && names[len(names)-1] != "name" &&
		(len(names) == 1 || names[0] == "pg_catalog")
}

// collatable is false of built-in types that are known to have no collation.
func collatable(oid uint32) bool {
	for name, t := range typeOIDs {
		if t == oid {
			return name == "text" || name == "varchar" || name == "bpchar" || name == "name"
		}
	}
	return true
}
