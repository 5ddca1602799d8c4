package shardmap

import (
	"math"
	"unicode/utf8"
)

// StoresUnchanged is true if storing v in a column with this type modifier (pg_attribute.atttypmod, -1 for
// none) provably leaves its hash as [ShardOf] gives it. varchar(n) may trim blanks, numeric(p,s) and
// timestamp(p) round; a comparison does none of that, so only INSERT, UPDATE and COPY need to ask.
func StoresUnchanged(col KeyColumn, typmod int32, v *Value) bool {
	if typmod < 0 || v.Null {
		return true
	}
	switch col.TypeOID {
	case VarcharOID:
		// typmod is the greatest length in characters plus 4, the varlena header.
		return utf8.RuneCount(v.Data) <= int(typmod)-4
	case BpcharOID:
		return utf8.RuneCount(trimBlanks(v.Data)) <= int(typmod)-4
	case NumericOID:
		return numericFits(typmod, v)
	case TimestampOID, TimestamptzOID:
		return timestampFits(col.TypeOID, typmod, v)
	case BoolOID, ByteaOID, Int2OID, Int4OID, Int8OID, TextOID, DateOID, UUIDOID:
		return true // these types have no modifier
	}
	return false
}

func timestampFits(column uint32, typmod int32, v *Value) bool {
	if typmod >= 6 {
		return true
	}
	typ := v.TypeOID
	if typ == 0 || typ == UnknownOID {
		typ = column
	}
	if typ != column {
		return false
	}
	micros, err := decodeTimestamp(typ, v.Format, v.Data)
	if err != nil {
		return false
	}
	unit := [...]int64{1_000_000, 100_000, 10_000, 1_000, 100, 10}[typmod]
	return micros%unit == 0 || micros == math.MaxInt64 || micros == math.MinInt64 // infinity has no fraction
}

// numericFits compares decimals after the point with the column's scale. typmod is (precision<<16 | scale)
// plus 4, with an 11 bit scale that is signed since PostgreSQL 15; a negative scale is left to PostgreSQL.
func numericFits(typmod int32, v *Value) bool {
	scale := int((typmod - 4) & 0x7ff)
	if scale > 1023 {
		return false
	}
	typ := v.TypeOID
	if typ == 0 || typ == UnknownOID {
		typ = NumericOID
	}
	switch {
	case isInteger(typ):
		return true
	case typ != NumericOID:
		return false
	case v.Format == Binary:
		// The declared scale bounds the decimals: hashNumericBinary refuses values that have more.
		_, err := hashNumericBinary(v.Data, 0)
		return err == nil && int(v.Data[6])<<8|int(v.Data[7]) <= scale
	}
	text := trimSpace(v.Data)
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	d, err := scanDecimal(text)
	return err == nil && d.digits-d.point-d.exponent <= scale
}
