package sqlparse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// lexAll returns all tokens of text but the last, tokEOF.
func lexAll(text string) []token {
	l := lexer{text: []byte(text)}
	var out []token
	for t := l.next(); t.kind != tokEOF; t = l.next() {
		out = append(out, t)
	}
	return out
}

// pieces are what random texts are made of: every rule of scan.l has some.
var pieces = strings.Split("a b xE é e E n N b B x X u& U& ' '' \" \"\" \\ \\' \\n $ $$ $a$ $b$ $1 $23 1 0 12 0x 0x1F 0b1 0o7 "+
	"1_0 _ . .. 1. .5 1e5 e+ 1e- ( ) [ ] , ; : :: := = => < > <= >= <> != + - * / % ^ & | ~ ! @ # ` ? -- /* */ /* */ */ SELECT "+
	"UESCAPE 'abc' E'a\\n' B'01' X'1f' N'x' U&'a' U&\"b\" \"id\" $q$z$q$ 2147483648 9223372036854775808 1.5e-3", " ")

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(14) + 1 {
		b.WriteString(pieces[r.IntN(len(pieces))])
		switch r.IntN(8) {
		case 0:
			b.WriteByte('\n')
		case 1:
			b.WriteByte('\r')
		case 2, 3:
			b.WriteByte(' ')
		case 4:
			b.WriteByte("\t\f\v"[r.IntN(3)])
		}
	}
	return b.String()
}

// disagreement compares the lexer with PostgreSQL's scanner; "" when both see the same.
func disagreement(text string) string {
	ours := lexAll(text)
	for _, t := range ours {
		if t.kind == tokOther && t.end > t.start+1 && text[t.start] == '$' {
			return "" // pg_query takes $1x for two tokens, PostgreSQL since 15 does not
		}
		if w := text[t.start:t.end]; t.kind != tokComment && strings.Contains(w, "--") && strings.ContainsAny(w, "\r\n") {
			return "" // pg_query has no comments in continued strings, PostgreSQL has (TestContinuedOverComment)
		}
	}
	theirs, err := pg_query.Scan(text)
	if err != nil {
		for _, t := range ours {
			if t.kind == tokOther || t.kind == tokUnterminated || onlyParserKnows(text[t.start:t.end]) {
				return ""
			}
		}
		return fmt.Sprintf("PostgreSQL refuses %q (%v), the lexer does not: %v", text, err, ours)
	}
	if len(theirs.Tokens) != len(ours) {
		return fmt.Sprintf("%q: PostgreSQL has %d tokens, the lexer %d: %v / %v", text, len(theirs.Tokens), len(ours), theirs.Tokens, ours)
	}
	for i, t := range theirs.Tokens {
		if int(t.Start) != ours[i].start || int(t.End) != ours[i].end || !sameKind(t.Token, ours[i].kind) {
			return fmt.Sprintf("%q: token %d is %v for PostgreSQL and %v for the lexer", text, i, t, ours[i])
		}
	}
	return ""
}

// onlyParserKnows reports whether a well-formed token may still be refused for its contents.
func onlyParserKnows(w string) bool {
	return strings.ContainsAny(w, "\\") || w == `""` || strings.EqualFold(w, `u&""`) || len(w) >= 64 ||
		strings.HasPrefix(w, "$")
}

func sameKind(t pg_query.Token, k tokenKind) bool {
	switch t {
	case pg_query.Token_ICONST:
		return k == tokInteger
	case pg_query.Token_FCONST:
		return k == tokNumeric || k == tokInteger
	case pg_query.Token_SCONST:
		return k == tokString || k == tokEString || k == tokDollar
	case pg_query.Token_USCONST:
		return k == tokUString
	case pg_query.Token_UIDENT:
		return k == tokUQuoted
	case pg_query.Token_BCONST:
		return k == tokBit
	case pg_query.Token_XCONST:
		return k == tokHex
	case pg_query.Token_PARAM:
		return k == tokParam
	case pg_query.Token_SQL_COMMENT, pg_query.Token_C_COMMENT:
		return k == tokComment
	case pg_query.Token_Op, pg_query.Token_TYPECAST, pg_query.Token_DOT_DOT, pg_query.Token_COLON_EQUALS,
		pg_query.Token_EQUALS_GREATER, pg_query.Token_LESS_EQUALS, pg_query.Token_GREATER_EQUALS,
		pg_query.Token_NOT_EQUALS:
		return k == tokOperator || k == tokSelf
	}
	return k == tokIdent || k == tokQuoted || k == tokSelf || k == tokNational || k == tokOther || k == tokOperator
}

func TestLexerAgreesWithPostgreSQL(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		if d := disagreement(randomText(r)); d != "" {
			t.Fatal(d)
		}
	}
}

func FuzzLexer(f *testing.F) {
	for _, p := range pieces {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return
		}
		if Guard([]byte(text)) != nil {
			return
		}
		if d := disagreement(text); d != "" {
			t.Fatal(d)
		}
	})
}
