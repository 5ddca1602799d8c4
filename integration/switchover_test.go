package integration

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSwitchover hands a backend over by hand, under load. No commit is lost and none fails for it, and it takes less
// than two seconds.
func TestSwitchover(t *testing.T) {
	r := serveReplicated(t, failoverSettings)
	r.caughtUp(t)
	db := r.newDatabase(t)
	r.exec(t, r.conn(t, db), "create table w (k int primary key) partition by hash (k)")
	l := startLoad(t, r, db, 8)
	l.resumed(t, 30*time.Second)
	for _, backend := range []string{"b1", "b2"} {
		old := r.primary(t, backend)
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		var out strings.Builder
		began := time.Now()
		if err := r.command(ctx, &out, "failover", backend, "--dsn", r.dsn("postgres")); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		took := time.Since(began)
		now := r.primary(t, backend)
		t.Logf("%d ms, program and all: %s", took.Milliseconds(), strings.TrimSpace(out.String()))
		if took > patience(2*time.Second) {
			t.Errorf("it took %s", took)
		}
		if !strings.HasPrefix(out.String(), now.Name+" is the primary of backend "+backend) || now == old {
			t.Errorf("%q, and the primary is %s", out.String(), now.Name)
		}
		l.resumed(t, 10*time.Second)
		t.Cleanup(func() { // before the proxy ends
			ctx, stop := context.WithTimeout(context.Background(), time.Minute)
			defer stop()
			if err := old.Rejoin(ctx, now); err != nil {
				t.Error(err)
			}
		})
		stop()
	}
	if lost := l.end(t, r, db, "switchover"); len(lost) > 0 {
		t.Errorf("%d acknowledged writes are lost", len(lost))
	}
	var out strings.Builder
	if err := r.command(t.Context(), &out, "status"); err != nil {
		t.Fatal(err)
	}
	if all, old := strings.Count(out.String(), "\nb"), strings.Count(out.String(), " outdated "); all < 6 || old != 2 {
		t.Errorf("status shows %d servers outdated:\n%s", old, out.String())
	}
	c := r.low(t, "postgres", nil)
	if e := r.failure(t, c, "set pleiad.failover to 'b1 to nobody'"); e.Code != "55000" {
		t.Errorf("a server that is not there: %s %s", e.Code, e.Message)
	}
	r.admin(t, "create role visitor login")
	t.Cleanup(func() { r.admin(t, "drop role visitor") })
	if e := r.failure(t, r.low(t, "postgres", nil, "user=visitor"), "set pleiad.failover to 'b1'"); e.Code != "42501" {
		t.Errorf("by a role that is no superuser: %s %s", e.Code, e.Message)
	}
}

// TestFollow promotes a standby past the proxy, which finds it, and never goes back to the old primary although that
// lives on.
func TestFollow(t *testing.T) {
	r := serveReplicated(t, "failover:\n  mode: follow\n  detect: 1s\n")
	r.caughtUp(t)
	db := r.kv(t, 4)
	c := r.conn(t, db)
	r.exec(t, c, "update kv set v = 1")
	r.caughtUp(t)
	old := r.primary(t, "b2")
	next := r.cluster.Replicas("b2")[0]
	other := r.cluster.Replicas("b2")[1]
	if err := next.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "pleiad follows", func() bool {
		return r.one(t, c, "select name from pleiad.backends where backend = 'b2' and role = 'primary'") == next.Name
	})
	r.exec(t, c, "update kv set v = 2")
	if v := r.one(t, c, "select sum(v) from kv"); v != "8" {
		t.Errorf("the sum is %s", v)
	}
	if state := r.one(t, c, "select state from pleiad.backends where name = '"+old.Name+"'"); state != "outdated" {
		t.Errorf("the old primary is %s", state)
	}
	// A proxy that begins now has a choice between two that are no standbys.
	if err := r.program.stop(); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	c = r.conn(t, db)
	if v := r.one(t, c, "select sum(v) from kv"); v != "8" {
		t.Errorf("after a restart the sum is %s", v)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if err := old.Rejoin(ctx, next); err != nil {
		t.Fatal(err)
	}
	if err := other.Rebuild(ctx, next); err != nil { // nobody has told it to follow
		t.Fatal(err)
	}
	r.caughtUp(t)
}

// TestTwoProxies loses a primary that two proxies are ready to replace. One does, the other follows, and both serve.
func TestTwoProxies(t *testing.T) {
	r := serveReplicated(t, failoverSettings)
	other := serveBeside(t, r.served)
	t.Cleanup(func() {
		if err := errors.Join(other.program.stop(), other.program.complaints()); err != nil {
			t.Error(err)
		}
	})
	r.caughtUp(t)
	db := r.kv(t, 8)
	r.caughtUp(t)
	old := r.primary(t, "b2")
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, s := range []*side{r.side, other.side} {
		c := s.conn(t, db)
		wg.Go(func() {
			eventually(t, 20*time.Second, "writes go on", func() bool {
				_, err := c.Exec(context.Background(), "update kv set v = v + $1", 1+i*100)
				return err == nil
			})
		})
	}
	wg.Wait()
	if a, b := strings.Count(r.program.stderr.String(), "msg=failover"), strings.Count(other.program.stderr.String(), "msg=failover"); a+b != 1 {
		t.Errorf("%d and %d servers were promoted, want one", a, b)
	}
	for _, s := range []*side{r.side, other.side} {
		if got := s.one(t, s.conn(t, db), "select min(v) || ' ' || max(v) from kv"); got != "102 102" {
			t.Errorf("%s: %s", s.name, got)
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if err := old.Rejoin(ctx, r.primary(t, "b2")); err != nil {
		t.Fatal(err)
	}
	r.caughtUp(t)
}
