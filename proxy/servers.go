package proxy

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// roleServers gives one session's gang what it needs of its database. It implements executor.Servers.
type roleServers struct {
	db   *Database
	role string
	// acting is the role that the session acts as, as far as its own SET says: SET ROLE's, or the login role.
	acting  func() string
	session *Session
}

// Get lends a connection to a place. Where another server can become the primary it waits for one: nothing has been
// sent so far.
func (r roleServers) Get(ctx context.Context, place int) (*backend.Conn, error) {
	p := r.db.pools.Pool(backend.Key{Backend: place, Database: r.db.name, Role: r.role})
	n := r.db.node(place)
	if _, server := splitPlace(place); server >= 0 || n == nil || n.Alone() {
		return p.Get(ctx)
	}
	return r.getPrimary(ctx, p, n)
}

func (r roleServers) Name(place int) string { return r.db.nameOf(place) }

func (r roleServers) OIDs(b int) (*executor.OIDs, error) { return r.db.oidsOf(b) }

func (r roleServers) Derived(b int) *executor.Derived { return r.db.derivedOf(b) }

func (r roleServers) Home() int { return r.db.home }

func (r roleServers) All() (out []int) {
	for b := range r.db.targets {
		if r.db.present(b) {
			out = append(out, b)
		}
	}
	return out
}

// snapshotTimeout is how long a statement waits for transactions that are half committed.
const snapshotTimeout = 5 * time.Second

// HoldCommits holds the database's gate.
func (r roleServers) HoldCommits(ctx context.Context, over []int, limit time.Duration) (*executor.Hold, error) {
	soon, stop := context.WithTimeout(ctx, snapshotTimeout)
	defer stop()
	hold, err := r.db.gate.Hold(soon, over, limit)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return hold, executor.SnapshotError(err, r.Name)
}

// PassGate lets a commit through the database's gate.
func (r roleServers) PassGate(gid string, parts []int) *executor.Passage {
	return r.db.gate.Commit(gid, parts)
}

// Spans tells the deadlock detector of sessions that may be a part of one that no server sees.
func (r roleServers) Spans(yes bool) { r.db.srv.deadlocks.spans(r.session, yes) }

func (r roleServers) StatementLimit() int { return r.db.srv.config().Limits.MaxPreparedPerServer }

// NewGID names a distributed transaction: cluster, process and number.
func (r roleServers) NewGID() string {
	return r.db.srv.newGID(r.session)
}

// newGID names a distributed transaction that a session commits, or with nil the proxy itself.
func (srv *Server) newGID(by *Session) string {
	gid := srv.gidPrefix + strconv.FormatUint(srv.gids.Add(1), 10)
	srv.inFlight.Store(gid, by)
	return gid
}

// Decide records that gid commits. What the owner says is for people: which role prepared is the servers' to know, and
// a setting of the role's own or of the database's may have made it another one.
func (r roleServers) Decide(_ context.Context, gid string) error {
	// Not the statement's context: a cancel must not leave the outcome unknown.
	ctx, stop := r.db.srv.controlContext()
	defer stop()
	err := r.db.srv.control.with(ctx, r.db.targets[r.db.home].Name, r.db.name, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "INSERT INTO pleiad.commit_record (gid, owner, trusted) VALUES ($1, $2, true)", gid, r.acting())
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == pgerr.UniqueViolation {
		return executor.ErrAborted
	}
	return err
}

// Forget drops the record of a transaction that every backend has committed; recovery does it if this fails.
// Where backends have standbys the record stays a while: a part's COMMIT PREPARED may be lost in a failover.
func (r roleServers) Forget(gid string) {
	if !r.db.replicated {
		r.db.forget(gid)
	}
}

// Settled says that nobody works on gid any more.
func (r roleServers) Settled(gid string) { r.db.srv.inFlight.Delete(gid) }

func (db *Database) forget(gid string) {
	select {
	case db.forgets <- gid:
	default: // recovery finds it
	}
}
