package shardmap

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func equalBackends(n int) []BackendInfo {
	b := make([]BackendInfo, n)
	for i := range b {
		b[i] = BackendInfo{Name: fmt.Sprintf("b%d", i), Weight: 1}
	}
	return b
}

func weightedBackends(r *rand.Rand, n int) []BackendInfo {
	b := equalBackends(n)
	for i := range b {
		b[i].Weight = []float64{1, 1, 2, 0.5, 3.7, 0.1}[r.IntN(6)]
	}
	return b
}

func counts(placed []uint16, n int) []int {
	c := make([]int, n)
	for _, b := range placed {
		c[b]++
	}
	return c
}

func mustPlace(t *testing.T, group string, modulus int, b []BackendInfo) []uint16 {
	t.Helper()
	placed, err := Place(group, modulus, b)
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

func mustReplace(t *testing.T, group string, current []uint16, old, next []BackendInfo) []uint16 {
	t.Helper()
	placed, err := Replace(group, current, old, next)
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

func TestPlaceBalances(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 0))
	for range 300 {
		n, modulus := 1+r.IntN(20), 1+r.IntN(300)
		backends := weightedBackends(r, n)
		if r.IntN(2) == 0 {
			backends = equalBackends(n)
		}
		c := counts(mustPlace(t, fmt.Sprint(modulus), modulus, backends), n)
		for i := range c {
			for j := range c {
				if backends[i].Weight == backends[j].Weight && c[i]-c[j] > 1 {
					t.Fatalf("%d shards on %v: %v", modulus, backends, c)
				}
			}
		}
	}
}

// TestPlaceFollowsWeights: shares are near to proportional.
func TestPlaceFollowsWeights(t *testing.T) {
	c := counts(mustPlace(t, "", 1000, []BackendInfo{{Name: "a", Weight: 1}, {Name: "b", Weight: 3}, {Name: "c", Weight: 6}, {Name: "d", Weight: 0}}), 4)
	for i, want := range []int{100, 300, 600, 0} {
		if math.Abs(float64(c[i]-want)) > 1 {
			t.Errorf("counts %v", c)
		}
	}
}

// TestPlaceIgnoresOrder: the same set of backends in another order gets the same shards.
func TestPlaceIgnoresOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 0))
	for range 100 {
		backends := weightedBackends(r, 1+r.IntN(10))
		shuffled := slices.Clone(backends)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		a, b := mustPlace(t, "g", 64, backends), mustPlace(t, "g", 64, shuffled)
		for shard := range a {
			if backends[a[shard]].Name != shuffled[b[shard]].Name {
				t.Fatalf("shard %d is on %s or %s", shard, backends[a[shard]].Name, shuffled[b[shard]].Name)
			}
		}
	}
}

func TestPlaceDiffersByGroup(t *testing.T) {
	if slices.Equal(mustPlace(t, "a", 64, equalBackends(4)), mustPlace(t, "b", 64, equalBackends(4))) {
		t.Error("two groups lie alike")
	}
}

// TestReplaceMovesLeast walks through random additions, removals and drains, from balanced placements. All
// of a step's moves go to the added backend, or come from the removed one.
func TestReplaceMovesLeast(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 0))
	for walk := range 200 {
		modulus := 1 + r.IntN(200)
		backends := weightedBackends(r, 1+r.IntN(8))
		if walk%2 == 0 {
			backends = equalBackends(len(backends))
		}
		placed := mustPlace(t, "g", modulus, backends)
		for step := range 12 {
			next := slices.Clone(backends)
			changed := ""
			added := len(next) < 2 || r.IntN(2) == 0
			if added {
				changed = fmt.Sprintf("new%d", step)
				weight := next[r.IntN(len(next))].Weight
				next = slices.Insert(next, r.IntN(len(next)+1), BackendInfo{Name: changed, Weight: weight})
			} else {
				i := r.IntN(len(next))
				changed = next[i].Name
				next = slices.Delete(next, i, i+1)
			}
			after := mustReplace(t, "g", placed, backends, next)
			moved := 0
			for shard := range after {
				from, to := backends[placed[shard]].Name, next[after[shard]].Name
				if from == to {
					continue
				}
				moved++
				if (added && to != changed) || (!added && from != changed) {
					t.Fatalf("shard %d moves from %s to %s when %s changes", shard, from, to, changed)
				}
			}
			got, want := counts(after, len(next)), counts(mustPlace(t, "g", modulus, next), len(next))
			if !slices.Equal(got, want) {
				t.Fatalf("after a change %v, placed anew %v", got, want)
			}
			if share := float64(modulus) / float64(len(next)); walk%2 == 0 && added && math.Abs(float64(moved)-share) >= 1 {
				t.Fatalf("adding one to %d moves %d of %d shards", len(backends), moved, modulus)
			}
			backends, placed = next, after
		}
	}
}

// TestReplaceKeeps: nothing moves when nothing changes, in whatever order the backends come.
func TestReplaceKeeps(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 0))
	for range 100 {
		old := weightedBackends(r, 1+r.IntN(10))
		placed := mustPlace(t, "g", 64, old)
		next := slices.Clone(old)
		r.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
		for shard, b := range mustReplace(t, "g", placed, old, next) {
			if next[b].Name != old[placed[shard]].Name {
				t.Fatalf("shard %d moved", shard)
			}
		}
	}
}

// TestReplaceDrains: weight 0 empties a backend and nothing else moves.
func TestReplaceDrains(t *testing.T) {
	old := equalBackends(5)
	placed := mustPlace(t, "g", 64, old)
	next := slices.Clone(old)
	next[2].Weight = 0
	for shard, b := range mustReplace(t, "g", placed, old, next) {
		if b == 2 || (placed[shard] != 2 && b != placed[shard]) {
			t.Errorf("shard %d moves from %d to %d", shard, placed[shard], b)
		}
	}
}

// TestReplaceRepairs: from any placement, however uneven, the next has the exact quotas and a backend
// either gives or takes.
func TestReplaceRepairs(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 0))
	for range 200 {
		n, modulus := 1+r.IntN(8), 1+r.IntN(100)
		backends := weightedBackends(r, n)
		current := make([]uint16, modulus)
		for i := range current {
			current[i] = uint16(r.IntN(n) * r.IntN(2))
		}
		after := mustReplace(t, "g", current, backends, backends)
		if got, want := counts(after, n), counts(mustPlace(t, "g", modulus, backends), n); !slices.Equal(got, want) {
			t.Fatalf("repaired to %v, placed anew %v", got, want)
		}
		gave, took := map[uint16]bool{}, map[uint16]bool{}
		for shard := range after {
			if after[shard] != current[shard] {
				gave[current[shard]], took[after[shard]] = true, true
			}
		}
		for b := range gave {
			if took[b] {
				t.Fatalf("backend %d gave and took shards", b)
			}
		}
	}
}

func BenchmarkPlaceLargest(b *testing.B) {
	backends := equalBackends(64)
	for b.Loop() {
		if _, err := Place("", MaxShards, backends); err != nil {
			b.Fatal(err)
		}
	}
}
