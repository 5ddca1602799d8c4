package deadlock

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func s(n uint64) Node { return Node{Session: n} }

// parse reads "1>2,3 2>1@b2 3?1,2": session 1 waits for 2 and 3, 2 for 1 on server b2, 3 for the first of 1 and 2.
func parse(t *testing.T, text string) (waits []Wait) {
	t.Helper()
	for _, f := range strings.Fields(text) {
		f, server, _ := strings.Cut(f, "@")
		any := strings.Contains(f, "?")
		from, on, _ := strings.Cut(strings.ReplaceAll(f, "?", ">"), ">")
		w := Wait{Any: any, Server: server, ID: f}
		if _, err := fmt.Sscan(from, &w.From.Session); err != nil {
			t.Fatal(err)
		}
		for _, o := range strings.Split(on, ",") {
			var n Node
			if _, err := fmt.Sscan(o, &n.Session); err != nil {
				t.Fatal(err)
			}
			w.On = append(w.On, n)
		}
		waits = append(waits, w)
	}
	return waits
}

func describe(knots []Knot) string {
	var out []string
	for _, k := range knots {
		var names []string
		for _, n := range k.Nodes {
			names = append(names, fmt.Sprint(n.Session))
		}
		out = append(out, strings.Join(names, " "))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func TestFind(t *testing.T) {
	for _, c := range []struct{ name, waits, want string }{
		{"nobody waits", "", ""},
		{"a chain", "1>2 2>3 3>4", ""},
		{"two wait for each other", "1>2@b1 2>1@b2", "1 2"},
		{"one more waits for them", "1>2 2>1 3>1", "1 2"},
		{"one of them waits for somebody else too", "1>2,4 2>1", "1 2"},
		{"a ring of three", "1>2 2>3 3>1", "1 2 3"},
		{"two knots", "1>2 2>1 3>4 4>3 5>1,3", "1 2; 3 4"},
		{"one of the pool's holders works on", "1?2,3 2>1", ""},
		{"all of the pool's holders wait for who waits for the pool", "1?2,3 2>1 3>1", "1 2 3"},
		{"one of the pool's holders waits for somebody who works", "1?2,3 2>1 3>4", ""},
		{"a transaction that waits on two servers", "1>2@b1 1>3@b2 3>1@b3", "1 3"},
	} {
		if got := describe(Find(parse(t, c.waits))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLasting(t *testing.T) {
	waits := parse(t, "1>2@b1 2>1@b2 3>1@b1")
	k := Find(waits)[0]
	if !k.Lasting(waits) {
		t.Error("the same waits are not the same")
	}
	if k.Lasting(waits[1:]) {
		t.Error("a wait that has ended lasts")
	}
	other := slices.Clone(waits)
	other[0].ID = "later"
	if k.Lasting(other) {
		t.Error("another wait of the same node for the same one counts as the first")
	}
	other[0] = waits[0]
	other[0].ID = ""
	unsure := Knot{Nodes: k.Nodes, Waits: other[:2]}
	if unsure.Lasting(other) {
		t.Error("a wait without an identity lasts")
	}
}

func TestWithinOneServer(t *testing.T) {
	for text, want := range map[string]bool{"1>2@b1 2>1@b1": true, "1>2@b1 2>1@b2": false, "1?2 2>1@b1": false} {
		if got := Find(parse(t, text))[0].WithinOneServer(); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	prepared := Knot{Waits: []Wait{{From: s(1), On: []Node{{GID: "g"}}, Server: "b1"}}}
	if prepared.WithinOneServer() {
		t.Error("PostgreSQL knows who prepared a transaction")
	}
}

func TestPath(t *testing.T) {
	k := Find(parse(t, "1>2 2>3,4 3>1 4>2"))[0]
	for _, from := range k.Nodes {
		path := k.Path(from)
		at := from
		for _, w := range path {
			if w.From != at {
				t.Fatalf("path from %v: %v does not go on from %v", from, w, at)
			}
			next := slices.IndexFunc(w.On, func(n Node) bool {
				return n == from || slices.ContainsFunc(path, func(x Wait) bool { return x.From == n })
			})
			at = w.On[next]
		}
		if len(path) < 2 {
			t.Errorf("path from %v has %d waits", from, len(path))
		}
	}
}

// TestFindAgainstSearch compares with a search for every node: is there a way back to it through nodes that are stuck.
// Without Any a node is in a knot exactly if it can be reached from itself.
func TestFindAgainstSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		n := 1 + random.IntN(7)
		var waits []Wait
		for range random.IntN(9) {
			waits = append(waits, Wait{From: s(uint64(random.IntN(n))), On: []Node{s(uint64(random.IntN(n)))}})
		}
		want := map[Node]bool{}
		for i := range n {
			seen := map[Node]bool{}
			todo := []Node{s(uint64(i))}
			for len(todo) > 0 {
				at := todo[0]
				todo = todo[1:]
				for _, w := range waits {
					if w.From == at && !seen[w.On[0]] {
						seen[w.On[0]] = true
						todo = append(todo, w.On[0])
					}
				}
			}
			if seen[s(uint64(i))] {
				want[s(uint64(i))] = true
			}
		}
		got := map[Node]bool{}
		for _, k := range Find(waits) {
			for _, node := range k.Nodes {
				got[node] = true
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v: %v, want %v", waits, got, want)
		}
	}
}
