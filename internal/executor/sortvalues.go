package executor

import (
	"bytes"
	"cmp"
	"encoding/binary"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// Types whose values have parts.
const (
	oidJSONB, oidInet, oidCIDR, oidBit, oidVarbit, oidTID, oidRecord = 3802, 869, 650, 1560, 1562, 27, 2249
)

// arrayElements are the array types (pg_type.dat) whose elements' order is reproduced.
var arrayElements = map[uint32]uint32{
	1000: oidBool, 1001: oidBytea, 1002: oidChar, 1003: oidName, 1005: oidInt2, 1007: oidInt4, 1009: oidText, 1010: oidTID,
	1014: oidBpchar, 1015: oidVarchar, 1016: oidInt8, 1021: oidFloat4, 1022: oidFloat8, 1028: oidOID, 1040: oidMacaddr,
	775: oidMacaddr8, 1041: oidInet, 651: oidCIDR, 1115: oidTimestamp, 1182: oidDate, 1183: oidTime, 1185: oidTimestamptz,
	1187: oidInterval, 1231: oidNumeric, 1270: oidTimetz, 1561: oidBit, 1563: oidVarbit, 791: oidMoney, 2951: oidUUID,
	3221: oidLSN, 3807: oidJSONB, 271: oidXid8,
}

// compareInet is network_cmp_internal. The wire has family, bits, a flag, the address's length and the address.
func compareInet(a, b []byte) int {
	if a[0] != b[0] {
		return cmp.Compare(a[0], b[0])
	}
	x, y := a[4:], b[4:]
	return cmp.Or(compareBits(x, y, int(min(a[1], b[1]))), cmp.Compare(a[1], b[1]), bytes.Compare(x, y))
}

func validInet(v []byte) bool {
	if len(v) < 4 || len(v) != 4+int(v[3]) || int(v[1]) > 8*int(v[3]) {
		return false
	}
	return v[0] == 2 && v[3] == 4 || v[0] == 3 && v[3] == 16
}

// compareBits compares the first n bits.
func compareBits(a, b []byte, n int) int {
	whole := n / 8
	if c := bytes.Compare(a[:whole], b[:whole]); c != 0 || n%8 == 0 {
		return c
	}
	shift := 8 - n%8
	return cmp.Compare(a[whole]>>shift, b[whole]>>shift)
}

// compareBitString is bit_cmp: the bytes both have, then the length in bits, which is the wire's first word.
func compareBitString(a, b []byte) int {
	n := min(len(a), len(b))
	return cmp.Or(bytes.Compare(a[4:n], b[4:n]), cmp.Compare(binary.BigEndian.Uint32(a), binary.BigEndian.Uint32(b)))
}

func validBits(v []byte) bool {
	return len(v) >= 4 && uint64(len(v)-4) == (uint64(binary.BigEndian.Uint32(v))+7)/8
}

// arrayValue is an array's binary form (array_send): dimensions, a flag, the elements' type, size and lower bound of each
// dimension, then the elements with their lengths.
type arrayValue struct {
	dims  int
	sizes []byte
	elems [][]byte
}

func parseArray(b []byte) (a arrayValue, ok bool) {
	if len(b) < 12 {
		return a, false
	}
	a.dims = int(int32(binary.BigEndian.Uint32(b)))
	b = b[12:]
	if a.dims < 0 || a.dims > 6 || len(b) < 8*a.dims {
		return a, false
	}
	a.sizes, b = b[:8*a.dims], b[8*a.dims:]
	for len(b) > 0 {
		var v []byte
		if v, b, ok = takeValue(b); !ok {
			return a, false
		}
		a.elems = append(a.elems, v)
	}
	return a, true
}

// takeValue cuts a value with its length off; nil is NULL.
func takeValue(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	b = b[4:]
	switch {
	case n == -1:
		return nil, b, true
	case n < 0 || n > len(b):
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// arrayComparator is array_cmp: elements, where NULL is greater than all others, then how many there are, then the
// dimensions and their sizes.
func arrayComparator(c comparator, elem comparator) comparator {
	elem.desc, elem.nullsFirst = false, false
	c.verify = func(v []byte) error {
		a, ok := parseArray(v)
		if !ok {
			return malformed(v)
		}
		for _, e := range a.elems {
			if e != nil {
				if err := elem.check(e); err != nil {
					return err
				}
			}
		}
		return nil
	}
	c.order = func(x, y []byte) int {
		a, _ := parseArray(x)
		b, _ := parseArray(y)
		for i := range min(len(a.elems), len(b.elems)) {
			if r := elem.compare(a.elems[i], b.elems[i]); r != 0 {
				return r
			}
		}
		if r := cmp.Or(cmp.Compare(len(a.elems), len(b.elems)), cmp.Compare(a.dims, b.dims)); r != 0 {
			return r
		}
		for _, part := range []int{0, 4} {
			for i := range a.dims {
				l, r := a.sizes[8*i+part:], b.sizes[8*i+part:]
				if c := cmp.Compare(int32(binary.BigEndian.Uint32(l)), int32(binary.BigEndian.Uint32(r))); c != 0 {
					return c
				}
			}
		}
		return 0
	}
	return c
}

// collatedComparator orders records of a value's collation and the value (router.SortCollated). What they hold shows with
// the first row.
func collatedComparator(k router.SortKey, cs Collations) comparator {
	var inner *comparator
	var name string
	var typ uint32
	return comparator{
		verify: func(v []byte) error {
			collation, oid, value, ok := parseCollated(v)
			if !ok {
				return malformed(v)
			}
			if inner == nil {
				c, err := comparatorOf(k, oid, string(collation), cs)
				if err != nil {
					return err
				}
				inner, name, typ = &c, string(collation), oid
			}
			switch {
			case name != string(collation) || typ != oid:
				return pgerr.New(pgerr.InternalError, "a sort column has collations %s and %s, types %d and %d", name, collation, typ, oid)
			case value == nil:
				return nil
			}
			return inner.check(value)
		},
		order: func(a, b []byte) int {
			_, _, x, _ := parseCollated(a)
			_, _, y, _ := parseCollated(b)
			return inner.compare(x, y)
		},
	}
}

// comparatorOf orders values of a type and a collation as pg_collation_for names it, "" for none.
func comparatorOf(k router.SortKey, oid uint32, collation string, cs Collations) (comparator, error) {
	k.Form, k.Collation = router.SortPlain, collation
	switch collation {
	case `"default"`, `"C"`, `"POSIX"`:
		k.Collation = collation[1 : len(collation)-1]
	}
	return newComparator(oid, k, cs)
}

// Sortable gives the reason why values of a type and a collation, as comparatorOf has them, cannot be merged here, nil for none.
func Sortable(k router.SortKey, oid uint32, collation string, cs Collations) error {
	_, err := comparatorOf(k, oid, collation, cs)
	return err
}

// parseCollated takes a record of a text and another value apart (record_send).
func parseCollated(v []byte) (collation []byte, oid uint32, value []byte, ok bool) {
	if len(v) < 8 || binary.BigEndian.Uint32(v) != 2 {
		return nil, 0, nil, false
	}
	collation, v, ok = takeValue(v[8:])
	if !ok || len(v) < 4 {
		return nil, 0, nil, false
	}
	oid = binary.BigEndian.Uint32(v)
	value, v, ok = takeValue(v[4:])
	return collation, oid, value, ok && len(v) == 0
}

// rankComparator orders the ranks of an enum's values (router.SortRank).
func rankComparator(c comparator) comparator {
	order := func(v []byte) int64 { return int64(binary.BigEndian.Uint64(v)) }
	c.order = func(a, b []byte) int { return cmp.Compare(order(a), order(b)) }
	c.verify = func(v []byte) error {
		switch {
		case len(v) != 8:
			return malformed(v)
		case order(v) < -1:
			return unsortable("a user's type")
		}
		return nil
	}
	return c
}
