package sqlparse

// number scans a number that starts at start with a digit, or with a point and a digit.
func (l *lexer) number(start int) token {
	text := l.text
	p := start
	if text[p] == '0' && p+1 < len(text) {
		if base := numberBase(text[p+1]); base != 0 {
			return l.based(start, base)
		}
	}
	kind := tokInteger
	if text[p] != '.' {
		p = digits(text, p)
	}
	if p < len(text) && text[p] == '.' && (p+1 >= len(text) || text[p+1] != '.' || p == start) {
		kind = tokNumeric
		p = digits(text, p+1)
	}
	if p < len(text) && (text[p] == 'e' || text[p] == 'E') {
		q := p + 1
		if q < len(text) && (text[q] == '+' || text[q] == '-') {
			q++
		}
		if q < len(text) && classOf[text[q]]&classDigit != 0 {
			kind = tokNumeric
			p = digits(text, q)
		} else if q > p+1 {
			return l.took(tokOther, start, q)
		}
	}
	if p < len(text) && classOf[text[p]]&classIdentStart != 0 {
		return l.junk(start, p)
	}
	return l.took(kind, start, p)
}

// digits skips decimal digits with single underscores between them.
func digits(text []byte, p int) int {
	first := p
	for p < len(text) {
		if classOf[text[p]]&classDigit != 0 {
			p++
			continue
		}
		if text[p] != '_' || p == first || p+1 >= len(text) || classOf[text[p+1]]&classDigit == 0 {
			return p
		}
		p++
	}
	return p
}

func numberBase(c byte) int {
	switch c {
	case 'x', 'X':
		return 16
	case 'o', 'O':
		return 8
	case 'b', 'B':
		return 2
	}
	return 0
}

// based scans 0x, 0o and 0b integers.
func (l *lexer) based(start, base int) token {
	text := l.text
	p := start + 2
	for p < len(text) {
		q := p
		if text[q] == '_' {
			q++
		}
		if q >= len(text) || digitValue(text[q]) >= base {
			break
		}
		p = q + 1
	}
	if p == start+2 || p < len(text) && classOf[text[p]]&classIdentCont != 0 {
		return l.junk(start, p)
	}
	return l.took(tokInteger, start, p)
}

// digitValue is the value of a hexadecimal digit, or 255.
func digitValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return 255
}
