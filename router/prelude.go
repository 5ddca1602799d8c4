package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Prelude is what a statement needs to have run ahead of it: its WITH queries that write, and subqueries that do not depend
// on the rest and cannot run where the rest does. PostgreSQL, too, runs each of them once.
type Prelude struct {
	// Steps run one after the other. PreludeRows(k) in a later step, or in Text, stands for step k's rows.
	Steps []string
	// Shapes are queries with the columns of those steps that write, which tell their collations; "" for the others.
	Shapes []string
	// Text is the statement, to be planned once the rows are there.
	Text string
	// Answer is true where a step has written already: Text is a query, at home, that gives the client's RETURNING. Its tag is
	// Command's.
	Answer  bool
	Command string
	// OneMatch is true where Text writes a reference table, and each of its rows by at most one row of the steps: PlanOneMatch
	// plans it.
	OneMatch bool
	// Fulfils are the steps whose foreign keys a later part may fulfil: PostgreSQL looks at them behind all parts.
	Fulfils []int
	// Apart must hold for the values at hand; else the statement is refused.
	Apart []OtherKeys
	// Denied, if set, is said where a step is denied a right that the statement itself might not need.
	Denied *pgerr.Error
	// Merges is set for MERGE: the rows that Text and the steps that write have changed are counted together.
	Merges bool
}

// tryPrelude plans a statement anew that has no plan over several backends, or that is refused for what a prelude can take
// out of it.
func (p *planner) tryPrelude() {
	t := p.t
	switch {
	case p.from > 0 || p.gatherOnly:
		return
	case t.Kind == KindShards && t.Scatter == nil && t.Gather == nil && t.InsertQuery == nil && t.LockRows == nil && t.LockJoin == nil && t.LockPick == nil && !p.t.onOne():
	case t.Kind == KindRefuse && slices.Contains(preludeRefusals, t.Refusal):
	default:
		return
	}
	if p.namesSteps() {
		return
	}
	pre := p.drawn()
	if pre == nil {
		var err *pgerr.Error
		if pre, err = p.prelude(); err != nil || pre == nil {
			return
		}
	}
	t.Cacheable = false
	t.Prelude, t.NoScatter = pre, nil
	if t.Kind == KindRefuse {
		t.Kind, t.Refusal = KindPrelude, nil
	}
}

// preludeRefusals are those that a subquery or WITH query may be the reason for.
var preludeRefusals = []*pgerr.Error{refRefCTE, refRefWrite, refRefLimit, refSubLimit, refInsertSelect, refSubquery, refMergeKey, refKeyUpdate}

// prelude takes a statement apart; nil when there is nothing to take out.
func (p *planner) prelude() (*Prelude, *pgerr.Error) {
	stmts, err := sqlparse.Parse(p.text)
	if err != nil || len(stmts) != 1 {
		return nil, refStatement
	}
	b := &preludeBuilder{env: p.env, out: &Prelude{}, levels: map[*sqlparse.SelectStmt]*query{}}
	n := stmts[0].Node
	a := &analysis{env: p.env, text: p.text, lits: p.lits, named: map[*sqlparse.RangeVar]bool{}}
	root := a.statement(n)
	if root == nil || a.err != nil && !slices.Contains(preludeRefusals, a.err) || a.fn&(fnSharded|fnDynamic|fnUnknown) != 0 {
		return nil, refStatement
	}
	b.a, b.root = a, root
	b.parts = map[sqlparse.Node]*query{n: root}
	for _, l := range a.withs {
		if l.dml != nil {
			b.parts[l.node.Ctequery] = l.dml
		}
	}
	root.walk(func(q *query) {
		if q.sel != nil {
			b.levels[q.sel] = q
		}
	})
	b.writes = n.GetSelectStmt() == nil
	if b.readsBefore(n); b.main != nil {
		n = b.main
	}
	b.ahead = len(b.steps)
	if !b.with(n) {
		return nil, refDMLCTE
	}
	if b.writes {
		b.from(n)
		b.sublinks(n)
	} else {
		b.locking(n.GetSelectStmt().FromClause)
	}
	if n, err = b.mergeInParts(n); err != nil {
		return nil, refMergeKey
	}
	if len(b.out.Steps) == 0 || b.bad || b.conflicts(n) {
		return nil, refDMLCTE
	}
	if len(sqlparse.WithOf(n).GetCtes()) == 0 {
		sqlparse.DropWith(n)
	}
	oneSource(n)
	if b.out.Text, err = sqlparse.Deparse(n); err != nil {
		return nil, refStatement
	}
	return b.out, nil
}

