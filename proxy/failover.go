package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/standby"
)

// primaryRetry is between two attempts to reach a primary that may only be restarting.
const primaryRetry = 100 * time.Millisecond

// getPrimary lends a connection to a backend's primary, whichever server that is. While there is none it waits, as long
// as failover.wait says.
func (r roleServers) getPrimary(ctx context.Context, p *backend.Pool, n *standby.Backend) (*backend.Conn, error) {
	var deadline time.Time
	for {
		generation := n.Generation()
		err := r.open(ctx, n, &deadline)
		if err != nil {
			return nil, err
		}
		c, err := p.Get(ctx)
		if err == nil {
			if !n.Held() {
				return c, nil
			}
			c.Put() // a takeover began in between, and waits for connections to come back
			continue
		}
		if !unreached(err) {
			return nil, err
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(r.db.srv.config().Failover.Wait.D())
		}
		if !time.Now().Before(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-n.Turned(generation):
		case <-time.After(primaryRetry):
		}
	}
}

// open waits until the primary may be used.
func (r roleServers) open(ctx context.Context, n *standby.Backend, deadline *time.Time) error {
	if !n.Held() {
		return nil
	}
	if deadline.IsZero() {
		*deadline = time.Now().Add(r.db.srv.config().Failover.Wait.D())
	}
	wait, stop := context.WithDeadline(ctx, *deadline)
	defer stop()
	err := n.Open(wait)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return pgerr.New(pgerr.ConnectionFailure, "backend %q has no primary", n.Name).WithDetail("%v", err)
	}
	return nil
}

// unreached tells whether a server could not be reached, or was not ready to let anybody in, rather than refuse this
// role or database.
func unreached(err error) bool {
	var dial *backend.DialError
	if !errors.As(err, &dial) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgerr.CannotConnectNow || pg.Code == pgerr.AdminShutdown
	}
	return true
}

// serverNameOf is the name of the server at a place; of the present primary where the place is a backend's.
func (db *Database) serverNameOf(place int) string {
	b, server := splitPlace(place)
	n := db.node(place)
	if n == nil || server < 0 {
		return db.targets[b].Name
	}
	return n.Servers[server].Name
}
