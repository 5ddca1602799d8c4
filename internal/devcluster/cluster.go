package devcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Cluster is a set of running servers. Stop, or the end of Start's context, ends them all.
type Cluster struct {
	opts     Options
	log      *slog.Logger
	dir      string // resolved; holds lock, state.json, log/ and servers/
	dataRoot string
	sockets  string
	ownsDir  bool // Dir is temporary and goes with Stop
	acct     account
	bin      binaries
	spawn    *spawner
	lock     *os.File
	servers  []*Server // primaries' and standbys' order by name: b1, b1-r1, b2, …
	ready    time.Duration

	watchers sync.WaitGroup // one for each process ever started
	stopOnce sync.Once
	stopErr  error
	stopped  chan struct{}
	detach   func() bool
}

// Start makes what is missing in o.Dir, starts every server and returns once each primary answers
// and each standby streams. If it fails, nothing is left running. When ctx ends the cluster stops;
// Done tells when that is over.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	began := time.Now()
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("start local servers: %w", err)
	}
	c := &Cluster{opts: o, log: o.Log, stopped: make(chan struct{}), detach: func() bool { return true }}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start local servers: %w", err), c.Stop())
	}
	c.ready = time.Since(began)
	c.log.Info("local_servers_ready", "dir", c.dir, "servers", len(c.servers), "seconds", c.ready.Seconds())
	c.detach = context.AfterFunc(ctx, func() { c.stop() })
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.openDir(); err != nil {
		return err
	}
	st, err := readState(c.statePath())
	if err != nil && !c.opts.Reset {
		return err
	}
	n, err := stopOrphans(c.dataRoot, c.opts.StopTimeout)
	if err != nil {
		return fmt.Errorf("stop servers left by an earlier run: %w", err)
	}
	if n > 0 {
		c.log.Warn("stopped_leftover_servers", "servers", n)
	}
	if c.opts.Reset {
		if err := c.removeData(); err != nil {
			return err
		}
		st = nil
	}
	want := 0
	if st != nil {
		if err := st.fits(c.opts.Backends, c.opts.Replicas); err != nil {
			return err
		}
		want = st.Major
	}
	if c.bin, err = findBinaries(ctx, c.opts.PGBin, want); err != nil {
		return err
	}
	if err := c.layOut(st); err != nil {
		return err
	}
	c.spawn = newSpawner()
	return c.startAll(ctx)
}

// startAll brings up every backend in parallel; within one the primary precedes its standbys.
func (c *Cluster) startAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := parallel(c.backendNames(), func(backend string) error {
		err := c.startBackend(ctx, backend)
		if err != nil {
			cancel() // the others need not finish
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.saveState()
}

func (c *Cluster) startBackend(ctx context.Context, backend string) error {
	primary, standbys, err := c.resolveRoles(backend)
	if err != nil {
		return err
	}
	if err := c.ensurePrimary(ctx, primary); err != nil {
		return err
	}
	if err := c.launchAnyPort(ctx, primary, nil); err != nil {
		return err
	}
	return parallel(standbys, func(s *Server) error {
		if err := primary.makeSlot(ctx, s.slotName()); err != nil {
			return err
		}
		if err := c.ensureStandby(ctx, s, primary); err != nil {
			return err
		}
		if err := c.launchAnyPort(ctx, s, primary); err != nil {
			return err
		}
		return primary.waitStreaming(ctx, s)
	})
}

// parallel runs f on each item at once and joins the errors; cancellations that only follow from
// another item's failure are left out.
func parallel[T any](items []T, f func(T) error) error {
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() { errs[i] = f(item) })
	}
	wg.Wait()
	var real []error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			real = append(real, err)
		}
	}
	if len(real) > 0 {
		return errors.Join(real...)
	}
	return errors.Join(errs...)
}

// Servers returns every server: each backend's own, then its replicas.
func (c *Cluster) Servers() []*Server { return append([]*Server(nil), c.servers...) }

// Server returns the server of that name, or nil.
func (c *Cluster) Server(name string) *Server {
	for _, s := range c.servers {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Primaries returns the servers that are not in recovery, in order of backends.
func (c *Cluster) Primaries() []*Server {
	var ps []*Server
	for _, s := range c.servers {
		if s.Role() == Primary {
			ps = append(ps, s)
		}
	}
	return ps
}

// Replicas returns the standbys of a backend ("b1").
func (c *Cluster) Replicas(backend string) []*Server {
	var rs []*Server
	for _, s := range c.servers {
		if s.Backend == backend && s.Role() == Replica {
			rs = append(rs, s)
		}
	}
	return rs
}

// SuperUser is the name of every server's superuser. It has no password: it comes in through the
// socket directory only.
func (c *Cluster) SuperUser() string { return superuser }

// DSN is a connection URI for the superuser over the server's Unix socket.
func (c *Cluster) DSN(s *Server, database string) string { return s.DSN(database) }

// Dir is where the data is: Options.Dir resolved, or the directory used in its place.
func (c *Cluster) Dir() string { return c.dir }

// BinDir is the directory of PostgreSQL's programs.
func (c *Cluster) BinDir() string { return c.bin.dir }

// Ready is how long Start took.
func (c *Cluster) Ready() time.Duration { return c.ready }

// Done is closed when every server has ended.
func (c *Cluster) Done() <-chan struct{} { return c.stopped }

// Stop ends every server: fast shutdown, after StopTimeout immediate, then SIGKILL. It may be
// called again and from several goroutines; all return when the servers are gone.
func (c *Cluster) Stop() error {
	c.detach()
	return c.stop()
}

func (c *Cluster) stop() error {
	c.stopOnce.Do(func() {
		c.stopErr = c.stopNow()
		close(c.stopped)
	})
	return c.stopErr
}

func (c *Cluster) stopNow() error {
	began := time.Now()
	var errs []error
	if err := parallel(c.servers, func(s *Server) error { return s.stopForGood() }); err != nil {
		errs = append(errs, err)
	}
	c.watchers.Wait()
	if c.spawn != nil {
		c.spawn.close()
	}
	if c.sockets != "" && !within(c.sockets, c.dir) {
		if err := os.RemoveAll(c.sockets); err != nil {
			errs = append(errs, fmt.Errorf("remove socket directory: %w", err))
		}
	}
	if c.ownsDir {
		if err := os.RemoveAll(c.dir); err != nil {
			errs = append(errs, fmt.Errorf("remove temporary data: %w", err))
		}
	}
	if c.lock != nil {
		if err := c.lock.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			errs = append(errs, fmt.Errorf("unlock directory: %w", err))
		}
	}
	if len(c.servers) > 0 {
		c.log.Info("local_servers_stopped", "seconds", time.Since(began).Seconds())
	}
	return errors.Join(errs...)
}

func (c *Cluster) statePath() string { return filepath.Join(c.dir, "state.json") }
