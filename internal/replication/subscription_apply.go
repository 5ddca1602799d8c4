package replication

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// applier writes changes to the target, many in one transaction and in a pipeline.
type applier struct {
	move   int64
	conn   *pgconn.PgConn
	tables map[Table]Follow

	pipe     *pgconn.Pipeline
	role     string            // SET LOCAL ROLE of the transaction; "" is the connection's own
	prepared map[string]string // SQL → name
	owed     []answer
	bytes    int

	changed bool     // a transaction is open on the target
	changes int      // in it
	upTo    Position // end of the last source transaction in it
}

// answer is what the server owes, in order.
type answer struct {
	rows bool // exactly one row must be affected
	what string
}

const (
	pipelineAnswers = 200
	pipelineBytes   = 1 << 20
	// maxPrepared bounds the statements that stay prepared: an UPDATE has one for each set of columns it sets.
	maxPrepared = 500
)

// ErrDiverged says that a changed row is not on the target.
var ErrDiverged = errors.New("a row that the source changed is not on the target")

func (a *applier) open(ctx context.Context) {
	a.pipe = a.conn.StartPipeline(ctx)
	a.prepared = map[string]string{}
}

func (a *applier) close() error { return a.pipe.Close() }

// run sends one statement; its answer is read later.
func (a *applier) run(sql string, params [][]byte, want answer) error {
	name, ok := a.prepared[sql]
	switch {
	case len(params) == 0 || !ok && len(a.prepared) >= maxPrepared:
		a.pipe.SendQueryParams(sql, params, nil, nil, nil)
	case !ok:
		name = "apply_" + strconv.Itoa(len(a.prepared))
		a.prepared[sql] = name
		a.pipe.SendPrepare(name, sql, nil)
		a.owed = append(a.owed, answer{what: sql})
		fallthrough
	default:
		a.pipe.SendQueryPrepared(name, params, nil, nil)
	}
	want.what = sql
	a.owed = append(a.owed, want)
	a.bytes += len(sql)
	for _, p := range params {
		a.bytes += len(p)
	}
	if len(a.owed) >= pipelineAnswers || a.bytes >= pipelineBytes {
		return a.settle()
	}
	return nil
}

// settle reads everything that is owed.
func (a *applier) settle() error {
	if err := a.pipe.Sync(); err != nil {
		return err
	}
	a.bytes = 0
	var first error
	next := 0
	for {
		result, err := a.pipe.GetResults()
		if err == nil {
			switch r := result.(type) {
			case *pgconn.PipelineSync:
				a.owed = a.owed[:0]
				return first
			case *pgconn.ResultReader:
				var tag pgconn.CommandTag
				tag, err = r.Close()
				if err == nil && a.owed[next].rows && tag.RowsAffected() != 1 {
					err = fmt.Errorf("%w: %s affected %d rows", ErrDiverged, a.owed[next].what, tag.RowsAffected())
				}
			case nil:
				return errors.Join(first, errors.New("the target owes an answer"))
			}
		}
		if err != nil && first == nil {
			first = err
			if next < len(a.owed) {
				first = fmt.Errorf("apply %s: %w", a.owed[next].what, err)
			}
		}
		if err != nil && a.conn.IsClosed() {
			return first
		}
		next = min(next+1, len(a.owed)-1)
	}
}

// enter opens the transaction and makes the table's owner its role: expressions of the table run with the rights of its
// owner only.
func (a *applier) enter(t Table) (Follow, error) {
	f := a.tables[t]
	if !a.changed {
		a.changed = true
		if err := a.run("BEGIN", nil, answer{}); err != nil {
			return f, err
		}
	}
	a.changes++
	if a.role == f.Owner {
		return f, nil
	}
	a.role = f.Owner
	return f, a.run("SET LOCAL ROLE "+quoteIdent(f.Owner), nil, answer{})
}

// commit ends the transaction, with a note of how far it goes.
func (a *applier) commit() error {
	if err := a.run("RESET ROLE", nil, answer{}); err != nil {
		return err
	}
	a.role = ""
	err := a.run("INSERT INTO pleiad.incoming (move, nsp, rel, lsn) VALUES ($1, '', '', $2)"+
		" ON CONFLICT (move, nsp, rel) DO UPDATE SET lsn = excluded.lsn",
		[][]byte{strconv.AppendInt(nil, a.move, 10), []byte(a.upTo.String())}, answer{rows: true})
	if err == nil {
		err = a.run("COMMIT", nil, answer{})
	}
	if err == nil {
		err = a.settle()
	}
	a.changed, a.changes = false, 0
	return err
}

