package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/failpoint"
	"github.com/pleiad/pleiad/internal/replication"
)

// copyAll copies the tables that are not copied yet, each from a snapshot of its own whose place in the source's WAL is
// noted with it: from there on its changes are applied.
func (m *move) copyAll(ctx context.Context) error {
	if err := m.learnTables(ctx); err != nil {
		return err
	}
	if err := m.sameServers(ctx); err != nil {
		return err
	}
	for _, t := range m.tables {
		done := false
		err := m.on(ctx, m.target, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pleiad.incoming WHERE (move, nsp, rel) = ($1, $2, $3))",
				m.id, t.Part.Schema, t.Part.Name).Scan(&done)
		})
		if err != nil {
			return fmt.Errorf("read what is copied: %w", err)
		}
		if done {
			continue
		}
		if err := m.copyTable(ctx, t); err != nil {
			return fmt.Errorf("copy %s: %w", t.Part.SQL(), err)
		}
		failpoint.Hit("move-copied-table")
	}
	return m.advance(ctx, Copied, "")
}

func (m *move) copyTable(ctx context.Context, t shardTable) error {
	from, in, err := connectStream(ctx, m.cluster, m.source, m.database)
	if err != nil {
		return err
	}
	defer closing(from)
	at, err := replication.Snapshot(ctx, from, m.slot()+"_copy")
	if err != nil {
		return err
	}
	return m.on(ctx, m.target, func(to *pgx.Conn) error {
		columns, err := m.columns(ctx, to, t, false)
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, to, func(tx pgx.Tx) error {
			// Truncated in the same transaction, the rows can be written as frozen ones, and a copy that broke off is gone.
			with := " WITH (FREEZE)"
			clear := "TRUNCATE ONLY "
			if m.id < 0 { // foreign keys refer to the table
				with, clear = "", "DELETE FROM ONLY "
			}
			for _, sql := range []string{"SET LOCAL session_replication_role = replica", "SET LOCAL ROLE " + quoteIdent(t.Owner), clear + t.Part.SQL()} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
			list := t.Part.SQL() + " (" + columns + ")"
			rows, err := replication.StartCopyOut(ctx, from, in, "COPY "+list+" TO STDOUT")
			if err != nil {
				return err
			}
			defer rows.Close()
			_, err = to.PgConn().CopyFrom(ctx, &metered{ctx: ctx, from: rows, move: m, since: time.Now()}, "COPY "+list+" FROM STDIN"+with)
			if rows.Err() != nil {
				err = rows.Err() // the target only knows that it ended
			}
			if err == nil {
				_, err = tx.Exec(ctx, "RESET ROLE")
			}
			if err == nil {
				_, err = tx.Exec(ctx, "INSERT INTO pleiad.incoming (move, nsp, rel, lsn) VALUES ($1, $2, $3, $4::text::pg_lsn)",
					m.id, t.Part.Schema, t.Part.Name, at)
			}
			return err
		})
	})
}

// columns lists the partition's columns, without those that the server computes unless generated.
func (m *move) columns(ctx context.Context, conn *pgx.Conn, t shardTable, generated bool) (string, error) {
	rows, err := conn.Query(ctx, `SELECT attname::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0
		AND NOT attisdropped AND ($2 OR attgenerated = '') ORDER BY attname COLLATE "C"`, t.Part.SQL(), generated)
	if err != nil {
		return "", fmt.Errorf("read columns of %s: %w", t.Part.SQL(), err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", fmt.Errorf("read columns of %s: %w", t.Part.SQL(), err)
	}
	for i, n := range names {
		names[i] = quoteIdent(n)
	}
	return strings.Join(names, ", "), nil
}

// metered counts bytes, keeps to the rate, and gives way to clients.
type metered struct {
	ctx   context.Context
	from  io.Reader
	move  *move
	since time.Time // the last pause
}

func (r *metered) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	r.move.copied.Add(int64(n))
	if wait := r.move.rate.take(r.ctx, n); wait != nil {
		return n, wait
	}
	if wait := r.giveWay(); wait != nil {
		return n, wait
	}
	return n, err
}

// turn is how long a copy works before it looks whether it is in clients' way.
const turn = 10 * time.Millisecond

// giveWay pauses for as long as the copy has worked if clients' statements are running: where processors are scarce they keep
// more of them, and where they are not the copy still has half of its speed.
func (r *metered) giveWay() error {
	worked := time.Since(r.since)
	if worked < turn {
		return nil
	}
	if r.move.cluster.Pressed() {
		pause(r.ctx, min(worked, 2*turn))
	}
	r.since = time.Now()
	return r.ctx.Err()
}

// limiter shares a rate among the moves of a job. nil limits nothing.
type limiter struct {
	perSecond int64

	mu   sync.Mutex
	free time.Time // when what has been taken so far is paid for
}

