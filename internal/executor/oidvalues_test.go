package executor

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// translationForTests has a type of each kind: on the backend they are 20000 and on, on home 30000 and on.
func translationForTests() *OIDs {
	o := &OIDs{
		Types: map[uint32]uint32{}, Home: map[uint32]uint32{}, Relations: map[uint32]uint32{21000: 31000},
		HomeRelations: map[uint32]uint32{31000: 21000},
		Parts: map[uint32]Parts{
			30001: {'a', []uint32{30000}},         // of an enum
			30002: {'c', []uint32{23, 25, 30000}}, // row
			30003: {'a', []uint32{30002}},
			30004: {'d', []uint32{30001}},
			30005: {'r', []uint32{30002}},
			30006: {'m', []uint32{30002}},
			30007: {'c', []uint32{23, 25}},
			30008: {'r', []uint32{23}},
			30009: {'c', []uint32{2249}},
		},
	}
	for i := uint32(0); i < 10; i++ {
		o.Types[20000+i], o.Home[30000+i] = 30000+i, 20000+i
	}
	return o
}

func words(list ...uint32) (b []byte) {
	for _, w := range list {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

func sized(b []byte) []byte { return append(words(uint32(len(b))), b...) }

// enumArray, row and so on are values with the oids of the backend (base 20000) or of home (30000).
func enumArray(base uint32) []byte { return join(words(1, 0, base, 1, 1), sized([]byte("ok"))) }

func rowValue(base uint32) []byte {
	return join(words(3, 23), sized(words(20000)), words(25, 0xffffffff, base), sized([]byte("ok")))
}

func TestOIDsInValues(t *testing.T) {
	o := translationForTests()
	for _, c := range []struct {
		name  string
		typ   uint32
		value func(base uint32) []byte
	}{
		{"array", 30001, enumArray},
		{"domain over an array", 30004, enumArray},
		{"row", 30002, rowValue},
		{"record", 2249, rowValue},
		{"record in a row", 30009, func(b uint32) []byte { return join(words(1, 2249), sized(rowValue(b))) }},
		{"array of rows with a NULL", 30003, func(b uint32) []byte {
			return join(words(1, 1, b+2, 2, 1), words(0xffffffff), sized(rowValue(b)))
		}},
		{"records", 2287, func(b uint32) []byte { return join(words(1, 0, 2249, 1, 1), sized(rowValue(b))) }},
		{"range", 30005, func(b uint32) []byte { return join([]byte{2}, sized(rowValue(b)), sized(rowValue(b))) }},
		{"half a range", 30005, func(b uint32) []byte { return join([]byte{8}, sized(rowValue(b))) }},
		{"multirange", 30006, func(b uint32) []byte {
			return join(words(2), sized([]byte{1}), sized(join([]byte{16}, sized(rowValue(b)))))
		}},
		{"type", 2206, func(b uint32) []byte { return words(b + 3) }},
		{"relation", 2205, func(b uint32) []byte { return words(b + 1000) }},
		{"types", 2211, func(b uint32) []byte { return join(words(1, 0, 2206, 1, 1), sized(words(b))) }},
		{"number", 23, func(uint32) []byte { return words(20000) }},
		{"row of numbers", 30007, func(uint32) []byte { return join(words(1, 23), sized(words(20000))) }},
		{"range of numbers", 30008, func(uint32) []byte { return join([]byte{2}, sized(words(20000)), sized(words(20001))) }},
		{"unknown type", 39999, func(uint32) []byte { return words(20000, 20001) }},
	} {
		theirs, ours := c.value(20000), c.value(30000)
		got := bytes.Clone(theirs)
		w := oidWalk{o: o, toHome: true}
		w.translate(got, c.typ)
		if !bytes.Equal(got, ours) {
			t.Errorf("%s to home: %x instead of %x", c.name, got, ours)
		}
		w = oidWalk{o: o}
		w.translate(got, c.typ)
		if !bytes.Equal(got, theirs) {
			t.Errorf("%s from home: %x instead of %x", c.name, got, theirs)
		}
		if n := min(len(ours)-1, 11); !bytes.Equal(theirs, ours) { // cut short it is not a value
			w = oidWalk{o: o, toHome: true}
			got = bytes.Clone(theirs[:n])
			if w.translate(got, c.typ); !bytes.Equal(got, theirs[:n]) {
				t.Errorf("%s: a part of a value was changed", c.name)
			}
		}
	}
}

// A Bind is copied where it changes and nowhere else.
func TestOIDsInBind(t *testing.T) {
	o := translationForTests()
	value := enumArray(30000)
	tail := join([]byte{0, 1, 0, 1, 0, 2}, sized(value), sized([]byte{1, 2}), []byte{0, 1, 0, 1})
	before := bytes.Clone(tail)
	got := o.Bind(tail, []uint32{30001, 17})
	want := join([]byte{0, 1, 0, 1, 0, 2}, sized(enumArray(20000)), sized([]byte{1, 2}), []byte{0, 1, 0, 1})
	if !bytes.Equal(got, want) || !bytes.Equal(tail, before) {
		t.Errorf("Bind is %x instead of %x, or its source changed", got, want)
	}
	text := join([]byte{0, 0, 0, 1}, sized(value))
	if MayCarry(text) || !bytes.Equal(o.Bind(text, []uint32{30001}), text) {
		t.Error("a parameter in text format was taken for a binary one")
	}
	if MayCarry(join([]byte{0, 1, 0, 1, 0, 1}, sized([]byte("a long text in binary format")))) {
		t.Error("text holds no oids")
	}
	if got := (*OIDs)(nil).Bind(tail, []uint32{30001, 17}); !bytes.Equal(got, tail) {
		t.Error("home's parameters were changed")
	}
}

// FuzzOIDWalk: no value makes the walk panic, change its length or its neighbours, or fail to come back to itself.
func FuzzOIDWalk(f *testing.F) {
	for typ := uint32(30000); typ < 30010; typ++ {
		f.Add(typ, enumArray(20000))
		f.Add(typ, rowValue(20000))
		f.Add(typ, join([]byte{2}, sized(rowValue(20000)), sized(rowValue(20000))))
	}
	f.Add(uint32(2249), rowValue(20000))
	f.Add(uint32(2206), words(20003))
	o := translationForTests()
	f.Fuzz(func(t *testing.T, typ uint32, value []byte) {
		padded := append(append([]byte("head"), value...), "tail"...)
		v := padded[4 : 4+len(value)]
		(&oidWalk{o: o, toHome: true}).translate(v, typ)
		if string(padded[:4]) != "head" || string(padded[4+len(value):]) != "tail" {
			t.Fatal("bytes outside of the value changed")
		}
		row := append(join([]byte{'D', 0, 0, 0, 0}, []byte{0, 1}), value...)
		o.ToHome([]uint32{typ}, []int16{1}).Row(row)
		o.Bind(value, []uint32{typ, typ})
	})
}
