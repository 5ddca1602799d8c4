package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/catalog"
	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/standby"
)

// A connection's place is a number: that of a backend for its primary, and for one of its servers, whatever that is,
// the same with the server's index above replicaShift. A catalog has fewer backends than that.
const replicaShift = 16

// placeOf is the place of a backend's server for reads.
func placeOf(backend, server int) int { return backend | (server+1)<<replicaShift }

// splitPlace gives the backend, and the index of the server, -1 for the primary.
func splitPlace(place int) (backend, server int) {
	return place & (1<<replicaShift - 1), place>>replicaShift - 1
}

// newStandbys makes what looks after each backend's servers.
func (srv *Server) newStandbys(cfg *config.Config) {
	srv.nodes = map[string]*standby.Backend{}
	for _, b := range cfg.Backends {
		o := standby.Options{Name: b.Name, Settings: srv.failoverSettings, Host: srv, Log: srv.log}
		for _, s := range append([]config.Server{b.Primary}, b.Replicas...) {
			o.Servers = append(o.Servers, standby.ServerOptions{
				Name: s.Name, Host: s.Host, Port: s.Port, Weight: s.ReadWeight,
				Dial: func(ctx context.Context) (*pgx.Conn, error) { return srv.dialServer(ctx, b, s) },
			})
		}
		srv.nodes[b.Name] = standby.New(o)
	}
}

func (srv *Server) failoverSettings() standby.Settings {
	cfg := srv.config()
	return standby.Settings{
		Promote: cfg.Failover.Mode == config.FailoverPromote, Detect: cfg.Failover.Detect.D(), Confirm: cfg.Replication.Confirm,
	}
}

// dialServer opens a connection of pleiad's own to one server.
func (srv *Server) dialServer(ctx context.Context, b config.Backend, s config.Server) (*pgx.Conn, error) {
	password, err := b.Credentials.Password()
	if err != nil && b.Credentials.Configured() {
		return nil, fmt.Errorf("service role of backend %q: %w", b.Name, err)
	}
	c, err := pgx.ParseConfig(s.ConnString(b.Credentials.User, password, maintenanceDB))
	if err != nil {
		return nil, fmt.Errorf("service connection to server %q: %w", s.Name, err)
	}
	c.ConnectTimeout = srv.config().Timeouts.Connect.D()
	c.RuntimeParams["search_path"] = auth.LookupSearchPath
	c.RuntimeParams["application_name"] = "pleiad"
	// What it writes must not wait for the standbys that it looks after.
	c.RuntimeParams["synchronous_commit"] = "local"
	return pgx.ConnectConfig(ctx, c)
}

// configured finds a server of a backend in the configuration, by its index there.
func configured(b config.Backend, server int) config.Server {
	if server == 0 {
		return b.Primary
	}
	return b.Replicas[server-1]
}

// runStandbys looks after every backend until ctx ends.
func (srv *Server) runStandbys(ctx context.Context) {
	srv.learnPrimaries(ctx)
	for _, n := range srv.nodes {
		srv.bg.Go(func() { _ = n.Run(ctx) })
	}
}

// learnPrimaries reads the records of earlier failovers from every server that answers, and tells each backend its
// latest. A server that was the primary once may be back before the one that took over from it.
func (srv *Server) learnPrimaries(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	var (
		mu     sync.Mutex
		latest = map[string]catalog.Primary{}
		wg     sync.WaitGroup
	)
	for _, b := range srv.config().Backends {
		for i := range 1 + len(b.Replicas) {
			if !srv.replicated() {
				continue
			}
			wg.Go(func() {
				conn, err := srv.dialServer(ctx, b, configured(b, i))
				if err != nil {
					return // it has nothing to say now
				}
				defer func() { _ = conn.Close(ctx) }()
				list, err := catalog.Primaries(ctx, conn)
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for _, p := range list {
					if p.Timeline > latest[p.Backend].Timeline {
						latest[p.Backend] = p
					}
				}
			})
		}
	}
	wg.Wait()
	for name, p := range latest {
		if n := srv.nodes[name]; n != nil && !n.Alone() {
			n.Known(standby.Record{Backend: name, Server: p.Server, Timeline: uint32(p.Timeline)})
		}
	}
}

// replicated tells whether any backend has standbys.
func (srv *Server) replicated() bool {
	for _, n := range srv.nodes {
		if !n.Alone() {
			return true
		}
	}
	return false
}

