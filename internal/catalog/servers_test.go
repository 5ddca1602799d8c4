package catalog

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// cluster is two plain servers that all tests of the package share; each test has its own database.
var cluster *devcluster.Cluster

var databases atomic.Int32

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	c, err := devcluster.Start(context.Background(), devcluster.Options{Backends: 2, Fast: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cluster = c
	code := m.Run()
	if err := c.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// testDB is one new database on both servers; conns[0] is to home, as the superuser.
type testDB struct {
	t     *testing.T
	name  string
	conns []*pgx.Conn
}

func newDB(t *testing.T) *testDB {
	t.Helper()
	db := &testDB{t: t, name: fmt.Sprintf("db%d", databases.Add(1))}
	for i, s := range cluster.Primaries() {
		admin := connect(t, s.DSN("postgres"))
		mustExec(t, admin, "CREATE DATABASE "+db.name)
		db.conns = append(db.conns, connect(t, s.DSN(db.name)))
		role := RoleOther
		if i == 0 {
			role = RoleHome
		}
		if err := Install(t.Context(), db.conns[i], role); err != nil {
			t.Fatal(err)
		}
	}
	_, err := PutBackends(t.Context(), db.conns[0], []Backend{{Name: "b1", Home: true, Weight: 1}, {Name: "b2", Weight: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func mustExec(t *testing.T, c *pgx.Conn, script string) {
	t.Helper()
	if _, err := c.PgConn().Exec(t.Context(), script).ReadAll(); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// text runs a statement that gives one value.
func text(t *testing.T, c *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	var s *string
	if err := c.QueryRow(t.Context(), sql, args...).Scan(&s); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if s == nil {
		return "NULL"
	}
	return *s
}

// pgxQuerier reads snapshots over pgx.
type pgxQuerier struct{ c *pgx.Conn }

func (q pgxQuerier) QueryText(ctx context.Context, sql string) ([]byte, error) {
	var s string
	err := q.c.QueryRow(ctx, sql).Scan(&s)
	return []byte(s), err
}

// benchDB is an installed database on home.
func benchDB(b *testing.B) (*pgx.Conn, func()) {
	b.Helper()
	ctx := b.Context()
	s := cluster.Primaries()[0]
	admin, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close(ctx)
	name := fmt.Sprintf("bench%d", databases.Add(1))
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, s.DSN(name))
	if err == nil {
		err = Install(ctx, conn, RoleHome)
	}
	if err == nil {
		_, err = PutBackends(ctx, conn, []Backend{{Name: "b1", Home: true, Weight: 1}})
	}
	if err != nil {
		b.Fatal(err)
	}
	return conn, func() { conn.Close(context.WithoutCancel(ctx)) }
}
