package integration

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestMemorySortedScatter reads a million rows in order from all servers; the proxy must not hold them.
func TestMemorySortedScatter(t *testing.T) {
	s := serve(t, "")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table million (k int primary key, v text) partition by hash (k)")
	const rows = 1_000_000
	for from := 0; from < rows; from += 250_000 {
		query := fmt.Sprintf("select i, md5(i::text) from generate_series(%d, %d) i", from+1, from+250_000)
		if err := loadRows(ctxFor(t), c.PgConn(), "million", query); err != nil {
			t.Fatal(err)
		}
	}
	peak, stop := watchRSS(t, s.pid)
	defer stop()
	for _, sql := range []string{"select * from million order by k", "select v, k from million order by k desc", "select v from million order by v collate \"C\""} {
		raw := dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", db)
		if err := raw.queue(queryMessage(sql)); err != nil {
			t.Fatal(err)
		}
		if err := raw.flush(); err != nil {
			t.Fatal(err)
		}
		got := 0
		for done := false; !done; {
			kind, body, err := raw.receive(callLimit)
			if err != nil {
				t.Fatal(err)
			}
			switch kind {
			case 'D':
				got++
			case 'E':
				line, _ := message(kind, body)
				t.Fatalf("%s: %s", sql, line)
			case 'Z':
				done = true
			}
		}
		if got != rows {
			t.Errorf("%s: %d rows, want %d", sql, got, rows)
		}
		raw.Close()
	}
	stop()
	t.Logf("peak of resident memory: %d MiB", peak.Load()>>20)
	if limit := memoryLimit(100 << 20); peak.Load() > limit {
		t.Errorf("the proxy took %d MiB, want %d at most", peak.Load()>>20, limit>>20)
	}
}

// watchRSS samples a process's memory until stopped.
func watchRSS(t *testing.T, pid int) (peak *atomic.Int64, stop func()) {
	t.Helper()
	peak = &atomic.Int64{}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			n, err := rssBytes(pid)
			if err != nil {
				t.Error(err)
				return
			}
			peak.Store(max(peak.Load(), n))
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return peak, sync.OnceFunc(func() { close(done); wg.Wait() })
}

// TestMemoryIdleClients opens thousands of sessions that do nothing.
func TestMemoryIdleClients(t *testing.T) {
	s := serve(t, "limits:\n  max_clients: 6000\n")
	db := s.newDatabase(t)
	const clients = 5000
	s.one(t, s.conn(t, db), "select 1")
	before, err := rssBytes(s.pid)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]*rawConn, clients)
	for i := range conns {
		conns[i] = dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", db)
		// Each has worked once: what a session keeps counts too.
		if i%50 == 0 {
			if err := conns[i].queue(queryMessage("select 1")); err != nil {
				t.Fatal(err)
			}
			if _, err := conns[i].until("ReadyForQuery"); err != nil {
				t.Fatal(err)
			}
		}
	}
	after, err := rssBytes(s.pid)
	if err != nil {
		t.Fatal(err)
	}
	each := (after - before) / clients
	t.Logf("%d clients: %d bytes each (%d MiB before, %d MiB after)", clients, each, before>>20, after>>20)
	if limit := memoryLimit(32 << 10); each > limit {
		t.Errorf("an idle client takes %d bytes, want %d at most", each, limit)
	}
	for _, c := range []*rawConn{conns[0], conns[clients/2], conns[clients-1]} {
		if err := c.queue(queryMessage("select 'awake'")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.until("ReadyForQuery"); err != nil {
			t.Fatal(err)
		}
	}
}
