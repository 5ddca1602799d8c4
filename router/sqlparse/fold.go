package sqlparse

import "bytes"

// Fold is a list of constants whose length, and whose elements but the first, keys of Scanner.Fold do not hold: that of
// "IN (1, 2, 3)" or "ARRAY[1, 2, 3]", or the rows of an INSERT's VALUES. It has two elements or more.
type Fold struct {
	// IsRows tells VALUES from IN and ARRAY, whose elements have one cell each.
	IsRows bool
	Width  int // cells of an element
	// Cells are those of all elements, one element behind the other.
	Cells []FoldCell
	// Rows are the elements' places; those of rows with their parentheses.
	Rows []Span

	open, close         byte // the parentheses or brackets
	firstCell, firstRow int  // where they begin in the Scanner's
}

// FoldCell is one constant of a list: bytes Start to End, sign and cast included.
type FoldCell struct {
	Start, End int
	Literal    int // its position in Scanned.Lits; -1 for NULL, TRUE and FALSE
	Form       CellForm
	Negated    bool // a number behind a minus sign
	Cast       int  // where the :: behind a string starts; 0 for none
}

// CellForm is what a constant is.
type CellForm uint8

// The forms of constants that may stand in a folded list. Keys hold them.
const (
	CellNull   CellForm = iota + 'a'
	CellNumber          // of any kind
	CellString          // of any kind, with a cast or without
	CellBool            // TRUE or FALSE
)

// maxFolded bounds the elements of an IN list or array that is folded: no plan tells longer ones apart by their values. maxFoldedCells
// bounds the constants of all lists: what has more is for Guard to judge.
const (
	maxFolded      = 10000
	maxFoldedCells = 1 << 17
)

// restMarker stands in keys for what follows a folded list's first element. It is no literal's.
const restMarker = 8

type foldState uint8

const (
	foldIdle  foldState = iota
	foldOpen            // expects the parenthesis behind IN or VALUES, or of a further row
	foldCell            // a constant
	foldSign            // the number behind a minus sign
	foldTail            // , or ) or a cast
	foldCast            // the type behind ::
	foldClose           // , or )
	foldNext            // a comma behind a row; anything else ends the list
)

// folder follows the lists of one text. A list is folded once it has ended and was nothing but constants.
type folder struct {
	on     bool
	insert bool
	dot    bool // the token before was a point: a keyword is a name now
	state  foldState
	list   Fold
	kind   LiteralKind // of an IN list's or array's elements
	// What the key was when the first element ended: its length, how far the text had been copied, and where the element
	// ended.
	keyLen, copied, firstEnd int

	cells []FoldCell
	rows  []Span
	folds []Fold
}

func (f *folder) reset(on bool) {
	*f = folder{on: on, cells: f.cells[:0], rows: f.rows[:0], folds: f.folds[:0]}
}

// Fold is Scan for a key that other texts share although their lists of constants are longer or shorter: Folds are those
// lists. Where there are none, it is Scan.
func (s *Scanner) Fold(text []byte) Scanned {
	out := s.scan(text, true)
	out.Folds = s.folder.folds
	return out
}

// ahead ends the list that a token, not yet seen, does not continue.
func (s *Scanner) ahead(text []byte, t token) {
	if f := &s.folder; f.state == foldNext && (t.kind != tokSelf || text[t.start] != ',') {
		s.endList(text)
	}
}

// follow shows one token to the list that is being read; kind is what will be lifted of it.
func (s *Scanner) follow(text []byte, t token, kind LiteralKind) {
	f := &s.folder
	dot := f.dot
	f.dot = t.kind == tokSelf && text[t.start] == '.'
	if f.state != foldIdle {
		if s.inList(text, t, kind) {
			return
		}
		f.abandon()
	}
	if t.kind != tokIdent || dot {
		return
	}
	switch w := text[t.start:t.end]; {
	case len(w) == 2 && wordIs(w, "in"):
		f.begin(Fold{open: '(', close: ')'})
	case len(w) == 5 && wordIs(w, "array"):
		f.begin(Fold{open: '[', close: ']'})
	case f.insert && len(w) == 6 && s.st.depth == 0 && wordIs(w, "values"):
		f.begin(Fold{open: '(', close: ')', IsRows: true})
	}
}

