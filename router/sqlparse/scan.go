package sqlparse

import (
	"bytes"
	"hash/maphash"
)

// LiteralKind says what was lifted out of a statement, as far as it decides the type PostgreSQL gives it.
type LiteralKind uint8

// The kinds of literals. Up to LiteralHexBit they stand in keys as marker bytes, below the tab, which no valid text
// has outside of quotes and comments.
const (
	LiteralComment LiteralKind = iota + 1 // not a value: a comment, lifted so that tagged statements share a key
	LiteralString                         // '…', of type unknown
	LiteralInt4                           // an integer up to 2147483647
	LiteralInt8                           // an integer from 2147483649 to 9223372036854775807
	LiteralNumeric                        // a bigger integer, or with a point or exponent
	LiteralBit                            // B'…'
	LiteralHexBit                         // X'…'
	_                                     // restMarker
	LiteralEscape                         // E'…', of type unknown; in keys as LiteralString
	LiteralDollar                         // $tag$…$tag$, of type unknown; in keys as LiteralString
)

// Literal is one lifted piece of a statement: bytes Start to End of its text, prefix and quotes included. Start
// equals the parser's location of the constant.
type Literal struct {
	Start, End int
	Kind       LiteralKind
}

// Scanned is what a Scanner saw in one statement. All slices belong to the Scanner or the text and are valid until its
// next Scan.
type Scanned struct {
	// Key is the text with each literal replaced by its marker. Two texts with one key have the same tokens
	// but for the literals' values, and the same literals are of the same type.
	Key  []byte
	Hash uint64 // of Key; differs from process to process
	Lits []Literal
	// Folds are the lists that Fold's key holds the first element of alone, in the order of the text.
	Folds []Fold
	// First is the first word of the statement behind comments and parentheses, as written; nil when
	// there is none.
	First []byte
	// MaxParam is the highest n of $n.
	MaxParam int
	// Empty is true when there is nothing but white space, comments and semicolons.
	Empty bool
	// Utility is true unless First is SELECT, INSERT, UPDATE, DELETE, MERGE, WITH, VALUES or TABLE. Then nothing is
	// lifted and Key is the whole text.
	Utility bool
	// NewNumber is true of a text with a number that PostgreSQL 15 does not read: 0x1F, 0o17, 0b11 or 1_000.
	NewNumber bool
	// Cacheable is false for utility statements and for texts whose key may not stand for other texts:
	// malformed ones and a few rare shapes. Plans for them hold for this text only.
	Cacheable bool
}

// Scanner lifts the literals out of statements. It allocates nothing once its buffers have grown. The zero value is
// ready; not safe for concurrent use.
type Scanner struct {
	key    []byte
	lits   []Literal
	copied int // how far the key holds the text
	st     scanState
	folder folder
}

// scanState is what decides whether a literal is lifted.
type scanState struct {
	depth int // open parentheses and brackets
	// keep is the region whose literals stay in the key. It ends where depth falls below keepDepth, or, for
	// a keepParens region, where it returns to keepDepth.
	keep      keepRegion
	keepDepth int
	typeName  typeNameState
	distinct  bool // the token before was DISTINCT
	closed    bool // the token before was )
}

type keepRegion uint8

const (
	keepNothing keepRegion = iota
	keepClause             // ORDER BY, GROUP BY, PARTITION BY: a literal may be a column's position, and sort expressions are copied into rewritten texts
	keepParens             // a type's modifiers, DISTINCT ON
	keepRest               // everything up to the end
)

type typeNameState uint8

const (
	typeNone  typeNameState = iota
	typeAwait               // behind :: or AS
	typeNamed               // behind a type's name: a ( would open its modifiers
)

// keepBytes bounds what Release leaves allocated.
const keepBytes = 4096

var hashSeed = maphash.MakeSeed()

// Release gives back buffers that a big statement made grow.
func (s *Scanner) Release() {
	if cap(s.key) > keepBytes {
		s.key = nil
	}
	if cap(s.lits) > keepBytes/32 {
		s.lits = nil
	}
	if f := &s.folder; cap(f.cells)+cap(f.rows)+cap(f.folds) > keepBytes/32 {
		*f = folder{}
	}
}

// Scan scans one statement (without or with a trailing semicolon). It never fails: what is malformed is not cacheable
// and left to the parser. Text must stay unchanged as long as the result is used.
func (s *Scanner) Scan(text []byte) Scanned { return s.scan(text, false) }

func (s *Scanner) scan(text []byte, fold bool) Scanned {
	s.key, s.lits, s.st, s.copied = s.key[:0], s.lits[:0], scanState{}, 0
	s.folder.reset(fold)
	out := Scanned{Cacheable: true}
	l := lexer{text: text}
	for {
		t := l.next()
		s.ahead(text, t)
		if t.kind == tokEOF {
			break
		}
		if t.kind != tokComment && out.First == nil && !s.opening(&out, text, t) {
			return s.verbatim(out, text, &l)
		}
		kind := s.see(&out, text, t)
		if s.folder.on {
			s.follow(text, t, kind)
		}
		if kind == 0 {
			continue
		}
		marker := kind
		if kind == LiteralEscape || kind == LiteralDollar {
			marker = LiteralString
		}
		s.key = append(append(s.key, text[s.copied:t.start]...), byte(marker))
		s.lits = append(s.lits, Literal{t.start, t.end, kind})
		s.copied = t.end
	}
	if out.First == nil {
		out.Empty = true
		return s.verbatim(out, text, &l)
	}
	s.key = append(s.key, text[s.copied:]...)
	out.Key, out.Lits = s.key, s.lits
	out.Hash = maphash.Bytes(hashSeed, out.Key)
	return out
}

