package router

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// folding is what a plan for lists of any length may not depend on: how long they are, and what they hold.
type folding struct {
	lists []sqlparse.Fold
	// expected is the list that is being looked at by code that knows of it, counted from 1.
	expected int
	// broken says that other lists may need another plan.
	broken bool
}

// looksAt notes that the plan holds literal i.
func (f *folding) looksAt(i int) {
	if f == nil {
		return
	}
	if l := listOf(f.lists, i); l >= 0 && l+1 != f.expected {
		f.broken = true
	}
}

// compares notes that the plan depends on how many values there are.
func (f *folding) compares(x, y []KeyValue) {
	listed := func(v KeyValue) bool { return v.List > 0 }
	if f != nil && (slices.ContainsFunc(x, listed) || slices.ContainsFunc(y, listed)) {
		f.broken = true
	}
}

// places says that an INSERT's rows are read, until done.
func (f *folding) places(rows []Span) (done func()) {
	if f == nil {
		return func() {}
	}
	for i, l := range f.lists {
		if !l.IsRows {
			continue
		}
		if !slices.EqualFunc(rows, l.Rows, func(x Span, y sqlparse.Span) bool { return x == Span(y) }) {
			f.broken = true
		}
		f.expected = i + 1
	}
	return func() { f.expected = 0 }
}

// foldedValues is the first of an IN list's or array's elements, for all of them; false where they do not stand in a folded
// list.
func (a *analysis) foldedValues(items []sqlparse.Node) (vals []KeyValue, ok bool) {
	f := a.fold
	if f == nil || len(items) != 2 {
		return nil, false
	}
	for i, l := range f.lists {
		if l.IsRows {
			continue
		}
		f.expected = i + 1
		var v [2]KeyValue
		broken := f.broken
		all := true
		for k := range v {
			v[k], ok = a.constant(items[k])
			all = all && ok && v[k].Source == SourceLiteral && v[k].Index == l.Cells[k].Literal
		}
		f.expected = 0
		if all && v[0].TypeOID == v[1].TypeOID {
			v[0].List = i + 1
			return v[:1], true
		}
		f.broken = broken
	}
	return nil, false
}

// listOf is the list that literal i stands in; -1 for none.
func listOf(lists []sqlparse.Fold, i int) int {
	return slices.IndexFunc(lists, func(l sqlparse.Fold) bool {
		first, end := literalsOf(&l)
		return i >= first && i < end
	})
}

// literalsOf are the positions of a list's literals.
func literalsOf(l *sqlparse.Fold) (first, end int) {
	for _, c := range l.Cells {
		if c.Literal >= 0 {
			if end == 0 {
				first = c.Literal
			}
			end = c.Literal + 1
		}
	}
	return first, end
}

// PlanFolded plans a text for all texts with its key, whose lists may be of other lengths: Unfold makes one's plan of it.
// Where that is no plan for all of them, Foldable is false, and the text needs Plan.
func PlanFolded(text []byte, sc *sqlparse.Scanned, env Env) *Template {
	short := sc.Shortest(text)
	var s sqlparse.Scanner
	own := s.Fold(short)
	if bytes.Equal(own.Key, sc.Key) {
		f := &folding{lists: own.Folds}
		if t := plan(string(short), env, planner{fold: f}); !f.broken && t.unfolds(f.lists) {
			t.lists = f.lists
			return t
		}
	}
	return &Template{}
}

// Foldable reports whether the template is one to Unfold.
func (t *Template) Foldable() bool { return len(t.lists) > 0 }

// unfolds reports whether Unfold knows all that the template holds.
func (t *Template) unfolds(lists []sqlparse.Fold) bool {
	switch t.Kind {
	case KindHome, KindAny, KindShards, KindInsert, KindEverywhere:
	default:
		return false
	}
	if !t.Cacheable || t.Unknown {
		return false
	}
	rest := *t
	rest.Kind, rest.Command, rest.Writes, rest.Effect, rest.ReadOnly, rest.Sync, rest.Returns = 0, "", false, 0, false, false, false
	rest.NParams, rest.Literals, rest.Prune, rest.Together, rest.NoScatter, rest.CurrentOf, rest.KeyTo = 0, 0, nil, false, nil, "", nil
	rest.NeedsHome, rest.NeedsSequenceState, rest.Cacheable, rest.Spans, rest.ClockWords = false, false, false, nil, nil
	values := slices.IndexFunc(lists, func(l sqlparse.Fold) bool { return l.IsRows })
	if s := t.Scatter; s != nil {
		if s.Combine != nil && s.Combine.Same == nil {
			return false
		}
		for _, sp := range s.Splices {
			if inRest(lists, sp.Start) || inRest(lists, sp.End) {
				return false
			}
		}
		rest.Scatter = nil
	}
	if t.Direct != nil {
		if inRest(lists, t.Direct.name.Start) {
			return false
		}
		rest.Direct = nil
	}
	if in := t.Insert; in != nil && values >= 0 && len(in.Rows) == 2 {
		rest.Insert = nil
	}
	if t.Clock != nil {
		for _, sp := range t.Clock.Splices {
			behind := values >= 0 && sp.Start == lists[values].Rows[1].End-1 && sp.End == sp.Start
			if !behind && (inRest(lists, sp.Start) || inRest(lists, sp.End)) {
				return false
			}
		}
		rest.Clock = nil
	}
	return reflect.DeepEqual(rest, Template{})
}

