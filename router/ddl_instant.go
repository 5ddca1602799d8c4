package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// A column that is added with a default which reads the time gives all rows that exist one value: PostgreSQL evaluates such a
// default once. So every backend is given that value as a constant, and the default itself behind it.

// defaultOf checks the default of a column that is added.
func (d *ddl) defaultOf(shape *tableShape, col *sqlparse.ColumnDef, expr sqlparse.Node) *pgerr.Error {
	err := d.sameEverywhere(shape, expr)
	if err == nil || !d.readsTime(expr) {
		return err
	}
	named, mayExist := 0, false
	s := d.stmt.GetAlterTableStmt()
	for _, n := range s.GetCmds() {
		cmd := n.GetAlterTableCmd()
		if cmd.Name == col.Colname || cmd.Def.GetColumnDef().GetColname() == col.Colname {
			named++
		}
		mayExist = mayExist || cmd.MissingOk && cmd.Def.GetColumnDef() == col
	}
	t, _ := d.resolve(s.GetRelation())
	if mayExist && t != nil && slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Name == col.Colname }) {
		return nil // its default stays
	}
	c := clockReader{env: d.env, text: d.text, toks: sqlparse.Tokens(d.text)}
	sqlparse.Walk(expr, c.visit)
	sql, e := sqlparse.DeparseExpr(expr)
	if e != nil || c.hidden || named != 1 {
		return err
	}
	toks := trimmed(c.toks)
	if mayExist { // it does not: the default at the end is that of the new column alone
		i := slices.IndexFunc(toks, func(t sqlparse.Token) bool { return t.Start == int(col.Location) })
		if i < 3 || toks[i-1].Word != "exists" || toks[i-3].Word != "if" {
			return err
		}
		c.splices = append(c.splices, ClockSplice{Start: toks[i-3].Start, End: toks[i].Start})
	}
	end := toks[len(toks)-1].End
	d.clocks = append(d.clocks, c.inOrder()...)
	d.defaults = append(d.defaults, ClockSplice{end, end, []ClockPiece{{Text: ", ALTER COLUMN " + quoteIdent(col.Colname) + " SET DEFAULT " + sql}}})
	return nil
}

// readsTime reports whether nothing but the transaction's or the statement's time keeps an expression from being the same
// everywhere.
func (d *ddl) readsTime(expr sqlparse.Node) bool {
	ok := true
	sqlparse.Walk(expr, func(n sqlparse.Node) bool {
		switch {
		case n.GetSqlvalueFunction() != nil:
			ok = ok && valueClocks[n.GetSqlvalueFunction().Op].name != ""
		case n.GetSubLink() != nil, timeConstant(n):
			ok = false
		case n.GetFuncCall() != nil:
			schema, name := listName(n.GetFuncCall().Funcname)
			ok = ok && d.env.functionFacts(schema, name)&(fnImpure&^fnClock&^fnStable) == 0
		}
		return ok
	})
	return ok
}

// timed is a plan that is made anew with the times of d.clocks as constants.
func (d *ddl) timed(t *Template) *Template {
	if len(d.clocks) > 0 && t.Kind == KindDDL {
		t.Cacheable = false
		t.Clock = &Clock{Splices: slices.Concat(d.clocks, d.defaults)}
	}
	return t
}
