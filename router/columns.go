package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// columnUse is which columns a text may mean: every name that stands last in a column reference.
type columnUse struct {
	names   map[string]bool
	paths   map[string][]string // the keys of references that stand in expressions like doc->>'key' alone, by column
	members map[string][]string // what references like a.x name of a, by qualifier
	stars   map[string]bool     // qualifiers of stars; "" is a bare one
	all     bool
}

// meantColumns is which columns a statement may mean.
func meantColumns(tree sqlparse.Node) *columnUse {
	c := &columnUse{names: map[string]bool{}, paths: map[string][]string{}, members: map[string][]string{}, stars: map[string]bool{}}
	sqlparse.Walk(tree, func(n sqlparse.Node) bool {
		switch {
		case n.GetAExpr() != nil:
			return !c.path(n.GetAExpr())
		case n.GetColumnRef() != nil:
			if last := c.reference(n.GetColumnRef()); last != "" {
				c.names[last] = true
			}
		case n.GetJoinExpr() != nil:
			// An alias of a join gives its columns other names, and its name stands for all of them.
			c.all = c.all || n.GetJoinExpr().IsNatural || n.GetJoinExpr().Alias != nil
			for _, name := range sqlparse.Strings(n.GetJoinExpr().UsingClause) {
				c.names[name] = true
			}
		}
		return true
	})
	return c
}

// reference notes what a reference is qualified with, and gives the name that it ends with; "" for a star.
func (c *columnUse) reference(ref *sqlparse.ColumnRef) (last string) {
	names := sqlparse.Strings(ref.Fields)
	if len(names) < len(ref.Fields) {
		if len(names) > 0 {
			last = names[len(names)-1]
		}
		c.stars[last] = true
		return ""
	}
	last = names[len(names)-1]
	if len(names) > 1 {
		of := names[len(names)-2]
		c.members[of] = append(c.members[of], last)
	}
	return last
}

// path notes an expression like doc->>'key'.
func (c *columnUse) path(e *sqlparse.AExpr) bool {
	ref, key := e.Lexpr.GetColumnRef(), e.Rexpr.GetAConst().GetSval()
	if e.Kind != sqlparse.ExprOp || ref == nil || key == nil {
		return false
	}
	if op := sqlparse.Strings(e.Name); len(op) != 1 || op[0] != "->" && op[0] != "->>" {
		return false
	}
	last := c.reference(ref)
	if last == "" {
		return true
	}
	if keys := c.paths[last]; !slices.Contains(keys, key.Sval) {
		c.paths[last] = append(keys, key.Sval)
	}
	return true
}

// needs reports whether a column of the relation that alias names, quoted, may be meant; cols are all of its columns.
func (c *columnUse) needs(alias, column string, cols []string) bool {
	return len(c.paths[column]) > 0 || c.whole(alias, column, cols)
}

// whole reports whether it may be meant elsewhere than in paths.
func (c *columnUse) whole(alias, column string, cols []string) bool {
	return c.all || c.names[column] || c.stars[""] || c.wholeRow(alias, cols)
}

// wholeRow reports whether the relation's row may be meant as one value. Its own name stands for that, and so does what is
// written like a column of it and is none: a function.
func (c *columnUse) wholeRow(alias string, cols []string) bool {
	name := strings.ReplaceAll(alias[1:len(alias)-1], `""`, `"`)
	return c.names[name] || c.stars[name] || len(c.paths[name]) > 0 ||
		slices.ContainsFunc(c.members[name], func(m string) bool { return !slices.Contains(cols, m) && !slices.Contains(systemColumns, m) })
}

const jsonbOID = 3802

// maxPathKeys is how many keys of one document travel by themselves.
const maxPathKeys = 4

// jsonbOfKeys is a document with no more than some keys of another: what -> and ->> give for them stays the same. One without
// the key is NULL (jsonb_set is strict), of which they give NULL, too.
func jsonbOfKeys(doc string, keys []string) string {
	if len(keys) > maxPathKeys {
		return doc
	}
	parts := make([]string, len(keys))
	for i, k := range keys {
		if strings.Contains(k, `\`) {
			return doc
		}
		lit := "'" + strings.ReplaceAll(k, "'", "''") + "'::pg_catalog.text"
		parts[i] = "pg_catalog.jsonb_set('{}', ARRAY[" + lit + "], " + doc + " OPERATOR(pg_catalog.->) " + lit + ")"
		if len(keys) > 1 {
			parts[i] = "COALESCE(" + parts[i] + ", '{}')"
		}
	}
	return strings.Join(parts, " OPERATOR(pg_catalog.||) ")
}

// ownOperatorsFirst reports whether PostgreSQL's own operators come before others of the same name.
func (e *Env) ownOperatorsFirst() bool {
	return slices.Index(e.Path, "pg_catalog") <= 0
}
