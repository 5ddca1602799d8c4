// Package proxy serves clients: it speaks PostgreSQL's protocol with them, keeps their sessions, and has their
// statements planned by the router and run by the executor.
package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/cancelkey"
	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/plancache"
	"github.com/pleiad/pleiad/internal/standby"
	"github.com/pleiad/pleiad/internal/startup"
)

// Server is one proxy process.
type Server struct {
	cfg  atomic.Pointer[config.Config]
	log  *slog.Logger
	auth atomic.Pointer[auth.Server]
	tls  atomic.Pointer[startup.TLS]

	control *control
	health  *health
	nodes   map[string]*standby.Backend // by name
	rejoin  Rejoin                      // may be nil
	// rejoining are the servers that rejoin works on.
	rejoining sync.Map
	// unreplicated counts commits that were reported as not replicated.
	unreplicated atomic.Uint64
	// repeated counts reads that were run again on the primaries.
	repeated atomic.Uint64
	plans    *plancache.Cache[cachedPlan]
	cancels  *cancelkey.Registry
	limiter  *startup.Limiter
	watcher  *watcher

	scopes   atomic.Uint64
	sessions atomic.Uint64 // ids given out
	clients  atomic.Int64  // sessions alive
	timed    atomic.Bool   // timeouts.query is set
	began    time.Time
	gids     atomic.Uint64
	inFlight sync.Map // gid → *Session that is committing it

	deadlocks *deadlocks

	clusterPrefix string // of the gids of every proxy of this cluster
	gidPrefix     string // of this process's

	applying   sync.Mutex
	mockSecret []byte // the catalog's, once read; nil before

	mu        sync.Mutex
	databases map[string]*Database
	opening   map[string]*opening
	living    map[*Session]struct{}

	run context.Context // ends with the server
	bg  sync.WaitGroup  // what run's end stops
}

type opening struct {
	done chan struct{}
	db   *Database
	err  error
}

// New checks what can be checked without a network.
func New(cfg *config.Config, log *slog.Logger) (*Server, error) {
	var instance [8]byte
	if _, err := rand.Read(instance[:]); err != nil {
		return nil, fmt.Errorf("make instance id: %w", err)
	}
	srv := &Server{
		log: log, plans: plancache.New[cachedPlan](int64(cfg.Limits.PlanCacheBytes)), cancels: cancelkey.New(),
		databases: map[string]*Database{}, opening: map[string]*opening{}, living: map[*Session]struct{}{},
		clusterPrefix: "pleiad_" + cfg.Cluster + "_",
	}
	srv.gidPrefix = srv.clusterPrefix + hex.EncodeToString(instance[:]) + "_"
	srv.control = &control{config: srv.config, node: func(name string) *standby.Backend { return srv.nodes[name] }}
	srv.deadlocks = newDeadlocks(srv)
	srv.limiter = startup.NewLimiter(cfg.Auth.MaxUnauthenticated, cfg.Auth.MaxUnauthenticatedPerAddress)
	if err := srv.apply(cfg); err != nil {
		return nil, err
	}
	srv.newStandbys(cfg)
	srv.health = &health{srv: srv}
	return srv, nil
}

// apply makes cfg the configuration in force.
func (srv *Server) apply(cfg *config.Config) error {
	srv.applying.Lock()
	defer srv.applying.Unlock()
	a, err := srv.newAuth(cfg)
	if err != nil {
		return err
	}
	var t *startup.TLS
	if cfg.TLS.Cert != "" {
		if t, err = startup.LoadTLS(cfg.TLS.Cert, cfg.TLS.Key, cfg.TLS.ClientCA); err != nil {
			return err
		}
	}
	srv.auth.Store(a)
	srv.tls.Store(t)
	srv.limiter.SetLimits(cfg.Auth.MaxUnauthenticated, cfg.Auth.MaxUnauthenticatedPerAddress)
	srv.timed.Store(cfg.Timeouts.Query.D() > 0)
	srv.cfg.Store(cfg)
	return nil
}

// newAuth makes the login's server side. Until the catalog's secret is known it does with one that is equal on every proxy
// too, but not secret: who knows it can tell roles that do not exist from those that do.
func (srv *Server) newAuth(cfg *config.Config) (*auth.Server, error) {
	secret := srv.mockSecret
	if secret == nil {
		secret = []byte("pleiad mock secret of cluster " + cfg.Cluster)
	}
	return auth.NewServer(auth.Options{Method: auth.Method(cfg.Auth.Method), Lookup: srv.lookupRole, MockSecret: secret})
}

// Reload makes what can be changed while running of next the configuration; restart lists what could not.
func (srv *Server) Reload(next *config.Config) (applied, restart []config.Change, err error) {
	merged, applied, restart, err := config.Reload(srv.config(), next)
	if err != nil {
		return nil, nil, err
	}
	return applied, restart, srv.apply(merged)
}

func (srv *Server) config() *config.Config { return srv.cfg.Load() }

// Config is the configuration in force. Nobody changes it.
func (srv *Server) Config() *config.Config { return srv.config() }

