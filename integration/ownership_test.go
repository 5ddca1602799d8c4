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

// TestIndexAsOwner lets functions of a table's owner say who runs them while an index is made of them: only the owner may.
func TestIndexAsOwner(t *testing.T) {
	s := suite.target
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.admin(t, "create role index_owner")
	t.Cleanup(func() {
		s.admin(t, "drop database if exists "+db+" with (force)")
		s.admin(t, "drop role index_owner")
	})
	for _, sql := range []string{
		"create table owned (k int primary key, v int) partition by hash (k)", "insert into owned select g, g from generate_series(1, 30) g",
		"alter table owned owner to index_owner", "grant create on schema public to index_owner",
		`create function alone(i int) returns int language plpgsql immutable as $$
			begin assert current_user = 'index_owner', 'called by ' || current_user; return i; end $$`,
		"create index concurrently on_all on owned (alone(v)) where alone(v + 10) > alone(10)", "set role index_owner",
		"create index concurrently by_owner on owned (alone(v)) where alone(v + 10) > alone(11)",
	} {
		s.exec(t, c, sql)
	}
	if role := s.one(t, c, "show role"); role != "index_owner" {
		t.Errorf("afterwards the role is %q", role)
	}
}
