package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lib/pq"
)

// transcribe runs the same Go code on both sides and compares what it says.
func transcribe(t *testing.T, run func(t *testing.T, s *side, db string, say func(format string, args ...any))) {
	t.Helper()
	var outs [2]string
	for i, s := range both() {
		var b strings.Builder
		db := s.newDatabase(t)
		c := s.conn(t, db)
		s.exec(t, c, "create table kv (k int primary key, v text, doc jsonb, at timestamptz) partition by hash (k)")
		run(t, s, db, func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) })
		outs[i] = b.String()
	}
	if outs[0] != outs[1] {
		t.Errorf("%s", firstDifference(outs[0], outs[1], suite.target.name))
	}
	if outs[0] == "" {
		t.Error("nothing was said")
	}
}

func TestClientsPgx(t *testing.T) {
	t.Parallel()
	for name, queryMode := range map[string]pgx.QueryExecMode{
		"cache statement": pgx.QueryExecModeCacheStatement, "cache describe": pgx.QueryExecModeCacheDescribe,
		"describe exec": pgx.QueryExecModeDescribeExec, "exec": pgx.QueryExecModeExec,
		"simple protocol": pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(name, func(t *testing.T) {
			transcribe(t, func(t *testing.T, s *side, db string, say func(string, ...any)) {
				cfg, err := pgx.ParseConfig(s.dsn(db))
				if err != nil {
					t.Fatal(err)
				}
				cfg.DefaultQueryExecMode = queryMode
				ctx := ctxFor(t)
				c, err := pgx.ConnectConfig(ctx, cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close(ctx)
				pgxWork(ctx, t, c, say)
			})
		})
	}
}

// pgxWork uses pgx as applications do.
func pgxWork(ctx context.Context, t *testing.T, c *pgx.Conn, say func(string, ...any)) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for i := range 20 {
		tag, err := c.Exec(ctx, "insert into kv values ($1, $2, $3, $4)", i, fmt.Sprint("v", i), fmt.Sprintf(`{"i": %d}`, i), at)
		if err != nil {
			t.Fatal(err)
		}
		say("%s", tag)
	}
	type row struct {
		K   int
		V   *string
		Doc map[string]any
		At  *time.Time
	}
	rows, err := c.Query(ctx, "select * from kv where k < $1 order by k", 4)
	if err != nil {
		t.Fatal(err)
	}
	read, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	for _, r := range read {
		say("%d %s %v %s", r.K, *r.V, r.Doc, r.At.UTC())
	}
	say("%v", err)
	batch := &pgx.Batch{}
	for i := range 8 {
		batch.Queue("select v from kv where k = $1", i)
	}
	batch.Queue("update kv set v = 'batched' where k in ($1, $2)", 18, 19)
	batch.Queue("select v from kv where k = $1 or k = 19 order by k", 18)
	results := c.SendBatch(ctx, batch)
	for range 8 {
		var v string
		say("%v %s", results.QueryRow().Scan(&v), v)
	}
	tag, err := results.Exec()
	say("%s %v", tag, err)
	var v string
	say("%v %s", results.QueryRow().Scan(&v), v)
	say("%v", results.Close())

	failing := &pgx.Batch{}
	failing.Queue("insert into kv (k) values (500), (501), (502)")
	failing.Queue("insert into kv (k) values (1)")
	err = c.SendBatch(ctx, failing).Close()
	var pg *pgconn.PgError
	say("%t %s", errors.As(err, &pg), pg.Code)
	var n int
	say("%v", c.QueryRow(ctx, "select k from kv where k = 500").Scan(&n))

	copied, err := c.CopyFrom(ctx, pgx.Identifier{"kv"}, []string{"k", "v", "doc", "at"},
		pgx.CopyFromSlice(300, func(i int) ([]any, error) {
			return []any{1000 + i, fmt.Sprint("c", i), fmt.Sprintf(`{"i": %d}`, i), at}, nil
		}))
	say("%d %v", copied, err)
	rows, err = c.Query(ctx, "select k from kv where k >= 1000 order by k")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[int])
	say("%d %d %d %v", len(keys), keys[0], keys[len(keys)-1], err)

	say("%v", pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "delete from kv where k >= 1000"); err != nil {
			return err
		}
		inner, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		_, err = inner.Exec(ctx, "insert into kv (k) values (1)")
		say("%t", err != nil)
		if err := inner.Rollback(ctx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "insert into kv (k) values (2000), (2001)")
		return err
	}))
	rows, err = c.Query(ctx, "select k from kv where k >= 500 order by k desc")
	if err != nil {
		t.Fatal(err)
	}
	keys, err = pgx.CollectRows(rows, pgx.RowTo[int])
	say("%v %v", keys, err)
}

