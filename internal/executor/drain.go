package executor

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/pleiad/pleiad/internal/wire"
)

// drainInto reads until the connection owes no ReadyForQuery, showing each frame to see. It returns a copy of
// the first ErrorResponse. Nothing reaches the client.
func (m *Member) drainInto(see func(typ byte, frame []byte)) (errFrame []byte, err error) {
	return m.drainRows(nil, see)
}

// drainRows is drainInto where rows without a RowDescription are translated by values.
func (m *Member) drainRows(values *Values, see func(typ byte, frame []byte)) (errFrame []byte, err error) {
	for m.Owed > 0 {
		typ, frame, err := m.Next()
		if err != nil {
			return errFrame, err
		}
		switch typ {
		case 'Z':
			if err := m.Ready(frame); err != nil {
				return errFrame, err
			}
		case 'E':
			if errFrame == nil {
				errFrame = m.clientTerms(bytes.Clone(frame), 0)
			}
		case 'S':
			m.NoteParameter(frame)
		case 'T':
			m.Types.Rows(frame)
			values = m.Types.described(frame)
		case 'D':
			values.Row(frame)
		case 't':
			m.Types.Params(frame)
		case 'G':
			m.Out = wire.CopyFail(m.Out, "unexpected COPY FROM STDIN")
			if err := m.Send(); err != nil {
				return errFrame, err
			}
		}
		if see != nil {
			see(typ, frame)
		}
	}
	m.Queue.Reset()
	return errFrame, nil
}

// Ask runs a simple query of pleiad's own in the member's state and transaction and returns its rows, text
// values, nil for NULL.
func (m *Member) Ask(sql string) (rows [][][]byte, errFrame []byte, err error) {
	if err := Settle(m); err != nil {
		return nil, nil, err
	}
	m.Conn.Unnamed = 0
	m.Out = wire.Query(m.Out, sql)
	m.Unnamed = 0
	m.Owed++
	if err := m.Send(); err != nil {
		return nil, nil, err
	}
	errFrame, err = m.drainInto(func(typ byte, frame []byte) {
		if typ == 'D' {
			rows = m.appendValues(rows, frame)
		}
	})
	return m.asked(rows, errFrame, err)
}

// AskBound is Ask with the client's parameters: types (home's) and Bind's body from the formats to the last value. With
// no Bind it is Ask.
func (m *Member) AskBound(sql string, oids []uint32, bind []byte) (rows [][][]byte, errFrame []byte, err error) {
	if bind == nil {
		return m.Ask(sql)
	}
	return m.AskFormats(sql, oids, bind, nil)
}

// AskFormats is AskBound with result formats: none (text), one for all columns, or one for each.
func (m *Member) AskFormats(sql string, oids []uint32, bind []byte, formats []int16) (rows [][][]byte, errFrame []byte, err error) {
	if err := Settle(m); err != nil {
		return nil, nil, err
	}
	tail := binary.BigEndian.AppendUint16(m.clientParams(bind, oids), uint16(len(formats)))
	for _, f := range formats {
		tail = binary.BigEndian.AppendUint16(tail, uint16(f))
	}
	m.Out = wire.Parse(m.Out, "", sql, m.OIDs(oids))
	m.Conn.Unnamed = 0
	m.Out = wire.Bind(m.Out, "", "", tail)
	if m.Types != nil && slices.Contains(formats, 1) {
		m.Out = wire.Describe(m.Out, 'P', "")
	}
	m.Out = wire.Execute(m.Out, "", 0)
	m.Out = wire.Sync(m.Out)
	m.Owed++
	if err := m.Send(); err != nil {
		return nil, nil, err
	}
	errFrame, err = m.drainInto(func(typ byte, frame []byte) {
		if typ == 'D' {
			rows = m.appendValues(rows, frame)
		}
	})
	return m.asked(rows, errFrame, err)
}

// AskFormat is Ask with values in binary format when binary is set.
func (m *Member) AskFormat(sql string, binary bool) (rows [][][]byte, errFrame []byte, err error) {
	if !binary {
		return m.Ask(sql)
	}
	return m.AskFormats(sql, nil, nil, []int16{1})
}

// ParameterTypes asks for the types of a statement's parameters, home's.
func (m *Member) ParameterTypes(sql string, oids []uint32) (types []uint32, errFrame []byte, err error) {
	d, errFrame, err := m.DescribeText(sql, oids)
	return d.Params, errFrame, err
}

