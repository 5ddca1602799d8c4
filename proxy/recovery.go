package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Recovery ends distributed transactions whose coordinator is gone, from the records on home and pg_prepared_xacts
// of every backend alone. A record of a proxy's own means commit, and so does one under the prepared transaction's
// owner. Where there is none, recovery first takes the record's place (with no owner): a coordinator that is still
// alive then finds that it cannot decide to commit any more, and a decision being written at the same moment is
// waited for.

// orphanAge is how old a prepared transaction of another process must be before recovery touches it.
const orphanAge = 5 * time.Second

// preparedPart is one backend's part of a distributed transaction.
type preparedPart struct {
	GID   string
	Owner string
	Age   float64 // seconds
}

// forgetDelay is how long the records of transactions that every backend has committed are kept, so that many go at once: a
// DELETE for each would flush home's log again while its client already waits for the next transaction's flush.
const forgetDelay = 250 * time.Millisecond

// maxForgotten is how many records one DELETE is for.
const maxForgotten = 1000

// recover runs until ctx ends.
func (db *Database) recover(ctx context.Context) {
	db.recoverOnce(ctx)
	next := time.NewTimer(db.srv.recoveryInterval())
	defer next.Stop()
	var gids []string // to be forgotten; what is left at the end recovery finds
	late := time.NewTimer(forgetDelay)
	late.Stop()
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case gid := <-db.forgets:
			if gids = append(gids, gid); len(gids) == 1 {
				late.Reset(forgetDelay)
			}
			if len(gids) < maxForgotten {
				continue
			}
			late.Stop()
			db.forgetAll(ctx, gids)
			gids = nil
		case <-late.C:
			db.forgetAll(ctx, gids)
			gids = nil
		case <-next.C:
			db.recoverOnce(ctx)
			next.Reset(db.srv.recoveryInterval())
		}
	}
}

// forgetAll deletes the records of transactions.
func (db *Database) forgetAll(ctx context.Context, gids []string) {
	err := db.srv.control.with(ctx, db.targets[db.home].Name, db.name, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "DELETE FROM pleiad.commit_record WHERE gid = ANY ($1)", gids)
		return err
	})
	if err != nil && ctx.Err() == nil {
		db.srv.log.Warn("commit_records_kept", "database", db.name, "count", len(gids), "error", err)
	}
}

// recoverOnce looks at every backend once, at all of them together: one that does not answer keeps no other waiting
// for longer than recoverTimeout.
func (db *Database) recoverOnce(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, recoverTimeout)
	defer stop()
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		complete = true
		pending  = map[string]bool{}
		inDoubt  []doubt
		listed   []string
	)
	for b := range db.targets {
		wg.Go(func() {
			var parts []preparedPart
			err := errNotConfigured
			asked := time.Now()
			switch {
			case db.absent(b):
				err = nil // it has no part in anything
			case db.targets[b].Address != "":
				parts, err = db.preparedOn(ctx, b)
			}
			if err == nil {
				db.tellGate(b, asked, parts)
			}
			mu.Lock()
			complete = complete && err == nil
			for _, p := range parts {
				pending[p.GID] = true
			}
			mu.Unlock()
			var left []doubt
			if err != nil {
				left = db.unreachable(b, err)
			} else {
				left = db.resolveAll(ctx, b, parts)
			}
			mu.Lock()
			inDoubt = append(inDoubt, left...)
			if err == nil {
				listed = append(listed, db.targets[b].Name)
			}
			mu.Unlock()
		})
	}
	wg.Wait()
	db.noteDoubts(ctx, inDoubt, listed)
	if complete {
		db.sweepRecords(ctx, pending)
	}
}

// tellGate passes on what is prepared on a backend. Parts of other processes keep snapshots from being taken only if they
// were there when this process first looked: they may be of one that died between two COMMIT PREPARED.
func (db *Database) tellGate(b int, asked time.Time, parts []preparedPart) {
	var prepared, orphaned []string
	for _, p := range parts {
		prepared = append(prepared, p.GID)
		if _, busy := db.srv.inFlight.Load(p.GID); !busy && !db.srv.owns(p.GID) {
			orphaned = append(orphaned, p.GID)
		}
	}
	db.gate.Listed(b, asked, prepared, orphaned)
}

// recoverTimeout bounds one look at all backends.
const recoverTimeout = 5 * time.Second

var errNotConfigured = errors.New("the configuration does not name it")

// resolveAll ends the parts on one backend, and gives those that it could not.
func (db *Database) resolveAll(ctx context.Context, b int, parts []preparedPart) (left []doubt) {
	name := db.targets[b].Name
	for _, p := range parts {
		others, err := db.resolve(ctx, b, p)
		d := doubt{
			GID: p.GID, Backend: name, Owner: p.Owner, Prepared: time.Now().Add(-time.Duration(p.Age * float64(time.Second))),
			Reason: others,
		}
		switch {
		case err != nil:
			d.Reason = why(db.targets[db.home].Name, err)
			if ctx.Err() == nil {
				db.srv.log.Warn("transaction_in_doubt", "database", db.name, "backend", name,
					"gid", p.GID, "age_seconds", int(p.Age), "error", err)
			}
		case others == "" || p.Age < doubtAge.Seconds():
			continue
		}
		left = append(left, d)
	}
	return left
}

