package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// longFailover runs every fault against every primary.
var longFailover = flag.Bool("failover.long", false, "TestFailover: every fault, every primary, sync and async")

// failoverSettings are those of a proxy that promotes. Detection is faster than by default, for the test's sake.
const failoverSettings = "failover:\n  mode: promote\n  detect: 1s\n  wait: 20s\ntimeouts:\n  connect: 2s\ntransactions:\n  recovery_interval: 200ms\n"

// resumeLimit is the promise: how long writes stand still when a primary is lost.
const resumeLimit = 10 * time.Second

// answer is what a client was told of a write.
type answer int

const (
	acked answer = iota
	unknown
	failed
)

// answerOf reads an error: what may have run has 08006, 08007 or 40003, or no SQLSTATE as the connection is lost.
func answerOf(err error) answer {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return acked
	case !errors.As(err, &pg):
		return unknown
	case slices.Contains([]string{"08006", "08007", "40003", "57P01"}, pg.Code):
		return unknown
	}
	return failed
}

// load is writers that insert rows with numbers of their own: one row, or two that may be on different backends.
type load struct {
	mu    sync.Mutex
	next  int
	told  map[int]answer
	at    map[int]time.Time // of the answer
	last  time.Time         // of the latest acknowledgement
	gap   time.Duration     // the longest time without one
	fails []error

	readOnly atomic.Bool // a primary may say so

	stop context.CancelFunc
	wg   sync.WaitGroup
}

const pairOffset = 1_000_000

func startLoad(t *testing.T, r *replicated, db string, writers int, params ...string) *load {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &load{told: map[int]answer{}, at: map[int]time.Time{}, stop: stop, last: time.Now()}
	t.Cleanup(stop)
	for range writers {
		l.wg.Go(func() { l.write(ctx, r.dsn(db, params...)) })
	}
	return l
}

func (l *load) write(ctx context.Context, dsn string) {
	var c *pgx.Conn
	defer func() {
		if c != nil {
			_ = c.Close(context.Background())
		}
	}()
	for ctx.Err() == nil {
		if c == nil || c.IsClosed() {
			var err error
			if c, err = pgx.Connect(ctx, dsn); err != nil {
				c = nil
				time.Sleep(20 * time.Millisecond) // the proxy lets nobody in while home is away
				continue
			}
		}
		l.mu.Lock()
		l.next++
		n := l.next
		l.mu.Unlock()
		call, stop := context.WithTimeout(context.Background(), 40*time.Second)
		sql := fmt.Sprintf("insert into w values (%d)", n)
		if n%2 == 0 {
			sql += fmt.Sprintf(", (%d)", n+pairOffset)
		}
		_, err := c.Exec(call, sql)
		stop()
		l.note(n, err)
	}
}

func (l *load) note(n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.told[n], l.at[n] = answerOf(err), now
	if err == nil {
		l.gap = max(l.gap, now.Sub(l.last))
		l.last = now
	} else if pg := new(pgconn.PgError); l.told[n] == failed && !(errors.As(err, &pg) && pg.Code == "25006" && l.readOnly.Load()) {
		l.fails = append(l.fails, err)
	}
}

// resumed waits until writes that began after now are acknowledged on every backend again.
func (l *load) resumed(t *testing.T, limit time.Duration) {
	t.Helper()
	l.mu.Lock()
	from := l.next
	l.mu.Unlock()
	eventually(t, limit, "writes go on", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for k := from + 1; k <= l.next; k++ {
			if o, ok := l.told[k]; ok && o == acked {
				n++
			}
		}
		return n > 40
	})
}

