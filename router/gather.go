package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// gatherOr plans a statement's gather, or leaves the reason why there is none.
func (p *planner) gatherOr(a *analysis) {
	g, err := p.gather(a)
	if err != nil {
		p.t.NoScatter = err
		return
	}
	p.t.Gather, p.t.NoScatter = g, nil
}

// gather plans a statement that is finished on one backend. What it needs of every sharded relation, its conditions on that
// relation alone applied, is fetched; the statement's own text then runs with the relations' names replaced by what makes
// their rows of array parameters: an array for each column that may be meant, or else unnest($n::schema.table[]), whose
// elements are rows of the table's own type. Columns keep their names, types, modifiers and collations.
func (p *planner) gather(a *analysis) (*Gather, *pgerr.Error) {
	if err := a.gatherable(); err != nil {
		return nil, err
	}
	b := &gatherBuilder{p: p, a: a, g: &Gather{}, columns: map[*unit]*columnUse{}, found: map[*unit]*unitPaths{}, bare: map[*sqlparse.RangeVar]bool{}, names: map[*sqlparse.RangeVar][]string{}}
	b.g.Home = p.homeCopy || a.needsHome() != nil || a.fn&(fnVolatile|fnServer|fnUserVol) != 0
	splices, err := b.unit(a.unit)
	if err != nil {
		return nil, err
	}
	b.g.Splices = splices
	b.g.Fetch = b.statement()
	if b.literals {
		p.t.Cacheable = false
	}
	return b.g, nil
}

// gatherable checks what forbids a gather whatever the relations.
func (a *analysis) gatherable() *pgerr.Error {
	switch {
	case a.unit == nil:
		return a.noScatter
	case a.writes:
		return refDMLCTE
	case a.locking:
		return refLocking
	case a.tableOID:
		return refTableOID
	case a.fn&fnUnknown != 0:
		return refUnknownFunc
	}
	return nil
}

type gatherBuilder struct {
	p        *planner
	a        *analysis
	g        *Gather
	parts    []fetch
	columns  map[*unit]*columnUse
	found    map[*unit]*unitPaths
	bare     map[*sqlparse.RangeVar]bool     // relations that are fetched column by column
	names    map[*sqlparse.RangeVar][]string // the columns that are there for each, those that GROUP BY takes
	literals bool                            // a fetch holds literals of the statement
}

// unit makes the splices of one text; a relation that is named twice by one place (a WITH query with two references) is
// replaced once.
func (b *gatherBuilder) unit(u *unit) ([]Splice, *pgerr.Error) {
	var out []Splice
	seen := map[int32]bool{}
	toks := sqlparse.Tokens(u.text)
	for _, r := range b.a.all {
		if r.place.unit != u || seen[r.place.rv.Location] {
			continue
		}
		with, err := b.relation(r)
		if err != nil {
			return nil, err
		}
		if with == "" {
			continue
		}
		seen[r.place.rv.Location] = true
		s, err := nameSpan(toks, r.place.rv)
		if err != nil {
			return nil, err
		}
		if r.place.rv.Alias == nil {
			with += " AS " + quoteIdent(r.place.rv.Relname)
		}
		s.With = with
		if i := slices.IndexFunc(toks, func(t sqlparse.Token) bool { return t.Start == s.Start }); i > 0 && toks[i-1].Word == "table" {
			s.Start, s.With = toks[i-1].Start, "SELECT * FROM "+with // TABLE name
		}
		out = append(out, s)
		out = append(out, unqualified(u, toks, r)...)
		if b.bare[r.place.rv] {
			out = append(out, b.paths(u).at[r.place.rv].splices()...)
		}
		groups, err := b.dependent(toks, r)
		if err != nil {
			return nil, err
		}
		out = append(out, groups...)
	}
	slices.SortStableFunc(out, func(x, y Splice) int { return x.Start - y.Start })
	return slices.CompactFunc(out, func(x, y Splice) bool { return x == y }), nil
}

// relation is what stands in the place of a relation's name, "" where the name stays.
func (b *gatherBuilder) relation(r *rel) (string, *pgerr.Error) {
	switch {
	case r.place.view != nil:
		return b.view(r)
	case r.table == nil || r.table.Kind != TableSharded:
		b.g.Reads = b.g.Reads || r.table != nil
		return "", nil
	}
	return b.array(r, r.table, r.cols, nil)
}

// view is a view over sharded tables: fetched whole where each backend computes its part of it, else its definition.
func (b *gatherBuilder) view(r *rel) (string, *pgerr.Error) {
	if !r.sub.hasSharded() {
		b.g.Reads = true
		return "", nil
	}
	v := r.place.view
	if b.fetched(r) != nil {
		keys, ok := []orderKey(nil), true
		if r.sub.sorted() {
			keys, ok = b.a.orderKeys(r.sub)
		}
		if ok || v.Owner != b.p.env.User {
			with, err := b.array(r, v, r.cols, keys)
			return orderedRows(with, v, keys), err
		}
	}
	if v.Owner != b.p.env.User {
		// Its tables' rights and policies are its owner's.
		return "", refViewOwner
	}
	splices, err := b.unit(r.place.inner)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	from := 0
	for _, s := range splices {
		text.WriteString(v.Definition[from:s.Start] + s.With)
		from = s.End
	}
	text.WriteString(strings.TrimRight(v.Definition[from:], "; \n"))
	return "(" + text.String() + ")", nil
}

