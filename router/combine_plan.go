package router

// Combine is plan 4: each backend computes partial rows, and one statement on one backend makes the answer of all of them.
type Combine struct {
	// Same, when set, names the aggregate that combines each output: the backends run the client's own text, whose
	// outputs are plain aggregates and the partial columns.
	Same []string

	// Head and Tail stand around the partial columns in what each backend runs; Tail is without its GROUP BY.
	Head, Tail string
	Columns    []PartColumn
	// Groups is how many of Columns, the first ones, the partial rows are grouped by, where Grouped is set; with no
	// groups a backend has one row. Aggregates add columns behind.
	Groups     int
	Grouped    bool
	Aggregates []PartAggregate
	// Final is the statement that makes the answer: the places of aggregates and of the rows, with what stands between.
	Final []FinalPiece
	// Reads is true if it reads tables as well.
	Reads bool
}

// PartColumn is an expression that backends compute.
type PartColumn struct {
	SQL string
	// Type is what the value is cast back to, "" where it keeps the type it has: a domain is not described as itself.
	Type string
	// Collation is as in SortKey.
	Collation string
}

// PartAggregate is an aggregate made of partial ones.
type PartAggregate struct {
	Kind PartKind
	// SQL is the aggregate itself over a backend's rows: its type decides what is computed.
	SQL string
	// Name is its last name; Args and Filter are SQL, FILTER's word included.
	Name, Filter string
	Args         []string
	Collation    string // of the only argument
}

// PartKind says how an aggregate follows from partial values.
type PartKind uint8

// The kinds of combined aggregates.
const (
	PartCount   PartKind = iota // the sum of counts
	PartSum                     // the sum of sums
	PartSelf                    // the aggregate of the aggregates: min, bool_and …
	PartMean                    // avg
	PartSpread                  // stddev, variance and kin
	PartRegress                 // corr, covar_pop, regr_slope …
)

// FinalPiece is SQL, an aggregate, or the place of the partial rows.
type FinalPiece struct {
	Text      string
	Aggregate int // where Text is "" and Rows false
	Rows      bool
}
