package integration

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestCommitOwnership kills the proxy once a distributed commit is decided, under every way to act as another role: the
// parts belong to that role, and recovery must find the decision good for them.
func TestCommitOwnership(t *testing.T) {
	w := newWrites(t, serve(t, "transactions:\n  recovery_interval: 200ms\n"))
	c := w.conn(t, w.db)
	for _, sql := range []string{
		"create role owner_group", "create role owner_login login in role owner_group",
		"create role owner_alias login in role owner_group", "grant all on w to owner_group",
	} {
		w.exec(t, c, sql)
	}
	w.exec(t, c, "alter role owner_alias set role = owner_group")
	w.exec(t, c, "alter role owner_login in database "+w.db+" set synchronous_commit = off")
	t.Cleanup(func() { w.admin(t, "drop role if exists owner_login, owner_alias, owner_group") })
	t.Cleanup(func() { w.admin(t, "drop database if exists "+w.db+" with (force)") })
	for _, as := range []struct{ name, user, sql string }{
		{"set role", w.user, "set role owner_group"},
		{"set local role", w.user, "set local role owner_group"},
		{"session authorization", w.user, "set session authorization owner_login"},
		{"both", w.user, "set session authorization owner_login; set role owner_group"},
		{"a login without rights of its own", "owner_login", "select 1"},
		{"a role that is set for the login", "owner_alias", "select 1"},
	} {
		for who, servers := range map[string][]string{"with home": {"b1", "b2", "b3"}, "without home": {"b2", "b3"}} {
			t.Run(as.name+" "+who, func(t *testing.T) {
				w.arm(t, "after-decision")
				user := *w.side
				user.user = as.user
				conn := user.conn(t, w.db)
				sql, rows := w.insert(as.name+who, servers...)
				err := conn.PgConn().Exec(ctxFor(t), "begin; "+as.sql+"; "+sql+"; commit").Close()
				var pg *pgconn.PgError
				if err == nil || errors.As(err, &pg) {
					t.Fatalf("the transaction ended with %v, want a lost connection", err)
				}
				<-w.program.exited
				w.start(t)
				w.settled(t)
				if n := w.count(t, as.name+who); n != rows {
					t.Errorf("%d rows are there, want %d", n, rows)
				}
			})
		}
	}
}
