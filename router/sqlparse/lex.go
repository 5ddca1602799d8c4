package sqlparse

import "bytes"

// tokenKind tells apart what scan.l tells apart; keywords are identifiers here.
type tokenKind uint8

const (
	tokEOF          tokenKind = iota
	tokComment                // a line comment without its newline, or a block comment
	tokIdent                  // identifier or keyword
	tokQuoted                 // "…"
	tokUQuoted                // U&"…"
	tokString                 // '…'
	tokEString                // E'…'
	tokUString                // U&'…'
	tokBit                    // B'…'
	tokHex                    // X'…'
	tokNational               // the N of N'…'; the string is the next token
	tokDollar                 // $tag$…$tag$
	tokInteger                // decimal, 0x, 0o or 0b
	tokNumeric                // with a point or an exponent
	tokParam                  // $n
	tokOperator               // an operator of scan.l, :: := .. => included
	tokSelf                   // one of ,()[].;: and the one-character operators
	tokOther                  // a byte no token starts with, or a number with junk behind it: the parser will reject it
	tokUnterminated           // a comment or quote that the text's end cuts off
)

type token struct {
	kind       tokenKind
	start, end int
}

// lexer yields the tokens of PostgreSQL's scan.l (the rules of 15 to 17, standard_conforming_strings on).
// White space is skipped; comments are tokens. It borrows text.
type lexer struct {
	text []byte
	pos  int
	// signsEnd is the end of a run of + and - that was cut off an operator: each of them is a token, and the run is not
	// looked at again, or -+-+… would take quadratic time.
	signsEnd int
}

// Character classes of scan.l's definitions section.
const (
	classSpace uint8 = 1 << iota
	classIdentStart
	classIdentCont
	classDigit
	classOp
	classSelf
)

var classOf = func() (t [256]uint8) {
	for c := range t {
		b := byte(c)
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' || b >= 0x80
		digit := b >= '0' && b <= '9'
		if letter {
			t[c] |= classIdentStart
		}
		if letter || digit || b == '$' {
			t[c] |= classIdentCont
		}
		if digit {
			t[c] |= classDigit
		}
		if b != 0 && bytes.IndexByte([]byte("~!@#^&|`?+-*/%<>="), b) >= 0 {
			t[c] |= classOp
		}
		if b != 0 && bytes.IndexByte([]byte(",()[].;:+-*/%^<>="), b) >= 0 {
			t[c] |= classSelf
		}
		if b != 0 && bytes.IndexByte([]byte(" \t\n\r\f\v"), b) >= 0 {
			t[c] |= classSpace
		}
	}
	return t
}()

// next returns the next token; tokEOF at the end, again and again.
func (l *lexer) next() token {
	text, p := l.text, l.pos
	for p < len(text) && classOf[text[p]]&classSpace != 0 {
		p++
	}
	if p >= len(text) {
		l.pos = p
		return token{tokEOF, p, p}
	}
	c := text[p]
	class := classOf[c]
	if class&classIdentStart != 0 {
		if p+1 < len(text) && (text[p+1] == '\'' || text[p+1] == '&') {
			if t, ok := l.prefixed(p); ok {
				return t
			}
		}
		e := p + 1
		for e < len(text) && classOf[text[e]]&classIdentCont != 0 {
			e++
		}
		return l.took(tokIdent, p, e)
	}
	if class&classDigit != 0 {
		return l.number(p)
	}
	switch c {
	case '\'':
		return l.quoted(tokString, p, p+1)
	case '"':
		return l.doubleQuoted(tokQuoted, p, p+1)
	case '$':
		return l.dollar(p)
	case '.':
		if p+1 < len(text) && classOf[text[p+1]]&classDigit != 0 {
			return l.number(p)
		}
		if p+1 < len(text) && text[p+1] == '.' {
			return l.took(tokOperator, p, p+2)
		}
	case ':':
		if p+1 < len(text) && (text[p+1] == ':' || text[p+1] == '=') {
			return l.took(tokOperator, p, p+2)
		}
	}
	if class&classOp != 0 {
		return l.operator(p)
	}
	if class&classSelf != 0 {
		return l.took(tokSelf, p, p+1)
	}
	return l.took(tokOther, p, p+1)
}

func (l *lexer) took(k tokenKind, start, end int) token {
	l.pos = end
	return token{k, start, end}
}

// prefixed scans the literals that start with a letter; false when p starts a plain identifier.
func (l *lexer) prefixed(p int) (token, bool) {
	text := l.text
	if text[p+1] == '\'' {
		switch text[p] {
		case 'e', 'E':
			return l.escaped(p, p+2), true
		case 'b', 'B':
			return l.quoted(tokBit, p, p+2), true
		case 'x', 'X':
			return l.quoted(tokHex, p, p+2), true
		case 'n', 'N':
			return l.took(tokNational, p, p+1), true
		}
		return token{}, false
	}
	if (text[p] == 'u' || text[p] == 'U') && p+2 < len(text) {
		switch text[p+2] {
		case '\'':
			return l.quoted(tokUString, p, p+3), true
		case '"':
			return l.doubleQuoted(tokUQuoted, p, p+3), true
		}
	}
	return token{}, false
}

