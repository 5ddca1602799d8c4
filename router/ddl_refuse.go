package router

// Refusals of schema changes. testdata/ddl.txt shows a statement for each.
var (
	refTablespace        = refusal("tablespaces are not supported", "Leave TABLESPACE out; tablespaces can be made on each server by hand.")
	refEventTrigger      = refusal("event triggers are not supported", "They would fire once on every backend.")
	refSubscription      = refusal("subscriptions are not supported", "Rows that a server replicates in by itself would not be routed to their shards.")
	refPublication       = refusal("a publication can only name local tables", "Publish sharded and reference tables on the servers themselves.")
	refCompose           = refusal("this statement could not be written for the other backends", "Split it into statements about one object each.")
	refAmbiguousFunction = refusal("several schemas of the search_path have a function of this name", "Qualify the function's name with its schema.")
	refShardSchema       = refusal("schemas pleiad and pleiad_0, pleiad_1 … belong to pleiad", "Use another schema.")

	refKeyExpression  = refusal("a sharded table cannot have an expression as its key", "Name columns in PARTITION BY HASH, or add WITH (pleiad.local) for a local table.")
	refKeyType        = refusal("a sharded table's key cannot have a column of this type", "Key columns may be smallint, integer, bigint, text, varchar, char(n), uuid, date, timestamp, timestamptz, boolean, bytea or numeric; or add WITH (pleiad.local) for a local table.")
	refKeyMurmur      = refusal("murmur3 does not hash a column of this type", "murmur3 hashes integer, bigint, text, varchar and uuid; name PostgreSQL's operator class, as in PARTITION BY HASH (day date_ops).")
	refPlacement      = refusal("the shards cannot be placed", "Set pleiad.shard_count to a number from 1 to 65536, and give some backend a weight over 0.")
	refUnlogged       = refusal("sharded and reference tables cannot be unlogged", "Leave UNLOGGED out.")
	refOption         = refusal("this pleiad option cannot be used here", "Sharded tables are made with PARTITION BY HASH, reference tables WITH (pleiad.reference), local ones WITH (pleiad.local).")
	refConvert        = refusal("a table's distribution cannot be changed", "Make a new table as it should be, copy the rows and rename it.")
	refOwnPartitions  = refusal("a sharded table cannot have partitions of one's own", "Its partitions are its shards; use a local table partitioned by range or list, or WITH (pleiad.local).")
	refInherit        = refusal("sharded and reference tables cannot take part in inheritance", "Use tables without INHERITS.")
	refLikeLocal      = refusal("a sharded or reference table cannot be made LIKE a table that exists on home only", "Write its columns out.")
	refOfType         = refusal("a sharded or reference table cannot be made OF a type", "Write its columns out.")
	refTableAsSharded = refSelectInto
	refMatviewState   = refusal("the query of a materialized view over sharded tables calls a function that may change the session", "PostgreSQL runs it restricted; make a table and fill it by INSERT.")
	refTempEverywhere = refusal("a temporary view, function or rule cannot use sharded or reference tables", "Create it in a schema of the database.")
	refTempCode       = refusal("an operator cannot be temporary", "Create it in a schema of the database.")
	refSchemaElements = refusal("CREATE SCHEMA cannot make objects for every backend", "Create the schema first, and what is in it by statements of their own.")

	refKeyAlter        = refusal("the type of a partition key column cannot be changed", "Make a new table with the other type, copy the rows and rename it.")
	refDefaultClock    = refusal("a column added to a table on several backends cannot be filled with a value that differs between them", "Add the column without a default, set the default by ALTER COLUMN … SET DEFAULT, and UPDATE the rows.")
	refFKLocal         = refusal("a sharded or reference table cannot have a foreign key to a local table", "Make the referenced table a reference table (CREATE TABLE … WITH (pleiad.reference)).")
	refFKFromLocal     = refusal("a local table cannot have a foreign key to a sharded table", "Shard the table by the key it refers to.")
	refFKFromRef       = refusal("a reference table cannot have a foreign key to a sharded table", "Make the referenced table a reference table too.")
	refFKColocation    = refusal("a foreign key between sharded tables must contain the partition keys of both", "Shard both tables by columns of equal types with equal shard counts, and reference the key column by the key column.")
	refFKAction        = refusal("a foreign key's action cannot change the partition key", "Use NO ACTION, RESTRICT or ON DELETE CASCADE, or leave the key out of SET NULL.")
	refIndexName       = refusal("CREATE INDEX CONCURRENTLY on a sharded or reference table needs a name for the index", "Name the index.")
	refTruncateTrigger = refusal("TRUNCATE would fire the table's trigger on every backend", "Drop the TRUNCATE trigger.")
)

// DiffersError is the answer when a Same step's replies differ.
var DiffersError = refusal("the backends would name a new index, constraint or sequence differently",
	"Give a name to each index and constraint in the statement.")
