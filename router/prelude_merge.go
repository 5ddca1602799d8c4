package router

import (
	"errors"
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// mergeNumber numbers the source's rows of a MERGE in parts.
const mergeNumber = "pleiad_number"

var errMergeParts = errors.New("the MERGE cannot be run in parts")

// mergeSource makes a step of the source of a MERGE into a reference table, where some backend lacks its rows.
func (b *preludeBuilder) mergeSource(s *sqlparse.MergeStmt) {
	t, _ := b.env.resolve(s.Relation)
	if t == nil || t.Kind != TableReference {
		return
	}
	rv := s.SourceRelation.GetRangeVar()
	if rv == nil || !b.elsewhere(rv) || b.maybeWith(rv, b.names[rv.Relname]) {
		s.SourceRelation = b.item(s.SourceRelation)
		return
	}
	if with := b.relationBefore(sqlparse.MergeNode(s), rv, meantColumns(sqlparse.MergeNode(s))); with != nil {
		s.SourceRelation = with
	}
}

// mergeInParts takes a MERGE apart that joins its sharded target on something else than its key and inserts rows: whether a
// row of the source matches none of the target is known once every backend has looked. So the source's rows are read first, and
// the numbers of those that match; MERGE then changes what matches, and INSERT adds the others. It gives the last part.
func (b *preludeBuilder) mergeInParts(n sqlparse.Node) (sqlparse.Node, error) {
	s := n.GetMergeStmt()
	if s == nil {
		return n, nil
	}
	t, _ := b.env.resolve(s.Relation)
	if t == nil || t.Kind != TableSharded || !inserts(s) {
		return n, nil
	}
	alias := sourceAlias(s.SourceRelation)
	cols := b.sourceColumns(s)
	if alias == "" || len(cols) == 0 || len(s.ReturningList) > 0 || b.writesKey(t, s) {
		return nil, errMergeParts
	}
	m := &mergeParts{b: b, s: s, t: t, alias: alias, cols: append([]string{mergeNumber}, cols...)}
	return m.parts()
}

// sourceColumns are the columns of a MERGE's source; nil where they are not known, or where a condition might differ from one
// part to the next.
func (b *preludeBuilder) sourceColumns(s *sqlparse.MergeStmt) []string {
	unsteady := b.a.volatileExpr(s.JoinCondition)
	for _, n := range s.MergeWhenClauses {
		if c := n.GetMergeWhenClause().Condition; c != nil {
			unsteady = unsteady || b.a.volatileExpr(c)
		}
	}
	visit := func(n sqlparse.Node) bool {
		if sl := n.GetSubLink(); sl != nil {
			sqlparse.Walk(sl.Subselect, func(n sqlparse.Node) bool {
				if rv := n.GetRangeVar(); rv != nil {
					t, known := b.env.resolve(rv)
					unsteady = unsteady || t != nil || known
				}
				return true
			})
		}
		return true
	}
	sqlparse.Walk(s.JoinCondition, visit)
	sqlparse.WalkList(s.MergeWhenClauses, visit)
	rels := b.root.rels
	if unsteady || len(b.written) > 0 || len(rels) != 2 || rels[1].open || slices.Contains(rels[1].cols, mergeNumber) {
		return nil
	}
	return rels[1].cols
}

// writesKey reports whether what MERGE does to the rows that match may free a key that it inserts, or take it: the order of the
// rows decides then.
func (b *preludeBuilder) writesKey(t *Table, s *sqlparse.MergeStmt) bool {
	for _, n := range s.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		switch {
		case w.MatchKind == sqlparse.MergeNotMatchedBySource || w.CommandType == sqlparse.CmdDelete:
			return true
		case w.CommandType == sqlparse.CmdUpdate && slices.ContainsFunc(w.TargetList, func(n sqlparse.Node) bool {
			i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == n.GetResTarget().GetName() })
			return i < 0 || slices.Contains(t.PrimKey, i) || slices.Contains(t.Key, i)
		}):
			return true
		}
	}
	return false
}

// mergeParts is a MERGE on its way into parts.
type mergeParts struct {
	b     *preludeBuilder
	s     *sqlparse.MergeStmt
	t     *Table
	alias string
	cols  []string // of the numbered source rows
}

