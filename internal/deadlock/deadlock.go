// Package deadlock finds transactions that wait for each other, from who waits for whom. It decides nothing by
// time and asks nobody.
package deadlock

import (
	"cmp"
	"slices"
)

// Node is one transaction: a session of a proxy, which may work on several servers, or a server process that belongs to
// none that is known, or a prepared transaction.
type Node struct {
	Process string // of the proxy, "" for this one
	Session uint64 // 0: none
	Server  string
	PID     uint32
	GID     string
}

// Wait is one reason why a node cannot go on. A node with several of them needs all to end.
type Wait struct {
	From Node
	// On are whom it waits for: all of them, or, if Any is true, for the first that ends.
	On  []Node
	Any bool
	// Server is where it waits, "" for inside the proxy.
	Server string
	// ID is equal in two looks at the same uninterrupted wait, and in no others.
	ID string
	// Text says in words what is waited for.
	Text string
}

// Knot is a set of nodes of which none can go on before another of them gives up.
type Knot struct {
	Nodes []Node // in an order of their own
	Waits []Wait // all of theirs that keep them in it
}

// Find gives the knots among the waits. Nodes that only wait for a knot are not in it.
func Find(waits []Wait) []Knot {
	stuck := stuckNodes(waits)
	edges := map[Node][]Node{}
	for _, w := range waits {
		if !stuck[w.From] {
			continue
		}
		for _, to := range w.On {
			if stuck[to] {
				edges[w.From] = append(edges[w.From], to)
			}
		}
	}
	var out []Knot
	for _, nodes := range components(edges) {
		if len(nodes) == 1 && !slices.Contains(edges[nodes[0]], nodes[0]) {
			continue
		}
		k := Knot{Nodes: nodes}
		for _, w := range waits {
			if slices.Contains(nodes, w.From) && slices.ContainsFunc(w.On, func(n Node) bool { return slices.Contains(nodes, n) }) {
				k.Waits = append(k.Waits, w)
			}
		}
		out = append(out, k)
	}
	return out
}

// stuckNodes are those that cannot go on whatever all others do: everybody who waits, less, again and again, who
// waits for nodes that can.
func stuckNodes(waits []Wait) map[Node]bool {
	stuck := map[Node]bool{}
	of := map[Node][]Wait{}
	for _, w := range waits {
		stuck[w.From] = true
		of[w.From] = append(of[w.From], w)
	}
	for changed := true; changed; {
		changed = false
		for n := range stuck {
			if !slices.ContainsFunc(of[n], func(w Wait) bool { return w.holdsUp(stuck) }) {
				delete(stuck, n)
				changed = true
			}
		}
	}
	return stuck
}

// holdsUp tells whether the wait cannot end while these nodes are stuck.
func (w Wait) holdsUp(stuck map[Node]bool) bool {
	if w.Any {
		return !slices.ContainsFunc(w.On, func(n Node) bool { return !stuck[n] })
	}
	return slices.ContainsFunc(w.On, func(n Node) bool { return stuck[n] })
}

// components are the strongly connected parts of the graph, by Tarjan's algorithm.
func components(edges map[Node][]Node) (out [][]Node) {
	index, low, onStack := map[Node]int{}, map[Node]int{}, map[Node]bool{}
	var stack []Node
	var visit func(n Node)
	visit = func(n Node) {
		index[n] = len(index) + 1
		low[n] = index[n]
		stack, onStack[n] = append(stack, n), true
		for _, to := range edges[n] {
			if index[to] == 0 {
				visit(to)
				low[n] = min(low[n], low[to])
			} else if onStack[to] {
				low[n] = min(low[n], index[to])
			}
		}
		if low[n] != index[n] {
			return
		}
		at := slices.Index(stack, n)
		part := slices.Clone(stack[at:])
		for _, m := range part {
			onStack[m] = false
		}
		stack = stack[:at]
		slices.SortFunc(part, compare)
		out = append(out, part)
	}
	nodes := make([]Node, 0, len(edges))
	for n := range edges {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, compare)
	for _, n := range nodes {
		if index[n] == 0 {
			visit(n)
		}
	}
	return out
}

func compare(a, b Node) int {
	return cmp.Or(cmp.Compare(a.Process, b.Process), cmp.Compare(a.Session, b.Session), cmp.Compare(a.Server, b.Server),
		cmp.Compare(a.PID, b.PID), cmp.Compare(a.GID, b.GID))
}

// Lasting tells whether the knot, found in one look, is there in a later one as well, every wait in it uninterrupted. Looks at
// several servers are not of one moment; but waits that have lasted from one look to the next were all there in between.
func (k Knot) Lasting(later []Wait) bool {
	for _, w := range k.Waits {
		if w.ID == "" || !slices.ContainsFunc(later, func(l Wait) bool {
			return l.From == w.From && l.ID == w.ID && l.Any == w.Any && slices.Equal(l.On, w.On)
		}) {
			return false
		}
	}
	return true
}

// WithinOneServer tells the knots that the server finds and breaks by itself.
func (k Knot) WithinOneServer() bool {
	for _, w := range k.Waits {
		if w.Server == "" || w.Server != k.Waits[0].Server {
			return false
		}
		for _, n := range w.On {
			if n.GID != "" {
				return false
			}
		}
	}
	return true
}

// Path is the waits of one way round the knot, beginning at a node.
func (k Knot) Path(from Node) []Wait {
	type step struct {
		node Node
		by   *Wait
		prev int
	}
	steps := []step{{node: from, prev: -1}}
	seen := map[Node]bool{}
	for i := 0; i < len(steps); i++ {
		for j := range k.Waits {
			w := &k.Waits[j]
			if w.From != steps[i].node {
				continue
			}
			for _, to := range w.On {
				if to == from {
					var path []Wait
					for at, by := i, w; by != nil; at, by = steps[at].prev, steps[at].by {
						path = append(path, *by)
					}
					slices.Reverse(path)
					return path
				}
				if !seen[to] && slices.Contains(k.Nodes, to) {
					seen[to] = true
					steps = append(steps, step{node: to, by: w, prev: i})
				}
			}
		}
	}
	return nil
}