// opening looks for the statement's first word; false when it is a utility statement or none at all.
func (s *Scanner) opening(out *Scanned, text []byte, t token) bool {
	switch {
	case t.kind == tokSelf && (text[t.start] == '(' || text[t.start] == ';'):
		return true
	case t.kind != tokIdent:
		out.First = text[t.start:t.end]
		return false
	}
	out.First = text[t.start:t.end]
	s.folder.insert = wordIs(out.First, "insert")
	return plannedWord(out.First)
}

// verbatim ends a scan without lifting: the key is the text.
func (s *Scanner) verbatim(out Scanned, text []byte, l *lexer) Scanned {
	for t := l.next(); t.kind != tokEOF; t = l.next() {
		if t.kind == tokParam {
			out.MaxParam = max(out.MaxParam, paramNumber(text[t.start+1:t.end]))
		}
	}
	s.key = append(s.key[:0], text...)
	out.Key, out.Lits, out.Utility, out.Cacheable = s.key, nil, !out.Empty, false
	out.Hash = maphash.Bytes(hashSeed, out.Key)
	return out
}

// see follows one token and returns the kind of literal to lift, or 0.
func (s *Scanner) see(out *Scanned, text []byte, t token) LiteralKind {
	if t.kind == tokComment {
		return LiteralComment
	}
	st := &s.st
	closed, distinct := st.closed, st.distinct
	st.closed, st.distinct = false, false
	switch t.kind {
	case tokIdent:
		st.word(text[t.start:t.end], distinct)
		return 0
	case tokQuoted:
		st.typeName = st.typeName.named()
		return 0
	case tokSelf:
		st.punctuation(text[t.start])
		return 0
	case tokOperator:
		st.typeName = typeNone
		if t.end == t.start+2 && text[t.start] == ':' && text[t.start+1] == ':' {
			st.typeName = typeAwait
		}
		return 0
	case tokParam:
		st.typeName = typeNone
		out.MaxParam = max(out.MaxParam, paramNumber(text[t.start+1:t.end]))
		return 0
	case tokUString, tokUQuoted:
		// UESCAPE, which may follow, decides what the token says.
		st.keep = keepRest
		return 0
	case tokNational:
		return 0
	case tokOther, tokUnterminated:
		out.Cacheable = false
		return 0
	}
	st.typeName = typeNone
	if t.kind == tokInteger || t.kind == tokNumeric {
		out.NewNumber = out.NewNumber || newNotation(text[t.start:t.end])
	}
	kind := literalKind(text, t)
	if closed && kind.quoted() {
		out.Cacheable = false // varchar(3) 'abc': the modifiers were lifted
	}
	if st.keep != keepNothing {
		return 0
	}
	return kind
}

func (k LiteralKind) quoted() bool {
	return k == LiteralString || k == LiteralEscape || k == LiteralDollar
}

func newNotation(w []byte) bool {
	return len(w) > 1 && (w[0] == '0' && numberBase(w[1]) != 0 || bytes.IndexByte(w, '_') >= 0)
}

// literalKind is the kind of a constant token, or 0 when its type depends on a sign before it.
func literalKind(text []byte, t token) LiteralKind {
	switch t.kind {
	case tokString:
		return LiteralString
	case tokEString:
		return LiteralEscape
	case tokDollar:
		return LiteralDollar
	case tokBit:
		return LiteralBit
	case tokHex:
		return LiteralHexBit
	case tokInteger:
		return integerKind(text[t.start:t.end])
	}
	return LiteralNumeric
}

// punctuation follows parentheses, which nest the regions whose literals are kept.
func (st *scanState) punctuation(c byte) {
	named := st.typeName
	st.typeName = typeNone
	switch c {
	case '(', '[':
		if c == '(' && named == typeNamed && st.keep == keepNothing {
			st.keep, st.keepDepth = keepParens, st.depth
		}
		st.depth++
	case ')', ']':
		st.depth--
		st.closed = c == ')'
		if st.keep == keepClause && st.depth < st.keepDepth || st.keep == keepParens && st.depth <= st.keepDepth {
			st.keep = keepNothing
		}
	case '.':
		if named == typeNamed {
			st.typeName = typeAwait
		}
	}
}

// word follows a keyword or identifier.
func (st *scanState) word(w []byte, distinct bool) {
	switch len(w) {
	case 2:
		switch {
		case wordIs(w, "by"):
			st.typeName = typeNone
			if st.keep == keepNothing {
				st.keep, st.keepDepth = keepClause, st.depth
			}
			return
		case wordIs(w, "as"):
			st.typeName = typeAwait
			return
		case wordIs(w, "on") && distinct && st.keep == keepNothing:
			st.keep, st.keepDepth = keepParens, st.depth
			return
		}
	case 8:
		st.distinct = wordIs(w, "distinct")
	}
	if st.keep == keepClause && st.depth == st.keepDepth && endsClause(w) {
		st.keep = keepNothing
	}
	switch st.typeName {
	case typeAwait:
		st.typeName = typeNamed
		if wordIs(w, "materialized") || wordIs(w, "not") {
			st.typeName = typeNone
		}
	case typeNamed:
		if !wordIs(w, "varying") && !wordIs(w, "character") && !wordIs(w, "char") {
			st.typeName = typeNone
		}
	}
}

func (n typeNameState) named() typeNameState {
	if n == typeAwait {
		return typeNamed
	}
	return typeNone
}
