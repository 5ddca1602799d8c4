package proxy

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A proxy that serves a database holds a shared lock on home, for as long as it lives. A shard moves only while one proxy
// does: another one would go by its old map until it looks at the catalog again. One that is stopped counts too.

const (
	// presenceLock is the shared lock. Who takes it waits for a switch that is under way, and reads the map after that.
	presenceLock = "SELECT pg_catalog.pg_advisory_lock_shared(1886151017, 6), pg_catalog.pg_advisory_lock_shared(1886151017, 5)," +
		" pg_catalog.pg_advisory_unlock_shared(1886151017, 6)"
	epochSQL = "SELECT epoch, EXISTS (" + unfinishedJobs + ") FROM pleiad.epoch"
)

// appear connects to home and takes the lock.
func (db *Database) appear(ctx context.Context) error {
	dsn, err := db.srv.control.connString(db.srv.config().Home, db.name)
	if err != nil {
		return err
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	cfg.ConnectTimeout = db.srv.config().Timeouts.Connect.D()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to home: %w", err)
	}
	if _, err := conn.Exec(ctx, presenceLock); err != nil {
		_ = conn.Close(ctx)
		return fmt.Errorf("tell home of this proxy: %w", err)
	}
	db.here = conn
	return nil
}

// vanish gives the lock back.
func (db *Database) vanish() {
	if db.here != nil {
		ctx, stop := context.WithTimeout(context.WithoutCancel(db.life), time.Second)
		defer stop()
		_ = db.here.Close(ctx)
		db.here = nil
	}
}

// run follows schema changes that other proxies make, on the connection that shows home that this one is there.
func (db *Database) run(ctx context.Context) {
	defer db.vanish()
	t := time.NewTicker(epochPoll)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			db.look(ctx)
		}
	}
}

// look reads the epoch, and the schema where that is another one.
func (db *Database) look(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, controlTimeout)
	defer stop()
	if db.here == nil {
		if err := db.appear(ctx); err != nil {
			return
		}
	}
	var epoch uint64
	var jobs bool
	if err := db.here.QueryRow(ctx, epochSQL).Scan(&epoch, &jobs); err != nil {
		db.vanish()
		return
	}
	db.jobs.Store(jobs)
	before := db.schema.Load()
	if epoch == before.Epoch {
		return
	}
	db.refreshing.Lock()
	defer db.refreshing.Unlock()
	if db.schema.Load() == before {
		_ = db.load(ctx) // it is looked at again in a second
	}
}
