package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// rows finds an INSERT's rows and cells in the text. It returns nil for INSERT … SELECT, and when the lists do not fit
// the table.
func (p *planner) rows(a *analysis, s *sqlparse.InsertStmt, t *Table) (*Insert, *pgerr.Error) {
	if s.SelectStmt != nil && !plainValues(s) {
		return nil, nil
	}
	in := &Insert{Table: t, Everywhere: t.Kind == TableReference, Returning: len(s.ReturningList) > 0}
	c := insertClauses{}
	if !c.read(p.text, p.from) {
		return nil, refKeyDefault
	}
	in.ColumnsStart, in.ColumnsEnd, in.OverridingAt, in.OverridingEnd = c.columns.Start, c.columns.End, c.at, c.at
	if s.Override == sqlparse.OverrideUser && hasIdentity(t) {
		in.OverridingSystem, in.OverridingEnd = true, c.overridingEnd // the values are home's
	}
	if s.SelectStmt == nil {
		in.DefaultValues = true
		in.Rows = []Row{{Start: c.at, End: c.valuesEnd}}
		in.Missing = a.missing(t, nil, 1)
		in.overriding(s)
		in.Writes = a.evaluationWrites(in, nil)
		return in, nil
	}
	lists := s.SelectStmt.GetSelectStmt().ValuesLists
	columns := columnPositions(t, s.Cols)
	part, some := parts(t, s.Cols)
	for i, at := range part {
		columns[i] = max(columns[i], at)
	}
	if some {
		in.Named = c.names(p.text)
	}
	width := len(lists[0].GetList().GetItems())
	if len(c.rows) != len(lists) {
		return nil, refKeyDefault
	}
	if width > len(columns) || len(s.Cols) > 0 && width < len(columns) || slices.Contains(columns, -1) {
		return nil, nil
	}
	defer a.fold.places(c.rows)()
	in.Columns = columns[:width]
	in.Missing = a.missing(t, in.Columns, len(lists))
	for i, list := range lists {
		items := list.GetList().GetItems()
		if len(items) != width || len(c.cells[i]) != width {
			return nil, nil
		}
		row := Row{Start: c.rows[i].Start, End: c.rows[i].End}
		for j, n := range items {
			if t.Kind == TableSharded && n.GetAIndirection() != nil && hasStar(n.GetAIndirection().Indirection) {
				return nil, nil
			}
			cell := a.cell(n, t, in.Columns[j], len(lists))
			switch {
			case !some || part[j] < 0:
			case cell.Default:
				return nil, nil
			case cell.Eval:
				return nil, refKeyDefault
			}
			if s.Override == sqlparse.OverrideUser && t.Columns[in.Columns[j]].Identity != 0 {
				in.Unread = in.Unread || !cell.Default
				cell = Cell{Key: cell.Key, Default: true, Eval: true, Beside: !cell.Default && len(lists) > 1}
			}
			cell.Start, cell.End = c.cells[i][j].Start, c.cells[i][j].End
			row.Cells = append(row.Cells, cell)
		}
		in.Rows = append(in.Rows, row)
	}
	if s.Override == sqlparse.OverrideNone && in.mixesIdentity() {
		return nil, nil
	}
	in.overriding(s)
	in.Writes = a.evaluationWrites(in, lists)
	return in, nil
}

// evaluationWrites reports whether evaluating an INSERT's cells and defaults on home may write there.
func (a *analysis) evaluationWrites(in *Insert, lists []sqlparse.Node) bool {
	writes := func(column int) bool { return a.defaultFacts(in.Table.Columns[column])&fnWrites != 0 }
	for i, r := range in.Rows {
		for j, c := range r.Cells {
			switch {
			case !c.Eval:
			case c.Default && writes(in.Columns[j]), a.exprFacts(lists[i].GetList().GetItems()[j])&fnWrites != 0:
				return true
			}
		}
	}
	return slices.ContainsFunc(in.Missing, writes)
}

func hasIdentity(t *Table) bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Identity != 0 })
}

// mixesIdentity reports whether a GENERATED ALWAYS column is DEFAULT in some rows and given a value in others, which is an
// error.
func (in *Insert) mixesIdentity() bool {
	for j, c := range in.Columns {
		given := 0
		for _, r := range in.Rows {
			if !r.Cells[j].Default {
				given++
			}
		}
		if in.Table.Columns[c].Identity == 'a' && given > 0 && given < len(in.Rows) {
			return true
		}
	}
	return false
}

// overriding asks for OVERRIDING SYSTEM VALUE when a value made on home is given to a GENERATED ALWAYS column.
func (in *Insert) overriding(s *sqlparse.InsertStmt) {
	if s.Override != sqlparse.OverrideNone {
		return
	}
	for _, m := range in.Missing {
		in.OverridingSystem = in.OverridingSystem || in.Table.Columns[m].Identity == 'a'
	}
	for _, r := range in.Rows {
		for j, c := range r.Cells {
			if c.Eval && c.Default && in.Table.Columns[in.Columns[j]].Identity == 'a' {
				in.OverridingSystem = true
			}
		}
	}
}

