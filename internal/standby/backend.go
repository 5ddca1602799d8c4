package standby

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/lsn"
)

// Server is one PostgreSQL server of a backend.
type Server struct {
	Name   string
	Host   string
	Port   int
	Weight int // share of the reads; 0: none while another server can answer
	Watch  *Watch
	// Load is how many connections are lent to sessions.
	Load atomic.Int64

	dial  func(ctx context.Context) (*pgx.Conn, error)
	stuck atomic.Uint64 // the position at which it was waited for in vain; 0: it was not
	// usable is whether reads may go to it as a standby; govern keeps it.
	usable atomic.Bool
}

// Options of a backend.
type Options struct {
	Name     string
	Servers  []ServerOptions // the configured primary first
	Settings func() Settings
	Host     Host
	Log      *slog.Logger
}

// ServerOptions is one server as it is configured.
type ServerOptions struct {
	Name   string
	Host   string
	Port   int
	Weight int
	Dial   func(ctx context.Context) (*pgx.Conn, error) // as the service role, to the maintenance database
}

// Settings are those of the configuration that can change.
type Settings struct {
	Promote bool          // else somebody else promotes
	Detect  time.Duration // after which a primary that does not answer is lost
	Confirm int           // standbys that confirm a synchronous commit
}

// Host is what a backend's failover needs of the proxy.
type Host interface {
	// Sever breaks every connection to the backend's primary.
	Sever(backend string)
	// Busy counts the connections to the primary that sessions have in use.
	Busy(backend string) int
	// Record makes durable which server is the primary.
	Record(ctx context.Context, r Record) error
	// Outdated is called with a server that was the primary and neither follows nor may be used.
	Outdated(ctx context.Context, backend, server, primary string)
}

// Record says which server of a backend is its primary, and on which timeline at least.
type Record struct {
	Backend, Server string
	Timeline        uint32
}

// Backend is a primary and its standbys. Which one is the primary may change; the generation counts that.
type Backend struct {
	Name    string
	Servers []*Server

	settings func() Settings
	host     Host
	log      *slog.Logger
	began    time.Time
	gen      atomic.Uint64
	picks    atomic.Uint32
	changes  atomic.Uint64 // of the primary, but for the first
	sync     syncState

	taking sync.Mutex // held by whoever changes the primary

	mu       sync.Mutex
	primary  int // -1: not known yet
	timeline uint32
	history  lsn.History
	since    time.Time // of the present primary
	gate     chan struct{}
	turned   chan struct{} // closed when the generation changes
	samples  []Sample      // the primary's, oldest first
	record   *Record       // to be made durable
	recordAt time.Time     // of the latest attempt
	trouble  string        // why there is no fit primary, "" when there is one
	outdated map[int]time.Time
}

// lookInterval is how often a server is asked for everything.
const lookInterval = 500 * time.Millisecond

// New makes a backend; Run gives it life. A backend with one server has that for its primary, come what may.
func New(o Options) *Backend {
	b := &Backend{
		Name: o.Name, settings: o.Settings, host: o.Host, log: o.Log, primary: -1, turned: make(chan struct{}),
		began: time.Now(), outdated: map[int]time.Time{},
	}
	b.gen.Store(1)
	for i, s := range o.Servers {
		server := &Server{Name: s.Name, Host: s.Host, Port: s.Port, Weight: s.Weight, dial: s.Dial}
		server.Watch = newWatch(s.Dial, lookInterval, b.patience, func(sample Sample) { b.noteSample(i, sample) })
		b.Servers = append(b.Servers, server)
	}
	if len(b.Servers) == 1 {
		b.primary, b.since = 0, b.began
	} else {
		b.gate = make(chan struct{})
	}
	return b
}

// patience is how long one question may take.
func (b *Backend) patience() time.Duration { return max(b.settings().Detect/2, 200*time.Millisecond) }

// Alone tells whether the backend has no standbys, so that nothing can be read or promoted elsewhere.
func (b *Backend) Alone() bool { return len(b.Servers) == 1 }

// Run watches the servers and keeps the backend with a primary until ctx ends.
func (b *Backend) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, s := range b.Servers {
		all.Go(func() { s.Watch.run(ctx) })
	}
	if !b.Alone() {
		b.govern(ctx)
	}
	all.Wait()
	return nil
}

// Primary is the index of the server that is the primary, -1 while none is known, and the generation in which it is.
func (b *Backend) Primary() (server int, generation uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.primary, b.gen.Load()
}

