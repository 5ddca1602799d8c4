package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/catalog"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/standby"
	"github.com/pleiad/pleiad/router"
)

// Database is one database of the cluster: its catalog as last read, and its server connections. A backend's index
// is its id in this database's catalog.
type Database struct {
	srv  *Server
	name string
	id   uint64
	home int

	// targets is how each backend's configured primary is reached, by index; a backend that the configuration no
	// longer names has an empty one. Connections go where targetOf says.
	targets []backend.Target
	nodes   []*standby.Backend // by backend; nil where the configuration does not name it
	pools   *backend.Pools
	// replicated is true if any backend has standbys.
	replicated bool

	schema  atomic.Pointer[router.Schema]
	jobs    atomic.Bool                        // the rebalancer has something to do
	floors  []floor                            // by backend
	stale   atomic.Bool                        // the schema has changed and could not be read anew
	derived []atomic.Pointer[executor.Derived] // by backend
	oids    []atomic.Pointer[executor.OIDs]    // by backend

	refreshing sync.Mutex
	gate       *executor.Gate    // between distributed commits and snapshots over several backends
	barrier    *executor.Barrier // between statements and shards that change their backend
	collate    collations
	hub        hub
	life       context.Context // ends when the database is dropped or the server stops

	mu        sync.Mutex
	scopes    map[scopeKey]uint64
	scopesFor *router.Schema
	paths     map[pathKey]string
	creds     map[string]auth.Credentials // by role, from its last login
	defaults  map[string]defaults         // by role
	installed []bool                      // by backend
	doubts    doubts

	here    *pgx.Conn          // shows home that this proxy is there; nil when it is lost; run's, once that runs
	stop    context.CancelFunc // ends what runs in the background for it
	forgets chan string        // gids whose commit records may go
}

type scopeKey struct{ user, path string }

type pathKey struct{ user, role, set string }

// openDatabase makes the database ready: the catalog is installed on every backend that can be reached, and read.
func (srv *Server) openDatabase(ctx context.Context, name string) (*Database, error) {
	db := &Database{
		srv: srv, name: name, id: srv.scopes.Add(1),
		barrier: executor.NewBarrier(),
		paths:   map[pathKey]string{}, creds: map[string]auth.Credentials{}, forgets: make(chan string, 1024),
	}
	db.replicated = srv.replicated()
	db.collate.db = db
	db.hub.db = db
	if err := db.install(ctx); err != nil {
		return nil, err
	}
	if err := db.load(ctx); err != nil {
		return nil, err
	}
	db.gate = executor.NewGate(len(db.targets))
	db.pools = &backend.Pools{
		Dial: db.dial, Cancel: db.cancel, Limits: db.limits,
		Name: db.nameOf, Generation: db.generationOf,
		MinIdle: srv.config().Pool.MinIdle,
	}
	return db, nil
}

// install puts the catalog on home and then on the others, and lists the backends in it.
func (db *Database) install(ctx context.Context) error {
	cfg := db.srv.config()
	if err := db.installOn(ctx, cfg.Home, catalog.RoleHome); err != nil {
		return err
	}
	var list []catalog.Backend
	err := db.srv.control.with(ctx, cfg.Home, db.name, func(conn *pgx.Conn) error {
		var given []catalog.Backend
		for _, b := range cfg.Backends {
			given = append(given, catalog.Backend{Name: b.Name, Home: b.Name == cfg.Home, Weight: float64(b.Weight)})
		}
		var err error
		if list, err = catalog.PutBackends(ctx, conn, given); err != nil {
			return err
		}
		return catalog.PutServers(ctx, conn, db.srv.health.servers())
	})
	if err != nil {
		return err
	}
	db.targets = make([]backend.Target, len(list))
	db.nodes = make([]*standby.Backend, len(list))
	db.floors = make([]floor, len(list))
	db.installed = make([]bool, len(list))
	db.oids = make([]atomic.Pointer[executor.OIDs], len(list))
	db.derived = make([]atomic.Pointer[executor.Derived], len(list))
	for i, b := range list {
		if b.ID != i {
			return fmt.Errorf("catalog of database %q: backend ids have a gap at %d", db.name, i)
		}
		if b.Home {
			db.home = i
			db.installed[i] = true
		}
		db.targets[i] = backend.Target{Index: i, Name: b.Name}
		db.nodes[i] = db.srv.nodes[b.Name]
		if t, err := db.srv.serverTarget(b.Name, 0); err == nil {
			t.Index = i
			db.targets[i] = t
		} else if !errors.Is(err, errNoTarget) {
			db.srv.log.Error("backend_tls", "backend", b.Name, "error", err)
		}
	}
	var wg sync.WaitGroup
	for i := range db.targets {
		if i == db.home || db.targets[i].Address == "" || list[i].State == "absent" {
			continue
		}
		wg.Go(func() {
			if err := db.installOther(ctx, i); err != nil {
				db.srv.log.Warn("catalog_not_installed", "database", db.name, "backend", db.targets[i].Name, "error", err)
			}
		})
	}
	wg.Wait()
	return nil
}