func (f *folder) begin(list Fold) {
	f.state = foldOpen
	list.Width, list.firstCell, list.firstRow = 1, len(f.cells), len(f.rows)
	f.list = list
}

func (f *folder) abandon() {
	f.state = foldIdle
	f.cells, f.rows = f.cells[:f.list.firstCell], f.rows[:f.list.firstRow]
}

// inList takes a token into the list; false where that is not one to fold.
func (s *Scanner) inList(text []byte, t token, kind LiteralKind) bool {
	f := &s.folder
	switch f.state {
	case foldOpen:
		f.state = foldCell
		if f.list.IsRows {
			f.rows = append(f.rows, Span{Start: t.start})
		}
		return isSelf(text, t, f.list.open)
	case foldCell, foldSign:
		return f.constant(text, t, kind, len(s.lits))
	case foldCast:
		f.cells[len(f.cells)-1].End = t.end
		f.state = foldClose
		return t.kind == tokIdent
	case foldNext:
		f.state = foldOpen
		return true // ahead has seen that it is a comma
	}
	last := &f.cells[len(f.cells)-1]
	switch {
	case f.state == foldTail && t.kind == tokOperator && last.Form == CellString && t.end == t.start+2 && text[t.start] == ':' && text[t.start+1] == ':':
		last.Cast, f.state = t.start, foldCast
		return true
	case isSelf(text, t, ','):
		f.state = foldCell
		return f.list.IsRows || s.element(text)
	case !isSelf(text, t, f.list.close):
		return false
	case f.list.IsRows:
		f.state = foldNext
		return s.row(text, t)
	}
	if !s.element(text) {
		return false
	}
	s.endList(text)
	return true
}

func isSelf(text []byte, t token, c byte) bool { return t.kind == tokSelf && text[t.start] == c }

// constant takes the first tokens of a cell; literal is the position that it will have.
func (f *folder) constant(text []byte, t token, kind LiteralKind, literal int) bool {
	signed := f.state == foldSign
	cell := FoldCell{Start: t.start, End: t.end, Literal: literal}
	switch {
	case isSelf(text, t, '-') && !signed:
		f.cells = append(f.cells, FoldCell{Start: t.start})
		f.state = foldSign
		return true
	case kind == LiteralInt4 || kind == LiteralInt8 || kind == LiteralNumeric:
		if newNotation(text[t.start:t.end]) {
			return false
		}
		cell.Form = CellNumber
	case kind.quoted() && !signed:
		cell.Form = CellString
	case t.kind == tokIdent && f.list.IsRows && !signed:
		cell.Literal = -1
		switch w := text[t.start:t.end]; {
		case wordIs(w, "null"):
			cell.Form = CellNull
		case wordIs(w, "true") || wordIs(w, "false"):
			cell.Form = CellBool
		default:
			return false
		}
	default:
		return false
	}
	if !f.list.IsRows {
		if kind.quoted() {
			kind = LiteralString
		}
		if len(f.rows) == f.list.firstRow {
			f.kind = kind
		}
		if kind != f.kind {
			return false
		}
	}
	if len(f.cells) >= maxFoldedCells {
		return false
	}
	if signed {
		cell.Negated, cell.Start = true, f.cells[len(f.cells)-1].Start
		f.cells[len(f.cells)-1] = cell
	} else {
		f.cells = append(f.cells, cell)
	}
	f.state = foldTail
	return true
}

