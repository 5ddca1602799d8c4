package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// Probe is a statement that is only described: its columns' types decide how the partial rows are made.
func (c *Combine) Probe() string {
	var cols []string
	for _, col := range c.Columns {
		cols = append(cols, col.SQL)
	}
	for _, g := range c.Aggregates {
		cols = append(cols, g.SQL)
	}
	return c.Head + strings.Join(cols, ", ") + c.Tail + c.groupBy()
}

func (c *Combine) groupBy() string {
	if !c.Grouped {
		return ""
	}
	var list []string
	for i := range c.Groups {
		list = append(list, itoa(i+1))
	}
	return " GROUP BY " + strings.Join(list, ", ")
}

// Parts are the two statements of a Combine once the types are known.
type Parts struct {
	// Partial is what each backend runs; its columns have Types (home's oids) and Formats.
	Partial string
	Types   []uint32
	Formats []int16
	// Elems are the element types of the array parameters that hold the columns; 0 for those that travel as text.
	Elems []uint32
	// Unsteady is true if some travel as text that depends on the session's settings: DateStyle must be ISO, IntervalStyle
	// must not be sql_standard, and extra_float_digits must be positive.
	Unsteady bool

	combine   *Combine
	columns   []partColumn
	casts     []string
	collation []string // "": not known
	sql       []string // of the columns
	final     []string // of the aggregates
}

// Compose makes the statements from the types of Probe's columns, home's oids.
func (c *Combine) Compose(types []uint32, schema *Schema) (*Parts, *pgerr.Error) {
	if len(types) != len(c.Columns)+len(c.Aggregates) {
		return nil, pgerr.New(pgerr.InternalError, "partial statement has %d columns instead of %d", len(types), len(c.Columns)+len(c.Aggregates))
	}
	p := &Parts{combine: c}
	names := schema.userTypes()
	add := func(sql string, typ uint32, cast, collation string) bool {
		col, ok := travels(typ, names)
		p.sql, p.Types, p.columns = append(p.sql, sql), append(p.Types, typ), append(p.columns, col)
		p.Elems, p.Formats = append(p.Elems, col.elem), append(p.Formats, binaryIf(col.elem != 0))
		if cast == "" {
			cast = col.cast
		}
		p.casts, p.collation = append(p.casts, cast), append(p.collation, collation)
		p.Unsteady = p.Unsteady || col.unsteady
		return ok
	}
	for i, col := range c.Columns {
		if !add(col.SQL, types[i], col.Type, col.Collation) {
			return nil, errUncombined("a column of type oid " + itoa(int(types[i])))
		}
	}
	for i := range c.Aggregates {
		g, typ, from := &c.Aggregates[i], types[len(c.Columns)+i], len(p.sql)
		sql, own, final, ok := g.parts(typ, func(i int) string { return partAlias + "." + partPrefix + "_c" + itoa(from+i) })
		for k := range sql {
			ok = add(sql[k], own[k], "", g.Collation) && ok
		}
		if !ok {
			return nil, errUncombined(g.Name + " of type oid " + itoa(int(typ)))
		}
		p.final = append(p.final, "("+final+")")
	}
	p.Partial = c.Head + strings.Join(p.sql, ", ") + c.Tail + c.groupBy()
	return p, nil
}

func binaryIf(b bool) int16 {
	if b {
		return 1
	}
	return 0
}

// Collations is a statement of one row that tells the collations that are not known, for Collated; "" where all are.
func (p *Parts) Collations() string {
	var cols []string
	for _, i := range p.unknown() {
		sql := p.sql[i]
		if i >= len(p.combine.Columns) {
			sql = p.combine.aggregateArgument(sql, p.combine.Aggregates)
		}
		cols = append(cols, "pg_catalog.pg_collation_for(("+p.combine.Head+"("+sql+")::pg_catalog.text"+p.combine.Tail+" LIMIT 0))")
	}
	if len(cols) == 0 {
		return ""
	}
	return "SELECT " + strings.Join(cols, ", ")
}