func (db *Database) installOn(ctx context.Context, name string, role catalog.Role) error {
	return db.srv.control.with(ctx, name, db.name, func(conn *pgx.Conn) error {
		return catalog.Install(ctx, conn, role)
	})
}

// installOther installs the catalog on a backend that is not home, unless that is done.
func (db *Database) installOther(ctx context.Context, b int) error {
	db.mu.Lock()
	done := db.installed[b]
	db.mu.Unlock()
	if done {
		return nil
	}
	if err := db.installOn(ctx, db.targets[b].Name, catalog.RoleOther); err != nil {
		return err
	}
	db.mu.Lock()
	db.installed[b] = true
	db.mu.Unlock()
	return nil
}

// absent tells whether a backend has nothing of the database, and present whether it can be asked.
func (db *Database) absent(b int) bool {
	s := db.schema.Load()
	return s != nil && b < s.Map.NumBackends() && s.Map.Backend(uint16(b)).Absent
}

func (db *Database) present(b int) bool { return db.targets[b].Address != "" && !db.absent(b) }

// load reads the schema and makes it the current one.
func (db *Database) load(ctx context.Context) error {
	var schema *router.Schema
	err := db.srv.control.read(ctx, db.srv.config().Home, db.name, func(conn *pgx.Conn) error {
		var err error
		schema, err = catalog.LoadSnapshot(ctx, textQuerier{conn})
		return err
	})
	if err != nil {
		return err
	}
	if err := db.settleSwitches(ctx); err != nil {
		db.stale.Store(true)
		return err
	}
	for i := range db.oids {
		db.oids[i].Store(nil)
		db.derived[i].Store(nil)
	}
	before := db.schema.Load()
	db.schema.Store(schema)
	db.stale.Store(false)
	db.mu.Lock()
	clear(db.defaults)
	db.mu.Unlock()
	if before == nil || before.Epoch != schema.Epoch {
		db.raiseFloors()
	}
	return nil
}

type textQuerier struct{ conn *pgx.Conn }

func (q textQuerier) QueryText(ctx context.Context, sql string) ([]byte, error) {
	var text string
	err := q.conn.QueryRow(ctx, sql).Scan(&text)
	return []byte(text), err
}

// refresh reads the schema anew after a change. Where home cannot be reached nothing is planned until it can (stale).
func (db *Database) refresh(context.Context) {
	db.refreshing.Lock()
	defer db.refreshing.Unlock()
	ctx, stop := db.srv.controlContext()
	defer stop()
	if err := db.load(ctx); err != nil {
		db.stale.Store(true)
		db.srv.log.Warn("schema_not_refreshed", "database", db.name, "error", err)
	}
}

// refreshIfNewer reads the schema anew if its epoch on home is another than the one at hand.
func (db *Database) refreshIfNewer(context.Context) bool {
	before := db.schema.Load()
	ctx, stop := db.srv.controlContext()
	defer stop()
	epoch, err := db.epoch(ctx)
	if err != nil || epoch == before.Epoch {
		return false
	}
	db.refreshing.Lock()
	defer db.refreshing.Unlock()
	if db.schema.Load() != before {
		return true
	}
	return db.load(ctx) == nil
}

func (db *Database) epoch(ctx context.Context) (epoch uint64, err error) {
	err = db.srv.control.read(ctx, db.srv.config().Home, db.name, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT epoch FROM pleiad.epoch").Scan(&epoch)
	})
	return epoch, err
}

