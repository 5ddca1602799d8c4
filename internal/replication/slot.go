package replication

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoSlot says that a slot is gone: logical slots do not survive a failover of their server before PostgreSQL 17, and
// one that held back more WAL than max_slot_wal_keep_size is invalid.
var ErrNoSlot = errors.New("replication slot does not exist")

const (
	undefinedObject = "42704"
	duplicateObject = "42710"
	objectInUse     = "55006"
)

// CreateSlot makes a permanent logical slot for a publication's changes, from its result on. conn speaks the
// replication protocol. The server waits for the transactions that are open at that moment.
func CreateSlot(ctx context.Context, conn *pgconn.PgConn, name string) (from string, err error) {
	return createSlot(ctx, conn, "CREATE_REPLICATION_SLOT "+name+" LOGICAL pgoutput NOEXPORT_SNAPSHOT")
}

// Snapshot opens a transaction on conn that sees the database as it was at a position of its WAL: every transaction
// that a slot shows as committed before it, and none of the others. conn speaks the replication protocol; name
// is of a slot that lives as long as the connection.
func Snapshot(ctx context.Context, conn *pgconn.PgConn, name string) (at string, err error) {
	if _, err := conn.Exec(ctx, "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ").ReadAll(); err != nil {
		return "", fmt.Errorf("begin snapshot: %w", err)
	}
	return createSlot(ctx, conn, "CREATE_REPLICATION_SLOT "+name+" TEMPORARY LOGICAL pgoutput USE_SNAPSHOT")
}

func createSlot(ctx context.Context, conn *pgconn.PgConn, command string) (string, error) {
	results, err := conn.Exec(ctx, command).ReadAll()
	if err != nil {
		return "", fmt.Errorf("create replication slot: %w", err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < 2 {
		return "", errors.New("create replication slot: the server gave no position")
	}
	return string(results[0].Rows[0][1]), nil
}

// DropSlot drops a slot if it is there, and ends whoever reads it.
func DropSlot(ctx context.Context, conn *pgx.Conn, name string) error {
	for {
		_, err := conn.Exec(ctx, "SELECT pg_catalog.pg_drop_replication_slot($1)", name)
		switch code(err) {
		case "":
			if err != nil {
				return fmt.Errorf("drop replication slot %s: %w", name, err)
			}
			return nil
		case undefinedObject:
			return nil
		case objectInUse:
		default:
			return fmt.Errorf("drop replication slot %s: %w", name, err)
		}
		// Its reader is a connection of pleiad's own, most likely of a proxy that was killed. With a timeout the function
		// waits until the process is gone.
		if _, err := conn.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(active_pid, 5000)
			FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active`, name); err != nil {
			return fmt.Errorf("end reader of replication slot %s: %w", name, err)
		}
	}
}

// SlotWAL is how many bytes of WAL the server keeps for a slot, and how many its reader has not confirmed. ErrNoSlot when
// there is none that can be read.
func SlotWAL(ctx context.Context, conn *pgx.Conn, name string) (kept, behind int64, err error) {
	var lost bool
	err = conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn), 0)::bigint,
		coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), confirmed_flush_lsn), 0)::bigint,
		coalesce(wal_status = 'lost', false)
		FROM pg_catalog.pg_replication_slots WHERE slot_name = $1`, name).Scan(&kept, &behind, &lost)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && lost {
		return 0, 0, ErrNoSlot
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read replication slot %s: %w", name, err)
	}
	return kept, behind, nil
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteLiteral(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }
