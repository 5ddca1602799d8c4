package shardmap

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// MaxBackends bounds the backends of one map; an index fits uint16.
const MaxBackends = 1 << 16

// BackendInfo is what placement knows of a backend.
type BackendInfo struct {
	Name string
	// Weight is the backend's share of shards relative to the others: finite, not negative. 0 takes no
	// shards.
	Weight float64
	// Absent is true for one that has nothing of the database: no statement uses it.
	Absent bool
}

// GroupID names a colocation group: sharded tables with equal key types and modulus.
type GroupID uint32

// Map says which backend owns each shard of each colocation group, as of one epoch. It never changes; the
// next epoch is another Map. Lookups do not allocate and may run concurrently.
type Map struct {
	epoch    uint64
	backends []BackendInfo
	byName   map[string]uint16
	groups   map[GroupID][]uint16
}

// New validates and copies its arguments. A group's slice has one backend index per shard; its length is the
// group's modulus.
func New(epoch uint64, backends []BackendInfo, groups map[GroupID][]uint16) (*Map, error) {
	if err := validateBackends(backends); err != nil {
		return nil, fmt.Errorf("build shard map: %w", err)
	}
	m := &Map{
		epoch:    epoch,
		backends: slices.Clone(backends),
		byName:   make(map[string]uint16, len(backends)),
		groups:   make(map[GroupID][]uint16, len(groups)),
	}
	for i, b := range backends {
		m.byName[b.Name] = uint16(i)
	}
	for id, owners := range groups {
		if len(owners) == 0 || len(owners) > MaxShards {
			return nil, fmt.Errorf("build shard map: group %d has %d shards, allowed are 1 to %d", id, len(owners), MaxShards)
		}
		for shard, b := range owners {
			if int(b) >= len(backends) {
				return nil, fmt.Errorf("build shard map: group %d shard %d is on backend %d of %d", id, shard, b, len(backends))
			}
		}
		m.groups[id] = slices.Clone(owners)
	}
	return m, nil
}

func validateBackends(backends []BackendInfo) error {
	if len(backends) > MaxBackends {
		return fmt.Errorf("%d backends, allowed are %d", len(backends), MaxBackends)
	}
	seen := make(map[string]bool, len(backends))
	for i, b := range backends {
		switch {
		case b.Name == "":
			return fmt.Errorf("backend %d has no name", i)
		case seen[b.Name]:
			return fmt.Errorf("backend %q is named twice", b.Name)
		case math.IsNaN(b.Weight) || math.IsInf(b.Weight, 0) || b.Weight < 0:
			return fmt.Errorf("backend %q has weight %v", b.Name, b.Weight)
		}
		seen[b.Name] = true
	}
	return nil
}

// ErrUnknownGroup is the answer for a group that the map does not hold: a plan of another epoch.
var ErrUnknownGroup = errors.New("colocation group is not in the shard map")

// Moved is the map of the next epoch, in which one shard is on another backend.
func (m *Map) Moved(epoch uint64, g GroupID, shard uint32, backend uint16) (*Map, error) {
	owners, ok := m.groups[g]
	if !ok {
		return nil, ErrUnknownGroup
	}
	if uint64(shard) >= uint64(len(owners)) || int(backend) >= len(m.backends) {
		return nil, fmt.Errorf("move shard %d of group %d to backend %d: the map has %d shards and %d backends",
			shard, g, backend, len(owners), len(m.backends))
	}
	next := &Map{epoch: epoch, backends: m.backends, byName: m.byName, groups: maps.Clone(m.groups)}
	next.groups[g] = slices.Clone(owners)
	next.groups[g][shard] = backend
	return next, nil
}

func (m *Map) Epoch() uint64 { return m.epoch }

// NumBackends is the number of backends; their indexes are 0 to NumBackends()-1.
func (m *Map) NumBackends() int { return len(m.backends) }

// Present is the indexes of the backends that take part.
func (m *Map) Present() (set ShardSet) {
	for i, b := range m.backends {
		if !b.Absent {
			set.Add(uint32(i))
		}
	}
	return set
}

// Backend returns the backend with index i, which must come from this map.
func (m *Map) Backend(i uint16) BackendInfo { return m.backends[i] }

func (m *Map) BackendIndex(name string) (i uint16, ok bool) {
	i, ok = m.byName[name]
	return i, ok
}

// Modulus returns the number of shards of the group.
func (m *Map) Modulus(g GroupID) (modulus uint32, ok bool) {
	owners, ok := m.groups[g]
	return uint32(len(owners)), ok
}

// Owner returns the index of the backend that owns the shard; ok is false if there is no such group or shard.
func (m *Map) Owner(g GroupID, shard uint32) (backend uint16, ok bool) {
	owners := m.groups[g]
	if uint64(shard) >= uint64(len(owners)) {
		return 0, false
	}
	return owners[shard], true
}

// Owners returns a copy of the group's shard → backend index.
func (m *Map) Owners(g GroupID) (owners []uint16, ok bool) {
	o, ok := m.groups[g]
	return slices.Clone(o), ok
}

// Backends returns the indexes of the backends that own these shards of the group. Clusters of up to 64
// backends take no allocation.
func (m *Map) Backends(g GroupID, shards *ShardSet) (ShardSet, error) {
	var set ShardSet
	owners, ok := m.groups[g]
	if !ok {
		return set, ErrUnknownGroup
	}
	for n, ok := shards.Next(0); ok; n, ok = shards.Next(n + 1) {
		if int(n) >= len(owners) {
			return ShardSet{}, fmt.Errorf("look up shard %d of group %d: modulus is %d", n, g, len(owners))
		}
		set.Add(uint32(owners[n]))
	}
	return set, nil
}

// ShardsOn returns the shards of the group that the backend owns: one pass over the group.
func (m *Map) ShardsOn(g GroupID, backend uint16) ShardSet {
	var set ShardSet
	for shard, b := range m.groups[g] {
		if b == backend {
			set.Add(uint32(shard))
		}
	}
	return set
}
