package proxy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pleiad/pleiad/internal/deadlock"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// deadlocks finds transactions that wait for each other on several servers, which no server sees, and breaks them: the
// youngest is cancelled with 40P01. It knows the sessions that hold connections to several backends. Only when
// a statement of one of them has been running for a while does it ask the servers who waits for whom.
type deadlocks struct {
	srv  *Server
	wake chan struct{} // the first session came

	mu       sync.Mutex
	spanning map[*Session]struct{}
}

const (
	// deadlockTick is how long a statement of a session on several backends runs, at least, before anybody asks.
	deadlockTick = 100 * time.Millisecond
	// deadlockPause is between two questions while somebody waits for a lock, or longer if nobody does.
	deadlockPause    = 250 * time.Millisecond
	deadlockPauseMax = 800 * time.Millisecond
	// deadlockTimeout bounds one question to a server; one that does not answer tells of no waits.
	deadlockTimeout = time.Second
)

func newDeadlocks(srv *Server) *deadlocks {
	return &deadlocks{srv: srv, wake: make(chan struct{}, 1), spanning: map[*Session]struct{}{}}
}

// spans notes whether a session holds, or waits for, several connections.
func (d *deadlocks) spans(s *Session, yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !yes {
		delete(d.spanning, s)
		return
	}
	d.spanning[s] = struct{}{}
	if len(d.spanning) == 1 {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// run looks for deadlocks until ctx ends. While no session spans backends it sleeps.
func (d *deadlocks) run(ctx context.Context) {
	tick := time.NewTicker(deadlockTick)
	defer tick.Stop()
	before := map[*Session]uint64{}
	pause, next := deadlockPause, time.Time{}
	for {
		if len(before) == 0 {
			tick.Stop()
			select {
			case <-ctx.Done():
				return
			case <-d.wake:
			}
			tick.Reset(deadlockTick)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := d.statements()
		waiting := slow(before, now)
		before = now
		if len(waiting) == 0 {
			pause, next = deadlockPause, time.Time{}
			continue
		}
		if time.Now().Before(next) {
			continue
		}
		if d.round(ctx, waiting) {
			pause = deadlockPause
		} else {
			pause = min(2*pause, deadlockPauseMax)
		}
		next = time.Now().Add(pause)
	}
}

// statements are the sessions that span backends and the numbers of the statements they run, 0 for none.
func (d *deadlocks) statements() map[*Session]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[*Session]uint64, len(d.spanning))
	for s := range d.spanning {
		out[s] = s.running.Load()
	}
	return out
}

// slow are the sessions that still run what they ran before.
func slow(before, now map[*Session]uint64) []suspect {
	var out []suspect
	for s, statement := range now {
		if statement == 0 || before[s] != statement {
			continue
		}
		held, wanted := s.gang.Held()
		out = append(out, suspect{session: s, statement: statement, held: held, wanted: wanted})
	}
	slices.SortFunc(out, func(a, b suspect) int { return cmp.Compare(a.session.id, b.session.id) })
	return out
}

// suspect is a session that may be waiting.
type suspect struct {
	session   *Session
	statement uint64
	held      []executor.Held
	wanted    int // backend, -1: none
}

func (s *suspect) node() deadlock.Node { return deadlock.Node{Session: s.session.id} }

// round looks once, and where a knot is seen once more, and breaks what lasts. It tells whether anybody waits.
func (d *deadlocks) round(ctx context.Context, suspects []suspect) (anybody bool) {
	suspects = d.withHolders(suspects)
	first := d.look(ctx, suspects)
	var knots []deadlock.Knot
	for _, k := range deadlock.Find(first.waits) {
		if !k.WithinOneServer() {
			knots = append(knots, k)
		}
	}
	if len(knots) == 0 {
		return len(first.waits) > 0
	}
	again := d.look(ctx, slices.DeleteFunc(suspects, func(s suspect) bool { return s.session.running.Load() != s.statement }))
	for _, k := range knots {
		if k.Lasting(again.waits) {
			d.resolve(again, k)
		}
	}
	return true
}

// withHolders adds the sessions whose connections a suspect waits for: they need not span backends.
func (d *deadlocks) withHolders(suspects []suspect) []suspect {
	known := map[*Session]bool{}
	for _, s := range suspects {
		known[s.session] = true
	}
	for _, s := range slices.Clone(suspects) {
		if s.wanted < 0 {
			continue
		}
		d.srv.eachSession(func(x *Session) {
			statement := x.running.Load()
			if held, wanted := x.gang.Held(); statement != 0 && !known[x] && s.competes(x, held) {
				known[x] = true
				suspects = append(suspects, suspect{session: x, statement: statement, held: held, wanted: wanted})
			}
		})
	}
	return suspects
}

// competes tells whether another session has a connection of the pool that s waits for.
func (s *suspect) competes(x *Session, held []executor.Held) bool {
	return x != s.session && x.db == s.session.db && x.user == s.session.user &&
		slices.ContainsFunc(held, func(h executor.Held) bool { return h.Backend == s.wanted })
}

// resolve cancels the youngest of a knot's transactions.
func (d *deadlocks) resolve(v *view, k deadlock.Knot) {
	var victim *suspect
	var youngest float64
	for _, n := range k.Nodes {
		s := v.session(n)
		if s == nil {
			continue // a stranger's, whom PostgreSQL would have to cancel
		}
		// A transaction of which no age is known counts as the oldest.
		if age := v.began(s); victim == nil || age > youngest || age == youngest && s.session.id > victim.session.id {
			victim, youngest = s, age
		}
	}
	if victim == nil {
		return
	}
	var detail []string
	for _, w := range k.Path(v.nodeOf(victim, k)) {
		detail = append(detail, w.Text)
	}
	d.srv.log.Info("deadlock_broken", "transactions", len(k.Nodes), "session", victim.session.id,
		"user", victim.session.user, "database", victim.session.db.name)
	victim.session.sentence(victim.statement, pgerr.New(pgerr.DeadlockDetected, "deadlock detected").
		WithDetail("%s", strings.Join(detail, "\n")).WithHint("Run the transaction again."))
}

// sentence cancels a statement of the session's, if it is still that one that runs, and says why.
func (s *Session) sentence(statement uint64, why *pgerr.Error) {
	if s.running.Load() != statement {
		return
	}
	s.gang.Verdict.Store(why)
	s.Cancel()
}

// view is what one look has found.
type view struct {
	srv      *Server
	suspects []suspect
	waits    []deadlock.Wait
	nodes    map[process]deadlock.Node // of the suspects' connections
	start    map[process]float64       // of their transactions, seconds since 1970
}

// process is a server process.
type process struct {
	server string
	pid    uint32
}

func (p process) String() string { return fmt.Sprintf("process %d of backend %q", p.pid, p.server) }

func (v *view) node(p process) deadlock.Node {
	if n, ok := v.nodes[p]; ok {
		return n
	}
	return deadlock.Node{Server: p.server, PID: p.pid}
}

// session finds the session of this process that a node stands for: a suspect, or one that holds that one connection.
func (v *view) session(n deadlock.Node) *suspect {
	if n.Session != 0 {
		for i := range v.suspects {
			if v.suspects[i].session.id == n.Session {
				return &v.suspects[i]
			}
		}
		return nil
	}
	var found *suspect
	v.srv.eachSession(func(s *Session) {
		statement := s.running.Load()
		held, _ := s.gang.Held()
		for _, h := range held {
			if statement != 0 && h.PID == n.PID && s.db.serverNameOf(h.Backend) == n.Server {
				found = &suspect{session: s, statement: statement, held: held, wanted: -1}
			}
		}
	})
	return found
}

// nodeOf is the knot's node that stands for the session.
func (v *view) nodeOf(s *suspect, k deadlock.Knot) deadlock.Node {
	if slices.Contains(k.Nodes, s.node()) {
		return s.node()
	}
	for _, h := range s.held {
		if n := (deadlock.Node{Server: s.session.db.serverNameOf(h.Backend), PID: h.PID}); slices.Contains(k.Nodes, n) {
			return n
		}
	}
	return deadlock.Node{}
}

// began is when the session's transaction began; that of a statement by itself began when the first of its servers says.
func (v *view) began(s *suspect) (first float64) {
	if at := s.session.gang.Began.Load(); at != 0 {
		return float64(at) / 1e9
	}
	for _, h := range s.held {
		t := v.start[process{s.session.db.serverNameOf(h.Backend), h.PID}]
		if t != 0 && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}
