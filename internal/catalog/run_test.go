package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/router"
)

// client runs statements over both servers as a proxy would: one connection to each, as one user.
type client struct {
	t     *testing.T
	conns []*pgx.Conn
	env   router.Env
	gids  int
}

// client connects as user, who must exist.
func (db *testDB) client(user string) *client {
	db.t.Helper()
	c := &client{t: db.t, env: router.Env{Path: []string{"public"}, User: user, DefaultDistribution: "local", ShardCount: 4}}
	for _, s := range cluster.Primaries() {
		cfg, err := pgx.ParseConfig(s.DSN(db.name))
		if err != nil {
			db.t.Fatal(err)
		}
		cfg.User = user
		conn, err := pgx.ConnectConfig(db.t.Context(), cfg)
		if err != nil {
			db.t.Fatal(err)
		}
		db.t.Cleanup(func() { conn.Close(context.WithoutCancel(db.t.Context())) })
		c.conns = append(c.conns, conn)
	}
	c.reload()
	return c
}

func (c *client) reload() {
	c.t.Helper()
	s, err := LoadSnapshot(c.t.Context(), pgxQuerier{c.conns[0]})
	if err != nil {
		c.t.Fatal(err)
	}
	c.env.Schema = s
}

// must runs a statement that succeeds.
func (c *client) must(sql string) {
	c.t.Helper()
	if err := c.run(sql); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
}

// refused runs a statement that fails with this SQLSTATE.
func (c *client) refused(code, sql string) {
	c.t.Helper()
	err := c.run(sql)
	var pg *pgconn.PgError
	switch {
	case err == nil:
		c.t.Errorf("%s: no error, want %s", sql, code)
	case errors.As(err, &pg) && pg.Code == code:
	case strings.Contains(err.Error(), code):
	default:
		c.t.Errorf("%s: %v, want %s", sql, err, code)
	}
}

func (c *client) run(sql string) error {
	c.t.Helper()
	p := router.Plan(sql, c.env)
	switch p.Kind {
	case router.KindRefuse:
		return p.Refusal
	case router.KindHome:
		return c.exec([]int{0}, sql)
	case router.KindDDL:
	default:
		return fmt.Errorf("kind %d is not a schema change", p.Kind)
	}
	defer c.reload()
	if p.DDL.InTxn {
		return c.transaction(p.DDL)
	}
	for i, s := range p.DDL.Steps {
		if err := c.exec(c.backends(s), s.SQL); err != nil {
			for j := i; j >= 0; j-- {
				if u := p.DDL.Steps[j]; u.Undo != "" {
					err = errors.Join(err, c.exec(c.backends(u), u.Undo))
				}
			}
			return err
		}
	}
	return nil
}

// transaction runs the steps and commits in two phases.
func (c *client) transaction(d *router.DDL) error {
	both := []int{0, 1}
	if err := c.exec(both, "BEGIN"); err != nil {
		return err
	}
	for _, s := range d.Steps {
		sql := s.SQL
		if s.Password != nil {
			v, err := auth.NewScramVerifier(s.Password.Plain)
			if err != nil {
				return err
			}
			sql = sql[:s.Password.Start] + "'" + v + "'" + sql[s.Password.End:]
		}
		err := c.exec(c.backends(s), sql)
		if err == nil && s.Same && text(c.t, c.conns[0], sql) != text(c.t, c.conns[1], sql) {
			err = router.DiffersError
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", sql, err), c.exec(both, "ROLLBACK"))
		}
	}
	c.gids++
	gid := fmt.Sprintf("pleiad_test_%s_%d", c.env.Schema.Database, c.gids)
	if err := c.exec(both, "PREPARE TRANSACTION '"+gid+"'"); err != nil {
		return err
	}
	return c.exec(both, "COMMIT PREPARED '"+gid+"'")
}

func (c *client) backends(s router.Step) []int {
	switch s.Where {
	case router.WhereAll:
		return []int{0, 1}
	case router.WhereOthers:
		return []int{1}
	case router.WhereOne:
		return []int{s.Backend}
	}
	return []int{0}
}

// exec runs sql on these backends at once. Home's error counts before the other's.
func (c *client) exec(on []int, sql string) error {
	errs := make([]error, len(on))
	var wg sync.WaitGroup
	for i, b := range on {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, errs[i] = c.conns[b].PgConn().Exec(c.t.Context(), sql).ReadAll()
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// same checks that a query gives the same text on both servers, and returns it.
func (c *client) same(sql string) string {
	c.t.Helper()
	a, b := text(c.t, c.conns[0], sql), text(c.t, c.conns[1], sql)
	if a != b {
		c.t.Errorf("%s:\n home %s\nother %s", sql, a, b)
	}
	return a
}

// both is a query's text on home and on the other server.
func (c *client) both(sql string) [2]string {
	c.t.Helper()
	return [2]string{text(c.t, c.conns[0], sql), text(c.t, c.conns[1], sql)}
}
