package proxy

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
)

// recorder is a client's socket that keeps what is written to it.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	got []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, b...)
	return len(b), nil
}

// take returns what was written since the last call.
func (r *recorder) take() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.got
	r.got = nil
	return b
}

// listeningSession is a session whose client has said LISTEN.
func listeningSession(t *testing.T) (*Session, *recorder) {
	t.Helper()
	s, r := testSession(t), &recorder{}
	s.nc, s.out = r, wire.NewWriter(r)
	s.inbox.used = true
	return s, r
}

func notification(channel, payload string) []byte {
	dst, at := wire.Begin(nil, 'A')
	dst = append(dst, 0, 0, 0, 42)
	return wire.End(wire.String(wire.String(dst, channel), payload), at)
}

func mustDeliver(t *testing.T, s *Session) {
	t.Helper()
	if err := s.inbox.deliver(s); err != nil {
		t.Fatal(err)
	}
}

func wantBytes(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the client got %q, want %q", what, got, want)
	}
}

func TestNotificationsWaitForTheStatementsEnd(t *testing.T) {
	s, client := listeningSession(t)
	a, b, c := notification("news", "a"), notification("news", "b"), notification("news", "c")
	s.inbox.push(s, a)
	s.inbox.push(s, b)
	wantBytes(t, "while a statement runs", client.take(), nil)
	mustDeliver(t, s)
	wantBytes(t, "between statements", client.take(), append(bytes.Clone(a), b...))
	s.inbox.push(s, c)
	s.inbox.shut() // waits for what is being written
	if got := append(client.take(), s.inbox.queue...); !bytes.Equal(got, c) {
		t.Errorf("while the client is silent: %q, want %q", got, c)
	}
	s.inbox.queue = nil
	s.inbox.push(s, a)
	wantBytes(t, "after the next message came", client.take(), nil)
	mustDeliver(t, s)
	wantBytes(t, "after it", client.take(), a)
	mustDeliver(t, s)
	wantBytes(t, "once more", client.take(), nil)
}

func TestNotificationsWaitForTheTransactionsEnd(t *testing.T) {
	s, client := listeningSession(t)
	s.gang.Begin(executor.TxnExplicit, "BEGIN")
	a := notification("news", "a")
	s.inbox.push(s, a)
	mustDeliver(t, s)
	s.inbox.push(s, a)
	wantBytes(t, "in a transaction", client.take(), nil)
	s.gang.Txn.State = executor.TxnNone
	mustDeliver(t, s)
	wantBytes(t, "behind it", client.take(), append(bytes.Clone(a), a...))
}

func TestNotificationsAreBounded(t *testing.T) {
	s, client := listeningSession(t)
	big := notification("news", strings.Repeat("x", 8000))
	fit := inboxBytes / len(big)
	for range fit + 10 {
		s.inbox.push(s, big)
	}
	if n := len(s.inbox.queue); n > inboxBytes || n != fit*len(big) {
		t.Fatalf("keeps %d bytes, may keep %d", n, inboxBytes)
	}
	mustDeliver(t, s)
	got := client.take()
	if n := bytes.Count(got, []byte("news\x00")); n != fit {
		t.Errorf("delivers %d notifications, kept %d", n, fit)
	}
	warning := got[fit*len(big):]
	if len(warning) == 0 || warning[0] != 'N' || wire.ErrorField(warning, 'S') != "WARNING" {
		t.Errorf("no warning behind them: %q", warning)
	}
	s.inbox.push(s, big)
	mustDeliver(t, s)
	wantBytes(t, "the next one", client.take(), big)
}

// A client that does not read keeps its own notifications back and nobody else's.
func TestASlowListenerKeepsNobodyWaiting(t *testing.T) {
	slow, _ := listeningSession(t)
	near, far := net.Pipe() // a write waits for its reader
	defer near.Close()
	slow.nc = near
	quick, client := listeningSession(t)
	mustDeliver(t, slow)
	mustDeliver(t, quick)
	h := &hub{channels: map[string]map[*Session]struct{}{"news": {slow: {}, quick: {}}}}
	frame := notification("news", "payload")
	var want []byte
	for range 100 {
		h.dispatch(frame)
		want = append(want, frame...)
	}
	began := time.Now()
	for got := []byte(nil); len(got) < len(want); {
		got = append(got, client.take()...)
		if time.Since(began) > soon {
			t.Fatalf("got %d bytes of %d", len(got), len(want))
		}
	}
	got := make([]byte, len(want))
	if err := far.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "once it reads", got, want)
	slow.inbox.shut()

	// One that never reads again loses its socket; its writer ends with it.
	slow.out = wire.NewWriter(&recorder{})
	mustDeliver(t, slow)
	h.dispatch(frame)
	far.Close()
	slow.inbox.shut() // returns once the writer has ended
}

func TestSessionsThatNeverListenedGetNothing(t *testing.T) {
	s, client := listeningSession(t)
	s.inbox.used = false
	s.inbox.push(s, notification("news", "a"))
	mustDeliver(t, s)
	s.inbox.shut()
	wantBytes(t, "a session without LISTEN", client.take(), nil)
	if s.inbox.open {
		t.Error("its inbox was opened")
	}
}

func TestDispatchReachesTheChannelsListeners(t *testing.T) {
	a, clientA := listeningSession(t)
	b, clientB := listeningSession(t)
	h := &hub{channels: map[string]map[*Session]struct{}{
		"news":  {a: {}, b: {}},
		"News":  {b: {}},
		"other": {a: {}},
	}}
	mustDeliver(t, a)
	mustDeliver(t, b)
	for _, c := range []struct {
		channel string
		toA     bool
		toB     bool
	}{{"news", true, true}, {"News", false, true}, {"other", true, false}, {"nobody", false, false}, {"", false, false}} {
		frame := notification(c.channel, "payload")
		h.dispatch(frame)
		for _, s := range []*Session{a, b} {
			s.inbox.shut()
			mustDeliver(t, s)
		}
		for name, x := range map[string]struct {
			r    *recorder
			want bool
		}{"a": {clientA, c.toA}, "b": {clientB, c.toB}} {
			var want []byte
			if x.want {
				want = frame
			}
			wantBytes(t, c.channel+" to "+name, x.r.take(), want)
		}
	}
}

func TestListenWaitsForTheCommit(t *testing.T) {
	s, _ := listeningSession(t)
	s.db = &Database{srv: s.srv}
	h := &s.db.hub
	h.db = s.db
	h.channels, h.ears = map[string]map[*Session]struct{}{}, []*ear{}
	later := func(changes ...listenChange) { s.listenLater = append(s.listenLater, changes...) }

	later(listenChange{"a", true}, listenChange{"b", true})
	s.settleListening(false)
	if len(s.listening) != 0 || len(s.listenLater) != 0 {
		t.Fatalf("after a rollback: listens on %v, later %v", s.listening, s.listenLater)
	}
	later(listenChange{"a", true}, listenChange{"b", true}, listenChange{"a", false}, listenChange{"c", true})
	s.settleListening(true)
	if s.listening["a"] || !s.listening["b"] || !s.listening["c"] {
		t.Errorf("after a commit: listens on %v", s.listening)
	}
	if _, ok := h.channels["a"]; ok || len(h.channels["b"]) != 1 {
		t.Errorf("the hub knows %v", h.channels)
	}
	later(listenChange{"*", false})
	s.settleListening(true)
	if len(s.listening) != 0 || len(h.channels) != 0 {
		t.Errorf("after UNLISTEN *: listens on %v, the hub knows %v", s.listening, h.channels)
	}
}