// end stops the writers and compares what they were told with what is there.
func (l *load) end(t *testing.T, r *replicated, db, name string) (lost []int) {
	t.Helper()
	l.stop()
	l.wg.Wait()
	noPrepared(t, r.served, db)
	there := map[int]int{}
	for _, row := range r.text(t, r.conn(t, db, "options=-c pleiad.consistency=strong"), "select k from w") {
		var k int
		fmt.Sscan(row, &k)
		there[k]++
	}
	count := map[answer]int{}
	for n := 1; n <= l.next; n++ {
		o, ended := l.told[n]
		if !ended {
			o = unknown
		}
		count[o]++
		rows := there[n]
		if n%2 == 0 && there[n+pairOffset] != rows {
			t.Errorf("%s: write %d is there by half", name, n)
		}
		switch {
		case rows > 1:
			t.Errorf("%s: write %d is there %d times", name, n, rows)
		case o == acked && rows == 0:
			lost = append(lost, n)
		case o == failed && rows > 0:
			t.Errorf("%s: write %d failed and is there", name, n)
		}
	}
	for i, err := range l.fails {
		if i < 5 {
			t.Errorf("%s: a write failed: %v", name, err)
		}
	}
	t.Logf("%s: %d writes acknowledged, %d in doubt, %d failed, %d lost, longest time without one %d ms",
		name, count[acked], count[unknown], count[failed], len(lost), l.gap.Milliseconds())
	return lost
}

// link is a path to a server's socket that can be cut.
type link struct {
	dir string
	mu  sync.Mutex
	cut bool
	all []net.Conn
}

// newLink makes a socket of the server's name in a directory of its own that leads to it.
func newLink(t *testing.T, s *devcluster.Server) *link {
	t.Helper()
	// Standbys go this way too, when the server is promoted: their user must pass.
	l := &link{dir: filepath.Join(suite.dir, fmt.Sprintf("link-%s-%d", s.Name, databaseNumber.Add(1)))}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf(".s.PGSQL.%d", s.Port)
	listener, err := net.Listen("unix", filepath.Join(l.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(l.dir, name), 0o777); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", filepath.Join(s.SocketDir, name))
			if err != nil {
				from.Close()
				continue
			}
			l.mu.Lock()
			l.all = append(l.all, from, to)
			l.mu.Unlock()
			wg.Go(func() { l.pass(to, from) })
			wg.Go(func() { l.pass(from, to) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.mu.Lock()
		for _, c := range l.all {
			c.Close()
		}
		l.mu.Unlock()
		wg.Wait()
	})
	return l
}

// pass copies bytes; while the link is cut they vanish, and nobody is told.
func (l *link) pass(to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			l.mu.Lock()
			cut := l.cut
			l.mu.Unlock()
			if !cut {
				to.Close()
			}
			return
		}
		l.mu.Lock()
		cut := l.cut
		l.mu.Unlock()
		if cut {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			from.Close()
			return
		}
	}
}

func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// fault is a way to lose a primary; mend makes it reachable again, still in the belief that it is the primary.
type fault struct {
	name string
	lose func(*devcluster.Server) error
	mend func(*devcluster.Server) error
}

func faults(links map[string]*link) []fault {
	return []fault{
		{"kill -9", (*devcluster.Server).Kill, func(s *devcluster.Server) error { return s.Start(context.Background()) }},
		{"SIGSTOP", (*devcluster.Server).Pause, (*devcluster.Server).Resume},
		{"network cut", func(s *devcluster.Server) error { links[s.Name].set(true); return nil },
			func(s *devcluster.Server) error { links[s.Name].set(false); return nil }},
		{"read-only", func(s *devcluster.Server) error { return alterSystem(s, "set default_transaction_read_only = on") },
			func(s *devcluster.Server) error { return alterSystem(s, "reset default_transaction_read_only") }},
	}
}

func alterSystem(s *devcluster.Server, what string) error {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	c, err := pgconn.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	if err := c.Exec(ctx, "alter system "+what).Close(); err != nil {
		return err
	}
	return c.Exec(ctx, "select pg_reload_conf()").Close()
}

// serveFailover starts a proxy that promotes, which reaches every server over a link.
func serveFailover(t *testing.T, settings string) (*replicated, map[string]*link) {
	t.Helper()
	links := map[string]*link{}
	r := serveReplicated(t, failoverSettings+settings)
	raw := r.configText(t)
	for _, s := range r.cluster.Servers() {
		links[s.Name] = newLink(t, s)
		raw = strings.Replace(raw, fmt.Sprintf("host: %s, port: %d}", s.SocketDir, s.Port), fmt.Sprintf("host: %s, port: %d}", links[s.Name].dir, s.Port), 1)
	}
	r.restart(t, raw)
	t.Cleanup(func() { // standbys were led over links, which end now
		for _, backend := range []string{"b1", "b2"} {
			p := r.primary(t, backend)
			for _, s := range r.cluster.Replicas(backend) {
				r.on(t, s, fmt.Sprintf("alter system set primary_conninfo = 'host=%s port=%d user=%s application_name=%s'",
					p.SocketDir, p.Port, r.user, s.Name))
				r.on(t, s, "select pg_reload_conf()")
			}
		}
		r.caughtUp(t)
	})
	return r, links
}

