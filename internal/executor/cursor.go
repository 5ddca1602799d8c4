package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// Cursor is a cursor over the rows of several backends: each has a server cursor of the same name, declared with the
// scattered statement, so that the rows are those of the moment of DECLARE and the connections are free between FETCHes.
// The cursor's rows are the backends' one behind the other, or merged by the sort keys; LIMIT and OFFSET cut them here.
//
// Invariant: without sort keys the server cursor of the backend that the current row is from stands on that row; those
// before it are behind their last row, those after it before their first one. With Locks, the same is true of the
// current row's backend under sort keys. WHERE CURRENT OF stands on that.
type Cursor struct {
	Name       string
	Gang       *Gang
	Sort       []router.SortKey
	Limit      int64 // -1 for all
	Offset     int64
	Ties       bool
	Locks      bool // rows are locked as they are read: none is read ahead
	Scroll     router.Scroll
	Collations Collations

	legs    []*leg
	fields  []byte // RowDescription of the visible columns
	columns int    // visible ones
	types   []uint32
	cmp     []comparator
	formats []int16 // of the rows at hand
	seen    int64   // rows read from servers, and their bytes: what a row weighs
	weight  int64

	// Where the cursor stands, in the words of portalcmds.c and pquery.c.
	atStart, atEnd bool
	pos            int64
	// place is the same without the ends' ambiguities: 0 before the first row, 1 on it, one more than there are behind
	// the last.
	place   int64
	skipped bool // OFFSET has been passed over

	current int // concatenation: the leg that the cursor stands in
	merge   mergeState

	run struct { // of the FETCH that runs
		ctx  context.Context
		out  *wire.Writer
		head []byte // RowDescription that the client has yet to see
	}
}

// leg is one backend's part of a cursor.
type leg struct {
	backend int
	conn    *backend.Conn

	// With sort keys: rows read from the server and not dropped yet, numbers first+1 and on; taken is the number of the
	// last one at or before the cursor's place; at is where the server cursor stands; size is how many there are, -1
	// when not known.
	rows                   []cursorRow
	first, taken, at, size int64
}

// cursorRow is a row with its sort columns.
type cursorRow struct {
	frame []byte
	keys  []sortValue
	cut   int
}

// Open declares the server cursors with text, which position translates error positions of.
func (c *Cursor) Open(ctx context.Context, members []*Member, text string, oids []uint32, params []byte, position func(int) int, out *wire.Writer) error {
	c.run.ctx, c.run.out = ctx, out
	c.atStart = true
	for _, m := range members {
		m.Out = wire.Parse(m.Out, "", text, m.OIDs(oids))
		m.Out = wire.Bind(m.Out, "", "", append(m.clientParams(params, oids), 0, 0))
		m.Out = wire.Execute(m.Out, "", 0)
		m.Out = wire.Describe(m.Out, 'P', c.Name)
		m.synced()
		_ = m.Send() // one that is lost says so again below
	}
	var first error
	for i, m := range members {
		var fields []byte
		_, err := c.read(m, func(typ byte, frame []byte) error {
			if typ == 'T' {
				fields = bytes.Clone(frame)
			}
			return nil
		})
		if err == nil {
			err = c.describe(i, fields)
		}
		if err != nil && first == nil {
			if f, ok := err.(*FrameError); ok {
				f.Frame = MovePosition(f.Frame, position)
			}
			first = err
		}
		c.legs = append(c.legs, &leg{backend: m.Backend, conn: m.Conn, size: -1})
	}
	return first
}

// synced ends composed messages of pleiad's own, whose answers the caller reads.
func (m *Member) synced() {
	m.Conn.Unnamed = 0
	m.Out = wire.Sync(m.Out)
	m.Owed++
	m.opening, m.Extended = false, false
	m.Touched = true
}

