package proxy

import (
	"context"
	"net"
	"testing"
	"time"
)

// watched is a session with a real socket and a statement under way; its client's end is returned, too.
func watched(t *testing.T) (*Session, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	s := testSession(t)
	s.srv.run = t.Context()
	s.raw, s.nc = server, server
	s.running.Store(1)
	return s, client
}

// startWatcher runs a watcher until the test's end.
func startWatcher(t *testing.T) *watcher {
	t.Helper()
	w, err := newWatcher()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		waitClosed(t, ended)
	})
	return w
}

func TestHangUpCancelsTheRunningStatement(t *testing.T) {
	w := startWatcher(t)
	for _, how := range []struct {
		name   string
		hangUp func(net.Conn) error
	}{
		{"close", net.Conn.Close},
		{"reset", func(c net.Conn) error {
			if err := c.(*net.TCPConn).SetLinger(0); err != nil {
				return err
			}
			return c.Close()
		}},
		{"half close", func(c net.Conn) error { return c.(*net.TCPConn).CloseWrite() }},
	} {
		s, client := watched(t)
		unwatch := w.watch(s)
		done := s.ctx.Done()
		if err := how.hangUp(client); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
		case <-time.After(soon):
			t.Errorf("%s: the statement goes on", how.name)
		}
		unwatch()
	}
}

func TestHangUpBeforeTheWatchIsSeen(t *testing.T) {
	w := startWatcher(t)
	s, client := watched(t)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	defer w.watch(s)()
	waitClosed(t, s.ctx.Done())
}

// hangUp runs hungUp by ticks of the test's own.
func hangUp(t *testing.T, s *Session) (tick func()) {
	t.Helper()
	ticks, ended, over := make(chan time.Time), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		s.hungUp(t.Context(), ended, ticks)
	}()
	t.Cleanup(func() {
		close(ended)
		waitClosed(t, over)
	})
	return func() {
		t.Helper()
		select {
		case ticks <- time.Time{}:
		case <-time.After(soon):
			t.Fatal("the watch has ended")
		}
	}
}

func TestHangUpLetsAStatementEndThatIsOverSoon(t *testing.T) {
	s, _ := watched(t)
	done := s.ctx.Done()
	tick := hangUp(t, s)
	s.running.Store(0) // before the first tick comes
	tick()
	tick()
	if closed(done) {
		t.Error("a statement that was over in time is cancelled")
	}
}

func TestHangUpCancelsWhatBeginsLater(t *testing.T) {
	s, _ := watched(t)
	s.running.Store(0)
	done := s.ctx.Done()
	tick := hangUp(t, s)
	tick()
	s.running.Store(7)
	tick()
	tick()
	waitClosed(t, done)
}

func TestWatcherForgetsSessions(t *testing.T) {
	w := startWatcher(t)
	var unwatch []func()
	for range 5 {
		s, _ := watched(t)
		unwatch = append(unwatch, w.watch(s))
	}
	n := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.sessions)
	}
	if n() != 5 {
		t.Fatalf("watches %d sessions, not 5", n())
	}
	for _, f := range unwatch {
		f()
		f()
	}
	if n() != 0 {
		t.Fatalf("still watches %d sessions", n())
	}
}

func TestWatcherTakesSessionsWithoutASocket(t *testing.T) {
	w := startWatcher(t)
	s := testSession(t)
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	s.raw = server
	w.watch(s)()
	if len(w.sessions) != 0 {
		t.Error("watches what has no descriptor")
	}
}
