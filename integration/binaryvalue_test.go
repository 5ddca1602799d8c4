package integration

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// nameOIDs prints a binary value with the oids inside of arrays and composites resolved to names: servers number
// user-defined types as they like, and a driver reads these numbers. resolve gives a type's name, "[]" at the end for
// an array; composite tells row types.
func nameOIDs(v []byte, kind typeKind, kindOf func(oid uint32) (string, typeKind)) string {
	var b strings.Builder
	switch kind {
	case kindArray:
		rest := v
		if len(v) < 12 {
			return fmt.Sprintf("%q", v)
		}
		dimensions := int(binary.BigEndian.Uint32(v))
		name, element := kindOf(binary.BigEndian.Uint32(v[8:]))
		fmt.Fprintf(&b, "array %q of %s [", v[:8], name)
		rest = v[12:]
		if len(rest) < 8*dimensions {
			return fmt.Sprintf("%q", v)
		}
		fmt.Fprintf(&b, "%q", rest[:8*dimensions])
		rest = rest[8*dimensions:]
		for len(rest) >= 4 {
			var field []byte
			if field, rest = binaryField(rest); field == nil {
				b.WriteString(" null")
				continue
			}
			b.WriteString(" " + nameOIDs(field, element, kindOf))
		}
		b.WriteString("]")
	case kindRow:
		if len(v) < 4 {
			return fmt.Sprintf("%q", v)
		}
		b.WriteString("row(")
		for rest := v[4:]; len(rest) >= 8; {
			name, inner := kindOf(binary.BigEndian.Uint32(rest))
			field, after := binaryField(rest[4:])
			rest = after
			if field == nil {
				fmt.Fprintf(&b, " %s null", name)
				continue
			}
			fmt.Fprintf(&b, " %s %s", name, nameOIDs(field, inner, kindOf))
		}
		b.WriteString(")")
	default:
		return fmt.Sprintf("%q", v)
	}
	return b.String()
}

// binaryField takes a length and as many bytes; nil for null.
func binaryField(v []byte) (field, rest []byte) {
	n := int(int32(binary.BigEndian.Uint32(v)))
	v = v[4:]
	if n < 0 || n > len(v) {
		return nil, v
	}
	return v[:n:n], v[n:]
}

// typeKind says how a type's binary form is made.
type typeKind byte

const (
	kindPlain typeKind = iota
	kindArray
	kindRow
)
