package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			fmt.Printf("leaked goroutines: %d → %d\n%s\n", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
			code = 1
			break
		}
	}
	os.Exit(code)
}

// listener is a server that accepts and says nothing.
type listener struct {
	net.Listener
	mu      sync.Mutex
	conns   []net.Conn
	closing bool
	open    atomic.Int64
	dials   atomic.Int64
	limits  atomic.Pointer[Limits]
	fail    atomic.Bool
	wg      sync.WaitGroup
}

func listen(t testing.TB) *listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: ln}
	l.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			l.conns = append(l.conns, c)
			if l.closing {
				_ = c.Close()
			}
			l.mu.Unlock()
			l.open.Add(1)
			l.wg.Go(func() {
				_, _ = io.Copy(io.Discard, c)
				l.open.Add(-1)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		l.mu.Lock()
		l.closing = true
		l.mu.Unlock()
		l.hangUp()
		l.wg.Wait()
	})
	return l
}

func (l *listener) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

var errRefused = errors.New("connection refused")

func pools(t testing.TB, l *listener, limits *Limits) *Pools {
	l.limits.Store(limits)
	ps := &Pools{
		Dial: func(ctx context.Context, key Key) (*Conn, error) {
			l.dials.Add(1)
			if l.fail.Load() {
				return nil, errRefused
			}
			var d net.Dialer
			nc, err := d.DialContext(ctx, "tcp", l.Addr().String())
			if err != nil {
				return nil, err
			}
			return New(nc, Target{Index: key.Backend, Name: "b0"}, nil), nil
		},
		Cancel: func(context.Context, *Conn) error { return nil },
		Limits: func(Key) Limits { return *l.limits.Load() },
		Name:   func(int) string { return "b0" },
	}
	t.Cleanup(func() { ps.FlushBackend(0) })
	return ps
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func get(t *testing.T, p *Pool) *Conn {
	t.Helper()
	c, err := p.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPoolUnderLoad(t *testing.T) {
	l := listen(t)
	limits := &Limits{Size: 5}
	p := pools(t, l, limits).Pool(Key{})
	var lent, most, served, waited atomic.Int64
	var wg sync.WaitGroup
	for w := range 40 {
		wg.Go(func() {
			for n := range 100 {
				ctx, stop := context.WithCancel(t.Context())
				if (w+n)%7 == 0 {
					go stop() // at any moment of waiting
				}
				c, err := p.Get(ctx)
				if err != nil {
					waited.Add(1)
					stop()
					continue
				}
				now := lent.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				served.Add(1)
				switch (w * n) % 11 {
				case 0:
					c.Owed = 1 // left in the middle of something
				case 1:
					_ = c.Lost(io.EOF)
				case 2:
					c.Hold()
					go c.Unhold()
				}
				lent.Add(-1)
				c.Put()
				stop()
			}
		})
	}
	wg.Wait()
	s := p.stats()
	if s.Open != s.Free || s.Open > 5 || s.Waiting != 0 || most.Load() > 5 {
		t.Errorf("%+v, %d lent at once", s, most.Load())
	}
	if served.Load()+waited.Load() != 4000 || served.Load() < 2000 {
		t.Errorf("%d served, %d gave up", served.Load(), waited.Load())
	}
}

func TestWaitersAreServedInOrder(t *testing.T) {
	p := pools(t, listen(t), &Limits{Size: 1}).Pool(Key{})
	c := get(t, p)
	var mu sync.Mutex
	var order []int
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			c, err := p.Get(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			if i%3 == 0 {
				c.Owed = 1 // closed instead of handed on
			}
			c.Put()
		})
		eventually(t, "it waits", func() bool { return p.stats().Waiting == i+1 })
	}
	c.Put()
	wg.Wait()
	for i, got := range order {
		if got != i {
			t.Fatalf("served in the order %v", order)
		}
	}
}