// loseAndMend loses the primary of a backend under load, waits until writes go on, and brings it back as a standby.
func (r *replicated) loseAndMend(t *testing.T, l *load, f fault, backend string) {
	t.Helper()
	old := r.primary(t, backend)
	l.readOnly.Store(f.name == "read-only")
	began := time.Now()
	if err := f.lose(old); err != nil {
		t.Fatal(err)
	}
	l.resumed(t, patience(resumeLimit))
	t.Logf("%s of %s: writes went on after %d ms", f.name, old.Name, time.Since(began).Milliseconds())
	c := r.conn(t, "postgres")
	now := old.Name
	eventually(t, patience(resumeLimit), "another primary is there", func() bool { // a read-only one takes some writes at first
		err := c.QueryRow(t.Context(), "select name from pleiad.backends where backend = $1 and role = 'primary'", backend).Scan(&now)
		return err == nil && now != old.Name
	})
	if err := f.mend(old); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the old primary is seen as outdated", func() bool {
		return r.one(t, c, "select state from pleiad.backends where name = '"+old.Name+"'") == "outdated"
	})
	l.resumed(t, patience(resumeLimit))
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if err := old.Rejoin(ctx, r.cluster.Server(now)); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the old primary is a standby", func() bool {
		return r.one(t, c, "select state from pleiad.backends where name = '"+old.Name+"'") == "up"
	})
}

// TestFailover loses primaries under load. Of what was acknowledged with pleiad.replication = sync nothing is lost,
// and nothing is there twice or by half.
func TestFailover(t *testing.T) {
	r, links := serveFailover(t, "")
	all := faults(links)
	type round struct {
		fault   fault
		backend string
	}
	rounds := []round{{all[0], "b1"}, {all[2], "b2"}, {all[3], "b1"}} // TestLinearizable stops one
	if *longFailover {
		rounds = nil
		for _, f := range all {
			rounds = append(rounds, round{f, "b1"}, round{f, "b2"})
		}
	}
	db := r.newDatabase(t)
	r.exec(t, r.conn(t, db), "create table w (k int primary key) partition by hash (k)")
	l := startLoad(t, r, db, 16, "options=-c pleiad.replication=sync")
	l.resumed(t, 30*time.Second)
	for _, x := range rounds {
		r.loseAndMend(t, l, x.fault, x.backend)
	}
	if lost := l.end(t, r, db, "sync"); len(lost) > 0 {
		t.Errorf("%d acknowledged writes are lost: %v", len(lost), lost[:min(len(lost), 20)])
	}
	if l.gap > patience(resumeLimit) {
		t.Errorf("writes stood still for %s", l.gap)
	}
}

// TestFailoverAsync does the same without waiting for standbys: what is lost was acknowledged just before.
func TestFailoverAsync(t *testing.T) {
	r, links := serveFailover(t, "")
	db := r.newDatabase(t)
	r.exec(t, r.conn(t, db), "create table w (k int primary key) partition by hash (k)")
	list := faults(links)
	if !*longFailover {
		list = list[:1]
	}
	for _, f := range list {
		r.exec(t, r.conn(t, db), "truncate w")
		l := startLoad(t, r, db, 16)
		l.resumed(t, 30*time.Second)
		began := time.Now()
		r.loseAndMend(t, l, f, []string{"b1", "b2"}[rand.IntN(2)])
		for _, n := range l.end(t, r, db, "async, "+f.name) {
			// The standbys were a second behind at most.
			if at := l.at[n]; at.Before(began.Add(-time.Second)) {
				t.Errorf("%s: write %d is lost, acknowledged %s before the fault", f.name, n, began.Sub(at))
			}
		}
	}
}
