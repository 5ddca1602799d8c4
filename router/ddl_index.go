package router

import (
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// shardIndex names the parts that CREATE INDEX CONCURRENTLY makes of an index in the shard schemas.
func shardIndex(schema, name string) string { return "pleiad_" + nameHash(schema, name) }

// dropStrays removes parts of an index that never became part of it.
func dropStrays(part string) Step {
	return ownStep(WhereAll, "drop_stray_indexes("+quoteLiteral(part)+")")
}

var closeShards = ownStep(WhereAll, "close_shards()")

// openShards lets the user create indexes on the table's partitions until closeShards.
func openShards(t *Table) Step {
	return ownStep(WhereAll, "open_shards("+regclass(t.Schema, t.Name)+")")
}

// withIndexes is follow for a statement that builds indexes.
func (d *ddl) withIndexes(p presence, after ...Step) *Template {
	if p.where != onAll {
		return d.follow(p, after...)
	}
	after = append([]Step{sameShape(p.table.Schema, p.table.Name)}, after...)
	if p.table.Kind != TableSharded {
		return d.follow(p, after...)
	}
	steps := []Step{openShards(p.table), d.answer(WhereAll), closeShards}
	return d.change(append(steps, after...)...)
}

// createIndex plans CREATE INDEX.
func (d *ddl) createIndex() *Template {
	d.tag = "CREATE INDEX"
	s := d.stmt.GetIndexStmt()
	if shardSchema(s.Relation.Schemaname) {
		return d.refuse(refShardSchema)
	}
	p := d.relationPresence(s.Relation)
	if p.where == onAll {
		if s.TableSpace != "" {
			return d.refuse(refTablespace)
		}
		d.takeOutOnly(s.Relation)
	}
	if !s.Concurrent || p.where == onTemp {
		return d.withIndexes(p)
	}
	if p.where != onAll {
		return d.outside(d.answer(WhereHome))
	}
	if s.Idxname == "" {
		return d.refuse(refIndexName)
	}
	if _, exists := d.env.Schema.Indexes[p.table.Schema][s.Idxname]; exists {
		d.withoutConcurrently()              // the lock takes a transaction
		return notInBlock(d.nothing(), true) // PostgreSQL's notice or error
	}
	if p.table.Kind == TableReference {
		undo := "DROP INDEX CONCURRENTLY IF EXISTS " + quoteName(p.table.Schema, s.Idxname)
		// What fails leaves an invalid index, on home too, as it would on one server.
		return d.outside(append(d.undoable(WhereHome, d.sql(), undo, true),
			Step{Where: WhereOthers, SQL: undo, Undo: undo}, Step{Where: WhereOthers, SQL: d.sql()})...)
	}
	return d.createIndexOnShards(s, p.table)
}

// createIndexOnShards does by hand what PostgreSQL refuses to do concurrently on a partitioned table: an index on
// the parent alone, which is not valid yet; one on each partition, concurrently; then all are attached and the
// parent's becomes valid. What an earlier try left of the partitions' indexes is dropped first. The step before
// each concurrent one carries its undo, for CREATE INDEX CONCURRENTLY leaves an invalid index when it fails.
func (d *ddl) createIndexOnShards(s *sqlparse.IndexStmt, t *Table) *Template {
	parent, err := indexSQL(d.stmt, func(x *sqlparse.IndexStmt) {
		x.Concurrent, x.Relation = false, rangeVar(t.Schema, t.Name)
		x.Relation.Inh = false
	})
	if err != nil {
		return d.refuse(refCompose)
	}
	name := quoteName(t.Schema, s.Idxname)
	undo := "DROP INDEX IF EXISTS " + name
	steps := append(d.undoable(WhereHome, parent, undo, true), d.undoable(WhereOthers, parent, undo, false)...)
	open := openShards(t)
	open.Undo = closeShards.SQL
	steps = append(steps, open)
	part := shardIndex(t.Schema, s.Idxname)
	owners, _ := d.env.Schema.Map.Owners(shardmap.GroupID(t.Group))
	for shard, b := range owners {
		schema := "pleiad_" + itoa(shard)
		create, err := indexSQL(d.stmt, func(x *sqlparse.IndexStmt) {
			x.Idxname, x.Relation, x.IfNotExists = part, rangeVar(schema, ShardRelation(t.Schema, t.Name)), false
		})
		if err != nil {
			return d.refuse(refCompose)
		}
		drop := "DROP INDEX CONCURRENTLY IF EXISTS " + quoteName(schema, part)
		steps = append(steps, Step{Where: WhereOne, Backend: int(b), SQL: drop, Undo: drop},
			Step{Where: WhereOne, Backend: int(b), SQL: create})
	}
	steps = append(steps, closeShards, ownStep(WhereAll, "attach_indexes("+regclass(t.Schema, s.Idxname)+", "+quoteLiteral(part)+")"))
	out := d.outside(steps...)
	out.DDL.Part, out.DDL.Whole = part, s.Idxname
	return out
}

func indexSQL(stmt sqlparse.Node, change func(*sqlparse.IndexStmt)) (string, error) {
	tree := sqlparse.Clone(stmt)
	change(tree.GetIndexStmt())
	return sqlparse.StatementSQL(tree)
}