// TestClientsPgxPool has many goroutines share few connections.
func TestClientsPgxPool(t *testing.T) {
	t.Parallel()
	transcribe(t, func(t *testing.T, s *side, db string, say func(string, ...any)) {
		ctx := ctxFor(t)
		cfg, err := pgxpool.ParseConfig(s.dsn(db, "pool_max_conns=8"))
		if err != nil {
			t.Fatal(err)
		}
		pool, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for i := range 25 {
					k := w*100 + i
					if _, err := pool.Exec(ctx, "insert into kv (k, v) values ($1, $2)", k, fmt.Sprint(k)); err != nil {
						t.Errorf("%s: insert %d: %v", s.name, k, err)
						return
					}
					var v string
					if err := pool.QueryRow(ctx, "select v from kv where k = $1", k).Scan(&v); err != nil || v != fmt.Sprint(k) {
						t.Errorf("%s: read %d: %q, %v", s.name, k, v, err)
						return
					}
				}
			})
		}
		wg.Wait()
		rows, err := pool.Query(ctx, "select k from kv order by k")
		if err != nil {
			t.Fatal(err)
		}
		keys, err := pgx.CollectRows(rows, pgx.RowTo[int])
		say("%v %v", keys, err)
	})
}

// TestClientsNotify has listeners on some sessions and notifiers on others.
func TestClientsNotify(t *testing.T) {
	t.Parallel()
	transcribe(t, func(t *testing.T, s *side, db string, say func(string, ...any)) {
		ctx := ctxFor(t)
		listeners := []*pgx.Conn{s.conn(t, db), s.conn(t, db)}
		for _, l := range listeners {
			s.exec(t, l, "listen events")
		}
		sender := s.conn(t, db)
		for i := range 5 {
			s.exec(t, sender, fmt.Sprintf("notify events, '%d'", i))
		}
		tx, err := sender.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, "select pg_notify('events', 'undone')"); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
		s.exec(t, sender, "notify events, 'last'")
		for i, l := range listeners {
			for {
				n, err := l.WaitForNotification(ctx)
				if err != nil {
					t.Fatalf("%s: listener %d: %v", s.name, i, err)
				}
				say("%d %s %s", i, n.Channel, n.Payload)
				if n.Payload == "last" {
					break
				}
			}
			// A session that listens works on as any other.
			say("%s", s.one(t, l, "select 'alive'"))
		}
	})
}

func TestClientsLibPQ(t *testing.T) {
	t.Parallel()
	for name, params := range map[string][]string{"text": nil, "binary parameters": {"binary_parameters=yes"}} {
		t.Run(name, func(t *testing.T) {
			transcribe(t, func(t *testing.T, s *side, db string, say func(string, ...any)) {
				d, err := sql.Open("postgres", s.dsn(db, params...))
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				libpqWork(ctxFor(t), t, d, say)
				libpqListen(t, s.dsn(db), d, say)
			})
		})
	}
}

func libpqWork(ctx context.Context, t *testing.T, d *sql.DB, say func(string, ...any)) {
	insert, err := d.PrepareContext(ctx, "insert into kv (k, v, at) values ($1, $2, $3)")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if _, err := insert.ExecContext(ctx, i, sql.NullString{String: fmt.Sprint("v", i), Valid: i%3 != 0}, time.Unix(int64(i), 0).UTC()); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := d.QueryContext(ctx, "select k, v, at from kv where k = any($1) order by k", pq.Array([]int{1, 2, 3, 28}))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var k int
		var v sql.NullString
		var at time.Time
		if err := rows.Scan(&k, &v, &at); err != nil {
			t.Fatal(err)
		}
		say("%d %v %s", k, v, at.UTC())
	}
	say("%v", rows.Err())
	tx, err := d.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	copyIn, err := tx.Prepare("copy kv (k, v) from stdin")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := copyIn.Exec(100+i, fmt.Sprintf("copied\t%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := copyIn.Exec(); err != nil {
		t.Fatal(err)
	}
	if err := copyIn.Close(); err != nil {
		t.Fatal(err)
	}
	say("%v", tx.Commit())
	result, err := d.ExecContext(ctx, "update kv set v = 'all' where k >= 100")
	if err != nil {
		t.Fatal(err)
	}
	n, err := result.RowsAffected()
	say("%d %v", n, err)
	_, err = d.ExecContext(ctx, "insert into kv (k) values (1)")
	var pe *pq.Error
	say("%t %s %s %s", errors.As(err, &pe), pe.Code, pe.Constraint, pe.Message)
}

func libpqListen(t *testing.T, dsn string, d *sql.DB, say func(string, ...any)) {
	l := pq.NewListener(dsn, 10*time.Millisecond, time.Second, nil)
	defer l.Close()
	if err := l.Listen("news"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Exec("select pg_notify('news', 'by lib/pq')"); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-l.Notify:
		say("%s %s", n.Channel, n.Extra)
	case <-time.After(30 * time.Second):
		t.Fatal("no notification within 30 s")
	}
}