// aggregateArgument is what an aggregate of one argument has its collation from.
func (c *Combine) aggregateArgument(sql string, list []PartAggregate) string {
	i := slices.IndexFunc(list, func(g PartAggregate) bool { return g.SQL == sql })
	if i < 0 || len(list[i].Args) != 1 {
		return sql
	}
	return list[i].Args[0]
}

// unknown lists the columns whose collation has to be asked for.
func (p *Parts) unknown() (out []int) {
	for i, col := range p.columns {
		if col.collated && p.collation[i] == "" {
			out = append(out, i)
		}
	}
	return out
}

// Collated takes the answer of Collations: names as SQL, nil where there is none.
func (p *Parts) Collated(row [][]byte) {
	for k, i := range p.unknown() {
		if k < len(row) {
			p.collation[i] = string(row[k])
		}
	}
}

// Final is the statement that makes the answer; the array parameters stand behind params of the client's.
func (p *Parts) Final(params int) string {
	var b strings.Builder
	for _, piece := range p.combine.Final {
		switch {
		case piece.Rows:
			p.rows(&b, params)
		case piece.Text == "":
			b.WriteString(p.final[piece.Aggregate])
		default:
			b.WriteString(piece.Text)
		}
	}
	return b.String()
}

// nameOID is the one built-in type whose own collation is not the default one.
const nameOID = 19

// rows writes the partial rows as an item of FROM. The arrays are of one length; in a target list, other than in FROM, an
// array of a composite type gives one column.
func (p *Parts) rows(b *strings.Builder, params int) {
	b.WriteString("(SELECT ")
	for i, col := range p.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("pg_catalog.unnest($" + itoa(params+i+1) + "::" + col.declared + "[])")
		if cast := p.casts[i]; cast != "" {
			b.WriteString("::" + cast)
		}
		switch name := p.collation[i]; {
		case !p.columns[i].collated || name == "", strings.Trim(name, `"`) == "default" && p.Types[i] != nameOID:
		case name == "C", name == "POSIX":
			b.WriteString(` COLLATE pg_catalog."` + name + `"`)
		default:
			b.WriteString(" COLLATE " + name)
		}
		b.WriteString(" AS " + partPrefix + "_c" + itoa(i))
	}
	b.WriteString(") AS " + partAlias)
}

// SameFinal is Final where the backends ran the client's own text: its columns' names and types.
func (c *Combine) SameFinal(names []string, types []uint32) (sql string, elems []uint32, err *pgerr.Error) {
	if len(names) != len(c.Same) || len(types) != len(c.Same) {
		return "", nil, pgerr.New(pgerr.InternalError, "aggregate query has %d columns instead of %d", len(names), len(c.Same))
	}
	var cols, rows []string
	for i, name := range names {
		t, ok := partTypes[types[i]]
		if !ok || t.array {
			return "", nil, errUncombined("column " + quoteIdent(name) + " of type oid " + itoa(int(types[i])))
		}
		merge := c.Same[i]
		if merge == "count" {
			merge = "sum"
		}
		cols = append(cols, "(pg_catalog."+quoteIdent(merge)+"(v"+itoa(i)+"))::pg_catalog."+quoteIdent(t.name)+" AS "+quoteIdent(name))
		rows = append(rows, "pg_catalog.unnest($"+itoa(i+1)+"::pg_catalog."+quoteIdent(t.name)+"[])")
		elems = append(elems, types[i])
	}
	columns := "v0"
	for i := 1; i < len(names); i++ {
		columns += ", v" + itoa(i)
	}
	return "SELECT " + strings.Join(cols, ", ") + " FROM ROWS FROM (" + strings.Join(rows, ", ") + ") AS pleiad_values (" + columns + ")", elems, nil
}

// Counts reports whether the answer is nothing but sums of counts.
func (c *Combine) Counts() bool {
	return len(c.Same) > 0 && !slices.ContainsFunc(c.Same, func(s string) bool { return s != "count" })
}
