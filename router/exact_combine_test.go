package router

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/router/shardmap"
)

// combine answers a query from the backends' partial rows, which travel as text here.
func (db *exactDB) combine(t *testing.T, c *Combine, set shardmap.ShardSet, sql string) [][]string {
	t.Helper()
	var conns []*pgconn.PgConn
	for b := range set.All() {
		conns = append(conns, db.parts[b])
	}
	out, err := combineOn(t, c, conns, sql, db.env.Schema)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return textRows(out)
}

func textRows(r *pgconn.Result) (out [][]string) {
	for _, row := range r.Rows {
		vals := make([]string, len(row))
		for i, v := range row {
			vals[i] = string(v)
			if v == nil {
				vals[i] = "~"
			}
		}
		out = append(out, vals)
	}
	return out
}

// combineOn runs what a Combine says on the connections and finishes on the last of them. An error is PostgreSQL's own, of
// the final statement or of a partial one.
func combineOn(t *testing.T, c *Combine, conns []*pgconn.PgConn, own string, schema *Schema) (*pgconn.Result, error) {
	t.Helper()
	ctx := t.Context()
	last := conns[len(conns)-1]
	partial, parts := own, (*Parts)(nil)
	if c.Same == nil {
		probe, err := last.Prepare(ctx, "", c.Probe(), nil)
		if err != nil {
			t.Fatalf("%s\nprobed as %s: %v", own, c.Probe(), err)
		}
		var types []uint32
		for _, f := range probe.Fields {
			types = append(types, f.DataTypeOID)
		}
		var e error
		if p, refused := c.Compose(types, schema); refused != nil {
			e = refused
		} else {
			parts, partial = p, p.Partial
		}
		if e != nil {
			t.Fatalf("%s: %v", own, e)
		}
		if ask := parts.Collations(); ask != "" {
			res := answer(t, last, ask)
			parts.Collated(res.Rows[0])
		}
	}
	var names []string
	var types []uint32
	columns := make([][][]byte, len(c.Same))
	if parts != nil {
		columns = make([][][]byte, len(parts.Types))
	}
	for _, conn := range conns {
		res := conn.ExecParams(ctx, partial, nil, nil, nil, nil).Read()
		if res.Err != nil {
			return nil, res.Err
		}
		if len(res.Rows) > 0 { // pgconn gives no columns without a row
			names, types = nil, nil
			for _, f := range res.FieldDescriptions {
				names, types = append(names, f.Name), append(types, f.DataTypeOID)
			}
		}
		for _, row := range res.Rows {
			for i, v := range row {
				columns[i] = append(columns[i], v)
			}
		}
	}
	var final string
	if c.Same != nil {
		sql, _, e := c.SameFinal(names, types)
		if e != nil {
			t.Fatalf("%s: %v", own, e)
		}
		final = sql
	} else {
		final = parts.Final(0)
	}
	params := make([][]byte, len(columns))
	for i, col := range columns {
		params[i] = []byte(arrayText(col))
	}
	res := last.ExecParams(ctx, final, params, nil, nil, nil).Read()
	if res.Err != nil && strings.HasPrefix(sqlState(res.Err), "42") {
		t.Fatalf("%s\nparts %s\nanswer %s: %v", own, partial, final, res.Err)
	}
	return res, res.Err
}

func sqlState(err error) string {
	if e, ok := err.(*pgconn.PgError); ok {
		return e.Code
	}
	return ""
}

// arrayText is an array's text.
func arrayText(col [][]byte) string {
	var b strings.Builder
	for i, v := range col {
		if i > 0 {
			b.WriteByte(',')
		}
		if v == nil {
			b.WriteString("NULL")
			continue
		}
		b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(v)) + `"`)
	}
	return "{" + b.String() + "}"
}

func answer(t *testing.T, conn *pgconn.PgConn, sql string) *pgconn.Result {
	t.Helper()
	results, err := conn.Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return results[len(results)-1]
}
