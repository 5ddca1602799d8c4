package shardmap

import (
	"encoding/binary"
	"math/bits"
)

// partitionSeed is HASH_PARTITION_SEED of PostgreSQL's partition.h.
const partitionSeed uint64 = 0x7A5B22367996DCFD

// jenkinsInit is the initial state of PostgreSQL's variant of lookup3, before the length is added
// (src/common/hashfn.c).
const jenkinsInit uint32 = 0x9e3779b9 + 3923095

func jenkinsMix(a, b, c uint32) (uint32, uint32, uint32) {
	a -= c
	a ^= bits.RotateLeft32(c, 4)
	c += b
	b -= a
	b ^= bits.RotateLeft32(a, 6)
	a += c
	c -= b
	c ^= bits.RotateLeft32(b, 8)
	b += a
	a -= c
	a ^= bits.RotateLeft32(c, 16)
	c += b
	b -= a
	b ^= bits.RotateLeft32(a, 19)
	a += c
	c -= b
	c ^= bits.RotateLeft32(b, 4)
	b += a
	return a, b, c
}

func jenkinsFinal(a, b, c uint32) uint64 {
	c ^= b
	c -= bits.RotateLeft32(b, 14)
	a ^= c
	a -= bits.RotateLeft32(c, 11)
	b ^= a
	b -= bits.RotateLeft32(a, 25)
	c ^= b
	c -= bits.RotateLeft32(b, 16)
	a ^= c
	a -= bits.RotateLeft32(c, 4)
	b ^= a
	b -= bits.RotateLeft32(a, 14)
	c ^= b
	c -= bits.RotateLeft32(b, 24)
	return uint64(b)<<32 | uint64(c)
}

func jenkinsStart(length uint32, seed uint64) (a, b, c uint32) {
	a = jenkinsInit + length
	b, c = a, a
	if seed != 0 {
		a += uint32(seed >> 32)
		b += uint32(seed)
		a, b, c = jenkinsMix(a, b, c)
	}
	return a, b, c
}

// hashBytes is PostgreSQL's hash_bytes_extended.
func hashBytes(k []byte, seed uint64) uint64 {
	a, b, c := jenkinsStart(uint32(len(k)), seed)
	for len(k) >= 12 {
		a += binary.LittleEndian.Uint32(k)
		b += binary.LittleEndian.Uint32(k[4:])
		c += binary.LittleEndian.Uint32(k[8:])
		a, b, c = jenkinsMix(a, b, c)
		k = k[12:]
	}
	var tail [12]byte
	// The lowest byte of c is left out: PostgreSQL reserves it for the length.
	if len(k) > 8 {
		copy(tail[9:], k[8:])
		k = k[:8]
	}
	copy(tail[:8], k)
	a += binary.LittleEndian.Uint32(tail[:])
	b += binary.LittleEndian.Uint32(tail[4:])
	c += binary.LittleEndian.Uint32(tail[8:])
	return jenkinsFinal(a, b, c)
}

// hashUint32 is PostgreSQL's hash_bytes_uint32_extended.
func hashUint32(k uint32, seed uint64) uint64 {
	a, b, c := jenkinsStart(4, seed)
	return jenkinsFinal(a+k, b, c)
}

// hashInt64 is PostgreSQL's hashint8extended. Equal values of int2 and int4 hash the same.
func hashInt64(v int64, seed uint64) uint64 {
	lo, hi := uint32(v), uint32(v>>32)
	if v < 0 {
		hi = ^hi
	}
	return hashUint32(lo^hi, seed)
}

// combine is PostgreSQL's hash_combine64.
func combine(a, b uint64) uint64 {
	return a ^ (b + 0x49a0f4dd15e5a8e3 + a<<54 + a>>7)
}
