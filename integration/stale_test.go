package integration

import (
	"testing"
	"time"
)

// A schema change that has waited for another one's end is made as the schema is then: with all that goes with it, and once.
func TestChangeOfAChangedSchema(t *testing.T) {
	s := needPleiad(t)
	db := s.newDatabase(t)
	c, other, watch := s.conn(t, db), s.conn(t, db), s.conn(t, db)
	s.exec(t, c, "set pleiad.shard_count = 8")
	s.exec(t, other, "set pleiad.shard_count = 8")
	s.exec(t, c, "create table x (id int primary key)")
	for _, step := range []struct{ first, then, numbers string }{
		{"drop table x; create table x (id int primary key) partition by hash (id); insert into x select generate_series(1, 30)",
			"alter table x add column n bigserial", "n"},
		{"create table y (id int)", "alter table x add column at timestamptz default now(), add column m bigserial", "m"},
	} {
		s.exec(t, other, "begin; "+step.first)
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(ctxFor(t), step.then)
			done <- err
		}()
		eventually(t, patience(10*time.Second), "the change waits for the other one", func() bool {
			return s.one(t, watch, "select count(*) from pg_locks where not granted and locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())") == "1"
		})
		s.exec(t, other, "commit")
		if err := <-done; err != nil {
			t.Fatalf("%s: %v", step.then, err)
		}
		if got := s.one(t, c, "select count(distinct "+step.numbers+") || ' up to ' || max("+step.numbers+") from x"); got != "30 up to 30" {
			t.Errorf("%s: %s", step.then, got)
		}
	}
}
