package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// docPath is a part of a document that can travel in its place: doc->'a'->>'b'. To take it fails for no document.
type docPath struct {
	column int
	sql    string // what stands behind the column's name
	text   bool
	// named is true if an output column has its name from the expression: then an expression has to take its place, which
	// would give it another one.
	named bool
	name  string   // of the column that holds it; "" where it does not travel by itself
	uses  []Splice // where the text has it; With is what qualifies the column
}

// docPaths are those of one relation.
type docPaths []*docPath

// of tells whether a column is in any, and whether they travel in its place.
func (p docPaths) of(column int) (some, kept bool) {
	for _, e := range p {
		some = some || e.column == column
		kept = kept || e.column == column && e.name != ""
	}
	return some, kept
}

// unitPaths are the parts of documents that a text means, by the place of their relation.
type unitPaths struct {
	at   map[*sqlparse.RangeVar]docPaths
	lost map[string]bool // names of columns of which some use cannot be told
}

// pathName begins the names of columns that hold parts of documents.
const pathName = "pleiad_path"

// paths finds the parts of documents in a text.
func (b *gatherBuilder) paths(u *unit) *unitPaths {
	if p := b.found[u]; p != nil {
		return p
	}
	p := &unitPaths{at: map[*sqlparse.RangeVar]docPaths{}, lost: map[string]bool{}}
	b.found[u] = p
	b.findPaths(u, p)
	n := 0
	for _, r := range b.a.all {
		if r.place.unit != u || strings.Contains(strings.ToLower(u.text), pathName) {
			continue
		}
		for _, e := range p.at[r.place.rv] {
			if e.name == "" && b.separable(r, p, e.column) {
				e.name = pathName + itoa(n)
				n++
			}
		}
	}
	return p
}

func (b *gatherBuilder) findPaths(u *unit, p *unitPaths) {
	toks, naming := sqlparse.Tokens(u.text), namingExpressions(u.tree)
	sqlparse.Walk(u.tree, func(n sqlparse.Node) bool {
		ref, keys, text := documentPath(n)
		if ref == nil {
			return true
		}
		names := sqlparse.Strings(ref.Fields)
		r, column := b.documentOf(u, ref)
		use, ok := pathSpan(u.text, toks, ref, keys, text)
		if r == nil || !ok || len(names) > 2 {
			p.lost[names[len(names)-1]] = true
			return false
		}
		sql := pathSQL(keys, text)
		list := p.at[r.place.rv]
		i := slices.IndexFunc(list, func(e *docPath) bool { return e.column == column && e.sql == sql })
		if i < 0 {
			i, list = len(list), append(list, &docPath{column: column, sql: sql, text: text})
			p.at[r.place.rv] = list
		}
		list[i].uses = append(list[i].uses, use)
		list[i].named = list[i].named || naming[n.GetAExpr()]
		return false
	})
}

// separable reports whether the parts of a document that are meant can travel in its place.
func (b *gatherBuilder) separable(r *rel, p *unitPaths, column int) bool {
	alias := r.place.rv.Relname
	if r.place.rv.Alias != nil {
		alias = r.place.rv.Alias.Aliasname
	}
	name := r.cols[column]
	if p.lost[name] || b.use(r.place.unit).whole(quoteIdent(alias), name, r.cols) || !b.p.env.ownOperatorsFirst() {
		return false
	}
	var parts docPaths
	for _, e := range p.at[r.place.rv] {
		if e.column == column {
			parts = append(parts, e)
		}
	}
	for _, e := range parts {
		// Where a query groups by doc->'a', doc->'a'->'b' is an expression over the group.
		within := func(o *docPath) bool { return o != e && strings.HasPrefix(o.sql, e.sql) }
		if e.named && !e.text || slices.ContainsFunc(parts, within) {
			return false
		}
	}
	return len(parts) <= maxPathKeys
}

// documentPath takes an expression like doc->'a'->>'b' apart; ref is nil for any other.
func documentPath(n sqlparse.Node) (ref *sqlparse.ColumnRef, keys []string, text bool) {
	e := n.GetAExpr()
	if e == nil || e.Kind != sqlparse.ExprOp || e.Lexpr == nil || e.Rexpr.GetAConst().GetSval() == nil {
		return nil, nil, false
	}
	op := sqlparse.Strings(e.Name)
	if len(op) != 1 || op[0] != "->" && op[0] != "->>" {
		return nil, nil, false
	}
	if ref = e.Lexpr.GetColumnRef(); ref != nil && hasStar(ref.Fields) {
		return nil, nil, false
	} else if ref == nil {
		if ref, keys, text = documentPath(e.Lexpr); ref == nil || text {
			return nil, nil, false
		}
	}
	return ref, append(keys, e.Rexpr.GetAConst().GetSval().Sval), op[0] == "->>"
}

