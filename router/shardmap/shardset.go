package shardmap

import (
	"iter"
	"math/bits"
)

// MaxShards bounds the modulus: shards are numbered 0 to 65535.
const MaxShards = 1 << 16

// ShardSet is a set of shard numbers (or of backend indexes). The zero value is empty and ready. Numbers
// under 64 take no allocation. A copied set shares its larger members with the original: use Clone.
type ShardSet struct {
	low  uint64   // members 0 to 63
	high []uint64 // word i holds members 64*(i+1) to 64*(i+1)+63
}

// AllShards is the set of 0 to modulus-1.
func AllShards(modulus uint32) ShardSet {
	var s ShardSet
	if modulus < 64 {
		s.low = 1<<modulus - 1
		return s
	}
	s.low = ^uint64(0)
	if modulus == 64 {
		return s
	}
	s.high = make([]uint64, (modulus-1)/64)
	for i := range s.high {
		s.high[i] = ^uint64(0)
	}
	if odd := modulus % 64; odd != 0 {
		s.high[len(s.high)-1] = 1<<odd - 1
	}
	return s
}

// Add puts n, under MaxShards, into the set.
func (s *ShardSet) Add(n uint32) {
	if n < 64 {
		s.low |= 1 << n
		return
	}
	word := int(n/64 - 1)
	if word >= len(s.high) {
		s.high = append(s.high, make([]uint64, word+1-len(s.high))...)
	}
	s.high[word] |= 1 << (n % 64)
}

func (s *ShardSet) Has(n uint32) bool {
	if n < 64 {
		return s.low&(1<<n) != 0
	}
	word := int(n/64 - 1)
	return word < len(s.high) && s.high[word]&(1<<(n%64)) != 0
}

// Union adds the members of o.
func (s *ShardSet) Union(o *ShardSet) {
	s.low |= o.low
	if extra := len(o.high) - len(s.high); extra > 0 {
		s.high = append(s.high, make([]uint64, extra)...)
	}
	for i, w := range o.high {
		s.high[i] |= w
	}
}

// Intersect removes what is not in o.
func (s *ShardSet) Intersect(o *ShardSet) {
	s.low &= o.low
	if len(s.high) > len(o.high) {
		clear(s.high[len(o.high):])
		s.high = s.high[:len(o.high)]
	}
	for i := range s.high {
		s.high[i] &= o.high[i]
	}
}

// Len counts the members.
func (s *ShardSet) Len() int {
	n := bits.OnesCount64(s.low)
	for _, w := range s.high {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s *ShardSet) Empty() bool { _, ok := s.Next(0); return !ok }

// Single returns the only member; ok is false if the set has none or several.
func (s *ShardSet) Single() (n uint32, ok bool) {
	n, ok = s.Next(0)
	if !ok {
		return 0, false
	}
	if _, more := s.Next(n + 1); more {
		return 0, false
	}
	return n, true
}

func (s *ShardSet) Equal(o *ShardSet) bool {
	if s.low != o.low {
		return false
	}
	for i := range max(len(s.high), len(o.high)) {
		var a, b uint64
		if i < len(s.high) {
			a = s.high[i]
		}
		if i < len(o.high) {
			b = o.high[i]
		}
		if a != b {
			return false
		}
	}
	return true
}

func (s *ShardSet) Clone() ShardSet {
	return ShardSet{low: s.low, high: append([]uint64(nil), s.high...)}
}

// Next returns the least member not less than from.
func (s *ShardSet) Next(from uint32) (n uint32, ok bool) {
	if from < 64 {
		if w := s.low >> from; w != 0 {
			return from + uint32(bits.TrailingZeros64(w)), true
		}
		from = 64
	}
	for word := int(from/64 - 1); word < len(s.high); word++ {
		w := s.high[word]
		if start := uint32(word+1) * 64; from > start {
			w &^= 1<<(from-start) - 1
		}
		if w != 0 {
			return uint32(word+1)*64 + uint32(bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}

// All yields the members in ascending order.
func (s *ShardSet) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for n, ok := s.Next(0); ok; n, ok = s.Next(n + 1) {
			if !yield(n) {
				return
			}
		}
	}
}
