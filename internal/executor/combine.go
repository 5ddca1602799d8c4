package executor

import (
	"bytes"

	"github.com/pleiad/pleiad/internal/wire"
)

// Described is what a server says of a statement.
type Described struct {
	Params []uint32 // types, home's oids
	Fields []byte   // the RowDescription; nil for none
}

// Columns lists the types of a description's columns.
func (d *Described) Columns() []uint32 { return columnTypes(d.Fields) }

// DescribeTexts lets a member analyse texts that it will not run as they stand, in one round trip. Where one is wrong, there
// are as many descriptions as texts before it, and the ErrorResponse.
func DescribeTexts(m *Member, oids []uint32, texts ...string) (out []Described, errFrame []byte, err error) {
	if err := Settle(m); err != nil {
		return nil, nil, err
	}
	for _, text := range texts {
		m.Out = wire.Parse(m.Out, "", text, m.OIDs(oids))
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
			var d Described
			b := wire.BodyOf(frame)
			for range b.Uint16() {
				d.Params = append(d.Params, uint32(b.Int32()))
			}
			out = append(out, d)
		case 'T':
			if n := len(out); n > 0 {
				out[n-1].Fields = bytes.Clone(frame)
			}
		}
	})
	_, errFrame, err = m.asked(nil, errFrame, err)
	if errFrame != nil {
		errFrame = fixError(errFrame, 0)
	}
	return out, errFrame, err
}

func columnNames(frame []byte) (names []string) {
	d := wire.BodyOf(frame)
	for range d.Uint16() {
		names = append(names, string(d.Text()))
		d.Bytes(18)
	}
	return names
}
