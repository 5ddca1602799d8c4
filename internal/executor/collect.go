package executor

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// Collect runs statements on several backends at once and holds their rows, column by column in the form that an array
// parameter has: a statement on one backend then takes them as unnest($n). It is used once.
type Collect struct {
	Gang    *Gang
	Members []*Member
	// Texts holds one statement per member, or one for all.
	Texts []string
	// OIDs and Params are as in Scatter.
	OIDs   []uint32
	Params []byte
	// Limit bounds the bytes held.
	Limit int64
	// Formats are the columns' formats, one for each; nil is binary for all. The array parameters have the same ones.
	Formats []int16
	// Statement is as in Scatter.
	Statement uint64
	// Parts, when set, says that rows are of several kinds: part i's have values in the columns Parts[i] alone, and the arrays
	// are those of its columns, part by part. Where there are several, a first column, which is none of those counted, tells
	// a row's part (int2, binary).
	Parts [][]int
	// Value, when set, may change each binary value that is not NULL in place, before it is held. m is its row's source.
	Value func(m *Member, column int, value []byte) error
	// Position is as in Scatter.
	Position func(member, position int) int

	// Names, Types (home's oids) and Typmods are the columns', from the first RowDescription; Rows is how many came.
	Names   []string
	Types   []uint32
	Typmods []int32
	Rows    int64

	columns []Array
	places  [][]int // of a part's columns among the arrays; -1 for those without a value
	held    int64
	streams []*stream
	events  chan event
	failure []byte
	lost    error
	wrong   []func() // mark members as broken
}

// Run executes the statements to their ends. failure is the first ErrorResponse, its position translated; the error is
// what is not a server's own, *pgerr.Error where the rows are more than Limit.
func (c *Collect) Run(ctx context.Context) (failure []byte, err error) {
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	canceled := false
	for live := len(c.streams); live > 0; {
		e := <-c.events
		if e.done || e.broken != nil {
			live--
		}
		if st := c.streams[e.from]; e.done && st.parsed {
			st.m.parsed(st.named)
		}
		c.handle(e)
		if (c.failure != nil || c.lost != nil) && !canceled && live > 0 {
			canceled = true
			c.Gang.Cancel(ctx) // the others' work is in vain
		}
	}
	for _, mark := range c.wrong {
		mark()
	}
	return c.failure, c.lost
}

func (c *Collect) open(ctx context.Context) error {
	c.events = make(chan event, len(c.Members)*(chunksAhead+1))
	for _, m := range c.Members {
		if err := Settle(m); err != nil {
			return err
		}
	}
	bound, err := c.Gang.bindAll(ctx, c.Members, true, binding{
		parse: func(i int) named {
			return c.Members[i].parseNamed(c.Statement, c.Gang.Servers.StatementLimit(), c.Texts[min(i, len(c.Texts)-1)], c.OIDs)
		},
		bind: func(i int, statement string) {
			tail := appendFormats(c.Members[i].clientParams(c.Params, c.OIDs), c.Formats)
			c.Members[i].Out = wire.Bind(c.Members[i].Out, "", statement, tail)
		},
	})
	if err != nil {
		return err
	}
	if i := bound.first(); i >= 0 {
		if r := bound.replies[i]; r.failure == nil {
			c.lose(r.lost)
		} else {
			c.noteFailure(i, r.failure)
		}
		return nil
	}
	for _, m := range c.Members {
		m.executeBound()
	}
	for i, m := range c.Members {
		st := newStream(i, m, c.events)
		st.named = bound.named[i]
		c.streams = append(c.streams, st)
		if err := m.Send(); err != nil {
			c.events <- event{from: i, broken: err}
			continue
		}
		go st.read()
	}
	return nil
}

// appendFormats appends Bind's result formats: binary where none are given.
func appendFormats(tail []byte, formats []int16) []byte {
	if formats == nil {
		return append(tail, 0, 1, 0, 1)
	}
	tail = binary.BigEndian.AppendUint16(tail, uint16(len(formats)))
	for _, f := range formats {
		tail = binary.BigEndian.AppendUint16(tail, uint16(f))
	}
	return tail
}

func (c *Collect) isText(column int) bool { return column < len(c.Formats) && c.Formats[column] == 0 }

// clientParams copies Bind's parameters, of types oids (home's), none for the simple protocol.
func (m *Member) clientParams(params []byte, oids []uint32) []byte {
	if params == nil {
		return []byte{0, 0, 0, 0}
	}
	return append([]byte(nil), m.Types.Bind(params, oids)...)
}

