package shardmap

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func TestMapLookups(t *testing.T) {
	owners := map[GroupID][]uint16{1: {0, 1, 2, 0}, 9: {2}}
	backends := equalBackends(3)
	m, err := New(42, backends, owners)
	if err != nil {
		t.Fatal(err)
	}
	owners[1][0], backends[0].Name = 2, "other" // the map keeps copies
	if m.Epoch() != 42 || m.NumBackends() != 3 || m.Backend(0).Name != "b0" {
		t.Errorf("map is %+v", m)
	}
	if b, ok := m.Owner(1, 0); !ok || b != 0 {
		t.Errorf("owner of shard 0 is %d, %v", b, ok)
	}
	for _, shard := range []uint32{4, math.MaxUint32} {
		if _, ok := m.Owner(1, shard); ok {
			t.Errorf("shard %d has an owner", shard)
		}
	}
	if _, ok := m.Owner(2, 0); ok {
		t.Error("group 2 has an owner")
	}
	if n, ok := m.Modulus(1); !ok || n != 4 {
		t.Errorf("modulus is %d, %v", n, ok)
	}
	if _, ok := m.Modulus(2); ok {
		t.Error("group 2 has a modulus")
	}
	if i, ok := m.BackendIndex("b2"); !ok || i != 2 {
		t.Errorf("b2 is %d, %v", i, ok)
	}
	if _, ok := m.BackendIndex("b3"); ok {
		t.Error("b3 is known")
	}
	copied, ok := m.Owners(1)
	if !ok || !slices.Equal(copied, []uint16{0, 1, 2, 0}) {
		t.Errorf("owners are %v, %v", copied, ok)
	}
	on := m.ShardsOn(1, 0)
	if got := slices.Collect(on.All()); !slices.Equal(got, []uint32{0, 3}) {
		t.Errorf("shards on backend 0 are %v", got)
	}
}

func TestMapBackends(t *testing.T) {
	m, err := New(1, equalBackends(3), map[GroupID][]uint16{1: {0, 1, 2, 0}})
	if err != nil {
		t.Fatal(err)
	}
	var shards ShardSet
	shards.Add(0)
	shards.Add(2)
	shards.Add(3)
	got, err := m.Backends(1, &shards)
	if members := slices.Collect(got.All()); err != nil || !slices.Equal(members, []uint32{0, 2}) {
		t.Errorf("backends are %v, %v", members, err)
	}
	if _, err := m.Backends(2, &shards); !errors.Is(err, ErrUnknownGroup) {
		t.Errorf("unknown group: %v", err)
	}
	shards.Add(4)
	if _, err := m.Backends(1, &shards); err == nil {
		t.Error("shard 4 of 4 found")
	}
}

func TestMapValidates(t *testing.T) {
	good := map[GroupID][]uint16{1: {0}}
	for name, try := range map[string]func() (*Map, error){
		"no name": func() (*Map, error) { return New(1, []BackendInfo{{Name: "", Weight: 1}}, nil) },
		"twice": func() (*Map, error) {
			return New(1, []BackendInfo{{Name: "a", Weight: 1}, {Name: "a", Weight: 1}}, good)
		},
		"negative":       func() (*Map, error) { return New(1, []BackendInfo{{Name: "a", Weight: -1}}, good) },
		"NaN":            func() (*Map, error) { return New(1, []BackendInfo{{Name: "a", Weight: math.NaN()}}, good) },
		"infinite":       func() (*Map, error) { return New(1, []BackendInfo{{Name: "a", Weight: math.Inf(1)}}, good) },
		"no such":        func() (*Map, error) { return New(1, equalBackends(1), map[GroupID][]uint16{1: {0, 1}}) },
		"no shards":      func() (*Map, error) { return New(1, equalBackends(1), map[GroupID][]uint16{1: {}}) },
		"shards":         func() (*Map, error) { return New(1, equalBackends(1), map[GroupID][]uint16{1: make([]uint16, 65537)}) },
		"no backends":    func() (*Map, error) { return New(1, nil, good) },
		"weightless set": func() (*Map, error) { _, err := Place("", 8, []BackendInfo{{Name: "a", Weight: 0}}); return nil, err },
		"modulus 0":      func() (*Map, error) { _, err := Place("", 0, equalBackends(1)); return nil, err },
		"modulus large":  func() (*Map, error) { _, err := Place("", 65537, equalBackends(1)); return nil, err },
		"old index": func() (*Map, error) {
			_, err := Replace("", []uint16{3}, equalBackends(1), equalBackends(1))
			return nil, err
		},
	} {
		if _, err := try(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestMapLookupsAllocateNothing(t *testing.T) {
	placed, err := Place("", 32, equalBackends(3))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(1, equalBackends(3), map[GroupID][]uint16{1: placed})
	if err != nil {
		t.Fatal(err)
	}
	all := AllShards(32)
	if n := testing.AllocsPerRun(100, func() {
		b, ok := m.Owner(1, 7)
		set, err := m.Backends(1, &all)
		if !ok || err != nil || !set.Has(uint32(b)) {
			t.Error("lookup failed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
