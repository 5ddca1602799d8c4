package router

import (
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// PreludeRows is the relation that stands for the rows of step k, counted from 0, as the deparser writes it.
func PreludeRows(k int) string { return `"` + preludeRows(k) + `"` }

const stepRows = "pleiad rows of step "

func preludeRows(k int) string { return stepRows + itoa(k) }

// FillRows puts what gives the rows of the steps so far into their places in a text. These are names: a constant of the client's
// that reads like one stays.
func FillRows(text string, rows []string) string {
	var b strings.Builder
	from := 0
	for _, t := range sqlparse.Tokens(text) {
		if k, ok := stepOf(text[t.Start:t.End]); ok && k < len(rows) {
			b.WriteString(text[from:t.Start])
			b.WriteString(rows[k])
			from = t.End
		}
	}
	return b.String() + text[from:]
}

// FillSource puts what gives the source's rows into the place of SourceRows in a text: behind FROM or USING. A constant or an alias of
// the client's may read like it.
func FillSource(text, rows string) string {
	before := ""
	for _, t := range sqlparse.Tokens(text) {
		if (before == "from" || before == "using") && text[t.Start:t.End] == SourceRows {
			return text[:t.Start] + rows + text[t.End:]
		}
		before = t.Word
	}
	return text
}

// stepOf is the step whose rows a token stands for.
func stepOf(token string) (k int, ok bool) {
	number, ok := strings.CutPrefix(token, `"`+stepRows)
	if !ok {
		return 0, false
	}
	k, err := strconv.Atoi(strings.TrimSuffix(number, `"`))
	return k, err == nil
}

// namesSteps reports whether names in the client's own text read like the rows of a step.
func (p *planner) namesSteps() bool {
	if !strings.Contains(p.text, stepRows) && !strings.Contains(p.text, `&"`) { // an escape may hide it
		return false
	}
	stmts, err := sqlparse.Parse(p.text)
	if err != nil || len(stmts) != 1 {
		return true
	}
	text, err := sqlparse.Deparse(stmts[0].Node)
	return err != nil || steps(text) > 0
}

// steps counts the places in a text that stand for rows of steps.
func steps(text string) (n int) {
	for _, t := range sqlparse.Tokens(text) {
		if _, ok := stepOf(text[t.Start:t.End]); ok {
			n++
		}
	}
	return n
}