func (l *limiter) take(ctx context.Context, n int) error {
	if l == nil || l.perSecond <= 0 {
		return nil
	}
	l.mu.Lock()
	now := time.Now()
	l.free = later(l.free, now).Add(time.Duration(float64(n) / float64(l.perSecond) * float64(time.Second)))
	wait := l.free.Sub(now) - burst
	l.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	pause(ctx, wait)
	return ctx.Err()
}

// burst is how far ahead of the rate a copy may be.
const burst = 50 * time.Millisecond

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// index gives the copies what their partitions on the source have: indexes, constraints, settings; and statistics.
func (m *move) index(ctx context.Context) error {
	if err := m.learnTables(ctx); err != nil {
		return err
	}
	if err := m.onHome(ctx, m.learnModulus(ctx)); err != nil {
		return err
	}
	for _, t := range m.tables {
		type piece struct {
			Phase     int
			Name, SQL string
		}
		var pieces []piece
		err := m.on(ctx, m.source, func(conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, "SELECT phase, name::text, sql FROM pleiad.shard_definition($1::text::regclass)", t.Part.SQL())
			if err == nil {
				pieces, err = pgx.CollectRows(rows, pgx.RowToStructByPos[piece])
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("read definition of %s: %w", t.Part.SQL(), err)
		}
		err = m.on(ctx, m.target, func(conn *pgx.Conn) error {
			// Sorting in memory is most of the time that an index takes.
			if _, err := conn.Exec(ctx, "SELECT set_config('maintenance_work_mem', '256MB', false) WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < 256 * 1024 * 1024"); err != nil {
				return err
			}
			if m.cluster.Pressed() { // one processor is enough
				if _, err := conn.Exec(ctx, "SET max_parallel_maintenance_workers = 0"); err != nil {
					return err
				}
			}
			for _, p := range pieces {
				if err := m.define(ctx, conn, t, p.Phase, p.Name, p.SQL); err != nil {
					return fmt.Errorf("%s: %w", p.SQL, err)
				}
			}
			if err := m.provePlacement(ctx, conn, t); err != nil {
				return err
			}
			_, err := conn.Exec(ctx, "ANALYZE "+t.Part.SQL())
			return err
		})
		if err != nil {
			return fmt.Errorf("define %s: %w", t.Part.SQL(), err)
		}
	}
	failpoint.Hit("move-indexed")
	return m.advance(ctx, Indexed, "")
}

// define runs one statement of a definition, unless an earlier attempt has.
func (m *move) define(ctx context.Context, conn *pgx.Conn, t shardTable, phase int, name, sql string) error {
	done := false
	var err error
	switch phase {
	case 1:
		err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE i.indrelid = $1::text::regclass AND c.relname = $2)`, t.Part.SQL(), name).Scan(&done)
		if err == nil && !done {
			_, err = conn.Exec(ctx, "SELECT pleiad.free_name($1, $2)", t.Part.Schema, name)
		}
	case 2:
		err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = $1::text::regclass AND conname = $2)",
			t.Part.SQL(), name).Scan(&done)
	}
	if err == nil && !done {
		_, err = conn.Exec(ctx, sql)
	}
	return err
}

func (m *move) learnModulus(ctx context.Context) func(*pgx.Conn) error {
	return func(home *pgx.Conn) error {
		if err := home.QueryRow(ctx, "SELECT modulus FROM pleiad.colocation WHERE id = $1", m.group).Scan(&m.modulus); err != nil {
			return fmt.Errorf("read group %d: %w", m.group, err)
		}
		return nil
	}
}

// placed is a check that says what the partition's bound is going to say. PostgreSQL takes it for proof when it attaches the
// table, and does not read the rows while statements are held. It does so where the key has no collation: the bound's
// expression has none, and a check's gets the columns'.
const placed = "pleiad_placed"

func (m *move) provePlacement(ctx context.Context, conn *pgx.Conn, t shardTable) error {
	var sql string
	err := conn.QueryRow(ctx, `SELECT format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (pg_catalog.satisfies_hash_partition(%L::oid, %s, %s, %s))',
			$1::text, $2::text, p.partrelid, $3::int, $4::int, string_agg(quote_ident(a.attname), ', ' ORDER BY k.place))
		FROM pg_partitioned_table p CROSS JOIN LATERAL unnest(p.partattrs::int2[]) WITH ORDINALITY AS k (attnum, place)
		JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k.attnum AND a.attcollation = 0
		WHERE p.partrelid = $5::text::regclass
		AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = $1::text::regclass AND conname = $2::text)
		GROUP BY p.partrelid, p.partnatts HAVING count(*) = p.partnatts`,
		t.Part.SQL(), placed, m.modulus, m.shard, t.Parent.SQL()).Scan(&sql)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		_, err = conn.Exec(ctx, sql)
	}
	if err != nil {
		return fmt.Errorf("prove where %s belongs: %w", t.Part.SQL(), err)
	}
	return nil
}
