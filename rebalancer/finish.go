package rebalancer

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/failpoint"
	"github.com/pleiad/pleiad/internal/replication"
)

// settlePart commits one backend's part of a decided switch.
func settlePart(ctx context.Context, conn *pgx.Conn, gid string) error {
	err := run(ctx, conn, "COMMIT PREPARED "+quoteLiteral(gid))
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42704" {
		return nil
	}
	return err
}

// finish leaves nothing of a switched move but its row. It is done as often as it takes.
func (m *move) finish(ctx context.Context) error {
	if m.gid != "" {
		for _, b := range []string{m.source, m.target} {
			if err := m.on(ctx, b, func(conn *pgx.Conn) error { return settlePart(ctx, conn, m.gid) }); err != nil {
				return fmt.Errorf("settle the switch on %q: %w", b, err)
			}
		}
		err := m.onHome(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "UPDATE pleiad.move SET gid = '' WHERE id = $1", m.id)
			if err == nil {
				_, err = conn.Exec(ctx, "DELETE FROM pleiad.commit_record WHERE gid = $1", m.gid)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("note that the switch is settled: %w", err)
		}
		m.gid = ""
	}
	err := m.on(ctx, m.source, func(conn *pgx.Conn) error {
		if err := replication.DropSlot(ctx, conn, m.slot()); err != nil {
			return err
		}
		failpoint.Hit("move-slot-dropped")
		if err := m.dropDetached(ctx, conn); err != nil {
			return err
		}
		return replication.Unpublish(ctx, conn, m.slot())
	})
	if err != nil {
		return err
	}
	failpoint.Hit("move-dropped")
	err = m.on(ctx, m.target, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "DELETE FROM pleiad.incoming WHERE move = $1", m.id)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget what came in: %w", err)
	}
	return m.advance(ctx, Done, "")
}