// scopeOf names the plans that hold for this schema, role and path.
func (db *Database) scopeOf(schema *router.Schema, user string, path []string) uint64 {
	key := scopeKey{user: user, path: strings.Join(path, "\x00")}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.scopesFor != schema {
		for _, old := range db.scopes {
			db.srv.plans.DropScope(old)
		}
		db.scopes, db.scopesFor = map[scopeKey]uint64{}, schema
	}
	id, ok := db.scopes[key]
	if !ok {
		id = db.srv.scopes.Add(1)
		db.scopes[key] = id
	}
	return id
}

func (db *Database) path(k pathKey) (string, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	raw, ok := db.paths[k]
	return raw, ok
}

// rememberedPaths bounds the table of search paths.
const rememberedPaths = 1000

func (db *Database) rememberPath(k pathKey, raw string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if len(db.paths) >= rememberedPaths {
		clear(db.paths)
	}
	db.paths[k] = raw
}

// forgetPaths is called after DDL that may change a role's or the database's settings.
func (db *Database) forgetPaths() {
	db.mu.Lock()
	defer db.mu.Unlock()
	clear(db.paths)
	clear(db.defaults)
}

func (db *Database) setCredentials(role string, c auth.Credentials) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.creds[role] = c
}

// dial opens a server connection as the role of the pool.
func (db *Database) dial(ctx context.Context, key backend.Key) (*backend.Conn, error) {
	t, err := db.targetOf(key.Backend)
	if err != nil {
		return nil, &backend.DialError{Backend: db.nameOf(key.Backend), Err: err}
	}
	index, server := splitPlace(key.Backend)
	if server < 0 {
		if err := db.installOther(ctx, index); err != nil {
			return nil, &backend.DialError{Backend: t.Name, Err: err}
		}
	}
	db.mu.Lock()
	cred := db.creds[key.Role]
	db.mu.Unlock()
	if p, ok := db.passwordOf(t.Name, key.Role); ok {
		cred.Password = p
	}
	params := map[string]string{"user": key.Role, "database": db.name, "client_encoding": "UTF8"}
	return backend.Dial(ctx, t, params, cred)
}

// passwordOf is a role's password from the configuration, for servers whose verifier is not the one that the client
// has logged in with.
func (db *Database) passwordOf(backend, role string) (auth.Secret, bool) {
	cfg := db.srv.config()
	if p, err := cfg.Users[role].Password(); err == nil && p.Reveal() != "" {
		return auth.Secret(p.Reveal()), true
	}
	b, ok := cfg.Backend(backend)
	if !ok || b.Credentials.User != role {
		return "", false
	}
	p, err := b.Credentials.Password()
	return auth.Secret(p.Reveal()), err == nil && p.Reveal() != ""
}

// cancel goes to the server that the connection is to, whatever part that has now.
func (db *Database) cancel(ctx context.Context, c *backend.Conn) error {
	if n := db.node(c.Backend); n != nil {
		for i, s := range n.Servers {
			if s.Name != c.Server {
				continue
			}
			t, err := db.srv.serverTarget(n.Name, i)
			if err != nil {
				return err
			}
			return backend.CancelRequest(ctx, t, c)
		}
	}
	return errNoTarget
}

// nameOf is the name of the backend at a place.
func (db *Database) nameOf(place int) string {
	b, _ := splitPlace(place)
	return db.targets[b].Name
}

func (db *Database) limits(key backend.Key) backend.Limits {
	p := db.srv.config().PoolFor(key.Role, key.Database)
	return backend.Limits{
		Size: p.Size, QueueTimeout: p.QueueTimeout.D(), IdleTimeout: p.IdleTimeout.D(), MaxLifetime: p.MaxLifetime.D(),
	}
}

// oidsOf gives the translation of a backend's oids, read when it is first needed after a schema change.
func (db *Database) oidsOf(place int) (*executor.OIDs, error) {
	b, _ := splitPlace(place)
	if b == db.home {
		return nil, nil
	}
	if o := db.oids[b].Load(); o != nil {
		return o, nil
	}
	ctx, stop := db.srv.controlContext()
	defer stop()
	o, err := db.loadOIDs(ctx, b)
	if err != nil {
		db.srv.log.Warn("oids_not_read", "database", db.name, "backend", db.targets[b].Name, "error", err)
		return nil, pgerr.New(pgerr.ConnectionFailure, "the types of backend %q cannot be compared with home's", db.targets[b].Name).
			WithDetail("%v", err)
	}
	db.oids[b].Store(o)
	return o, nil
}

// epochPoll is how often the catalog's epoch is looked at.
const epochPoll = time.Second