// Record implements standby.Host: it writes to every backend, of which home's must succeed.
func (srv *Server) Record(ctx context.Context, r standby.Record) error {
	cfg := srv.config()
	errs := make([]error, len(cfg.Backends))
	var wg sync.WaitGroup
	for i, b := range cfg.Backends {
		wg.Go(func() {
			primary, _ := srv.nodes[b.Name].Primary()
			if primary < 0 {
				errs[i] = standby.ErrNoPrimary
				return
			}
			conn, err := srv.dialServer(ctx, b, configured(b, primary))
			if err != nil {
				errs[i] = err
				return
			}
			defer func() { _ = conn.Close(ctx) }()
			errs[i] = catalog.PutPrimary(ctx, conn, r.Backend, r.Server, r.Timeline)
		})
	}
	wg.Wait()
	for i, b := range cfg.Backends {
		if b.Name == cfg.Home {
			return errs[i]
		}
	}
	return nil
}

// Sever implements standby.Host.
func (srv *Server) Sever(name string) {
	srv.eachDatabase(func(db *Database) {
		for i, t := range db.targets {
			if t.Name == name {
				db.pools.Sever(i)
				db.hub.sever(i)
			}
		}
	})
	srv.control.sever(name)
}

// Busy implements standby.Host.
func (srv *Server) Busy(name string) int {
	n := srv.nodes[name]
	primary, _ := n.Primary()
	if primary < 0 {
		return 0
	}
	return int(n.Servers[primary].Load.Load())
}

// Rejoin is what makes a server that was a primary follow the one that took over from it. Only whoever runs the
// servers can.
type Rejoin func(ctx context.Context, backend, server, primary string) error

// SetRejoin says how outdated primaries follow again; it is called before Run.
func (srv *Server) SetRejoin(f Rejoin) { srv.rejoin = f }

// Outdated implements standby.Host.
func (srv *Server) Outdated(ctx context.Context, backend, server, primary string) {
	if srv.rejoin == nil {
		return
	}
	if _, busy := srv.rejoining.LoadOrStore(server, struct{}{}); busy {
		return
	}
	srv.bg.Go(func() {
		defer srv.rejoining.Delete(server)
		err := srv.rejoin(ctx, backend, server, primary)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			srv.log.Warn("server_not_rejoined", "backend", backend, "server", server, "error", err)
		default:
			srv.log.Info("server_rejoined", "backend", backend, "server", server, "primary", primary)
		}
	})
}

// errNoTarget says that a place leads nowhere.
var errNoTarget = errors.New("the configuration does not name it")

// targetOf is how a place is reached now.
func (db *Database) targetOf(place int) (backend.Target, error) {
	b, server := splitPlace(place)
	name := db.targets[b].Name
	n := db.srv.nodes[name]
	if n == nil {
		return backend.Target{}, errNoTarget
	}
	primary, generation := n.Primary()
	if server < 0 {
		server = primary
	}
	if server < 0 {
		return backend.Target{}, standby.ErrNoPrimary
	}
	t, err := db.srv.serverTarget(name, server)
	if err != nil {
		return backend.Target{}, err
	}
	t.Index, t.Load = place, &n.Servers[server].Load
	if !n.Alone() {
		t.Generation = generation
	}
	return t, nil
}

// serverTarget is how one server of a backend is reached.
func (srv *Server) serverTarget(name string, server int) (backend.Target, error) {
	cfg := srv.config()
	b, ok := cfg.Backend(name)
	if !ok {
		return backend.Target{}, errNoTarget
	}
	s := configured(b, server)
	t := backend.Target{Name: name, Server: s.Name, Timeout: cfg.Timeouts.Connect.D(), KeepAlive: cfg.Timeouts.TCPKeepalive.D()}
	t.Network, t.Address = s.Address()
	var err error
	t.TLS, err = auth.BuildTLS(auth.SSLMode(s.TLS.Mode), s.Host, s.TLS.RootCert, s.TLS.Cert, s.TLS.Key)
	return t, err
}

// generationOf is that of the backend at a place.
func (db *Database) generationOf(place int) uint64 {
	n := db.node(place)
	if n == nil || n.Alone() {
		return 0
	}
	return n.Generation()
}

// node is the backend at a place; nil where the configuration does not name it.
func (db *Database) node(place int) *standby.Backend {
	b, _ := splitPlace(place)
	return db.nodes[b]
}
