package standby

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// drainLimit is how long a switchover waits for transactions to end before it breaks them.
const drainLimit = time.Second

// Switch lets a standby take over from a primary that is in good health: the named one, or, with "", the one with the
// most log. Nothing that was committed is lost; transactions that take longer than drainLimit to end are broken.
func (b *Backend) Switch(ctx context.Context, to string) error {
	if b.Alone() {
		return fmt.Errorf("backend %q has no standby", b.Name)
	}
	ctx, stop := context.WithTimeout(ctx, takeoverLimit)
	defer stop()
	b.taking.Lock()
	defer b.taking.Unlock()
	old, _ := b.Primary()
	if old < 0 {
		return ErrNoPrimary
	}
	t, err := b.begin(ctx, old)
	if err != nil {
		return err
	}
	defer t.end()
	c, err := t.named(to)
	if err != nil {
		return err
	}
	primary, err := b.Servers[old].dial(ctx)
	if err != nil {
		return fmt.Errorf("server %s: %w", b.Servers[old].Name, err)
	}
	defer hangUp(primary)
	began := time.Now()
	b.hold()
	if err := b.handOver(ctx, t, c, primary); err != nil {
		// The primary stays what it is.
		undo, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		if now, _ := b.Primary(); now == old {
			err = errors.Join(err, resetReadOnly(undo, primary))
			b.release()
		}
		return err
	}
	b.log.Warn("switchover", "backend", b.Name, "from", b.Servers[old].Name, "to", b.Servers[c.server].Name,
		"timeline", c.look.Timeline, "took_ms", time.Since(began).Milliseconds())
	return nil
}

// named finds the candidate that a switchover is to promote.
func (t *takeover) named(to string) (*candidate, error) {
	if to == "" {
		return t.choose()
	}
	for _, c := range t.candidates {
		if t.b.Servers[c.server].Name == to {
			return c, nil
		}
	}
	return nil, fmt.Errorf("backend %q has no standby %q that answers", t.b.Name, to)
}

// handOver stops the primary's writes, waits until the candidate has all of its log, and promotes that.
func (b *Backend) handOver(ctx context.Context, t *takeover, c *candidate, primary *pgx.Conn) error {
	if err := b.drain(ctx); err != nil {
		return err
	}
	if err := alterSystem(ctx, primary, "default_transaction_read_only", "on"); err != nil {
		return err
	}
	b.turn()
	// Clients that came past the proxy, too; a walsender stays.
	_, err := primary.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()`)
	if err != nil {
		return err
	}
	// This commit makes the server write its log to the end.
	if _, err := primary.Exec(ctx, "SET synchronous_commit = local; SELECT pg_catalog.pg_logical_emit_message(true, 'pleiad', '')"); err != nil {
		return err
	}
	end, err := askLSN(ctx, primary)
	if err != nil {
		return err
	}
	if _, err := b.Servers[c.server].Watch.Reached(ctx, end.LSN); err != nil {
		return fmt.Errorf("server %s does not get to %s: %w", b.Servers[c.server].Name, end.LSN, err)
	}
	if err := t.isolate(ctx); err != nil {
		return err
	}
	old := t.old
	b.noteOutdated(old)
	_, err = t.promote(ctx, c)
	return err
}

// drain waits until sessions have given back their connections to the primary, and no longer than drainLimit.
func (b *Backend) drain(ctx context.Context) error {
	deadline := time.Now().Add(drainLimit)
	for b.host.Busy(b.Name) > 0 && time.Now().Before(deadline) {
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func resetReadOnly(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "ALTER SYSTEM RESET default_transaction_read_only"); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "SELECT pg_catalog.pg_reload_conf()")
	return err
}