// inRest reports whether an offset is one of a list's further elements.
func inRest(lists []sqlparse.Fold, p int) bool {
	return slices.ContainsFunc(lists, func(l sqlparse.Fold) bool { return p > l.Rows[0].End && p < l.Rows[1].End })
}

// unfolding makes the plan of a text out of one for lists of any length.
type unfolding struct {
	t    *Template
	text []byte
	sc   *sqlparse.Scanned // of text
	ok   bool
}

// Unfold is the plan of a text with the key of this one's: what Plan makes of it. nil where that has to.
func (t *Template) Unfold(text []byte, sc *sqlparse.Scanned) *Template {
	u := &unfolding{t, text, sc, true}
	out := *t
	out.lists, out.Literals = nil, len(sc.Lits)
	out.Spans = sqlparse.AppendSpans(make([]Span, 0, len(sc.Lits)), sc.Lits)
	if len(t.Prune) > 0 {
		out.Prune = make([]Pruner, len(t.Prune))
		for i := range t.Prune {
			out.Prune[i] = u.pruner(t.Prune[i])
		}
	}
	if t.KeyTo != nil {
		to := u.pruner(*t.KeyTo)
		out.KeyTo = &to
	}
	if t.Scatter != nil {
		out.Scatter = u.scatter(*t.Scatter)
	}
	if t.Direct != nil {
		direct := *t.Direct
		direct.name.Start, direct.name.End = u.offset(direct.name.Start), u.offset(direct.name.End)
		out.Direct = &direct
	}
	if t.Insert != nil {
		out.Insert = u.insert(*t.Insert)
	}
	if t.ClockWords != nil {
		out.ClockWords = u.words(*t.ClockWords)
	}
	if t.Clock != nil {
		out.Clock = u.clock(*t.Clock)
	}
	if !u.ok {
		return nil
	}
	return &out
}

// index is the position in the text at hand of a literal that is not among a list's further ones.
func (u *unfolding) index(i int) int {
	shift := 0
	for k := range u.t.lists {
		if _, end := literalsOf(&u.t.lists[k]); end > 0 && i >= end {
			_, now := literalsOf(&u.sc.Folds[k])
			shift = now - end
		}
	}
	return i + shift
}

// offset is the place in the text at hand of what is outside of the lists' further elements.
func (u *unfolding) offset(p int) int {
	from, to := 0, 0
	for k := range u.t.lists {
		l, now := &u.t.lists[k], &u.sc.Folds[k]
		if end := l.Rows[1].End; p >= end {
			from, to = end, now.Rows[len(now.Rows)-1].End
		}
	}
	if i := literalBefore(u.t.Spans, p); i >= 0 && u.t.Spans[i].End > from {
		from, to = u.t.Spans[i].End, u.sc.Lits[u.index(i)].End
	}
	return p - from + to
}

func (u *unfolding) value(v KeyValue) KeyValue {
	if v.Source == SourceLiteral {
		v.Index = u.index(v.Index)
	}
	return v
}

// pruner writes the lists among a relation's keys out.
func (u *unfolding) pruner(p Pruner) Pruner {
	total, width := 0, 0
	for _, t := range p.Tuples {
		n := 1
		for _, v := range t {
			if v.List > 0 {
				n *= len(u.sc.Folds[v.List-1].Rows)
			}
			if n > maxAlternatives {
				u.ok = false
				return p
			}
		}
		total, width = total+n, max(width, len(t))
	}
	if u.ok = u.ok && total <= maxAlternatives; !u.ok || len(p.Tuples) == 0 {
		return p
	}
	tuples := make([]KeyTuple, 0, total)
	values := make([]KeyValue, 0, total*width)
	for _, t := range p.Tuples {
		from := len(values)
		values = u.tuples(values, t, 0)
		for ; from < len(values); from += len(t) {
			tuples = append(tuples, values[from:from+len(t):from+len(t)])
		}
	}
	p.Tuples = tuples
	return p
}

// tuples appends what tuple stands for to dst, whose last values, as many as done, are the beginning of the first one.
func (u *unfolding) tuples(dst []KeyValue, tuple KeyTuple, done int) []KeyValue {
	if done == len(tuple) {
		return dst
	}
	v := tuple[done]
	if v.List == 0 {
		return u.tuples(append(dst, u.value(v)), tuple, done+1)
	}
	begin := slices.Clone(dst[len(dst)-done:])
	list := &u.sc.Folds[v.List-1]
	for k := range list.Cells {
		if k > 0 {
			dst = append(dst, begin...)
		}
		v.List, v.Index, v.Negated = 0, list.Cells[k].Literal, list.Cells[k].Negated
		dst = u.tuples(append(dst, v), tuple, done+1)
	}
	return dst
}

