package router

import (
	"math"
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Kind says how a statement runs. The zero Kind is invalid.
type Kind uint8

// The kinds of statement a session tells apart.
const (
	KindInvalid      Kind = iota
	KindEmpty             // nothing but white space and comments
	KindHome              // text unchanged on home
	KindAny               // text unchanged on any one backend (no tables, or reference tables only)
	KindShards            // reads or writes sharded tables: prune, then one backend or Scatter
	KindInsertQuery       // INSERT of a query's rows: InsertQuery
	KindPrelude           // parts of it run first: Prelude
	KindInlined           // as Inlined, which has the bodies of functions in the places of their calls
	KindRoutine           // code of functions, procedures and DO, statement by statement: Routine
	KindCopyRows          // a write of a reference table by its effects on one copy: CopyRows
	KindInsert            // INSERT … VALUES that may need splitting or evaluating first: Insert
	KindEverywhere        // the same text on every backend, atomically; the answer is home's (reference-table writes)
	KindCopyIn            // COPY … FROM STDIN into a sharded or reference table: Copy
	KindCopyOut           // COPY … TO STDOUT over several backends: Copy
	KindDDL               // DDL
	KindTxn               // Txn
	KindSet               // SET, RESET, SET TRANSACTION: Set
	KindShow              // SHOW
	KindPrepare           // SQL-level PREPARE: Prepare
	KindExecute           // SQL-level EXECUTE: Prepare
	KindDeallocate        // SQL-level DEALLOCATE: Prepare
	KindDiscard           // DISCARD ALL | PLANS | SEQUENCES | TEMP
	KindListen            // LISTEN: Channel
	KindUnlisten          // UNLISTEN: Channel ("*" is all)
	KindNotify            // NOTIFY: text unchanged on home
	KindCursor            // DECLARE, FETCH, MOVE, CLOSE: Cursor
	KindSessionViews      // a query of what the session itself has: SessionViews
	KindExplain           // EXPLAIN of a statement over several backends: Explain
	KindRefuse            // Refusal
	KindSyntax            // the parser rejects the text, or Refusal may not be the first thing wrong: shown to home with Parse alone for PostgreSQL's own error
)

// Effect is what a statement may leave behind in the server session that ran it.
type Effect uint8

// Effects, from harmless to lasting.
const (
	EffectNone    Effect = iota // proved to leave nothing: the connection stays clean
	EffectUnclean               // may leave state: discard before another client has the connection
	EffectPins                  // leaves state that cannot be moved (temp table, advisory lock, WITH HOLD): pin
)

// Source says where a key value stands.
type Source uint8

// The places a key value can come from.
const (
	SourceLiteral Source = iota // literal Index of the scanned text
	SourceParam                 // parameter Index (0-based): $1 is 0
	SourceConst                 // Const below
	SourceNull                  // SQL NULL: an equality with it selects nothing
)

// KeyValue is one value that a key column is compared with.
type KeyValue struct {
	Source  Source
	Index   int
	Negated bool   // a numeric literal behind a unary minus
	TypeOID uint32 // type the statement gives it (cast, or a number's own type); 0 unknown literal or parameter
	Array   bool   // the value is an array whose elements are the alternatives (= ANY($1))
	List    int    // the value is the first of this folded list, counted from 1, and the others are alternatives; 0 for none
	Const   []byte // SourceConst: text format
	// Declared is true for a parameter that stands elsewhere in the statement too, where it may get another type:
	// its shard is only certain when the client, or PostgreSQL's ParameterDescription, tells the type.
	Declared bool
}

// KeyTuple gives one value to each key column, in key order.
type KeyTuple []KeyValue

// Pruner says which shards one sharded relation of the statement can touch: the union over Tuples. All is
// true when nothing restricts it. An element may be an array, then it stands for its elements.
type Pruner struct {
	Table  *Table
	Tuples []KeyTuple
	All    bool
	// Stores is true where rows with these keys are inserted: a NULL is a key like others, where one that is
	// compared selects nothing.
	Stores bool
}

// SortKey is one ORDER BY item, or one field of an item that is a row; its value travels as a hidden column at the end of
// each row.
type SortKey struct {
	Desc       bool
	NullsFirst bool
	// Collation of text-like sort columns: "" when not known from the text alone, else as Column.Collation.
	Collation string
	Expr      string // the expression's SQL
	// Form is what the hidden column holds.
	Form SortForm
}

// SortForm is how a sort key travels.
type SortForm uint8

// The forms of sort keys.
const (
	SortPlain    SortForm = iota // the value itself
	SortCollated                 // a record: the value's collation as pg_collation_for names it, the value
	SortRanked                   // the value itself; of a user's type, the next key decides
	SortRank                     // an enum's place in its order; -1 where the key before decides, -2 where neither can
)

// CountValue is a LIMIT or OFFSET: absent, a literal, a parameter or NULL (absent too).
type CountValue struct {
	Present bool
	Source  Source
	Index   int
	Const   int64
	Negated bool // a literal behind a minus sign
	Cast    bool // the parameter carries a cast, and so a type of its own
	CastTo  string
}

// Splice replaces text[Start:End] by With, or, where Limit is set, by a number computed at run time.
type Splice struct {
	Start, End int // byte offsets into the statement's text (of the scanned statement, not the whole message)
	With       string
	Limit      bool // With is replaced by LIMIT n with n = limit+offset ("" when there is no limit)
}

// Scatter says how a statement over several backends is sent and merged.
type Scatter struct {
	// Splices makes the text for several backends from the client's: hidden sort columns, LIMIT; sorted by
	// Start, not overlapping. Empty: the text is sent unchanged.
	// Offsets are valid for the text the template was made from; AppendScatterText shifts them.
	Splices []Splice
	Sort    []SortKey // k-way merge; empty: concatenate
	Limit   CountValue
	Offset  CountValue
	// Ties is FETCH FIRST … WITH TIES: rows equal to the last one in all sort keys follow it.
	Ties bool
	// Combine, when set, says how PostgreSQL makes the answer of rows that the backends compute a part of.
	Combine *Combine
	// Modifies is true for UPDATE and DELETE (also with RETURNING): tags add up, and the backends commit
	// together.
	Modifies bool
}

// Gather is how a statement finishes on one backend: the rows that it reads of sharded relations are fetched from all that
// hold them, and given to it as array parameters.
type Gather struct {
	// Fetch is the statement that each backend gets. It takes the client's parameters. Where it has several parts, its first
	// column is the number of a row's part, an int2.
	Fetch string
	// Columns are Fetch's other columns.
	Columns []GatherColumn
	// Parts say which of them a part's rows have values in, each of them an array parameter; the others are NULL.
	Parts [][]int
	// Splices make the final statement from the client's text. Its further parameters are the arrays.
	Splices []Splice
	// Home is true if only home can run the final statement.
	Home bool
	// Reads is true if the final statement may read tables besides the arrays.
	Reads bool
	// Target, if set, is what the statement writes: the final statement runs on each backend that holds some of it, and
	// the others' rows are given to all of these.
	Target *Pruner
}

// Row is one VALUES row of an INSERT: the byte range of its parentheses, and where its cells are.
type Row struct {
	Start, End int
	Cells      []Cell
}

// Cell is one expression of a VALUES row.
type Cell struct {
	Start, End int
	Key        int       // position in Insert.Table.Key, or -1
	Value      *KeyValue // set when the proxy itself can read it (literal or parameter), for key cells
	Eval       bool      // must be evaluated on home first, as SELECT (expr)::type
	Default    bool      // the keyword DEFAULT, or what stands for it
	Beside     bool      // what is written instead of DEFAULT is evaluated too
}

// Insert is INSERT … VALUES into a sharded or reference table.
type Insert struct {
	Table *Table
	Rows  []Row
	// Columns is the target list's byte range "(a, b)" (Start==End at the place to insert it when absent) and
	// the columns it names, as positions in Table.Columns, in order.
	ColumnsStart, ColumnsEnd int
	Columns                  []int
	// Named are the columns' own ranges where the list names parts of some (v[1], q.x), else nil.
	Named []Span
	// Missing are columns not in Columns whose default must be evaluated on home first (key defaults,
	// sequences, and for reference tables every volatile default): they are appended to the list and to each row.
	Missing []int
	// DefaultValues is true for DEFAULT VALUES: Rows has one row without cells, whose range is those two words.
	DefaultValues bool
	// Everywhere is true for reference tables: all rows go to all backends.
	Everywhere bool
	Returning  bool
	// OverridingSystem is true if OVERRIDING SYSTEM VALUE must be added because an evaluated identity
	// column is GENERATED ALWAYS; at OverridingAt, in the place of what stands there up to OverridingEnd.
	OverridingSystem bool
	OverridingAt     int
	OverridingEnd    int
	// Writes is true where what home evaluates may write there: a large object, a local table.
	Writes bool
	// Unread is true where OVERRIDING USER VALUE leaves out cells: what is wrong with them the client's text alone tells.
	Unread bool
}

// Copy is COPY FROM/TO of a sharded or reference table.
type Copy struct {
	Table   *Table
	Columns []int // positions in Table.Columns, in the order of the data
	Format  CopyFormat
	In      bool
	Query   bool // COPY (query) TO: Inner holds its template
	Inner   *Template
	// Whole is true where the backends' rows are not COPY's one behind the other: the query has to run by its own plan.
	Whole bool
	// Missing as in Insert.
	Missing []int
	// Head is the statement up to and including the table name and Tail what follows the column list, so
	// that a new column list can be put between them.
	Head, Tail string
}

// CopyFormat holds COPY's options that decide how rows are found in the stream.
type CopyFormat struct {
	Binary, CSV    bool
	Delimiter      byte
	Quote, Escape  byte
	Null           string
	Default        string // PostgreSQL 16's DEFAULT option; HasDefault
	HasDefault     bool
	Header         bool
	HeaderMatch    bool
	ForceNotNull   []string
	ForceNull      []string
	ForceQuote     []string
	ForceQuoteAll  bool
	Encoding       string
	Freeze         bool
	OnErrorIgnore  bool
	Counts         bool // the rows that ON_ERROR skips are counted up to a limit, or named
	UnknownOptions bool // an option this version does not know: refuse
}

// Where names the backends of a DDL step.
type Where uint8

// The places a step can run.
const (
	WhereHome Where = iota
	WhereAll
	WhereOthers // all but home
	WhereOne    // Step.Backend
)

// Placed reports whether statements of the kind are routed by their values or run in several steps.
func (k Kind) Placed() bool {
	switch k {
	case KindShards, KindInsertQuery, KindPrelude, KindInlined, KindRoutine, KindCopyRows, KindInsert, KindEverywhere:
		return true
	}
	return false
}

// Step is one statement of a DDL plan.
type Step struct {
	Where   Where
	Backend int
	SQL     string
	// Answer is true for the one step whose reply (tag, notices, rows) on home the client sees.
	Answer bool
	// Own is true where SQL calls a function of schema pleiad: where in it an error is, is nothing about the client's text.
	Own bool
	// Undo repairs a step that cannot run in a transaction when a later one fails; "" when nothing can.
	Undo string
	// Lock marks pleiad.begin_ddl() or lock_ddl(), the first step of a schema change: it gives one bigint, the epoch that
	// the database has under the DDL lock. If that is not Schema.Epoch (and Schema.Epoch is not 0) the plan is
	// stale: read the schema in this same transaction, plan anew and run the new steps behind this one.
	Lock bool
	// Same marks a step whose reply, one text value, must be the same on every backend: if it is not, backends
	// chose different names for a new index, constraint or sequence; abort with DiffersError.
	Same bool
	// Position, when not nil, translates a character position in SQL to one in the client's text.
	Position func(int) int
	// Password, when not nil, is a cleartext password in SQL that becomes one verifier for all backends
	// before the step is sent (auth.NewScramVerifier); where password_encryption is md5, too.
	Password *Password
}

// Password is a string literal in a step: SQL[Start:End], quotes included, has to be replaced by the quoted
// verifier made from Plain. It must not be logged.
type Password struct {
	Start, End int
	Plain      string
}

// TxnOp is a transaction-control statement.
type TxnOp uint8

// The transaction statements.
const (
	TxnBegin TxnOp = iota
	TxnCommit
	TxnRollback
	TxnSavepoint
	TxnRelease
	TxnRollbackTo
	TxnPrepare          // PREPARE TRANSACTION by the client itself
	TxnCommitPrepared   // COMMIT PREPARED
	TxnRollbackPrepared // ROLLBACK PREPARED
)

// Txn is one transaction-control statement.
type Txn struct {
	Op        TxnOp
	Name      string // savepoint or gid
	Chain     bool   // AND CHAIN
	Isolation string // "" or lower case: "serializable", "repeatable read", …
	ReadOnly  int8   // 0 unsaid, 1 READ ONLY, -1 READ WRITE
	Deferred  int8
}

// Set is SET, RESET, SET LOCAL, SET TRANSACTION and their kin.
type Set struct {
	Name string // canonical parameter name, lower case; "role" and "session_authorization" for those; "transaction", "session characteristics"
	// Value is the value list as SQL text ready behind "SET name TO"; "" with Default. For timezone it may be an
	// INTERVAL, which is only legal behind "SET TIME ZONE".
	Value      string
	Text       string // single value as PostgreSQL stores it, when it is one constant (quotes removed)
	Default    bool   // TO DEFAULT or RESET
	ResetAll   bool
	Local      bool
	Pleiad     bool // a pleiad.* setting, kept by the proxy
	Statement  string
	Isolation  string // SET TRANSACTION's modes
	ReadOnly   int8
	Deferred   int8 // [NOT] DEFERRABLE, as ReadOnly
	SetSession bool // SESSION CHARACTERISTICS
}

// Prepare is SQL-level PREPARE, EXECUTE and DEALLOCATE.
type Prepare struct {
	Name  string
	All   bool   // DEALLOCATE ALL
	Types string // PREPARE's type list, as text, "" when none
	Body  string // PREPARE's statement text
	Args  []string
}

// Cursor is DECLARE, FETCH, MOVE and CLOSE.
type Cursor struct {
	Name   string
	All    bool // CLOSE ALL
	Op     CursorOp
	Hold   bool
	Binary bool
	Scroll Scroll
	Locks  bool // FOR UPDATE or its kin
	Move   Move // FETCH and MOVE
	// Inner is DECLARE's query, as a template over the same text, which starts at byte InnerFrom.
	Inner     *Template
	InnerFrom int
}

// Scroll is what DECLARE says about going backward.
type Scroll uint8

// The words of DECLARE.
const (
	ScrollUnsaid Scroll = iota // PostgreSQL decides by the query's plan
	ScrollYes
	ScrollNo
)

// Move is how FETCH or MOVE moves a cursor.
type Move struct {
	Direction Direction
	Count     int64
}

// Direction is how Move.Count counts.
type Direction uint8

// The directions of FetchStmt.
const (
	FetchForward Direction = iota
	FetchBackward
	FetchAbsolute
	FetchRelative
)

// FetchAll is the count of FETCH ALL.
const FetchAll = math.MaxInt64

// CursorOp tells the cursor statements apart.
type CursorOp uint8

// The cursor statements.
const (
	CursorDeclare CursorOp = iota
	CursorFetch
	CursorMove
	CursorClose
)

// Explain is EXPLAIN of a statement that touches sharded tables.
type Explain struct {
	Inner     *Template
	InnerFrom int // byte offset where the explained statement starts
	Analyze   bool
	Format    string // "text", "json", "xml", "yaml"
	Prefix    string // "EXPLAIN (…) " as written
	// Query, if not "", is what EXPLAIN of Inner shows: the query of a DECLARE or CREATE TABLE AS.
	Query string
}

// Template is the plan of a statement's text before its values are known. It is immutable and shared by all
// sessions whose text scans to the same key.
type Template struct {
	Kind    Kind
	Command string // first word(s) of the command tag: "SELECT", "INSERT", "CREATE TABLE"
	Writes  bool   // may write rows anywhere (so it needs a primary, and makes its backend a writer)
	Effect  Effect
	// ReadOnly is true for a SELECT that is proved to do nothing but read tables, so that a standby can answer it.
	ReadOnly bool
	// Sync is true when the statement writes a table whose writes wait for standbys.
	Sync bool
	// Returns is true when the statement gives rows (RowDescription is owed on Describe).
	Returns bool
	// NParams is the highest $n in the text.
	NParams int
	// Literals is how many literals the scanner lifts out of a text with this plan.
	Literals int

	Refusal *pgerr.Error // KindRefuse

	// Prune holds one pruner for each sharded relation; all of them must fall on one backend for the text to
	// run there unchanged. Together is true when the relations are joined on their keys, so that the
	// intersection of their shard sets is what matters; else each is looked at by itself.
	Prune    []Pruner
	Together bool
	// Scatter is nil when the statement may only run on one backend; NoScatter then says why.
	Scatter   *Scatter
	NoScatter *pgerr.Error
	// Direct is how it names the one shard that it falls on; nil where it may not.
	Direct *Direct
	// Gather is how a statement without Scatter runs over several backends: nil where it may not.
	Gather *Gather

	// CurrentOf names the cursor of a write WHERE CURRENT OF: it runs where the cursor's current row is.
	CurrentOf string

	// KeyTo is the key an UPDATE of one row's key gives it, which must be on the backend of the old one: Backends
	// sees to it.
	KeyTo *Pruner

	Insert *Insert
	// InsertQuery is how an INSERT of a query's rows runs unless it may run on one backend (KindShards) or always
	// (KindInsertQuery).
	InsertQuery *InsertQuery
	// Prelude is what has to run first, unless the statement may run on one backend (KindShards) or always (KindPrelude).
	Prelude  *Prelude
	CopyRows *CopyRows
	Inlined  string // KindInlined
	// SessionViews are the places of SessionViews in the text, in order.
	SessionViews []SessionView
	// InlinedCall, if not "", is the function that whatever fails in Inlined fails in.
	InlinedCall string
	Routine     *Routine
	// LockRows is how a locking query with LIMIT runs over several backends.
	LockRows *LockRows
	// LockJoin is how a locking query of several tables runs over several backends.
	LockJoin *LockJoin
	// LockPick is how it runs over several backends where it passes over locked rows or has a LIMIT.
	LockPick *LockPick
	Copy     *Copy
	DDL      *DDL
	Txn      *Txn
	Set      *Set
	Prepare  *Prepare
	Cursor   *Cursor
	Explain  *Explain
	Name     string // SHOW's parameter; LISTEN's channel; DISCARD's word

	// SetConfig lists the calls of set_config that are output columns of a SELECT without FROM, which is the only place
	// they are planned in: what they set must follow the session as SET does, once the statement has succeeded. (But for SELECTs from system
	// catalogs, as pg_dump sends them: those set home alone.)
	SetConfig []SetConfig
	// NeedsHome is true for a statement over sharded tables that also needs what only home has (local tables,
	// sequences): it runs if its shards are all on home, else NoScatter is the answer. Backends sees to it.
	NeedsHome bool
	// DumpsRows is true for a query that pg_dump sends if it takes rows, and not for definitions alone.
	DumpsRows bool
	// NeedsSequenceState is true when currval or lastval is called: their values are those of the home connection where
	// this session called nextval.
	NeedsSequenceState bool
	// Unknown is true when a relation of the statement is not in the snapshot: a session should read the catalog
	// anew and plan again, once, before it believes the plan.
	Unknown bool
	// ClockWords is set where a literal or parameter like 'now' may be read as the present. Backends refuses such values
	// for several backends.
	ClockWords *ClockWords
	// Clock is set where the statement reads the transaction's time or its own.
	Clock *Clock

	// Spans are the literals' byte ranges in the text the template was made from. Two texts with one key differ
	// in nothing but their literals, so every other byte offset of the template shifts by the difference in
	// length of the literals before it (Shift).
	Spans []Span
	// Cacheable is false for plans that hold for this very text only (utility statements).
	Cacheable bool
	// lists are the folded lists of a template made by PlanFolded: it holds for texts with lists of any length, by way of
	// Unfold. They are those of the text that it was made from.
	lists []sqlparse.Fold
}

// GetRefusal is the statement's refusal; nil for a nil template too.
func (t *Template) GetRefusal() *pgerr.Error {
	if t == nil {
		return nil
	}
	return t.Refusal
}

// SetConfig is one call of set_config: its new value is output column Column of the only row, as text.
type SetConfig struct {
	Column int
	Name   KeyValue // the setting's name
	Local  KeyValue // a boolean: true is SET LOCAL
}

// Span is a byte range of a statement's text.
type Span struct{ Start, End int }

// Shift translates byte offset p of the template's text into the offset in a text with the same key whose
// literals stand at lits. p must not lie inside a literal.
func (t *Template) Shift(p int, lits []Span) int {
	if i := literalBefore(t.Spans, p); i >= 0 {
		return p + lits[i].End - t.Spans[i].End
	}
	return p
}

// literalBefore is the last literal that ends at p or ahead of it, -1 for none.
func literalBefore(spans []Span, p int) int {
	i, _ := slices.BinarySearchFunc(spans, p+1, func(s Span, p int) int { return s.End - p })
	return i - 1
}

// Env is what planning depends on besides the text.
type Env struct {
	Schema *Schema
	// Path is the effective search_path: "$user" replaced, schemas that do not exist left out, pg_catalog
	// where it was named.
	Path []string
	User string
	// Temp holds the session's own temporary relations; they hide others of the same name when
	// unqualified.
	Temp map[string]bool
	// TempCode is, by name, the expressions, definitions and bodies of the session's own relations, types and functions,
	// which no snapshot holds.
	TempCode            map[string]string
	judging             map[string]bool // names whose TempCode is being read
	DefaultDistribution string          // "local", "primary_key", "reference", or a key (DistributedBy)
	ShardCount          uint32          // modulus of new sharded tables
	Family              shardmap.Family // hash of new sharded tables
	// Major is the servers' major version; 0 in tests that do not care.
	Major int
	// NoMerge plans no merge of sorted rows: their order cannot be reproduced by the proxy.
	NoMerge bool
}
