package devcluster

import (
	"context"
	"testing"
	"time"
)

func TestAKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	c := ForTest(t, Options{Backends: 1, Replicas: 1})
	s := c.Server("b1")
	mustQuery(t, s, "CREATE TABLE t AS SELECT generate_series(1, 1000)")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if ps, err := processesIn(s.DataDir); err != nil || len(ps) != 0 || s.PID() != 0 {
		t.Fatalf("after kill: %d processes, pid %d, %v", len(ps), s.PID(), err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := mustQuery(t, s, "SELECT count(*) FROM t"); n != "1000" {
		t.Errorf("%s rows", n)
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("a running server was started again")
	}
	if err := s.WaitStreaming(t.Context(), c.Server("b1-r1")); err != nil {
		t.Error(err)
	}
	for _, mode := range []StopMode{Fast, Immediate} {
		if err := s.Stop(mode); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPausedServerAnswersAgainAfterResume(t *testing.T) {
	c := ForTest(t, Options{Backends: 1})
	s := c.Server("b1")
	conn, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT 1").ReadAll()
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("a paused server answered: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := s.Pause(); err != nil { // and Stop must cope with a paused one
		t.Fatal(err)
	}
}

func TestAPromotionOutlivesARestart(t *testing.T) {
	dir := reachableDir(t)
	o := Options{Dir: dir, Backends: 1, Replicas: 1, Fast: true}
	c := mustStart(t, o)
	old, standby := c.Server("b1"), c.Server("b1-r1")
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustQuery(t, standby, "CREATE TABLE after_promotion ()")
	mustStop(t, c)

	c = mustStart(t, o)
	old, standby = c.Server("b1"), c.Server("b1-r1")
	if old.Role() != Replica || standby.Role() != Primary {
		t.Fatalf("b1 is %s, b1-r1 is %s", old.Role(), standby.Role())
	}
	if got := mustQuery(t, standby, "SELECT to_regclass('after_promotion')"); got != "after_promotion" {
		t.Errorf("the promoted server has %q", got)
	}
	if err := old.Promote(t.Context()); err != nil { // back again, both alive
		t.Fatal(err)
	}
	if err := standby.Rebuild(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if ps := c.Primaries(); len(ps) != 1 || ps[0] != old {
		t.Errorf("primaries: %v", ps)
	}
	mustStop(t, c)
}
