package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// maxLevels bounds the query levels of one statement, counting a view or WITH query at each reference.
const maxLevels = 2000

// analysis is what reading a statement's tree tells: its relations, what restricts them, the functions it calls.
type analysis struct {
	env  *Env
	text string
	lits []sqlparse.Literal
	fold *folding // nil where lists are not folded
	// foreign counts the views being read: constants in them do not stand in the statement's text.
	foreign int
	levels  int
	seen    func(ref *sqlparse.ColumnRef, sc *scope) // if not nil, is shown every column reference
	unit    *unit                                    // the text being read; nil where nobody asks
	filters []filter
	refs    map[*sqlparse.ColumnRef][]*scope // where each column reference stands; a WITH query's once for each reference to it
	all     []*rel                           // every relation with a place, in the order of analysis
	withs   []*cteList                       // every WITH query
	named   map[*sqlparse.RangeVar]bool      // whether a name in FROM is that of a WITH query; nil where nobody asks

	rels  []*rel // every relation that is a table, at all levels
	edges []edge
	facts []constFact
	boxes []boxFact
	links []colLink
	// constTypes are the types of subquery columns that hold nothing but constants.
	constTypes map[colID]uint32

	params          paramUses
	times           map[sqlparse.Node]timePlace // of string constants and parameters
	inserts         bool                        // the statement is an INSERT: outputs of its SELECTs get the types of its columns
	lockedReference bool                        // FOR UPDATE of a reference table's rows

	fn          fnFacts // of all functions
	hiddenClock bool    // the time is read where it does not stand in the statement's text
	policyClock bool    // so a row level security policy does
	// defaultClocks is true where defaults of an INSERT in a WITH query read it.
	defaultClocks bool
	target        *Table // what the statement writes
	unknown       []string
	local         bool // a local table, temporary or foreign
	system        bool // a system catalog
	sequence      bool // a sequence read as a table
	locking       bool // FOR UPDATE and its kin
	primary       bool // a relation that a standby does not have, or of which too little is known
	writes        bool // a data-modifying WITH query
	setConfig     int  // calls of set_config
	tableOID      bool
	// keyTo are the values that UPDATE gives to key columns.
	keyTo map[colID]KeyValue
	// keyMoves is true if UPDATE gives a key column a value that depends on the row.
	keyMoves         bool
	oldNew           bool // RETURNING names the row before or after the change
	statementTrigger bool // the target has one that fires
	byName           bool // something is looked up by its name: home alone has all that there is
	triggerPins      bool // a trigger changes the session's state
	sublinks         map[*sqlparse.SubLink]*sublink
	err              *pgerr.Error // the first refusal that holds whatever the shards
	noScatter        *pgerr.Error // the first reason against several backends found while reading
}

// edge says that where column from is restricted to some values, column to may be too without changing the
// statement's result.
type edge struct{ from, to colID }

// constFact says that column c may be restricted to vals.
type constFact struct {
	c    colID
	vals []KeyValue
}

// box is one alternative of a disjunction: values for some columns.
type box map[colID][]KeyValue

// boxFact says that the rows may be restricted to those in one of the boxes, for the relations of dom.
type boxFact struct {
	dom   []*rel
	boxes []box
}

// colLink joins a subquery's output column with the column it is. Downwards only where pushing is safe.
type colLink struct {
	out, base colID
	q         *query
	col       int
}

func (a *analysis) refuse(e *pgerr.Error) {
	if a.err == nil {
		a.err = e
	}
}

func (a *analysis) single(e *pgerr.Error) {
	if a.noScatter == nil {
		a.noScatter = e
	}
}

// query analyses a SELECT, VALUES or set operation as a level below outer.
func (a *analysis) query(s *sqlparse.SelectStmt, outer *scope) *query {
	q := &query{sel: s}
	a.levels++
	if a.levels > maxLevels {
		a.refuse(refManyRefs)
		q.open = true
		return q
	}
	sc := &scope{ns: &namespace{}, parent: outer, level: q}
	if outer != nil {
		sc.ctes = outer.ctes
	}
	q.scope = sc
	a.with(s.WithClause, sc)
	if s.Op != sqlparse.SetNone {
		a.setOperation(q, s, sc)
		return q
	}
	if len(s.ValuesLists) > 0 {
		a.values(q, s, sc)
	}
	if s.IntoClause != nil {
		a.refuse(refSelectInto)
	}
	a.from(q, s.FromClause, sc)
	a.where(q, s.WhereClause, sc)
	a.targets(q, s.TargetList, sc)
	a.grouping(q, s, sc)
	a.sorting(q, s, sc)
	a.limits(q, s, sc)
	return q
}

