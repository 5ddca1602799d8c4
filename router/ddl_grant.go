package router

import (
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// grant plans GRANT and REVOKE on objects.
func (d *ddl) grant() *Template {
	s := d.stmt.GetGrantStmt()
	d.tag = "REVOKE"
	if s.IsGrant {
		d.tag = "GRANT"
	}
	if s.Targtype != sqlparse.GrantObjects {
		return d.everywhere() // ALL … IN SCHEMA: each backend's own
	}
	for _, o := range s.Objects {
		if shardSchema(o.GetRangeVar().GetSchemaname()) || s.Objtype == sqlparse.ObjectSchema && shardSchema(o.GetString_().GetSval()) {
			return d.refuse(refShardSchema)
		}
	}
	return d.perObject(s.Objects, func(o sqlparse.Node) (presence, *pgerr.Error) {
		return d.presence(s.Objtype, o)
	}, func(tree sqlparse.Node, objects []sqlparse.Node, _ bool) {
		tree.GetGrantStmt().Objects = objects
	})
}

// reassignOwned also hands over partitions of tables whose owner has no shards of his own here.
func (d *ddl) reassignOwned() *Template {
	d.tag = "REASSIGN OWNED"
	return d.change(d.answer(WhereAll), syncShards)
}

// createSchema plans CREATE SCHEMA. What it makes inside is made on home, so it must be local.
func (d *ddl) createSchema() *Template {
	d.tag = "CREATE SCHEMA"
	s := d.stmt.GetCreateSchemaStmt()
	if shardSchema(s.Schemaname) {
		return d.refuse(refShardSchema)
	}
	if len(s.SchemaElts) == 0 {
		return d.everywhere()
	}
	for _, n := range s.SchemaElts {
		if !d.localElement(n) {
			return d.refuse(refSchemaElements)
		}
	}
	tree := sqlparse.Clone(d.stmt)
	tree.GetCreateSchemaStmt().SchemaElts = nil
	others, err := d.others(tree)
	if err != nil {
		return d.refuse(err)
	}
	return d.change(d.answer(WhereHome), others)
}

// localElement is true of tables that are local without doubt, and indexes on what was just made.
func (d *ddl) localElement(n sqlparse.Node) bool {
	switch sqlparse.Kind(n) {
	case "create_stmt":
		s := n.GetCreateStmt()
		for _, o := range s.Options {
			if o.GetDefElem().GetDefnamespace() == "pleiad" {
				return false
			}
		}
		foreign := false
		sqlparse.Walk(n, func(n sqlparse.Node) bool {
			foreign = foreign || n.GetConstraint().GetContype() == sqlparse.ConstraintForeign
			return true
		})
		return !foreign && !d.hashed(s) && len(s.InhRelations) == 0 && (d.env.DefaultDistribution == "local" || d.env.DefaultDistribution == "")
	case "index_stmt":
		return true
	}
	return false
}

// createPublication: a publication names tables of one server.
func (d *ddl) createPublication() *Template {
	d.tag = "CREATE PUBLICATION"
	s := d.stmt.GetCreatePublicationStmt()
	if s.ForAllTables || !d.localTables(s.Pubobjects) {
		return d.refuse(refPublication)
	}
	return d.home()
}

func (d *ddl) alterPublication() *Template {
	d.tag = "ALTER PUBLICATION"
	s := d.stmt.GetAlterPublicationStmt()
	if s.ForAllTables || !d.localTables(s.Pubobjects) {
		return d.refuse(refPublication)
	}
	return d.home()
}

func (d *ddl) localTables(objects []sqlparse.Node) bool {
	for _, n := range objects {
		rv := n.GetPublicationObjSpec().GetPubtable().GetRelation()
		if rv == nil {
			return false // tables in a schema
		}
		if t, _ := d.resolve(rv); t != nil && t.Everywhere {
			return false
		}
	}
	return true
}