func (u *unfolding) scatter(s Scatter) *Scatter {
	s.Splices = slices.Clone(s.Splices)
	for i := range s.Splices {
		s.Splices[i].Start, s.Splices[i].End = u.offset(s.Splices[i].Start), u.offset(s.Splices[i].End)
	}
	for _, c := range []*CountValue{&s.Limit, &s.Offset} {
		if c.Present && c.Source == SourceLiteral {
			c.Index = u.index(c.Index)
		}
	}
	return &s
}

// values is the list of an INSERT's rows: as the template has it, and as the text does.
func (u *unfolding) values() (was, now *sqlparse.Fold) {
	i := slices.IndexFunc(u.t.lists, func(l sqlparse.Fold) bool { return l.IsRows })
	return &u.t.lists[i], &u.sc.Folds[i]
}

func (u *unfolding) insert(in Insert) *Insert {
	in.ColumnsStart, in.ColumnsEnd = u.offset(in.ColumnsStart), u.offset(in.ColumnsEnd)
	in.OverridingAt, in.OverridingEnd = u.offset(in.OverridingAt), u.offset(in.OverridingEnd)
	in.Named = slices.Clone(in.Named)
	for i, n := range in.Named {
		in.Named[i] = Span{u.offset(n.Start), u.offset(n.End)}
	}
	_, list := u.values()
	kinds := in.Rows[1].Cells
	first := in.Rows[0].Cells
	rows := make([]Row, len(list.Rows))
	cells := make([]Cell, len(list.Cells))
	for i := range rows {
		from, to := i*list.Width, (i+1)*list.Width
		rows[i] = Row{list.Rows[i].Start, list.Rows[i].End, cells[from:to:to]}
		for j := range list.Width {
			c := &list.Cells[from+j]
			if i > 0 {
				cells[from+j] = u.cell(kinds[j], c)
				continue
			}
			cells[j] = first[j]
			cells[j].Start, cells[j].End = c.Start, c.End
			if v := first[j].Value; v != nil {
				own := u.value(*v)
				cells[j].Value = &own
			}
		}
	}
	in.Rows = rows
	return &in
}

// cell is what becomes of a constant in a column whose constants, but for NULL, are like one that kind was made of.
func (u *unfolding) cell(kind Cell, c *sqlparse.FoldCell) Cell {
	if c.Form == sqlparse.CellNull && !kind.Default {
		kind = Cell{Key: kind.Key}
		if kind.Key >= 0 {
			kind.Value = &KeyValue{Source: SourceNull}
		}
	} else if kind.Value != nil {
		kind.Value = u.constant(*kind.Value, c)
	}
	kind.Start, kind.End = c.Start, c.End
	return kind
}

// constant is the value of a constant that is not NULL; like is one of its form with its cast.
func (u *unfolding) constant(like KeyValue, c *sqlparse.FoldCell) *KeyValue {
	if c.Form == sqlparse.CellBool {
		like.Const = []byte("f")
		if u.text[c.Start]|0x20 == 't' {
			like.Const = []byte("t")
		}
		return &like
	}
	like.Index, like.Negated = c.Literal, c.Negated
	if c.Form == sqlparse.CellNumber {
		switch u.sc.Lits[c.Literal].Kind {
		case sqlparse.LiteralInt4:
			like.TypeOID = shardmap.Int4OID
		case sqlparse.LiteralInt8:
			like.TypeOID = shardmap.Int8OID
		default:
			like.TypeOID = shardmap.NumericOID
		}
	}
	return &like
}

// words are the strings that may mean the present: of a list's further elements all of a column, or none.
func (u *unfolding) words(w ClockWords) *ClockWords {
	lits := w.Lits
	w.Lits = nil
	for _, l := range lits {
		k := listOf(u.t.lists, l.Index)
		if k < 0 {
			w.Lits = append(w.Lits, WordLiteral{u.index(l.Index), l.Sure})
			continue
		}
		was, now := &u.t.lists[k], &u.sc.Folds[k]
		cell := slices.IndexFunc(was.Cells, func(c sqlparse.FoldCell) bool { return c.Literal == l.Index })
		if cell < was.Width {
			w.Lits = append(w.Lits, WordLiteral{now.Cells[cell].Literal, l.Sure})
			continue
		}
		for i := cell; i < len(now.Cells); i += now.Width {
			if now.Cells[i].Form == sqlparse.CellString {
				w.Lits = append(w.Lits, WordLiteral{now.Cells[i].Literal, l.Sure})
			}
		}
	}
	slices.SortFunc(w.Lits, func(x, y WordLiteral) int { return x.Index - y.Index })
	return &w
}

// clock has what is written behind each row once for each.
func (u *unfolding) clock(c Clock) *Clock {
	splices := c.Splices
	c.Splices = nil
	for _, s := range splices {
		if !inRest(u.t.lists, s.Start) {
			c.Splices = append(c.Splices, ClockSplice{u.offset(s.Start), u.offset(s.End), s.Pieces})
			continue
		}
		_, list := u.values()
		for _, row := range list.Rows[1:] {
			c.Splices = append(c.Splices, ClockSplice{row.End - 1, row.End - 1, s.Pieces})
		}
	}
	return &c
}