// element ends an element of IN or ARRAY. All have one cast.
func (s *Scanner) element(text []byte) bool {
	f := &s.folder
	c, first := &f.cells[len(f.cells)-1], &f.cells[f.list.firstCell]
	if len(f.rows) == f.list.firstRow {
		f.keyLen, f.copied, f.firstEnd = len(s.key), s.copied, c.End
	}
	f.rows = append(f.rows, Span{c.Start, c.End})
	return bytes.Equal(c.cast(text), first.cast(text)) && len(f.rows)-f.list.firstRow <= maxFolded
}

// cast is the text of a string's cast, nil without one.
func (c *FoldCell) cast(text []byte) []byte {
	if c.Cast == 0 {
		return nil
	}
	return text[c.Cast:c.End]
}

// row ends a row: all have as many cells.
func (s *Scanner) row(text []byte, t token) bool {
	f := &s.folder
	f.rows[len(f.rows)-1].End = t.end
	cells := len(f.cells) - f.list.firstCell
	if len(f.rows) == f.list.firstRow+1 {
		f.list.Width = cells
		f.keyLen, f.copied, f.firstEnd = len(s.key), s.copied, t.end
	}
	return cells == f.list.Width*(len(f.rows)-f.list.firstRow)
}

// endList puts the marker in the place of all that follows the first element, where there is more and it can be told in
// few words what it is.
func (s *Scanner) endList(text []byte) {
	f := &s.folder
	count := len(f.rows) - f.list.firstRow
	if count < 2 {
		f.abandon()
		return
	}
	f.list.Cells, f.list.Rows = f.cells[f.list.firstCell:], f.rows[f.list.firstRow:]
	kept := len(s.key)
	tail := append(s.key, text[f.copied:f.firstEnd]...)
	tail = append(tail, restMarker)
	ok := true
	if f.list.IsRows {
		tail, ok = f.list.appendForms(tail, text)
	}
	s.key = tail[:kept]
	if !ok {
		f.abandon()
		return
	}
	s.key = append(s.key[:f.keyLen], tail[kept:]...)
	s.copied = f.rows[len(f.rows)-1].End
	f.folds = append(f.folds, f.list)
	f.state = foldIdle
}

// appendForms appends what the cells of each column are, behind the first row: NULL, or constants of one form with one cast.
// ok is false where they differ.
func (f *Fold) appendForms(dst, text []byte) (out []byte, ok bool) {
	for j := range f.Width {
		c := f.Column(j)
		for i := f.Width + j; i < len(f.Cells); i += f.Width {
			if other := &f.Cells[i]; other.Form != CellNull && (other.Form != c.Form || !bytes.Equal(other.cast(text), c.cast(text))) {
				return dst, false
			}
		}
		dst = append(append(append(dst, byte(c.Form)), c.cast(text)...), restMarker)
	}
	return dst, true
}

// Column is the first cell of column j, behind the first row, that is not NULL; NULL if there is none.
func (f *Fold) Column(j int) *FoldCell {
	for i := f.Width + j; i < len(f.Cells); i += f.Width {
		if f.Cells[i].Form != CellNull {
			return &f.Cells[i]
		}
	}
	return &f.Cells[f.Width+j]
}

// Shortest is the text with no more than two elements in each folded list, and the key of text.
func (s *Scanned) Shortest(text []byte) []byte {
	var out []byte
	from := 0
	for i := range s.Folds {
		f := &s.Folds[i]
		last := f.Rows[len(f.Rows)-1].End
		out = append(out, text[from:f.Rows[0].End]...)
		from = last
		out = append(out, ", "...)
		if !f.IsRows {
			out = append(out, text[f.Rows[1].Start:f.Rows[1].End]...)
			continue
		}
		for j := range f.Width {
			out = append(out, "(,"[min(j, 1)])
			c := f.Column(j)
			out = append(out, text[c.Start:c.End]...)
		}
		out = append(out, ')')
	}
	return append(out, text[from:]...)
}
