package balance

import (
	"math"
	"math/rand/v2"
	"testing"
)

func random(r *rand.Rand, backends int) ([]Group, []Backend) {
	var list []Backend
	for i := range backends {
		list = append(list, Backend{Name: string(rune('a' + i)), Weight: 1})
	}
	var groups []Group
	for id := range 1 + r.IntN(4) {
		g := Group{ID: id + 1}
		for range 1 + r.IntN(64) {
			g.Owners = append(g.Owners, r.IntN(backends))
			g.Cost = append(g.Cost, math.Floor(r.ExpFloat64()*1000))
		}
		groups = append(groups, g)
	}
	return groups, list
}

// carry applies moves and fails where one is not from where the shard is.
func carry(t *testing.T, groups []Group, moves []Move) {
	t.Helper()
	seen := map[[2]int]bool{}
	for _, m := range moves {
		if seen[[2]int{m.Group, m.Shard}] {
			t.Fatalf("shard %d of group %d moves twice", m.Shard, m.Group)
		}
		seen[[2]int{m.Group, m.Shard}] = true
		for i := range groups {
			if groups[i].ID != m.Group {
				continue
			}
			if groups[i].Owners[m.Shard] != m.From || m.From == m.To {
				t.Fatalf("%+v of a shard that is on %d", m, groups[i].Owners[m.Shard])
			}
			groups[i].Owners[m.Shard] = m.To
		}
	}
}

// With equal weights no group's backends differ by more than one shard afterwards, and no plan has fewer moves.
func TestByShardsBalancesEachGroup(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 1 + r.IntN(6)
		groups, backends := random(r, n)
		least := 0
		for _, g := range groups {
			counts := make([]int, n)
			for _, b := range g.Owners {
				counts[b]++
			}
			ceiling, more := len(g.Owners)/n, len(g.Owners)%n
			for _, c := range counts {
				least += max(0, c-ceiling)
				if c > ceiling && more > 0 {
					least--
					more--
				}
			}
		}
		moves, err := Plan(ByShards, groups, backends)
		if err != nil {
			t.Fatal(err)
		}
		carry(t, groups, moves)
		for _, g := range groups {
			counts := make([]int, n)
			for _, b := range g.Owners {
				counts[b]++
			}
			low, high := math.MaxInt, 0
			for _, c := range counts {
				low, high = min(low, c), max(high, c)
			}
			if high-low > 1 {
				t.Fatalf("seed %d: group %d has %v shards", seed, g.ID, counts)
			}
		}
		if len(moves) < least {
			t.Fatalf("seed %d: %d moves, and %d are the least possible", seed, len(moves), least)
		}
		if again, err := Plan(ByShards, groups, backends); err != nil || len(again) != 0 {
			t.Fatalf("seed %d: a second plan has %d moves (%v)", seed, len(again), err)
		}
	}
}

// A new backend gets its share, and nothing else moves; one without weight loses its shards, and nobody else's move.
func TestByShardsFollowsTheBackends(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		n := 2 + r.IntN(5)
		groups, backends := random(r, n)
		moves, err := Plan(ByShards, groups, backends)
		if err != nil {
			t.Fatal(err)
		}
		carry(t, groups, moves)
		backends = append(backends, Backend{Name: "new", Weight: 1})
		if moves, err = Plan(ByShards, groups, backends); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, g := range groups {
			total += len(g.Owners)
		}
		for _, m := range moves {
			if m.To != n {
				t.Fatalf("seed %d: a backend more, and %+v", seed, m)
			}
		}
		if want := float64(total) / float64(n+1); math.Abs(float64(len(moves))-want) > float64(len(groups)) {
			t.Fatalf("seed %d: %d of %d shards go to the new one of %d backends", seed, len(moves), total, n+1)
		}
		carry(t, groups, moves)
		gone := r.IntN(n + 1)
		backends[gone].Weight = 0
		if moves, err = Plan(ByShards, groups, backends); err != nil {
			t.Fatal(err)
		}
		for _, m := range moves {
			if m.From != gone {
				t.Fatalf("seed %d: backend %d goes, and %+v", seed, gone, m)
			}
		}
		carry(t, groups, moves)
		if used := Sums(groups, n+1); used[gone] != 0 {
			t.Fatalf("seed %d: %v is left on backend %d", seed, used[gone], gone)
		}
	}
}

// Balancing by cost never makes it worse, and leaves no single move that would help by more than the tolerance.
func TestByBytesImproves(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		n := 1 + r.IntN(5)
		groups, backends := random(r, n)
		before := Imbalance(Sums(groups, n), backends)
		moves, err := Plan(ByBytes, groups, backends)
		if err != nil {
			t.Fatal(err)
		}
		carry(t, groups, moves)
		after := Imbalance(Sums(groups, n), backends)
		if after > before+1e-9 {
			t.Fatalf("seed %d: imbalance %v becomes %v", seed, before, after)
		}
		more, err := Plan(ByBytes, groups, backends)
		if err != nil || len(more) != 0 {
			t.Fatalf("seed %d: a second plan has %d moves (%v)", seed, len(more), err)
		}
	}
}

func TestByBytesDrains(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 4))
		groups, backends := random(r, 3)
		backends[1].Weight = 0
		moves, err := Plan(ByBytes, groups, backends)
		if err != nil {
			t.Fatal(err)
		}
		carry(t, groups, moves)
		for _, g := range groups {
			for shard, b := range g.Owners {
				if b == 1 && g.Cost[shard] > 0 {
					t.Fatalf("seed %d: shard %d of group %d is left", seed, shard, g.ID)
				}
			}
		}
	}
	if _, err := Plan(ByBytes, []Group{{ID: 1, Owners: []int{0}}}, []Backend{{Name: "a"}}); err == nil {
		t.Error("a plan for backends that take nothing")
	}
}