// quoted scans a quoted string without escapes; body is behind its opening quote.
func (l *lexer) quoted(k tokenKind, start, body int) token {
	text := l.text
	for p := body; ; {
		i := bytes.IndexByte(text[p:], '\'')
		if i < 0 {
			return l.took(tokUnterminated, start, len(text))
		}
		p += i + 1
		if k != tokBit && k != tokHex && p < len(text) && text[p] == '\'' {
			p++
			continue
		}
		next := continued(text, p)
		if next < 0 {
			return l.took(k, start, p)
		}
		p = next
	}
}

// escaped scans E'…'; body is behind its opening quote.
func (l *lexer) escaped(start, body int) token {
	text := l.text
	for p := body; p < len(text); {
		switch text[p] {
		case '\\':
			p += 2
		case '\'':
			p++
			if p < len(text) && text[p] == '\'' {
				p++
				continue
			}
			next := continued(text, p)
			if next < 0 {
				return l.took(tokEString, start, p)
			}
			p = next
		default:
			p++
		}
	}
	return l.took(tokUnterminated, start, len(text))
}

// continued returns the offset behind the quote that continues a string which ended at p, or -1: white space
// with at least one newline, in which line comments count as space, then a quote (scan.l: quotecontinue).
func continued(text []byte, p int) int {
	newline := false
	for p < len(text) {
		switch c := text[p]; {
		case c == '\n' || c == '\r':
			newline = true
			p++
		case classOf[c]&classSpace != 0:
			p++
		case c == '\'' && newline:
			return p + 1
		case c == '-' && p+1 < len(text) && text[p+1] == '-':
			p = lineEnd(text, p)
			if p >= len(text) {
				return -1
			}
		default:
			return -1
		}
	}
	return -1
}

// lineEnd returns the offset of the first newline character at or behind p, or the text's length.
func lineEnd(text []byte, p int) int {
	for p < len(text) && text[p] != '\n' && text[p] != '\r' {
		p++
	}
	return p
}

func (l *lexer) doubleQuoted(k tokenKind, start, body int) token {
	text := l.text
	for p := body; ; {
		i := bytes.IndexByte(text[p:], '"')
		if i < 0 {
			return l.took(tokUnterminated, start, len(text))
		}
		p += i + 1
		if p >= len(text) || text[p] != '"' {
			return l.took(k, start, p)
		}
		p++
	}
}

// dollar scans a parameter, a dollar-quoted string or a lone dollar sign.
func (l *lexer) dollar(start int) token {
	text := l.text
	p := start + 1
	if p < len(text) && classOf[text[p]]&classDigit != 0 {
		for p < len(text) && classOf[text[p]]&classDigit != 0 {
			p++
		}
		if p < len(text) && classOf[text[p]]&classIdentStart != 0 {
			return l.junk(start, p)
		}
		return l.took(tokParam, start, p)
	}
	for p < len(text) && text[p] != '$' && classOf[text[p]]&classIdentCont != 0 {
		p++
	}
	if p >= len(text) || text[p] != '$' {
		return l.took(tokOther, start, start+1)
	}
	p++
	delim := text[start:p]
	i := bytes.Index(text[p:], delim)
	if i < 0 {
		return l.took(tokUnterminated, start, len(text))
	}
	return l.took(tokDollar, start, p+i+len(delim))
}

// junk takes the identifier that wrongly follows a number or parameter as part of it, as scan.l does before it
// raises "trailing junk".
func (l *lexer) junk(start, p int) token {
	for p < len(l.text) && classOf[l.text[p]]&classIdentCont != 0 {
		p++
	}
	return l.took(tokOther, start, p)
}

// operator scans a comment or an operator: the longest run of operator characters, cut before a comment start,
// and without trailing + or - unless it has a character that SQL's own operators lack.
func (l *lexer) operator(start int) token {
	text := l.text
	if start < l.signsEnd {
		return l.took(tokSelf, start, start+1)
	}
	if start+1 < len(text) {
		switch {
		case text[start] == '-' && text[start+1] == '-':
			return l.took(tokComment, start, lineEnd(text, start))
		case text[start] == '/' && text[start+1] == '*':
			return l.blockComment(start)
		}
	}
	e := start + 1
	special := isSpecialOp(text[start])
	for e < len(text) && classOf[text[e]]&classOp != 0 {
		if e+1 < len(text) && (text[e] == '/' && text[e+1] == '*' || text[e] == '-' && text[e+1] == '-') {
			break
		}
		special = special || isSpecialOp(text[e])
		e++
	}
	if !special {
		l.signsEnd = e
		for e > start+1 && (text[e-1] == '+' || text[e-1] == '-') {
			e--
		}
	}
	if e == start+1 && classOf[text[start]]&classSelf != 0 {
		return l.took(tokSelf, start, e)
	}
	return l.took(tokOperator, start, e)
}

// isSpecialOp reports whether c lets an operator end in + or -.
func isSpecialOp(c byte) bool {
	switch c {
	case '~', '!', '@', '#', '^', '&', '|', '`', '?', '%':
		return true
	}
	return false
}

func (l *lexer) blockComment(start int) token {
	text := l.text
	depth := 1
	for p := start + 2; p+1 < len(text); {
		switch {
		case text[p] == '*' && text[p+1] == '/':
			p += 2
			depth--
			if depth == 0 {
				return l.took(tokComment, start, p)
			}
		case text[p] == '/' && text[p+1] == '*':
			p += 2
			depth++
		default:
			p++
		}
	}
	return l.took(tokUnterminated, start, len(text))
}
