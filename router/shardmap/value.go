package shardmap

import (
	"errors"
	"fmt"
)

// Family is the operator class family of a key column.
type Family uint8

const (
	// FamilyPostgres is PostgreSQL's default hash operator class of the type.
	FamilyPostgres Family = iota
	// FamilyMurmur3 is operator family pleiad.murmur3_ops; see [Murmur3SQL].
	FamilyMurmur3
)

// KeyColumn is one column of a partition key. Its collation must be deterministic: of another,
// PostgreSQL hashes a sort key.
type KeyColumn struct {
	TypeOID uint32 // the base type's; a domain is given as its base type
	Family  Family
}

// Format is PostgreSQL's wire format code.
type Format uint8

const (
	Text   Format = 0
	Binary Format = 1
)

// Value is a key value as it came over the wire or stood in the statement.
type Value struct {
	Data   []byte // borrowed for the call; ignored when Null
	Format Format
	Null   bool
	// TypeOID is the value's own declared type; 0 (or unknown) is a literal or parameter whose type
	// PostgreSQL will take from the column.
	TypeOID uint32
}

// ErrNotProvable says that the hash of a valid value cannot be computed here with certainty: its text
// depends on session settings, is spelt in a way that versions of PostgreSQL read differently, or its type
// is compared by an operator outside the column's hash family. Ask PostgreSQL.
var ErrNotProvable = errors.New("shard of key value is not provable")

// InvalidTextError says that PostgreSQL's input function refuses this text. Send the statement to any
// backend to get PostgreSQL's own error.
type InvalidTextError struct{ TypeOID uint32 }

func (e *InvalidTextError) Error() string {
	return fmt.Sprintf("read key value: invalid text for type %d", e.TypeOID)
}

// InvalidBinaryError says that PostgreSQL's receive function refuses these bytes.
type InvalidBinaryError struct {
	TypeOID uint32
	Len     int // length of the data in bytes
}

func (e *InvalidBinaryError) Error() string {
	return fmt.Sprintf("read key value: invalid binary of %d bytes for type %d", e.Len, e.TypeOID)
}

// Supported is true if a column of this type can be a partition key in this family.
func Supported(typeOID uint32, f Family) bool {
	switch f {
	case FamilyPostgres:
		switch typeOID {
		case BoolOID, ByteaOID, Int2OID, Int4OID, Int8OID, TextOID, VarcharOID, BpcharOID, DateOID,
			TimestampOID, TimestamptzOID, NumericOID, UUIDOID:
			return true
		}
	case FamilyMurmur3:
		switch typeOID {
		case Int4OID, Int8OID, TextOID, VarcharOID, UUIDOID:
			return true
		}
	}
	return false
}

// ShardOf returns the remainder, 0 to modulus-1, of the hash partition that accepts a row with these key
// values: PostgreSQL's satisfies_hash_partition is true for it. NULL columns take part as in PostgreSQL:
// they are left out.
//
// Errors: ErrNotProvable, *InvalidTextError, *InvalidBinaryError, or a plain error for a call that is wrong
// in itself (counts differ, modulus 0, unsupported column).
func ShardOf(cols []KeyColumn, vals []Value, modulus uint32) (uint32, error) {
	if modulus == 0 {
		return 0, errors.New("compute shard: modulus is 0")
	}
	h, err := Hash(cols, vals)
	if err != nil {
		return 0, err
	}
	return uint32(h % uint64(modulus)), nil
}

// Hash is PostgreSQL's compute_partition_hash_value: the row's hash before the modulus. Errors as ShardOf.
func Hash(cols []KeyColumn, vals []Value) (uint64, error) {
	if len(cols) != len(vals) || len(cols) == 0 {
		return 0, fmt.Errorf("compute shard: %d key columns, %d values", len(cols), len(vals))
	}
	var row uint64
	for i := range cols {
		if vals[i].Null {
			continue
		}
		h, err := hashColumn(cols[i], &vals[i], partitionSeed)
		if err != nil {
			return 0, err
		}
		row = combine(row, h)
	}
	return row, nil
}

func hashColumn(col KeyColumn, v *Value, seed uint64) (uint64, error) {
	if !Supported(col.TypeOID, col.Family) {
		return 0, fmt.Errorf("compute shard: type %d is not supported as a key", col.TypeOID)
	}
	if v.Format > Binary {
		return 0, fmt.Errorf("compute shard: unknown format code %d", v.Format)
	}
	typ := v.TypeOID
	if typ == 0 || typ == UnknownOID {
		typ = col.TypeOID
	}
	if col.Family == FamilyMurmur3 {
		return hashMurmur3(col.TypeOID, typ, v.Format, v.Data, seed)
	}
	return hashPostgres(col.TypeOID, typ, v.Format, v.Data, seed)
}

// hashPostgres hashes data, a value of type typ, as the column's default hash operator class does.
func hashPostgres(column, typ uint32, f Format, data []byte, seed uint64) (uint64, error) {
	switch {
	case isInteger(column) && isInteger(typ):
		n, err := decodeInt(typ, f, data)
		return hashInt64(n, seed), err
	case isText(column) && isText(typ):
		return hashBytes(data, seed), checkName(typ, data)
	case column == NumericOID && isInteger(typ):
		// There is no numeric = integer operator: PostgreSQL always casts the integer, exactly.
		n, err := decodeInt(typ, f, data)
		return hashNumericInt(n, seed), err
	case column != typ:
		return 0, ErrNotProvable
	}
	switch column {
	case BoolOID:
		b, err := decodeBool(f, data)
		return hashUint32(b, seed), err
	case BpcharOID:
		return hashBytes(trimBlanks(data), seed), nil
	case UUIDOID:
		u, err := decodeUUID(f, data)
		return hashBytes(u[:], seed), err
	case ByteaOID:
		return hashBytea(f, data, seed)
	case NumericOID:
		return hashNumeric(f, data, seed)
	case DateOID:
		d, err := decodeDate(f, data)
		return hashUint32(uint32(d), seed), err
	default: // TimestampOID, TimestamptzOID: Supported admits no other
		ts, err := decodeTimestamp(typ, f, data)
		return hashInt64(ts, seed), err
	}
}

// checkName refuses what PostgreSQL would truncate to fit type name (NAMEDATALEN-1 bytes).
func checkName(typ uint32, data []byte) error {
	if typ == NameOID && len(data) > 63 {
		return ErrNotProvable
	}
	return nil
}

// trimBlanks drops the trailing blanks that bpchar ignores (bcTruelen in varchar.c).
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}