func (a *analysis) setOperation(q *query, s *sqlparse.SelectStmt, sc *scope) {
	for _, arm := range []*sqlparse.SelectStmt{s.Larg, s.Rarg} {
		if arm != nil {
			q.arms = append(q.arms, a.query(arm, sc))
		}
	}
	first := q.arms[0]
	q.open = first.open
	for i, o := range first.out {
		// A column of a set operation is of no relation in particular; links go to each arm.
		q.out = append(q.out, outCol{name: o.name, expr: first.out[i].expr})
	}
	a.limits(q, s, sc)
	for _, srt := range s.SortClause {
		a.expr(q, srt, sc, &q.targetFacts)
	}
}

func (a *analysis) values(q *query, s *sqlparse.SelectStmt, sc *scope) {
	for _, row := range s.ValuesLists {
		a.expr(q, row, sc, &q.targetFacts)
	}
	for i := range s.ValuesLists[0].GetList().GetItems() {
		q.out = append(q.out, outCol{name: "column" + itoa(i+1)})
	}
}

// with makes the WITH queries visible. Those that select are analysed at each reference, and never when nothing
// refers to them: PostgreSQL does not run them either. Data-modifying ones run wherever they stand.
func (a *analysis) with(w *sqlparse.WithClause, sc *scope) {
	if w == nil {
		return
	}
	var all []*cteList
	for _, n := range w.Ctes {
		cte := n.GetCommonTableExpr()
		if cte == nil {
			continue
		}
		l := &cteList{name: cte.Ctename, node: cte, next: sc.ctes, visible: sc.ctes, scope: sc, recursive: w.Recursive}
		sc.ctes = l
		all = append(all, l)
	}
	for _, l := range all {
		if w.Recursive {
			l.visible = sc.ctes // every name of the clause, also later ones
		}
	}
	for _, l := range all {
		if l.node.Ctequery.GetSelectStmt() == nil && l.dml == nil {
			a.single(refDMLCTE)
			a.modify(l)
		}
	}
	a.withs = append(a.withs, all...)
}

// modify analyses a data-modifying WITH query, once.
func (a *analysis) modify(l *cteList) {
	a.writes = true
	l.modifying = true
	l.dml = a.modifying(l)
	l.modifying = false
}

// unused notes what WITH queries name that nothing refers to: they do not run, but must still be understood where the
// statement runs.
func (a *analysis) unused() {
	for _, l := range a.withs {
		if l.used || l.dml != nil {
			continue
		}
		sqlparse.Walk(l.node.Ctequery, func(n sqlparse.Node) bool {
			rv := n.GetRangeVar()
			if rv == nil {
				return true
			}
			switch t, known := a.env.resolve(rv); {
			case t == nil:
				a.local = a.local || known
			case !t.Everywhere && t.Kind != TableSystem:
				a.local = true
			}
			return true
		})
	}
}

// reference analyses a WITH query for one reference to it.
func (a *analysis) reference(l *cteList) *query {
	if l.dml == nil && l.node.Ctequery.GetSelectStmt() == nil { // a later one's, or its own, which PostgreSQL refuses
		a.single(refRecursive)
		if l.modifying {
			return &query{open: true, dml: true}
		}
		a.modify(l)
	}
	if l.dml != nil {
		return l.dml
	}
	visible := l.visible
	if l.recursive {
		visible = &cteList{name: l.name, next: l.visible, working: true}
	}
	q := a.query(l.node.Ctequery.GetSelectStmt(), &scope{parent: l.scope.parent, ctes: visible, level: l.scope.level})
	if l.recursive && visible.used {
		q.recursive = true
		a.single(refRecursive)
	}
	return q
}

func (a *analysis) where(q *query, w sqlparse.Node, sc *scope) {
	if w == nil {
		return
	}
	a.expr(q, w, sc, &q.whereFacts)
	a.filters = append(a.filters, filter{w, sc, kept(q.rels)})
	a.conjunct(q, w, sc, q.rels)
	a.reduceJoins(q, w, sc)
}

func (a *analysis) limits(q *query, s *sqlparse.SelectStmt, sc *scope) {
	for _, n := range []sqlparse.Node{s.LimitCount, s.LimitOffset} {
		if n != nil {
			var f fnFacts
			a.params.place(n, shardmap.Int8OID)
			a.expr(q, n, sc, &f)
		}
	}
	for _, n := range s.LockingClause {
		a.locking = true
		l := n.GetLockingClause()
		if l.GetStrength() < sqlparse.LockNoKeyUpdate {
			continue
		}
		for _, it := range sc.ns.items {
			named := len(l.LockedRels) == 0 || slices.ContainsFunc(l.LockedRels, func(rv sqlparse.Node) bool { return rv.GetRangeVar().GetRelname() == it.name })
			if named && it.rel != nil && it.rel.table != nil && it.rel.table.Kind == TableReference {
				a.lockedReference = true
			}
		}
	}
}
