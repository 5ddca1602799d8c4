package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// newTable is a CREATE TABLE while it is planned.
type newTable struct {
	*ddl
	s       *sqlparse.CreateStmt
	shape   tableShape
	splices []Splice
	// option is "reference", "local" or "": what WITH (pleiad.…) asks for. plain says that it was told not to be
	// a reference table, whatever the default.
	option string
	plain  bool
	sync   bool // WITH (pleiad.replication = sync)
	// storage parameters that only the partitions can have, when the text's PARTITION BY is not the client's.
	storage []*sqlparse.DefElem
}

// createTable plans CREATE TABLE. What a table without PARTITION BY and pleiad's options is depends on
// Env.DefaultDistribution. Under primary_key these are local: tables without primary key or with a column in it
// that no key can have, with a unique constraint that does not contain it, with a foreign key that a sharded table
// could not have, and those made by INHERITS, OF or PARTITION OF. Under HASH (…) a table that cannot have that key is an error.
func (d *ddl) createTable() *Template {
	d.tag = "CREATE TABLE"
	s := d.stmt.GetCreateStmt()
	c := &newTable{ddl: d, s: s}
	c.shape.schema, c.shape.name = d.creationSchema(s.Relation.Schemaname), s.Relation.Relname
	if s.Relation.Relpersistence == "t" || s.Relation.Schemaname == "pg_temp" {
		return d.plainHome(EffectPins)
	}
	if shardSchema(s.Relation.Schemaname) {
		return d.refuse(refShardSchema)
	}
	if err := c.options(); err != nil {
		return d.refuse(err)
	}
	d.text = splice(d.text, c.splices)
	if len(c.splices) > 0 { // locations are those of the text that runs from here on
		if !d.reparse() {
			return d.refuse(refCompose)
		}
		c.s, c.splices = d.stmt.GetCreateStmt(), nil
	}
	if s.IfNotExists && d.exists(c.shape.schema, c.shape.name) || c.shape.schema == "" {
		return d.nothing() // PostgreSQL's notice or error
	}
	if s.Tablespacename != "" && d.hashed(c.s) {
		return d.refuse(refTablespace)
	}
	return c.registerSync(c.made())
}

func (c *newTable) made() *Template {
	switch kind, err := c.decide(); {
	case err != nil:
		return c.refuse(err)
	case kind == TableSharded:
		return c.sharded()
	case kind == TableReference:
		return c.reference()
	}
	return c.local()
}

// registerSync adds to the plan that writes of the new table wait for standbys.
func (c *newTable) registerSync(t *Template) *Template {
	if !c.sync || t.Kind == KindRefuse {
		return t
	}
	if t.Kind != KindDDL || !t.DDL.InTxn || c.s.Relation.Relpersistence != "p" {
		return c.refuse(refOption)
	}
	t.DDL.Steps = append(t.DDL.Steps, ownStep(WhereHome, "register_replication("+regclass(c.shape.schema, c.shape.name)+", true)"))
	return t
}

// reparse reads the statement anew after its text changed.
func (d *ddl) reparse() bool {
	stmts, err := sqlparse.Parse(d.text)
	if err != nil || len(stmts) != 1 {
		return false
	}
	d.stmt = stmts[0].Node
	return true
}

func (d *ddl) exists(schema, name string) bool {
	if d.env.Schema.Relations[schema][name] != nil {
		return true
	}
	_, index := d.env.Schema.Indexes[schema][name]
	return index
}

func (d *ddl) hashed(s *sqlparse.CreateStmt) bool {
	return s.Partspec != nil && s.Partspec.Strategy == sqlparse.PartitionHash
}

