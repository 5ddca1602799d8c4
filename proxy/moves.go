package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/catalog"
	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
)

// What the rebalancer needs of the data path, in plain values: neither imports the other. Package rebalancer has the
// interface, Cluster.

// Install puts the catalog into the database of a backend that is about to join.
func (srv *Server) Install(ctx context.Context, backend, database string) error {
	db, err := srv.opened(database)
	if err != nil {
		return err
	}
	return db.installOn(ctx, backend, catalog.RoleOther)
}

// unfinishedJobs selects what a rebalancer has to do.
const unfinishedJobs = "SELECT FROM pleiad.job WHERE state IN ('queued', 'running', 'cancelling')"

// Databases lists those with jobs to do, as of the last second.
func (srv *Server) Databases() (names []string) {
	srv.eachDatabase(func(db *Database) {
		if db.jobs.Load() {
			names = append(names, db.name)
		}
	})
	slices.Sort(names)
	return names
}

// Served lists the databases that are open.
func (srv *Server) Served() (names []string) {
	srv.eachDatabase(func(db *Database) { names = append(names, db.name) })
	slices.Sort(names)
	return names
}

// openWithJobs opens the databases whose jobs another process has left unfinished, once home answers.
func (srv *Server) openWithJobs(ctx context.Context) {
	for {
		var names []string
		err := srv.control.with(ctx, srv.config().Home, maintenanceDB, func(conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, "SELECT datname::text FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate")
			if err != nil {
				return err
			}
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		if err == nil {
			for _, name := range names {
				if srv.hasJobs(ctx, name) {
					_, _ = srv.database(ctx, name) // said where a client asks for it
				}
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(srv.recoveryInterval()):
		}
	}
}

// hasJobs looks into a database that need not be one of pleiad's, and leaves no connection to it.
func (srv *Server) hasJobs(ctx context.Context, database string) (found bool) {
	dsn, err := srv.control.connString(srv.config().Home, database)
	if err != nil {
		return false
	}
	ctx, stop := context.WithTimeout(ctx, controlTimeout)
	defer stop()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(ctx) }()
	// Nothing is asked where the catalog is not, or an older one: that is an error.
	err = conn.QueryRow(ctx, "SELECT EXISTS ("+unfinishedJobs+")").Scan(&found)
	return err == nil && found
}

// ConnString is how the service role reaches a database of a backend; "" is home.
func (srv *Server) ConnString(backend, database string) (string, error) {
	if backend == "" {
		backend = srv.config().Home
	}
	return srv.control.connString(backend, database)
}

// Generation counts the changes of a backend's primary.
func (srv *Server) Generation(backend string) uint64 {
	if n := srv.nodes[backend]; n != nil {
		return n.Generation()
	}
	return 0
}

// Standbys is how many standbys a backend has by the configuration; none are counted on where commits do without those that
// are missing.
func (srv *Server) Standbys(backend string) int {
	n := srv.nodes[backend]
	if n == nil || srv.config().Replication.WhenMissing == config.MissingDegrade {
		return 0
	}
	return len(n.Servers) - 1
}

// Pressed tells whether several clients' statements are running now.
func (srv *Server) Pressed() bool {
	n := 0
	srv.eachSession(func(s *Session) {
		if s.running.Load() != 0 {
			n++
		}
	})
	return n > 1
}

// NewTransaction names a distributed transaction that recovery leaves alone until ended is called.
func (srv *Server) NewTransaction() (gid string, ended func()) {
	gid = srv.newGID(nil)
	return gid, func() { srv.inFlight.Delete(gid) }
}

func (srv *Server) opened(database string) (*Database, error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if db := srv.databases[database]; db != nil {
		return db, nil
	}
	return nil, fmt.Errorf("database %q is not open", database)
}

// Arm makes transactions say which shards they use, from their beginnings on, until disarm is called.
func (srv *Server) Arm(database string) (disarm func(), err error) {
	db, err := srv.opened(database)
	if err != nil {
		return nil, err
	}
	return db.barrier.Arm(), nil
}

// Hold keeps new statements from the shards that a colocation group has on these backends. drain waits for the
// transactions that have used them; open lets everybody in again, by the map as it is then.
func (srv *Server) Hold(database string, group int, backends []int) (drain func(context.Context) error, open func(), err error) {
	db, err := srv.opened(database)
	if err != nil {
		return nil, nil, err
	}
	places := make([]executor.Place, len(backends))
	for i, b := range backends {
		places[i] = executor.Place{Group: group, Backend: b}
	}
	open = db.barrier.Close(places...)
	return func(ctx context.Context) error { return db.barrier.Drain(ctx, places...) }, open, nil
}

// Switched makes the map of the given epoch the one in force: a shard has moved, and nothing else has changed. With a
// group below 0 more has, and the schema is read.
func (srv *Server) Switched(ctx context.Context, database string, group, shard, backend int, epoch uint64) error {
	db, err := srv.opened(database)
	if err != nil {
		return err
	}
	db.refreshing.Lock()
	defer db.refreshing.Unlock()
	now := db.schema.Load()
	if group < 0 || now.Epoch != epoch-1 || db.stale.Load() {
		if err := db.load(ctx); err != nil {
			db.stale.Store(true)
			return err
		}
		return nil
	}
	next := *now
	next.Epoch = epoch
	next.Map, err = now.Map.Moved(epoch, shardmap.GroupID(group), uint32(shard), uint16(backend))
	if err != nil {
		return err
	}
	db.raiseFloors() // standbys that have not seen the shard come or go must not be read
	db.schema.Store(&next)
	return nil
}

// settleSwitches ends the switches of shards that are decided and perhaps not carried out everywhere: a map that has
// the shard on its new backend is used only when its partitions are attached there.
func (db *Database) settleSwitches(ctx context.Context) error {
	type parted struct {
		GID            string
		Source, Target int
	}
	var list []parted
	err := db.srv.control.read(ctx, db.targets[db.home].Name, db.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT gid, source, target FROM pleiad.move WHERE step = 'switched' AND gid <> ''")
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[parted])
		return err
	})
	if err != nil {
		return fmt.Errorf("read switches: %w", err)
	}
	for _, p := range list {
		for _, b := range []int{p.Target, p.Source} {
			if err := db.settleSwitch(ctx, b, p.GID); err != nil {
				return fmt.Errorf("settle switch %s on backend %q: %w", p.GID, db.targets[b].Name, err)
			}
		}
	}
	return nil
}

// settleSwitch commits a backend's part of a switch, if it is still prepared, once the decision cannot be lost with home.
func (db *Database) settleSwitch(ctx context.Context, b int, gid string) error {
	still, err := db.stillPrepared(ctx, b, gid)
	if err != nil || !still {
		return err
	}
	if _, err := db.keep(ctx, db.home); err != nil {
		return err
	}
	return db.commitPrepared(ctx, b, gid)
}

// commitPrepared commits a backend's part of a transaction that is decided, whoever else does so too.
func (db *Database) commitPrepared(ctx context.Context, b int, gid string) error {
	for {
		err := db.srv.control.with(ctx, db.targets[b].Name, db.name, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "COMMIT PREPARED "+quoteLiteral(gid))
			return err
		})
		var pg *pgconn.PgError
		if !errors.As(err, &pg) {
			return err
		}
		switch pg.Code {
		case pgerr.UndefinedObject:
			return nil
		case pgerr.ObjectNotInPrerequisiteState: // another process is at it
		default:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
