package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// finishPatience is how long one attempt to finish waits for standbys. Nobody waits for it but the source's disk.
const finishPatience = 10 * time.Second

// finish leaves nothing of a switched move but its row. It is done as often as it takes.
func (m *move) finish(ctx context.Context) error {
	err := m.on(ctx, m.source, func(conn *pgx.Conn) error { return replication.DropSlot(ctx, conn, m.slot()) })
	if err != nil {
		return err
	}
	failpoint.Hit("move-slot-dropped")
	if m.gid != "" {
		for _, b := range []string{m.source, m.target} {
			err := m.on(ctx, b, func(conn *pgx.Conn) error {
				if err := settlePart(ctx, conn, m.gid); err != nil {
					return err
				}
				// The record is what a part is committed by that a failover brings back as a prepared one.
				return m.durable(ctx, b, conn, finishPatience)
			})
			if err != nil {
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
	err = m.on(ctx, m.source, func(conn *pgx.Conn) error {
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
