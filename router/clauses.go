package router

import "github.com/pleiad/pleiad/router/sqlparse"

// clauses are the byte ranges of a SELECT's outermost clauses, found by its tokens: the parse tree tells where things
// start, not where they end. A range with End 0 is absent.
type clauses struct {
	toks    []sqlparse.Token
	depth   int
	targets Span   // between SELECT [ALL | DISTINCT] and FROM
	order   Span   // behind ORDER BY
	limit   Span   // LIMIT, OFFSET and FETCH, up to the statement's end
	end     int    // behind the last token
	table   Span   // the word TABLE in place of SELECT * FROM
	parens  []Span // those around the whole SELECT, in the order of their places but for nesting
	// orderWord is where ORDER stands.
	orderWord int
}

// clauseEnds are the reserved words that end a target list or an ORDER BY at their own depth.
var clauseEnds = map[string]bool{
	"from": true, "where": true, "group": true, "having": true, "window": true, "union": true, "intersect": true,
	"except": true, "order": true, "limit": true, "offset": true, "fetch": true, "for": true, "into": true,
	"returning": true,
}

// selectClauses finds the clauses of the SELECT, TABLE or set operation that starts at byte from. Of a set operation only
// those behind its last arm are found. ok is false for every other shape.
func selectClauses(text string, from int, setOperation bool) (c clauses, ok bool) {
	for _, t := range sqlparse.Tokens(text) {
		if t.Start >= from && t.Punct != ';' {
			c.toks = append(c.toks, t)
		}
	}
	if !setOperation {
		c.unwrap()
	}
	if len(c.toks) == 0 {
		return c, false
	}
	c.depth = c.toks[0].Depth
	c.end = c.toks[len(c.toks)-1].End
	at := 0
	if !setOperation {
		if at = c.find(0, "select"); at >= 0 {
			c.readTargets(at + 1)
		} else if at = c.find(0, "table"); at >= 0 {
			c.table = Span{c.toks[at].Start, c.toks[at].End}
		} else {
			return c, false
		}
	}
	for i := at; i < len(c.toks); i++ {
		switch {
		case !c.keyword(i):
		case c.toks[i].Word == "order" && c.order.End == 0 && i+1 < len(c.toks):
			if c.limit.End != 0 {
				return c, false // (SELECT … LIMIT 1) ORDER BY 1
			}
			c.orderWord = c.toks[i].Start
			c.order = Span{c.toks[i+1].End, c.clauseEnd(i + 2)}
		case isLimitWord(c.toks[i].Word) && c.limit.End == 0:
			c.limit = Span{c.toks[i].Start, c.end}
		}
	}
	for _, p := range c.parens {
		if c.limit.End != 0 && p.Start >= c.limit.Start && p.End <= c.limit.End {
			return c, false // (SELECT … LIMIT 1) OFFSET 1
		}
	}
	return c, true
}

// unwrap takes the parentheses around a SELECT off: PostgreSQL's grammar makes one statement of what stands inside and
// behind them.
func (c *clauses) unwrap() {
	wraps := 0
	for wraps < len(c.toks) && c.toks[wraps].Punct == '(' {
		wraps++
	}
	if wraps == 0 {
		return
	}
	base := c.toks[0].Depth
	toks := c.toks[wraps:]
	for _, t := range c.toks[:wraps] {
		c.parens = append(c.parens, Span{t.Start, t.End})
	}
	c.toks = nil
	for _, t := range toks {
		if wraps > 0 && t.Punct == ')' && t.Depth == base+wraps-1 {
			c.parens = append(c.parens, Span{t.Start, t.End})
			wraps--
			continue
		}
		t.Depth -= wraps
		c.toks = append(c.toks, t)
	}
}

func isLimitWord(w string) bool { return w == "limit" || w == "offset" || w == "fetch" }

// keyword reports whether token i is a keyword at the statement's own depth, not a label or a field.
func (c *clauses) keyword(i int) bool {
	t := c.toks[i]
	if t.Word == "" || t.Depth != c.depth {
		return false
	}
	return i == 0 || c.toks[i-1].Word != "as" && c.toks[i-1].Punct != '.'
}

func (c *clauses) find(from int, word string) int {
	for i := from; i < len(c.toks); i++ {
		if c.toks[i].Word == word && c.keyword(i) {
			return i
		}
	}
	return -1
}

// clauseEnd is the byte behind the clause whose first token is i.
func (c *clauses) clauseEnd(i int) int {
	end := c.end
	if i > 0 {
		end = c.toks[i-1].End
	}
	for ; i < len(c.toks); i++ {
		if c.keyword(i) && clauseEnds[c.toks[i].Word] && !c.distinctFrom(i) && !c.withinGroup(i) {
			return end
		}
		end = c.toks[i].End
	}
	return end
}

// distinctFrom is true for the FROM of IS [NOT] DISTINCT FROM.
func (c *clauses) distinctFrom(i int) bool {
	return i >= 2 && c.toks[i].Word == "from" && c.toks[i-1].Word == "distinct" &&
		(c.toks[i-2].Word == "is" || c.toks[i-2].Word == "not")
}

// withinGroup is true for the GROUP of an ordered-set aggregate.
func (c *clauses) withinGroup(i int) bool {
	return i >= 2 && c.toks[i].Word == "group" && c.toks[i-1].Word == "within" && c.toks[i-2].Punct == ')'
}

func (c *clauses) readTargets(i int) {
	if i < len(c.toks) && (c.toks[i].Word == "all" || c.toks[i].Word == "distinct") {
		i++
		if i+1 < len(c.toks) && c.toks[i].Word == "on" && c.toks[i+1].Punct == '(' {
			for i += 2; i < len(c.toks) && c.toks[i].Depth > c.depth; i++ {
			}
			i++
		}
	}
	c.targets = Span{c.toks[i-1].End, c.clauseEnd(i)}
}

// split cuts a clause at its commas into the token ranges of its items.
func (c *clauses) split(s Span) [][]sqlparse.Token {
	var out [][]sqlparse.Token
	var item []sqlparse.Token
	for _, t := range c.toks {
		switch {
		case t.Start < s.Start || t.Start >= s.End:
		case t.Punct == ',' && t.Depth == c.depth:
			out = append(out, item)
			item = nil
		default:
			item = append(item, t)
		}
	}
	if len(item) > 0 {
		out = append(out, item)
	}
	return out
}

// rangeOf is the byte range of a run of tokens.
func rangeOf(toks []sqlparse.Token) Span {
	if len(toks) == 0 {
		return Span{}
	}
	return Span{toks[0].Start, toks[len(toks)-1].End}
}
