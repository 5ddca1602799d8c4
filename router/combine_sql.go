package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// combinedTypes are the types whose partial values combine exactly, by the name to cast them to. For sum, only those
// whose addition is exact in any order.
var combinedTypes = map[uint32]struct {
	name string
	sums bool
	text bool
}{
	21: {name: "int2"}, 23: {name: "int4"}, 20: {name: "int8", sums: true}, 26: {name: "oid"},
	1700: {name: "numeric", sums: true}, 790: {name: "money", sums: true}, 1186: {name: "interval", sums: true},
	700: {name: "float4"}, 701: {name: "float8"}, 16: {name: "bool"},
	25: {name: "text", text: true}, 1042: {name: "bpchar", text: true},
	1082: {name: "date"}, 1083: {name: "time"}, 1266: {name: "timetz"},
	1114: {name: "timestamp"}, 1184: {name: "timestamptz"},
	3220: {name: "pg_lsn"}, 5069: {name: "xid8"}, 869: {name: "inet"}, 27: {name: "tid"},
	1560: {name: "bit"}, 1562: {name: "varbit"},
}

// CombineSQL is the statement that makes the answer of the backends' partial rows: their columns' names and types, and
// their values as text, nil for NULL.
func CombineSQL(list []Combine, names []string, types []uint32, rows [][][]byte) (string, *pgerr.Error) {
	for i := range names {
		if !simple(list) && names[i] != partialName+itoa(i+1) {
			return "", errUncombined("expressions over aggregates")
		}
	}
	var b strings.Builder
	b.WriteString("SELECT ")
	columns := 0
	for i, c := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		for _, piece := range c.Pieces {
			if piece.Func == "" {
				b.WriteString(piece.Text)
				continue
			}
			columns = max(columns, piece.last()+1)
			if err := piece.write(&b, names, types); err != nil {
				return "", err
			}
		}
		b.WriteString(" AS " + quoteIdent(c.Name))
	}
	if columns != len(names) || len(types) != len(names) {
		return "", pgerr.New(pgerr.InternalError, "aggregate query has %d columns instead of %d", len(names), columns)
	}
	b.WriteString(" FROM (VALUES ")
	for r, row := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for i, v := range row {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quoteValue(v) + "::pg_catalog." + combinedTypes[types[i]].name)
		}
		b.WriteByte(')')
	}
	b.WriteString(") AS pleiad_parts (")
	for i := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("c" + itoa(i))
	}
	b.WriteByte(')')
	return b.String(), nil
}

// simple is true where each backend computes the client's own target list.
func simple(list []Combine) bool {
	return !slices.ContainsFunc(list, func(c Combine) bool {
		return len(c.Pieces) != 1 || c.Pieces[0].Func == "" || c.Pieces[0].Func == combineAvg
	})
}

// last is the last partial column of an aggregate.
func (c CombinePiece) last() int {
	if c.Func == combineAvg {
		return c.Column + 1
	}
	return c.Column
}

// write appends the aggregate of the partial values.
func (c CombinePiece) write(b *strings.Builder, names []string, types []uint32) *pgerr.Error {
	if c.last() >= len(types) {
		return errUncombined("an expression over aggregates")
	}
	t, ok := combinedTypes[types[c.Column]]
	sums := c.Func == "sum" || c.Func == combineAvg
	if !ok || sums && !t.sums || t.text && c.Collation != "default" || c.Func == combineAvg && t.name != "int8" && t.name != "numeric" {
		return errUncombined("column " + quoteIdent(names[c.Column]) + " of type oid " + itoa(int(types[c.Column])))
	}
	col := "pleiad_parts.c" + itoa(c.Column)
	if c.Func == combineAvg {
		if combinedTypes[types[c.Column+1]].name != "int8" {
			return errUncombined("an expression over aggregates")
		}
		b.WriteString("(pg_catalog.sum(" + col + ") OPERATOR(pg_catalog./) pg_catalog.sum(pleiad_parts.c" + itoa(c.Column+1) + "))")
		return nil
	}
	b.WriteString("(pg_catalog." + c.Func + "(" + col + ")::pg_catalog." + t.name + ")")
	return nil
}

func errUncombined(what string) *pgerr.Error {
	return pgerr.New(pgerr.FeatureNotSupported, "combining %s over several backends is not supported", what).
		WithHint("Restrict every sharded table to one value of its partition key, or cast to numeric.")
}

func quoteValue(v []byte) string {
	if v == nil {
		return "NULL"
	}
	return "'" + strings.ReplaceAll(string(v), "'", "''") + "'"
}
