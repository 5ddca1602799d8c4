package executor

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// Collations gives the order of text under a collation, where pleiad can prove that it is the servers' order.
type Collations interface {
	// Compare returns the comparison for a collation as router.SortKey names it, or false.
	Compare(collation string) (func(a, b []byte) int, bool)
}

// comparator orders one sort column's binary values as PostgreSQL's btree does. nil is NULL.
type comparator struct {
	order      func(a, b []byte) int
	size       int                  // exact length of a value, 0 for any
	valid      func(v []byte) bool  // nil: any
	verify     func(v []byte) error // as valid, with an error of its own
	desc       bool
	nullsFirst bool
}

func (c comparator) compare(a, b []byte) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		if c.nullsFirst {
			return -1
		}
		return 1
	case b == nil:
		if c.nullsFirst {
			return 1
		}
		return -1
	}
	if c.desc {
		return c.order(b, a)
	}
	return c.order(a, b)
}

func (c comparator) check(v []byte) error {
	if c.size != 0 && len(v) != c.size {
		return fmt.Errorf("sort column has %d bytes instead of %d", len(v), c.size)
	}
	if c.valid != nil && !c.valid(v) {
		return malformed(v)
	}
	if c.verify != nil {
		return c.verify(v)
	}
	return nil
}

func malformed(v []byte) error {
	return fmt.Errorf("sort column has a malformed value of %d bytes", len(v))
}

func unsortable(what string) *pgerr.Error {
	return pgerr.New(pgerr.FeatureNotSupported, "ORDER BY over several backends is not supported for %s", what).
		WithHint("Cast the sort expression to a number, text, date, timestamp or uuid, or select one partition key.")
}

// Type oids of pg_type.dat whose order is reproduced here.
const (
	oidBool, oidBytea, oidChar, oidName, oidInt8, oidInt2, oidInt4, oidText = 16, 17, 18, 19, 20, 21, 23, 25
	oidOID, oidFloat4, oidFloat8, oidMoney, oidBpchar, oidVarchar           = 26, 700, 701, 790, 1042, 1043
	oidDate, oidTime, oidTimestamp, oidTimestamptz, oidInterval, oidTimetz  = 1082, 1083, 1114, 1184, 1186, 1266
	oidNumeric, oidUUID, oidLSN, oidMacaddr, oidMacaddr8, oidXid8           = 1700, 2950, 3220, 829, 774, 5069
)

func newComparator(oid uint32, k router.SortKey, cs Collations) (comparator, error) {
	c := comparator{desc: k.Desc, nullsFirst: k.NullsFirst}
	switch {
	case k.Form == router.SortCollated && oid == oidRecord:
		return collatedComparator(k, cs), nil
	case k.Form == router.SortRanked && oid >= firstUserOID:
		c.order = func(_, _ []byte) int { return 0 }
		return c, nil
	case k.Form == router.SortRank && oid == oidInt8:
		return rankComparator(c), nil
	}
	if elem := arrayElements[oid]; elem != 0 {
		e, err := newComparator(elem, router.SortKey{Collation: k.Collation}, cs)
		return arrayComparator(c, e), err
	}
	switch oid {
	case oidInt2:
		c.size, c.order = 2, func(a, b []byte) int {
			return cmp.Compare(int16(binary.BigEndian.Uint16(a)), int16(binary.BigEndian.Uint16(b)))
		}
	case oidInt4, oidDate:
		c.size, c.order = 4, func(a, b []byte) int {
			return cmp.Compare(int32(binary.BigEndian.Uint32(a)), int32(binary.BigEndian.Uint32(b)))
		}
	case oidInt8, oidTimestamp, oidTimestamptz, oidTime, oidMoney:
		c.size, c.order = 8, func(a, b []byte) int {
			return cmp.Compare(int64(binary.BigEndian.Uint64(a)), int64(binary.BigEndian.Uint64(b)))
		}
	case oidFloat4:
		c.size, c.order = 4, func(a, b []byte) int { return compareFloat(float64(float4(a)), float64(float4(b))) }
	case oidFloat8:
		c.size, c.order = 8, func(a, b []byte) int { return compareFloat(float8(a), float8(b)) }
	case oidBool, oidChar:
		c.size, c.order = 1, bytes.Compare
	case oidOID:
		c.size, c.order = 4, bytes.Compare
	case oidLSN, oidXid8:
		c.size, c.order = 8, bytes.Compare
	case oidUUID:
		c.size, c.order = 16, bytes.Compare
	case oidMacaddr:
		c.size, c.order = 6, bytes.Compare
	case oidMacaddr8:
		c.size, c.order = 8, bytes.Compare
	case oidBytea:
		c.order = bytes.Compare
	case oidInterval:
		c.size, c.order = 16, compareInterval
	case oidTimetz:
		c.size, c.order = 12, compareTimetz
	case oidNumeric:
		c.order, c.valid = compareNumeric, validNumeric
	case oidTID:
		c.size, c.order = 6, bytes.Compare
	case oidInet, oidCIDR:
		c.order, c.valid = compareInet, validInet
	case oidBit, oidVarbit:
		c.order, c.valid = compareBitString, validBits
	case oidJSONB:
		text, ok := cs.Compare("default")
		if !ok {
			return c, unsortable("jsonb in a database whose collation is not known")
		}
		c.order = jsonbOrder(text)
		c.valid = func(v []byte) bool { _, ok := parseJSONB(v); return ok }
	case oidText, oidVarchar, oidName, oidBpchar:
		return textComparator(c, oid, k, cs)
	default:
		return c, unsortable("type oid " + strconv.FormatUint(uint64(oid), 10))
	}
	return c, nil
}

