package proxy

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/catalog"
)

// refreshStats asks every backend for the sizes of its shards.
func (db *Database) refreshStats(ctx context.Context) error {
	return db.withAll(ctx, 0, nil, func(conns []*pgx.Conn) error {
		return db.srv.control.with(ctx, db.targets[db.home].Name, db.name, func(home *pgx.Conn) error {
			return catalog.RefreshStats(ctx, home, conns)
		})
	})
}

// withAll runs f with a service connection to each backend from b on that can be reached, behind those in conns.
func (db *Database) withAll(ctx context.Context, b int, conns []*pgx.Conn, f func([]*pgx.Conn) error) error {
	if b == len(db.targets) {
		return f(conns)
	}
	if !db.present(b) {
		return db.withAll(ctx, b+1, conns, f)
	}
	reached := false
	err := db.srv.control.with(ctx, db.targets[b].Name, db.name, func(c *pgx.Conn) error {
		reached = true
		return db.withAll(ctx, b+1, append(conns, c), f)
	})
	if reached {
		return err
	}
	return db.withAll(ctx, b+1, conns, f)
}
