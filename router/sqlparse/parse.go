package sqlparse

import (
	"errors"
	"strings"
	"sync/atomic"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
)

// maxParses bounds the parses that run at once: each may use a thread's whole stack and cannot be cancelled.
const maxParses = 4

var parseSlots = make(chan struct{}, maxParses)

var parsed atomic.Uint64

// Parsed is how many texts the parser has read.
func Parsed() uint64 { return parsed.Load() }

// SyntaxError is the parser's complaint. PostgreSQL's own message goes to the client; this one only says that there
// is one.
type SyntaxError struct {
	Message  string
	Position int // 1-based character position, 0 when there is none
}

// Error implements error.
func (e *SyntaxError) Error() string { return "parse statement: " + e.Message }

// Statement is one statement of a parsed text.
type Statement struct {
	Node Node
	// Start and End are its byte range, white space before it included; End is len(text) for the last one.
	Start, End int
}

// Parse reads a text with PostgreSQL's grammar. Errors: *SyntaxError, or Guard's *pgerr.Error when the text is too
// deep or long to parse.
func Parse(text string) ([]Statement, error) {
	if err := Guard([]byte(text)); err != nil {
		return nil, err
	}
	if strings.IndexByte(text, 0) >= 0 {
		return nil, &SyntaxError{Message: "zero byte in the text"}
	}
	parsed.Add(1)
	parseSlots <- struct{}{}
	tree, err := pg_query.Parse(text)
	<-parseSlots
	if err != nil {
		var pe *parser.Error
		if errors.As(err, &pe) {
			return nil, &SyntaxError{Message: pe.Message, Position: pe.Cursorpos}
		}
		return nil, &SyntaxError{Message: err.Error()}
	}
	out := make([]Statement, 0, len(tree.Stmts))
	for _, raw := range tree.Stmts {
		s := Statement{Node: raw.Stmt, Start: int(raw.StmtLocation), End: len(text)}
		if raw.StmtLen > 0 {
			s.End = s.Start + int(raw.StmtLen)
		}
		out = append(out, s)
	}
	return out, nil
}

// exprHead stands before an expression where it is parsed.
const exprHead = "SELECT ("

// ExprOffset is what locations in ParseExpr's tree are too large by.
const ExprOffset = len(exprHead)

// ParseExpr reads one expression, as pg_get_expr prints it.
func ParseExpr(expr string) (Node, error) {
	stmts, err := Parse(exprHead + expr + "\n)")
	if err != nil {
		return nil, err
	}
	if len(stmts) == 1 {
		if s := stmts[0].Node.GetSelectStmt(); s != nil && len(s.TargetList) == 1 && len(s.FromClause) == 0 {
			return s.TargetList[0].GetResTarget().GetVal(), nil
		}
	}
	return nil, &SyntaxError{Message: "not an expression"}
}
