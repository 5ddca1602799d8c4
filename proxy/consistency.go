package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/lsn"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/standby"
	"github.com/pleiad/pleiad/router"
)

// reads is what decides where a session's reads go: its level, and what it has seen of each backend. What was seen is
// put into positions of the log only when a read has to know: that the primary was used until some moment is enough to
// ask for the end of its log at that moment or later.
type reads struct {
	fresh        bool           // the settings below are those in force
	from         *config.Config // where defaults came from
	level        config.Consistency
	maxStaleness time.Duration
	sync         bool

	touched bool       // a statement since the latest settle used a backend with standbys
	nodes   []nodeSeen // by backend; nil until one with standbys is used
}

// nodeSeen is what a session has seen of one backend.
type nodeSeen struct {
	generation uint64
	seen       lsn.Position // all that was seen is in the log up to here, but for what follows
	replica    int          // the index of the server that reads went to last, plus one; 0: none

	primaryUsed, replicaUsed bool      // since the latest settle
	primaryAt                time.Time // seen of the primary until here, and not yet in seen; zero: nothing
	replicaAt                time.Time // seen of replica until here
	fell                     bool      // a read at consistent_prefix went to the primary
}

// settle dates what the statements that have just ended saw.
func (r *reads) settle(now time.Time) {
	r.touched = false
	for i := range r.nodes {
		n := &r.nodes[i]
		if n.primaryUsed {
			n.primaryUsed, n.primaryAt = false, now
		}
		if n.replicaUsed {
			n.replicaUsed, n.replicaAt = false, now
		}
	}
}

// noteUse notes that a statement runs on m.
func (s *Session) noteUse(m *executor.Member) {
	if !s.repeat.off {
		s.repeat.places = append(s.repeat.places, m.Backend)
	}
	n := s.db.node(m.Backend)
	if n == nil || n.Alone() {
		return
	}
	b, server := splitPlace(m.Backend)
	seen := s.seen(b)
	s.reads.touched = true
	if server < 0 {
		seen.primaryUsed = true
		return
	}
	seen.replicaUsed = true
	seen.replica = server + 1
}

func (s *Session) seen(b int) *nodeSeen {
	if s.reads.nodes == nil {
		s.reads.nodes = make([]nodeSeen, len(s.db.targets))
	}
	return &s.reads.nodes[b]
}

// place tells where a statement for backend b runs: on its primary, or on a standby that may answer it.
func (s *Session) place(t *router.Template, b int) int {
	if !t.ReadOnly || s.repeat.again || b >= len(s.db.nodes) {
		return b
	}
	n := s.db.nodes[b]
	if n == nil || n.Alone() {
		return b
	}
	r := s.readSettings()
	if r.level == config.ConsistencyStrong || len(s.planner.temp) > 0 {
		return b
	}
	if s.gang.Txn.State != executor.TxnNone {
		return s.placeInTransaction(n, b)
	}
	if s.batch.executed || !readCommitted(s.isolation("")) {
		return b
	}
	return s.choose(n, b)
}

// placeInTransaction: what is written in a transaction can be read on the primary alone. One that only reads stays, on
// each backend, where it has begun.
func (s *Session) placeInTransaction(n *standby.Backend, b int) int {
	t := &s.gang.Txn
	if !t.ReadOnly || t.State != executor.TxnExplicit || !readCommitted(t.Isolation) {
		return b
	}
	for _, m := range s.gang.Members() {
		if at, _ := splitPlace(m.Backend); at == b && m.Began {
			return m.Backend
		}
	}
	return s.choose(n, b)
}

// readCommitted tells whether each statement has a snapshot of its own: others are taken on the primaries.
func readCommitted(isolation string) bool {
	return isolation == "" || isolation == "read committed" || isolation == "read uncommitted"
}

// choose picks the server for a read, and waits for it as long as reads.wait says.
func (s *Session) choose(n *standby.Backend, b int) int {
	wait := readWait{s: s}
	defer wait.end()
	seen := s.seen(b)
	if !s.turned(n, seen) {
		return b
	}
	server := n.Pick()
	if last := seen.replica - 1; last >= 0 && s.reads.level != config.ConsistencyEventual && n.Usable(last) {
		server = last
	}
	need, ok := s.needed(&wait, n, b, seen, server)
	if primary, _ := n.Primary(); ok && server >= 0 && server != primary && (n.Has(server, need) || n.Reached(wait.context(), server, need)) {
		return placeOf(b, server)
	}
	seen.fell = seen.fell || s.reads.level == config.ConsistencyPrefix
	return b
}

// readWait is the time that a read may wait. Most do not wait, and make no context.
type readWait struct {
	s    *Session
	ctx  context.Context
	stop context.CancelFunc
}

func (w *readWait) context() context.Context {
	if w.ctx == nil {
		w.ctx, w.stop = context.WithTimeout(w.s.ctx, w.s.srv.config().Reads.Wait.D())
	}
	return w.ctx
}

func (w *readWait) end() {
	if w.stop != nil {
		w.stop()
	}
}

// covers is a position up to which the log has all that was committed before t.
func (w *readWait) covers(n *standby.Backend, t time.Time) (lsn.LSN, error) {
	if s, ok := n.Since(t); ok {
		return s.LSN, nil
	}
	return n.Now(w.context(), t)
}