// cell decides what becomes of one expression of a VALUES row.
func (a *analysis) cell(n sqlparse.Node, t *Table, column, rows int) Cell {
	c := Cell{Key: slices.Index(t.Key, column)}
	if n.GetSetToDefault() != nil {
		c.Default = true
		c.Eval = a.evaluatesDefault(t, column, rows)
		if c.Key >= 0 && t.Columns[column].Default == "" && t.Columns[column].Identity == 0 {
			c.Value = &KeyValue{Source: SourceNull}
		}
		return c
	}
	if v, ok := a.constant(n); ok {
		if c.Key >= 0 {
			c.Value = &v
		}
		return c
	}
	facts := a.exprFacts(n)
	atHome := fnNextval | fnCurrval | fnHome | fnTables
	switch {
	case c.Key >= 0:
		c.Eval = true
	case t.Kind == TableReference:
		c.Eval = facts&fnImpure&^fnStable != 0
	case rows > 1:
		c.Eval = facts&(atHome|fnClock|fnServer|fnVolatile) != 0
	default:
		c.Eval = facts&atHome != 0
	}
	return c
}

// exprFacts collects the facts of the functions an expression calls.
func (a *analysis) exprFacts(n sqlparse.Node) fnFacts {
	in := &analysis{env: a.env, foreign: 1}
	q := &query{}
	q.scope = &scope{ns: &namespace{open: true}, level: q}
	var f fnFacts
	in.expr(q, n, q.scope, &f)
	return f
}

// evaluatesDefault reports whether a column's default must be evaluated on home: for keys always, sequences always, what
// differs between backends when there are several rows or copies.
func (a *analysis) evaluatesDefault(t *Table, column, rows int) bool {
	c := t.Columns[column]
	if c.Generated || c.Default == "" && c.Identity == 0 {
		return false
	}
	if slices.Contains(t.Key, column) {
		return true
	}
	f := a.defaultFacts(c)
	switch {
	case t.Kind == TableReference:
		return f&fnImpure&^fnStable != 0
	case f&(fnNextval|fnCurrval|fnTables|fnSharded|fnHome|fnUnknown) != 0:
		return true
	}
	return rows > 1 && f&(fnClock|fnServer|fnVolatile) != 0
}

// missing lists the columns outside the given ones whose default must be evaluated on home.
func (a *analysis) missing(t *Table, given []int, rows int) []int {
	var out []int
	for i := range t.Columns {
		if !slices.Contains(given, i) && a.evaluatesDefault(t, i, rows) {
			out = append(out, i)
		}
	}
	return out
}

// insertClauses are the byte ranges of an INSERT's parts.
type insertClauses struct {
	columns Span // "(a, b)", or an empty range where it could stand
	at      int  // of OVERRIDING, VALUES or DEFAULT VALUES
	// overridingEnd is behind OVERRIDING … VALUE, 0 where there is none.
	overridingEnd int
	valuesEnd     int // behind DEFAULT VALUES
	rows          []Span
	cells         [][]Span
}

// read finds the parts of the INSERT behind byte from.
func (c *insertClauses) read(text string, from int) bool {
	var toks []sqlparse.Token
	for _, t := range sqlparse.Tokens(text) {
		if t.Start >= from {
			toks = append(toks, t)
		}
	}
	cl := clauses{toks: toks}
	if len(toks) > 0 {
		cl.depth = toks[0].Depth
	}
	i := cl.find(0, "insert")
	if i < 0 {
		return false
	}
	i += 2 // INSERT INTO
	for i++; i+1 < len(toks) && toks[i].Punct == '.'; i += 2 {
	}
	if i < len(toks) && toks[i].Word == "as" {
		i += 2
	}
	if i >= len(toks) {
		return false
	}
	c.columns = Span{toks[i].Start, toks[i].Start}
	if toks[i].Punct == '(' {
		for i++; i < len(toks) && toks[i].Depth > cl.depth; i++ {
		}
		c.columns.End = toks[i].End
		i++
	}
	if i >= len(toks) {
		return false
	}
	c.at = toks[i].Start
	if toks[i].Word == "default" && i+1 < len(toks) {
		c.valuesEnd = toks[i+1].End
		return true
	}
	if toks[i].Word == "overriding" {
		c.overridingEnd = toks[min(i+2, len(toks)-1)].End
		i += 3
		if i < len(toks) && toks[i].Word == "default" {
			c.valuesEnd = toks[min(i+1, len(toks)-1)].End
			return true
		}
	}
	if i >= len(toks) || toks[i].Word != "values" {
		return false
	}
	c.readRows(toks[i+1:], cl.depth)
	return true
}

// names are the ranges of the columns' names in the list.
func (c *insertClauses) names(text string) (out []Span) {
	list := clauses{}
	for _, t := range sqlparse.Tokens(text) {
		if t.Start > c.columns.Start && t.End < c.columns.End {
			list.toks = append(list.toks, t)
		}
	}
	if len(list.toks) > 0 {
		list.depth = list.toks[0].Depth
	}
	for _, item := range list.split(c.columns) {
		out = append(out, rangeOf(item))
	}
	return out
}

func (c *insertClauses) readRows(toks []sqlparse.Token, depth int) {
	for i := 0; i < len(toks) && toks[i].Punct == '('; i++ {
		start := toks[i].Start
		row := clauses{depth: depth + 1}
		for i++; i < len(toks) && toks[i].Depth > depth; i++ {
			row.toks = append(row.toks, toks[i])
		}
		if i >= len(toks) {
			return
		}
		var cells []Span
		for _, item := range row.split(Span{start, toks[i].Start}) {
			cells = append(cells, rangeOf(item))
		}
		c.rows = append(c.rows, Span{start, toks[i].End})
		c.cells = append(c.cells, cells)
		if i+1 >= len(toks) || toks[i+1].Punct != ',' {
			return
		}
		i++
	}
}
