package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// presence says on which backends an object exists.
type presence struct {
	where where
	table *Table // the relation the object is or belongs to, when it is known
	check string // whereMaybe: SQL that is true where the object exists
}

// where is the range of a presence.
type where uint8

// The ranges. An unknown relation counts as home's: PostgreSQL there says that it does not exist.
const (
	onHome  where = iota
	onAll         // every backend
	onMaybe       // home, and those others where check is true
	onTemp        // the session's own, on home
)

func (d *ddl) relationPresence(rv *sqlparse.RangeVar) presence {
	t, temp := d.resolve(rv)
	return tablePresence(t, temp)
}

func tablePresence(t *Table, temp bool) presence {
	switch {
	case temp:
		return presence{where: onTemp}
	case t == nil:
		return presence{where: onHome}
	case t.Kind == TableSequence:
		return presence{where: onMaybe, table: t,
			check: "pg_catalog.to_regclass(" + quoteLiteral(quoteName(t.Schema, t.Name)) + ") IS NOT NULL"}
	case t.Everywhere:
		return presence{where: onAll, table: t}
	}
	return presence{where: onHome, table: t}
}

// indexPresence is that of the index's table. name may be qualified.
func (d *ddl) indexPresence(schema, name string) (presence, string) {
	path := d.env.Path
	if schema != "" {
		path = []string{schema}
	}
	for _, p := range path {
		if oid, ok := d.env.Schema.Indexes[p][name]; ok {
			return tablePresence(d.env.Schema.ByOID[oid], false), p
		}
		if schema == "" && d.env.Schema.Relations[p][name] != nil {
			break // another kind of relation hides it: PostgreSQL's error
		}
	}
	return presence{where: onHome}, ""
}

// presence finds where the object of a COMMENT, RENAME, GRANT … is, or why the statement is refused.
func (d *ddl) presence(kind sqlparse.ObjectType, object sqlparse.Node) (presence, *pgerr.Error) {
	list := object.GetList().GetItems()
	switch schema := schemaOf(object); {
	case shardSchema(schema):
		return presence{}, refShardSchema
	case tempSchema(schema):
		return presence{where: onTemp}, nil
	}
	switch kind {
	case sqlparse.ObjectTable, sqlparse.ObjectView, sqlparse.ObjectMatview, sqlparse.ObjectForeignTable, sqlparse.ObjectSequence:
		if rv := object.GetRangeVar(); rv != nil {
			return d.relationPresence(rv), nil
		}
		return d.relationPresence(listRangeVar(list)), nil
	case sqlparse.ObjectIndex:
		rv := object.GetRangeVar()
		if rv == nil {
			rv = listRangeVar(list)
		}
		p, _ := d.indexPresence(rv.Schemaname, rv.Relname)
		return p, nil
	case sqlparse.ObjectColumn, sqlparse.ObjectTabConstraint, sqlparse.ObjectTrigger, sqlparse.ObjectRule, sqlparse.ObjectPolicy:
		if len(list) < 2 {
			return presence{}, nil
		}
		return d.columnOwner(list[:len(list)-1]), nil
	case sqlparse.ObjectFunction, sqlparse.ObjectProcedure, sqlparse.ObjectRoutine, sqlparse.ObjectAggregate:
		return d.functionPresence(object.GetObjectWithArgs())
	case sqlparse.ObjectType_, sqlparse.ObjectDomain:
		return d.typePresence(typeNameOf(object))
	case sqlparse.ObjectAttribute:
		return d.typePresence(listTypeName(list))
	case sqlparse.ObjectDomConstraint:
		switch {
		case len(list) == 0:
			return presence{}, nil
		case list[0].GetTypeName() == nil: // RENAME CONSTRAINT names the domain alone
			return d.typePresence(listTypeName(list))
		}
		return d.typePresence(typeNameOf(list[0]))
	case sqlparse.ObjectStatistics:
		_, name := listName(list)
		return presence{where: onMaybe,
			check: "EXISTS (SELECT FROM pg_catalog.pg_statistic_ext WHERE stxname = " + quoteLiteral(name) + ")"}, nil
	case sqlparse.ObjectFDW, sqlparse.ObjectForeignServer, sqlparse.ObjectUserMapping, sqlparse.ObjectLargeObject, sqlparse.ObjectPublication:
		return presence{where: onHome}, nil
	case sqlparse.ObjectTablespace:
		return presence{}, refTablespace
	case sqlparse.ObjectEventTrigger:
		return presence{}, refEventTrigger
	case sqlparse.ObjectSubscription:
		return presence{}, refSubscription
	}
	return presence{where: onAll}, nil
}

// schemaOf is the schema that an object's name begins with, "" if it is not qualified.
func schemaOf(object sqlparse.Node) string {
	list := object.GetList().GetItems()
	switch {
	case object.GetRangeVar() != nil:
		return object.GetRangeVar().Schemaname
	case object.GetObjectWithArgs() != nil:
		list = object.GetObjectWithArgs().Objname
	case object.GetTypeName() != nil:
		list = object.GetTypeName().Names
	}
	if parts := sqlparse.Strings(list); len(parts) > 1 {
		return parts[0]
	}
	return ""
}

