package router

// DDL is a plan for a schema change: the steps run in order, each on its backends in parallel. InTxn ones run
// in one distributed transaction; the others (CREATE DATABASE, CREATE INDEX CONCURRENTLY, VACUUM …) outside of any,
// and inside a transaction block they are 25001. When one of those fails, the Undo of it and of each step
// before it runs on that step's backends, last step first: an Undo is right whether its step succeeded or not.
type DDL struct {
	Steps []Step
	InTxn bool
	// Prepared, when not nil, is all there is: another statement is made of it.
	Prepared *Prepared
	// Fill, when not nil, follows the steps and gives the answer.
	Fill *Fill
	// Numbers follow the steps, before the answer is the client's.
	Numbers []Numbering
	// ChangesSchema is true if the snapshot must be read anew afterwards (false for VACUUM, ANALYZE …).
	ChangesSchema bool
	// NeedsBlock is true for LOCK TABLE: outside a transaction block PostgreSQL's own error (25P01) is due.
	NeedsBlock bool
	// ReadLock is true for LOCK TABLE … IN ACCESS SHARE MODE of a sharded table, which is how pg_dump begins.
	ReadLock bool
	// NoBlock is true for what pleiad does in a transaction and PostgreSQL does not: inside a block its error (25001) is due.
	NoBlock bool
	// Part is what a shard's part of a new index is named, and Whole the index: errors speak of that.
	Part, Whole string
	// Database, if not "", is one that nobody may be connected to: clients of it are waited for, or sent away if Force says so,
	// and pooled idle connections to it closed first, on every backend (DROP DATABASE, RENAME, CREATE DATABASE's template).
	Database string
	Force    bool
}