func (m *mergeParts) parts() (sqlparse.Node, error) {
	number, err := sqlparse.ParseExpr("pg_catalog.row_number() OVER ()")
	if err != nil {
		return nil, err
	}
	read := &sqlparse.SelectStmt{TargetList: []sqlparse.Node{sqlparse.Output(number)}, FromClause: []sqlparse.Node{m.s.SourceRelation}}
	for _, c := range m.cols[1:] {
		read.TargetList = append(read.TargetList, sqlparse.Output(sqlparse.Column(m.alias, c)))
	}
	m.s.WithClause = nil
	source, err := m.step(sqlparse.SelectNode(read))
	if err != nil {
		return nil, err
	}
	rows := func() sqlparse.Node { return sqlparse.Range(preludeRows(source), m.alias, m.cols) }
	pairs := &sqlparse.SelectStmt{
		TargetList:  []sqlparse.Node{sqlparse.Output(sqlparse.Column(m.alias, mergeNumber))},
		FromClause:  []sqlparse.Node{sqlparse.RangeVarNode(m.s.Relation), rows()},
		WhereClause: m.s.JoinCondition, GroupClause: []sqlparse.Node{sqlparse.Column(m.alias, mergeNumber)},
	}
	matched, err := m.step(sqlparse.SelectNode(pairs))
	if err != nil {
		return nil, err
	}
	var last sqlparse.Node
	var inserts []sqlparse.Node
	if inserts, err = m.inserts(source, matched); err != nil {
		return nil, err
	}
	if rest := m.withoutInserts(rows()); rest != nil {
		inserts = append([]sqlparse.Node{rest}, inserts...)
	}
	for i, part := range inserts {
		if i == len(inserts)-1 {
			last = part
			break
		}
		if _, err := m.step(part); err != nil {
			return nil, err
		}
	}
	m.b.out.Merges = true
	return last, nil
}

func (m *mergeParts) step(n sqlparse.Node) (int, error) {
	if m.b.take(n) == nil {
		return 0, errMergeParts
	}
	m.b.ahead = len(m.b.steps)
	return len(m.b.steps) - 1, nil
}

// withoutInserts is the MERGE of the rows that match; nil without any such arm.
func (m *mergeParts) withoutInserts(rows sqlparse.Node) sqlparse.Node {
	s := &sqlparse.MergeStmt{Relation: m.s.Relation, SourceRelation: rows, JoinCondition: m.s.JoinCondition}
	for _, n := range m.s.MergeWhenClauses {
		if n.GetMergeWhenClause().MatchKind != sqlparse.MergeNotMatched {
			s.MergeWhenClauses = append(s.MergeWhenClauses, n)
		}
	}
	if len(s.MergeWhenClauses) == 0 {
		return nil
	}
	return sqlparse.MergeNode(s)
}

// inserts is an INSERT for each WHEN NOT MATCHED THEN INSERT: of the rows that match nothing and that no arm before it takes.
func (m *mergeParts) inserts(source, matched int) ([]sqlparse.Node, error) {
	from := " FROM " + PreludeRows(source) + " AS " + quoteIdent(m.alias) + " (" + quoteIdents(m.cols) + ")"
	where := []string{quoteIdent(m.alias) + "." + mergeNumber + " OPERATOR(pg_catalog.<>) ALL (SELECT * FROM " + PreludeRows(matched) + " AS pleiad_rows)"}
	var out []sqlparse.Node
	for _, n := range m.s.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		if w.MatchKind != sqlparse.MergeNotMatched {
			continue
		}
		own, cond := where, "true"
		if w.Condition != nil {
			var err error
			if cond, err = sqlparse.DeparseExpr(w.Condition); err != nil {
				return nil, err
			}
			own = append(slices.Clone(where), "("+cond+")")
		}
		where = append(slices.Clone(where), "("+cond+") IS NOT TRUE")
		if w.CommandType != sqlparse.CmdInsert {
			continue
		}
		ins, err := m.insert(w, from+" WHERE "+strings.Join(own, " AND "))
		if err != nil {
			return nil, err
		}
		out = append(out, ins)
	}
	return out, nil
}

// insert is the INSERT of one arm. A column that is DEFAULT is left out.
func (m *mergeParts) insert(w *sqlparse.MergeWhenClause, rest string) (sqlparse.Node, error) {
	positions := columnPositions(m.t, w.TargetList)
	var names, vals []string
	for i, v := range w.Values {
		if i >= len(positions) || positions[i] < 0 {
			return nil, errMergeParts
		}
		if v.GetSetToDefault() != nil {
			continue
		}
		val, err := sqlparse.DeparseExpr(v)
		if err != nil {
			return nil, err
		}
		names, vals = append(names, m.t.Columns[positions[i]].Name), append(vals, val)
	}
	if len(names) == 0 {
		return nil, errMergeParts
	}
	text := "INSERT INTO " + quoteName(m.t.Schema, m.t.Name) + " (" + quoteIdents(names) + ") SELECT " + strings.Join(vals, ", ") + rest
	stmts, err := sqlparse.Parse(text)
	if err != nil || len(stmts) != 1 {
		return nil, errMergeParts
	}
	stmts[0].Node.GetInsertStmt().Override = w.Override
	return stmts[0].Node, nil
}
