// Package router decides where a statement runs. It is pure: SQL text, parameter values and an immutable
// Schema in, a Plan out; no net, clock, randomness or goroutine.
package router

import "github.com/pleiad/pleiad/router/shardmap"

// TableKind says where the rows of a relation are.
type TableKind uint8

// The kinds of DESIGN.md's words.
const (
	TableLocal     TableKind = iota // rows on home only (plain tables, materialised views, foreign tables)
	TableSharded                    // hash-partitioned over the backends
	TableReference                  // a full copy on every backend
	TableView                       // a view; Definition holds its query
	TableSequence                   // a sequence; home gives its values
	TableSystem                     // pg_catalog, information_schema, pleiad: answered by home
)

// RLSSeparator stands between the expressions of Table.RLSExprs.
const RLSSeparator = "\x1f"

// Schema is one immutable snapshot of what exists in a database, as the catalog on home tells it.
// Epoch names the snapshot: equal epochs of one database have equal contents, but for a snapshot taken
// inside a transaction that did DDL, which has Epoch 0 and belongs to that session alone.
type Schema struct {
	Epoch     uint64
	Database  string
	Map       *shardmap.Map                // shard → backend for every colocation group
	Home      int                          // index of the home backend in Map
	Relations map[string]map[string]*Table // schema name → relation name → table
	ByOID     map[uint32]*Table            // home's pg_class oid → table
	Functions map[string][]*Function       // name → user-defined functions and procedures of every schema
	Types     map[string]uint32            // "schema.name" of user types → home's oid
	Unranked  map[uint32]bool              // user types, by home's oid, whose values' order only PostgreSQL knows: SortRank has none for them
	Groups    []Group                      // colocation groups, in no order
	Indexes   map[string]map[string]uint32 // schema name → index name → home's oid of its table
	// OperatorReach, TypeReach and TypeOIDReach hold the user's operators and types that reach anything: by operator name,
	// by bare type name (of any schema), by home's oid. AnyReach is that of casts and operator classes between built-in
	// types, which any statement may use.
	OperatorReach map[string]Reach
	TypeReach     map[string]Reach
	TypeOIDReach  map[uint32]Reach
	AnyReach      Reach
}

// Group is what the tables of one colocation group share.
type Group struct {
	ID      int
	Key     []shardmap.KeyColumn // varchar stands as text, which hashes alike
	Modulus uint32
}

// Table is one relation of the snapshot.
type Table struct {
	OID      uint32 // home's pg_class oid
	Schema   string
	Name     string
	Owner    string
	Kind     TableKind
	Relkind  byte // pg_class.relkind
	Columns  []Column
	Key      []int // positions in Columns of the partition key; sharded tables only
	KeyCols  []shardmap.KeyColumn
	Modulus  uint32
	Group    int // colocation group: index into Schema.Map; sharded tables only
	PrimKey  []int
	Triggers []Trigger
	HasRules bool
	Nothing  string // pg_rewrite.ev_type of the events whose every rule is unconditional DO INSTEAD NOTHING
	RLS      bool   // row level security is enabled
	RLSExprs string // the policies' expressions, joined by RLSSeparator, as pg_get_expr prints them
	// ReferencesOut and ReferencedBy are foreign keys, by home's oid of the other table.
	ReferencesOut []uint32
	ReferencedBy  []uint32
	ActsOn        []uint32 // those of ReferencedBy whose rows a DELETE of this table's changes: ON DELETE CASCADE and its kin
	UniqueBy      []int    // positions in Columns of those in unique and exclusion indexes; -1 for what may be any of them
	Referenced    []int    // positions in Columns of those that foreign keys refer to
	Definition    string   // views: pg_get_viewdef
	// Touches is true for a view that reads a sharded table, directly or through other views.
	Touches bool
	// Everywhere is true if every backend has the relation: sharded and reference tables, and views over
	// such relations only. What it is false for exists on home alone. Sequences have it false: backends that
	// have one too use it for defaults' sake, never for values.
	Everywhere bool
	Partition  bool // a partition of a local table
	Children   bool // other tables inherit from it: a key may be that of several rows
	// Reach of code that a statement runs without naming it: ReadReach by reading the relation (its columns' types, its
	// policies, a view's query), WriteReach by writing it too (constraints, indexes, generated columns, partitions,
	// foreign keys' actions; its own triggers and defaults are apart). NameReach and ChangeReach are of code that reads
	// or writes the relation itself.
	ReadReach, WriteReach, NameReach, ChangeReach Reach
	RefreshReach                                  Reach // materialized views: of their query
	Ungranted                                     bool  // a sharded table that its owner alone may use, as its partitions
	Found                                         bool  // everybody may use its schema; sharded tables only
	Unlogged                                      bool  // no standby has its rows
	Sync                                          bool  // a transaction that writes it waits for standbys: WITH (pleiad.replication = sync)
}

