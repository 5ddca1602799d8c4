package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/failpoint"
	"github.com/pleiad/pleiad/internal/replication"
)

// prepare makes what the move needs on both sides: detached tables on the target, a publication and a slot on the source.
func (m *move) prepare(ctx context.Context) error {
	if err := m.undo(ctx); err != nil {
		return err
	}
	if err := m.onHome(ctx, m.present(ctx)); err != nil {
		return err
	}
	m.copied.Store(0)
	if err := m.learnTables(ctx); err != nil {
		return err
	}
	err := m.onHome(ctx, func(home *pgx.Conn) error {
		_, _, err := m.detachOrder(ctx, home) // what cannot be switched is not begun
		return err
	})
	if err != nil {
		return err
	}
	err = m.on(ctx, m.source, func(conn *pgx.Conn) (err error) {
		m.shape, err = m.sourceShape(ctx, conn)
		return err
	})
	if err != nil {
		return err
	}
	if err := m.on(ctx, m.target, func(conn *pgx.Conn) error { return m.createTables(ctx, conn) }); err != nil {
		return err
	}
	failpoint.Hit("move-created")
	err = m.on(ctx, m.source, func(conn *pgx.Conn) error {
		parts := make([]replication.Table, len(m.tables))
		for i, t := range m.tables {
			parts[i] = t.Part
		}
		return patiently(ctx, conn, func() error { return replication.Publish(ctx, conn, m.slot(), parts) })
	})
	if err != nil {
		return err
	}
	failpoint.Hit("move-published")
	if err := m.beginStream(ctx); err != nil {
		return err
	}
	return m.advance(ctx, Prepared, "")
}

// present makes sure that the target takes part.
func (m *move) present(ctx context.Context) func(home *pgx.Conn) error {
	return func(home *pgx.Conn) error {
		var state string
		err := home.QueryRow(ctx, "SELECT state FROM pleiad.backend WHERE id = $1", m.targetID).Scan(&state)
		if err == nil && state == "absent" {
			err = fmt.Errorf("%w: %q", errNoPart, m.target)
		}
		return err
	}
}

