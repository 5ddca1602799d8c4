package router

import (
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

var alterTags = map[sqlparse.ObjectType]string{
	sqlparse.ObjectTable: "ALTER TABLE", sqlparse.ObjectView: "ALTER VIEW", sqlparse.ObjectMatview: "ALTER MATERIALIZED VIEW",
	sqlparse.ObjectIndex: "ALTER INDEX", sqlparse.ObjectSequence: "ALTER SEQUENCE", sqlparse.ObjectForeignTable: "ALTER FOREIGN TABLE",
	sqlparse.ObjectType_: "ALTER TYPE",
}

// alterTable plans ALTER TABLE and its kin (views, indexes, sequences, composite types).
func (d *ddl) alterTable() *Template {
	s := d.stmt.GetAlterTableStmt()
	d.tag = alterTags[s.Objtype]
	if s.Objtype == sqlparse.ObjectType_ {
		p, err := d.typePresence(&sqlparse.TypeName{Names: relationParts(s.Relation)})
		if err != nil {
			return d.refuse(err)
		}
		return d.follow(p)
	}
	if shardSchema(s.Relation.Schemaname) {
		return d.refuse(refShardSchema)
	}
	p := d.relationPresence(s.Relation)
	if p.where == onHome && p.table == nil {
		if x, schema := d.indexPresence(s.Relation.Schemaname, s.Relation.Relname); schema != "" {
			return d.alterIndex(s, x)
		}
	}
	if p.where == onTemp {
		return d.follow(p)
	}
	if t := d.alterReplication(s, p); t != nil {
		return t
	}
	after, err := d.alterCommands(s, p)
	if err != nil {
		return d.refuse(err)
	}
	if p.where == onAll {
		d.takeOutOnly(s.Relation)
	}
	if p.where == onAll && p.table.Kind != TableView && namesThings(s) {
		after = append([]Step{sameShape(p.table.Schema, p.table.Name)}, after...)
	}
	for _, n := range s.Cmds {
		if buildsIndex(n.GetAlterTableCmd()) {
			return d.timed(d.withIndexes(p, after...))
		}
	}
	return d.timed(d.follow(p, after...))
}

// namesThings is true of commands by which PostgreSQL may choose a name, other than those of withIndexes.
func namesThings(s *sqlparse.AlterTableStmt) bool {
	index, named := false, false
	for _, n := range s.Cmds {
		index = index || buildsIndex(n.GetAlterTableCmd())
		switch n.GetAlterTableCmd().GetSubtype() {
		case sqlparse.AlterAddConstraint, sqlparse.AlterAddColumn, sqlparse.AlterAddIdentity:
			named = true
		}
	}
	return named && !index
}

// buildsIndex is true of ADD PRIMARY KEY, UNIQUE and EXCLUDE, as constraints of the table or of a new column.
func buildsIndex(cmd *sqlparse.AlterTableCmd) bool {
	constraints := cmd.Def.GetColumnDef().GetConstraints()
	if cmd.Subtype == sqlparse.AlterAddConstraint {
		constraints = []sqlparse.Node{cmd.Def}
	}
	for _, n := range constraints {
		switch n.GetConstraint().GetContype() {
		case sqlparse.ConstraintPrimary, sqlparse.ConstraintUnique, sqlparse.ConstraintExclude:
			return true
		}
	}
	return false
}

func relationParts(rv *sqlparse.RangeVar) []sqlparse.Node {
	if rv.Schemaname == "" {
		return []sqlparse.Node{sqlparse.StringNode(rv.Relname)}
	}
	return []sqlparse.Node{sqlparse.StringNode(rv.Schemaname), sqlparse.StringNode(rv.Relname)}
}

func (d *ddl) alterIndex(s *sqlparse.AlterTableStmt, p presence) *Template {
	for _, n := range s.Cmds {
		switch n.GetAlterTableCmd().GetSubtype() {
		case sqlparse.AlterSetTablespace:
			if p.where == onAll {
				return d.refuse(refTablespace)
			}
		case sqlparse.AlterAttachPartition:
			if p.table != nil && p.table.Kind == TableSharded {
				return d.refuse(refOwnPartitions)
			}
		}
	}
	return d.follow(p)
}

// alterCommands checks each command against the table's placement and gives the steps that must follow.
func (d *ddl) alterCommands(s *sqlparse.AlterTableStmt, p presence) (after []Step, _ *pgerr.Error) {
	shape := &tableShape{kind: TableLocal}
	if p.table != nil {
		shape = shapeOf(p.table)
	}
	for _, n := range s.Cmds {
		cmd := n.GetAlterTableCmd()
		err := d.alterForeignKey(shape, cmd)
		if err == nil && p.where == onAll && !d.addNumbered(p.table, cmd) {
			err = d.alterSpread(shape, cmd)
		}
		if err == nil && p.where != onAll {
			err = d.alterLocal(cmd)
		}
		if err != nil {
			return nil, err
		}
		if cmd.Subtype == sqlparse.AlterChangeOwner && shape.kind == TableSharded {
			after = []Step{syncShards}
		}
	}
	return after, nil
}

// alterForeignKey checks ADD CONSTRAINT and ADD COLUMN … REFERENCES.
func (d *ddl) alterForeignKey(shape *tableShape, cmd *sqlparse.AlterTableCmd) *pgerr.Error {
	switch cmd.Subtype {
	case sqlparse.AlterAddConstraint:
		k := cmd.Def.GetConstraint()
		return d.foreignKey(shape, k, nameList(k.GetFkAttrs()))
	case sqlparse.AlterAddColumn:
		col := cmd.Def.GetColumnDef()
		for _, k := range col.GetConstraints() {
			if err := d.foreignKey(shape, k.GetConstraint(), []string{col.Colname}); err != nil {
				return err
			}
		}
	}
	return nil
}

// alterSpread checks a command on a sharded table, reference table or view that every backend has.
func (d *ddl) alterSpread(shape *tableShape, cmd *sqlparse.AlterTableCmd) *pgerr.Error {
	switch cmd.Subtype {
	case sqlparse.AlterAddColumn:
		return d.addedColumn(shape, cmd.Def.GetColumnDef())
	case sqlparse.AlterColumnType:
		for _, k := range shape.key {
			if k == cmd.Name {
				return refKeyAlter
			}
		}
		if using := cmd.Def.GetColumnDef().GetRawDefault(); using != nil {
			return d.sameEverywhere(shape, using)
		}
	case sqlparse.AlterSetExpression:
		return d.sameEverywhere(shape, cmd.Def)
	case sqlparse.AlterSetUnlogged:
		return refUnlogged
	case sqlparse.AlterSetTablespace:
		return refTablespace
	case sqlparse.AlterAddInherit, sqlparse.AlterDropInherit:
		return refInherit
	case sqlparse.AlterAttachPartition, sqlparse.AlterDetachPartition, sqlparse.AlterDetachFinalize:
		return refOwnPartitions
	case sqlparse.AlterSetOptions, sqlparse.AlterResetOptions:
		return ownOptions(cmd)
	}
	return nil
}

// alterLocal checks that a table on home only does not get tied to one that is not.
func (d *ddl) alterLocal(cmd *sqlparse.AlterTableCmd) *pgerr.Error {
	switch cmd.Subtype {
	case sqlparse.AlterAddInherit:
		if t, _ := d.resolve(cmd.Def.GetRangeVar()); t != nil && t.Everywhere {
			return refInherit
		}
	case sqlparse.AlterAttachPartition:
		if t, _ := d.resolve(cmd.Def.GetPartitionCmd().GetName()); t != nil && t.Everywhere {
			return refInherit
		}
	case sqlparse.AlterSetOptions, sqlparse.AlterResetOptions:
		return ownOptions(cmd)
	}
	return nil
}

// ownOptions refuses pleiad's options, but for what alterReplication does: a table stays what it was made.
func ownOptions(cmd *sqlparse.AlterTableCmd) *pgerr.Error {
	for _, n := range cmd.Def.GetList().GetItems() {
		if n.GetDefElem().GetDefnamespace() == "pleiad" {
			return refConvert
		}
	}
	return nil
}

// addedColumn checks how rows that exist get their value of a new column: by the default, on each backend.
func (d *ddl) addedColumn(shape *tableShape, col *sqlparse.ColumnDef) *pgerr.Error {
	if isSerial(col.GetTypeName()) {
		return refDefaultClock
	}
	for _, n := range col.GetConstraints() {
		k := n.GetConstraint()
		switch k.GetContype() {
		case sqlparse.ConstraintIdentity:
			return refDefaultClock
		case sqlparse.ConstraintDefault:
			if err := d.defaultOf(shape, col, k.RawExpr); err != nil {
				return err
			}
		case sqlparse.ConstraintGenerated:
			if err := d.sameEverywhere(shape, k.RawExpr); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameEverywhere checks an expression that each backend evaluates by itself: over a reference table it must give
// every copy the same; over a sharded table one value for each row, but not one that PostgreSQL takes once for
// the whole statement, nor a sequence's.
func (d *ddl) sameEverywhere(shape *tableShape, expr sqlparse.Node) *pgerr.Error {
	bad := fnImpure
	if shape.kind == TableSharded {
		bad &^= fnPerRow
	}
	var err *pgerr.Error
	sqlparse.Walk(expr, func(n sqlparse.Node) bool {
		switch {
		case sqlparse.Kind(n) == "sqlvalue_function" || sqlparse.Kind(n) == "sub_link":
			err = refDefaultClock
		case n.GetFuncCall() != nil:
			schema, name := listName(n.GetFuncCall().Funcname)
			if d.env.functionFacts(schema, name)&bad != 0 {
				err = refDefaultClock
			}
		case timeConstant(n):
			err = refDefaultClock
		}
		return err == nil
	})
	return err
}

// timeConstant is true of constants that the input of date and time types replaces by the time.
func timeConstant(n sqlparse.Node) bool {
	c := n.GetAConst()
	if c == nil || c.GetSval() == nil {
		return false
	}
	switch lowerTrim(c.GetSval().Sval) {
	case "now", "today", "tomorrow", "yesterday":
		return true
	}
	return false
}