// decide tells what the table will be.
func (c *newTable) decide() (TableKind, *pgerr.Error) {
	plain := c.s.Partspec == nil && c.s.Partbound == nil && len(c.s.InhRelations) == 0 && c.s.OfTypename == nil
	switch {
	case c.option == "reference":
		if !plain {
			return 0, refOption
		}
		return TableReference, nil
	case c.option == "local":
		return TableLocal, nil
	case c.hashed(c.s) && c.s.Partbound == nil:
		return TableSharded, nil
	case !plain || c.s.Relation.Relpersistence != "p", c.env.DefaultDistribution == "local", c.env.DefaultDistribution == "":
		return TableLocal, nil
	case c.env.DefaultDistribution == "reference" && !c.plain:
		return TableReference, nil
	case c.env.DefaultDistribution == "primary_key":
		return c.byPrimaryKey(), nil
	case DistributedBy(c.env.DefaultDistribution):
		if !c.partitionBy(c.env.DefaultDistribution + "\n") { // it may end in a comment
			return 0, refCompose
		}
		return TableSharded, nil
	}
	return TableLocal, nil
}

// byPrimaryKey adds PARTITION BY HASH (primary key) to the text, if the key can be one.
func (c *newTable) byPrimaryKey() TableKind {
	key := c.primaryKey()
	if len(key) == 0 {
		return TableLocal
	}
	parts := make([]string, len(key))
	for i, col := range key {
		if _, ok := c.keyColumn(col, c.env.Family); !ok {
			return TableLocal
		}
		parts[i] = quoteIdent(col)
	}
	if !c.canShard(key) || !c.partitionBy("HASH ("+strings.Join(parts, ", ")+")") {
		return TableLocal
	}
	return TableSharded
}

// DistributedBy tells whether a value of Env.DefaultDistribution is the key itself, HASH (column, …): what follows PARTITION BY.
func DistributedBy(value string) bool {
	stmts, err := sqlparse.Parse("CREATE TABLE t () PARTITION BY " + value)
	if err != nil || len(stmts) != 1 {
		return false
	}
	s := stmts[0].Node.GetCreateStmt()
	return s != nil && s.Partspec != nil && s.Partspec.Strategy == sqlparse.PartitionHash &&
		len(s.Options) == 0 && s.Tablespacename == "" && s.AccessMethod == "" && s.Oncommit == sqlparse.OnCommitNothing
}

// partitionBy adds PARTITION BY to the text, if it can be read then.
func (c *newTable) partitionBy(clause string) bool {
	at := c.elementsEnd()
	if at < 0 {
		return false
	}
	text := c.text
	c.text = c.text[:at] + " PARTITION BY " + clause + c.withoutStorage(at)
	if !c.reparse() {
		c.text, c.storage = text, nil
		return false
	}
	c.s = c.stmt.GetCreateStmt()
	return true
}

// canShard is true if the table's other constraints allow this key.
func (c *newTable) canShard(key []string) bool {
	ok := true
	check := func(k *sqlparse.Constraint, cols []string) {
		if k.GetContype() == sqlparse.ConstraintExclude {
			ok = false
		}
		for _, col := range key {
			ok = ok && (k.GetContype() != sqlparse.ConstraintUnique || slices.Contains(cols, col))
		}
	}
	for _, n := range c.s.TableElts {
		if k := n.GetConstraint(); k != nil {
			check(k, nameList(k.Keys))
		}
		for _, k := range n.GetColumnDef().GetConstraints() {
			check(k.GetConstraint(), []string{n.GetColumnDef().Colname})
		}
	}
	old := c.shape
	c.shape.kind, c.shape.key, c.shape.primKey, c.shape.modulus = TableSharded, key, key, c.env.ShardCount
	for _, col := range key {
		k, _ := c.keyColumn(col, c.env.Family)
		c.shape.cols = append(c.shape.cols, k)
	}
	ok = ok && c.foreignKeys() == nil
	c.shape = old
	return ok
}