// learnTables reads which tables the group has now.
func (m *move) learnTables(ctx context.Context) error {
	m.tables = nil
	if m.id < 0 {
		return m.learnReferences(ctx)
	}
	err := m.onHome(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT n.nspname::text, c.relname::text, pleiad.shard_relation(n.nspname, c.relname),
			pg_get_userbyid(c.relowner)::text
			FROM pleiad.sharded s JOIN pg_class c ON c.oid = s.relid JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE s.group_id = $1 ORDER BY 1, 2`, m.group)
		if err != nil {
			return err
		}
		var t shardTable
		_, err = pgx.ForEachRow(rows, []any{&t.Parent.Schema, &t.Parent.Name, &t.Part.Name, &t.Owner}, func() error {
			t.Part.Schema = m.schema()
			m.tables = append(m.tables, t)
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("read tables of group %d: %w", m.group, err)
	}
	return nil
}

// schema is where the shard's partitions are.
func (m *move) schema() string { return "pleiad_" + strconv.Itoa(m.shard) }

// sourceShape is what must stay as it is on the source from the move's beginning to its end.
func (m *move) sourceShape(ctx context.Context, conn *pgx.Conn) (shape string, err error) {
	err = conn.QueryRow(ctx, "SELECT pleiad.shard_shape($1::text[]::regclass[], $2)", m.parents(), m.shard).Scan(&shape)
	if err != nil {
		return "", fmt.Errorf("read shape of shard %d on %q: %w", m.shard, m.source, err)
	}
	return shape, nil
}

func (m *move) parents() []string {
	out := make([]string, len(m.tables))
	for i, t := range m.tables {
		out[i] = t.Parent.SQL()
	}
	return out
}

// createTables makes the target's tables. What the parents give is taken from there; the rest comes with the indexes.
func (m *move) createTables(ctx context.Context, conn *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pleiad.shard_schema($1)", m.shard); err != nil {
			return err
		}
		for _, t := range m.tables {
			if _, err := tx.Exec(ctx, "SELECT pleiad.free_name($1, $2)", t.Part.Schema, t.Part.Name); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "CREATE TABLE "+t.Part.SQL()+" (LIKE "+t.Parent.SQL()+" INCLUDING DEFAULTS INCLUDING GENERATED"+
				" INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)")
			if err != nil {
				return err
			}
			if err := dropUnvalidated(ctx, tx, t); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "ALTER TABLE "+t.Part.SQL()+" OWNER TO "+quoteIdent(t.Owner)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create tables on %q: %w", m.target, err)
	}
	return nil
}

// dropUnvalidated takes away the checks that were never applied to the rows that are about to come. They are added as such when
// the rows are there.
func dropUnvalidated(ctx context.Context, tx pgx.Tx, t shardTable) error {
	rows, err := tx.Query(ctx, "SELECT conname::text FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c' AND NOT convalidated", t.Parent.SQL())
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range names {
		if err == nil {
			_, err = tx.Exec(ctx, "ALTER TABLE "+t.Part.SQL()+" DROP CONSTRAINT "+quoteIdent(name))
		}
	}
	return err
}

// beginStream makes the slot, which waits for the transactions that are open on the source, and notes on the target where it
// begins.
func (m *move) beginStream(ctx context.Context) error {
	// A failover after this is seen by it, whenever it happens.
	timeline, err := m.timelineOf(ctx, m.source)
	if err != nil {
		return err
	}
	conn, err := connectReplication(ctx, m.cluster, m.source, m.database)
	if err != nil {
		return err
	}
	defer closing(conn)
	from, err := replication.CreateSlot(ctx, conn, m.slot())
	if err != nil {
		return err
	}
	failpoint.Hit("move-slot")
	err = m.on(ctx, m.target, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "INSERT INTO pleiad.incoming (move, nsp, rel, lsn, source_timeline, target_timeline) VALUES ($1, '', '', $2::text::pg_lsn, $3, "+
			timelineSQL+")", m.id, from, timeline)
		return err
	})
	if err != nil {
		return fmt.Errorf("note where the move begins: %w", err)
	}
	return nil
}

// undo removes all that the move has made, on both sides, whether it is there or not. The shard is still the source's.
func (m *move) undo(ctx context.Context) error {
	err := m.on(ctx, m.source, func(conn *pgx.Conn) error {
		if err := replication.DropSlot(ctx, conn, m.slot()); err != nil {
			return err
		}
		return patiently(ctx, conn, func() error { return replication.Unpublish(ctx, conn, m.slot()) })
	})
	if err != nil {
		return err
	}
	// A target that has been removed may be gone, and keeps nothing when it is added again.
	if err := m.onHome(ctx, m.present(ctx)); err != nil {
		if errors.Is(err, errNoPart) {
			return nil
		}
		return err
	}
	return m.on(ctx, m.target, func(conn *pgx.Conn) error {
		if err := m.dropDetached(ctx, conn); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "DELETE FROM pleiad.incoming WHERE move = $1", m.id)
		return err
	})
}

// dropDetached drops tables of the group's shard that are attached to nothing, and the shard's schema if it is empty
// then. Tables of the group that have been dropped meanwhile, or renamed, have left theirs behind: of the names in the
// schema, each that no attached partition and no other move has is this move's.
func (m *move) dropDetached(ctx context.Context, conn *pgx.Conn) error {
	var others []string
	err := m.onHome(ctx, func(home *pgx.Conn) (err error) {
		rows, err := home.Query(ctx, `SELECT DISTINCT pleiad.shard_relation(n.nspname, c.relname)
			FROM pleiad.move v JOIN pleiad.sharded s ON s.group_id = v.group_id JOIN pg_class c ON c.oid = s.relid
			JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE v.id <> $1 AND v.shard = $2 AND v.group_id <> $3 AND v.step NOT IN ('done', 'proposed', 'cancelled', 'failed')`,
			m.id, m.shard, m.group)
		if err == nil {
			others, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relkind = 'r' AND NOT c.relispartition AND c.relname <> ALL ($2::text[])`,
		m.schema(), append([]string{""}, others...))
	if err != nil {
		return fmt.Errorf("list detached tables: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list detached tables: %w", err)
	}
	for _, name := range names {
		t := replication.Table{Schema: m.schema(), Name: name}
		err := patiently(ctx, conn, func() error {
			_, err := conn.Exec(ctx, "DROP TABLE IF EXISTS "+t.SQL()+" CASCADE")
			return err
		})
		if err != nil {
			return fmt.Errorf("drop %s: %w", t.SQL(), err)
		}
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DO $$ BEGIN
			IF to_regnamespace(`+quoteLiteral(m.schema())+`) IS NOT NULL
			   AND NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace(`+quoteLiteral(m.schema())+`)) THEN
				EXECUTE 'DROP SCHEMA `+m.schema()+`';
			END IF; END $$`)
		return err
	})
}

// lockPatience is how long a statement may wait for a lock that others then wait behind.
const lockPatience = 100 * time.Millisecond

// patiently runs f with a short lock timeout as often as it takes: what it locks is in use by clients.
func patiently(ctx context.Context, conn *pgx.Conn, f func() error) error {
	if _, err := conn.Exec(ctx, "SELECT set_config('lock_timeout', $1, false)", lockPatience.String()); err != nil {
		return err
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := f()
		if !lockTimedOut(err) {
			if _, reset := conn.Exec(ctx, "SELECT set_config('lock_timeout', '0', false)"); reset != nil {
				return errors.Join(err, reset)
			}
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func lockTimedOut(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "55P03" || pg.Code == "40P01")
}
