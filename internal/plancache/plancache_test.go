package plancache

import (
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
)

type plan struct{ n int }

func key(scope uint64, text string) Key {
	h := fnv.New64a()
	h.Write([]byte(text))
	return Key{Scope: scope, Hash: h.Sum64() * 0x9e3779b97f4a7c15, Text: []byte(text)}
}

func TestGetReturnsWhatWasPut(t *testing.T) {
	c := New[plan](1 << 20)
	plans := map[string]*plan{}
	for i := range 200 {
		text := fmt.Sprint("SELECT ", i)
		plans[text] = &plan{i}
		c.Put(key(1, text), plans[text], 100)
	}
	for text, want := range plans {
		if got := c.Get(key(1, text)); got != want {
			t.Fatalf("%s: got %p, want %p", text, got, want)
		}
		if c.Get(key(2, text)) != nil {
			t.Fatalf("%s: found in a scope that has no plans", text)
		}
	}
	if s := c.Stats(); s.Entries != 200 || s.Hits != 200 || s.Misses != 200 || s.Evicted != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestKeyIsACopyAndHashIsNotTrusted(t *testing.T) {
	c := New[plan](1 << 20)
	k := key(1, "SELECT a")
	c.Put(k, &plan{}, 1)
	other := k
	other.Text = []byte("SELECT b")
	if c.Get(other) != nil {
		t.Error("another text with the same hash hits")
	}
	k.Text[7] = 'x'
	if c.Get(key(1, "SELECT a")) == nil {
		t.Error("the cache aliases the caller's bytes")
	}
	c.Put(other, &plan{7}, 1)
	if p := c.Get(other); p == nil || p.n != 7 {
		t.Error("the later of two texts with one hash is not found")
	}
	if s := c.Stats(); s.Entries != 1 {
		t.Errorf("%d entries, want 1", s.Entries)
	}
}

func TestBytesStayBounded(t *testing.T) {
	const limit = 256 << 10
	c := New[plan](limit)
	hot := key(1, "SELECT hot")
	c.Put(hot, &plan{}, 1000)
	for i := range 10_000 {
		if c.Get(hot) == nil {
			t.Fatalf("a plan in constant use was evicted after %d others", i)
		}
		c.Put(key(1, fmt.Sprint("SELECT ", i)), &plan{}, 1000)
		if s := c.Stats(); s.Bytes > limit {
			t.Fatalf("%d bytes held, limit %d", s.Bytes, limit)
		}
	}
	if s := c.Stats(); s.Evicted == 0 || s.Entries < 100 {
		t.Errorf("stats: %+v", s)
	}
	c.Put(key(1, "too big"), &plan{}, limit)
	if c.Get(key(1, "too big")) != nil {
		t.Error("a plan of the cache's whole size was kept")
	}
	none := New[plan](0)
	none.Put(hot, &plan{}, 1)
	if none.Get(hot) != nil {
		t.Error("a cache of no bytes holds a plan")
	}
}

func TestDropScope(t *testing.T) {
	c := New[plan](1 << 20)
	for i := range 300 {
		c.Put(key(uint64(i%3), fmt.Sprint(i)), &plan{}, 10)
	}
	c.DropScope(1)
	for i := range 300 {
		if got := c.Get(key(uint64(i%3), fmt.Sprint(i))) != nil; got != (i%3 != 1) {
			t.Fatalf("entry %d of scope %d: found is %v", i, i%3, got)
		}
	}
	if s := c.Stats(); s.Dropped != 100 || s.Entries != 200 {
		t.Errorf("stats: %+v", s)
	}
	c.Drop(func(uint64) bool { return true })
	if s := c.Stats(); s.Bytes != 0 || s.Entries != 0 {
		t.Errorf("bytes left: %+v", s)
	}
}

func TestConcurrentUse(t *testing.T) {
	c := New[plan](64 << 10)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				n := (i*7 + g) % 500
				k := key(uint64(n%4), fmt.Sprint("SELECT ", n))
				if p := c.Get(k); p == nil {
					c.Put(k, &plan{n}, 200)
				} else if p.n != n {
					t.Errorf("%s: plan of %d", k.Text, p.n)
				}
				if i%1000 == 0 {
					c.DropScope(uint64(g % 4))
				}
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Bytes > 64<<10 {
		t.Errorf("%d bytes held", s.Bytes)
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	c := New[plan](1 << 20)
	k := key(1, "SELECT a FROM t WHERE b = \x03")
	c.Put(k, &plan{}, 100)
	if n := testing.AllocsPerRun(100, func() { c.Get(k) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGet(b *testing.B) {
	c := New[plan](1 << 20)
	k := key(1, "SELECT abalance FROM pgbench_accounts WHERE aid = \x03")
	c.Put(k, &plan{}, 100)
	b.ReportAllocs()
	for b.Loop() {
		c.Get(k)
	}
}