func (c *Collect) handle(e event) {
	st := c.streams[e.from]
	switch {
	case e.broken != nil:
		c.lose(e.broken)
	case e.rows != nil:
		if c.failure == nil && c.lost == nil {
			c.take(st.m, e.rows)
		}
		st.recycle(e.rows)
	case e.frame == nil:
	case e.frame[0] == 'E':
		c.fail(e)
	case e.frame[0] == 'T':
		c.describe(e.frame)
	case e.frame[0] == 'S':
		st.m.NoteParameter(e.frame)
	}
}

func (c *Collect) lose(err error) {
	if c.lost == nil {
		c.lost = err
	}
}

// loseMember is lose for what breaks a connection, which its stream still reads from: it is marked at the end.
func (c *Collect) loseMember(m *Member, why error) {
	c.lose(&backend.LostError{Backend: m.Name, Err: why})
	c.wrong = append(c.wrong, func() { _ = m.Lost(why) })
}

func (c *Collect) fail(e event) {
	m := c.streams[e.from].m
	if isFatal(e.frame) {
		c.loseMember(m, fatalError(e.frame))
		return
	}
	if c.failure == nil && c.lost == nil { // else it may be the answer to a cancel
		c.noteFailure(e.from, e.frame)
	}
}

func (c *Collect) noteFailure(from int, frame []byte) {
	c.failure = c.Members[from].clientTerms(c.Gang.judged(frame), 0)
	if c.Position != nil {
		c.failure = MovePosition(c.failure, func(p int) int { return c.Position(from, p) })
	}
}

func (c *Collect) describe(frame []byte) {
	if c.Types != nil {
		return
	}
	c.Names, c.Types, c.Typmods = columnNames(frame), ColumnTypes(frame), columnTypmods(frame)
	if c.Parts != nil {
		c.describeParts()
		return
	}
	c.columns = make([]Array, len(c.Types))
	for i := range c.columns {
		c.columns[i].text = c.isText(i)
	}
}

// columnNames lists the names of a RowDescription's columns.
func columnNames(frame []byte) (names []string) {
	d := wire.BodyOf(frame)
	for range d.Uint16() {
		names = append(names, string(d.Text()))
		d.Bytes(18)
	}
	return names
}

// columnTypmods lists the type modifiers of a RowDescription.
func columnTypmods(frame []byte) []int32 {
	d := wire.BodyOf(frame)
	n := d.Uint16()
	out := make([]int32, 0, n)
	for range n {
		d.Text()
		d.Bytes(12)
		out = append(out, d.Int32())
		d.Bytes(2)
	}
	return out
}

// take holds a run of DataRow frames.
func (c *Collect) take(m *Member, rows []byte) {
	for len(rows) > 0 {
		n := int(binary.BigEndian.Uint32(rows[1:])) + 1
		d := wire.BodyOf(rows[:n])
		rows = rows[n:]
		if d.Uint16() != len(c.Types) {
			c.loseMember(m, errRow)
			return
		}
		if err := c.row(m, &d); err != nil {
			if errors.Is(err, errRow) {
				c.loseMember(m, err)
			} else {
				c.lose(err)
			}
			return
		}
		c.Rows++
	}
	if c.held > c.Limit {
		c.lose(TooMuchGathered(c.Limit))
	}
}

// row holds one row's values.
func (c *Collect) row(m *Member, d *wire.Body) error {
	if c.Parts != nil {
		return c.rowOfPart(d)
	}
	for i := range c.columns {
		size := d.Int32()
		if size < 0 {
			c.columns[i].appendNull()
			c.held += 4
			continue
		}
		v := d.Bytes(int(size))
		if d.Err() != nil {
			return errRow
		}
		if c.Value != nil && !c.columns[i].text {
			if err := c.Value(m, i, v); err != nil {
				return err
			}
		}
		c.held += int64(c.columns[i].append(v))
	}
	if d.End() != nil {
		return errRow
	}
	return nil
}

// TooMuchGathered says that a statement's rows are more than may be held.
func TooMuchGathered(limit int64) *pgerr.Error {
	return pgerr.New(pgerr.ConfigurationLimitExceeded, "the statement needs more than %d bytes of rows on one backend", limit).
		WithHint("Restrict the rows it reads, or raise limits.gather_max_bytes in the configuration.")
}

// Array is column i's rows as an array parameter, one dimension, from subscript 1. Without rows, or where no statement ran, it
// is the empty array. elem is the element type's oid on the backend that will get it.
func (c *Collect) Array(i int, elem uint32) *Array {
	if i >= len(c.columns) {
		return &Array{elem: elem, text: c.isText(c.columnOf(i))}
	}
	a := c.columns[i]
	a.elem = elem
	return &a
}