// orderedRows sorts a view's rows as the view does.
func orderedRows(rows string, v *Table, keys []orderKey) string {
	var list []string
	for _, k := range keys {
		list = append(list, quoteIdent(v.Columns[k.col].Name)+k.key.direction())
	}
	if len(list) == 0 {
		return rows
	}
	return "(SELECT * FROM " + rows + " ORDER BY " + strings.Join(list, ", ") + ")"
}

// fetched is the table or view whose rows a relation's are, where they are fetched; else nil.
func (b *gatherBuilder) fetched(r *rel) *Table {
	v := r.place.view
	switch {
	case v == nil && r.sharded():
		return r.table
	case v != nil && v.Everywhere && r.sub.hasSharded() && b.distributable(r):
		return v
	}
	return nil
}

// distributable reports whether a view's rows are those of its parts on each backend put together.
func (b *gatherBuilder) distributable(r *rel) bool {
	pure := true
	r.sub.walk(func(q *query) {
		pure = pure && (q.targetFacts|q.whereFacts)&(fnOnce|fnUserStable|fnTables|fnNextval|fnCurrval|fnHome|fnPins) == 0 && !q.sample && !q.outerAggregate && !q.tableOID
	})
	if !pure {
		return false
	}
	s, err := b.a.distributor().level(r.sub, false)
	return err == nil && s.sharded
}

func quoteIdents(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quoteIdent(n)
	}
	return strings.Join(out, ", ")
}

// conditions are the statement's conditions on one relation alone that a backend may apply ahead: every row that they let
// through is tested again.
func (b *gatherBuilder) conditions(r *rel) (out []string, err *pgerr.Error) {
	for _, f := range b.a.filters {
		if !slices.Contains(f.rels, r) {
			continue
		}
		for _, n := range conjuncts(f.n, nil) {
			if !b.ahead(n, f.sc, r) {
				continue
			}
			sql, e := sqlparse.DeparseExpr(n)
			if e != nil {
				continue
			}
			b.literals = b.literals || hasConstants(n)
			out = append(out, "("+sql+")")
		}
	}
	return out, nil
}

func conjuncts(n sqlparse.Node, out []sqlparse.Node) []sqlparse.Node {
	if b := n.GetBoolExpr(); b != nil && b.Boolop == sqlparse.BoolAnd {
		for _, arg := range b.Args {
			out = conjuncts(arg, out)
		}
		return out
	}
	return append(out, n)
}

func hasConstants(n sqlparse.Node) bool {
	found := false
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		found = found || n.GetAConst() != nil
		return !found
	})
	return found
}

// ahead reports whether a condition is of plain columns of r, constants and functions of them that give the same on every
// backend.
func (b *gatherBuilder) ahead(n sqlparse.Node, sc *scope, r *rel) bool {
	ok, columns := true, 0
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		ok = ok && b.a.env.unnamed(n) == 0
		switch {
		case n.GetColumnRef() != nil:
			id, at := sc.lookup(n.GetColumnRef())
			ok = ok && at == sc && id.r == r && len(n.GetColumnRef().Fields) < 3
			columns++
		case n.GetSubLink() != nil, n.GetSelectStmt() != nil, n.GetSqlvalueFunction() != nil, n.GetGroupingFunc() != nil,
			n.GetCurrentOfExpr() != nil:
			ok = false
		case n.GetFuncCall() != nil:
			ok = ok && n.GetFuncCall().Over == nil && b.facts(n.GetFuncCall())&(fnImpure|fnAggregate|fnWindow|fnSRF) == 0
		case n.GetAConst() != nil:
			ok = ok && !presentWord([]byte(n.GetAConst().GetSval().GetSval()))
		}
		return ok
	})
	return ok && columns > 0
}

func (b *gatherBuilder) facts(f *sqlparse.FuncCall) fnFacts {
	switch name := sqlparse.Strings(f.Funcname); len(name) {
	case 1:
		return b.a.env.functionFacts("", name[0])
	case 2:
		return b.a.env.functionFacts(name[0], name[1])
	}
	return fnUnknown
}

// nameSpan is the byte range of a relation's name, with its schema.
func nameSpan(toks []sqlparse.Token, rv *sqlparse.RangeVar) (Splice, *pgerr.Error) {
	i := slices.IndexFunc(toks, func(t sqlparse.Token) bool { return t.Start == int(rv.Location) })
	if i < 0 {
		return Splice{}, refNoKey
	}
	s := Splice{Start: toks[i].Start, End: toks[i].End}
	if rv.Schemaname != "" {
		if i+2 >= len(toks) || toks[i+1].Punct != '.' {
			return Splice{}, refNoKey
		}
		i += 2
		s.End = toks[i].End
	}
	return s, nil
}

// unqualified takes the schema off column references like public.meetings.room: what stands in the table's place has none.
func unqualified(u *unit, toks []sqlparse.Token, r *rel) (out []Splice) {
	if r.place.rv.Alias != nil {
		return nil
	}
	sqlparse.Walk(u.tree, func(n sqlparse.Node) bool {
		ref := n.GetColumnRef()
		if ref == nil || len(ref.Fields) < 3 {
			return true
		}
		names := sqlparse.Strings(ref.Fields[:2])
		if len(names) == 2 && names[1] == r.place.rv.Relname {
			if i := slices.IndexFunc(toks, func(t sqlparse.Token) bool { return t.Start == int(ref.Location) }); i >= 0 && i+2 < len(toks) {
				out = append(out, Splice{Start: toks[i].Start, End: toks[i+2].Start})
			}
		}
		return true
	})
	return out
}

func (b *gatherBuilder) use(u *unit) *columnUse {
	if c := b.columns[u]; c != nil {
		return c
	}
	c := meantColumns(u.tree)
	b.columns[u] = c
	return c
}
