package executor

import (
	"context"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// Partials are the one-row answers of several backends to a query of aggregates.
type Partials struct {
	Names []string   // output columns
	Types []uint32   // their type oids, home's
	Rows  [][][]byte // one for each backend; text, nil for NULL
}

// AskPartials runs an aggregate query on every member at once. It returns the ErrorResponse of the first that failed.
func AskPartials(ctx context.Context, g *Gang, members []*Member, text string, oids []uint32, bind []byte) (*Partials, []byte, error) {
	for _, m := range members {
		if err := Settle(m); err != nil {
			return nil, nil, err
		}
		params := bind
		if params == nil {
			params = []byte{0, 0, 0, 0}
		}
		m.Out = wire.Parse(m.Out, "", text, m.OIDs(oids))
		m.Conn.Unnamed = 0
		m.Out = wire.Bind(m.Out, "", "", append(append([]byte(nil), params...), 0, 0))
		m.Out = wire.Describe(m.Out, 'P', "")
		m.Out = wire.Execute(m.Out, "", 0)
		m.Out = wire.Sync(m.Out)
		m.Owed++
		m.opening, m.Extended = false, false
	}
	for _, m := range members {
		_ = m.Send() // one that is lost says so again below
	}
	p := &Partials{}
	var failure []byte
	var lost error
	for _, m := range members {
		errFrame, err := m.drainInto(func(typ byte, frame []byte) {
			switch typ {
			case 'T':
				if p.Names == nil {
					p.Names, p.Types = columnNames(frame), columnTypes(frame)
				}
			case 'D':
				p.Rows = m.appendValues(p.Rows, frame)
				if n := len(p.Rows); len(p.Rows[n-1]) != len(p.Types) {
					_ = m.Lost(errRow)
				}
			}
		})
		_, errFrame, err = m.asked(nil, errFrame, err)
		if err != nil && lost == nil {
			lost = err
		}
		if errFrame != nil && failure == nil {
			failure = fixError(errFrame, 0)
		}
		if err != nil || errFrame != nil {
			g.Cancel(ctx) // the others' work is in vain
		}
	}
	return p, failure, lost
}

func columnNames(frame []byte) (names []string) {
	d := wire.BodyOf(frame)
	for range d.Uint16() {
		names = append(names, string(d.Text()))
		d.Bytes(18)
	}
	return names
}

// combinedTypes are the types whose partial values combine exactly, by the name to cast them to. For sum, only those
// whose addition is exact in any order.
var combinedTypes = map[uint32]struct {
	name string
	sums bool
	text bool
}{
	oidInt2: {name: "int2"}, oidInt4: {name: "int4"}, oidInt8: {name: "int8", sums: true}, oidOID: {name: "oid"},
	oidNumeric: {name: "numeric", sums: true}, oidMoney: {name: "money", sums: true}, oidInterval: {name: "interval", sums: true},
	oidFloat4: {name: "float4"}, oidFloat8: {name: "float8"}, oidBool: {name: "bool"},
	oidText: {name: "text", text: true}, oidBpchar: {name: "bpchar", text: true},
	oidDate: {name: "date"}, oidTime: {name: "time"}, oidTimetz: {name: "timetz"},
	oidTimestamp: {name: "timestamp"}, oidTimestamptz: {name: "timestamptz"},
	oidLSN: {name: "pg_lsn"}, oidXid8: {name: "xid8"}, 869: {name: "inet"}, 27: {name: "tid"},
	1560: {name: "bit"}, 1562: {name: "varbit"},
}

// CombineSQL is the statement that makes the answer of the partial values.
func (p *Partials) CombineSQL(list []router.Combine) (string, *pgerr.Error) {
	if len(p.Names) != len(list) {
		return "", pgerr.New(pgerr.InternalError, "aggregate query has %d columns instead of %d", len(p.Names), len(list))
	}
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, c := range list {
		t, ok := combinedTypes[p.Types[i]]
		if !ok || c.Func == "sum" && !t.sums || t.text && c.Collation != "default" {
			return "", pgerr.New(pgerr.FeatureNotSupported,
				"combining column %q of type oid %d over several backends is not supported", p.Names[i], p.Types[i]).
				WithHint("Restrict every sharded table to one value of its partition key, or cast to numeric.")
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("pg_catalog." + c.Func + "(p.c" + strconv.Itoa(i) + ")::pg_catalog." + t.name + " AS " + quoteName(p.Names[i]))
	}
	b.WriteString(" FROM (VALUES ")
	for r, row := range p.Rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for i, v := range row {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quoteText(v) + "::pg_catalog." + combinedTypes[p.Types[i]].name)
		}
		b.WriteByte(')')
	}
	b.WriteString(") AS p (")
	for i := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("c" + strconv.Itoa(i))
	}
	b.WriteByte(')')
	return b.String(), nil
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteText(v []byte) string {
	if v == nil {
		return "NULL"
	}
	return "'" + strings.ReplaceAll(string(v), "'", "''") + "'"
}
