package proxy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/config"
)

// control holds the connections that pleiad uses for itself, as the service role: few, and apart from the clients'.
type control struct {
	config func() *config.Config

	mu     sync.Mutex
	pools  map[controlKey]*pgxpool.Pool
	closed bool
}

type controlKey struct{ backend, database string }

// controlConns bounds the connections to one database on one backend.
const controlConns = 4

// controlTimeout bounds what pleiad does for itself while a client waits.
const controlTimeout = 15 * time.Second

func (c *control) pool(ctx context.Context, name, database string) (*pgxpool.Pool, error) {
	key := controlKey{name, database}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, context.Canceled
	}
	if p := c.pools[key]; p != nil {
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
	p, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("service connection to backend %q: %w", name, err)
	}
	if c.pools == nil {
		c.pools = map[controlKey]*pgxpool.Pool{}
	}
	c.pools[key] = p
	return p, nil
}

// connString is how the service role reaches a database of a backend.
func (c *control) connString(name, database string) (string, error) {
	b, ok := c.config().Backend(name)
	if !ok {
		return "", fmt.Errorf("backend %q is not configured", name)
	}
	password, err := b.Credentials.Password()
	if err != nil && b.Credentials.Configured() {
		return "", fmt.Errorf("service role of backend %q: %w", name, err)
	}
	return b.Primary.ConnString(b.Credentials.User, password, database), nil
}

// durable makes commits outlive a crash of the server where its configuration would not: decisions depend on it.
func durable(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT pg_catalog.set_config('synchronous_commit', 'on', false)"+
		" WHERE pg_catalog.current_setting('synchronous_commit') = 'off'")
	return err
}

// with runs f on a service connection to a database of a backend.
func (c *control) with(ctx context.Context, name, database string, f func(*pgx.Conn) error) error {
	p, err := c.pool(context.WithoutCancel(ctx), name, database)
	if err != nil {
		return err
	}
	conn, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return f(conn.Conn())
}

// forget closes the connections to a database, which is about to be dropped.
func (c *control) forget(database string) {
	c.mu.Lock()
	var old []*pgxpool.Pool
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

func (c *control) close() {
	c.mu.Lock()
	pools := c.pools
	c.pools, c.closed = nil, true
	c.mu.Unlock()
	for _, p := range pools {
		p.Close()
	}
}
