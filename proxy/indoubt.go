package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// doubt is a backend's part of a distributed transaction that recovery cannot end now, and why.
type doubt struct {
	GID      string
	Backend  string
	Owner    string
	Prepared time.Time
	Reason   string
}

const (
	// doubtAge is how old a part that is left to somebody else must be to be called in doubt.
	doubtAge = 5 * time.Second
	// doubtAlarm is the age from which one is logged, and doubtAgain how often.
	doubtAlarm = 10 * time.Second
	doubtAgain = time.Minute
)

// doubts is what recovery knows of a database's transactions in doubt.
type doubts struct {
	parts   []doubt
	written bool // home's table is as parts says
	logged  time.Time
}

// why words a failure for pleiad.transactions.
func why(backend string, err error) string {
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		return fmt.Sprintf("backend %q says: %s", backend, pg.Message)
	case errors.Is(err, errNotConfigured):
		return fmt.Sprintf("backend %q is not in the configuration", backend)
	default:
		return fmt.Sprintf("backend %q does not answer", backend)
	}
}

// unreachable are the parts that a backend which does not answer has: those last seen there, and those that this process
// has left to recovery.
func (db *Database) unreachable(b int, err error) (out []doubt) {
	name := db.targets[b].Name
	db.mu.Lock()
	for _, d := range db.doubts.parts {
		if d.Backend == name {
			d.Reason = why(name, err)
			out = append(out, d)
		}
	}
	db.mu.Unlock()
	for gid, pending := range db.gate.Pending() {
		if slices.Contains(pending, b) && !slices.ContainsFunc(out, func(d doubt) bool { return d.GID == gid }) {
			out = append(out, doubt{GID: gid, Backend: name, Prepared: time.Now(), Reason: why(name, err)})
		}
	}
	return out
}

// noteDoubts makes what a look at all backends has found known: to metrics, to the log, and on home. listed are the
// backends that have answered. The table on home is written only when something in it changes.
func (db *Database) noteDoubts(ctx context.Context, parts []doubt, listed []string) {
	slices.SortFunc(parts, func(a, b doubt) int { return a.Prepared.Compare(b.Prepared) })
	db.mu.Lock()
	was := &db.doubts
	same := was.written && slices.EqualFunc(was.parts, parts, func(a, b doubt) bool {
		return a.GID == b.GID && a.Backend == b.Backend && a.Reason == b.Reason
	})
	was.parts = parts
	alarm := len(parts) > 0 && time.Since(parts[0].Prepared) > doubtAlarm && time.Since(was.logged) > doubtAgain
	if alarm {
		was.logged = time.Now()
	}
	db.mu.Unlock()
	if alarm {
		db.srv.log.Warn("transactions_in_doubt", "database", db.name, "parts", len(parts), "oldest_gid", parts[0].GID,
			"oldest_seconds", int(time.Since(parts[0].Prepared).Seconds()), "reason", parts[0].Reason)
	}
	if same {
		return
	}
	err := db.writeDoubts(ctx, parts, listed)
	if err != nil && ctx.Err() == nil {
		db.srv.log.Debug("in_doubt_not_written", "database", db.name, "error", err)
	}
	db.mu.Lock()
	db.doubts.written = err == nil
	db.mu.Unlock()
}

func (db *Database) writeDoubts(ctx context.Context, parts []doubt, listed []string) error {
	return db.srv.control.with(ctx, db.targets[db.home].Name, db.name, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var gids []string
			for _, d := range parts {
				gids = append(gids, d.GID+" "+d.Backend)
				_, err := tx.Exec(ctx, `INSERT INTO pleiad.in_doubt (gid, backend, owner, prepared, reason) VALUES ($1, $2, $3, $4, $5)
					ON CONFLICT (gid, backend) DO UPDATE SET reason = excluded.reason`, d.GID, d.Backend, d.Owner, d.Prepared, d.Reason)
				if err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, "DELETE FROM pleiad.in_doubt WHERE backend = ANY ($1::text[]) AND gid || ' ' || backend <> ALL ($2::text[])",
				append([]string{}, listed...), append([]string{}, gids...))
			return err
		})
	})
}

// inDoubt counts the transactions in doubt and gives the oldest one's age.
func (db *Database) inDoubt() (n int, oldest time.Duration) {
	db.mu.Lock()
	defer db.mu.Unlock()
	gids := map[string]bool{}
	for _, d := range db.doubts.parts {
		gids[d.GID] = true
		oldest = max(oldest, time.Since(d.Prepared))
	}
	return len(gids), oldest
}
