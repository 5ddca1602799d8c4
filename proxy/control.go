package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/standby"
)

// control holds the connections that pleiad uses for itself, as the service role: few, and apart from the clients'.
type control struct {
	config func() *config.Config
	node   func(backend string) *standby.Backend

	mu     sync.Mutex
	pools  map[controlKey]*controlPool
	closed bool
	ending sync.WaitGroup // pools that are being closed
}

type controlKey struct{ backend, database string }

// controlPool is the connections to one database of a backend's primary, in one generation.
type controlPool struct {
	*pgxpool.Pool
	generation uint64

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// dial opens a connection that sever can break.
func (p *controlPool) dial(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := (&net.Dialer{KeepAlive: time.Minute}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[nc] = struct{}{}
	return &severable{Conn: nc, pool: p}, nil
}

// severable is a connection of a controlPool.
type severable struct {
	net.Conn
	pool *controlPool
}

// NetConn is for backend.HungUp.
func (c *severable) NetConn() net.Conn { return c.Conn }

func (c *severable) Close() error {
	c.pool.mu.Lock()
	delete(c.pool.conns, c.Conn)
	c.pool.mu.Unlock()
	return c.Conn.Close()
}

// sever breaks the connections, lent ones too, and closes the pool.
func (p *controlPool) sever() {
	p.mu.Lock()
	for nc := range p.conns {
		_ = nc.Close()
	}
	p.mu.Unlock()
	p.Pool.Close()
}

// controlConns bounds the connections to one database on one backend.
const controlConns = 4

// controlTimeout bounds what pleiad does for itself while a client waits.
const controlTimeout = 15 * time.Second

func (c *control) pool(ctx context.Context, name, database string) (*controlPool, error) {
	key := controlKey{name, database}
	var generation uint64
	if n := c.node(name); n != nil {
		generation = n.Generation() // before the primary is looked up: a pool of a later one is not taken for an old one's
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, context.Canceled
	}
	if p := c.pools[key]; p != nil && p.generation == generation {
		return p, nil
	}
	cfg := c.config()
	dsn, err := c.connString(name, database)
	if err != nil {
		return nil, err
	}
	pc, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("service connection to backend %q: %w", name, err)
	}
	pc.MaxConns = controlConns
	pc.MaxConnIdleTime = time.Minute
	pc.ConnConfig.ConnectTimeout = cfg.Timeouts.Connect.D()
	pc.ConnConfig.RuntimeParams["search_path"] = auth.LookupSearchPath
	pc.ConnConfig.RuntimeParams["application_name"] = "pleiad"
	pc.AfterConnect = durable
	pc.PrepareConn = alive
	p := &controlPool{generation: generation, conns: map[net.Conn]struct{}{}}
	pc.ConnConfig.DialFunc = p.dial
	if p.Pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("service connection to backend %q: %w", name, err)
	}
	if c.pools == nil {
		c.pools = map[controlKey]*controlPool{}
	}
	c.pools[key] = p
	return p, nil
}

// connString is how the service role reaches a database of a backend's primary.
func (c *control) connString(name, database string) (string, error) {
	b, ok := c.config().Backend(name)
	if !ok {
		return "", fmt.Errorf("backend %q is not configured", name)
	}
	password, err := b.Credentials.Password()
	if err != nil && b.Credentials.Configured() {
		return "", fmt.Errorf("service role of backend %q: %w", name, err)
	}
	server := 0
	if n := c.node(name); n != nil {
		if server, _ = n.Primary(); server < 0 {
			return "", standby.ErrNoPrimary
		}
	}
	return configured(b, server).ConnString(b.Credentials.User, password, database), nil
}

// durable makes commits outlive a crash of the server where its configuration would not: decisions depend on it.
func durable(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT pg_catalog.set_config('synchronous_commit', 'on', false)"+
		" WHERE pg_catalog.current_setting('synchronous_commit') = 'off'")
	return err
}

// alive keeps a connection that the server has closed from being lent: the pool itself asks those alone that have been idle
// for a while.
func alive(_ context.Context, conn *pgx.Conn) (bool, error) {
	return !backend.HungUp(conn.PgConn().Conn()), nil
}

// with runs f on a service connection to a database of a backend's primary, which it waits for.
func (c *control) with(ctx context.Context, name, database string, f func(*pgx.Conn) error) error {
	conn, err := c.acquire(ctx, name, database)
	if err != nil {
		return err
	}
	defer conn.Release()
	return f(conn.Conn())
}

// read is with for what only reads, and may run again: it does where its connection is lost, as when the server has been started
// anew since. All that the pool holds may be lost by then.
func (c *control) read(ctx context.Context, name, database string, f func(*pgx.Conn) error) error {
	for try := 0; ; try++ {
		var lost bool
		err := c.with(ctx, name, database, func(conn *pgx.Conn) error {
			err := f(conn)
			lost = err != nil && conn.IsClosed()
			return err
		})
		if !lost || try == controlConns || ctx.Err() != nil {
			return err
		}
	}
}

// acquire lends a connection. Where another server can become the primary, one that cannot be reached is waited for as a
// client's statement waits for it.
func (c *control) acquire(ctx context.Context, name, database string) (*pgxpool.Conn, error) {
	n := c.node(name)
	deadline := time.Now().Add(c.config().Failover.Wait.D())
	for {
		var generation uint64
		if n != nil {
			if err := n.Open(ctx); err != nil {
				return nil, err
			}
			generation = n.Generation()
		}
		p, err := c.pool(context.WithoutCancel(ctx), name, database)
		if err != nil {
			return nil, err
		}
		conn, err := p.Acquire(ctx)
		if err == nil || n == nil || n.Alone() || !unreachedService(err) || time.Now().After(deadline) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-n.Turned(generation):
		case <-time.After(primaryRetry):
		}
	}
}

// unreachedService is unreached for a service connection.
func unreachedService(err error) bool {
	var connect *pgconn.ConnectError
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgerr.CannotConnectNow || pg.Code == pgerr.AdminShutdown
	}
	return errors.As(err, &connect)
}

// forget closes the connections to a database, which is about to be dropped.
func (c *control) forget(database string) {
	c.mu.Lock()
	var old []*controlPool
	for k, p := range c.pools {
		if k.database == database {
			old = append(old, p)
			delete(c.pools, k)
		}
	}
	c.mu.Unlock()
	for _, p := range old {
		p.Close()
	}
}

// sever breaks the connections to a backend. Who uses one finds out at once.
func (c *control) sever(name string) {
	c.mu.Lock()
	var old []*controlPool
	for k, p := range c.pools {
		if k.backend == name {
			old = append(old, p)
			delete(c.pools, k)
		}
	}
	c.mu.Unlock()
	for _, p := range old {
		c.ending.Go(p.sever) // waits until they are given back
	}
}

func (c *control) close() {
	c.mu.Lock()
	pools := c.pools
	c.pools, c.closed = nil, true
	c.mu.Unlock()
	for _, p := range pools {
		p.Close()
	}
	c.ending.Wait()
}
