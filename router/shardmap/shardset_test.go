package shardmap

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestShardSetIsASet compares with a Go map over random operations.
func TestShardSetIsASet(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 0))
	for _, bound := range []uint32{1, 63, 64, 65, 128, 1000, MaxShards} {
		for range 100 {
			var a, b ShardSet
			ma, mb := map[uint32]bool{}, map[uint32]bool{}
			for range r.IntN(50) {
				n := r.Uint32N(bound)
				a.Add(n)
				ma[n] = true
				if r.IntN(2) == 0 {
					n = r.Uint32N(bound)
				}
				b.Add(n)
				mb[n] = true
			}
			expectMembers(t, &a, ma)
			union, inter := a.Clone(), a.Clone()
			union.Union(&b)
			inter.Intersect(&b)
			mu, mi := map[uint32]bool{}, map[uint32]bool{}
			for n := range mb {
				mu[n] = true
			}
			for n := range ma {
				mu[n] = true
				if mb[n] {
					mi[n] = true
				}
			}
			expectMembers(t, &union, mu)
			expectMembers(t, &inter, mi)
			expectMembers(t, &a, ma) // clones share nothing
			if back := union.Clone(); a.Equal(&union) != (len(ma) == len(mu)) || !back.Equal(&union) {
				t.Error("Equal disagrees")
			}
		}
	}
}

func expectMembers(t *testing.T, s *ShardSet, want map[uint32]bool) {
	t.Helper()
	got := slices.Collect(s.All())
	if !slices.IsSorted(got) || len(got) != len(want) || s.Len() != len(want) || s.Empty() != (len(want) == 0) {
		t.Fatalf("members %v, want %v", got, want)
	}
	for _, n := range got {
		if !want[n] || !s.Has(n) {
			t.Fatalf("members %v, want %v", got, want)
		}
	}
	if n, ok := s.Single(); ok != (len(want) == 1) || (ok && !want[n]) {
		t.Fatalf("Single is %d, %v of %v", n, ok, want)
	}
	if s.Has(MaxShards-1) != want[MaxShards-1] {
		t.Fatalf("Has is wrong beyond the last word")
	}
}

func TestAllShards(t *testing.T) {
	for _, modulus := range []uint32{0, 1, 63, 64, 65, 127, 128, 129, MaxShards} {
		s := AllShards(modulus)
		if s.Len() != int(modulus) || s.Has(modulus) || (modulus > 0 && !s.Has(modulus-1)) {
			t.Errorf("AllShards(%d) has %d members", modulus, s.Len())
		}
	}
}

func TestSmallShardSetAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		a, b := AllShards(32), ShardSet{}
		b.Add(7)
		b.Union(&a)
		b.Intersect(&a)
		sum := uint32(0)
		for n := range b.All() {
			sum += n
		}
		if sum != 31*32/2 {
			t.Error("wrong sum")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
