package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// upkeep is a statement that changes nothing which the snapshot shows.
func (d *ddl) upkeep(inTxn bool, steps ...Step) *Template {
	return d.template(&DDL{Steps: steps, InTxn: inTxn})
}

// relationList sorts a statement's relations: spread is those that every backend has. It refuses shard schemas
// and takes out ONLY.
func (d *ddl) relationList(rvs []*sqlparse.RangeVar) (spread []int, tables []*Table, _ *pgerr.Error) {
	for i, rv := range rvs {
		if shardSchema(rv.Schemaname) {
			return nil, nil, refShardSchema
		}
		if p := d.relationPresence(rv); p.where == onAll {
			spread, tables = append(spread, i), append(tables, p.table)
			d.takeOutOnly(rv)
		}
	}
	return spread, tables, nil
}

// overRelations plans a statement over a list of relations: keep leaves those at the given places in a copy.
func (d *ddl) overRelations(rvs []*sqlparse.RangeVar, inTxn bool, keep func(tree sqlparse.Node, at []int)) (*Template, []*Table) {
	spread, tables, err := d.relationList(rvs)
	switch {
	case err != nil:
		return d.refuse(err), nil
	case len(spread) == 0:
		return d.plainHome(EffectUnclean), nil
	case len(spread) == len(rvs):
		return d.upkeep(inTxn, d.answer(WhereAll)), tables
	}
	tree := sqlparse.Clone(d.stmt)
	keep(tree, spread)
	others, err := d.others(tree)
	if err != nil {
		return d.refuse(err), nil
	}
	return d.upkeep(inTxn, d.answer(WhereHome), others), tables
}

func pick(list []sqlparse.Node, at []int) []sqlparse.Node {
	out := make([]sqlparse.Node, len(at))
	for i, p := range at {
		out[i] = list[p]
		if rv := out[i].GetRangeVar(); rv != nil {
			rv.Inh = true
		}
	}
	return out
}

func rangeVars(list []sqlparse.Node) []*sqlparse.RangeVar {
	out := make([]*sqlparse.RangeVar, len(list))
	for i, n := range list {
		out[i] = n.GetRangeVar()
	}
	return out
}

// truncate plans TRUNCATE.
func (d *ddl) truncate() *Template {
	d.tag = "TRUNCATE TABLE"
	s := d.stmt.GetTruncateStmt()
	t, tables := d.overRelations(rangeVars(s.Relations), true, func(tree sqlparse.Node, at []int) {
		tree.GetTruncateStmt().Relations = pick(tree.GetTruncateStmt().Relations, at)
	})
	for _, table := range tables {
		for _, trg := range table.Triggers {
			if trg.OnTrunc {
				return d.refuse(refTruncateTrigger)
			}
		}
	}
	return t
}

// lockTable plans LOCK TABLE.
func (d *ddl) lockTable() *Template {
	d.tag = "LOCK TABLE"
	s := d.stmt.GetLockStmt()
	t, tables := d.overRelations(rangeVars(s.Relations), true, func(tree sqlparse.Node, at []int) {
		tree.GetLockStmt().Relations = pick(tree.GetLockStmt().Relations, at)
	})
	if t.Refusal == refShardSchema && s.Mode == sqlparse.AccessShareLock {
		return d.refuse(refShardSchema.WithHint("To save a whole database use pleiad dump. pg_dump needs -N 'pleiad*'."))
	}
	if t.DDL != nil {
		t.DDL.NeedsBlock = true
		t.DDL.ReadLock = s.Mode == sqlparse.AccessShareLock &&
			slices.ContainsFunc(tables, func(table *Table) bool { return table.Kind == TableSharded })
	}
	return t
}

// vacuum plans VACUUM and ANALYZE; without a table they are for the whole database, on every backend.
func (d *ddl) vacuum() *Template {
	s := d.stmt.GetVacuumStmt()
	d.tag = "ANALYZE"
	if s.IsVacuumcmd {
		d.tag = "VACUUM"
	}
	if len(s.Rels) == 0 {
		return d.upkeep(!s.IsVacuumcmd, d.answer(WhereAll))
	}
	rvs := make([]*sqlparse.RangeVar, len(s.Rels))
	for i, n := range s.Rels {
		rvs[i] = n.GetVacuumRelation().GetRelation()
	}
	t, _ := d.overRelations(rvs, !s.IsVacuumcmd, func(tree sqlparse.Node, at []int) {
		tree.GetVacuumStmt().Rels = pick(tree.GetVacuumStmt().Rels, at)
	})
	return t
}

// cluster plans CLUSTER. PostgreSQL runs it outside of transactions for a partitioned table and for all tables.
func (d *ddl) cluster() *Template {
	d.tag = "CLUSTER"
	rv := d.stmt.GetClusterStmt().Relation
	if rv == nil {
		return d.upkeep(false, d.answer(WhereAll))
	}
	if shardSchema(rv.Schemaname) {
		return d.refuse(refShardSchema)
	}
	return d.rebuild(d.relationPresence(rv), false)
}

// reindex plans REINDEX.
func (d *ddl) reindex() *Template {
	d.tag = "REINDEX"
	s := d.stmt.GetReindexStmt()
	concurrently := false
	for _, n := range s.Params {
		def := n.GetDefElem()
		switch def.GetDefname() {
		case "tablespace":
			return d.refuse(refTablespace)
		case "concurrently":
			concurrently = optionValue(def) != "false" && optionValue(def) != "off" && optionValue(def) != "0"
		}
	}
	if shardSchema(s.GetRelation().GetSchemaname()) {
		return d.refuse(refShardSchema)
	}
	switch s.Kind {
	case sqlparse.ReindexIndex:
		p, _ := d.indexPresence(s.Relation.Schemaname, s.Relation.Relname)
		return d.rebuild(p, concurrently)
	case sqlparse.ReindexTable:
		return d.rebuild(d.relationPresence(s.Relation), concurrently)
	}
	return d.upkeep(false, d.answer(WhereAll)) // a schema or the database
}

func (d *ddl) rebuild(p presence, concurrently bool) *Template {
	if p.where != onAll {
		return d.plainHome(EffectUnclean)
	}
	return d.upkeep(p.table.Kind != TableSharded && !concurrently, d.answer(WhereAll))
}
