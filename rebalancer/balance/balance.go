// Package balance chooses which shards move where. It is pure: what is, in; the moves, out.
package balance

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/pleiad/pleiad/router/shardmap"
)

// Backend is one that can hold shards. Weight is its share relative to the others; 0 takes none.
type Backend struct {
	Name   string
	Weight float64
}

// Group is one colocation group.
type Group struct {
	ID     int
	Owners []int     // shard → index of its backend
	Cost   []float64 // shard → what it counts: bytes or load; not needed by ByShards
}

// Move is one shard that should be elsewhere. From and To are indexes of backends.
type Move struct {
	Group, Shard, From, To int
	Cost                   float64
}

// By is what is to be balanced.
type By string

// The measures.
const (
	ByShards By = "shards"
	ByBytes  By = "bytes"
	ByLoad   By = "load"
)

// Plan gives the moves to a balanced placement, in an order in which each of them helps: those from the fullest
// backends first.
func Plan(by By, groups []Group, backends []Backend) ([]Move, error) {
	if by == ByShards {
		return planShards(groups, backends)
	}
	return planCost(groups, backends)
}

// planShards gives every group's shards out by weight, with the fewest moves (shardmap.Replace). Adding one backend to N
// moves about 1/(N+1) of the shards, all of them to it; one that goes moves only its own.
func planShards(groups []Group, backends []Backend) ([]Move, error) {
	infos := make([]shardmap.BackendInfo, len(backends))
	for i, b := range backends {
		infos[i] = shardmap.BackendInfo{Name: b.Name, Weight: b.Weight}
	}
	var moves []Move
	for _, g := range groups {
		current := make([]uint16, len(g.Owners))
		for i, b := range g.Owners {
			current[i] = uint16(b)
		}
		next, err := shardmap.Replace(strconv.Itoa(g.ID), current, infos, infos)
		if err != nil {
			return nil, fmt.Errorf("place group %d: %w", g.ID, err)
		}
		for shard, to := range next {
			if from := g.Owners[shard]; from != int(to) {
				moves = append(moves, Move{Group: g.ID, Shard: shard, From: from, To: int(to), Cost: g.cost(shard)})
			}
		}
	}
	return interleave(moves, len(backends)), nil
}

func (g *Group) cost(shard int) float64 {
	if shard < len(g.Cost) {
		return g.Cost[shard]
	}
	return 0
}

// interleave orders moves so that neighbours have different sources: those that run at once share no disk.
func interleave(moves []Move, backends int) []Move {
	bySource := make([][]Move, backends)
	for _, m := range moves {
		bySource[m.From] = append(bySource[m.From], m)
	}
	out := moves[:0:0]
	for len(out) < len(moves) {
		for from, list := range bySource {
			if len(list) > 0 {
				out = append(out, list[0])
				bySource[from] = list[1:]
			}
		}
	}
	return out
}

// tolerance is the imbalance that is good enough: no single move is worth its work below it.
const tolerance = 0.05

// planCost moves, time and again, the shard that brings the fullest backend and the emptiest nearest to each other.
func planCost(groups []Group, backends []Backend) ([]Move, error) {
	if !slices.ContainsFunc(backends, func(b Backend) bool { return b.Weight > 0 }) {
		return nil, fmt.Errorf("no backend takes shards")
	}
	used := Sums(groups, len(backends))
	where := map[[2]int]int{}
	var moves []Move
	total := 0
	for _, g := range groups {
		total += len(g.Owners)
		for shard, b := range g.Owners {
			where[[2]int{g.ID, shard}] = b
		}
	}
	for range total {
		m, ok := bestMove(groups, backends, used, where)
		if !ok {
			break
		}
		used[m.From] -= m.Cost
		used[m.To] += m.Cost
		where[[2]int{m.Group, m.Shard}] = m.To
		moves = append(moves, m)
	}
	return merge(moves, groups), nil
}

// bestMove finds the move between the fullest and the emptiest backend after which the fuller of them is emptiest.
func bestMove(groups []Group, backends []Backend, used []float64, where map[[2]int]int) (best Move, ok bool) {
	from, to := -1, -1
	for i, b := range backends {
		if from < 0 || fill(used[i], b) > fill(used[from], backends[from]) {
			from = i
		}
		if b.Weight > 0 && (to < 0 || fill(used[i], b) < fill(used[to], backends[to])) {
			to = i
		}
	}
	drains := backends[from].Weight == 0
	if from == to || !drains && Imbalance(used, backends) <= tolerance {
		return best, false
	}
	worst := math.Inf(1)
	if !drains {
		worst = fill(used[from], backends[from])
	}
	for _, g := range groups {
		for shard := range g.Owners {
			if where[[2]int{g.ID, shard}] != from {
				continue
			}
			c := g.cost(shard)
			after := fill(used[to]+c, backends[to])
			if !drains {
				after = max(after, fill(used[from]-c, backends[from]))
			}
			if after < worst || drains && !ok {
				worst, ok = after, true
				best = Move{Group: g.ID, Shard: shard, From: from, To: to, Cost: c}
			}
		}
	}
	return best, ok
}

// fill is how full a backend is for its weight; one without weight is too full while it has anything.
func fill(used float64, b Backend) float64 {
	if b.Weight > 0 {
		return used / b.Weight
	}
	if used > 0 {
		return math.Inf(1)
	}
	return -1
}

// merge makes one move of several of a shard, and none of those that end where they began.
func merge(moves []Move, groups []Group) []Move {
	start := map[[2]int]int{}
	for _, g := range groups {
		for shard, b := range g.Owners {
			start[[2]int{g.ID, shard}] = b
		}
	}
	last := map[[2]int]int{}
	for i, m := range moves {
		last[[2]int{m.Group, m.Shard}] = i
	}
	var out []Move
	for i, m := range moves {
		key := [2]int{m.Group, m.Shard}
		if last[key] != i || start[key] == m.To {
			continue
		}
		m.From = start[key]
		out = append(out, m)
	}
	return out
}

// Sums adds up the shards' costs by backend, or their number where they have none.
func Sums(groups []Group, backends int) []float64 {
	used := make([]float64, backends)
	for _, g := range groups {
		for shard, b := range g.Owners {
			if g.Cost == nil {
				used[b]++
			} else {
				used[b] += g.Cost[shard]
			}
		}
	}
	return used
}

// Imbalance is by how much the fullest backend is fuller than its share: 0 is balance, 1 twice its share.
func Imbalance(used []float64, backends []Backend) float64 {
	var total, weight, worst float64
	for i, b := range backends {
		total += used[i]
		weight += b.Weight
	}
	if total == 0 || weight == 0 {
		return 0
	}
	for i, b := range backends {
		if b.Weight == 0 {
			if used[i] > 0 {
				return math.Inf(1)
			}
			continue
		}
		worst = max(worst, used[i]/(total*b.Weight/weight)-1)
	}
	return worst
}