// describe takes a backend's RowDescription: the first is the cursor's.
func (c *Cursor) describe(i int, fields []byte) error {
	types := ColumnTypes(fields)
	hidden := len(c.Sort)
	if len(types) < hidden {
		return pgerr.New(pgerr.InternalError, "cursor has %d columns, %d of them hidden", len(types), hidden)
	}
	visible := len(types) - hidden
	if i > 0 {
		if visible != c.columns || !slices.Equal(types[visible:], c.types) {
			return pgerr.New(pgerr.InternalError, "backends describe the cursor's columns differently")
		}
		return nil
	}
	c.columns, c.types = visible, types[visible:]
	c.fields = stripColumns(fields, hidden)
	var err error
	c.cmp, err = newComparators(c.types, c.Sort, c.Collations)
	return err
}

// Fields is the cursor's RowDescription, its formats being text.
func (c *Cursor) Fields() []byte { return c.fields }

// Backends lists the backends that the cursor is on.
func (c *Cursor) Backends() (list []int) {
	for _, l := range c.legs {
		list = append(list, l.backend)
	}
	return list
}

// Holds tells whether m is one of the connections that the cursor is on.
func (c *Cursor) Holds(m *Member) bool {
	return slices.ContainsFunc(c.legs, func(l *leg) bool { return l.conn == m.Conn })
}

// Row is the backend of the current row. It is an error where there is none, or where the server cursor is ahead of it.
func (c *Cursor) Row() (backend int, err *pgerr.Error) {
	l, on := c.legs[c.current], !c.atStart && !c.atEnd
	switch {
	case len(c.Sort) == 0 && (on || c.Limit < 0 && c.Offset == 0):
		return l.backend, nil // it says itself if it stands on no row
	case !on:
		return 0, pgerr.New(pgerr.InvalidCursorState, "cursor %q is not positioned on a row", c.Name)
	case len(c.Sort) == 0:
		return l.backend, nil
	case c.merge.on.at == c.merge.on.taken && c.Locks:
		return c.merge.on.backend, nil
	}
	return 0, pgerr.New(pgerr.FeatureNotSupported, "WHERE CURRENT OF a cursor with ORDER BY over several backends is not supported").
		WithHint("Declare the cursor FOR UPDATE, or name the row by its key.")
}

// Fetch moves the cursor and writes the rows it passes with the formats asked for, behind head, if that is not nil. It
// returns how many there were, and whether the cursor is now behind the last row.
func (c *Cursor) Fetch(ctx context.Context, mv router.Move, formats []int16, head []byte, out *wire.Writer) (n int64, end bool, err error) {
	c.run.ctx, c.run.out, c.run.head = ctx, out, head
	if err := c.setFormats(formats); err != nil {
		return 0, false, err
	}
	if n, err = c.fetch(mv, true); err == nil {
		c.showHead()
	}
	return n, c.atEnd, err
}

// Move is Fetch that shows no rows.
func (c *Cursor) Move(ctx context.Context, mv router.Move, out *wire.Writer) (n int64, err error) {
	c.run.ctx, c.run.out = ctx, out
	return c.fetch(mv, false)
}

func (c *Cursor) showHead() {
	if c.run.head != nil {
		c.run.out.Out = append(c.run.out.Out, c.run.head...)
		c.run.head = nil
	}
}

// member is the connection that a leg's server cursor is on.
func (c *Cursor) member(l *leg) (*Member, error) {
	m, err := c.Gang.Join(c.run.ctx, l.backend)
	if err == nil && m.Conn != l.conn {
		err = pgerr.New(pgerr.ConnectionFailure, "cursor %q was lost with its connection to backend %q", c.Name, c.Gang.Servers.Name(l.backend))
	}
	return m, err
}