func TestQueueTimeoutAndCancel(t *testing.T) {
	limits := &Limits{Size: 1, QueueTimeout: 20 * time.Millisecond}
	p := pools(t, listen(t), limits).Pool(Key{})
	c := get(t, p)
	_, err := p.Get(t.Context())
	var e *pgerr.Error
	if !errors.As(err, &e) || e.Code != pgerr.TooManyConnections || e.Hint == "" {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err = p.Get(ctx); !errors.As(err, &e) || e.Code != pgerr.QueryCanceled {
		t.Errorf("%v", err)
	}
	if s := p.stats(); s.Waiting != 0 || s.Open != 1 {
		t.Errorf("%+v", s)
	}
	c.Put()
	get(t, p).Put()
}

func TestAFailedDialGivesItsPlaceAway(t *testing.T) {
	l := listen(t)
	p := pools(t, l, &Limits{Size: 1}).Pool(Key{})
	c := get(t, p)
	errs := make(chan error, 3)
	for range 3 {
		go func() {
			c, err := p.Get(t.Context())
			if err == nil {
				c.Put()
			}
			errs <- err
		}()
	}
	eventually(t, "they wait", func() bool { return p.stats().Waiting == 3 })
	l.fail.Store(true)
	c.Owed = 1
	c.Put()
	for range 3 {
		if err := <-errs; !errors.Is(err, errRefused) {
			t.Error(err)
		}
	}
	l.fail.Store(false)
	get(t, p).Put()
	if s := p.stats(); s.Open != 1 || s.Free != 1 {
		t.Errorf("%+v", s)
	}
}

func TestDeadFreeConnectionsAreNotLent(t *testing.T) {
	l := listen(t)
	p := pools(t, l, &Limits{Size: 3}).Pool(Key{})
	a, b := get(t, p), get(t, p)
	a.Put()
	b.Put()
	eventually(t, "both are accepted", func() bool { return l.open.Load() == 2 })
	l.hangUp()
	eventually(t, "both are hung up", func() bool { return a.hungUp() && b.hungUp() })
	a.used, b.used = time.Now().Add(-time.Second), time.Now().Add(-time.Second)
	c := get(t, p)
	if c == a || c == b || c.hungUp() {
		t.Error("a dead connection was lent")
	}
	c.Put()
	if s := p.stats(); s.Open != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAServerThatSpeaksUnaskedIsNotLent(t *testing.T) {
	l := listen(t)
	p := pools(t, l, &Limits{Size: 3}).Pool(Key{})
	c := get(t, p)
	c.Put()
	eventually(t, "it is accepted", func() bool { return l.open.Load() == 1 })
	l.mu.Lock()
	_, err := l.conns[0].Write([]byte{'E'})
	l.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the byte is there", c.hungUp)
	c.used = time.Now().Add(-time.Second)
	if get(t, p) == c {
		t.Error("lent with an answer that belongs to nobody")
	}
}

func TestOnlyIdleConnectionsReturn(t *testing.T) {
	for name, spoil := range map[string]func(c *Conn){
		"in transaction": func(c *Conn) { c.Status = 'T' },
		"failed":         func(c *Conn) { c.Status = 'E' },
		"owes":           func(c *Conn) { c.Owed = 1 },
		"unsent":         func(c *Conn) { c.Out = append(c.Out, 'Q') },
		"broken":         func(c *Conn) { _ = c.Lost(io.EOF) },
		"closed":         func(c *Conn) { c.Close() },
	} {
		p := pools(t, listen(t), &Limits{Size: 1}).Pool(Key{})
		c := get(t, p)
		spoil(c)
		c.Put()
		if s := p.stats(); s.Open != 0 || s.Free != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestACancelOnItsWayKeepsTheConnectionBack(t *testing.T) {
	p := pools(t, listen(t), &Limits{Size: 1}).Pool(Key{})
	c := get(t, p)
	c.Hold()
	back := make(chan struct{})
	go func() {
		c.Put()
		close(back)
	}()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := p.Get(ctx); err == nil {
		t.Error("lent before the cancel was over")
	}
	c.Unhold()
	<-back
	if get(t, p) != c {
		t.Error("not lent afterwards")
	}
}

func TestAChangedSizeIsFollowed(t *testing.T) {
	limits := &Limits{Size: 3}
	l := listen(t)
	p := pools(t, l, limits).Pool(Key{})
	a, b, c := get(t, p), get(t, p), get(t, p)
	l.limits.Store(&Limits{Size: 1})
	a.Put()
	b.Put()
	c.Put()
	if s := p.stats(); s.Open != 1 || s.Free != 1 {
		t.Errorf("%+v", s)
	}
	c = get(t, p)
	got := make(chan *Conn, 2)
	for range 2 {
		go func() {
			c, err := p.Get(context.Background())
			if err != nil {
				t.Error(err)
			}
			got <- c
		}()
	}
	eventually(t, "they wait", func() bool { return p.stats().Waiting == 2 })
	l.limits.Store(limits)
	p.reap(time.Now(), 0)
	(<-got).Put()
	(<-got).Put()
	c.Put()
}

func TestReapKeepsSomeAndClosesTheOld(t *testing.T) {
	l := listen(t)
	limits := &Limits{Size: 5, IdleTimeout: time.Minute}
	p := pools(t, l, limits).Pool(Key{})
	var all []*Conn
	for range 5 {
		all = append(all, get(t, p))
	}
	for _, c := range all {
		c.Put()
	}
	p.reap(time.Now().Add(30*time.Second), 2)
	if s := p.stats(); s.Free != 5 {
		t.Errorf("%+v", s)
	}
	p.reap(time.Now().Add(2*time.Minute), 2)
	if s := p.stats(); s.Free != 2 || s.Open != 2 {
		t.Errorf("%+v", s)
	}
	limits.MaxLifetime = time.Hour
	p.reap(time.Now().Add(2*time.Hour), 2)
	if s := p.stats(); s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

func TestRunClosesThePoolsAtItsEnd(t *testing.T) {
	l := listen(t)
	ps := pools(t, l, &Limits{Size: 5})
	p := ps.Pool(Key{})
	c := get(t, p)
	get(t, p).Put()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- ps.Run(ctx) }()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s := p.stats(); s.Free != 0 || s.Open != 1 {
		t.Errorf("%+v", s)
	}
	c.Put()
	if s := p.stats(); s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSettingsAreSharedAndBounded(t *testing.T) {
	a := NoSettings.With("work_mem", "'4MB'").With("role", "'r'").With("a.b", "1")
	b := NoSettings.With("a.b", "1").With("work_mem", "'4MB'").With("role", "'r'")
	if a != b || a.ID == 0 {
		t.Errorf("%d and %d", a.ID, b.ID)
	}
	if want := `SET "a"."b" TO 1;SET "work_mem" TO '4MB';SET ROLE 'r';`; a.Apply != want {
		t.Errorf("%s", a.Apply)
	}
	auth := a.With("session_authorization", "'s'").Apply
	if !strings.HasSuffix(auth, "SET SESSION AUTHORIZATION 's';SET ROLE 'r';") {
		t.Error(auth)
	}
	if a.Without("role").Without("a.b").Without("work_mem") != NoSettings || a.Without("other") != a {
		t.Error("Without")
	}
	if s := NoSettings.With("timezone", "INTERVAL '1' HOUR").Apply; s != "SET TIME ZONE INTERVAL '1' HOUR;" {
		t.Error(s)
	}
	if s := NoSettings.With(`x"; DROP TABLE t; --`, "1").Apply; s != `SET "x""; DROP TABLE t; --" TO 1;` {
		t.Error(s)
	}
	for i := range 2 * internLimit {
		NoSettings.With("application_name", fmt.Sprintf("'%d'", i))
	}
	big := strings.Repeat("x", 100<<10)
	for i := range 200 {
		NoSettings.With("search_path", fmt.Sprintf("'%d%s'", i, big))
	}
	if len(interned.byText) > internLimit || interned.bytes > internBytes {
		t.Errorf("%d sets of %d bytes are kept", len(interned.byText), interned.bytes)
	}
	c, d := NoSettings.With("a", "1"), NoSettings.With("b", "1")
	if c.ID == d.ID || c.ID == a.ID {
		t.Error("an id names two sets")
	}
}

func TestStatementsEvictTheLeastUsed(t *testing.T) {
	var s Statements
	for id := uint64(1); id <= 3; id++ {
		if _, full := s.Add(id, 3); full {
			t.Error("full too early")
		}
	}
	if !s.Has(1) {
		t.Error("1 is gone")
	}
	if old, full := s.Add(4, 3); !full || old != 2 || s.Has(2) || s.Len() != 3 {
		t.Errorf("evicted %d", old)
	}
	s.Remove(4)
	s.Clear()
	if s.Len() != 0 || s.Has(1) {
		t.Error("Clear")
	}
	if _, full := s.Add(1, 3); full || !s.Has(1) {
		t.Error("Add after Clear")
	}
}

func TestStaleStatementsMakeRoom(t *testing.T) {
	var s Statements
	s.Add(1, 2)
	s.Add(2, 2)
	if id, stale := s.Stale(2); stale {
		t.Errorf("%d is called old, having just come", id)
	}
	for range staleUses*2 - 2 {
		s.Has(2)
	}
	if id, stale := s.Stale(2); stale {
		t.Errorf("%d is called old too early", id)
	}
	s.Has(2)
	if id, stale := s.Stale(2); !stale || id != 1 || s.Has(1) || s.Len() != 1 {
		t.Errorf("%d is old (%t), %d are left; want 1 to go", id, stale, s.Len())
	}
	s.Remove(2)
	if _, stale := s.Stale(2); stale {
		t.Error("none is left, but one is old")
	}
}

func TestReadyIsCounted(t *testing.T) {
	for _, frame := range [][]byte{
		{'Z', 0, 0, 0, 4}, {'Z', 0, 0, 0, 6, 'I', 'I'}, {'Z', 0, 0, 0, 5, 'X'},
	} {
		c := New(nil, Target{}, nil)
		c.Owed = 1
		if err := c.Ready(frame); !errors.Is(err, ErrLost) || !c.Broken() {
			t.Errorf("%q: %v", frame, err)
		}
	}
	c := New(nil, Target{}, nil)
	if err := c.Ready(wire.ReadyForQuery(nil, 'I')); err == nil {
		t.Error("a ReadyForQuery that is not owed")
	}
	c = New(nil, Target{}, nil)
	c.Owed = 1
	if err := c.Ready(wire.ReadyForQuery(nil, 'T')); err != nil || c.Owed != 0 || c.Status != 'T' || c.Idle() {
		t.Error(err)
	}
}
