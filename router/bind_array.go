package router

import (
	"bytes"
	"encoding/binary"

	"github.com/pleiad/pleiad/router/shardmap"
)

// addArrays adds the shards of a tuple some of whose values are arrays: each stands for its elements.
func (v *Values) addArrays(t *Table, tuple KeyTuple, set *shardmap.ShardSet) error {
	v.scratch = v.scratch[:0]
	lists := make([][]shardmap.Value, len(tuple))
	combinations := 1
	for i := range tuple {
		k := tuple[i]
		var vals []shardmap.Value
		if !k.Array {
			val, err := v.value(&k)
			if err != nil {
				return err
			}
			vals = []shardmap.Value{val}
		} else {
			arr, err := v.array(k)
			if err != nil {
				return err
			}
			vals = arr
		}
		lists[i] = vals
		if combinations *= len(vals); combinations > maxAlternatives {
			return shardmap.ErrNotProvable
		}
	}
	return v.addCross(t, lists, 0, set)
}

func (v *Values) addCross(t *Table, lists [][]shardmap.Value, i int, set *shardmap.ShardSet) error {
	if i == len(lists) {
		return v.addShard(t, v.vals[:i], false, set)
	}
	for _, val := range lists[i] {
		if val.Null {
			continue
		}
		v.vals[i] = val
		if err := v.addCross(t, lists, i+1, set); err != nil {
			return err
		}
	}
	return nil
}

// array reads an array value's elements.
func (v *Values) array(k KeyValue) ([]shardmap.Value, error) {
	elem := k.TypeOID
	k.TypeOID = 0 // the array's own type is not the element's
	val, err := v.value(&k)
	if err != nil || val.Null {
		return nil, err
	}
	if val.TypeOID != 0 {
		declared, ok := elementTypes[val.TypeOID]
		if !ok || elem != 0 && typeClass(elem) != typeClass(declared) {
			return nil, shardmap.ErrNotProvable
		}
		elem = declared
	}
	var out []shardmap.Value
	ok := false
	if val.Format == shardmap.Binary {
		out, ok = binaryArray(val.Data)
	} else {
		out, ok = textArray(val.Data)
	}
	if !ok {
		return nil, shardmap.ErrNotProvable
	}
	for i := range out {
		if out[i].TypeOID == 0 {
			out[i].TypeOID = elem
		}
	}
	return out, nil
}

// elementTypes are the array types of key types, by pg_type.dat's OIDs.
var elementTypes = map[uint32]uint32{
	1000: shardmap.BoolOID, 1001: shardmap.ByteaOID, 1003: shardmap.NameOID, 1016: shardmap.Int8OID,
	1005: shardmap.Int2OID, 1007: shardmap.Int4OID, 1009: shardmap.TextOID, 1014: shardmap.BpcharOID,
	1015: shardmap.VarcharOID, 1182: shardmap.DateOID, 1115: shardmap.TimestampOID,
	1185: shardmap.TimestamptzOID, 1231: shardmap.NumericOID, 2951: shardmap.UUIDOID,
}

// binaryArray decodes array_send's format (arrayfuncs.c): dimensions, a flag, the element type, each dimension's
// length and lower bound, then the elements with their lengths, -1 for NULL.
func binaryArray(b []byte) ([]shardmap.Value, bool) {
	if len(b) < 12 {
		return nil, false
	}
	dims := binary.BigEndian.Uint32(b)
	elem := binary.BigEndian.Uint32(b[8:])
	b = b[12:]
	if dims > 6 || uint64(len(b)) < uint64(dims)*8 {
		return nil, false
	}
	n := uint64(1)
	for range dims {
		n *= uint64(binary.BigEndian.Uint32(b))
		b = b[8:]
		if n > maxAlternatives {
			return nil, false
		}
	}
	if dims == 0 {
		n = 0
	}
	out := make([]shardmap.Value, 0, n)
	for range n {
		if len(b) < 4 {
			return nil, false
		}
		size := int32(binary.BigEndian.Uint32(b))
		b = b[4:]
		if size < 0 {
			out = append(out, shardmap.Value{Null: true})
			continue
		}
		if int64(size) > int64(len(b)) {
			return nil, false
		}
		out = append(out, shardmap.Value{Data: b[:size:size], Format: shardmap.Binary, TypeOID: elem})
		b = b[size:]
	}
	return out, len(b) == 0
}

// textArray decodes array_out's format for delimiters of ',': braces nest, elements may be quoted. Explicit bounds
// ("[2:3]={…}") and malformed texts are left to PostgreSQL.
func textArray(b []byte) ([]shardmap.Value, bool) {
	b = bytes.TrimSpace(b)
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return nil, false
	}
	var out []shardmap.Value
	depth := 0
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '{':
			depth++
			i++
		case c == '}':
			depth--
			i++
		case c == ',' || isArraySpace(c):
			i++
		default:
			val, next, ok := arrayElement(b, i)
			if !ok || depth == 0 || len(out) >= maxAlternatives {
				return nil, false
			}
			out = append(out, val)
			i = next
		}
	}
	return out, depth == 0
}

// arrayElement decodes the element at b[i]: quoted, or bare up to a comma or brace, trailing blanks cut; a backslash
// takes the next byte as it is.
func arrayElement(b []byte, i int) (val shardmap.Value, next int, ok bool) {
	data := []byte{}
	if b[i] == '"' {
		for i++; i < len(b) && b[i] != '"'; i++ {
			if b[i] == '\\' {
				i++
			}
			if i < len(b) {
				data = append(data, b[i])
			}
		}
		return shardmap.Value{Data: data}, i + 1, i < len(b)
	}
	keep, escaped := 0, false
	for ; i < len(b) && b[i] != ',' && b[i] != '}'; i++ {
		switch {
		case b[i] == '{' || b[i] == '"':
			return val, i, false
		case b[i] == '\\':
			escaped = true
			if i++; i >= len(b) {
				return val, i, false
			}
			data = append(data, b[i])
			keep = len(data)
		default:
			data = append(data, b[i])
			if !isArraySpace(b[i]) {
				keep = len(data)
			}
		}
	}
	data = data[:keep]
	if !escaped && len(data) == 4 && bytes.EqualFold(data, []byte("null")) {
		return shardmap.Value{Null: true}, i, true
	}
	return shardmap.Value{Data: data}, i, true
}

// isArraySpace is array_isspace (arrayfuncs.c).
func isArraySpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
