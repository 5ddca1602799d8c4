package router

import (
	"iter"
	"strings"
)

// bodyWords gives the identifiers and keywords of a function's source, folded to lower case unless quoted, and ";".
// Comments and string constants are left out: what a constant names matters only to dynamic SQL, which counts as
// naming everything. Dollar-quoted text is read as if it were code, for it often is.
func bodyWords(src string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < len(src); {
			c := src[i]
			switch {
			case strings.HasPrefix(src[i:], "--"):
				i = endOr(src, i, "\n")
			case strings.HasPrefix(src[i:], "/*"):
				i = endOfComment(src, i)
			case c == '\'':
				escapes := i > 0 && (src[i-1]|0x20 == 'e') && (i == 1 || !isWordByte(src[i-2]))
				i = endOfString(src, i+1, '\'', escapes)
			case c == '"':
				end := endOfString(src, i+1, '"', false)
				w := strings.ReplaceAll(strings.TrimSuffix(src[i+1:end], `"`), `""`, `"`)
				if !yield(w) {
					return
				}
				i = end
			case isWordByte(c) && (c < '0' || c > '9'):
				j := i + 1
				for j < len(src) && (isWordByte(src[j]) || src[j] == '$') {
					j++
				}
				if !yield(strings.ToLower(src[i:j])) {
					return
				}
				i = j
			case c == ';':
				if !yield(";") {
					return
				}
				i++
			case c >= '0' && c <= '9':
				for i < len(src) && isWordByte(src[i]) {
					i++
				}
			default:
				i++
			}
		}
	}
}

func isWordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

func endOr(src string, from int, mark string) int {
	if n := strings.Index(src[from:], mark); n >= 0 {
		return from + n + len(mark)
	}
	return len(src)
}

func endOfComment(src string, i int) int {
	depth := 0
	for i < len(src) {
		switch {
		case strings.HasPrefix(src[i:], "/*"):
			depth++
			i += 2
		case strings.HasPrefix(src[i:], "*/"):
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return i
}

// endOfString returns the offset behind the closing quote of a string whose text starts at i.
func endOfString(src string, i int, quote byte, escapes bool) int {
	for i < len(src) {
		switch {
		case escapes && src[i] == '\\':
			i += 2
		case src[i] == quote && i+1 < len(src) && src[i+1] == quote:
			i += 2
		case src[i] == quote:
			return i + 1
		default:
			i++
		}
	}
	return len(src)
}
