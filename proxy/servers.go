package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

func (r roleServers) OIDs(b int) *executor.OIDs { return r.db.oidsOf(b) }

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

// oidList is what pleiad.oids() gives of one kind of object.
type oidList struct {
	Schema []string `json:"nsp"`
	Name   []string `json:"name"`
	OID    []uint32 `json:"oid"`
	Kind   []int    `json:"kind"` // of types: executor.ValueKind
}

func (l oidList) byName() map[string]uint32 {
	out := make(map[string]uint32, len(l.OID))
	for i, o := range l.OID {
		out[l.Schema[i]+"\x00"+l.Name[i]] = o
	}
	return out
}

type oidLists struct {
	Types     oidList `json:"types"`
	Relations oidList `json:"rels"`
}

// loadOIDs reads the oids of user types and relations on a backend and on home and pairs them by name.
func (db *Database) loadOIDs(ctx context.Context, b int) (*executor.OIDs, error) {
	there, err := db.readOIDs(ctx, b)
	if err != nil {
		return nil, err
	}
	home, err := db.readOIDs(ctx, db.home)
	if err != nil {
		return nil, err
	}
	o := &executor.OIDs{Types: map[uint32]uint32{}, Relations: map[uint32]uint32{}, Home: map[uint32]uint32{}, Kinds: map[uint32]executor.ValueKind{}}
	for i, k := range home.Types.Kind {
		if k != 0 {
			o.Kinds[home.Types.OID[i]] = executor.ValueKind(k)
		}
	}
	ours := home.Types.byName()
	for name, oid := range there.Types.byName() {
		if h, ok := ours[name]; ok {
			o.Types[oid] = h
			o.Home[h] = oid
		}
	}
	ours = home.Relations.byName()
	for name, oid := range there.Relations.byName() {
		if h, ok := ours[name]; ok {
			o.Relations[oid] = h
		}
	}
	return o, nil
}

func (db *Database) readOIDs(ctx context.Context, b int) (oidLists, error) {
	var text []byte
	err := db.srv.control.with(ctx, db.targets[b].Name, db.name, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT pleiad.oids()::text").Scan(&text)
	})
	if err != nil {
		return oidLists{}, err
	}
	var l oidLists
	if err := json.Unmarshal(text, &l); err != nil {
		return oidLists{}, fmt.Errorf("read oids: %w", err)
	}
	return l, nil
}
