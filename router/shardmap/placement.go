package shardmap

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/spaolacci/murmur3"
)

// Place chooses the first placement of modulus shards: shard → index into backends. group (any text, or
// none) makes groups differ from one another. Each backend gets its [quotas] exactly; which shards is decided
// by rendezvous hashing over shard and backend name, so the order of backends does not matter.
func Place(group string, modulus int, backends []BackendInfo) ([]uint16, error) {
	if modulus < 1 || modulus > MaxShards {
		return nil, fmt.Errorf("place shards: %d shards, allowed are 1 to %d", modulus, MaxShards)
	}
	unplaced := make([]int, modulus)
	for i := range unplaced {
		unplaced[i] = -1
	}
	return place(group, unplaced, backends)
}

// Replace chooses the placement that follows current (shard → index into old) when the backends become
// next: shard → index into next. Quotas are those of Place; only shards whose backend is gone or has more
// than its quota move. So, from a placement that Place or Replace made, a new backend's shards are the only
// ones that move, and when a backend goes (or its weight becomes 0) only its own move.
func Replace(group string, current []uint16, old, next []BackendInfo) ([]uint16, error) {
	index := make(map[string]int, len(next))
	for i, b := range next {
		index[b.Name] = i
	}
	kept := make([]int, len(current))
	for shard, b := range current {
		if int(b) >= len(old) {
			return nil, fmt.Errorf("place shards: shard %d is on backend %d of %d", shard, b, len(old))
		}
		kept[shard] = -1
		if i, ok := index[old[b].Name]; ok {
			kept[shard] = i
		}
	}
	return place(group, kept, next)
}

// place fills in the shards that have no backend (-1) and those over quota.
func place(group string, owner []int, backends []BackendInfo) ([]uint16, error) {
	if len(owner) < 1 || len(owner) > MaxShards {
		return nil, fmt.Errorf("place shards: %d shards, allowed are 1 to %d", len(owner), MaxShards)
	}
	if err := validateBackends(backends); err != nil {
		return nil, fmt.Errorf("place shards: %w", err)
	}
	room, err := quotas(group, len(owner), backends)
	if err != nil {
		return nil, fmt.Errorf("place shards: %w", err)
	}
	for _, b := range owner {
		if b >= 0 {
			room[b]--
		}
	}
	scores := newRendezvous(group, len(owner), backends)
	for shard, b := range owner {
		if b < 0 {
			owner[shard] = scores.best(shard, room)
			room[owner[shard]]--
		}
	}
	moveSurplus(owner, room, scores)
	placed := make([]uint16, len(owner))
	for shard, b := range owner {
		placed[shard] = uint16(b)
	}
	return placed, nil
}

// moveSurplus moves shards from backends over quota (room below 0) to those with room, those first that
// score highest at their new backend.
func moveSurplus(owner, room []int, scores rendezvous) {
	type candidate struct {
		shard int
		score uint64
	}
	var movable []candidate
	for shard, b := range owner {
		if room[b] < 0 {
			to := scores.best(shard, room)
			movable = append(movable, candidate{shard, scores.of(shard, to)})
		}
	}
	slices.SortFunc(movable, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.shard, b.shard))
	})
	for _, c := range movable {
		from := owner[c.shard]
		if room[from] >= 0 {
			continue
		}
		to := scores.best(c.shard, room)
		owner[c.shard] = to
		room[from]++
		room[to]--
	}
}

// rendezvous scores backends for a shard: 64 bits of murmur3 over the backend's name, seeded with group and
// shard. The library's 32-bit functions stay unused: they keep addresses as uintptr, which moving stacks do
// not allow.
type rendezvous struct {
	shards []uint32 // seed of each shard
	names  [][]byte
}

func newRendezvous(group string, shards int, backends []BackendInfo) rendezvous {
	r := rendezvous{shards: make([]uint32, shards), names: make([][]byte, len(backends))}
	groupSeed := uint32(murmur3.Sum64([]byte(group)))
	b := make([]byte, 4)
	for i := range r.shards {
		binary.BigEndian.PutUint32(b, uint32(i))
		r.shards[i] = uint32(murmur3.Sum64WithSeed(b, groupSeed))
	}
	for i, b := range backends {
		r.names[i] = []byte(b.Name)
	}
	return r
}

func (r rendezvous) of(shard, backend int) uint64 {
	return murmur3.Sum64WithSeed(r.names[backend], r.shards[shard])
}

// best is the backend with room that scores highest. Quotas add up to the shards, so there is one.
func (r rendezvous) best(shard int, room []int) int {
	best, bestScore := -1, uint64(0)
	for b := range r.names {
		if room[b] <= 0 {
			continue
		}
		if s := r.of(shard, b); best < 0 || s > bestScore {
			best, bestScore = b, s
		}
	}
	return best
}

// quotas shares the shards out by weight with the Webster/Sainte-Laguë divisor method: each in turn goes to
// the backend with the greatest weight/(2·held+1), ties in an order fixed by the names. Equal weights differ
// by one at most. Unlike rounding of exact shares, a divisor method is coherent: with a further backend no
// other one's quota grows, and with one less none shrinks.
func quotas(group string, shards int, backends []BackendInfo) ([]int, error) {
	quota := make([]int, len(backends))
	var queue claims
	for i, b := range backends {
		if b.Weight > 0 {
			tie := murmur3.Sum64WithSeed([]byte(b.Name), uint32(murmur3.Sum64([]byte(group))))
			queue = append(queue, claim{backend: i, claim: b.Weight, tie: tie, name: b.Name})
		}
	}
	if len(queue) == 0 {
		return nil, errors.New("no backend takes shards")
	}
	heap.Init(&queue)
	for range shards {
		top := &queue[0]
		quota[top.backend]++
		top.claim = backends[top.backend].Weight / float64(2*quota[top.backend]+1)
		heap.Fix(&queue, 0)
	}
	return quota, nil
}

// claim is a backend's claim to the next shard.
type claim struct {
	backend int
	claim   float64
	tie     uint64
	name    string
}

// claims is a heap, the strongest claim first.
type claims []claim

func (c claims) Len() int      { return len(c) }
func (c claims) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c claims) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(c[j].claim, c[i].claim), cmp.Compare(c[i].tie, c[j].tie),
		cmp.Compare(c[i].name, c[j].name)) < 0
}
func (c *claims) Push(x any) { *c = append(*c, x.(claim)) }
func (c *claims) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}