// withoutStorage is the text from at on without WITH (…): PostgreSQL refuses storage parameters of a partitioned
// table, so they go to the partitions.
func (c *newTable) withoutStorage(at int) string {
	for _, n := range c.s.Options {
		c.storage = append(c.storage, n.GetDefElem())
	}
	if len(c.storage) == 0 {
		return c.text[at:]
	}
	cut := withoutOptions(c.text, c.storage, true)[0]
	return c.text[at:cut.Start] + c.text[cut.End:]
}

// elementsEnd is the offset behind the parenthesis that closes the list of columns and constraints.
func (c *newTable) elementsEnd() int {
	for _, t := range sqlparse.Tokens(c.text) {
		if t.Start > int(c.s.Relation.Location) && t.Punct == ')' && t.Depth == 0 {
			return t.End
		}
	}
	return -1
}

// local is a table on home. Its foreign keys may refer to local and reference tables.
func (c *newTable) local() *Template {
	c.shape.kind = TableLocal
	if c.s.Partbound != nil || len(c.s.InhRelations) > 0 {
		for _, n := range c.s.InhRelations {
			switch t, _ := c.resolve(n.GetRangeVar()); {
			case t == nil:
			case t.Kind == TableSharded && c.s.Partbound != nil:
				return c.refuse(refOwnPartitions)
			case t.Kind == TableSharded || t.Kind == TableReference:
				return c.refuse(refInherit)
			}
		}
	}
	if err := c.foreignKeys(); err != nil {
		return c.refuse(err)
	}
	return c.home()
}

func (c *newTable) reference() *Template {
	c.shape.kind = TableReference
	err := c.spread()
	if err == nil {
		err = c.foreignKeys()
	}
	if err != nil {
		return c.refuse(err)
	}
	return c.change(c.answer(WhereAll), sameShape(c.shape.schema, c.shape.name),
		ownStep(WhereHome, "register_reference("+regclass(c.shape.schema, c.shape.name)+")"))
}

func (c *newTable) sharded() *Template {
	c.shape.kind, c.shape.modulus = TableSharded, c.env.ShardCount
	if err := c.spread(); err != nil {
		return c.refuse(err)
	}
	switch known, err := c.key(); {
	case err != nil:
		return c.refuse(err)
	case !known:
		return c.nothing() // PostgreSQL's error: the key column does not exist
	}
	c.shape.primKey = c.primaryKey()
	if err := c.foreignKeys(); err != nil {
		return c.refuse(err)
	}
	steps, err := c.shardSteps(&c.shape, c.storage)
	if err != nil {
		return c.refuse(err)
	}
	return c.change(append([]Step{c.answer(WhereAll), sameShape(c.shape.schema, c.shape.name)}, steps...)...)
}

// spread checks that every backend can run the text.
func (c *newTable) spread() *pgerr.Error {
	if c.s.Relation.Relpersistence == "u" {
		return refUnlogged
	}
	if c.s.Tablespacename != "" {
		return refTablespace
	}
	if c.s.OfTypename != nil {
		return refOfType
	}
	if len(c.s.InhRelations) > 0 {
		return refInherit
	}
	for _, n := range c.s.TableElts {
		if like := n.GetTableLikeClause(); like != nil {
			if t, temp := c.resolve(like.Relation); temp || t != nil && !t.Everywhere {
				return refLikeLocal
			}
		}
	}
	return nil
}

// foreignKeys checks the constraints of columns and table.
func (c *newTable) foreignKeys() *pgerr.Error {
	if c.shape.primKey == nil {
		c.shape.primKey = c.primaryKey()
	}
	for _, n := range c.s.TableElts {
		if k := n.GetConstraint(); k != nil {
			if err := c.foreignKey(&c.shape, k, nameList(k.FkAttrs)); err != nil {
				return err
			}
		}
		if col := n.GetColumnDef(); col != nil {
			for _, k := range col.Constraints {
				if err := c.foreignKey(&c.shape, k.GetConstraint(), []string{col.Colname}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func nameList(list []sqlparse.Node) []string { return sqlparse.Strings(list) }