// statement analyses a statement of any kind that has a query's parts.
func (a *analysis) statement(n sqlparse.Node) (q *query) {
	switch {
	case n.GetSelectStmt() != nil:
		q = a.query(n.GetSelectStmt(), nil)
	case n.GetInsertStmt() != nil:
		q, _ = a.insertLevel(n.GetInsertStmt(), nil)
	case n.GetUpdateStmt() != nil:
		q, _ = a.updateLevel(n.GetUpdateStmt(), nil)
	case n.GetDeleteStmt() != nil:
		q, _ = a.deleteLevel(n.GetDeleteStmt(), nil)
	case n.GetMergeStmt() != nil:
		q, _ = a.mergeLevel(n.GetMergeStmt(), nil)
	}
	return q
}

type preludeBuilder struct {
	env    *Env
	a      *analysis
	root   *query                   // the statement's own level
	parts  map[sqlparse.Node]*query // and those of what writes
	out    *Prelude
	levels map[*sqlparse.SelectStmt]*query
	// writes is true where the statement itself writes: what it reads of other backends must then be read first.
	writes bool
	ctes   []sqlparse.Node // WITH queries so far, those that were taken out reading their rows
	names  map[string]bool
	// stepped are those that stand for the rows of steps.
	stepped map[string]bool
	// written are the tables that steps write, with the step's own tree.
	written []writtenTable
	steps   []sqlparse.Node
	bad     bool
	// outer are the names of the statement's WITH queries, inner those of queries inside of it.
	outer, inner map[string]bool
	ahead        int           // how many steps read before any part writes
	main         sqlparse.Node // the statement where all of it was made a step; nil otherwise
}

// with goes through the WITH queries in order.
func (b *preludeBuilder) with(n sqlparse.Node) bool {
	w := sqlparse.WithOf(n)
	b.names, b.stepped = map[string]bool{}, map[string]bool{}
	switch {
	case w == nil, w.Recursive && (b.writes || writing(w)) && b.recursive(n, w):
		return true
	}
	b.names = map[string]bool{}
	var kept []sqlparse.Node
	for _, c := range w.Ctes {
		cte := c.GetCommonTableExpr()
		body := cte.Ctequery
		sel := body.GetSelectStmt()
		dml := sel == nil
		reads := b.reads(body)
		locks := sel != nil && len(sel.LockingClause) > 0
		switch {
		case dml && w.Recursive:
			return false
		case !dml && !w.Recursive && b.shared(n, sel, cte.Ctename, w):
			if b.bad {
				return false
			}
			fallthrough
		case dml || locks || b.writes && reads && !w.Recursive:
			if dml {
				b.noteTarget(body)
			}
			rows := b.take(body)
			if rows == nil {
				return false
			}
			if dml && len(sqlparse.ReturningOf(body)) == 0 {
				continue // nothing can refer to it
			}
			cte.Ctequery = rows
			b.stepped[cte.Ctename] = true
		}
		kept = append(kept, c)
		b.ctes = kept
		b.names[cte.Ctename] = true
	}
	w.Ctes = kept
	return true
}

// take makes a query a step and returns what reads its rows; nil where its WITH queries cannot go with it.
func (b *preludeBuilder) take(n sqlparse.Node) sqlparse.Node {
	with := b.needed(n)
	if len(with) > 0 && !sqlparse.AddWith(n, with) {
		return nil
	}
	oneSource(n)
	text, err := sqlparse.Deparse(n)
	if err != nil {
		return nil
	}
	shape := ""
	if n.GetSelectStmt() == nil {
		if shape, err = sqlparse.Deparse(returningShape(n)); err != nil {
			return nil
		}
	}
	k := len(b.out.Steps)
	b.out.Steps, b.out.Shapes = append(b.out.Steps, text), append(b.out.Shapes, shape)
	b.steps = append(b.steps, n)
	return sqlparse.SelectNode(&sqlparse.SelectStmt{
		TargetList: []sqlparse.Node{sqlparse.Output(sqlparse.Column(""))},
		FromClause: []sqlparse.Node{sqlparse.Range(preludeRows(k), "pleiad_rows", nil)},
	})
}

