package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Dates and times read words such as 'now' and 'today' as the present: a string that PostgreSQL may read as one of them
// is a call of now() too.

// ClockWords are the literals and parameters that may be read so.
type ClockWords struct {
	Lits []WordLiteral
	// Params are the positions of parameters, from 0.
	Params []int
}

// WordLiteral is one literal. Sure is true where it is certainly read as a date or time, and so can be written out.
type WordLiteral struct {
	Index int
	Sure  bool
}

// timePlace is what the place of a string constant or parameter says of its type.
type timePlace uint8

const (
	timeNever timePlace = iota // no date or time, nor anything that could hold one
	timeMaybe
	timeSure
)

// timeTypes are the dates and times themselves.
var timeTypes = map[uint32]bool{shardmap.DateOID: true, shardmap.TimestampOID: true, shardmap.TimestamptzOID: true, 1083: true, 1266: true}

func timePlaceOf(oid uint32) timePlace {
	switch {
	case timeTypes[oid]:
		return timeSure
	case steadyInput[oid]:
		return timeNever
	}
	return timeMaybe
}

// textOperators never take a date or time for a string.
var textOperators = map[string]bool{
	"~~": true, "!~~": true, "~~*": true, "!~~*": true, "~": true, "!~": true, "~*": true, "!~*": true, "||": true,
	"->": true, "->>": true, "#>": true, "#>>": true, "?": true, "?|": true, "?&": true, "@@": true, "@?": true, "^@": true,
}

// seeTime notes a string constant or a parameter whose place says nothing.
func (a *analysis) seeTime(n sqlparse.Node) {
	if _, placed := a.times[n]; !placed {
		a.placeTime(n, timeMaybe)
	}
}

// placeTime notes what n's place says of it, where n is a string constant or a parameter.
func (a *analysis) placeTime(n sqlparse.Node, p timePlace) {
	if a.foreign > 0 || n.GetParamRef() == nil && n.GetAConst().GetSval() == nil {
		return
	}
	if a.times == nil {
		a.times = map[sqlparse.Node]timePlace{}
	}
	a.times[n] = p
}

// placeTimeCast is "'…'::type".
func (a *analysis) placeTimeCast(tc *sqlparse.TypeCast) {
	p := timeMaybe
	if t := builtinType(tc.TypeName); t != 0 {
		p = timePlaceOf(t)
	} else if steadyCast(tc.TypeName) {
		p = timeNever
	}
	a.placeTime(tc.Arg, p)
}

// placeTimeOperator is an operator with a string on one side.
func (a *analysis) placeTimeOperator(e *sqlparse.AExpr, sc *scope) {
	name := sqlparse.Strings(e.Name)
	if len(name) != 1 {
		return
	}
	place := func(l, r sqlparse.Node) {
		switch t := a.baseType(a.column(l, sc), 0); {
		case textOperators[name[0]]:
			a.placeTime(r, timeNever)
		case (comparisons[name[0]] || strings.Contains(name[0], "BETWEEN")) && t != 0:
			a.placeTime(r, timePlaceOf(t))
		}
	}
	if list := e.Rexpr.GetList(); list != nil {
		for _, it := range list.Items {
			place(e.Lexpr, it)
		}
		return
	}
	if e.Kind == sqlparse.ExprOp || textOperators[name[0]] {
		for _, p := range rowPairs(e.Lexpr, e.Rexpr) {
			place(p[0], p[1])
			place(p[1], p[0])
		}
	}
}

// placeColumn is a string that a column gets.
func (a *analysis) placeColumn(n sqlparse.Node, c *Column) { a.placeTime(n, timePlaceOf(c.TypeOID)) }

