package integration

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestRepeatedTextsAreNotParsedAgain sends simple queries that differ in their values alone, from many sessions at once: the
// servers run them as prepared statements after a while.
func TestRepeatedTextsAreNotParsedAgain(t *testing.T) {
	s := serve(t, "")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table tally (k int primary key, n int not null) partition by hash (k)")
	s.exec(t, c, "insert into tally select i, 0 from generate_series(0, 59) i")
	prepared := s.onEach(t, db, `select count(*) from pg_stat_activity where datname = current_database() and query ~ '"pleiad_[0-9]+"[.]"tally".*[$]1' and pid <> pg_backend_pid()`)
	const sessions, rounds = 4, 5
	var work sync.WaitGroup
	for i := range sessions {
		raw := s.low(t, db, nil)
		work.Go(func() {
			for round := range rounds {
				for k := range 60 {
					results, err := raw.Exec(ctxFor(t), fmt.Sprintf("update tally set n = n + %d where k = %d", i+1, k)).ReadAll()
					if err != nil || results[0].CommandTag.String() != "UPDATE 1" {
						t.Errorf("session %d, round %d, key %d: %v, %v", i, round, k, results, err)
						return
					}
				}
			}
		})
	}
	work.Wait()
	const want = rounds * (1 + 2 + 3 + 4)
	for k := range 60 {
		results, err := c.PgConn().Exec(ctxFor(t), fmt.Sprintf("select n from tally where k = %d", k)).ReadAll()
		if err != nil || len(results[0].Rows) != 1 || string(results[0].Rows[0][0]) != strconv.Itoa(want) {
			t.Fatalf("key %d: %v, %v; want %d", k, results, err, want)
		}
	}
	if got := prepared(); slices.Contains(got, "0") {
		t.Errorf("connections whose last statement was prepared, by server: %v, want some each", got)
	}
}