func (db *Database) preparedOn(ctx context.Context, b int) (parts []preparedPart, err error) {
	err = db.srv.control.read(ctx, db.targets[b].Name, db.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT gid, owner::text, extract(epoch FROM clock_timestamp() - prepared)::float8
			FROM pg_catalog.pg_prepared_xacts
			WHERE database = pg_catalog.current_database() AND pg_catalog.starts_with(gid, $1)`, db.srv.clusterPrefix)
		if err != nil {
			return err
		}
		parts, err = pgx.CollectRows(rows, pgx.RowToStructByPos[preparedPart])
		return err
	})
	return parts, err
}

// resolve ends one part, unless its coordinator may still be at work: then it says so.
func (db *Database) resolve(ctx context.Context, b int, p preparedPart) (others string, err error) {
	if _, busy := db.srv.inFlight.Load(p.GID); busy {
		return "its session is still committing", nil
	}
	// What was prepared before this process began is most likely of the one that it replaces.
	young := min(orphanAge, time.Since(db.srv.began))
	if p.Age < young.Seconds() && !db.srv.owns(p.GID) {
		return "another proxy has prepared it a moment ago", nil
	}
	// It may have ended since it was listed; a coordinator of this process had ended before that was looked up.
	if still, err := db.stillPrepared(ctx, b, p.GID); err != nil || !still {
		return "", err
	}
	return "", db.end(ctx, b, p)
}

// end commits the part or rolls it back, as the decision is.
func (db *Database) end(ctx context.Context, b int, p preparedPart) error {
	var owner string
	var trusted bool
	err := db.srv.control.with(ctx, db.targets[db.home].Name, db.name, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, `INSERT INTO pleiad.commit_record (gid, owner) VALUES ($1, '')
			ON CONFLICT (gid) DO NOTHING`, p.GID); err != nil {
			return err
		}
		return conn.QueryRow(ctx, "SELECT owner::text, trusted FROM pleiad.commit_record WHERE gid = $1", p.GID).Scan(&owner, &trusted)
	})
	if err != nil {
		return err
	}
	// Read on a home that is lost before a standby has it, the decision would be another one for the parts that are still
	// there: the coordinator may have died, or home come back, while its COMMIT waited for standbys.
	if _, err := db.keep(ctx, db.home); err != nil {
		return err
	}
	verb := "ROLLBACK"
	if trusted || owner == p.Owner {
		verb = "COMMIT"
	}
	err = db.srv.control.with(ctx, db.targets[b].Name, db.name, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, verb+" PREPARED "+quoteLiteral(p.GID))
		return err
	})
	if err == nil {
		db.gate.Settled(p.GID, b)
		db.srv.log.Info("transaction_recovered", "database", db.name, "backend", db.targets[b].Name,
			"gid", p.GID, "outcome", verb)
	}
	return err
}

func (db *Database) stillPrepared(ctx context.Context, b int, gid string) (still bool, err error) {
	err = db.srv.control.read(ctx, db.targets[b].Name, db.name, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE gid = $1)", gid).Scan(&still)
	})
	return still, err
}

// sweepRecords deletes records of transactions of which no backend has a part any more. The age keeps it from those
// whose parts are being committed. The place that recovery took (no owner) is kept for long: a coordinator that was
// stopped all the while would find it free, and report a commit of what has been rolled back.
func (db *Database) sweepRecords(ctx context.Context, pending map[string]bool) {
	var keep []string
	for gid := range pending {
		keep = append(keep, gid)
	}
	db.srv.inFlight.Range(func(k, _ any) bool {
		keep = append(keep, k.(string))
		return true
	})
	err := db.srv.control.with(ctx, db.targets[db.home].Name, db.name, func(conn *pgx.Conn) error {
		var over []string
		rows, err := conn.Query(ctx, `SELECT gid FROM pleiad.commit_record
			WHERE decided < now() - CASE WHEN owner = '' THEN interval '30 days' ELSE interval '1 minute' END AND gid <> ALL ($1::text[])
			AND pg_catalog.starts_with(gid, $2)`, append([]string{""}, keep...), db.srv.clusterPrefix)
		if err == nil {
			over, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil || len(over) == 0 {
			return err
		}
		if kept, err := db.keepWhatIsCommitted(ctx); err != nil || !kept {
			return err
		}
		_, err = conn.Exec(ctx, "DELETE FROM pleiad.commit_record WHERE gid = ANY ($1)", over)
		return err
	})
	if err != nil && ctx.Err() == nil {
		db.srv.log.Warn("commit_records_kept", "database", db.name, "error", err)
	}
}

// keepWhatIsCommitted waits until standbys have on disk what every primary has committed so far; false while standbys are
// missing. A record must outlive the COMMIT PREPARED of each part: where one is lost with its primary, the standby that
// takes over has the part still prepared, and asks for the decision.
func (db *Database) keepWhatIsCommitted(ctx context.Context) (kept bool, err error) {
	for b := range db.targets {
		if db.absent(b) {
			continue
		}
		if kept, err := db.keep(ctx, b); err != nil || !kept {
			return false, err
		}
	}
	return true, nil
}

// keep waits until standbys have on disk what a backend's primary has committed so far; false while standbys are missing.
func (db *Database) keep(ctx context.Context, b int) (kept bool, err error) {
	n := db.node(b)
	if n == nil || n.Alone() || n.Degraded() {
		return true, nil
	}
	if !n.Staffed() {
		return false, nil
	}
	if err := n.Confirm(ctx); err != nil {
		return false, err
	}
	err = db.srv.control.with(ctx, db.targets[b].Name, db.name, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = on; SELECT pg_catalog.pg_logical_emit_message(true, 'pleiad', '')")
			return err
		})
	})
	if err != nil {
		return false, fmt.Errorf("backend %q: %w", db.targets[b].Name, err)
	}
	return true, nil
}
