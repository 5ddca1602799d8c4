package router

import (
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// drop plans DROP of everything but roles, databases and what belongs to them. Home gets the statement; the others
// get it for the objects they have.
func (d *ddl) drop() *Template {
	s := d.stmt.GetDropStmt()
	d.tag = "DROP " + objectWords[s.RemoveType]
	if s.RemoveType == sqlparse.ObjectIndex {
		return d.dropIndex()
	}
	for _, o := range s.Objects {
		if s.RemoveType == sqlparse.ObjectSchema && shardSchema(o.GetString_().GetSval()) {
			return d.refuse(refShardSchema)
		}
		if schema, _ := listName(o.GetList().GetItems()); shardSchema(schema) {
			return d.refuse(refShardSchema)
		}
	}
	if s.MissingOk && d.allMissing(s.RemoveType, s.Objects) {
		return d.nothing()
	}
	return d.perObject(s.Objects, func(o sqlparse.Node) (presence, *pgerr.Error) {
		return d.presence(s.RemoveType, o)
	}, func(tree sqlparse.Node, objects []sqlparse.Node, sure bool) {
		tree.GetDropStmt().Objects = objects
		if !sure {
			tree.GetDropStmt().MissingOk = true
		}
	})
}

// allMissing is true of relations none of which exists.
func (d *ddl) allMissing(kind sqlparse.ObjectType, objects []sqlparse.Node) bool {
	switch kind {
	case sqlparse.ObjectTable, sqlparse.ObjectView, sqlparse.ObjectMatview, sqlparse.ObjectForeignTable, sqlparse.ObjectSequence:
	default:
		return false
	}
	for _, o := range objects {
		if p := d.relationPresence(listRangeVar(o.GetList().GetItems())); p.table != nil || p.where == onTemp {
			return false
		}
	}
	return true
}

// perObject plans a statement over a list of objects. locate says where each is; with rewrites a copy of the
// statement for a part of them: sure is false if some may be missing there.
func (d *ddl) perObject(objects []sqlparse.Node, locate func(sqlparse.Node) (presence, *pgerr.Error),
	rewrite func(tree sqlparse.Node, objects []sqlparse.Node, sure bool)) *Template {
	var all, maybe []sqlparse.Node
	var checks []string
	temp := 0
	for _, o := range objects {
		p, err := locate(o)
		if err != nil {
			return d.refuse(err)
		}
		switch p.where {
		case onAll:
			all = append(all, o)
		case onMaybe:
			maybe, checks = append(maybe, o), append(checks, p.check)
		case onTemp:
			temp++
		}
	}
	switch {
	case len(objects) > 0 && temp == len(objects):
		return d.plainHome(EffectUnclean)
	case len(all) == len(objects):
		return d.everywhere()
	case len(all) == 0 && len(maybe) == 0:
		return d.home()
	}
	steps := []Step{d.answer(WhereHome)}
	if len(all) > 0 {
		tree := sqlparse.Clone(d.stmt)
		rewrite(tree, all, true)
		step, err := d.others(tree)
		if err != nil {
			return d.refuse(err)
		}
		steps = append(steps, step)
	}
	for i, o := range maybe {
		tree := sqlparse.Clone(d.stmt)
		rewrite(tree, []sqlparse.Node{o}, false)
		step, err := d.others(tree)
		if err != nil {
			return d.refuse(err)
		}
		step.SQL, step.Own = runIf(checks[i], step.SQL), true
		steps = append(steps, step)
	}
	return d.change(steps...)
}

// dropIndex plans DROP INDEX. PostgreSQL does not drop the index of a partitioned table CONCURRENTLY; a sharded
// table's is dropped in a transaction then, under the stronger lock. On the others it may be missing, if a CREATE INDEX
// CONCURRENTLY died half-way: DROP INDEX is how that is cleaned up.
func (d *ddl) dropIndex() *Template {
	s := d.stmt.GetDropStmt()
	var sharded []string
	var spread []sqlparse.Node
	for _, o := range s.Objects {
		schema, name := listName(o.GetList().GetItems())
		if shardSchema(schema) {
			return d.refuse(refShardSchema)
		}
		p, schema := d.indexPresence(schema, name)
		if p.where == onAll {
			spread = append(spread, o)
			if p.table.Kind == TableSharded {
				sharded = append(sharded, shardIndex(schema, name))
			}
		}
	}
	outside := s.Concurrent && len(sharded) == 0
	switch {
	case s.Concurrent && (len(s.Objects) > 1 || s.Behavior == sqlparse.DropCascade):
		return d.upkeep(false, d.answer(WhereHome)) // PostgreSQL's error
	case s.Concurrent && !outside:
		d.withoutConcurrently()
	}
	steps := []Step{d.answer(WhereHome)}
	if len(spread) > 0 {
		tree := sqlparse.Clone(d.stmt)
		x := tree.GetDropStmt()
		x.Objects, x.MissingOk, x.Concurrent = spread, true, outside
		others, err := d.others(tree)
		if err != nil {
			return d.refuse(err)
		}
		steps = append(steps, others)
	}
	for _, part := range sharded {
		steps = append(steps, dropStrays(part))
	}
	if outside {
		return d.outside(steps...)
	}
	return notInBlock(d.change(steps...), s.Concurrent)
}

// notInBlock makes a change in a transaction what PostgreSQL does not do inside of one.
func notInBlock(t *Template, not bool) *Template {
	if t.DDL != nil {
		t.DDL.NoBlock = not
	}
	return t
}

// withoutConcurrently takes the word out of the text.
func (d *ddl) withoutConcurrently() {
	for _, t := range sqlparse.Tokens(d.text) {
		if t.Word == "concurrently" && t.Depth == 0 {
			d.text = d.text[:t.Start] + d.text[t.End:]
			return
		}
	}
}

// outside is a change of indexes that cannot run in a transaction. The epoch moves after it.
func (d *ddl) outside(steps ...Step) *Template {
	return d.template(&DDL{Steps: append(steps, moveEpoch), ChangesSchema: true})
}