// Column is one user column, dropped ones left out.
type Column struct {
	Name       string
	Attnum     int16
	TypeOID    uint32
	Typmod     int32
	TypeName   string // format_type's spelling, safe to splice after "::"
	Collation  string // "" when the type has none; "C", "POSIX", "default" or the quoted name otherwise
	NotNull    bool
	Default    string // pg_get_expr of the default, "" when none; for identity columns a nextval call on its sequence
	DefaultVol byte   // 'i','s','v': the worst volatility found in Default; 'v' when unknown
	Identity   byte   // 0, 'a' (always) or 'd' (by default)
	Generated  bool   // GENERATED ALWAYS AS (…) STORED
	// DefaultReach is what evaluating Default may use.
	DefaultReach Reach
}

// Trigger is one user trigger (internal ones, which serve foreign keys, are left out).
type Trigger struct {
	Name      string
	Function  *Function // nil when it is built in
	Row       bool      // FOR EACH ROW
	OnInsert  bool
	OnUpdate  bool
	OnDelete  bool
	OnTrunc   bool
	Constrain bool // a constraint trigger
}

// Function is one user-defined function or procedure.
type Function struct {
	Schema     string
	Name       string
	Kind       byte // prokind: 'f', 'p', 'a' (aggregate), 'w'
	Volatility byte // 'i', 's', 'v'
	Language   string
	Aggregate  bool
	RetSet     bool
	NArgs      int
	// Body and Sig are known of functions and procedures in SQL and PL/pgSQL; Sig is nil for all others.
	Body string
	Sig  *Signature
	OID  uint32 // home's pg_proc oid
	// Reach is what calling it may use, decided conservatively when the snapshot is built: what cannot be judged
	// (an unknown language, dynamic SQL) counts as anything, and a word that may be a table's name as that table.
	Reach Reach
}

// Signature is how a function is called and what it gives. Types are format_type's spellings, qualified.
type Signature struct {
	Args        []Argument
	Returns     string // of each row where it returns a set
	ReturnsKind byte   // pg_type.typtype of it
	ReturnsRow  uint32 // home's pg_class oid of the table or composite type that it is; 0 for others
	Strict      bool
	Definer     bool // SECURITY DEFINER
	Config      bool // has SET clauses
	SQLBody     bool // BEGIN ATOMIC or RETURN: Body is pg_get_function_sqlbody's text
	Owner       string
	Public      bool // everybody may call it
}

// Argument is one argument of a function.
type Argument struct {
	Name, Type string
	Mode       byte   // pg_proc.proargmodes: 'i', 'o', 'b', 'v', 't'
	Default    string // pg_get_function_arg_default; "" for none
}

// Resolve finds an unqualified or qualified relation the way PostgreSQL does: schema when given, else the
// first of path that has it; pg_catalog is searched first unless path names it. A nil Table means that no
// such relation is known.
func (s *Schema) Resolve(schema, name string, path []string) *Table {
	if schema != "" {
		return s.Relations[schema][name]
	}
	for _, p := range path {
		if t := s.Relations[p][name]; t != nil {
			return t
		}
	}
	return nil
}
