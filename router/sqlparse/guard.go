package sqlparse

import (
	"bytes"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// The parser is C: it recurses over the tree on a thread's stack, without a check, when it hands the tree out and when it
// deparses one, so a deep tree ends the process. Costs are counted in units: one for a link of an operator chain
// (1+1+…, ::, NOT, IS …), a JOIN or a set operation, two for a nested parenthesis, bracket or CASE, two more for a
// subselect in it. On a 1 MiB stack the worst shapes tried survive 400 units of Deparse and 1,600 of Parse; threads have
// 8 MiB where the limit on stacks is the usual one, and 2 MiB where there is none.
const (
	maxNestingUnits = 400
	levelUnits      = 2
	selectUnits     = 2
	maxLevels       = maxNestingUnits/levelUnits + 1
)

// maxTokens bounds the memory of a parse: 2.6 MB of VALUES (1,'x'), with this many tokens, took 250 MB and 1.8 s.
const maxTokens = 2 << 20

// maxCommentDepth bounds nested comments.
const maxCommentDepth = 64

// maxRescan bounds the bytes that scan.l reads again: it takes the longest run of operator characters and gives all but
// the first ones back, so that long runs cost quadratic time.
const maxRescan = 4 << 20

// characterNotInRepertoire is errcodes.txt's name of what an invalid byte sequence raises.
const characterNotInRepertoire = "22021"

// Guard refuses what must not reach the parser: texts that are not UTF-8 (22021), too deep, or too long for a parse
// that can be neither bounded nor cancelled (54001). What is merely malformed passes, for the parser to explain.
// Errors are *pgerr.Error.
func Guard(text []byte) error {
	if err := CheckEncoding(text); err != nil {
		return err
	}
	if err := checkRescans(text); err != nil {
		return err
	}
	g := nesting{}
	l := lexer{text: text}
	tokens := 0
	for t := l.next(); t.kind != tokEOF; t = l.next() {
		tokens++
		if tokens > maxTokens {
			return pgerr.New(pgerr.StatementTooComplex, "statement is too complex").
				WithDetail("It has more than %d tokens.", maxTokens)
		}
		if !g.see(text, t) {
			return pgerr.New(pgerr.StatementTooComplex, "stack depth limit exceeded").
				WithHint("Nest expressions less deeply, or split long chains of operators.")
		}
	}
	return nil
}

// GuardLength refuses texts of more than limit bytes (54000).
func GuardLength(text []byte, limit int) error {
	if len(text) <= limit {
		return nil
	}
	return pgerr.New(pgerr.ProgramLimitExceeded, "statement of %d bytes is too long", len(text)).
		WithHint("The limit is %d bytes.", limit)
}

// CheckEncoding refuses texts that are not UTF-8, and zero bytes, with PostgreSQL's message.
func CheckEncoding(text []byte) error {
	if utf8.Valid(text) {
		if p := bytes.IndexByte(text, 0); p >= 0 {
			return invalidBytes(text[p : p+1])
		}
		return nil
	}
	for p := 0; p < len(text); {
		r, n := utf8.DecodeRune(text[p:])
		if r == 0 || r == utf8.RuneError && n <= 1 {
			return invalidBytes(text[p:min(len(text), p+sequenceLength(text[p]))])
		}
		p += n
	}
	return nil
}

func invalidBytes(b []byte) error {
	return pgerr.New(characterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": %# x", b)
}

// sequenceLength is how long a UTF-8 sequence is that starts with c (pg_utf_mblen).
func sequenceLength(c byte) int {
	switch {
	case c&0xe0 == 0xc0:
		return 2
	case c&0xf0 == 0xe0:
		return 3
	case c&0xf8 == 0xf0:
		return 4
	}
	return 1
}

// nesting counts the units of the parser's recursion. Levels are parentheses, brackets and CASE.
type nesting struct {
	depth  int
	total  int // units of all open levels
	levels [maxLevels + 1]levelCount
	dot    bool // the token before was a point: a keyword is a name now
}

// levelCount is what one open level holds so far.
type levelCount struct {
	chain   int32 // operators since the last comma, AND, OR …: the expressions between those are siblings
	links   int32 // joins and set operations
	between int32 // BETWEENs whose AND is still to come
	isCase  bool
	queries bool // has a SELECT, counted in links
}

// see follows one token; false when the limit is passed.
func (g *nesting) see(text []byte, t token) bool {
	dot := g.dot
	g.dot = false
	switch t.kind {
	case tokOperator:
		g.link()
	case tokIdent:
		if !dot {
			return g.word(text[t.start:t.end])
		}
	case tokSelf:
		switch text[t.start] {
		case '(', '[':
			return g.open(false)
		case ')', ']':
			for g.depth > 0 && g.levels[g.depth].isCase {
				g.close()
			}
			g.close()
		case ',':
			g.reset()
		case ';':
			if g.depth == 0 {
				g.total, g.levels[0] = 0, levelCount{}
			}
		case '.':
			g.dot = true
		case ':':
		default:
			g.link()
		}
	}
	return g.total <= maxNestingUnits
}

func (g *nesting) link() {
	g.levels[g.depth].chain++
	g.total++
}

func (g *nesting) open(isCase bool) bool {
	g.total += levelUnits
	if g.total > maxNestingUnits {
		return false
	}
	g.depth++
	g.levels[g.depth] = levelCount{isCase: isCase}
	return true
}

func (g *nesting) close() {
	if g.depth == 0 {
		return
	}
	l := g.levels[g.depth]
	g.total -= int(l.chain) + int(l.links) + levelUnits
	g.depth--
}

// reset starts a sibling expression.
func (g *nesting) reset() {
	l := &g.levels[g.depth]
	g.total -= int(l.chain)
	l.chain, l.between = 0, 0
}

// word follows a keyword; false when the limit is passed.
func (g *nesting) word(w []byte) bool {
	l := &g.levels[g.depth]
	switch wordUnits(w) {
	case wordLink:
		g.link()
	case wordBetween:
		l.between++
		g.link()
	case wordSet:
		l.links++
		g.total++
	case wordAnd:
		if l.between > 0 {
			l.between--
		} else {
			g.reset()
		}
	case wordReset:
		g.reset()
	case wordSelect:
		g.reset()
		if !l.queries {
			l.queries = true
			l.links += selectUnits
			g.total += selectUnits
		}
	case wordCase:
		return g.open(true)
	case wordEnd:
		if l.isCase {
			g.close()
		}
	}
	return g.total <= maxNestingUnits
}