// Description is what a server tells of a statement; its oids are home's.
type Description struct {
	Params  []uint32
	Names   []string // of the columns
	Types   []uint32
	Typmods []int32
	Fields  []byte // the RowDescription; nil where there are no rows
}

// DescribeText asks for a text's parameters and columns.
func (m *Member) DescribeText(sql string, oids []uint32) (d Description, errFrame []byte, err error) {
	list, errFrame, err := m.DescribeTexts(oids, sql)
	if len(list) > 0 {
		d = list[0]
	}
	return d, errFrame, err
}

// DescribeTexts is DescribeText for several texts in one round trip. Where one is wrong, there are as many descriptions as
// texts before it, and the ErrorResponse.
func (m *Member) DescribeTexts(oids []uint32, texts ...string) (out []Description, errFrame []byte, err error) {
	if err := Settle(m); err != nil {
		return nil, nil, err
	}
	for _, sql := range texts {
		m.Out = wire.Parse(m.Out, "", sql, m.OIDs(oids))
		m.Out = wire.Describe(m.Out, 'S', "")
	}
	m.Conn.Unnamed = 0
	m.Out = wire.Sync(m.Out)
	m.Owed++
	m.opening, m.Extended = false, false
	if err := m.Send(); err != nil {
		return nil, nil, err
	}
	errFrame, err = m.drainInto(func(typ byte, frame []byte) {
		switch typ {
		case 't':
			var d Description
			b := wire.BodyOf(frame)
			for range b.Uint16() {
				d.Params = append(d.Params, uint32(b.Int32()))
			}
			out = append(out, d)
		case 'T':
			if n := len(out); n > 0 {
				out[n-1].Names, out[n-1].Types, out[n-1].Typmods = columnNames(frame), ColumnTypes(frame), columnTypmods(frame)
				out[n-1].Fields = bytes.Clone(frame)
			}
		}
	})
	return out, errFrame, err
}

// DescribeStatement asks for a prepared statement's columns, behind what is composed already, and syncs. fields is
// called with the RowDescription, if there is one.
func (m *Member) DescribeStatement(name string, fields func(frame []byte)) (errFrame []byte, err error) {
	m.Out = wire.Describe(m.Out, 'S', name)
	m.Out = wire.Sync(m.Out)
	m.Owed++
	m.opening, m.Extended = false, false
	if err := m.Send(); err != nil {
		return nil, err
	}
	return m.drainInto(func(typ byte, frame []byte) {
		if typ == 'T' {
			fields(frame)
		}
	})
}

// DescribePortal asks for a portal's columns, and syncs. fields is called with the RowDescription, if there is one.
func (m *Member) DescribePortal(name string, fields func(frame []byte)) (errFrame []byte, err error) {
	m.Out = wire.Describe(m.Out, 'P', name)
	m.Out = wire.Sync(m.Out)
	m.Owed++
	m.opening, m.Extended = false, false
	if err := m.Send(); err != nil {
		return nil, err
	}
	return m.drainInto(func(typ byte, frame []byte) {
		if typ == 'T' {
			fields(frame)
		}
	})
}

// ClosePortal closes a portal, if there is one.
func (m *Member) ClosePortal(name string) (errFrame []byte, err error) {
	if err := Settle(m); err != nil {
		return nil, err
	}
	m.Out = wire.CloseMessage(m.Out, 'P', name)
	m.Out = wire.Sync(m.Out)
	m.Owed++
	m.opening, m.Extended = false, false
	if err := m.Send(); err != nil {
		return nil, err
	}
	return m.drainInto(nil)
}

// appendValues appends a DataRow's values; a malformed one loses the connection.
func (m *Member) appendValues(rows [][][]byte, frame []byte) [][][]byte {
	row, err := rowValues(frame)
	if err != nil {
		_ = m.Lost(err)
	}
	return append(rows, row)
}

// asked ends a question: a row that was malformed fails it.
func (m *Member) asked(rows [][][]byte, errFrame []byte, err error) ([][][]byte, []byte, error) {
	if err == nil && m.Broken() {
		err = m.Lost(errRow)
	}
	return rows, errFrame, err
}

// rowValues copies a DataRow's values.
func rowValues(frame []byte) ([][]byte, error) {
	d := wire.BodyOf(bytes.Clone(frame))
	n := d.Uint16()
	out := make([][]byte, n)
	for i := range out {
		if size := d.Int32(); size >= 0 {
			out[i] = d.Bytes(int(size))
		}
	}
	if d.End() != nil {
		return nil, errRow
	}
	return out, nil
}
