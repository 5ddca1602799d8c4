package integration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestDatabasesInUse drops, renames and copies databases that clients are connected to, who may have no server's connection
// to show for it, and that they have left.
func TestDatabasesInUse(t *testing.T) {
	t.Parallel()
	for _, s := range both() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var wait sync.WaitGroup
			dbs := make([]string, 3)
			idle := make([]*pgx.Conn, 3)
			for i, sql := range []string{"drop database %[1]s", "alter database %[1]s rename to %[1]s_new", "create database %[1]s_new template %[1]s"} {
				db := s.newDatabase(t)
				t.Cleanup(func() { s.admin(t, "drop database if exists "+db+"_new with (force)") })
				dbs[i], idle[i] = db, s.conn(t, db)
				table := "create table kept (id int primary key)"
				if s.pleiad {
					table += " partition by hash (id)"
				}
				s.exec(t, idle[i], table)
				s.exec(t, idle[i], "insert into kept select generate_series(1, 40)")
				admin := s.conn(t, s.database)
				wait.Go(func() {
					_, err := admin.Exec(t.Context(), fmt.Sprintf(sql, db))
					want := fmt.Sprintf("database %q is being accessed by other users", db)
					if i == 2 {
						want = "source " + want
					}
					var pg *pgconn.PgError
					if !errors.As(err, &pg) || pg.Code != "55006" || pg.Message != want || pg.Detail != "There is 1 other session using the database." {
						t.Errorf("%s: %+v", sql, err)
					}
				})
			}
			wait.Wait()
			admin := s.conn(t, s.database)
			for _, c := range idle[1:] {
				c.Close(t.Context())
			}
			s.exec(t, admin, fmt.Sprintf("alter database %[1]s rename to %[1]s_new", dbs[1]))
			s.exec(t, admin, fmt.Sprintf("create database %[1]s_new template %[1]s", dbs[2]))
			for _, db := range dbs[1:] {
				if got := s.text(t, s.conn(t, db+"_new"), "select count(*) from kept"); fmt.Sprint(got) != "[40]" {
					t.Errorf("%s_new has %s", db, got)
				}
			}
			s.exec(t, idle[0], "begin")
			s.exec(t, idle[0], "update kept set id = id + 100")
			another := s.conn(t, dbs[0])
			s.exec(t, admin, "drop database "+dbs[0]+" with (force)")
			for _, c := range []*pgx.Conn{idle[0], another} {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				_, err := c.WaitForNotification(ctx)
				cancel()
				var pg *pgconn.PgError
				if !errors.As(err, &pg) || pg.Code != "57P01" {
					t.Errorf("a client of a database dropped by force: %v", err)
				}
			}
		})
	}
}
