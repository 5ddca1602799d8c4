package sqlparse

import "math"

// wordIs compares a token with a lower-case ASCII keyword the way PostgreSQL does: ASCII letters fold, other bytes do
// not.
func wordIs(w []byte, keyword string) bool {
	if len(w) != len(keyword) {
		return false
	}
	for i, c := range w {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != keyword[i] {
			return false
		}
	}
	return true
}

// plannedWord reports whether a statement that starts with w has plans worth caching.
func plannedWord(w []byte) bool {
	switch len(w) {
	case 4:
		return wordIs(w, "with")
	case 5:
		return wordIs(w, "merge") || wordIs(w, "table")
	case 6:
		return wordIs(w, "select") || wordIs(w, "insert") || wordIs(w, "update") || wordIs(w, "delete") ||
			wordIs(w, "values")
	}
	return false
}

// endsClause reports whether w, a reserved word, ends ORDER BY or GROUP BY at its own nesting depth.
func endsClause(w []byte) bool {
	switch len(w) {
	case 2:
		return wordIs(w, "on")
	case 3:
		return wordIs(w, "for")
	case 5:
		return wordIs(w, "limit") || wordIs(w, "fetch") || wordIs(w, "union")
	case 6:
		return wordIs(w, "offset") || wordIs(w, "having") || wordIs(w, "except")
	case 9:
		return wordIs(w, "intersect") || wordIs(w, "returning")
	}
	return false
}

// paramNumber reads the digits of $n; math.MaxInt32 when they are too many.
func paramNumber(digits []byte) int {
	n := 0
	for _, c := range digits {
		n = n*10 + int(c-'0')
		if n > math.MaxInt32 {
			return math.MaxInt32
		}
	}
	return n
}

// integerKind gives the type of an integer token. 2147483648 and 9223372036854775808 take a smaller type behind a
// minus sign, so they have no kind of their own.
func integerKind(w []byte) LiteralKind {
	v, ok := integerValue(w)
	switch {
	case !ok:
		return LiteralNumeric
	case v <= math.MaxInt32:
		return LiteralInt4
	case v == math.MaxInt32+1 || v == math.MaxInt64+1:
		return 0
	case v <= math.MaxInt64:
		return LiteralInt8
	}
	return LiteralNumeric
}

// integerValue reads an integer token; false when it does not fit.
func integerValue(w []byte) (uint64, bool) {
	base := uint64(10)
	if len(w) > 2 && w[0] == '0' {
		if b := numberBase(w[1]); b != 0 {
			base, w = uint64(b), w[2:]
		}
	}
	var v uint64
	for _, c := range w {
		if c == '_' {
			continue
		}
		d := uint64(digitValue(c))
		if v > (math.MaxUint64-d)/base {
			return 0, false
		}
		v = v*base + d
	}
	return v, true
}

// Span is a byte range, of the same shape as the router's.
type Span struct{ Start, End int }

// AppendSpans appends the byte ranges of lits to dst, in any type of that shape.
func AppendSpans[S ~struct{ Start, End int }](dst []S, lits []Literal) []S {
	for _, l := range lits {
		dst = append(dst, S{Start: l.Start, End: l.End})
	}
	return dst
}