// newComparators are those of sort columns of some types.
func newComparators(types []uint32, keys []router.SortKey, cs Collations) (list []comparator, err error) {
	for i, k := range keys {
		c, err := newComparator(types[i], k, cs)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func textComparator(c comparator, oid uint32, k router.SortKey, cs Collations) (comparator, error) {
	collation := k.Collation
	if oid == oidName && (collation == "" || collation == "default") {
		collation = "C" // name's own collation
	}
	order, ok := cs.Compare(collation)
	if !ok {
		name := collation
		if name == "" {
			name = "unknown"
		}
		return c, pgerr.New(pgerr.FeatureNotSupported,
			"ORDER BY over several backends is not supported for text in collation %s", name).
			WithHint(`Add COLLATE "C" to the sort expression, or select one partition key.`)
	}
	c.order = order
	if oid == oidBpchar {
		c.order = func(a, b []byte) int { return order(bytes.TrimRight(a, " "), bytes.TrimRight(b, " ")) }
	}
	return c, nil
}

func float4(b []byte) float32 { return math.Float32frombits(binary.BigEndian.Uint32(b)) }
func float8(b []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b)) }

// compareFloat puts NaN above all, as float8_cmp_internal does.
func compareFloat(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	}
	return cmp.Compare(a, b)
}

// compareInterval is interval_cmp_internal: months count 30 days, days 24 hours, in 128 bits. The wire has
// microseconds, days, months. PostgreSQL 17's infinities are the extreme values of each field and so sort right.
func compareInterval(a, b []byte) int {
	ad, at := intervalSpan(a)
	bd, bt := intervalSpan(b)
	if c := cmp.Compare(ad, bd); c != 0 {
		return c
	}
	return cmp.Compare(at, bt)
}

// intervalSpan splits an interval into whole days and the microseconds of the last one, in [0, a day).
func intervalSpan(b []byte) (days, micros int64) {
	const day = 86_400_000_000
	t := int64(binary.BigEndian.Uint64(b))
	d := int64(int32(binary.BigEndian.Uint32(b[8:])))
	m := int64(int32(binary.BigEndian.Uint32(b[12:])))
	days, micros = m*30+d+t/day, t%day
	if micros < 0 {
		days--
		micros += day
	}
	return days, micros
}

// compareTimetz is timetz_cmp_internal: by the instant, then by the zone (seconds west, on the wire as well).
func compareTimetz(a, b []byte) int {
	at, az := int64(binary.BigEndian.Uint64(a)), int64(int32(binary.BigEndian.Uint32(a[8:])))
	bt, bz := int64(binary.BigEndian.Uint64(b)), int64(int32(binary.BigEndian.Uint32(b[8:])))
	if c := cmp.Compare(at+az*1_000_000, bt+bz*1_000_000); c != 0 {
		return c
	}
	return cmp.Compare(az, bz)
}

// compareNumeric orders binary numerics: ndigits, weight, sign, dscale, then base-10000 digits (numeric_send).
// -Infinity < numbers < Infinity < NaN.
func compareNumeric(a, b []byte) int {
	ra, rb := numericRank(a), numericRank(b)
	if ra != rb || ra != 0 {
		return cmp.Compare(ra, rb)
	}
	x, y := decodeNumeric(a), decodeNumeric(b)
	if x.sign != y.sign {
		return cmp.Compare(x.sign, y.sign)
	}
	return x.sign * x.compareMagnitude(y)
}

// validNumeric tells whether a value has the digits that it announces, and a known sign.
func validNumeric(b []byte) bool {
	if len(b) < 8 || len(b) != 8+2*int(binary.BigEndian.Uint16(b)) {
		return false
	}
	switch binary.BigEndian.Uint16(b[4:]) {
	case 0, 0x4000, 0xC000, 0xD000, 0xF000:
		return true
	}
	return false
}

func numericRank(b []byte) int {
	if len(b) < 8 {
		return 0
	}
	switch binary.BigEndian.Uint16(b[4:]) {
	case 0xC000:
		return 2
	case 0xD000:
		return 1
	case 0xF000:
		return -1
	}
	return 0
}

type numeric struct {
	sign   int // -1, 0, 1
	weight int
	digits []byte // two bytes each, no zeros at either end
}

func decodeNumeric(b []byte) numeric {
	if len(b) < 8 {
		return numeric{}
	}
	n := numeric{sign: 1, weight: int(int16(binary.BigEndian.Uint16(b[2:])))}
	if binary.BigEndian.Uint16(b[4:]) == 0x4000 {
		n.sign = -1
	}
	d := b[8:]
	d = d[:len(d)&^1]
	for len(d) > 0 && d[0] == 0 && d[1] == 0 {
		d = d[2:]
		n.weight--
	}
	for len(d) > 0 && d[len(d)-1] == 0 && d[len(d)-2] == 0 {
		d = d[:len(d)-2]
	}
	if len(d) == 0 {
		return numeric{}
	}
	n.digits = d
	return n
}

func (n numeric) compareMagnitude(o numeric) int {
	if n.sign == 0 {
		return 0
	}
	if c := cmp.Compare(n.weight, o.weight); c != 0 {
		return c
	}
	// Digits are big endian, so bytes compare as numbers; a prefix is smaller.
	return bytes.Compare(n.digits, o.digits)
}
