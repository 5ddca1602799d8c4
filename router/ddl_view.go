package router

import (
	"github.com/pleiad/pleiad/router/sqlparse"
)

// reads is what a query reads, for deciding where a view of it can be.
type reads struct {
	temp       bool // a temporary relation of the session
	sharded    bool // a sharded table, also through views
	somewhere  bool // a relation or type that home alone has
	everywhere bool // at least one relation that every backend has
}

// queryReads looks at every relation and type that a tree names. A name that a WITH query has hides a relation;
// where scopes are not told apart the relation counts too, which errs towards home.
func (d *ddl) queryReads(tree sqlparse.Node) reads {
	var r reads
	ctes := map[string]bool{}
	sqlparse.Walk(tree, func(n sqlparse.Node) bool {
		if c := n.GetCommonTableExpr(); c != nil {
			ctes[c.Ctename] = true
		}
		return true
	})
	sqlparse.Walk(tree, func(n sqlparse.Node) bool {
		if rv := n.GetRangeVar(); rv != nil {
			t, temp := d.resolve(rv)
			switch {
			case temp:
				r.temp = true
			case t == nil && rv.Schemaname == "" && ctes[rv.Relname]:
			case t == nil:
				r.somewhere = true
			default:
				r.see(t)
			}
		}
		if tn := n.GetTypeName(); tn != nil && d.homeType(tn) {
			r.somewhere = true
		}
		if d.env.called(n)&(fnSharded|fnDynamic) != 0 {
			r.sharded = true
		}
		return true
	})
	return r
}

func (r *reads) see(t *Table) {
	r.sharded = r.sharded || t.Kind == TableSharded || t.Touches || t.ReadReach&ReachSharded != 0
	if t.Everywhere {
		r.everywhere = true
	} else {
		r.somewhere = true
	}
}

// homeType is true of the row type of a relation that home alone has.
func (d *ddl) homeType(tn *sqlparse.TypeName) bool {
	if tn.PctType && len(tn.Names) > 1 { // table.column%TYPE
		schema, name := listName(tn.Names[:len(tn.Names)-1])
		t, _ := d.env.resolve(&sqlparse.RangeVar{Schemaname: schema, Relname: name})
		return t == nil || !t.Everywhere
	}
	schema, name := listName(tn.Names)
	if tempSchema(schema) || schema == "" && d.env.Temp[name] {
		return true
	}
	schema, ok := d.typeSchema(schema, name)
	if !ok {
		return false
	}
	t := d.env.Schema.Relations[schema][name]
	return t != nil && !t.Everywhere
}

// createView plans CREATE VIEW: on every backend if all it reads is there, else on home.
func (d *ddl) createView() *Template {
	d.tag = "CREATE VIEW"
	s := d.stmt.GetViewStmt()
	if shardSchema(s.View.Schemaname) {
		return d.refuse(refShardSchema)
	}
	r := d.queryReads(s.Query)
	if s.View.Relpersistence == "t" || tempSchema(s.View.Schemaname) || r.temp {
		if r.sharded || r.everywhere {
			return d.refuse(refTempEverywhere) // statements that use it run on home alone
		}
		return d.plainHome(EffectPins)
	}
	schema := d.creationSchema(s.View.Schemaname)
	if schema == "" {
		return d.nothing() // PostgreSQL's error
	}
	spread := r.everywhere && !r.somewhere
	old := d.env.Schema.Relations[schema][s.View.Relname]
	was := old != nil && old.Everywhere && old.Kind == TableView
	name := quoteName(schema, s.View.Relname)
	register := func(on string) Step {
		return ownStep(WhereHome, "register_view("+regclass(schema, s.View.Relname)+", "+on+")")
	}
	switch {
	case old != nil && (!s.Replace || old.Kind != TableView):
		return d.nothing() // PostgreSQL's error
	case spread:
		return d.change(d.answer(WhereAll), register("true"))
	case was:
		return d.change(d.answer(WhereHome), Step{Where: WhereOthers, SQL: "DROP VIEW " + name}, register("false"))
	}
	return d.home()
}

// createTableAs plans CREATE TABLE AS and CREATE MATERIALIZED VIEW: their tables are local, whatever
// pleiad.default_distribution says.
func (d *ddl) createTableAs() *Template {
	s := d.stmt.GetCreateTableAsStmt()
	d.tag = "CREATE TABLE AS"
	matview := s.Objtype == sqlparse.ObjectMatview
	if matview {
		d.tag = "CREATE MATERIALIZED VIEW"
	}
	rel := s.GetInto().GetRel()
	if shardSchema(rel.GetSchemaname()) {
		return d.refuse(refShardSchema)
	}
	for _, n := range s.GetInto().GetOptions() {
		if n.GetDefElem().GetDefnamespace() == "pleiad" {
			return d.refuse(refOption.WithHint("Create the table first, then INSERT … SELECT."))
		}
	}
	r := d.queryReads(s.Query)
	prepared := sqlparse.Kind(s.Query) == "execute_stmt"
	there := s.IfNotExists && d.exists(d.creationSchema(rel.GetSchemaname()), rel.GetRelname())
	switch {
	case matview && hasParameter(s.Query):
		return d.plainHome(EffectUnclean) // PostgreSQL's error in any case, which differs between the protocols
	case (r.sharded || prepared) && there && rel.GetRelpersistence() != "t":
		return d.nothing() // PostgreSQL's notice
	case prepared:
		return d.tableOfPrepared(s)
	case r.sharded && (s.IfNotExists && rel.GetRelpersistence() == "t"):
		return d.refuse(refTableAsSharded)
	case r.sharded && !s.Into.SkipData && matview:
		return d.matviewFill(s)
	case r.sharded && !s.Into.SkipData:
		return d.tableAsFill(s)
	case rel.GetRelpersistence() == "t" || rel.GetSchemaname() == "pg_temp":
		return d.plainHome(EffectPins)
	}
	return d.home()
}

// selectInto plans SELECT … INTO; nil for every other SELECT.
func (d *ddl) selectInto() *Template {
	s := d.stmt.GetSelectStmt()
	for s.GetLarg() != nil { // INTO stands in the first SELECT of a set operation
		s = s.Larg
	}
	rel := s.GetIntoClause().GetRel()
	if rel == nil {
		return nil
	}
	d.tag = "SELECT"
	if shardSchema(rel.Schemaname) {
		return d.refuse(refShardSchema)
	}
	tree := sqlparse.Clone(d.stmt)
	first := tree.GetSelectStmt()
	for first.Larg != nil {
		first = first.Larg
	}
	first.IntoClause = nil
	switch r := d.queryReads(tree); {
	case r.sharded:
		return d.selectFill(rel, tree)
	case rel.Relpersistence == "t" || rel.Schemaname == "pg_temp":
		return d.plainHome(EffectPins)
	}
	return d.home()
}

func (d *ddl) createForeignTable() *Template {
	d.tag = "CREATE FOREIGN TABLE"
	s := d.stmt.GetCreateForeignTableStmt()
	if shardSchema(s.GetBaseStmt().GetRelation().GetSchemaname()) {
		return d.refuse(refShardSchema)
	}
	for _, n := range s.GetBaseStmt().GetInhRelations() {
		if t, _ := d.resolve(n.GetRangeVar()); t != nil && t.Everywhere {
			return d.refuse(refInherit)
		}
	}
	return d.home()
}
