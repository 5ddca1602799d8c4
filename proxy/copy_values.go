package proxy

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/copystream"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// hold copies a row: it is sent once home has given its values.
func (c *copying) hold(row copystream.Row) {
	p := pendingRow{raw: append([]byte(nil), row.Raw...), row: row}
	p.row.Raw = p.raw
	p.row.Fields = nil
	for _, f := range row.Fields {
		f.Value = append([]byte(nil), f.Value...)
		p.row.Fields = append(p.row.Fields, f)
	}
	c.batch = append(c.batch, p)
}

// sendHeld computes the missing columns of the first n held rows on home, in one statement, and sends the rows.
func (c *copying) sendHeld(n int) {
	if _, e := c.connect(); e != nil {
		c.fail(e)
		return
	}
	c.asked = true
	rows, e := c.compute(&executor.Member{Conn: c.aux}, n)
	if e != nil {
		c.fail(e)
		return
	}
	for i, p := range c.batch[:n] {
		c.send(p.row, rows[i])
		if c.failed != nil {
			return
		}
	}
	c.batch = append(c.batch[:0], c.batch[n:]...)
}

// compute evaluates the defaults of the missing columns n times, on one of home's connections.
func (c *copying) compute(m *executor.Member, n int) ([][]copystream.Field, *pgerr.Error) {
	var list []string
	for _, col := range c.c.Missing {
		sql, e := c.s.defaultSQL(c.r, &c.c.Table.Columns[col])
		if e != nil {
			return nil, e
		}
		list = append(list, sql)
	}
	sql := "SELECT " + strings.Join(list, ", ") + " FROM pg_catalog.generate_series(1, " + strconv.Itoa(n) + ")"
	rows, errFrame, err := m.AskFormat(sql, c.c.Format.Binary)
	switch {
	case err != nil:
		return nil, executor.ClientError(err)
	case errFrame != nil:
		return nil, executor.FrameToError(errFrame)
	case len(rows) != n:
		return nil, pgerr.New(pgerr.InternalError, "computing defaults for %d rows gave %d", n, len(rows))
	}
	out := make([][]copystream.Field, n)
	for i, row := range rows {
		for _, v := range row {
			out[i] = append(out[i], copystream.Field{Value: v, Null: v == nil})
		}
	}
	return out, nil
}

func (c *copying) connect() (*backend.Conn, *pgerr.Error) {
	if c.aux == nil {
		conn, err := c.s.gang.Servers.Get(c.s.ctx, c.s.db.home)
		if err != nil {
			return nil, executor.ClientError(err)
		}
		c.aux = conn
		c.aux.Unclean = true
	}
	return c.aux, nil
}

// dropAux gives the helping connection back. nextval leaves currval behind in it, so the last row's is home's own
// connection's to call where it can be (sendLast).
func (c *copying) dropAux() {
	if c.aux != nil {
		c.aux.Owner = 0
		c.aux.Put()
	}
}

// plainNextval is the default of a serial or identity column; the catalog's snapshot writes that of the latter.
var plainNextval = regexp.MustCompile(`^nextval\('[^']*'::regclass\)$|` +
	`^CASE WHEN has_sequence_privilege\('[^']*', 'USAGE, UPDATE'\) THEN nextval\('[^']*'::regclass\) ELSE pleiad\.next_identity\('[^']*'\) END$`)

// keepsLast reports whether the last row can be stored after the others, its defaults computed on home's own connection: what
// that has drawn is what currval and lastval say afterwards. Every row must draw from the same sequences, and nothing look at
// the rows but the table itself.
func (c *copying) keepsLast() bool {
	t, draws := c.c.Table, false
	for _, col := range c.c.Missing {
		plain := plainNextval.MatchString(t.Columns[col].Default)
		if !plain && strings.Contains(t.Columns[col].Default, "(") {
			return false // it may call nextval for some rows
		}
		draws = draws || plain
	}
	return draws && len(t.Triggers) == 0 && !slices.Contains(t.ReferencesOut, t.OID)
}

// sendLast stores the row that was kept. Home's COPY has to end for that, and begins anew; rows is how many it has stored.
func (c *copying) sendLast() (rows int64, err error) {
	s := c.s
	sink := c.sinks[s.db.home]
	if sink != nil {
		c.open(sink)
		sink.Raw(c.reader.Epilogue())
		if rows, err = sink.End(); err != nil {
			c.failEnd(err)
			return 0, nil
		}
	}
	home, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		c.fail(executor.ClientError(err))
		return 0, nil
	}
	s.gang.MayAdvance(home)
	home.Unclean = true
	values, e := c.compute(home, 1)
	if e != nil {
		c.fail(e)
		return 0, nil
	}
	c.last = true
	if sink != nil {
		again := executor.NewCopySink(home, c.text())
		again.Values, again.Notice = sink.Values, sink.Notice
		_, refused, err := again.Begin()
		switch {
		case err != nil:
			return 0, s.lost(err)
		case refused != nil:
			c.failed = &executor.CopyFailure{Frame: refused}
			return 0, nil
		}
		c.sinks[s.db.home] = again
	}
	c.send(c.batch[0].row, values[0])
	c.batch = nil
	return rows, nil
}

// failEnd notes why a backend did not take its rows.
func (c *copying) failEnd(err error) {
	var f *executor.CopyFailure
	if errors.As(err, &f) {
		c.failRow(f)
		return
	}
	c.fail(executor.ClientError(err))
}
