package standby

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/lsn"
)

// takeoverLimit bounds one attempt to let another server take over.
const takeoverLimit = 30 * time.Second

// takeoverLock is an advisory lock on each standby that answers. Whoever promotes one holds it on more than half of
// them, so that of several proxies only one does; the numbers are ours.
const takeoverLock = "1886151017, 4"

// candidate is a standby during a takeover.
type candidate struct {
	server int
	conn   *pgx.Conn
	look   Look
}

// takeover is one attempt.
type takeover struct {
	b          *Backend
	old        int // the primary so far
	candidates []*candidate
}

// begin connects to the standbys and locks them, one after the other in the configuration's order: of two proxies the one
// that comes second waits at the first standby, and holds nothing. Fewer than a quorum of them is an error, and so is
// one that is a standby no more, for then somebody else was faster.
func (b *Backend) begin(ctx context.Context, old int) (*takeover, error) {
	t := &takeover{b: b, old: old}
	conns := make([]*pgx.Conn, len(b.Servers))
	errs := make([]error, len(b.Servers))
	connect, stop := context.WithTimeout(ctx, b.patience())
	var wg sync.WaitGroup
	for i, s := range b.Servers {
		if i != old {
			wg.Go(func() { conns[i], errs[i] = s.dial(connect) })
		}
	}
	wg.Wait()
	stop()
	for i, conn := range conns {
		if conn == nil {
			continue
		}
		if errs[i] = b.lock(ctx, i, conn); errs[i] == nil {
			t.candidates = append(t.candidates, &candidate{server: i, conn: conn})
		} else {
			hangUp(conn)
		}
	}
	err := t.each(func(c *candidate) (err error) {
		if c.look, err = askAll(ctx, c.conn); err == nil && !c.look.Recovering {
			err = &promotedError{c.server, c.look.Timeline}
		}
		return err
	})
	if need := Quorum(len(b.Servers)-1, b.settings().Confirm); err == nil && len(t.candidates) < need {
		err = errors.Join(fmt.Errorf("%d of %d standbys answer, and %d must before one is promoted",
			len(t.candidates), len(b.Servers)-1, need), errors.Join(errs...))
	}
	if err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// promotedError is a standby that somebody else was faster to promote, or an attempt of this process's that was cut short.
type promotedError struct {
	server   int
	timeline uint32
}

func (e *promotedError) Error() string { return "it is promoted already" }

func (t *takeover) end() {
	for _, c := range t.candidates {
		hangUp(c.conn)
	}
}

// lock takes the lock on a standby. A holder that does not get on is disconnected: what it would still do on that
// connection fails then.
func (b *Backend) lock(ctx context.Context, server int, conn *pgx.Conn) error {
	began := time.Now()
	for {
		var locked bool
		err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_try_advisory_lock("+takeoverLock+")").Scan(&locked)
		if err == nil && !locked && time.Since(began) > takeoverLimit/2 {
			_, err = conn.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_locks
				WHERE locktype = 'advisory' AND granted AND (classid, objid) = (`+takeoverLock+`)`)
		}
		if err == nil && !locked {
			err = pause(ctx, 20*time.Millisecond)
		}
		if err != nil {
			return fmt.Errorf("lock server %s: %w", b.Servers[server].Name, err)
		}
		if locked {
			return nil
		}
	}
}

// replace lets a standby take over from a primary that is lost. b.taking is held.
func (b *Backend) replace(ctx context.Context, old int) error {
	ctx, stop := context.WithTimeout(ctx, takeoverLimit)
	defer stop()
	began := time.Now()
	b.hold()
	t, err := b.begin(ctx, old)
	var promoted *promotedError
	if errors.As(err, &promoted) && promoted.timeline > b.knownTimeline() {
		return b.follow(ctx, promoted.server, promoted.timeline)
	}
	if err != nil {
		return err
	}
	defer t.end()
	known := b.Servers[old].Watch.Last().LSN
	_, fit := b.Servers[old].Watch.times()
	b.turn()
	if err := t.isolate(ctx); err != nil {
		return err
	}
	best, err := t.choose()
	if err != nil {
		return err
	}
	b.noteOutdated(old)
	forked, err := t.promote(ctx, best)
	if err != nil {
		return err
	}
	b.log.Warn("failover", "backend", b.Name, "from", b.Servers[old].Name, "to", b.Servers[best.server].Name,
		"timeline", best.look.Timeline, "lsn", forked.String(), "lost_bytes_seen", lost(known, forked),
		"unseen_ms", began.Sub(fit).Milliseconds(), "took_ms", time.Since(began).Milliseconds())
	return nil
}

// lost is how much of the old primary's log, as far as it was seen, the new one does not have.
func lost(known, forked lsn.LSN) uint64 {
	if known <= forked {
		return 0
	}
	return uint64(known - forked)
}

// fenceMark ends a primary_conninfo that leads nowhere; what stands before it is what it was.
const fenceMark = " host='/pleiad-fenced' hostaddr=''"

// isolate makes the standbys stop receiving from the old primary, which may be alive for others: from then on no commit
// is confirmed by enough of them, and what they have does not change.
func (t *takeover) isolate(ctx context.Context) error {
	return t.each(func(c *candidate) error {
		var err error
		if !strings.HasSuffix(c.look.ConnInfo, fenceMark) {
			if err = alterSystem(ctx, c.conn, "primary_conninfo", c.look.ConnInfo+fenceMark); err != nil {
				return err
			}
		}
		for {
			var receiving bool
			err := c.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver)"+
				" OR pg_catalog.current_setting('primary_conninfo') NOT LIKE '%/pleiad-fenced%'").Scan(&receiving)
			if err != nil {
				return err
			}
			if !receiving {
				break
			}
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
		if c.look, err = askAll(ctx, c.conn); err != nil {
			return err
		}
		c.look.Timeline, err = receivedTimeline(ctx, c.conn, c.look)
		return err
	})
}

// timelineSQL finds the timeline of the log that a standby has at a position: the newest that has the segment with the byte
// before it, or a later one. A standby that receives nothing tells only the one of its latest restartpoint, which may be older,
// and the standby with the most log would be passed over.
const timelineSQL = `SELECT coalesce(max(('x' || pg_catalog.left(name, 8))::bit(32)::int8), 0)
  FROM pg_catalog.pg_ls_waldir(), (SELECT pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) AS segment) s
  WHERE name ~ '^[0-9A-F]{24}$' AND ('x' || pg_catalog.substr(name, 9, 8))::bit(32)::int8 * (4294967296 / segment)
    + ('x' || pg_catalog.right(name, 8))::bit(32)::int8 >= pg_catalog.div(greatest($1::pg_catalog.pg_lsn - '0/0' - 1, 0), segment)`

// receivedTimeline is the newer one of that and what the control file told. Where no segment is found (a standby without its
// primary's last ones, or none yet) or the server does not list them, the control file has to do: no takeover fails for that.
func receivedTimeline(ctx context.Context, conn *pgx.Conn, l Look) (uint32, error) {
	var found int64
	err := conn.QueryRow(ctx, timelineSQL, l.Received.String()).Scan(&found)
	var refused *pgconn.PgError
	if err != nil && (!errors.As(err, &refused) || conn.IsClosed()) {
		return 0, fmt.Errorf("find the timeline at %s: %w", l.Received, err)
	}
	return max(l.Timeline, uint32(min(found, math.MaxUint32))), nil
}

// each runs f on every candidate at once.
func (t *takeover) each(f func(*candidate) error) error {
	errs := make([]error, len(t.candidates))
	var wg sync.WaitGroup
	for i, c := range t.candidates {
		wg.Go(func() {
			if err := f(c); err != nil {
				errs[i] = fmt.Errorf("server %s: %w", t.b.Servers[c.server].Name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// choose picks the candidate with the most log.
func (t *takeover) choose() (*candidate, error) {
	states := make([]State, len(t.b.Servers))
	for _, c := range t.candidates {
		states[c.server] = State{Answers: true, Recovering: true, Timeline: c.look.Timeline, Received: c.look.Received}
	}
	best, err := Choose(states, t.old, t.b.settings().Confirm)
	if err != nil {
		return nil, err
	}
	return t.candidate(best), nil
}

func (t *takeover) candidate(server int) *candidate {
	for _, c := range t.candidates {
		if c.server == server {
			return c
		}
	}
	return nil
}

// promote makes a candidate the primary and lets the others follow it. It returns where its timeline begins.
func (t *takeover) promote(ctx context.Context, c *candidate) (lsn.LSN, error) {
	b := t.b
	if err := b.carrySync(ctx, c.conn); err != nil {
		return 0, err
	}
	var done bool
	if err := c.conn.QueryRow(ctx, "SELECT pg_catalog.pg_promote(true, 20)").Scan(&done); err != nil {
		return 0, fmt.Errorf("promote server %s: %w", b.Servers[c.server].Name, err)
	}
	if !done {
		return 0, fmt.Errorf("promote server %s: it takes too long", b.Servers[c.server].Name)
	}
	conninfo := c.look.ConnInfo
	var err error
	if c.look, err = askAll(ctx, c.conn); err != nil {
		return 0, err
	}
	if c.look.ReadOnly {
		// What a switchover had left when this server was the primary.
		if _, err := c.conn.Exec(ctx, "ALTER SYSTEM RESET default_transaction_read_only"); err != nil {
			return 0, err
		}
	}
	if err := alterSystem(ctx, c.conn, "primary_conninfo", strings.TrimSuffix(conninfo, fenceMark)); err != nil {
		return 0, err
	}
	history, err := b.readHistory(ctx, c.server, c.look.Timeline)
	if err != nil {
		return 0, err
	}
	b.adopt(c.server, c.look.Timeline, history)
	b.keepRecord(ctx)
	b.release()
	var forked lsn.LSN
	if n := len(history); n > 0 {
		forked = history[n-1].LSN
	}
	for _, other := range t.candidates {
		if other == c {
			continue
		}
		if err := b.lead(ctx, other.conn, other.look.ConnInfo, c.conn, c.server); err != nil {
			b.log.Warn("standby_does_not_follow", "backend", b.Name, "server", b.Servers[other.server].Name, "error", err)
		}
	}
	return forked, nil
}

// lead lets a standby follow a primary, on a replication slot of the name it has.
func (b *Backend) lead(ctx context.Context, standby *pgx.Conn, conninfo string, primary *pgx.Conn, server int) error {
	var slot string
	if err := standby.QueryRow(ctx, "SELECT pg_catalog.current_setting('primary_slot_name')").Scan(&slot); err != nil {
		return err
	}
	if slot != "" {
		_, err := primary.Exec(ctx, `SELECT pg_catalog.pg_create_physical_replication_slot($1::name, true)
			WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $1::name)`, slot)
		if err != nil {
			return err
		}
	}
	return alterSystem(ctx, standby, "primary_conninfo", b.connInfo(conninfo, server))
}

// connInfo is a standby's primary_conninfo, changed to lead to a server.
func (b *Backend) connInfo(conninfo string, server int) string {
	return connInfoFor(strings.TrimSuffix(conninfo, fenceMark), b.Servers[server].Host, b.Servers[server].Port)
}

// connInfoFor is a primary_conninfo with another host and port. libpq takes the last of several values.
func connInfoFor(conninfo, host string, port int) string {
	if at := strings.Index(conninfo, leadMark); at >= 0 {
		conninfo = conninfo[:at]
	}
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	return fmt.Sprintf("%s%s%s' port=%d", conninfo, leadMark, quote.Replace(host), port)
}

// leadMark begins what is put behind a primary_conninfo.
const leadMark = " hostaddr='' host='"

// alterSystem sets a server-wide setting and has it read.
func alterSystem(ctx context.Context, conn *pgx.Conn, name, value string) error {
	quoted := "'" + strings.ReplaceAll(value, "'", "''") + "'"
	if strings.Contains(value, `\`) {
		quoted = "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	if _, err := conn.Exec(ctx, "ALTER SYSTEM SET "+name+" = "+quoted); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	_, err := conn.Exec(ctx, "SELECT pg_catalog.pg_reload_conf()")
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
