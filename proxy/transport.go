package proxy

import (
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
)

// transport is how rows that one statement has given become array parameters of another: a column each, binary where
// PostgreSQL has arrays of the type and these say the same on every server, else as text.
type transport struct {
	names      []string
	oids       []uint32 // the array parameters' types
	elems      []uint32 // and their elements'
	casts      []string // what a column that travels as text is cast to, "" for the others
	collations []string // of columns that have one other than the default, as pg_collation_for names it
	formats    []int16  // of the statement's columns
}

const recordOID, recordArrayOID = 2249, 2287

var refuseRecord = pgerr.New(pgerr.FeatureNotSupported, "rows of an anonymous type cannot be passed from one part of a statement to another").
	WithHint("Select the columns of the row, or cast it to text.")

// transportOf decides how the first columns of a statement travel; those behind them are the session's own, and binary. m, home,
// tells the names of types.
func (s *Session) transportOf(m *executor.Member, d executor.Description, columns int) (t *transport, failure []byte, err error) {
	t = &transport{names: d.Names[:columns], casts: make([]string, columns), collations: make([]string, columns)}
	var ask []string
	var asked []int
	for i, typ := range d.Types {
		array, ok := executor.ArrayType(typ)
		switch {
		case i < columns && (typ == recordOID || typ == recordArrayOID):
			return nil, nil, refuseRecord
		case i >= columns:
			t.formats = append(t.formats, 1)
		case ok:
			t.formats = append(t.formats, 1)
			t.oids, t.elems = append(t.oids, array), append(t.elems, typ)
		default:
			t.formats = append(t.formats, 0)
			t.oids, t.elems = append(t.oids, executor.TextArrayOID), append(t.elems, shardmap.TextOID)
			ask = append(ask, "pg_catalog.format_type("+strconv.FormatUint(uint64(typ), 10)+", NULL)")
			asked = append(asked, i)
		}
	}
	if len(asked) == 0 {
		return t, nil, nil
	}
	rows, failure, err := m.Ask("SELECT " + strings.Join(ask, ", ") + ", " + textIsExact)
	if err != nil || failure != nil {
		return nil, failure, err
	}
	if string(rows[0][len(asked)]) != "t" {
		return nil, nil, refuseTextStyle
	}
	for k, i := range asked {
		t.casts[i] = "::" + string(rows[0][k])
	}
	return t, nil, nil
}

// learnCollations asks for the collations of a query's columns, without running it. An array's elements have the default one.
func (t *transport) learnCollations(m *executor.Member, query string, types []uint32, bind []byte) (failure []byte, err error) {
	var ask, names []string
	var asked []int
	for i := range t.oids {
		names = append(names, "pleiad_c"+strconv.Itoa(i)) // the query may have further columns, of any name
		switch t.elems[i] {
		case shardmap.TextOID, shardmap.VarcharOID, shardmap.BpcharOID:
			if t.casts[i] == "" {
				ask = append(ask, "pg_catalog.pg_collation_for(q."+names[i]+")")
				asked = append(asked, i)
			}
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	rows, failure, err := m.AskBound("SELECT "+strings.Join(ask, ", ")+" FROM (SELECT) AS one LEFT JOIN ("+query+") AS q ("+
		strings.Join(names, ", ")+") ON false", types, bind)
	if err != nil || failure != nil {
		return failure, err
	}
	for k, i := range asked {
		if c := string(rows[0][k]); c != "" && c != `"default"` {
			t.collations[i] = " COLLATE " + c
		}
	}
	return nil, nil
}

func (t *transport) array(i int) *executor.Array {
	return executor.NewArray(t.formats[i] == 0, t.elems[i])
}

// rows is the subquery that gives the rows again, out of the parameters behind number before.
func (t *transport) rows(before int) string {
	var names, outs, params []string
	for i := range t.oids {
		c := "c" + strconv.Itoa(i)
		names = append(names, c)
		outs = append(outs, c+t.casts[i]+t.collations[i]+" AS "+quoteIdent(t.names[i]))
		params = append(params, "pg_catalog.unnest($"+strconv.Itoa(before+i+1)+")")
	}
	return "(SELECT " + strings.Join(outs, ", ") + " FROM ROWS FROM (" + strings.Join(params, ", ") + ") AS u (" + strings.Join(names, ", ") + "))"
}

// last is the query that gives the last n columns of the rows.
func (t *transport) last(before, n int) string {
	names := make([]string, len(t.oids))
	for i := range names {
		names[i] = "c" + strconv.Itoa(i)
	}
	return "SELECT " + strings.Join(names[len(names)-n:], ", ") + " FROM " + t.rows(before) + " AS pleiad_rows (" + strings.Join(names, ", ") + ")"
}