// compose adds a FETCH or MOVE of the server cursor.
func (c *Cursor) compose(m *Member, words string, count int64, formats []byte) {
	sql := words + " " + strconv.FormatInt(count, 10)
	if count == router.FetchAll {
		sql = words + " ALL"
	}
	m.Out = wire.Parse(m.Out, "", sql+" FROM "+quoteName(c.Name), nil)
	m.Out = wire.Bind(m.Out, "", "", append([]byte{0, 0, 0, 0}, formats...))
	m.Out = wire.Execute(m.Out, "", 0)
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// read reads what was composed and shows rows and descriptions to see. It returns the count of the last command tag. The
// first error of see ends the statement.
func (c *Cursor) read(m *Member, see func(typ byte, frame []byte) error) (count int64, err error) {
	return c.readRows(m, nil, see)
}

// readRows is read of rows that values translates.
func (c *Cursor) readRows(m *Member, values *Values, see func(typ byte, frame []byte) error) (count int64, err error) {
	if err := Settle(m); err != nil {
		return 0, err
	}
	var bad error
	errFrame, err := m.drainRows(values, func(typ byte, frame []byte) {
		switch typ {
		case 'D', 'T':
			if bad != nil {
				return
			}
			if bad = see(typ, frame); bad != nil {
				c.Gang.Cancel(c.run.ctx)
			}
		case 'N':
			_, _ = c.run.out.Write(m.clientTerms(frame, 0)) // a client that is gone is noticed with the next row
		case 'C':
			count = tagCount(frame)
		}
	})
	_, errFrame, err = m.asked(nil, errFrame, err)
	switch {
	case err != nil:
		return 0, err
	case bad != nil:
		return 0, bad
	case errFrame != nil:
		return 0, &FrameError{Frame: m.clientTerms(errFrame, 0)}
	}
	return count, nil
}

// tagCount is the number of rows in a CommandComplete.
func tagCount(frame []byte) int64 {
	tag := strings.TrimRight(string(frame[wire.HeaderLen:]), "\x00")
	n, err := strconv.ParseInt(tag[strings.LastIndexByte(tag, ' ')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// appendCursorFormats appends Bind's result formats: the client's, and binary for the hidden columns.
func appendCursorFormats(dst []byte, formats []int16, visible, hidden int) []byte {
	if hidden == 0 {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(formats)))
		for _, f := range formats {
			dst = binary.BigEndian.AppendUint16(dst, uint16(f))
		}
		return dst
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(visible+hidden))
	for i := range visible {
		var f int16
		switch {
		case len(formats) == 1:
			f = formats[0]
		case i < len(formats):
			f = formats[i]
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(f))
	}
	for range hidden {
		dst = binary.BigEndian.AppendUint16(dst, 1)
	}
	return dst
}

// emit shows the client a row.
func (c *Cursor) emit(frame []byte) error {
	c.showHead()
	_, err := c.run.out.Write(frame)
	return err
}

// Scrolls tells whether the cursor can go backward.
func (c *Cursor) Scrolls(ctx context.Context) (bool, error) {
	c.run.ctx = ctx
	return c.scrollable()
}

// scrollable tells whether the cursor can go backward. Where DECLARE does not say, the servers do: it depends on
// their plans.
func (c *Cursor) scrollable() (bool, error) {
	if c.Scroll != router.ScrollUnsaid {
		return c.Scroll == router.ScrollYes, nil
	}
	all := true
	for _, l := range c.legs {
		m, err := c.member(l)
		if err != nil {
			return false, err
		}
		rows, errFrame, err := m.Ask("SELECT is_scrollable FROM pg_catalog.pg_cursors WHERE name OPERATOR(pg_catalog.=) " + quoteLiteral(c.Name))
		switch {
		case err != nil:
			return false, err
		case errFrame != nil:
			return false, &FrameError{Frame: errFrame}
		}
		all = all && len(rows) == 1 && len(rows[0]) == 1 && string(rows[0][0]) == "t"
	}
	c.Scroll = router.ScrollNo
	if all {
		c.Scroll = router.ScrollYes
	}
	return all, nil
}

func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// needScroll is PostgreSQL's error where the cursor only goes forward.
func (c *Cursor) needScroll() error {
	ok, err := c.scrollable()
	if err != nil || ok {
		return err
	}
	return pgerr.New(pgerr.ObjectNotInPrerequisiteState, "cursor can only scan forward").
		WithHint("Declare it with SCROLL option to enable backward scan.")
}
