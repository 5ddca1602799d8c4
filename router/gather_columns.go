package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// GatherColumn is the type of a column of a fetch.
type GatherColumn struct {
	// Row is a table's row type, by qualified name as in Schema.Types; "" for a built-in type.
	Row string
	// OID is the built-in type's.
	OID uint32
	// Text is true of what travels as text: its binary form would hold oids of user types.
	Text bool
}

// fetchValue is a value that a fetch gives of each row.
type fetchValue struct {
	GatherColumn
	typ string // as SQL
	sql string
}

// shownValue is a fetched value as the final statement sees it.
type shownValue struct {
	column int    // of the relation; -1 for what is none
	name   string // "" for what is not seen
	as     string // what makes it of an array's element: a type, a collation
}

// fetch is one relation's part of the fetch statement: FROM with its WHERE, ORDER BY with LIMIT, and what it gives of each row.
type fetch struct {
	from   string
	top    string
	values []fetchValue
	first  int // of its array parameters, counted from 0
}

// maxFetchColumns bounds the columns of a fetch well below PostgreSQL's 1664 for a target list.
const maxFetchColumns = 1000

// slots are the columns of the fetch statement. Parts share those of one type.
func (b *gatherBuilder) slots() (columns []GatherColumn, types []string, parts [][]int) {
	for i := range b.parts {
		var places []int
		for _, v := range b.parts[i].values {
			at := -1
			for k, typ := range types {
				if typ == v.typ && !slices.Contains(places, k) {
					at = k
					break
				}
			}
			if at < 0 {
				at = len(types)
				types, columns = append(types, v.typ), append(columns, v.GatherColumn)
			}
			places = append(places, at)
		}
		parts = append(parts, places)
	}
	return columns, types, parts
}

// statement is the fetch statement: one snapshot for all relations on a backend. Where there are several, its first column
// tells which one a row is of.
func (b *gatherBuilder) statement() string {
	var types []string
	b.g.Columns, types, b.g.Parts = b.slots()
	var out strings.Builder
	for i, f := range b.parts {
		if i > 0 {
			out.WriteString(" UNION ALL ")
		}
		cells := make([]string, len(types))
		for k, typ := range types {
			cells[k] = "NULL::" + typ
		}
		for k, v := range f.values {
			cells[b.g.Parts[i][k]] = v.sql
		}
		if len(b.parts) > 1 {
			cells = slices.Insert(cells, 0, itoa(i)+"::pg_catalog.int2")
		}
		sql := "SELECT " + strings.Join(cells, ", ") + f.from
		if f.top != "" {
			sql = "(" + sql + f.top + ")"
		}
		out.WriteString(sql)
	}
	return out.String()
}

// part makes a relation's rows array parameters, the same ones for equal parts.
func (b *gatherBuilder) part(f fetch) *fetch {
	for i := range b.parts {
		if p := &b.parts[i]; p.from == f.from && p.top == f.top && slices.Equal(p.values, f.values) {
			return p
		}
	}
	if n := len(b.parts); n > 0 {
		f.first = b.parts[n-1].first + len(b.parts[n-1].values)
	}
	b.parts = append(b.parts, f)
	return &b.parts[len(b.parts)-1]
}

// parameter is a value's array parameter.
func (b *gatherBuilder) parameter(f *fetch, i int) string {
	return "pg_catalog.unnest($" + itoa(b.p.t.NParams+f.first+i+1) + "::" + f.values[i].typ + "[])"
}

// array makes a relation's rows array parameters, and gives what takes its name's place. keys are columns that are needed
// though the statement does not name them.
func (b *gatherBuilder) array(r *rel, t *Table, cols []string, keys []orderKey) (string, *pgerr.Error) {
	rv := r.place.rv
	switch {
	case r.place.sampled:
		return "", refTablesample
	case r.hidden:
		return "", refSystemColumn
	case !rv.Inh || rv.Catalogname != "" || len(cols) != len(t.Columns) || r.open:
		return "", refNoKey
	}
	alias, named := quoteIdent(rv.Relname), 0
	f := fetch{from: " FROM " + quoteName(t.Schema, t.Name) + " AS " + alias}
	if rv.Alias != nil {
		alias = quoteIdent(rv.Alias.Aliasname)
		f.from = " FROM " + quoteName(t.Schema, t.Name) + " AS " + alias
		if named = len(sqlparse.Strings(rv.Alias.Colnames)); named > 0 {
			f.from += " (" + quoteIdents(cols[:min(named, len(cols))]) + ")"
		}
	}
	where, err := b.conditions(r)
	if err != nil {
		return "", err
	}
	if len(where) > 0 {
		f.from += " WHERE " + strings.Join(where, " AND ")
	}
	f.top = b.top(r, alias, len(where))
	if values, shown := b.columnwise(r, t, cols, alias); values != nil && len(keys) == 0 {
		f.values = values
		b.bare[rv] = true
		for _, v := range shown {
			if v.name != "" && (v.column < 0 || !slices.Contains(ungroupable, t.Columns[v.column].TypeOID)) {
				b.names[rv] = append(b.names[rv], alias+"."+quoteIdent(v.name))
			}
		}
		return b.columnRows(b.part(f), shown, cols[:min(named, len(cols))]), nil
	}
	f.values = []fetchValue{b.row(r, t, cols, alias, keys)}
	use := b.use(r.place.unit)
	if use.wholeRow(alias, cols) {
		b.names[rv] = append(b.names[rv], alias)
	}
	for i := range t.Columns {
		if use.needs(alias, cols[i], cols) && !slices.Contains(ungroupable, t.Columns[i].TypeOID) {
			b.names[rv] = append(b.names[rv], alias+"."+quoteIdent(cols[i]))
		}
	}
	return b.parameter(b.part(f), 0), nil
}

