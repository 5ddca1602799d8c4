package router

import (
	"github.com/pleiad/pleiad/router/sqlparse"
)

// createFunction plans CREATE FUNCTION and PROCEDURE: everywhere, with bodies unchecked besides home, where the
// tables they read may be missing; on home only if the signature, or a body that is parsed at creation, names what
// home alone has.
func (d *ddl) createFunction() *Template {
	s := d.stmt.GetCreateFunctionStmt()
	d.tag = "CREATE FUNCTION"
	if s.IsProcedure {
		d.tag = "CREATE PROCEDURE"
	}
	if schema, _ := listName(s.Funcname); shardSchema(schema) {
		return d.refuse(refShardSchema)
	}
	home := s.ReturnType != nil && d.homeType(s.ReturnType)
	for _, n := range s.Parameters {
		p := n.GetFunctionParameter()
		home = home || p.GetArgType() != nil && d.homeType(p.ArgType)
		if p.GetDefexpr() != nil {
			home = home || d.queryReads(p.Defexpr).somewhere
		}
	}
	if s.SqlBody != nil {
		r := d.queryReads(s.SqlBody)
		home = home || r.somewhere || r.temp
	}
	if home {
		return d.home()
	}
	return d.change(d.answer(WhereHome),
		ownStep(WhereOthers, "run_unchecked("+quoteLiteral(d.text)+")"))
}

func (d *ddl) alterFunction() *Template {
	s := d.stmt.GetAlterFunctionStmt()
	d.tag = "ALTER " + objectWords[s.Objtype]
	p, err := d.functionPresence(s.Func)
	if err != nil {
		return d.refuse(err)
	}
	return d.follow(p)
}

// createComposite plans CREATE TYPE … AS (…).
func (d *ddl) createComposite() *Template {
	d.tag = "CREATE TYPE"
	s := d.stmt.GetCompositeTypeStmt()
	if shardSchema(s.GetTypevar().GetSchemaname()) {
		return d.refuse(refShardSchema)
	}
	for _, n := range s.Coldeflist {
		if tn := n.GetColumnDef().GetTypeName(); tn != nil && d.homeType(tn) {
			return d.home()
		}
	}
	return d.everywhere()
}

// define plans CREATE AGGREGATE, OPERATOR, TYPE, COLLATION and TEXT SEARCH ….
func (d *ddl) define() *Template {
	s := d.stmt.GetDefineStmt()
	d.tag = "CREATE " + objectWords[s.Kind]
	if schema, _ := listName(s.Defnames); shardSchema(schema) {
		return d.refuse(refShardSchema)
	}
	return d.everywhere()
}

// createSequence plans CREATE SEQUENCE: everywhere, for defaults of tables that every backend has name it; a local
// table's own on home only.
func (d *ddl) createSequence() *Template {
	d.tag = "CREATE SEQUENCE"
	s := d.stmt.GetCreateSeqStmt()
	if s.Sequence.Relpersistence == "t" || s.Sequence.Schemaname == "pg_temp" {
		return d.plainHome(EffectPins)
	}
	if shardSchema(s.Sequence.Schemaname) {
		return d.refuse(refShardSchema)
	}
	schema := d.creationSchema(s.Sequence.Schemaname)
	if s.IfNotExists && d.exists(schema, s.Sequence.Relname) {
		return d.nothing() // PostgreSQL's notice
	}
	if t, named := d.ownerTable(s.Options); named && (t == nil || !t.Everywhere) {
		return d.home()
	}
	return d.everywhere()
}

// alterSequence plans ALTER SEQUENCE. One that comes to belong to a local table goes from the other backends, so
// that it ends there when it ends on home.
func (d *ddl) alterSequence() *Template {
	d.tag = "ALTER SEQUENCE"
	s := d.stmt.GetAlterSeqStmt()
	if shardSchema(s.Sequence.Schemaname) {
		return d.refuse(refShardSchema)
	}
	p := d.relationPresence(s.Sequence)
	if t, named := d.ownerTable(s.Options); named && (t == nil || !t.Everywhere) && p.where == onMaybe {
		drop := "DROP SEQUENCE IF EXISTS " + quoteName(p.table.Schema, p.table.Name)
		return d.change(d.answer(WhereHome), Step{Where: WhereOthers, SQL: drop})
	}
	return d.follow(p)
}

// ownerTable finds the table of OWNED BY table.column; named is false without one and for OWNED BY NONE.
func (d *ddl) ownerTable(options []sqlparse.Node) (t *Table, named bool) {
	for _, n := range options {
		def := n.GetDefElem()
		if def.GetDefname() != "owned_by" {
			continue
		}
		list := def.Arg.GetList().GetItems()
		if len(list) < 2 {
			return nil, false
		}
		t, _ = d.resolve(listRangeVar(list[:len(list)-1]))
		return t, true
	}
	return nil, false
}
