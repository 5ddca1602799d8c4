package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// mergeDraw takes a MERGE apart whose WHEN NOT MATCHED inserts values of sequences: PostgreSQL takes one for each row that is
// inserted, so which those are is found first. What matches is locked then, so that it still does when MERGE runs.
type mergeDraw struct {
	*drawBuilder
	s     *sqlparse.MergeStmt
	src   *rel
	alias string
	when  *sqlparse.MergeWhenClause // the only one that inserts
}

// merge plans a MERGE that needs home for what it inserts.
func (b *drawBuilder) merge(s *sqlparse.MergeStmt) bool {
	m := &mergeDraw{drawBuilder: b, s: s, alias: sourceAlias(s.SourceRelation)}
	if len(b.q.rels) != 2 || b.q.rels[1].open || len(b.q.rels[1].cols) == 0 || len(b.q.subs) > 0 || m.alias == "" || s.WithClause != nil ||
		len(s.ReturningList) > 0 || b.a.statementTrigger || b.t.RLS || b.facts(s.JoinCondition)&(homeOnly|fnPerRow|fnVolatile|fnUserVol|fnUnseenVol) != 0 {
		return false
	}
	m.src = b.q.rels[1]
	for _, n := range s.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		switch {
		case w.MatchKind == sqlparse.MergeNotMatchedBySource:
			return false
		case w.MatchKind == sqlparse.MergeNotMatched:
			if m.when != nil || w.CommandType != sqlparse.CmdInsert || w.Override == sqlparse.OverrideUser {
				return false
			}
			m.when = w
		case b.assignsLate(w):
			return false // a value for each pair of rows
		}
		if b.facts(w.Condition)&(homeOnly|fnPerRow|fnVolatile|fnUserVol|fnUnseenVol) != 0 {
			return false
		}
	}
	return m.when != nil && m.ofSource(m.when.Condition) && m.plan()
}

// assignsLate reports whether WHEN MATCHED sets what home alone can make.
func (b *drawBuilder) assignsLate(w *sqlparse.MergeWhenClause) bool {
	for _, n := range w.TargetList {
		rt := n.GetResTarget()
		i := b.column(rt.GetName())
		if i < 0 || b.facts(rt.GetVal())&lateFacts != 0 || setsDefault(rt.GetVal()) && b.a.defaultFacts(b.t.Columns[i])&lateFacts != 0 {
			return true
		}
	}
	return false
}

// ofSource reports whether an expression uses nothing but the source's columns: WHEN NOT MATCHED sees no others.
func (m *mergeDraw) ofSource(n sqlparse.Node) bool {
	ok := true
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetSubLink() != nil:
			ok = false
		case n.GetColumnRef() != nil:
			names := sqlparse.Strings(n.GetColumnRef().Fields)
			if len(names) == 2 && names[0] == m.alias {
				names = names[1:]
			}
			ok = ok && len(names) == 1 && slices.Contains(m.src.cols, names[0])
		}
		return ok
	})
	return ok
}

// inserted are the values that home makes, by column, in the order of the table's.
func (m *mergeDraw) inserted() (out []madeValue, ok bool) {
	w, t := m.when, m.t
	positions := columnPositions(t, w.TargetList)
	if len(w.Values) > len(positions) || len(w.TargetList) > 0 && len(w.Values) < len(positions) || slices.Contains(positions, -1) {
		return nil, false
	}
	positions = positions[:len(w.Values)]
	for i := range t.Columns {
		at := slices.Index(positions, i)
		c := &t.Columns[i]
		switch {
		case at < 0 || w.Values[at].GetSetToDefault() != nil:
			if c.Generated || m.a.defaultFacts(*c)&(fnNextval|fnCurrval) == 0 {
				continue
			}
			expr, err := sqlparse.ParseExpr(c.Default)
			m.fail(err)
			out = append(out, madeValue{column: i, expr: expr})
			if c.Identity == 'a' {
				w.Override = sqlparse.OverrideSystem
			}
		case m.facts(w.Values[at])&lateFacts != 0:
			if !m.ofSource(w.Values[at]) || m.facts(w.Values[at])&(fnTables|fnSharded) != 0 {
				return nil, false
			}
			out = append(out, madeValue{column: i, expr: w.Values[at]})
		}
	}
	// All columns by name, for those that are added.
	w.TargetList = nil
	for _, i := range positions {
		w.TargetList = append(w.TargetList, sqlparse.Target(t.Columns[i].Name))
	}
	for _, v := range out {
		val := sqlparse.Column(m.alias, "pleiad_v"+itoa(v.column))
		if at := slices.Index(positions, v.column); at >= 0 {
			w.Values[at] = val
		} else {
			w.TargetList, w.Values = append(w.TargetList, sqlparse.Target(t.Columns[v.column].Name)), append(w.Values, val)
		}
	}
	return out, len(out) > 0
}

// plan reads the source, locks what it matches, makes the values of the other rows, and lets MERGE have both.
func (m *mergeDraw) plan() bool {
	made, ok := m.inserted()
	if !ok {
		return false
	}
	m.out.Denied = refMixedSeq // to lock rows takes more than to look at them
	alias, cols := quoteIdent(m.alias), quoteIdents(m.src.cols)
	sel := &sqlparse.SelectStmt{FromClause: []sqlparse.Node{m.s.SourceRelation}}
	for _, c := range m.src.cols {
		sel.TargetList = append(sel.TargetList, sqlparse.Output(sqlparse.Column(m.alias, c)))
	}
	source := m.step(m.deparse(sqlparse.SelectNode(sel)))
	counted := m.step("SELECT pg_catalog.row_number() OVER () AS pleiad_n, s.* FROM " + PreludeRows(source) + " AS s (" + cols + ")")
	from := PreludeRows(counted) + " AS " + alias + " (pleiad_n, " + cols + ")"
	on, err := sqlparse.DeparseExpr(m.s.JoinCondition)
	m.fail(err)
	target := quoteName(m.t.Schema, m.t.Name) + " AS " + quoteIdent(m.name)
	matched := m.step("SELECT " + alias + ".pleiad_n FROM " + target + " JOIN " + from + " ON " + on + " FOR NO KEY UPDATE OF " + quoteIdent(m.name))
	when := "pleiad_m IS NULL"
	if m.when.Condition != nil {
		cond, err := sqlparse.DeparseExpr(m.when.Condition)
		m.fail(err)
		when += " AND (" + cond + ")"
	}
	outs := make([]string, 0, len(m.src.cols)+len(made))
	names := slices.Clone(m.src.cols)
	for _, c := range m.src.cols {
		outs = append(outs, alias+"."+quoteIdent(c))
	}
	for _, v := range made {
		expr, err := sqlparse.DeparseExpr(v.expr)
		m.fail(err)
		names = append(names, "pleiad_v"+itoa(v.column))
		outs = append(outs, "CASE WHEN "+when+" THEN ("+expr+")::"+m.t.Columns[v.column].BaseType()+" END AS "+names[len(names)-1])
	}
	values := m.step("SELECT " + strings.Join(outs, ", ") + " FROM (SELECT s.*, (SELECT m.n FROM " + PreludeRows(matched) +
		" AS m (n) WHERE m.n" + equals + "s.pleiad_n LIMIT 1) AS pleiad_m FROM " + PreludeRows(counted) + " AS s (pleiad_n, " + cols +
		") ORDER BY s.pleiad_n OFFSET 0) AS " + alias)
	m.s.SourceRelation = sqlparse.Range(preludeRows(values), m.alias, names)
	m.out.Text = m.deparse(m.n)
	return true
}
