package router

// Program is the code of a function, a procedure or a DO block.
type Program struct {
	PL    bool // PL/pgSQL; else the statements of a function in SQL, whose last one gives the value
	Vars  []ProgramVar
	Found int // the variable FOUND; -1 for none
	Steps []ProgramStep
	Held  map[int]*ProgramRecord // the variables of a table's row type
	Void  bool
	// Rows tells that the function gives rows, whose columns' types are Columns. Outs are the variables that are a row's columns
	// where it has such; a function that gives no set gives one row.
	Rows bool
	// Settled tells of a DO block that none of its statements has types that a schema change could change.
	Settled bool
	Columns []string
	Outs    []int
}

// ProgramVar is a variable; a call's arguments are the first.
type ProgramVar struct {
	Type    string
	Learned bool // the type is that of what is put into it: a record's field, what CASE tests
	Default *ProgramSQL
	Line    int
}

// ProgramSQL is a statement of a program: parameter i is variable Vars[i].
type ProgramSQL struct {
	Text    string
	Vars    []int
	Reads   bool         // a SELECT
	Schema  bool         // a schema change
	gives   bool         // gives rows
	lazy    bool         // how far it is read can be seen
	tables  bool         // it may look at tables
	changes bool         // or change or lock rows
	Call    *RoutineCall // where the statement is the call of another such function, with its variables as parameters
	Source  string       // as PostgreSQL names it in an error's context; "" for an expression that it evaluates without a query
	Long    string       // the same of such an expression where it evaluates it by a query after all
}

// ProgramStep is one statement of a program.
type ProgramStep struct {
	Kind     string // as pl_exec.c names it in error contexts
	Line     int
	Label    string
	SQL      *ProgramSQL
	Into     []int
	Record   *ProgramRecord // where the rows go instead
	Strict   bool
	Target   int
	Arms     []ProgramArm
	Else     []ProgramStep
	Missing  bool // CASE without ELSE
	Dynamic  bool // RETURN QUERY EXECUTE
	Body     []ProgramStep
	Declared []int // a block's variables
	Handlers []ProgramHandler
	Bounds   []*ProgramSQL // FOR: from, to, step
	Reverse  bool
	Items    []ProgramItem
	Level    string
	Name     string   // RAISE: a condition
	Message  []string // RAISE: what stands between the arguments; nil for none
	Args     []*ProgramSQL
	Options  []RaiseOption
}

// ProgramArm is one of IF's, or WHEN of CASE.
type ProgramArm struct {
	Cond *ProgramSQL
	Body []ProgramStep
}

// ProgramRecord is what a record holds between one statement that fills it and the next: those of its fields that are read.
type ProgramRecord struct {
	Fields []ProgramField
	Whole  bool   // RETURN NEXT gives it
	Like   string // a query of the same columns, whatever fills it; "" where what fills it decides
}

// ProgramField is a column and the variable that stands for it.
type ProgramField struct {
	Name string
	Var  int
}

// ProgramHandler is WHEN of EXCEPTION: names of conditions, or SQLSTATEs.
type ProgramHandler struct {
	Conditions []string
	Body       []ProgramStep
}

// ProgramItem is one of GET DIAGNOSTICS.
type ProgramItem struct {
	Kind   string
	Target int
}

// RaiseOption is one of RAISE … USING.
type RaiseOption struct {
	Name string
	Expr *ProgramSQL
}
