package router

import "github.com/pleiad/pleiad/router/sqlparse"

// schemaCommands are the schema changes that a DO block may make. None of them gives a column or a function another type that is
// PostgreSQL's own, nor runs outside of transactions.
var schemaCommands = map[string]bool{
	"CREATE TYPE": true, "ALTER TYPE": true, "DROP TYPE": true, "CREATE DOMAIN": true, "ALTER DOMAIN": true, "DROP DOMAIN": true,
	"CREATE TABLE": true, "ALTER TABLE": true, "DROP TABLE": true, "CREATE INDEX": true, "DROP INDEX": true,
	"CREATE SEQUENCE": true, "DROP SEQUENCE": true, "CREATE SCHEMA": true, "CREATE EXTENSION": true, "COMMENT": true,
	"CREATE ROLE": true, "ALTER ROLE": true, "GRANT": true, "REVOKE": true, "CREATE POLICY": true, "DROP POLICY": true,
	"CREATE TRIGGER": true, "DROP TRIGGER": true,
}

// ChangesInside reports whether a plan is a schema change that a DO block may make.
func (t *Template) ChangesInside() bool {
	return t.Kind == KindDDL && schemaCommands[t.Command] && t.DDL.InTxn && !t.DDL.NoBlock && !t.DDL.NeedsBlock && t.DDL.Database == ""
}

// schemaChange reads a schema change of a DO block; nil for another statement. PL/pgSQL puts no variables into one.
func (b *routineBuilder) schemaChange(text string, names *programNames) *ProgramSQL {
	if names.fn != "" || !b.inDo || !plan(text, *b.env, planner{inlined: maxInlined - 1}).ChangesInside() {
		return nil
	}
	b.changes = true
	return &ProgramSQL{Text: text, Schema: true, tables: true, changes: true, Source: `SQL statement "` + text + `"`}
}

// settle notes whether a statement's types are PostgreSQL's own, whatever the block's other statements do to the schema.
func (b *routineBuilder) settle(n sqlparse.Node) {
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetRangeVar() != nil:
			t, _ := b.env.resolve(n.GetRangeVar())
			b.foreign = b.foreign || t == nil || t.Kind != TableSystem
		case n.GetFuncCall() != nil:
			schema, name := listName(n.GetFuncCall().Funcname)
			_, known := builtins[name]
			b.foreign = b.foreign || !known || schema != "" && schema != "pg_catalog" || len(b.env.Schema.Functions[name]) > 0
		}
		return !b.foreign
	})
}