// needed is how far a server must have got for a read; false where that cannot be told in time.
func (s *Session) needed(wait *readWait, n *standby.Backend, b int, seen *nodeSeen, server int) (lsn.LSN, bool) {
	need, err := s.db.floors[b].reach(wait, n)
	if err != nil {
		return 0, false
	}
	level := s.reads.level
	if level == config.ConsistencyEventual {
		return need, true
	}
	if (level != config.ConsistencyPrefix || seen.fell) && !resolvePrimary(wait, n, seen) {
		return 0, false
	}
	if server != seen.replica-1 && !resolveReplica(wait, n, seen) {
		return 0, false
	}
	need = max(need, seen.seen.LSN)
	if level == config.ConsistencyBounded {
		now := time.Now()
		at, err := wait.covers(n, now.Add(-s.reads.maxStaleness))
		if err != nil {
			return 0, false
		}
		need = max(need, at)
	}
	return need, true
}

// resolvePrimary puts what was seen of the primary into seen.
func resolvePrimary(wait *readWait, n *standby.Backend, seen *nodeSeen) bool {
	if seen.primaryAt.IsZero() {
		return true
	}
	at, err := wait.covers(n, seen.primaryAt)
	if err != nil {
		return false
	}
	seen.raise(n, at)
	seen.primaryAt, seen.fell = time.Time{}, false
	return true
}

// resolveReplica does the same for the replica that was used last.
func resolveReplica(wait *readWait, n *standby.Backend, seen *nodeSeen) bool {
	if seen.replica == 0 || seen.replicaAt.IsZero() {
		return true
	}
	at, err := n.Servers[seen.replica-1].Watch.After(wait.context(), seen.replicaAt)
	if err != nil || !at.Recovering {
		return false
	}
	seen.raise(n, at.LSN)
	seen.replicaAt = time.Time{}
	return true
}

func (seen *nodeSeen) raise(n *standby.Backend, to lsn.LSN) {
	seen.seen.LSN = max(seen.seen.LSN, to)
	seen.seen.Timeline, _ = n.Timeline()
}

// turned brings what was seen up to date when another server has become the primary. False: the read belongs on the
// primary, as the session has seen a timeline that this process does not know yet.
func (s *Session) turned(n *standby.Backend, seen *nodeSeen) bool {
	generation := n.Generation()
	if seen.generation == generation {
		return true
	}
	timeline, history := n.Timeline()
	if seen.seen.Timeline != 0 {
		holds, known := history.Holds(timeline, seen.seen)
		if !known && seen.seen.Timeline > timeline {
			return false
		}
		if !holds {
			s.warnOf(pgerr.New(pgerr.Warning, "backend %q has lost writes that this session has seen", n.Name).
				WithDetail("A failover gave up its log behind %s.", seen.seen))
			seen.seen = lsn.Position{}
		}
	}
	// The new primary has what the replicas had that this session may have read.
	if seen.replica > 0 || !seen.primaryAt.IsZero() {
		seen.primaryAt = time.Now()
	}
	seen.replica, seen.replicaAt = 0, time.Time{}
	seen.generation = generation
	return true
}

// join is Gang.Join for a statement of backend b, which a standby may answer. One that cannot be reached has been sent
// nothing: the primary answers.
func (s *Session) join(t *router.Template, b int) (*executor.Member, error) {
	return s.joinPlace(s.place(t, b), b)
}

func (s *Session) joinPlace(place, b int) (*executor.Member, error) {
	m, err := s.member(place)
	if err == nil || place == b || s.ctx.Err() != nil {
		return m, err
	}
	if n := s.db.node(place); n != nil {
		_, server := splitPlace(place)
		n.Failed(server)
	}
	if broken := s.gang.Member(place); broken != nil {
		s.gang.Drop(broken)
	}
	return s.member(b)
}

// floor is the least that a standby must have replayed to be read at all: the schema and the placement that statements
// are planned from.
type floor struct {
	mu         sync.Mutex
	since      time.Time // the schema was read from the primary before
	generation uint64
	at         lsn.LSN
	known      bool
}

// raiseFloors is called when a schema was read. Where the logs end now is asked at once: the later, the further is it
// for the standbys.
func (db *Database) raiseFloors() {
	now := time.Now()
	for i := range db.floors {
		f := &db.floors[i]
		f.mu.Lock()
		f.since, f.known = now, false
		f.mu.Unlock()
		if n := db.nodes[i]; n != nil && !n.Alone() {
			db.srv.bg.Go(func() {
				ctx, stop := db.srv.controlContext()
				defer stop()
				_, _ = f.reach(&readWait{ctx: ctx}, n) // who reads asks again
			})
		}
	}
}

// reach gives the position.
func (f *floor) reach(wait *readWait, n *standby.Backend) (lsn.LSN, error) {
	generation := n.Generation()
	f.mu.Lock()
	since, at, known := f.since, f.at, f.known && f.generation == generation
	f.mu.Unlock()
	if known {
		return at, nil
	}
	at, err := wait.covers(n, since)
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since.Equal(since) {
		f.at, f.generation, f.known = at, generation, true
	}
	return at, nil
}
