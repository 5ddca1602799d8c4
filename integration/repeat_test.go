package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// TestReadsRunAgain ends reads while standbys run them. The primaries answer then, in either protocol, and the client
// sees nothing of it; but not in a transaction, and not where somebody ends the statement on purpose.
func TestReadsRunAgain(t *testing.T) {
	r := serveReplicated(t, "failover:\n  detect: 1s\n")
	db := r.kv(t, 4)
	r.caughtUp(t)
	c := r.conn(t, db)
	settings := "options=-c pleiad.consistency=eventual"
	// slow is one backend's read, or all backends', with a mark to find it by.
	slow := func(mark, where string) string {
		return "select count(*) from kv, generate_series(1, 2000000) as " + mark + " (i) where " + where + " and i % 10 <> 5"
	}
	ended := map[string]func(t *testing.T, s *devcluster.Server, mark string){
		"killed": func(t *testing.T, s *devcluster.Server, _ string) {
			if err := errors.Join(s.Kill(), s.Start(t.Context())); err != nil {
				t.Error(err)
			}
		},
		"stopped": func(t *testing.T, s *devcluster.Server, _ string) {
			if err := errors.Join(s.Stop(devcluster.Fast), s.Start(t.Context())); err != nil {
				t.Error(err)
			}
		},
		"crashed": func(t *testing.T, s *devcluster.Server, _ string) {
			if err := errors.Join(s.Stop(devcluster.Immediate), s.Start(t.Context())); err != nil {
				t.Error(err)
			}
		},
		"replay": func(t *testing.T, s *devcluster.Server, _ string) {
			r.on(t, s, "alter system set max_standby_streaming_delay = 0")
			r.on(t, s, "select pg_reload_conf()")
			r.exec(t, c, "begin; lock table kv; commit")
			r.on(t, s, "alter system reset max_standby_streaming_delay")
			r.on(t, s, "select pg_reload_conf()")
		},
	}
	runs := map[string]func(conn *pgconn.PgConn, sql string) *pgconn.Result{
		"simple": func(conn *pgconn.PgConn, sql string) *pgconn.Result {
			all, err := conn.Exec(t.Context(), sql).ReadAll()
			if err != nil || len(all) != 1 {
				return &pgconn.Result{Err: err}
			}
			return all[0]
		},
		"extended": func(conn *pgconn.PgConn, sql string) *pgconn.Result {
			return conn.ExecParams(t.Context(), sql, nil, nil, nil, nil).Read()
		},
	}
	number := 0
	for _, how := range []string{"killed", "stopped", "crashed", "replay"} {
		for protocol, run := range runs {
			for _, where := range []string{"k = 1", "k > 0"} {
				if how != "killed" && (protocol == "simple") != (where == "k = 1") {
					continue
				}
				number++
				mark := "mark" + string(rune('a'+number))
				t.Run(how+" "+protocol+" "+where, func(t *testing.T) {
					conn := r.low(t, db, nil, settings)
					done := make(chan *pgconn.Result, 1)
					go func() { done <- run(conn, slow(mark, where)) }()
					s := r.running(t, mark, done)
					if s == nil {
						return
					}
					ended[how](t, s, mark)
					want := map[string]string{"k = 1": "1800000", "k > 0": "7200000"}[where]
					got := <-done
					if got.Err != nil || len(got.Rows) != 1 || string(got.Rows[0][0]) != want {
						t.Errorf("%v %q", got.Err, got.Rows)
					}
					r.caughtUp(t)
				})
			}
		}
	}
	for _, x := range []struct{ name, first string }{
		{"transaction", "begin read only"},
		{"on purpose", "select 1"},
		{"temporary table", "create temp table kv as select 1 as k"}, // what hid the other one is lost with the connection
	} {
		t.Run(x.name, func(t *testing.T) {
			conn := r.low(t, db, nil, settings)
			if err := conn.Exec(t.Context(), x.first).Close(); err != nil {
				t.Fatal(err)
			}
			done := make(chan *pgconn.Result, 1)
			go func() { done <- runs["simple"](conn, slow("markz", "k = 1")) }()
			s := r.running(t, "markz", done)
			if s == nil {
				return
			}
			if x.name == "on purpose" {
				r.on(t, s, "select pg_terminate_backend(pid) from pg_stat_activity where query like '%markz%' and pid <> pg_backend_pid()")
			} else {
				ended["killed"](t, s, "markz")
			}
			var pg *pgconn.PgError
			if got := <-done; !errors.As(got.Err, &pg) || pg.Code != "08006" {
				t.Errorf("%v %q", got.Err, got.Rows)
			}
			r.caughtUp(t)
		})
	}
}

// running waits until a server runs a statement that has a mark, and gives it; nil when the statement ended first.
func (r *replicated) running(t *testing.T, mark string, done chan *pgconn.Result) (at *devcluster.Server) {
	t.Helper()
	eventually(t, 20*time.Second, "a server runs it", func() bool {
		for _, s := range r.cluster.Servers() {
			if r.on(t, s, "select count(*) from pg_stat_activity where state = 'active' and query like '%"+mark+"%' and pid <> pg_backend_pid()") != "0" {
				at = s
				return true
			}
		}
		select {
		case got := <-done:
			t.Errorf("it ended before it was seen: %v %q", got.Err, got.Rows)
			return true
		default:
			return false
		}
	})
	return at
}
