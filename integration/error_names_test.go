package integration

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestErrorNames compares the errors of sharded tables with those of ordinary tables on one PostgreSQL: every field names
// what the user made, never a partition or a name derived for one.
func TestErrorNames(t *testing.T) {
	setup := []string{
		`create schema app`,
		`create table app.p (k int, u int, c int constraint c_pos check (c > 0), n int not null, constraint my_pk primary key (k), constraint my_uq unique (k, u)) partition by hash (k)`,
		`create unique index my_ix on app.p (k, c)`,
		`create table q (k int, j int, constraint q_fk foreign key (k) references app.p (k), constraint qj check (j <> 7)) partition by hash (k)`,
		`insert into app.p values (1, 1, 1, 1), (2, 1, 1, 1), (3, 1, 1, 1), (4, 1, 1, 1)`,
		`insert into q values (1, 1), (2, 1)`,
		`create table twice (k int, v int) partition by hash (k)`,
		`insert into twice values (1, 1), (1, 2), (2, 1)`,
	}
	failing := []string{
		`insert into app.p values (1, 9, 9, 1)`,
		`insert into app.p values (5, 1, -1, 1)`,
		`insert into app.p values (5, 1, 1, null)`,
		`insert into app.p values (6, 1, 1, 1), (7, 1, -1, 1)`,
		`update app.p set c = -c where k = 3`,
		`insert into q values (77, 1)`,
		`insert into q values (1, 7)`,
		`delete from app.p where k = 1`,
		`update q set j = 7 where k = 2`,
		`insert into q values (1, 1) returning 1 / 0`,
		`create unique index concurrently twice_k on twice (k)`,
		`create table bad (k int constraint odd check (k % 2 = 1)) partition by hash (nosuch)`,
	}
	later := []string{
		`alter table q drop constraint q_fk`,
		`alter table app.p drop constraint my_pk`,
	}
	afterwards := []string{`insert into app.p values (1, 1, 9, 1)`, `insert into app.p values (1, 9, 1, 1)`}
	var answers [2][]*pgconn.PgError
	for i, s := range both() {
		db := s.newDatabase(t)
		c := s.low(t, db, nil)
		run := func(list []string) {
			for _, sql := range list {
				if !s.pleiad {
					sql = strings.ReplaceAll(sql, " partition by hash (k)", "")
				}
				if err := c.Exec(ctxFor(t), sql).Close(); err != nil {
					t.Fatalf("%s: %s: %v", s.name, sql, err)
				}
			}
		}
		fail := func(list []string) {
			for _, sql := range list {
				answers[i] = append(answers[i], s.failure(t, c, sql))
			}
		}
		run(setup)
		fail(failing)
		run(later)
		fail(afterwards)
	}
	for i, sql := range append(failing, afterwards...) {
		plain, target := *answers[0][i], *answers[1][i]
		for _, e := range []*pgconn.PgError{&plain, &target} {
			e.File, e.Line, e.Routine = "", 0, ""
		}
		if plain != target {
			t.Errorf("%s\nPostgreSQL: %+v\npleiad:     %+v", sql, plain, target)
		}
	}
}