// returningShape is a query whose outputs are what a write returns.
func returningShape(n sqlparse.Node) sqlparse.Node {
	from := []sqlparse.Node{sqlparse.RangeVarNode(sqlparse.TargetOf(n))}
	from = append(from, n.GetUpdateStmt().GetFromClause()...)
	from = append(from, n.GetDeleteStmt().GetUsingClause()...)
	return sqlparse.SelectNode(&sqlparse.SelectStmt{
		TargetList: sqlparse.ReturningOf(n), FromClause: from, WithClause: sqlparse.WithOf(n),
	})
}

// oneSource gives all columns of SET (a, b) = (…) the source of the first, which the parser has copied.
func oneSource(n sqlparse.Node) {
	var source sqlparse.Node
	for _, n := range slices.Concat(n.GetUpdateStmt().GetTargetList(), n.GetInsertStmt().GetOnConflictClause().GetTargetList()) {
		switch m := n.GetResTarget().GetVal().GetMultiAssignRef(); {
		case m.GetColno() == 1:
			source = m.Source
		case m != nil:
			m.Source = source
		}
	}
}

// needed are the WITH queries so far that a query names, and those that these name.
func (b *preludeBuilder) needed(n sqlparse.Node) (with []sqlparse.Node) {
	namers := []sqlparse.Node{n}
	for _, c := range slices.Backward(b.ctes) {
		cte := c.GetCommonTableExpr()
		if slices.ContainsFunc(namers, func(n sqlparse.Node) bool { return b.mentions(n, cte.Ctename) }) {
			namers = append(namers, cte.Ctequery)
			with = append(with, c)
		}
	}
	slices.Reverse(with)
	return with
}

// mentions reports whether a query names another of the statement's WITH.
func (b *preludeBuilder) mentions(n sqlparse.Node, name string) bool {
	found := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		rv := n.GetRangeVar()
		found = found || rv != nil && rv.Schemaname == "" && rv.Relname == name && b.maybeWith(rv, true)
		return !found
	})
	return found
}

// reads reports whether a query reads relations that not every backend has whole.
func (b *preludeBuilder) reads(n sqlparse.Node) bool {
	found := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if rv := n.GetRangeVar(); rv != nil && !b.maybeWith(rv, b.names[rv.Relname]) {
			found = found || b.elsewhere(rv)
		}
		return !found
	})
	return found
}

// elsewhere reports whether some backend lacks rows of a relation.
func (b *preludeBuilder) elsewhere(rv *sqlparse.RangeVar) bool {
	t, known := b.env.resolve(rv)
	if t == nil {
		return known // a temporary table
	}
	return t.lacking()
}

// lacking reports whether some backend lacks rows of a relation.
func (t *Table) lacking() bool {
	if t.Kind == TableView {
		return t.Touches || !t.Everywhere
	}
	return t.Kind != TableReference
}

// from takes out what an UPDATE or DELETE joins its target with: subqueries, and tables that are on home alone.
func (b *preludeBuilder) from(n sqlparse.Node) {
	var items []sqlparse.Node
	switch {
	case n.GetUpdateStmt() != nil:
		items = n.GetUpdateStmt().FromClause
	case n.GetDeleteStmt() != nil:
		items = n.GetDeleteStmt().UsingClause
	case n.GetMergeStmt() != nil:
		b.mergeSource(n.GetMergeStmt())
		return
	}
	for i := range items {
		items[i] = b.item(items[i])
	}
}

// locking takes out the subqueries in FROM that lock their rows.
func (b *preludeBuilder) locking(items []sqlparse.Node) {
	for _, n := range items {
		if j := n.GetJoinExpr(); j != nil {
			b.locking([]sqlparse.Node{j.Larg, j.Rarg})
		}
		rs := n.GetRangeSubselect()
		if rs == nil || rs.Lateral || len(rs.Subquery.GetSelectStmt().GetLockingClause()) == 0 || !b.apart(rs.Subquery.GetSelectStmt()) {
			continue
		}
		if rows := b.take(rs.Subquery); rows != nil {
			rs.Subquery = rows
		}
	}
}

