package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

func lowerTrim(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// objectWords name kinds of object in command tags.
var objectWords = map[sqlparse.ObjectType]string{
	sqlparse.ObjectAccessMethod: "ACCESS METHOD", sqlparse.ObjectAggregate: "AGGREGATE", sqlparse.ObjectAttribute: "TYPE",
	sqlparse.ObjectCast: "CAST", sqlparse.ObjectCollation: "COLLATION", sqlparse.ObjectColumn: "TABLE",
	sqlparse.ObjectConversion: "CONVERSION", sqlparse.ObjectDatabase: "DATABASE", sqlparse.ObjectDomain: "DOMAIN",
	sqlparse.ObjectDomConstraint: "DOMAIN", sqlparse.ObjectEventTrigger: "EVENT TRIGGER", sqlparse.ObjectExtension: "EXTENSION",
	sqlparse.ObjectFDW: "FOREIGN DATA WRAPPER", sqlparse.ObjectForeignServer: "SERVER", sqlparse.ObjectForeignTable: "FOREIGN TABLE",
	sqlparse.ObjectFunction: "FUNCTION", sqlparse.ObjectIndex: "INDEX", sqlparse.ObjectLanguage: "LANGUAGE",
	sqlparse.ObjectMatview: "MATERIALIZED VIEW", sqlparse.ObjectOpclass: "OPERATOR CLASS", sqlparse.ObjectOperator: "OPERATOR",
	sqlparse.ObjectOpfamily: "OPERATOR FAMILY", sqlparse.ObjectPolicy: "POLICY", sqlparse.ObjectProcedure: "PROCEDURE",
	sqlparse.ObjectPublication: "PUBLICATION", sqlparse.ObjectRole: "ROLE", sqlparse.ObjectRoutine: "ROUTINE",
	sqlparse.ObjectRule: "RULE", sqlparse.ObjectSchema: "SCHEMA", sqlparse.ObjectSequence: "SEQUENCE",
	sqlparse.ObjectStatistics: "STATISTICS", sqlparse.ObjectSubscription: "SUBSCRIPTION", sqlparse.ObjectTabConstraint: "TABLE",
	sqlparse.ObjectTable: "TABLE", sqlparse.ObjectTablespace: "TABLESPACE", sqlparse.ObjectTransform: "TRANSFORM",
	sqlparse.ObjectTrigger: "TRIGGER", sqlparse.ObjectTSConfiguration: "TEXT SEARCH CONFIGURATION",
	sqlparse.ObjectTSDictionary: "TEXT SEARCH DICTIONARY", sqlparse.ObjectTSParser: "TEXT SEARCH PARSER",
	sqlparse.ObjectTSTemplate: "TEXT SEARCH TEMPLATE", sqlparse.ObjectType_: "TYPE", sqlparse.ObjectView: "VIEW",
}

// rename plans ALTER … RENAME. Partitions follow their table's name, so that a later table of the old one has
// its place.
func (d *ddl) rename() *Template {
	s := d.stmt.GetRenameStmt()
	d.tag = "ALTER " + objectWords[s.RenameType]
	switch s.RenameType {
	case sqlparse.ObjectSchema:
		if shardSchema(s.Subname) || shardSchema(s.Newname) {
			return d.refuse(refShardSchema)
		}
		return d.change(d.answer(WhereAll), syncShards)
	case sqlparse.ObjectRole:
		return d.everywhere()
	case sqlparse.ObjectDatabase:
		t := d.everywhere()
		t.DDL.Database = s.Subname
		return t
	}
	if s.Relation == nil {
		p, err := d.presence(s.RenameType, s.Object)
		if err != nil {
			return d.refuse(err)
		}
		return d.follow(p)
	}
	if shardSchema(s.Relation.Schemaname) {
		return d.refuse(refShardSchema)
	}
	p := d.renamed(s.RenameType, s.RelationType, s.Relation)
	if p.where != onAll {
		return d.follow(p)
	}
	d.takeOutOnly(s.Relation)
	if p.table.Kind == TableSharded && s.Subname == "" && s.RenameType != sqlparse.ObjectIndex {
		return d.follow(p, syncShards)
	}
	return d.follow(p)
}

// renamed is where the relation of a RENAME is: ALTER TABLE renames indexes and sequences too.
func (d *ddl) renamed(kind, relation sqlparse.ObjectType, rv *sqlparse.RangeVar) presence {
	if kind == sqlparse.ObjectAttribute || relation == sqlparse.ObjectType_ {
		p, err := d.typePresence(&sqlparse.TypeName{Names: relationParts(rv)})
		if err == nil {
			return p
		}
	}
	p := d.relationPresence(rv)
	if p.table == nil && p.where == onHome {
		p, _ = d.indexPresence(rv.Schemaname, rv.Relname)
	}
	return p
}

// setSchema plans ALTER … SET SCHEMA.
func (d *ddl) setSchema() *Template {
	s := d.stmt.GetAlterObjectSchemaStmt()
	d.tag = "ALTER " + objectWords[s.ObjectType]
	if shardSchema(s.Newschema) || shardSchema(s.Relation.GetSchemaname()) {
		return d.refuse(refShardSchema)
	}
	if s.Relation != nil {
		p := d.renamed(s.ObjectType, s.ObjectType, s.Relation)
		if p.table != nil && p.table.Kind == TableSharded {
			return d.follow(p, syncShards)
		}
		return d.follow(p)
	}
	p, err := d.presence(s.ObjectType, s.Object)
	if err != nil {
		return d.refuse(err)
	}
	return d.follow(p)
}

// setOwner plans ALTER … OWNER TO of what is no relation; relations' is a command of ALTER TABLE.
func (d *ddl) setOwner() *Template {
	s := d.stmt.GetAlterOwnerStmt()
	d.tag = "ALTER " + objectWords[s.ObjectType]
	p, err := d.presence(s.ObjectType, s.Object)
	if err != nil {
		return d.refuse(err)
	}
	return d.follow(p)
}

// dependsOn plans ALTER … DEPENDS ON EXTENSION.
func (d *ddl) dependsOn() *Template {
	s := d.stmt.GetAlterObjectDependsStmt()
	d.tag = "ALTER " + objectWords[s.ObjectType]
	object := s.Object
	if s.Relation != nil && object == nil {
		object = sqlparse.RangeVarNode(s.Relation)
	}
	if s.ObjectType == sqlparse.ObjectTrigger {
		return d.follow(d.relationPresence(s.Relation))
	}
	p, err := d.presence(s.ObjectType, object)
	if err != nil {
		return d.refuse(err)
	}
	return d.follow(p)
}

func (d *ddl) comment() *Template {
	d.tag = "COMMENT"
	s := d.stmt.GetCommentStmt()
	p, err := d.presence(s.Objtype, s.Object)
	if err != nil {
		return d.refuse(err)
	}
	return d.follow(p)
}

func (d *ddl) securityLabel() *Template {
	d.tag = "SECURITY LABEL"
	s := d.stmt.GetSecLabelStmt()
	p, err := d.presence(s.Objtype, s.Object)
	if err != nil {
		return d.refuse(err)
	}
	return d.follow(p)
}

func (d *ddl) createTrigger() *Template {
	d.tag = "CREATE TRIGGER"
	return d.onRelation(d.stmt.GetCreateTrigStmt().Relation)
}

func (d *ddl) createPolicy() *Template {
	d.tag = "CREATE POLICY"
	return d.onRelation(d.stmt.GetCreatePolicyStmt().Table)
}

func (d *ddl) alterPolicy() *Template {
	d.tag = "ALTER POLICY"
	return d.onRelation(d.stmt.GetAlterPolicyStmt().Table)
}

// onRelation plans a statement about something that belongs to a relation.
func (d *ddl) onRelation(rv *sqlparse.RangeVar) *Template {
	if shardSchema(rv.Schemaname) {
		return d.refuse(refShardSchema)
	}
	return d.follow(d.relationPresence(rv))
}

// createRule: a rule would rewrite what the router has planned, but for one that lets nothing be done.
func (d *ddl) createRule() *Template {
	d.tag = "CREATE RULE"
	s := d.stmt.GetRuleStmt()
	rv := s.Relation
	nothing := s.Instead && s.WhereClause == nil && len(s.Actions) == 0
	if _, temp := d.resolve(rv); temp {
		r, where := d.queryReads(sqlparse.ListNode(s.Actions...)), d.queryReads(s.WhereClause)
		if r.sharded || r.everywhere || where.sharded || where.everywhere {
			return d.refuse(refTempEverywhere) // a write of the table runs on home alone
		}
	}
	if p := d.relationPresence(rv); p.where == onAll && !(nothing && p.table != nil && (p.table.Kind == TableSharded || p.table.Kind == TableView)) {
		return d.refuse(refRules)
	}
	return d.onRelation(rv)
}

func (d *ddl) createStatistics() *Template {
	d.tag = "CREATE STATISTICS"
	rels := d.stmt.GetCreateStatsStmt().Relations
	if len(rels) != 1 || rels[0].GetRangeVar() == nil {
		return d.nothing() // PostgreSQL's error
	}
	return d.onRelation(rels[0].GetRangeVar())
}

func (d *ddl) alterStatistics() *Template {
	d.tag = "ALTER STATISTICS"
	p, err := d.presence(sqlparse.ObjectStatistics, sqlparse.ListNode(d.stmt.GetAlterStatsStmt().Defnames...))
	if err != nil {
		return d.refuse(err)
	}
	return d.follow(p)
}
