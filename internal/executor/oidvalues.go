package executor

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/pleiad/pleiad/internal/wire"
)

// Parts is what binary values of a type are made of, as far as oids in them are concerned.
type Parts struct {
	Kind  byte     // as pleiad.oids() has it: 'a' array, 'c' composite, 'd' domain, 'r' range, 'm' multirange
	Inner []uint32 // the types inside, home's oids
}

// Built-in types whose binary values are or hold oids of what users made (pg_type.dat).
const (
	regclassOID      = 2205
	regtypeOID       = 2206
	regclassArrayOID = 2210
	regtypeArrayOID  = 2211
	recordOID        = 2249
	anyarrayOID      = 2277
	recordArrayOID   = 2287
)

// maxNesting bounds the depth of values that are looked into; a server's stack ends long before it.
const maxNesting = 10000

// Carries tells whether binary values of a type (home's oid) may hold oids that differ between backends.
func (o *OIDs) Carries(typ uint32) bool {
	switch typ {
	case regclassOID, regtypeOID, regclassArrayOID, regtypeArrayOID, recordOID, anyarrayOID, recordArrayOID:
		return true
	}
	p := o.Parts[typ]
	if p.Kind == 'a' {
		return true
	}
	for _, t := range p.Inner {
		if p.Kind == 'c' && t >= firstUserOID || o.Carries(t) {
			return true
		}
	}
	return false
}

// Values translates the oids in the binary values of rows, in place: no length changes. The nil one changes nothing.
type Values struct {
	types []uint32 // by column; 0 where nothing is to be done
	walk  oidWalk
}

// values makes the translation one way or the other.
func (o *OIDs) values(types []uint32, formats []int16, toHome bool) *Values {
	if o == nil || !slices.Contains(formats, 1) {
		return nil
	}
	var v *Values
	for i, t := range types {
		if f := formats[min(i, len(formats)-1)]; f != 1 || !o.Carries(t) {
			continue
		}
		if v == nil {
			v = &Values{types: make([]uint32, len(types)), walk: oidWalk{o: o, toHome: toHome}}
		}
		v.types[i] = t
	}
	return v
}

// ToHome translates what a backend sends: rows with columns of these types (home's oids) in these formats: none (text),
// one for all columns, or one for each. It is nil where no value needs it.
func (o *OIDs) ToHome(types []uint32, formats []int16) *Values { return o.values(types, formats, true) }

// FromHome translates what a backend is sent.
func (o *OIDs) FromHome(types []uint32, formats []int16) *Values {
	return o.values(types, formats, false)
}

// described is ToHome for rows behind a RowDescription whose oids are home's.
func (o *OIDs) described(frame []byte) *Values {
	if o == nil {
		return nil
	}
	d := wire.BodyOf(frame)
	n := d.Uint16()
	var types []uint32
	var formats []int16
	for range n {
		d.Text()
		d.Bytes(6)
		types = append(types, uint32(d.Int32()))
		d.Bytes(6)
		formats = append(formats, d.Int16())
	}
	if d.End() != nil {
		return nil
	}
	return o.ToHome(types, formats)
}

// Shape is what a server has told of a statement; its oids are home's. The zero one is not known yet.
type Shape struct {
	Params      []uint32
	Columns     []uint32
	ParamsKnown bool
	Known       bool // Columns are
}

// params takes a ParameterDescription.
func (s *Shape) params(frame []byte) {
	if s == nil {
		return
	}
	s.Params, s.ParamsKnown = nil, true
	d := wire.BodyOf(frame)
	for range d.Uint16() {
		s.Params = append(s.Params, uint32(d.Int32()))
	}
}

// columns takes a RowDescription, or nil for NoData.
func (s *Shape) columns(frame []byte) {
	if s != nil {
		s.Columns, s.Known = ColumnTypes(frame), true
	}
}

