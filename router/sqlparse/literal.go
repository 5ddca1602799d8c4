package sqlparse

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// LiteralValue appends to dst the value that PostgreSQL gives a literal of text, in its type's text format: strings
// without quotes and escapes, integers in decimal, bit strings as zeros and ones. It returns false when PostgreSQL
// would raise an error, when the value depends on the server's version, and for comments.
func LiteralValue(text []byte, lit Literal, dst []byte) ([]byte, bool) {
	w := text[lit.Start:lit.End]
	switch lit.Kind {
	case LiteralString:
		return appendQuoted(dst, w, 1), true
	case LiteralEscape:
		return appendEscaped(dst, w)
	case LiteralDollar:
		n := bytes.IndexByte(w[1:], '$') + 2
		return append(dst, w[n:len(w)-n]...), true
	case LiteralInt4, LiteralInt8, LiteralNumeric:
		return appendNumber(dst, w)
	case LiteralBit:
		return appendBits(dst, w)
	case LiteralHexBit:
		return appendHexBits(dst, w)
	}
	return dst, false
}

// appendQuoted decodes a '…' string, whose first body byte is w[body], with its continuations.
func appendQuoted(dst, w []byte, body int) []byte {
	for p := body; p < len(w); {
		i := bytes.IndexByte(w[p:], '\'')
		dst = append(dst, w[p:p+i]...)
		p += i + 1
		if p < len(w) && w[p] == '\'' {
			dst = append(dst, '\'')
			p++
			continue
		}
		if p = continued(w, p); p < 0 {
			break
		}
	}
	return dst
}

// appendNumber decodes an integer or numeric token.
func appendNumber(dst, w []byte) ([]byte, bool) {
	if v, ok := integerValue(w); ok && isInteger(w) {
		return strconv.AppendUint(dst, v, 10), true
	}
	if len(w) > 1 && w[0] == '0' && numberBase(w[1]) != 0 {
		return dst, false
	}
	for _, c := range w {
		if c != '_' {
			dst = append(dst, c)
		}
	}
	return dst, true
}

func isInteger(w []byte) bool {
	if len(w) > 1 && w[0] == '0' && numberBase(w[1]) != 0 {
		return true
	}
	return bytes.IndexByte(w, '.') < 0 && bytes.IndexByte(w, 'e') < 0 && bytes.IndexByte(w, 'E') < 0
}

func appendBits(dst, w []byte) ([]byte, bool) {
	from := len(dst)
	dst = appendPlain(dst, w)
	for _, c := range dst[from:] {
		if c != '0' && c != '1' {
			return dst[:from], false
		}
	}
	return dst, true
}

func appendHexBits(dst, w []byte) ([]byte, bool) {
	from := len(dst)
	for p := 2; p < len(w); {
		if w[p] == '\'' {
			if p = continued(w, p+1); p < 0 {
				break
			}
			continue
		}
		v := digitValue(w[p])
		if v > 15 {
			return dst[:from], false
		}
		for bit := 3; bit >= 0; bit-- {
			dst = append(dst, '0'+byte(v>>bit&1))
		}
		p++
	}
	return dst, true
}

// appendPlain decodes a string in which quotes are not doubled.
func appendPlain(dst, w []byte) []byte {
	for p := 2; p < len(w); {
		i := bytes.IndexByte(w[p:], '\'')
		dst = append(dst, w[p:p+i]...)
		if p = continued(w, p+i+1); p < 0 {
			break
		}
	}
	return dst
}

// appendEscaped decodes E'…'. \v is left undecided: it means v before PostgreSQL 16 and a vertical tab since.
func appendEscaped(dst, w []byte) ([]byte, bool) {
	from := len(dst)
	for p := 2; p < len(w); {
		switch c := w[p]; c {
		case '\\':
			var ok bool
			if dst, p, ok = appendEscape(dst, w, p+1); !ok {
				return dst[:from], false
			}
		case '\'':
			if p++; p < len(w) && w[p] == '\'' {
				dst = append(dst, '\'')
				p++
			} else if p = continued(w, p); p < 0 {
				p = len(w)
			}
		default:
			dst = append(dst, c)
			p++
		}
	}
	v := dst[from:]
	if !utf8.Valid(v) || bytes.IndexByte(v, 0) >= 0 {
		return dst[:from], false
	}
	return dst, true
}

// appendEscape decodes the escape whose character behind the backslash is w[p]; it returns the offset behind it.
func appendEscape(dst, w []byte, p int) ([]byte, int, bool) {
	switch c := w[p]; c {
	case 'b':
		return append(dst, '\b'), p + 1, true
	case 'f':
		return append(dst, '\f'), p + 1, true
	case 'n':
		return append(dst, '\n'), p + 1, true
	case 'r':
		return append(dst, '\r'), p + 1, true
	case 't':
		return append(dst, '\t'), p + 1, true
	case 'v':
		return dst, p, false
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v, q := radix(w, p, 8, 3)
		return append(dst, byte(v)), q, true
	case 'x':
		v, q := radix(w, p+1, 16, 2)
		if q == p+1 {
			return append(dst, c), q, true
		}
		return append(dst, byte(v)), q, true
	case 'u', 'U':
		return appendUnicodeEscape(dst, w, p)
	default:
		return append(dst, c), p + 1, true
	}
}

// radix reads up to n digits of a base.
func radix(w []byte, p, base, n int) (int, int) {
	v, first := 0, p
	for p < len(w) && p < first+n && digitValue(w[p]) < base {
		v = v*base + digitValue(w[p])
		p++
	}
	return v, p
}

// appendUnicodeEscape decodes \uXXXX, \UXXXXXXXX and pairs of them that are surrogates; w[p] is the letter.
func appendUnicodeEscape(dst, w []byte, p int) ([]byte, int, bool) {
	r, p, ok := unicodeEscape(w, p)
	if !ok {
		return dst, p, false
	}
	if r >= 0xD800 && r < 0xDC00 {
		if p+1 >= len(w) || w[p] != '\\' || w[p+1] != 'u' && w[p+1] != 'U' {
			return dst, p, false
		}
		low, q, ok := unicodeEscape(w, p+1)
		if !ok || low < 0xDC00 || low > 0xDFFF {
			return dst, p, false
		}
		r, p = (r-0xD800)<<10+(low-0xDC00)+0x10000, q
	}
	if r == 0 || r > utf8.MaxRune || r >= 0xDC00 && r <= 0xDFFF {
		return dst, p, false
	}
	return utf8.AppendRune(dst, rune(r)), p, true
}

func unicodeEscape(w []byte, p int) (v, end int, ok bool) {
	n := 4
	if w[p] == 'U' {
		n = 8
	}
	v, end = radix(w, p+1, 16, n)
	return v, end, end == p+1+n
}
