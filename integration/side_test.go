package integration

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// callLimit bounds every single call of a test, so that a hang shows as an error where it is.
const callLimit = 60 * time.Second

// side is one of the two databases that must behave alike.
type side struct {
	name     string
	addr     string // host:port
	user     string
	database string // one that exists from the start
	pleiad   bool   // places sharded tables by itself; else the harness makes the partitions
	pid      int    // of pleiad
	binDir   string
	socket   string   // directory of the server's Unix socket; "" for TCP
	login    []string // parameters of every connection, as a password
}

func parseURI(uri string) (*side, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("read URI: %w", err)
	}
	if u.Scheme != "postgres" || u.User.Username() == "" || u.Port() == "" || len(u.Path) < 2 {
		return nil, fmt.Errorf("read URI: %q is not postgres://USER@HOST:PORT/DB", uri)
	}
	return &side{addr: u.Host, user: u.User.Username(), database: u.Path[1:]}, nil
}

// dsn returns a URI; params are key=value pairs.
func (s *side) dsn(database string, params ...string) string {
	q := url.Values{"sslmode": {"disable"}}
	user := s.user
	for _, p := range append(append([]string(nil), s.login...), params...) {
		k, v, _ := strings.Cut(p, "=")
		if k == "user" {
			user = v
			continue
		}
		q.Set(k, v)
	}
	if s.socket != "" {
		_, port, _ := strings.Cut(s.addr, ":")
		q.Set("host", s.socket)
		q.Set("port", port)
		return fmt.Sprintf("postgres://%s@/%s?%s", user, database, strings.ReplaceAll(q.Encode(), "+", "%20"))
	}
	// libpq does not read "+" as a space.
	return fmt.Sprintf("postgres://%s@%s/%s?%s", user, s.addr, database, strings.ReplaceAll(q.Encode(), "+", "%20"))
}

func ctxFor(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), callLimit)
	t.Cleanup(cancel)
	return ctx
}

// conn opens a connection that ends with the test.
func (s *side) conn(t testing.TB, database string, params ...string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(s.dsn(database, params...))
	if err != nil {
		t.Fatalf("read configuration: %v", err)
	}
	c, err := pgx.ConnectConfig(ctxFor(t), cfg)
	if err != nil {
		t.Fatalf("connect to %s: %v", s.name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx) // a test may have broken it on purpose
	})
	return c
}

// low opens a connection without pgx's own caches; notices go to onNotice if it is not nil.
func (s *side) low(t testing.TB, database string, onNotice func(*pgconn.Notice), params ...string) *pgconn.PgConn {
	t.Helper()
	return s.listening(t, database, onNotice, nil, params...)
}

// listening is low with a place for notifications.
func (s *side) listening(t testing.TB, database string, onNotice func(*pgconn.Notice), onNotification func(*pgconn.Notification), params ...string) *pgconn.PgConn {
	t.Helper()
	cfg, err := pgconn.ParseConfig(s.dsn(database, params...))
	if err != nil {
		t.Fatalf("read configuration: %v", err)
	}
	if onNotice != nil {
		cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { onNotice(n) }
	}
	if onNotification != nil {
		cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { onNotification(n) }
	}
	c, err := pgconn.ConnectConfig(ctxFor(t), cfg)
	if err != nil {
		t.Fatalf("connect to %s: %v", s.name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

var databaseNumber atomic.Int64

// newDatabase makes a database that goes with the test.
func (s *side) newDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("database_%04d", databaseNumber.Add(1))
	s.createDatabase(t, name)
	return name
}

func (s *side) createDatabase(t testing.TB, name string) {
	t.Helper()
	s.admin(t, "create database "+name)
	t.Cleanup(func() { s.admin(t, "drop database if exists "+name+" with (force)") })
}

// admin runs one statement in the database that is always there.
func (s *side) admin(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	c, err := pgconn.Connect(ctx, s.dsn(s.database))
	if err != nil {
		t.Fatalf("connect to %s: %v", s.name, err)
	}
	defer c.Close(ctx)
	if err := c.Exec(ctx, sql).Close(); err != nil {
		t.Fatalf("%s: %s: %v", s.name, sql, err)
	}
}

// exec runs SQL that must succeed; what it makes sharded gets its partitions.
func (s *side) exec(t testing.TB, c *pgx.Conn, sql string, args ...any) pgconn.CommandTag {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	tag, err := c.Exec(ctx, s.dialect(sql), args...)
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, brief(sql), err)
	}
	if err := s.afterDDL(ctx, c.PgConn(), sql); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return tag
}

// text runs a query and returns its rows, fields joined by "|", NULL as "∅".
func (s *side) text(t testing.TB, c *pgx.Conn, sql string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	results, err := c.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, brief(sql), err)
	}
	var rows []string
	for _, r := range results {
		for _, row := range r.Rows {
			rows = append(rows, joinRow(row))
		}
	}
	return rows
}

// one is text for a query of one row and one field.
func (s *side) one(t testing.TB, c *pgx.Conn, sql string) string {
	t.Helper()
	rows := s.text(t, c, sql)
	if len(rows) != 1 {
		t.Fatalf("%s: %s: %d rows, want 1", s.name, brief(sql), len(rows))
	}
	return rows[0]
}

func joinRow(row [][]byte) string {
	fields := make([]string, len(row))
	for i, f := range row {
		if f == nil {
			fields[i] = "∅"
		} else {
			fields[i] = string(f)
		}
	}
	return strings.Join(fields, "|")
}

// brief shortens SQL for messages.
func brief(sql string) string {
	s := strings.Join(strings.Fields(sql), " ")
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// needPleiad ends a test that has no meaning when a second PostgreSQL stands in.
func needPleiad(t testing.TB) *side {
	t.Helper()
	if !suite.target.pleiad {
		t.Fatal("this test judges pleiad itself: run it without PLEIAD_TEST_TARGET")
	}
	return suite.target
}

// both returns the two sides, what is right first.
func both() []*side { return []*side{suite.plain, suite.target} }

// eventually polls until ok or the limit; what says what was awaited.
func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