// Run serves until ctx ends; then it lets sessions reach a boundary, for as long as timeouts.shutdown, and returns
// once all of them are gone. ready is called with the listening addresses.
func (srv *Server) Run(ctx context.Context, ready func(addrs []net.Addr)) error {
	listeners, err := srv.listen()
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	srv.run = run
	srv.began = time.Now()
	if srv.watcher, err = newWatcher(); err != nil {
		return err
	}
	srv.bg.Go(func() { srv.watcher.run(run) })
	srv.runStandbys(run)
	srv.bg.Go(func() { srv.health.run(run) })
	srv.bg.Go(func() { srv.watchTimeouts(run) })
	srv.bg.Go(func() { srv.deadlocks.run(run) })
	srv.warmUp(run)
	srv.bg.Go(func() { srv.survey(run) })
	var accepting sync.WaitGroup
	addrs := make([]net.Addr, 0, len(listeners))
	for _, l := range listeners {
		addrs = append(addrs, l.Addr())
		accepting.Go(func() { srv.accept(run, l) })
	}
	ready(addrs)
	<-ctx.Done()
	for _, l := range listeners {
		_ = l.Close()
	}
	accepting.Wait()
	srv.drain()
	stop()
	srv.eachDatabase(func(db *Database) { _ = db.pools.Run(run) }) // run has ended: closes what is free
	srv.bg.Wait()
	srv.control.close()
	return nil
}

func (srv *Server) listen() ([]net.Listener, error) {
	cfg := srv.config()
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	out := []net.Listener{l}
	if cfg.ListenUnix != "" {
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		path := filepath.Join(cfg.ListenUnix, ".s.PGSQL."+port)
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			_ = l.Close()
			return nil, fmt.Errorf("listen for clients: socket %s is in use", path)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			_ = l.Close()
			return nil, fmt.Errorf("listen for clients: %w", err)
		}
		u, err := net.Listen("unix", path)
		if err != nil {
			_ = l.Close()
			return nil, fmt.Errorf("listen for clients: %w", err)
		}
		out = append(out, u)
	}
	return out, nil
}

// accept takes clients until the listener is closed.
func (srv *Server) accept(ctx context.Context, l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, most likely: wait for some to be closed rather than spin.
			srv.log.Warn("accept_failed", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		srv.bg.Go(func() { srv.serve(ctx, nc) })
	}
}

// database returns a database that is ready, opening it for the first client that asks.
func (srv *Server) database(ctx context.Context, name string) (*Database, error) {
	srv.mu.Lock()
	if db := srv.databases[name]; db != nil {
		srv.mu.Unlock()
		return db, nil
	}
	o := srv.opening[name]
	if o == nil {
		o = &opening{done: make(chan struct{})}
		srv.opening[name] = o
		srv.bg.Go(func() { srv.open(name, o) })
	}
	srv.mu.Unlock()
	select {
	case <-o.done:
		return o.db, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (srv *Server) open(name string, o *opening) {
	ctx, stop := srv.controlContext()
	defer stop()
	db, err := srv.openDatabase(ctx, name)
	if err == nil {
		db.life, db.stop = context.WithCancel(srv.run)
	}
	srv.mu.Lock()
	delete(srv.opening, name)
	if err == nil {
		srv.databases[name] = db
	}
	srv.mu.Unlock()
	o.db, o.err = db, err
	close(o.done)
	if err != nil {
		return
	}
	srv.bg.Go(func() { _ = db.pools.Run(db.life) })
	srv.bg.Go(func() { db.run(db.life) })
	srv.bg.Go(func() { db.recover(db.life) })
}

func (srv *Server) eachDatabase(f func(*Database)) {
	srv.mu.Lock()
	all := make([]*Database, 0, len(srv.databases))
	for _, db := range srv.databases {
		all = append(all, db)
	}
	srv.mu.Unlock()
	for _, db := range all {
		f(db)
	}
}

// findRole finds a role on home, or, since roles are the same everywhere, on any backend that answers.
func (srv *Server) findRole(ctx context.Context, user string) (auth.Role, error) {
	cfg := srv.config()
	names := []string{cfg.Home}
	for _, b := range cfg.Backends {
		if b.Name != cfg.Home {
			names = append(names, b.Name)
		}
	}
	var first error
	for _, name := range names {
		var role auth.Role
		err := srv.control.read(ctx, name, maintenanceDB, func(conn *pgx.Conn) error {
			var err error
			role, err = auth.ScanRole(conn.QueryRow(ctx, auth.LookupSQL, user).Scan)
			return err
		})
		switch {
		case err == nil:
			return role, nil
		case errors.Is(err, pgx.ErrNoRows):
			return auth.Role{}, auth.ErrNoRole
		case first == nil:
			first = err
		}
	}
	return auth.Role{}, first
}

func (srv *Server) controlContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(srv.run, controlTimeout)
}

func (srv *Server) cancelContext() (context.Context, context.CancelFunc) {
	limit := srv.config().Timeouts.Cancel.D()
	if limit <= 0 {
		limit = controlTimeout
	}
	return context.WithTimeout(srv.run, limit)
}

// owns tells whether gid was made by this process.
func (srv *Server) owns(gid string) bool { return strings.HasPrefix(gid, srv.gidPrefix) }
