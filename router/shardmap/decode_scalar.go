package shardmap

import (
	"encoding/binary"
	"math"
)

// isSpace is C's isspace in the C locale, which PostgreSQL's input functions skip.
func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func decodeInt(typ uint32, f Format, data []byte) (int64, error) {
	if f == Binary {
		return decodeIntBinary(typ, data)
	}
	n, err := parseInt(typ, data)
	if err != nil {
		return 0, err
	}
	if (typ == Int2OID && n != int64(int16(n))) || (typ == Int4OID && n != int64(int32(n))) {
		return 0, &InvalidTextError{typ}
	}
	return n, nil
}

func decodeIntBinary(typ uint32, data []byte) (int64, error) {
	switch {
	case typ == Int2OID && len(data) == 2:
		return int64(int16(binary.BigEndian.Uint16(data))), nil
	case typ == Int4OID && len(data) == 4:
		return int64(int32(binary.BigEndian.Uint32(data))), nil
	case typ == Int8OID && len(data) == 8:
		return int64(binary.BigEndian.Uint64(data)), nil
	}
	return 0, &InvalidBinaryError{typ, len(data)}
}

// parseInt reads what pg_strtoint64 of PostgreSQL 15 reads. Underscores and 0x, 0o, 0b prefixes, which
// PostgreSQL 16 added, are not provable.
func parseInt(typ uint32, text []byte) (int64, error) {
	text = trimSpace(text)
	neg := false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		neg = text[0] == '-'
		text = text[1:]
	}
	if newerSpelling(text) {
		return 0, ErrNotProvable
	}
	if len(text) == 0 {
		return 0, &InvalidTextError{typ}
	}
	var n uint64 // magnitude; at most 1<<63
	for _, c := range text {
		d := uint64(c - '0')
		if !isDigit(c) || n > (1<<63-d)/10 {
			return 0, &InvalidTextError{typ}
		}
		n = n*10 + d
	}
	if neg {
		return -int64(n), nil
	}
	if n > math.MaxInt64 {
		return 0, &InvalidTextError{typ}
	}
	return int64(n), nil
}

// newerSpelling is true if the text, its sign taken off, uses the number syntax that came with
// PostgreSQL 16.
func newerSpelling(text []byte) bool {
	if len(text) > 1 && text[0] == '0' {
		switch text[1] {
		case 'x', 'X', 'o', 'O', 'b', 'B':
			return true
		}
	}
	for _, c := range text {
		if c == '_' {
			return true
		}
	}
	return false
}

// decodeBool returns 0 or 1.
func decodeBool(f Format, data []byte) (uint32, error) {
	if f == Binary {
		if len(data) != 1 {
			return 0, &InvalidBinaryError{BoolOID, len(data)}
		}
		if data[0] != 0 {
			return 1, nil
		}
		return 0, nil
	}
	b := trimSpace(data)
	switch {
	case foldPrefix(b, "true", 1), foldPrefix(b, "yes", 1), foldPrefix(b, "on", 2), foldPrefix(b, "1", 1):
		return 1, nil
	case foldPrefix(b, "false", 1), foldPrefix(b, "no", 1), foldPrefix(b, "off", 2), foldPrefix(b, "0", 1):
		return 0, nil
	}
	return 0, &InvalidTextError{BoolOID}
}

// foldPrefix is true if b, in any case, is a prefix of word and at least atLeast bytes long.
func foldPrefix(b []byte, word string, atLeast int) bool {
	if len(b) < atLeast || len(b) > len(word) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// hexValue returns 0 to 15, or a larger number for what is no hexadecimal digit.
func hexValue(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// decodeUUID accepts what uuid_in does: braces around, a hyphen after any group of four digits.
func decodeUUID(f Format, data []byte) (u [16]byte, err error) {
	if f == Binary {
		if len(data) != len(u) {
			return u, &InvalidBinaryError{UUIDOID, len(data)}
		}
		copy(u[:], data)
		return u, nil
	}
	s := data
	braces := len(s) > 0 && s[0] == '{'
	if braces {
		s = s[1:]
	}
	for i := range u {
		if len(s) < 2 || hexValue(s[0]) > 15 || hexValue(s[1]) > 15 {
			return u, &InvalidTextError{UUIDOID}
		}
		u[i] = hexValue(s[0])<<4 | hexValue(s[1])
		s = s[2:]
		if len(s) > 0 && s[0] == '-' && i%2 == 1 && i < len(u)-1 {
			s = s[1:]
		}
	}
	if braces && len(s) > 0 && s[0] == '}' {
		s, braces = s[1:], false
	}
	if braces || len(s) > 0 {
		return u, &InvalidTextError{UUIDOID}
	}
	return u, nil
}