// columnOwner finds the relation, or composite type, that a column's or trigger's name begins with.
func (d *ddl) columnOwner(list []sqlparse.Node) presence {
	rv := listRangeVar(list)
	p := d.relationPresence(rv)
	if p.where == onHome && p.table == nil {
		if t, _ := d.typePresence(listTypeName(list)); t.where != onHome {
			return t
		}
	}
	return p
}

func listRangeVar(list []sqlparse.Node) *sqlparse.RangeVar {
	schema, name := listName(list)
	rv := rangeVar(schema, name)
	if parts := sqlparse.Strings(list); len(parts) == 3 {
		rv.Catalogname = parts[0]
	}
	return rv
}

func typeNameOf(n sqlparse.Node) *sqlparse.TypeName {
	if t := n.GetTypeName(); t != nil {
		return t
	}
	return listTypeName(n.GetList().GetItems())
}

func listTypeName(list []sqlparse.Node) *sqlparse.TypeName {
	return &sqlparse.TypeName{Names: list, Typemod: -1}
}

// typePresence is guarded: a composite type over a local table's row type is on home only.
func (d *ddl) typePresence(tn *sqlparse.TypeName) (presence, *pgerr.Error) {
	schema, name := listName(tn.GetNames())
	schema, ok := d.typeSchema(schema, name)
	if !ok {
		return presence{where: onHome}, nil
	}
	if rel := d.env.Schema.Relations[schema][name]; rel != nil {
		return tablePresence(rel, false), nil
	}
	return presence{where: onMaybe,
		check: typeThere(schema, name)}, nil
}

// typeThere is true where a type is, though it be only a shell, which to_regtype does not take.
func typeThere(schema, name string) string {
	return "EXISTS (SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace" +
		" WHERE (n.nspname, t.typname) OPERATOR(pg_catalog.=) (" + quoteLiteral(schema) + ", " + quoteLiteral(name) + "))"
}

// typeSchema finds the schema of a user's type.
func (d *ddl) typeSchema(schema, name string) (string, bool) {
	path := d.env.Path
	if schema != "" {
		path = []string{schema}
	}
	for _, p := range path {
		if _, ok := d.env.Schema.Types[p+"."+name]; ok {
			return p, true
		}
	}
	return "", false
}

// functionPresence is guarded: a function whose signature names a local table is on home only. The name must mean
// the same function everywhere, so an unqualified one that several schemas have is refused.
func (d *ddl) functionPresence(f *sqlparse.ObjectWithArgs) (presence, *pgerr.Error) {
	schema, name := listName(f.GetObjname())
	schema, known, err := d.functionSchema(schema, name)
	if err != nil || !known {
		return presence{where: onHome}, err
	}
	full := quoteName(schema, name)
	if f.ArgsUnspecified {
		return presence{where: onMaybe, check: "pg_catalog.to_regproc(" + quoteLiteral(full) + ") IS NOT NULL"}, nil
	}
	types := make([]string, 0, len(f.Objargs))
	for _, a := range f.Objargs {
		if d.homeType(a.GetTypeName()) {
			return presence{where: onHome}, nil // to_regprocedure fails on a type that is missing
		}
		sql, err := sqlparse.TypeSQL(a.GetTypeName())
		if err != nil {
			return presence{}, refCompose
		}
		types = append(types, sql)
	}
	sig := full + "(" + strings.Join(types, ", ") + ")"
	return presence{where: onMaybe, check: "pg_catalog.to_regprocedure(" + quoteLiteral(sig) + ") IS NOT NULL"}, nil
}

func (d *ddl) functionSchema(schema, name string) (_ string, known bool, _ *pgerr.Error) {
	found := ""
	for _, f := range d.env.Schema.Functions[name] {
		switch {
		case schema != "" && f.Schema == schema:
			return schema, true, nil
		case schema != "" || f.Schema == found || !slices.Contains(d.env.Path, f.Schema):
		case found != "":
			return "", false, refAmbiguousFunction
		default:
			found = f.Schema
		}
	}
	return found, found != "", nil
}

// follow plans a statement about one object: everywhere, on home, or guarded on the others. after are further
// steps.
func (d *ddl) follow(p presence, after ...Step) *Template {
	switch p.where {
	case onTemp:
		return d.plainHome(EffectUnclean)
	case onAll:
		return d.change(append([]Step{d.answer(WhereAll)}, after...)...)
	case onMaybe:
		steps := []Step{d.answer(WhereHome), {Where: WhereOthers, SQL: runIf(p.check, d.sql()), Own: true}}
		return d.change(append(steps, after...)...)
	}
	return d.change(append([]Step{d.answer(WhereHome)}, after...)...)
}

// runIf runs sql on the backends where check holds.
func runIf(check, sql string) string {
	return ownCall("run_if(" + check + ", " + quoteLiteral(sql) + ")")
}
