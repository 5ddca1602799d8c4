package sqlparse

import "slices"

// LiteralAt finds the lifted literal that the parser's constant at location stands for: the literal itself, or the one
// behind minus signs, which the grammar folds into the constant and whose place it then gives. It returns the position in lits
// and whether the value is negated; false when the constant stays in the key or location is none of a constant.
func LiteralAt(text []byte, lits []Literal, location int) (index int, negated, ok bool) {
	if location < 0 || location >= len(text) {
		return 0, false, false
	}
	l := lexer{text: text, pos: location}
	for {
		t := l.next()
		switch {
		case t.kind == tokComment:
			continue
		case t.kind == tokSelf && text[t.start] == '-':
			negated = !negated
			continue
		case t.kind == tokSelf && text[t.start] == '(' && t.start > location:
			continue
		}
		index, ok = slices.BinarySearchFunc(lits, t.start, func(l Literal, at int) int { return l.Start - at })
		return index, negated, ok && t.kind != tokEOF
	}
}