// rows is the translation of the rows that answer an Execute or a simple query.
func (o *Owed) rows(types *OIDs) *Values {
	if o.Shape != nil {
		o.values = types.ToHome(o.Shape.Columns, o.Formats)
		o.Shape = nil
	}
	return o.values
}

// Row translates a DataRow frame.
func (v *Values) Row(frame []byte) {
	if v != nil && len(frame) > wire.HeaderLen {
		v.Tuple(frame[wire.HeaderLen:])
	}
}

// Tuple translates a DataRow's body, or a row of binary COPY, which has the same form.
func (v *Values) Tuple(b []byte) {
	if v == nil || len(b) < 2 {
		return
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	for i := 0; i < n && i < len(v.types); i++ {
		value, rest, ok := sizedValue(b)
		if !ok {
			return
		}
		b = rest
		if value != nil && v.types[i] != 0 {
			v.walk.translate(value, v.types[i])
		}
	}
}

// sizedValue cuts a value off that stands behind its length; nil is NULL.
func sizedValue(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	size := int(int32(binary.BigEndian.Uint32(b)))
	b = b[4:]
	switch {
	case size == -1:
		return nil, b, true
	case size < 0 || size > len(b):
		return nil, nil, false
	}
	return b[:size:size], b[size:], true
}

// Bind gives Bind's body from the parameter formats on with the oids in binary parameters of these types (home's oids)
// translated: itself, where nothing changes, else a copy.
func (o *OIDs) Bind(tail []byte, types []uint32) []byte {
	if o == nil || !MayCarry(tail) {
		return tail
	}
	d := wire.Of(tail)
	formats := make([]int16, d.Uint16())
	for i := range formats {
		formats[i] = d.Int16()
	}
	v := o.FromHome(types, formats)
	if v == nil || d.Err() != nil {
		return tail
	}
	at := len(tail) - d.Left()
	out := bytes.Clone(tail)
	v.Tuple(out[at:])
	return out
}

// MayCarry tells whether binary parameters in Bind's body, from the formats on, hold bytes that could be the oid of what a
// user made.
func MayCarry(tail []byte) bool {
	d := wire.Of(tail)
	nf := d.Uint16()
	binaryOnes := false
	for range nf {
		binaryOnes = d.Int16() == 1 || binaryOnes
	}
	n := d.Uint16()
	for i := 0; binaryOnes && i < n && d.Err() == nil; i++ {
		size := int(d.Int32())
		if size < 0 {
			continue
		}
		if v := d.Bytes(size); size == 4 || size >= 12 { // a reg… value, or the least array or row with one type in it
			for ; len(v) >= 4; v = v[1:] {
				if v[0] == 0 && binary.BigEndian.Uint32(v) >= firstUserOID {
					return true
				}
			}
		}
	}
	return false
}

// oidWalk finds the oids in binary values as array_send, record_send, range_send and multirange_send put them there.
type oidWalk struct {
	o       *OIDs
	toHome  bool
	patches []oidPatch
}

type oidPatch struct {
	at  []byte
	oid uint32
}

// translate changes the oids in a value of a type (home's oid). A value that has not the form it should stays as it is.
func (w *oidWalk) translate(value []byte, typ uint32) {
	w.patches = w.patches[:0]
	if !w.value(value, typ, 0) {
		return
	}
	for _, p := range w.patches {
		binary.BigEndian.PutUint32(p.at, p.oid)
	}
}

// object notes an oid to change, and gives home's.
func (w *oidWalk) object(b []byte, toHome, toBackend map[uint32]uint32) (home uint32) {
	oid := binary.BigEndian.Uint32(b)
	if oid < firstUserOID {
		return oid
	}
	m := toBackend
	if w.toHome {
		m = toHome
	}
	to, ok := m[oid]
	if !ok {
		return oid
	}
	if to != oid {
		w.patches = append(w.patches, oidPatch{b, to})
	}
	if w.toHome {
		return to
	}
	return oid
}

func (w *oidWalk) typeOID(b []byte) uint32 { return w.object(b, w.o.Types, w.o.Home) }

// value looks into a value; ok is false where it is malformed.
func (w *oidWalk) value(v []byte, typ uint32, depth int) (ok bool) {
	if depth > maxNesting {
		return false
	}
	switch typ {
	case regclassOID, regtypeOID:
		if len(v) != 4 {
			return false
		}
		if typ == regtypeOID {
			w.typeOID(v)
		} else {
			w.object(v, w.o.Relations, w.o.HomeRelations)
		}
		return true
	case recordOID:
		return w.record(v, depth)
	case regclassArrayOID, regtypeArrayOID, anyarrayOID, recordArrayOID:
		return w.array(v, depth)
	}
	p := w.o.Parts[typ]
	switch {
	case p.Kind == 'a':
		return w.array(v, depth)
	case p.Kind == 'c':
		return w.record(v, depth)
	case len(p.Inner) != 1 || !w.o.Carries(p.Inner[0]):
		return true
	case p.Kind == 'd':
		return w.value(v, p.Inner[0], depth+1)
	case p.Kind == 'r':
		return w.bounds(v, p.Inner[0], depth)
	case p.Kind == 'm':
		return w.multirange(v, p.Inner[0], depth)
	}
	return true
}

// array is array_send's form: dimensions, a flag, the element type, each dimension's size and lower bound, the elements.
func (w *oidWalk) array(v []byte, depth int) bool {
	if len(v) < 12 {
		return false
	}
	dims := binary.BigEndian.Uint32(v)
	elem := w.typeOID(v[8:12])
	if dims > 6 || len(v) < 12+8*int(dims) { // MAXDIM of PostgreSQL's c.h
		return false
	}
	return w.each(v[12+8*int(dims):], -1, elem, depth)
}

// each looks into n values behind their lengths, or with -1 into as many as there are.
func (w *oidWalk) each(v []byte, n int, typ uint32, depth int) bool {
	if !w.o.Carries(typ) {
		return true
	}
	for ; n != 0 && (n > 0 || len(v) > 0); n-- {
		value, rest, ok := sizedValue(v)
		if !ok || value != nil && !w.value(value, typ, depth+1) {
			return false
		}
		v = rest
	}
	return len(v) == 0
}

// record is record_send's form: the number of columns, and of each its type and value.
func (w *oidWalk) record(v []byte, depth int) bool {
	if len(v) < 4 {
		return false
	}
	n := binary.BigEndian.Uint32(v)
	v = v[4:]
	for ; n > 0; n-- {
		if len(v) < 8 {
			return false
		}
		typ := w.typeOID(v[:4])
		value, rest, ok := sizedValue(v[4:])
		if !ok || value != nil && w.o.Carries(typ) && !w.value(value, typ, depth+1) {
			return false
		}
		v = rest
	}
	return len(v) == 0
}

// Flags of a range (rangetypes.h).
const (
	rangeEmpty  = 0x01
	rangeNoLow  = 0x08 | 0x20
	rangeNoHigh = 0x10 | 0x40
)

// bounds is range_send's form: the flags, and the bounds that there are.
func (w *oidWalk) bounds(v []byte, sub uint32, depth int) bool {
	if len(v) < 1 {
		return false
	}
	flags, n := v[0], 0
	if flags&(rangeEmpty|rangeNoLow) == 0 {
		n++
	}
	if flags&(rangeEmpty|rangeNoHigh) == 0 {
		n++
	}
	return w.each(v[1:], n, sub, depth)
}

// multirange is multirange_send's form: how many ranges, and each behind its length.
func (w *oidWalk) multirange(v []byte, sub uint32, depth int) bool {
	if len(v) < 4 {
		return false
	}
	n := binary.BigEndian.Uint32(v)
	v = v[4:]
	for ; n > 0; n-- {
		value, rest, ok := sizedValue(v)
		if !ok || value == nil || !w.bounds(value, sub, depth) {
			return false
		}
		v = rest
	}
	return len(v) == 0
}
