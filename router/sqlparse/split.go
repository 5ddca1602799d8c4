package sqlparse

import "bytes"

// Split appends to dst the statements of a simple-query message, as byte ranges without the semicolons and without
// surrounding white space; comments stay. Empty statements are left out. Text is cut at the semicolons at which PostgreSQL's
// grammar ends a statement: not in parentheses (CREATE RULE … DO (a; b)) and not in BEGIN ATOMIC … END.
//
// A semicolon in unbalanced parentheses does not end a statement here either: PostgreSQL rejects the
// whole message then, and so will the parser.
func Split(dst []Span, text []byte) []Span {
	if end, ok := onlyStatement(text); ok {
		if sp := trim(text, 0, end); !blank(text[sp.Start:sp.End]) {
			dst = append(dst, sp)
		}
		return dst
	}
	l := lexer{text: text}
	for l.pos < len(text) {
		if sp := splitOne(&l); sp.End > sp.Start {
			dst = append(dst, sp)
		}
	}
	return dst
}

// onlyStatement tells without scanning that text has no semicolon, or none but a last one, and where the statement ends.
func onlyStatement(text []byte) (int, bool) {
	i := bytes.IndexByte(text, ';')
	if i < 0 {
		return len(text), true
	}
	return i, trim(text, i, len(text)).End == i+1
}

// blank reports whether text is nothing but white space and comments.
func blank(text []byte) bool {
	l := lexer{text: text}
	t := l.next()
	for t.kind == tokComment {
		t = l.next()
	}
	return t.kind == tokEOF
}

// splitOne scans behind the end of one statement and returns its range, an empty one when there is nothing in it.
func splitOne(l *lexer) Span {
	text := l.text
	begin := l.pos
	var b bodyState
	depth, tokens := 0, 0
	for {
		t := l.next()
		switch t.kind {
		case tokComment:
			continue
		case tokEOF:
			if tokens == 0 {
				return Span{}
			}
			return trim(text, begin, len(text))
		case tokSelf:
			switch text[t.start] {
			case '(', '[':
				depth++
			case ')', ']':
				depth = max(depth-1, 0)
			case ';':
				if depth > 0 || b.depth > 0 {
					break
				}
				if tokens == 0 {
					return Span{}
				}
				return trim(text, begin, t.start)
			}
		}
		tokens++
		if depth == 0 {
			b.see(text, t, tokens)
		}
	}
}

// trim cuts white space off both ends.
func trim(text []byte, start, end int) Span {
	for start < end && classOf[text[start]]&classSpace != 0 {
		start++
	}
	for end > start && classOf[text[end-1]]&classSpace != 0 {
		end--
	}
	return Span{start, end}
}

// bodyState finds the SQL-standard body of CREATE FUNCTION and CREATE PROCEDURE, BEGIN ATOMIC … END, whose statements
// end in semicolons of their own.
type bodyState struct {
	create  bool // the statement starts with CREATE
	routine bool // … [OR REPLACE] FUNCTION or PROCEDURE
	begin   bool // the token before was BEGIN
	label   bool // the token before was AS or a point: a keyword is a name now
	depth   int  // open BEGIN ATOMIC and CASE outside of parentheses
}

// see follows the n-th token of the statement, from 1, which stands outside of parentheses.
func (b *bodyState) see(text []byte, t token, n int) {
	if n > 1 && !b.create {
		return
	}
	w := text[t.start:t.end]
	begin, label := b.begin, b.label
	b.begin, b.label = false, t.kind == tokSelf && w[0] == '.'
	if t.kind != tokIdent || label {
		return
	}
	switch {
	case n == 1:
		b.create = wordIs(w, "create")
	case n == 2 || n == 4:
		b.routine = b.routine || wordIs(w, "function") || wordIs(w, "procedure")
	case !b.routine:
	case wordIs(w, "begin"):
		b.begin = true
	case wordIs(w, "atomic"):
		if begin && b.depth == 0 {
			b.depth = 1
		}
	case wordIs(w, "case"):
		if b.depth > 0 {
			b.depth++
		}
	case wordIs(w, "end"):
		b.depth = max(b.depth-1, 0)
	case wordIs(w, "as"):
		b.label = true
	}
}
