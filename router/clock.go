package router

import (
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// Clock is how a statement reads the time of its transaction or its own. PostgreSQL gives both once, where every backend
// has times of its own; so a statement that does not run on the transaction's first backend alone gets them as
// constants (AppendFixed).
type Clock struct {
	Splices []ClockSplice // in the order of Start, not overlapping
	// Hidden is true where the time is also read out of the text's sight: in a view, a function, a trigger, or the
	// default of a column that no VALUES list could give.
	Hidden bool
	// Policies is true where a row level security policy is what reads it: wherever rows are read, it is evaluated.
	Policies bool
	// Defaults is true where columns that an INSERT of a query's rows, or one in a WITH query, leaves out read it, when the server
	// evaluates them.
	Defaults bool
	// Evaluated is true where a cell or a default that home evaluates reads the time.
	Evaluated bool
}

// ClockSplice replaces text[Start:End] by its pieces.
type ClockSplice struct {
	Start, End int
	Pieces     []ClockPiece
}

// ClockPiece is SQL, or one of the times as a string constant.
type ClockPiece struct {
	Text string
	Time ClockTime // Text counts where it is zero
}

// ClockTime tells the two times apart.
type ClockTime uint8

// The times of a statement.
const (
	ClockTransaction ClockTime = iota + 1 // now()
	ClockStatement                        // statement_timestamp()
)

// Instant is both times in ISO 8601 with their offset from UTC, as timestamptz reads them under every DateStyle.
type Instant struct {
	Transaction, Statement string
	// Local is the transaction's time in the session's time zone, with its offset; the others are dates there. They are only
	// there for statements with words such as 'today'.
	Local, Today, Tomorrow, Yesterday string
}

// ReadsStatement is true if the statement's own time is among those it reads.
func (c *Clock) ReadsStatement() bool {
	if c == nil {
		return false
	}
	for _, s := range c.Splices {
		for _, p := range s.Pieces {
			if p.Time == ClockStatement {
				return true
			}
		}
	}
	return false
}

// AppendFixed appends v's text with the times written as constants. Its words must be fixable.
func (t *Template) AppendFixed(dst []byte, v *Values, at Instant) []byte {
	lits := v.spans()
	var all []ClockSplice
	if t.Clock != nil {
		all = slices.Clone(t.Clock.Splices)
	}
	for i := range all {
		if len(t.Spans) > 0 {
			all[i].Start, all[i].End = t.Shift(all[i].Start, lits), t.Shift(all[i].End, lits)
		}
	}
	if t.ClockWords != nil {
		for _, l := range t.ClockWords.Lits {
			if v.present(l.Index) {
				lit := v.Lits[l.Index]
				all = append(all, ClockSplice{lit.Start, lit.End, []ClockPiece{{Text: "'" + at.of(v.word(l.Index)) + "'"}}})
			}
		}
		slices.SortStableFunc(all, func(x, y ClockSplice) int { return x.Start - y.Start })
	}
	from := 0
	for _, s := range all {
		dst = append(dst, v.Text[from:s.Start]...)
		dst = appendPieces(dst, s.Pieces, at)
		from = s.End
	}
	return append(dst, v.Text[from:]...)
}

// FixDefault is a column's default with the times written as constants; ok is false where it reads them out of sight.
func (e *Env) FixDefault(c *Column, at Instant) (sql string, ok bool) {
	pieces, ok := e.defaultPieces(c)
	return string(appendPieces(nil, pieces, at)), ok
}

func appendPieces(dst []byte, pieces []ClockPiece, at Instant) []byte {
	for _, p := range pieces {
		switch p.Time {
		case ClockTransaction:
			dst = append(append(append(dst, '\''), at.Transaction...), '\'')
		case ClockStatement:
			dst = append(append(append(dst, '\''), at.Statement...), '\'')
		default:
			dst = append(dst, p.Text...)
		}
	}
	return dst
}

// clock notes how the statement reads the time.
func (p *planner) clock(n sqlparse.Node) {
	if p.a == nil || p.t.Kind == KindRefuse || p.t.Kind == KindDDL {
		return
	}
	c := clockReader{env: p.env, text: p.text, hidden: p.clockWords() || p.a.hiddenClock || p.a.fn&fnClockInside != 0}
	if p.a.fn&fnClock != 0 {
		c.toks = sqlparse.Tokens(p.text)
		sqlparse.Walk(n, c.visit)
	}
	evaluated := len(c.splices) > 0 && p.t.Insert != nil && p.t.Insert.evaluates()
	if s := n.GetInsertStmt(); s != nil {
		evaluated = p.insertClock(&c, s) || evaluated
	}
	c.defaults = c.defaults || p.a.defaultClocks
	if len(c.splices) == 0 && !c.hidden && !c.defaults {
		return
	}
	p.t.Clock = &Clock{Splices: c.inOrder(), Hidden: c.hidden, Policies: p.a.policyClock, Defaults: c.defaults, Evaluated: evaluated}
}

// insertClock makes an INSERT give the columns whose defaults read the time. evaluated is true where home evaluates one.
func (p *planner) insertClock(c *clockReader, s *sqlparse.InsertStmt) (evaluated bool) {
	t := p.a.target
	if t == nil || t.Kind == TableView {
		return false
	}
	var reads []int
	for i := range t.Columns {
		switch f := p.a.defaultFacts(t.Columns[i]); {
		case f&fnClockInside != 0 && f&fnClock == 0:
			c.hidden = c.hidden || !p.givesColumn(s, t, i)
		case f&(fnClock|fnClockInside) != 0:
			reads = append(reads, i)
		}
	}
	if len(reads) == 0 {
		return false
	}
	in := p.t.Insert
	if in == nil && (s.SelectStmt == nil || plainValues(s)) {
		in, _ = p.rows(p.a, s, t)
	}
	if in == nil {
		c.defaults = slices.ContainsFunc(reads, func(i int) bool { return !p.givesColumn(s, t, i) })
		return false
	}
	var missing []int
	for _, i := range reads {
		evaluated = evaluated || slices.Contains(in.Missing, i)
		if at := slices.Index(in.Columns, i); at < 0 {
			missing = append(missing, i)
		} else {
			c.defaultCells(in, at, &t.Columns[i])
		}
	}
	c.addColumns(in, missing)
	return evaluated
}

// givesColumn reports whether an INSERT certainly gives a column a value.
func (p *planner) givesColumn(s *sqlparse.InsertStmt, t *Table, column int) bool {
	return len(s.Cols) > 0 && slices.Contains(columnPositions(t, s.Cols), column) && (s.SelectStmt != nil && !plainValues(s))
}

// defaultCells writes the default out where the word DEFAULT stands for it.
func (c *clockReader) defaultCells(in *Insert, at int, col *Column) {
	for _, r := range in.Rows {
		if cell := r.Cells[at]; cell.Default {
			c.splices = append(c.splices, ClockSplice{cell.Start, cell.End, c.defaultCell("(", col)})
		}
	}
}

func (c *clockReader) defaultCell(open string, col *Column) []ClockPiece {
	pieces, ok := c.env.defaultPieces(col)
	c.hidden = c.hidden || !ok
	return append(append([]ClockPiece{{Text: open}}, pieces...), ClockPiece{Text: ")"})
}

// addColumns adds columns to the list and their defaults to each row.
func (c *clockReader) addColumns(in *Insert, missing []int) {
	if len(missing) == 0 {
		return
	}
	add := func(start, end int, pieces []ClockPiece) {
		c.splices = append(c.splices, ClockSplice{start, end, pieces})
	}
	names := ""
	for k, i := range missing {
		if k > 0 {
			names += ", "
		}
		names += quoteIdent(in.Table.Columns[i].Name)
	}
	switch {
	case in.ColumnsEnd > in.ColumnsStart:
		add(in.ColumnsEnd-1, in.ColumnsEnd-1, []ClockPiece{{Text: ", " + names}})
	case in.DefaultValues:
		add(in.ColumnsStart, in.ColumnsStart, []ClockPiece{{Text: "(" + names + ") "}})
	default:
		given := ""
		for _, i := range in.Columns {
			given += quoteIdent(in.Table.Columns[i].Name) + ", "
		}
		add(in.ColumnsStart, in.ColumnsStart, []ClockPiece{{Text: "(" + given + names + ") "}})
	}
	for _, r := range in.Rows {
		var pieces []ClockPiece
		for k, i := range missing {
			open := ", ("
			if in.DefaultValues && k == 0 {
				open = "VALUES (("
			}
			pieces = append(pieces, c.defaultCell(open, &in.Table.Columns[i])...)
		}
		if in.DefaultValues {
			add(r.Start, r.End, append(pieces, ClockPiece{Text: ")"}))
		} else {
			add(r.End-1, r.End-1, pieces)
		}
	}
}

// defaultPieces cuts a column's default at the times it reads.
func (e *Env) defaultPieces(col *Column) (pieces []ClockPiece, ok bool) {
	n, err := sqlparse.ParseExpr(col.Default)
	if err != nil {
		return nil, false
	}
	c := clockReader{env: e, text: col.Default, toks: sqlparse.Tokens(col.Default), offset: sqlparse.ExprOffset}
	sqlparse.Walk(n, c.visit)
	from := 0
	for _, s := range c.inOrder() {
		pieces = append(append(pieces, ClockPiece{Text: col.Default[from:s.Start]}), s.Pieces...)
		from = s.End
	}
	return append(pieces, ClockPiece{Text: col.Default[from:]}), !c.hidden
}