// TestConstantsAreReadByTheirSession has two sessions that share a server's connections, and texts, but not the time zone.
func TestConstantsAreReadByTheirSession(t *testing.T) {
	s := serve(t, "pool: {size: 1}\n")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table moment (k int primary key, at timestamptz) partition by hash (k)")
	s.exec(t, c, "create table moment_here (k int primary key, at timestamptz)")
	for _, table := range []string{"moment", "moment_here"} {
		s.exec(t, c, "insert into "+table+" values (1, '2020-01-01 00:00+00')")
	}
	var zones []*pgconn.PgConn
	for _, zone := range []string{"UTC", "America/New_York"} {
		zones = append(zones, s.low(t, db, nil, "timezone="+zone, "plan_cache_mode=force_generic_plan"))
	}
	want := []string{"SELECT 1", "SELECT 0"} // in New York it was still 2019
	for _, table := range []string{"moment", "moment_here"} {
		simple := "select k from " + table + " where k = 1 and at >= '2020-01-01 00:00'"
		named := "select k from " + table + " where k = $1 and at >= '2020-01-01 00:00'"
		for _, z := range zones {
			if _, err := z.Prepare(ctxFor(t), table, named, nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			for i, z := range zones {
				results, err := z.Exec(ctxFor(t), simple).ReadAll()
				if err != nil || results[0].CommandTag.String() != want[i] {
					t.Errorf("%s, time zone %d: %v, %v; want %s", simple, i, results, err, want[i])
				}
				r := z.ExecPrepared(ctxFor(t), table, [][]byte{[]byte("1")}, nil, nil).Read()
				if r.Err != nil || r.CommandTag.String() != want[i] {
					t.Errorf("%s, time zone %d: %s, %v; want %s", named, i, r.CommandTag, r.Err, want[i])
				}
			}
		}
	}
}

// TestTenantsPrepareAlike has sessions with equal texts that mean other tables, whose columns have other types.
func TestTenantsPrepareAlike(t *testing.T) {
	s := serve(t, "pool: {size: 1}\n")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	types := []string{"int", "text", "date"}
	const role = "tenant_two"
	s.admin(t, "create role "+role)
	tenants := make([]*pgconn.PgConn, len(types))
	for i, typ := range types {
		schema := fmt.Sprintf("tenant_%d", i)
		options := []string{"search_path=" + schema}
		if i == 2 {
			schema, options = role, nil // "$user"
		}
		s.exec(t, c, "create schema "+schema+"; grant usage on schema "+schema+" to "+role)
		for table, key := range map[string]string{"sharded": " partition by hash (k)", "here": ""} {
			s.exec(t, c, fmt.Sprintf("create table %s.%s (k int primary key, v %s)%s", schema, table, typ, key))
			s.exec(t, c, fmt.Sprintf("grant select on %s.%s to %s", schema, table, role))
			s.exec(t, c, fmt.Sprintf("insert into %s.%s select i, null from generate_series(1, %d) i", schema, table, 4+i))
		}
		tenants[i] = s.low(t, db, nil, append(options, "plan_cache_mode=force_generic_plan")...)
	}
	if _, err := tenants[2].Exec(ctxFor(t), "set role "+role).ReadAll(); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{
		"a local table": "select * from here where k < 100", "one shard": "select * from sharded where k = 3", "scatter": "select * from sharded",
		"combine": "select v, count(*) from sharded group by v", "one part for all": "select max(k), min(v::text) from sharded", "sorted": "select v, k from sharded order by k limit 100",
	}
	for name, text := range texts {
		for i, z := range tenants {
			if _, err := z.Prepare(ctxFor(t), name, text, nil); err != nil {
				t.Errorf("%s, tenant %d: %v", name, i, err)
			}
		}
	}
	want := func(name string, i int) string {
		if slices.Contains([]string{"one shard", "combine", "one part for all"}, name) {
			return "SELECT 1"
		}
		return fmt.Sprintf("SELECT %d", 4+i)
	}
	for range 3 {
		for name := range texts {
			for i, z := range tenants {
				if r := z.ExecPrepared(ctxFor(t), name, nil, nil, nil).Read(); r.Err != nil || r.CommandTag.String() != want(name, i) {
					t.Errorf("%s, tenant %d: %s, %v; want %s", name, i, r.CommandTag, r.Err, want(name, i))
				}
			}
		}
	}
}

// TestConstantsStayAsTheyWereRead has a server forget a statement, which it prepares again when its session reads constants
// otherwise.
func TestConstantsStayAsTheyWereRead(t *testing.T) {
	s := serve(t, "pool: {size: 1}\nlimits: {max_prepared_per_server: 1}\n")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table moment_here (k int primary key, at timestamptz)")
	s.exec(t, c, "insert into moment_here values (1, '2020-01-01 00:00+00')")
	z := s.low(t, db, nil, "timezone=UTC")
	prepare := func(name, sql string) {
		t.Helper()
		if _, err := z.Prepare(ctxFor(t), name, sql, nil); err != nil {
			t.Fatal(err)
		}
	}
	count := func(when, want string) {
		t.Helper()
		r := z.ExecPrepared(ctxFor(t), "since", [][]byte{[]byte("1")}, nil, nil).Read()
		if r.Err != nil || r.CommandTag.String() != want {
			t.Errorf("%s: %s, %v; want %s", when, r.CommandTag, r.Err, want)
		}
	}
	for _, block := range []string{"select", "begin"} {
		prepare("since", "select k from moment_here where k = $1 and at >= '2020-01-01 00:00'")
		prepare("other", "select 1 /* "+block+" */") // the server has room for one
		for _, sql := range []string{"set timezone = 'America/New_York'", block} {
			if _, err := z.Exec(ctxFor(t), sql).ReadAll(); err != nil {
				t.Fatal(err)
			}
		}
		count("prepared in UTC, behind "+block, "SELECT 1")
		results, err := z.Exec(ctxFor(t), "select current_setting('timezone'), count(*) from moment_here where at >= '2020-01-01 00:00'").ReadAll()
		if err != nil || string(results[0].Rows[0][0]) != "America/New_York" || string(results[0].Rows[0][1]) != "0" {
			t.Errorf("behind it the session has %q, %v; want its own time zone", results[0].Rows, err)
		}
		if _, err := z.Exec(ctxFor(t), "rollback; set timezone = 'UTC'; deallocate all").ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestThePresentIsReadAnew has a constant in its texts that is the time at which they are prepared.
func TestThePresentIsReadAnew(t *testing.T) {
	s := serve(t, "pool: {size: 1}\n")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	for _, table := range []string{"moment", "moment_here"} {
		s.exec(t, c, "create table "+table+" (k int primary key, at timestamptz)"+map[string]string{"moment": " partition by hash (k)"}[table])
		for k := range 3 { // a later one each
			s.exec(t, c, fmt.Sprintf("insert into %s values (%d, clock_timestamp())", table, k))
			z := s.low(t, db, nil, "plan_cache_mode=force_generic_plan")
			named := "select k from " + table + " where k = $1 and at <= 'now'"
			if _, err := z.Prepare(ctxFor(t), "late", named, nil); err != nil {
				t.Fatal(err)
			}
			r := z.ExecPrepared(ctxFor(t), "late", [][]byte{[]byte(strconv.Itoa(k))}, nil, nil).Read()
			if r.Err != nil || r.CommandTag.String() != "SELECT 1" {
				t.Errorf("%s, row %d: %s, %v; want SELECT 1", named, k, r.CommandTag, r.Err)
			}
			simple := fmt.Sprintf("select k from %s where k = %d and at <= 'Now'", table, k)
			results, err := z.Exec(ctxFor(t), simple).ReadAll()
			if err != nil || results[0].CommandTag.String() != "SELECT 1" {
				t.Errorf("%s: %v, %v; want SELECT 1", simple, results, err)
			}
		}
	}
}

// TestPreparedStatementsNameTheirShard executes prepared statements until the servers have them with a shard in the table's
// place, while shards move and the table gets what a partition alone would not know of.
func TestPreparedStatementsNameTheirShard(t *testing.T) {
	s := serve(t, "")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	ctx := ctxFor(t)
	s.exec(t, c, "create table tally (k int primary key, n int not null) partition by hash (k)")
	named := s.onEach(t, db, `select count(*) from pg_stat_activity where datname = current_database() and query ~ '"pleiad_[0-9]+"[.]"tally"' and pid <> pg_backend_pid()`)
	const keys = 60
	put := func(add int) {
		t.Helper()
		for k := range keys {
			s.exec(t, c, "insert into tally values ($1, $2) on conflict (k) do update set n = tally.n + excluded.n", k, add)
		}
	}
	read := func(want int) {
		t.Helper()
		for k := range keys {
			var n int
			if err := c.QueryRow(ctx, "select n from tally where k = $1", k).Scan(&n); err != nil || n != want {
				t.Fatalf("key %d: %d, %v; want %d", k, n, err, want)
			}
		}
	}
	put(1)
	read(1)
	if got := named(); slices.Contains(got, "0") {
		t.Errorf("connections whose last statement names a shard, by server: %v, want one each", got)
	}
	s.exec(t, c, "set plan_cache_mode = force_custom_plan")
	put(1)
	read(2)
	if got := named(); slices.ContainsFunc(got, func(n string) bool { return n != "0" }) {
		t.Errorf("connections whose last statement names a shard, against the client's plan_cache_mode: %v", got)
	}
	s.exec(t, c, "reset plan_cache_mode")
	s.exec(t, c, "begin") // the lock on the table comes first in a transaction that goes on
	put(0)
	read(2)
	if got := named(); slices.ContainsFunc(got, func(n string) bool { return n != "0" }) {
		t.Errorf("connections whose last statement names a shard, in a transaction: %v", got)
	}
	s.exec(t, c, "commit")
	put(1)
	read(3)
	for _, there := range []string{"b2", "b3", "b1"} {
		for shard := 0; shard < 32; shard += 16 {
			s.job(t, c, time.Minute, fmt.Sprintf("move_shard(%d, '%s')", shard, there))
		}
		put(0)
		read(3)
	}
	s.exec(t, c, "alter table tally add check (n < 10)")
	var e *pgconn.PgError
	if _, err := c.Exec(ctx, "insert into tally values ($1, $2) on conflict (k) do update set n = tally.n + excluded.n", 1, 10); !errors.As(err, &e) || e.Code != "23514" || e.TableName != "tally" || e.SchemaName != "public" {
		t.Errorf("a check that the row violates: %v, want 23514 of public.tally", err)
	}
	s.exec(t, c, "create function turn() returns trigger language plpgsql as $$ begin new.n := -new.n; return new; end $$")
	s.exec(t, c, "create trigger turn before update on tally for each row execute function turn()")
	put(1)
	read(-4)
}

// TestPreparedCountsReadTheTime executes prepared statements again and again whose one row is made of the servers' own, and which
// read the time: each execution has its own.
func TestPreparedCountsReadTheTime(t *testing.T) {
	s := serve(t, "pool: {size: 1}\n")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table tick (k int primary key, at timestamptz) partition by hash (k)")
	s.exec(t, c, "insert into tick select i, now() from generate_series(1, 30) i")
	z := s.low(t, db, nil, "plan_cache_mode=force_generic_plan")
	texts := map[string]string{
		"count":   "select count(*) from tick where at <= now()",
		"max":     "select max(k), count(*) from tick where at <= now()",
		"groups":  "select at <= now(), count(*) from tick group by 1 having count(*) > 0",
		"scatter": "select k from tick where at <= now()",
		"sorted":  "select k from tick where at <= now() order by k desc",
	}
	prepareAll(t, z, texts)
	for rows := 30; rows < 34; rows++ {
		for name := range texts {
			r := z.ExecPrepared(ctxFor(t), name, nil, nil, nil).Read()
			if r.Err != nil {
				t.Fatalf("%s: %v", name, r.Err)
			}
			got := len(r.Rows)
			if got == 1 {
				got, _ = strconv.Atoi(string(r.Rows[0][len(r.Rows[0])-1]))
			}
			if got != rows {
				t.Errorf("%s: %d rows instead of %d", name, got, rows)
			}
		}
		s.exec(t, c, fmt.Sprintf("insert into tick values (%d, clock_timestamp())", rows+1))
	}
}

// TestPreparedStatementsStayOnAllServers executes prepared statements over several shards again and again: the servers keep a plan
// for all values, as they do for statements of one shard.
func TestPreparedStatementsStayOnAllServers(t *testing.T) {
	s := serve(t, "pool: {size: 1}\n")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table part (k int primary key, e text, v int) partition by hash (k)")
	s.exec(t, c, "create index on part (e)")
	s.exec(t, c, "insert into part select i, 'e' || i % 10, i from generate_series(1, 60) i")
	z := s.low(t, db, nil)
	run := func(name string, want int, values ...string) {
		t.Helper()
		var params [][]byte
		for _, v := range values {
			params = append(params, []byte(v))
		}
		if r := z.ExecPrepared(ctxFor(t), name, params, nil, nil).Read(); r.Err != nil || r.CommandTag.RowsAffected() != int64(want) {
			t.Fatalf("%s: %q, %v; want %d rows", name, r.CommandTag, r.Err, want)
		}
	}
	texts := map[string]string{
		"plain":  "select k, v from part where e = $1",
		"counts": "select count(*) from part where e = $1",
		"update": "update part set v = v + 1 where e = $1",
	}
	prepareAll(t, z, texts)
	prepareAll(t, z, map[string]string{"limited": "select v, k from part where e = $1 order by v desc, k limit $2"})
	for i := range 20 { // 5 under the unnamed statement's plan, 5 under plans for values
		e := fmt.Sprint("e", i%10)
		run("plain", 6, e)
		run("counts", 1, e)
		run("update", 6, e)
		run("limited", min(1+i/8, 6), e, fmt.Sprint(1+i/8))
	}
	results, err := z.Exec(ctxFor(t), "begin; select count(*) from part; select name, generic_plans > 0 from pg_prepared_statements order by 1; commit").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range results[2].Rows {
		got[string(row[0])] = string(row[1])
	}
	for name := range texts {
		if got[name] != "t" {
			t.Errorf("home has a plan for all values of %s: %q", name, got[name])
		}
	}
	// What stands in the text, such as the value of LIMIT, makes another one; so does a change of the table.
	s.exec(t, c, "alter table part add column w int default 7")
	s.exec(t, c, "alter table part alter column v type bigint")
	for i := range 8 {
		run("update", 6, fmt.Sprint("e", i))
		run("counts", 1, fmt.Sprint("e", i))
	}
	var e *pgconn.PgError
	if r := z.ExecPrepared(ctxFor(t), "limited", [][]byte{[]byte("e1"), []byte("1")}, nil, nil).Read(); !errors.As(r.Err, &e) || e.Code != "0A000" {
		t.Errorf("a statement whose column has another type since: %v, want 0A000 as PostgreSQL has it", r.Err)
	}
}

// prepareAll prepares statements by name.
func prepareAll(t *testing.T, c *pgconn.PgConn, texts map[string]string) {
	t.Helper()
	for name, text := range texts {
		if _, err := c.Prepare(ctxFor(t), name, text, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
