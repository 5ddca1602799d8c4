// Package plancache keeps plans of statements whose texts scan to the same key. It is bounded in bytes and safe for
// concurrent use.
package plancache

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// shardCount spreads the locks; a power of two.
const shardCount = 16

// overhead is what an entry takes besides its key and its plan: the entry, its map slot and allocator rounding.
const overhead = 160

// Key names a plan: the scope it holds in (a session's schema epoch, search path and settings) and the scanned text.
type Key struct {
	Scope uint64
	Hash  uint64 // of Text, from the Scanner
	Text  []byte
}

// Cache maps keys to plans, each a P. Eviction is CLOCK: an entry that was used since the hand last passed stays for another round.
type Cache[P any] struct {
	shards [shardCount]shard[P]
	limit  int64 // bytes of one shard
}

// shard is one part of the cache. The ring holds exactly the entries of the map; bytes is the sum of their sizes.
type shard[P any] struct {
	mu      sync.RWMutex
	entries map[slot]*entry[P]
	ring    []*entry[P]
	hand    int
	bytes   int64
	counts
}

type counts struct {
	hits, misses, evictions, drops atomic.Uint64
}

// slot is an entry's place in the map. Two texts with one hash share it, and the later one wins.
type slot struct{ scope, hash uint64 }

type entry[P any] struct {
	slot slot
	text []byte
	plan *P
	size int64
	used atomic.Bool
	ring int // its place in the ring
}

// Stats is a snapshot of a cache's counters; those since the start only grow.
type Stats struct {
	Entries, Bytes                 int64
	Hits, Misses, Evicted, Dropped uint64
}

// New makes a cache of about limit bytes; with limit 0 or less it holds nothing.
func New[P any](limit int64) *Cache[P] {
	c := &Cache[P]{limit: max(limit, 0) / shardCount}
	for i := range c.shards {
		c.shards[i].entries = make(map[slot]*entry[P])
	}
	return c
}

func (c *Cache[P]) shardOf(k slot) *shard[P] {
	return &c.shards[(k.hash^k.scope*0x9e3779b97f4a7c15)>>60%shardCount]
}

// Get returns the plan of k, or nil. It does not allocate.
func (c *Cache[P]) Get(k Key) *P {
	at := slot{k.Scope, k.Hash}
	s := c.shardOf(at)
	s.mu.RLock()
	e := s.entries[at]
	s.mu.RUnlock()
	if e == nil || !bytes.Equal(e.text, k.Text) {
		s.misses.Add(1)
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	s.hits.Add(1)
	return e.plan
}

// Put keeps the plan of k, whose size without the text is about planBytes. It copies k.Text. A plan too big for
// the cache is not kept.
func (c *Cache[P]) Put(k Key, plan *P, planBytes int) {
	at := slot{k.Scope, k.Hash}
	size := int64(len(k.Text)) + int64(planBytes) + overhead
	s := c.shardOf(at)
	if size > c.limit {
		return
	}
	e := &entry[P]{slot: at, text: bytes.Clone(k.Text), plan: plan, size: size}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.entries[at]; old != nil {
		s.remove(old)
	}
	for s.bytes+size > c.limit {
		s.evict()
	}
	e.ring = len(s.ring)
	s.ring = append(s.ring, e)
	s.entries[at] = e
	s.bytes += size
}

// evict removes the first entry from the hand on that was not used since the hand passed it. The shard is not empty.
func (s *shard[P]) evict() {
	for {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		e := s.ring[s.hand]
		if !e.used.Swap(false) {
			s.remove(e)
			s.evictions.Add(1)
			return
		}
		s.hand++
	}
}

// remove takes e out; the ring's last entry moves into its place.
func (s *shard[P]) remove(e *entry[P]) {
	last := s.ring[len(s.ring)-1]
	last.ring = e.ring
	s.ring[e.ring] = last
	s.ring[len(s.ring)-1] = nil
	s.ring = s.ring[:len(s.ring)-1]
	delete(s.entries, e.slot)
	s.bytes -= e.size
}

// Drop removes the plans of every scope that dead reports; an ended schema epoch's, for instance.
func (c *Cache[P]) Drop(dead func(scope uint64) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for j := len(s.ring) - 1; j >= 0; j-- {
			if e := s.ring[j]; dead(e.slot.scope) {
				s.remove(e)
				s.drops.Add(1)
			}
		}
		s.mu.Unlock()
	}
}

// DropScope removes the plans of one scope.
func (c *Cache[P]) DropScope(scope uint64) {
	c.Drop(func(s uint64) bool { return s == scope })
}

// Stats sums up the shards.
func (c *Cache[P]) Stats() Stats {
	var out Stats
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		out.Entries += int64(len(s.ring))
		out.Bytes += s.bytes
		s.mu.RUnlock()
		out.Hits += s.hits.Load()
		out.Misses += s.misses.Load()
		out.Evicted += s.evictions.Load()
		out.Dropped += s.drops.Load()
	}
	return out
}
