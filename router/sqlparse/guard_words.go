package sqlparse

import (
	"bytes"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// wordEffect is what a keyword does to the count of the parser's recursion.
type wordEffect uint8

const (
	wordNone    wordEffect = iota
	wordLink               // an operator
	wordBetween            // an operator with an AND of its own
	wordAnd
	wordSet // JOIN, UNION, WITH …: trees of their own beside the expressions
	wordSelect
	wordReset // what follows is beside, not inside, the expression before it
	wordCase
	wordEnd
)

var wordEffects = map[string]wordEffect{
	"not": wordLink, "is": wordLink, "isnull": wordLink, "notnull": wordLink, "collate": wordLink, "at": wordLink,
	"in": wordLink, "like": wordLink, "ilike": wordLink, "similar": wordLink, "escape": wordLink,
	"operator": wordLink, "overlaps": wordLink, "explain": wordLink,
	"between": wordBetween, "and": wordAnd,
	"join": wordSet, "with": wordSet, "insert": wordSet, "update": wordSet, "delete": wordSet, "union": wordSet, "intersect": wordSet, "except": wordSet,
	"or": wordReset, "when": wordReset, "then": wordReset, "else": wordReset, "where": wordReset,
	"having": wordReset, "select": wordSelect, "on": wordReset, "set": wordReset, "values": wordReset,
	"case": wordCase, "end": wordEnd,
}

const longestWord = len("intersect")

func wordUnits(w []byte) wordEffect {
	if len(w) > longestWord {
		return wordNone
	}
	var lower [longestWord]byte
	for i, c := range w {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return wordEffects[string(lower[:len(w)])]
}

// checkRescans refuses texts on which scan.l takes quadratic time, and deeply nested comments.
func checkRescans(text []byte) error {
	runEnd, work := 0, 0
	rescan := func(p int) bool {
		if p >= runEnd {
			for runEnd = p; runEnd < len(text) && classOf[text[runEnd]]&classOp != 0; {
				runEnd++
			}
		}
		work += runEnd - p
		return work <= maxRescan
	}
	l := lexer{text: text}
	for t := l.next(); t.kind != tokEOF; t = l.next() {
		ok := true
		switch t.kind {
		case tokOperator, tokSelf:
			ok = rescan(t.start)
		case tokComment, tokUnterminated:
			if !bytes.HasPrefix(text[t.start:], []byte("/*")) {
				continue
			}
			depth := 0
			for p := t.start; p+1 < t.end && ok && depth <= maxCommentDepth; p++ {
				switch {
				case text[p] == '/' && text[p+1] == '*':
					ok = rescan(p)
					depth++
					p++
				case text[p] == '*' && text[p+1] == '/':
					depth--
					p++
				}
			}
			if depth > maxCommentDepth {
				return pgerr.New(pgerr.StatementTooComplex, "comments are nested too deeply").
					WithHint("The limit is %d levels.", maxCommentDepth)
			}
		}
		if !ok {
			return pgerr.New(pgerr.StatementTooComplex, "statement is too complex").
				WithDetail("It has too long runs of operator characters.")
		}
	}
	return nil
}