func (p *docPath) typ() uint32 {
	if p.text {
		return shardmap.TextOID
	}
	return jsonbOID
}

func pathSQL(keys []string, text bool) string {
	var out strings.Builder
	for i, k := range keys {
		op := "->"
		if text && i == len(keys)-1 {
			op = "->>"
		}
		out.WriteString(" OPERATOR(pg_catalog." + op + ") " + quoteLiteral(k) + "::pg_catalog.text")
	}
	return out.String()
}

// documentOf is the jsonb column that a reference is, of a relation whose rows are fetched; nil where that is not certain.
func (b *gatherBuilder) documentOf(u *unit, ref *sqlparse.ColumnRef) (r *rel, column int) {
	for i, sc := range b.a.refs[ref] {
		id, at := sc.lookup(ref)
		if at == nil || id.r == nil || id.r.place == nil || id.r.place.unit != u || i > 0 && (id.r.place.rv != r.place.rv || id.i != column) {
			return nil, 0
		}
		t := b.fetched(id.r)
		if t == nil || id.i >= len(t.Columns) || t.Columns[id.i].TypeOID != jsonbOID {
			return nil, 0
		}
		r, column = id.r, id.i
	}
	return r, column
}

// pathSpan is the byte range of an expression like a.doc->'a'->>'b' that is written just so.
func pathSpan(text string, toks []sqlparse.Token, ref *sqlparse.ColumnRef, keys []string, asText bool) (s Splice, ok bool) {
	i := slices.IndexFunc(toks, func(t sqlparse.Token) bool { return t.Start == int(ref.Location) })
	last := i + 2*(len(ref.Fields)-1)
	end := last + 2*len(keys)
	if i < 0 || end >= len(toks) {
		return s, false
	}
	at := func(i int) string { return text[toks[i].Start:toks[i].End] }
	for k := i + 1; k < last; k += 2 {
		if at(k) != "." {
			return s, false
		}
	}
	for k, key := range keys {
		op := "->"
		if asText && k == len(keys)-1 {
			op = "->>"
		}
		if at(last+1+2*k) != op || at(last+2+2*k) != quoteLiteral(key) {
			return s, false
		}
	}
	if end+1 < len(toks) && strings.HasPrefix(at(end+1), "'") {
		return s, false // a string in several pieces
	}
	return Splice{Start: toks[i].Start, End: toks[end].End, With: text[toks[i].Start:toks[last].Start]}, true
}

// namingExpressions are those that output columns without a name of their own may be named by (FigureColnameInternal in
// parse_target.c).
func namingExpressions(tree sqlparse.Node) map[*sqlparse.AExpr]bool {
	out := map[*sqlparse.AExpr]bool{}
	sqlparse.Walk(tree, func(n sqlparse.Node) bool {
		if rt := n.GetResTarget(); rt != nil && rt.Name == "" {
			for v := rt.Val; v != nil; {
				if e := v.GetAExpr(); e != nil {
					out[e] = true
				}
				switch {
				case v.GetTypeCast() != nil:
					v = v.GetTypeCast().Arg
				case v.GetCollateClause() != nil:
					v = v.GetCollateClause().Arg
				case v.GetCaseExpr() != nil:
					v = v.GetCaseExpr().Defresult
				case v.GetAIndirection() != nil:
					v = v.GetAIndirection().Arg
				default:
					v = nil
				}
			}
		}
		return true
	})
	return out
}

// splices put the columns that hold parts of documents in their places.
func (p docPaths) splices() (out []Splice) {
	for _, e := range p {
		for _, s := range e.uses {
			switch with := s.With + quoteIdent(e.name); {
			case e.name == "":
				continue
			case e.named:
				s.With = " (" + with + " OPERATOR(pg_catalog.||) ''::pg_catalog.text) "
			default:
				s.With = " " + with + " "
			}
			out = append(out, s)
		}
	}
	return out
}