func (a *applier) truncate(rel *relation) error {
	if _, err := a.enter(rel.table); err != nil {
		return err
	}
	return a.run("TRUNCATE ONLY "+rel.table.SQL(), nil, answer{})
}

// row applies an insert, update or delete.
func (a *applier) row(kind byte, rel *relation, r *reader) error {
	f, err := a.enter(rel.table)
	if err != nil {
		return err
	}
	part := r.byte()
	var old []value
	if part == 'K' || part == 'O' {
		if old, err = readRow(r); err != nil {
			return err
		}
		if kind == 'D' {
			return a.remove(rel, f, old)
		}
		part = r.byte()
	}
	if part != 'N' {
		return errors.Join(fmt.Errorf("logical replication row of kind %q", part), r.err)
	}
	row, err := readRow(r)
	if err != nil {
		return err
	}
	if len(row) != len(rel.columns) || old != nil && len(old) != len(row) {
		return fmt.Errorf("row of %s has %d columns, not %d", rel.table.SQL(), len(row), len(rel.columns))
	}
	if kind == 'I' {
		return a.insert(rel, row)
	}
	if old == nil {
		old = row
	}
	return a.update(rel, f, old, row)
}

func (a *applier) insert(rel *relation, row []value) error {
	var names, places strings.Builder
	params := make([][]byte, len(row))
	for i, v := range row {
		if i > 0 {
			names.WriteString(", ")
			places.WriteString(", ")
		}
		names.WriteString(quoteIdent(rel.columns[i].name))
		places.WriteString("$" + strconv.Itoa(i+1))
		params[i] = v.data
	}
	if len(row) == 0 {
		return a.run("INSERT INTO "+rel.table.SQL()+" DEFAULT VALUES", nil, answer{rows: true})
	}
	return a.run("INSERT INTO "+rel.table.SQL()+" ("+names.String()+") OVERRIDING SYSTEM VALUE VALUES ("+
		places.String()+")", params, answer{rows: true})
}

func (a *applier) update(rel *relation, f Follow, old, row []value) error {
	var b strings.Builder
	b.WriteString("UPDATE ONLY " + rel.table.SQL() + " SET ")
	var params [][]byte
	for i, v := range row {
		if v.unchanged {
			continue
		}
		if len(params) > 0 {
			b.WriteString(", ")
		}
		params = append(params, v.data)
		b.WriteString(quoteIdent(rel.columns[i].name) + " = $" + strconv.Itoa(len(params)))
	}
	if len(params) == 0 {
		return nil
	}
	params = where(&b, rel, f, old, params)
	return a.run(b.String(), params, answer{rows: true})
}

func (a *applier) remove(rel *relation, f Follow, old []value) error {
	if len(old) != len(rel.columns) {
		return fmt.Errorf("row of %s has %d columns, not %d", rel.table.SQL(), len(old), len(rel.columns))
	}
	var b strings.Builder
	b.WriteString("DELETE FROM ONLY " + rel.table.SQL())
	params := where(&b, rel, f, old, nil)
	return a.run(b.String(), params, answer{rows: true})
}

// where finds the row with the key, or, where all columns are the key, one of those that are equal: by their text,
// since a type need not have an operator for it (json, point).
func where(b *strings.Builder, rel *relation, f Follow, old []value, params [][]byte) [][]byte {
	if rel.full {
		b.WriteString(" WHERE ctid = (SELECT ctid FROM ONLY " + rel.table.SQL())
	}
	word := " WHERE "
	for i, c := range rel.columns {
		if !c.key || old[i].unchanged {
			continue
		}
		params = append(params, old[i].data)
		place := "$" + strconv.Itoa(len(params))
		b.WriteString(word)
		word = " AND "
		if rel.full {
			b.WriteString(quoteIdent(c.name) + "::text IS NOT DISTINCT FROM " + place)
			continue
		}
		operator := f.Equal[c.name]
		if operator == "" {
			operator = "="
		}
		b.WriteString(quoteIdent(c.name) + " " + operator + " " + place)
	}
	if rel.full {
		b.WriteString(" LIMIT 1)")
	}
	return params
}
