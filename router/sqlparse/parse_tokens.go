package sqlparse

import "strings"

// Token is one token of a statement that the parser accepted, for finding the byte ranges that the parse tree does
// not tell. Comments are left out.
type Token struct {
	Start, End int
	Word       string // keywords and unquoted identifiers, lower case; "" for every other token
	Punct      byte   // one of ()[],;. or 0
	Depth      int    // open parentheses and brackets before it; a closing one has its opening one's depth
}

// Tokens lists the tokens of text.
func Tokens(text string) []Token {
	l := lexer{text: []byte(text)}
	var out []Token
	depth := 0
	for t := l.next(); t.kind != tokEOF; t = l.next() {
		if t.kind == tokComment {
			continue
		}
		tok := Token{Start: t.start, End: t.end, Depth: depth}
		switch t.kind {
		case tokIdent:
			tok.Word = strings.ToLower(text[t.start:t.end])
		case tokSelf:
			switch c := text[t.start]; c {
			case '(', '[':
				tok.Punct = c
				depth++
			case ')', ']':
				tok.Punct = c
				depth--
				tok.Depth = depth
			case ',', ';', '.':
				tok.Punct = c
			}
		}
		out = append(out, tok)
	}
	return out
}
