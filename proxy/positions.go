package proxy

import (
	"strings"
	"unicode/utf8"
)

// mapPosition translates the position of an error in a rewritten statement, in characters from 1, into the client's own
// text. What stands before and behind all changes keeps its place; for the rest, the text that follows the position is
// looked for in the client's, as much of it as is there.
func mapPosition(own, rewritten string, position int) int {
	at := byteOffset(rewritten, position)
	prefix := commonPrefix(own, rewritten)
	if at <= prefix {
		return position
	}
	if fromEnd := len(rewritten) - at; fromEnd <= commonSuffix(own, rewritten) {
		return characters(own, len(own)-fromEnd)
	}
	rest := rewritten[at:]
	for n := min(len(rest), 64); n > 0; n-- {
		if n < len(rest) && !utf8.RuneStart(rest[n]) {
			continue
		}
		if i := strings.LastIndex(own, rest[:n]); i >= 0 {
			return characters(own, i)
		}
	}
	return position
}

// byteOffset is where character number position, counted from 1, starts.
func byteOffset(s string, position int) int {
	n := 0
	for i := range s {
		if n++; n == position {
			return i
		}
	}
	return len(s)
}

// characters is the position, from 1, of the character at byte i.
func characters(s string, i int) int { return utf8.RuneCountInString(s[:i]) + 1 }

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func commonSuffix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}