func (b *preludeBuilder) item(n sqlparse.Node) sqlparse.Node {
	switch {
	case n.GetJoinExpr() != nil:
		j := n.GetJoinExpr()
		j.Larg, j.Rarg = b.item(j.Larg), b.item(j.Rarg)
	case n.GetRangeSubselect() != nil:
		rs := n.GetRangeSubselect()
		if !rs.Lateral && b.apart(rs.Subquery.GetSelectStmt()) {
			if rows := b.take(rs.Subquery); rows != nil {
				rs.Subquery = rows
			}
		}
	case n.GetRangeVar() != nil:
		rv := n.GetRangeVar()
		t, known := b.env.resolve(rv)
		if b.maybeWith(rv, b.names[rv.Relname]) || t == nil && !known || t != nil && t.Kind != TableLocal {
			return n
		}
		alias, columns := rv.Relname, []string(nil)
		if rv.Alias != nil {
			alias, columns = rv.Alias.Aliasname, sqlparse.Strings(rv.Alias.Colnames)
		}
		rv.Alias = nil
		rows := b.take(sqlparse.SelectNode(&sqlparse.SelectStmt{
			TargetList: []sqlparse.Node{sqlparse.Output(sqlparse.Column(""))}, FromClause: []sqlparse.Node{n},
		}))
		if rows == nil {
			b.bad = true
			return n
		}
		return sqlparse.Range(preludeRows(len(b.out.Steps)-1), alias, columns)
	}
	return n
}

// apart reports whether a subquery does not depend on the levels around it, and has to be read first: once for all backends.
func (b *preludeBuilder) apart(s *sqlparse.SelectStmt) bool {
	q := b.levels[s]
	return q != nil && !q.escapes && (q.open || len(q.out) > 0) && (b.reads(sqlparse.SelectNode(s)) || q.facts()&fnUnsteady != 0 || q.limited())
}

// limited reports whether some level takes a part of its rows, which backends may have in other orders.
func (q *query) limited() bool {
	found := false
	q.walk(func(q *query) { found = found || q.sel.GetLimitCount() != nil || q.sel.GetLimitOffset() != nil })
	return found
}

// sublinks takes out the subqueries in expressions; of an INSERT only those behind its source, which is read first anyway.
func (b *preludeBuilder) sublinks(n sqlparse.Node) {
	visit := func(n sqlparse.Node) bool {
		sl := n.GetSubLink()
		switch {
		case n.GetCommonTableExpr() != nil, n.GetMultiAssignRef().GetColno() > 1:
			return false
		case sl == nil || !b.apart(sl.Subselect.GetSelectStmt()):
			return true
		}
		if rows := b.take(sl.Subselect); rows != nil {
			sl.Subselect = rows
		}
		return false
	}
	ins := n.GetInsertStmt()
	use := meantColumns(n)
	if ins == nil {
		sqlparse.Walk(n, visit)
		if b.a.keyMoves || len(b.a.keyTo) > 0 { // RETURNING is evaluated where the rows go to
			for _, part := range n.GetUpdateStmt().GetReturningList() {
				b.relations(n, part, use, (*Table).lacking)
			}
		}
		if t, _ := b.env.resolve(sqlparse.TargetOf(n)); n.GetMergeStmt() == nil && t != nil && t.Kind == TableSharded {
			b.relations(n, n, use, func(t *Table) bool { return t.Kind == TableLocal }) // other sharded rows go to every backend anyway
		}
		return
	}
	for _, list := range [][]sqlparse.Node{ins.ReturningList, ins.OnConflictClause.GetTargetList(), {ins.OnConflictClause.GetWhereClause()}} {
		sqlparse.WalkList(list, visit)
		for _, part := range list {
			b.relations(n, part, use, (*Table).lacking)
		}
	}
}

// relations makes the rows of relations in subqueries steps: those that are wanted ones.
func (b *preludeBuilder) relations(whole, part sqlparse.Node, use *columnUse, wanted func(*Table) bool) {
	if part == nil {
		return
	}
	sqlparse.RewriteChildren(part, func(n sqlparse.Node) (sqlparse.Node, bool) {
		rv := n.GetRangeVar()
		switch {
		case n.GetMultiAssignRef().GetColno() > 1, n.GetRangeTableSample() != nil, len(n.GetSelectStmt().GetLockingClause()) > 0:
			return n, false
		case rv != nil && !b.maybeWith(rv, b.outer[rv.Relname] || b.inner[rv.Relname]):
			if t, _ := b.env.resolve(rv); t != nil && wanted(t) {
				if with := b.relationBefore(whole, rv, use); with != nil {
					return with, false
				}
			}
		}
		return n, true
	})
}