// row is a relation's row as one value: the columns that the text may mean, NULL for the others.
func (b *gatherBuilder) row(r *rel, t *Table, cols []string, alias string, keys []orderKey) fetchValue {
	use := b.use(r.place.unit)
	var row []string
	text := false
	for i := range t.Columns {
		c := &t.Columns[i]
		switch {
		case slices.ContainsFunc(keys, func(k orderKey) bool { return k.col == i }):
			row = append(row, alias+"."+quoteIdent(cols[i]))
		case !use.needs(alias, cols[i], cols) && c.TypeOID < firstUserOID:
			row = append(row, "NULL")
			continue
		default:
			row = append(row, b.columnValue(use, c, cols, i, alias))
		}
		text = text || c.TypeOID >= firstUserOID
	}
	typ := quoteName(t.Schema, t.Name)
	return fetchValue{
		GatherColumn: GatherColumn{Row: t.Schema + "." + t.Name, Text: text},
		typ:          typ, sql: "ROW(" + strings.Join(row, ", ") + ")::" + typ,
	}
}

// columnValue is a column, of a document no more than what is meant of it.
func (b *gatherBuilder) columnValue(use *columnUse, c *Column, cols []string, i int, alias string) string {
	value := alias + "." + quoteIdent(cols[i])
	if keys := use.paths[cols[i]]; len(keys) > 0 && c.TypeOID == jsonbOID && !use.whole(alias, cols[i], cols) && b.p.env.ownOperatorsFirst() {
		whole := value
		value = jsonbOfKeys(whole, keys)
		b.literals = b.literals || value != whole
	}
	return value
}

// columnwise gives a relation's columns one by one, which is much cheaper than whole rows: PostgreSQL looks up the types of
// a row's columns for each row that it reads, and parses documents. There are none where the whole row may be meant, or where
// a column's values do not travel as elements of an array.
func (b *gatherBuilder) columnwise(r *rel, t *Table, cols []string, alias string) (values []fetchValue, shown []shownValue) {
	use := b.use(r.place.unit)
	if use.wholeRow(alias, cols) || len(cols) > maxFetchColumns || b.p.env.operatorShadowed() {
		return nil, nil
	}
	paths := b.paths(r.place.unit)
	for i := range t.Columns {
		c := &t.Columns[i]
		some, kept := paths.at[r.place.rv].of(i)
		if kept || !use.needs(alias, cols[i], cols) || !some && !paths.lost[cols[i]] && !use.whole(alias, cols[i], cols) {
			continue
		}
		typ, builtin := partTypes[c.TypeOID]
		if !builtin || typ.array || typ.collatable && c.Collation == "" {
			return nil, nil
		}
		values = append(values, builtinValue(c.TypeOID, b.columnValue(use, c, cols, i, alias)))
		shown = append(shown, shownValue{column: i, name: cols[i], as: c.modified() + c.collate()})
	}
	for _, e := range paths.at[r.place.rv] {
		if e.name == "" {
			continue
		}
		values = append(values, builtinValue(e.typ(), alias+"."+quoteIdent(cols[e.column])+e.sql))
		shown = append(shown, shownValue{column: -1, name: e.name})
		b.literals = true
	}
	if len(values) == 0 { // how many rows there are
		values, shown = append(values, builtinValue(shardmap.BoolOID, "true")), append(shown, shownValue{column: -1})
	}
	used := 0
	for _, p := range b.parts {
		used += len(p.values)
	}
	if used+len(values) > maxFetchColumns {
		return nil, nil
	}
	return values, shown
}

func builtinValue(oid uint32, sql string) fetchValue {
	return fetchValue{GatherColumn: GatherColumn{OID: oid}, typ: "pg_catalog." + quoteIdent(partTypes[oid].name), sql: sql}
}

// modified casts to a column's type where that has a modifier. It changes no value that the column had.
func (c *Column) modified() string {
	if c.Typmod == -1 || c.TypeName == "" {
		return ""
	}
	return "::" + c.TypeName
}

// collate gives a value its column's collation, where an array's element has another.
func (c *Column) collate() string {
	switch c.Collation {
	case "", "default":
		return ""
	case "C", "POSIX":
		return ` COLLATE pg_catalog."` + c.Collation + `"`
	}
	return " COLLATE " + c.Collation
}

// columnRows is a relation's rows made of its columns. named are the columns that the text names by their place: those of
// them that nothing means are there, too.
func (b *gatherBuilder) columnRows(f *fetch, shown []shownValue, named []string) string {
	var items, arrays, names []string
	for i := range shown {
		names = append(names, "c"+itoa(i))
		arrays = append(arrays, b.parameter(f, i))
	}
	placed := 0
	for i, v := range shown {
		for ; placed < len(named) && placed != v.column; placed++ {
			items = append(items, "NULL AS "+quoteIdent(named[placed]))
		}
		if v.column >= 0 {
			placed = v.column + 1
		}
		if v.name != "" {
			items = append(items, "f."+names[i]+v.as+" AS "+quoteIdent(v.name))
		}
	}
	for ; placed < len(named); placed++ {
		items = append(items, "NULL AS "+quoteIdent(named[placed]))
	}
	rows := "(SELECT "
	if len(items) > 0 {
		rows += strings.Join(items, ", ") + " "
	}
	return rows + "FROM ROWS FROM (" + strings.Join(arrays, ", ") + ") AS f (" + strings.Join(names, ", ") + "))"
}
