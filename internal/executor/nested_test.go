package executor

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pleiad/pleiad/internal/wire"
)

// TestRowTranslatesNestedOIDs follows oids through arrays of rows of arrays, and leaves all else as it is.
func TestRowTranslatesNestedOIDs(t *testing.T) {
	const enum, row, enums, rows = 20001, 20002, 20003, 20004 // the backend's; home's are 10000 more
	o := &OIDs{
		Types: map[uint32]uint32{enum: 30001, row: 30002, enums: 30003, rows: 30004},
		Kinds: map[uint32]ValueKind{30002: RowValue, 30003: ArrayValue, 30004: ArrayValue},
	}
	u32 := binary.BigEndian.AppendUint32
	field := func(dst, v []byte) []byte { return append(u32(dst, uint32(len(v))), v...) }
	value := func(shift uint32) []byte {
		array := u32(u32(u32(u32(u32(nil, 1), 1), enum+shift), 2), 1)
		array = u32(field(array, []byte("ok")), 0xffffffff) // 'ok', NULL
		record := u32(nil, 3)
		record = field(u32(record, enums+shift), array)
		record = field(u32(record, 23), u32(nil, enum)) // an int4 that looks like one
		record = u32(u32(record, enum+shift), 0xffffffff)
		list := u32(u32(u32(u32(u32(nil, 1), 0), row+shift), 1), 1)
		return field(list, record)
	}
	frame := func(shift uint32) []byte {
		dst, at := wire.Begin(nil, 'D')
		dst = binary.BigEndian.AppendUint16(dst, 3)
		dst = field(dst, u32(nil, enum))
		dst = u32(dst, 0xffffffff)
		dst = field(dst, value(shift))
		return wire.End(dst, at)
	}
	got := frame(0)
	o.Row(got, []ValueKind{PlainValue, ArrayValue, ArrayValue})
	if want := frame(10000); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	whole := frame(0)
	for n := range len(whole) { // no prefix of a row makes it read beyond
		o.Row(bytes.Clone(whole[:n]), []ValueKind{RowValue, ArrayValue, ArrayValue})
	}
}
