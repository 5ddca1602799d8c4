package shardmap

import (
	_ "embed"
	"encoding/binary"
	"sync"

	"github.com/spaolacci/murmur3"
)

//go:embed murmur3.sql
var murmur3SQL string

// Murmur3SQL creates operator family pleiad.murmur3_ops, its operator classes (see [Murmur3Opclass]) and
// their hash functions. Run it as a superuser in each database; running it again changes nothing.
//
// The hash of a value is the first half of MurmurHash3 x64 128 over its bytes: integers of every width as
// eight bytes, big-endian two's complement, so that equal integers hash alike; text as UTF-8; uuid as its
// sixteen bytes. The seed is the low 32 bits of the seed PostgreSQL passes.
func Murmur3SQL() string { return murmur3SQL }

// Murmur3Opclass names the operator class, to be written after the column in PARTITION BY HASH, of a
// type that FamilyMurmur3 supports. There is one name per type because PostgreSQL keeps names of operator
// classes unique in a schema; pleiad.murmur3_ops itself is the family they all belong to.
func Murmur3Opclass(typeOID uint32) (name string, ok bool) {
	switch typeOID {
	case Int4OID:
		return "pleiad.murmur3_int4_ops", true
	case Int8OID:
		return "pleiad.murmur3_int8_ops", true
	case TextOID, VarcharOID:
		return "pleiad.murmur3_text_ops", true
	case UUIDOID:
		return "pleiad.murmur3_uuid_ops", true
	}
	return "", false
}

// scratch holds the bytes given to the library, which makes its argument escape to the heap.
var scratch = sync.Pool{New: func() any { return new([16]byte) }}

func hashMurmur3(column, typ uint32, f Format, data []byte, seed uint64) (uint64, error) {
	switch {
	case isInteger(column) && isInteger(typ):
		n, err := decodeInt(typ, f, data)
		b := scratch.Get().(*[16]byte)
		defer scratch.Put(b)
		binary.BigEndian.PutUint64(b[:8], uint64(n))
		return murmurBytes(b[:8], seed), err
	case isText(column) && isText(typ):
		return murmurBytes(data, seed), checkName(typ, data)
	case column == UUIDOID && typ == UUIDOID:
		u, err := decodeUUID(f, data)
		b := scratch.Get().(*[16]byte)
		defer scratch.Put(b)
		*b = u
		return murmurBytes(b[:], seed), err
	}
	return 0, ErrNotProvable
}

func murmurBytes(b []byte, seed uint64) uint64 { return murmur3.Sum64WithSeed(b, uint32(seed)) }