// clockWords notes which strings may be read as the present. A string that the plan's key holds is looked at now; hidden
// is true if it may be one.
func (p *planner) clockWords() (hidden bool) {
	w := &ClockWords{}
	for n, place := range p.a.times {
		if place == timeNever {
			continue
		}
		if r := n.GetParamRef(); r != nil {
			if i := int(r.Number) - 1; i >= 0 && !slices.Contains(w.Params, i) {
				w.Params = append(w.Params, i)
			}
			continue
		}
		c := n.GetAConst()
		if i, _, ok := sqlparse.LiteralAt([]byte(p.text), p.lits, int(c.Location)); ok {
			w.Lits = append(w.Lits, WordLiteral{i, place == timeSure})
		} else {
			hidden = hidden || presentWord([]byte(c.GetSval().Sval))
		}
	}
	if len(w.Lits) > 0 || len(w.Params) > 0 {
		slices.SortFunc(w.Lits, func(x, y WordLiteral) int { return x.Index - y.Index })
		slices.Sort(w.Params)
		p.t.ClockWords = w
	}
	return hidden
}

// ReadsPresent reports whether the values hold a word that is read as the present, or may be.
func (t *Template) ReadsPresent(v *Values) bool {
	if t.ClockWords == nil {
		return false
	}
	for _, l := range t.ClockWords.Lits {
		if v.present(l.Index) {
			return true
		}
	}
	for _, i := range t.ClockWords.Params {
		if i < len(v.Params) && v.presentParam(&v.Params[i]) {
			return true
		}
	}
	return false
}

// WordsFixable reports whether every such word can be written out: it stands alone, as a literal that is certainly a
// date or time.
func (t *Template) WordsFixable(v *Values) bool {
	if t.ClockWords == nil {
		return true
	}
	for _, l := range t.ClockWords.Lits {
		if v.present(l.Index) && (!l.Sure || v.word(l.Index) == "") {
			return false
		}
	}
	for _, i := range t.ClockWords.Params {
		if i < len(v.Params) && v.presentParam(&v.Params[i]) {
			return false
		}
	}
	return true
}

func (v *Values) presentParam(p *shardmap.Value) bool {
	return p.Format == shardmap.Text && !p.Null && !steadyInput[p.TypeOID] && presentWord(p.Data)
}

// present reports whether literal i holds such a word.
func (v *Values) present(i int) bool {
	if i >= len(v.Lits) {
		return true
	}
	l := v.Lits[i]
	switch l.Kind {
	case sqlparse.LiteralString, sqlparse.LiteralEscape, sqlparse.LiteralDollar:
		b, ok := sqlparse.LiteralValue(v.Text, l, v.scratch[:0])
		return !ok || presentWord(b)
	}
	return false
}

// word is the word that literal i is, in lower case; "" if it is not one alone.
func (v *Values) word(i int) string {
	if i >= len(v.Lits) {
		return ""
	}
	b, _ := sqlparse.LiteralValue(v.Text, v.Lits[i], nil)
	switch w := strings.ToLower(strings.TrimSpace(string(b))); w {
	case "now", "today", "tomorrow", "yesterday":
		return w
	}
	return ""
}

// of is what a word means, in a form that all dates and times read alike: the session's own time with its offset, which
// those without a time zone leave out.
func (at *Instant) of(word string) string {
	switch word {
	case "now":
		return at.Local
	case "today":
		return at.Today
	case "tomorrow":
		return at.Tomorrow
	}
	return at.Yesterday
}

// maxTimeText bounds the texts that may be a date or time (MAXDATELEN of datetime.h is 128); arrays and ranges of them
// may be longer, so it is generous.
const maxTimeText = 4096

func presentWord(b []byte) bool {
	return len(b) >= 3 && len(b) <= maxTimeText && slices.ContainsFunc(b, isLetter) && holdsPresent(b)
}

func holdsPresent(b []byte) bool {
	for word := range strings.FieldsFuncSeq(strings.ToLower(string(b)), func(r rune) bool { return r < 'a' || r > 'z' }) {
		switch word {
		case "now", "today", "tomorrow", "yesterday":
			return true
		}
	}
	return false
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// RefuseClockWords is the answer to such words where they cannot be written out.
func RefuseClockWords() *pgerr.Error { return refClockWords }