// Generation counts the changes of the primary; a connection of an earlier one must not be used as the primary's.
func (b *Backend) Generation() uint64 { return b.gen.Load() }

// Changes counts the changes of the primary that this process has made or followed.
func (b *Backend) Changes() uint64 { return b.changes.Load() }

// Timeline is the newest timeline known, and where the earlier ones were left.
func (b *Backend) Timeline() (uint32, lsn.History) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.timeline, b.history
}

// ErrNoPrimary says that a backend has no primary that may be used.
var ErrNoPrimary = errors.New("no server of the backend can be used as its primary")

// Open waits until the primary may be used: it may not while another one takes over.
func (b *Backend) Open(ctx context.Context) error {
	for {
		b.mu.Lock()
		gate, trouble := b.gate, b.trouble
		b.mu.Unlock()
		if gate == nil {
			return nil
		}
		select {
		case <-gate:
		case <-ctx.Done():
			if trouble == "" {
				trouble = "another server takes over"
			}
			return fmt.Errorf("%w: %s", ErrNoPrimary, trouble)
		}
	}
}

// Held tells whether the primary may not be used at the moment.
func (b *Backend) Held() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gate != nil
}

// Turned is closed once the generation is another one than generation.
func (b *Backend) Turned(generation uint64) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gen.Load() != generation {
		done := make(chan struct{})
		close(done)
		return done
	}
	return b.turned
}

// hold closes the gate; release opens it.
func (b *Backend) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate == nil {
		b.gate = make(chan struct{})
	}
}

func (b *Backend) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate != nil && b.primary >= 0 {
		close(b.gate)
		b.gate = nil
	}
}

// turn begins a new generation, in which no connection of an earlier one is the primary's.
func (b *Backend) turn() {
	b.mu.Lock()
	b.gen.Add(1)
	close(b.turned)
	b.turned = make(chan struct{})
	b.samples = nil
	b.mu.Unlock()
	b.host.Sever(b.Name)
}

// adopt makes a server the primary.
func (b *Backend) adopt(server int, timeline uint32, history lsn.History) {
	b.turn()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.Servers {
		s.usable.Store(false)
	}
	if b.primary >= 0 {
		b.changes.Add(1)
	}
	b.primary, b.timeline, b.history, b.since, b.trouble = server, timeline, history, time.Now(), ""
	delete(b.outdated, server)
	b.recordAt = time.Time{}
	b.record = &Record{b.Name, b.Servers[server].Name, timeline}
}

// keptSamples bounds the samples of a primary's log, sampleGap is between two that are kept.
const (
	keptSamples = 256
	sampleGap   = 20 * time.Millisecond
)

// noteSample keeps a primary's samples: they date positions in its log.
func (b *Backend) noteSample(server int, s Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if server != b.primary || s.Recovering || b.Alone() {
		return
	}
	if n := len(b.samples); n > 0 && s.Sent.Sub(b.samples[n-1].Sent) < sampleGap {
		return
	}
	if len(b.samples) == keptSamples {
		b.samples = append(b.samples[:0], b.samples[keptSamples/4:]...)
	}
	b.samples = append(b.samples, s)
}

// Since is the oldest sample of the primary's log that was asked for at t or later: a standby that has replayed it has
// all that was committed before t.
func (b *Backend) Since(t time.Time) (Sample, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.samples {
		if !s.Sent.Before(t) {
			return s, true
		}
	}
	return Sample{}, false
}

// Now asks the primary for the end of its log, unless that was asked for at t or later.
func (b *Backend) Now(ctx context.Context, t time.Time) (lsn.LSN, error) {
	i, gen := b.Primary()
	if i < 0 || b.Held() {
		return 0, ErrNoPrimary
	}
	s, err := b.Servers[i].Watch.After(ctx, t)
	switch {
	case err != nil:
		return 0, err
	case s.Recovering || b.Generation() != gen:
		return 0, ErrNoPrimary
	}
	return s.LSN, nil
}

// staleness is how old a standby's data may be: the time since the primary's log was known to end where the standby has
// got to. known is false when it is further behind than is remembered.
func (b *Backend) staleness(replayed lsn.LSN, now time.Time) (age time.Duration, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.samples) - 1; i >= 0; i-- {
		if b.samples[i].LSN <= replayed {
			return now.Sub(b.samples[i].Sent), true
		}
	}
	return 0, false
}
