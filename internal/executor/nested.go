package executor

import (
	"encoding/binary"

	"github.com/pleiad/pleiad/internal/wire"
)

// ValueKind says where the binary form of a type's values holds oids of types: array_send writes that of the elements,
// record_send those of the fields.
type ValueKind byte

// The kinds of types.
const (
	PlainValue ValueKind = iota
	ArrayValue
	RowValue
)

const oidRecordArray = 2287

// Columns is what is known of a statement's result columns: whether values of them hold oids in binary format. It
// belongs to one session.
type Columns struct {
	known, nested bool
}

// Nested is false once it is known that no column of the statement can hold oids.
func (c *Columns) Nested() bool { return !c.known || c.nested }

// kind is that of a type by home's oid.
func (o *OIDs) kind(oid uint32) ValueKind {
	switch {
	case oid == oidRecord:
		return RowValue
	case oid == oidRecordArray:
		return ArrayValue
	case oid < firstUserOID:
		return PlainValue
	}
	return o.Kinds[oid]
}

// nested tells the kinds of the columns that a translated RowDescription describes, nil when no value can hold an oid;
// may says whether one could in binary format.
func (o *OIDs) nested(frame []byte) (kinds []ValueKind, may bool) {
	if o == nil {
		return nil, false
	}
	d := wire.BodyOf(frame)
	n := int(d.Uint16())
	found := false
	for range n {
		d.Text()
		d.Bytes(6)
		kind := o.kind(uint32(d.Int32()))
		d.Bytes(6)
		format := d.Uint16()
		may = may || kind != PlainValue
		if format != 1 {
			kind = PlainValue
		}
		found = found || kind != PlainValue
		kinds = append(kinds, kind)
	}
	if !found {
		return nil, may
	}
	return kinds, may
}

// Row translates the oids inside a DataRow's binary values in place.
func (o *OIDs) Row(frame []byte, kinds []ValueKind) {
	b := frame[min(wire.HeaderLen+2, len(frame)):]
	for _, kind := range kinds {
		var v []byte
		if v, b = value(b); kind != PlainValue {
			o.value(v, kind)
		}
	}
}

// value takes a length and as many bytes: none of a NULL.
func value(b []byte) (v, rest []byte) {
	if len(b) < 4 {
		return nil, nil
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	b = b[4:]
	if n < 0 || n > len(b) {
		return nil, b
	}
	return b[:n], b[n:]
}

func (o *OIDs) value(v []byte, kind ValueKind) {
	switch kind {
	case ArrayValue: // dimensions, a flag, the elements' type, size and lower bound of each dimension, elements
		if len(v) < 12 {
			return
		}
		dimensions := int(binary.BigEndian.Uint32(v))
		inner := o.inside(v[8:12])
		if v = v[12:]; inner == PlainValue || dimensions > len(v)/8 {
			return
		}
		for v = v[8*dimensions:]; len(v) >= 4; {
			var element []byte
			element, v = value(v)
			o.value(element, inner)
		}
	case RowValue: // the number of fields; type and value of each
		if len(v) < 4 {
			return
		}
		for v = v[4:]; len(v) >= 8; {
			inner := o.inside(v[:4])
			var field []byte
			field, v = value(v[4:])
			o.value(field, inner)
		}
	}
}

// inside translates an oid in place and tells its type's kind.
func (o *OIDs) inside(b []byte) ValueKind {
	translate(b, o.Types)
	return o.kind(binary.BigEndian.Uint32(b))
}
