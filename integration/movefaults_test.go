package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// elsewhere is where shard n of a table is, and another backend.
func (s *served) elsewhere(t *testing.T, c *pgx.Conn, table string, n int) (from, to string) {
	t.Helper()
	from = s.one(t, c, fmt.Sprintf("select backend from pleiad.shards where table_name = '%s' and shard = %d", table, n))
	for _, b := range []string{"b1", "b2", "b3"} {
		if b != from {
			return from, b
		}
	}
	return from, ""
}

// breakSomething kills the proxy, a server, or the connections that a move has to one.
func (s *served) breakSomething(t *testing.T, random *rand.Rand, servers []string) (what string) {
	t.Helper()
	victim := servers[random.IntN(len(servers))]
	switch random.IntN(4) {
	case 0:
		if err := s.program.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-s.program.exited
		s.start(t)
		return "proxy"
	case 1:
		d := s.server(victim)
		d.exec(t, d.conn(t, "postgres"), "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pleiad move'")
		return "connections to " + victim
	}
	server := s.cluster.Server(victim)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	// Processes that have not noticed yet keep its memory.
	eventually(t, 30*time.Second, victim+" to start", func() bool { return server.Start(context.Background()) == nil })
	return victim
}

// ended waits for a job's end while its statements may meet a server that is starting.
func (s *served) ended(t *testing.T, db, id string) (c *pgx.Conn, state string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			s.logState(t, db)
		}
	}()
	eventually(t, time.Minute, "job "+id+" to end", func() bool {
		if c == nil || c.IsClosed() {
			var err error
			if c, err = pgx.Connect(t.Context(), s.dsn(db)); err != nil {
				c = nil
				return false
			}
		}
		err := c.QueryRow(t.Context(), "select state from pleiad.jobs where id = "+id).Scan(&state)
		return err == nil && state != "queued" && state != "running" && state != "cancelling"
	})
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c, state
}

// logState shows what a job may be waiting for.
func (s *served) logState(t *testing.T, db string) {
	t.Helper()
	for _, server := range s.servers() {
		c, err := pgx.Connect(t.Context(), server.dsn(db))
		if err != nil {
			t.Log(server.name, err)
			continue
		}
		defer c.Close(context.WithoutCancel(t.Context()))
		for _, sql := range []string{
			"select pid, application_name, state, wait_event_type, wait_event, now() - state_change, pg_blocking_pids(pid), left(query, 120) from pg_stat_activity where backend_type in ('client backend', 'walsender') and (state <> 'idle' or application_name = 'pleiad move')",
			"select gid, database, prepared from pg_prepared_xacts", "select slot_name, database, active_pid from pg_replication_slots",
			"select id, job, shard, step, attempts, detail from pleiad.moves order by id desc limit 3", "select id, kind, state, detail from pleiad.jobs order by id desc limit 3",
			"select pid, classid, objid, mode, granted from pg_locks where locktype = 'advisory'",
		} {
			for _, row := range server.text(t, c, sql) {
				t.Log(server.name, row)
			}
		}
	}
}

// TestMoveSurvivesFaults breaks servers, the proxy and its connections at random moments of moves, with clients at work;
// with PLEIAD_TEST_LONG of backends that come and go, too.
func TestMoveSurvivesFaults(t *testing.T) {
	s := serve(t, "timeouts:\n  connect: 2s\ntransactions:\n  recovery_interval: 200ms\n")
	db := s.newDatabase(t)
	l := newMoveLoad(t, s, db, 3, 4)
	l.broken = true
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() { l.run(ctx) })
	defer load.Wait()
	defer stop()
	rounds := 5
	if long() {
		rounds = 60
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("PLEIAD_TEST_SEED"); text != "" {
		fmt.Sscan(text, &seed)
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := s.conn(t, db)
	steps := []string{"remove_backend('b3')", "add_backend('b3')", "rebalance()"}
	for n := range rounds {
		from, to := s.elsewhere(t, c, "item", 1)
		call := "move_shard(1, '" + to + "')"
		servers := []string{from, to, "b1"}
		if long() && n%2 == 1 {
			call, servers = steps[n/2%3], []string{"b1", "b2", "b3"}
		}
		id := s.one(t, c, "select pleiad."+call)
		pause(t, time.Duration(random.IntN(2500))*time.Millisecond)
		what := s.breakSomething(t, random, servers)
		var state string
		c, state = s.ended(t, db, id)
		if state == "failed" && !strings.HasPrefix(call, "move_shard") {
			// What could not go on has been undone, and can be begun again.
			t.Logf("%s broken: %s failed: %s", what, call, s.one(t, c, "select detail from pleiad.jobs where id = "+id))
			s.exec(t, c, "select pleiad.resume_job("+id+")")
			c, _ = s.ended(t, db, id)
		}
		s.await(t, c, time.Second, id, "done")
		if t.Failed() {
			t.Fatalf("%s broken: %s", what, call)
		}
	}
	stop()
	load.Wait()
	noPrepared(t, s, db)
	l.check(t)
	s.noLeftovers(t, db)
	s.verified(t, db)
}

// TestMoveMeanwhile has schema changes, long transactions and a cancel in the middle of moves.
func TestMoveMeanwhile(t *testing.T) {
	s := serve(t, "")
	db := s.newDatabase(t)
	c, other := s.conn(t, db), s.conn(t, db)
	s.exec(t, c, "set pleiad.shard_count = 2")
	s.exec(t, c, "create table note (k int primary key, body text, doc jsonb) partition by hash (k)")
	var rows []string
	for i := range 400 {
		rows = append(rows, fmt.Sprintf("(%d, '%s')", i, strings.Repeat(fmt.Sprint(i%10), 1000)))
	}
	s.exec(t, c, "insert into note (k, body) values "+strings.Join(rows, ","))
	s.exec(t, c, "insert into note (k, doc) values (1000, jsonb_build_object('a', repeat('x', 5000000)))")
	// Tables that refer to each other and to themselves are detached all the same.
	s.exec(t, c, "create table tree (k int, id int, up int, first int, primary key (k, id), foreign key (k, up) references tree (k, id)) partition by hash (k)")
	s.exec(t, c, "create table leaf (k int, id int, tree int, primary key (k, id), foreign key (k, tree) references tree (k, id)) partition by hash (k)")
	for k := range 20 {
		s.exec(t, c, fmt.Sprintf("insert into tree (k, id, up) values (%d, 1, null), (%[1]d, 2, 1)", k))
		s.exec(t, c, fmt.Sprintf("insert into leaf values (%d, 1, 2)", k))
		s.exec(t, c, fmt.Sprintf("update tree set first = 1 where k = %d", k))
	}
	await := func(id, step string) {
		t.Helper()
		eventually(t, 30*time.Second, "step "+step, func() bool {
			return s.one(t, other, "select exists (select from pleiad.moves where step = '"+step+"' and job = "+id+")") == "t"
		})
	}

	// Only a circle of several tables does not move, and says so.
	_, to := s.elsewhere(t, c, "note", 0)
	s.exec(t, c, "alter table tree add constraint tree_first foreign key (k, first) references leaf (k, id)")
	id := s.one(t, c, "select pleiad.move_shard(0, '"+to+"')")
	s.await(t, c, 30*time.Second, id, "failed")
	if detail := s.one(t, c, "select detail from pleiad.jobs where id = "+id); !strings.Contains(detail, "circle") {
		t.Error(detail)
	}
	s.noLeftovers(t, db)
	s.exec(t, c, "alter table tree drop constraint tree_first")
	s.exec(t, c, "create role mover")
	t.Cleanup(func() { s.admin(t, "drop role mover") })
	s.exec(t, c, "set role mover")
	if e := s.failure(t, c.PgConn(), "select pleiad.move_shard(0, '"+to+"')"); e.Code != "42501" {
		t.Errorf("anybody may move shards: %v", e)
	}
	s.exec(t, c, "reset role")

	// A transaction that stays open delays the switch, and nobody else for longer than the hold.
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "update note set body = 'new'"); err != nil {
		t.Fatal(err)
	}
	id = s.one(t, other, "select pleiad.move_shard(0, '"+to+"')")
	pause(t, 500*time.Millisecond)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(id, "following")
	if tx, err = c.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead}); err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		if err := tx.QueryRow(t.Context(), "select count(*) from note").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 401 {
		t.Errorf("%d rows in a transaction", n)
	}
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		began := time.Now()
		s.one(t, other, "select count(*) from note")
		if took := time.Since(began); took > patience(600*time.Millisecond) {
			t.Errorf("a statement took %s beside a transaction that stays open", took)
		}
	}
	if n := count(); n != 401 {
		t.Errorf("%d rows in a transaction while the shard moves", n)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.await(t, other, 30*time.Second, id, "done")

	// A change of the group's tables makes the move start over.
	_, to = s.elsewhere(t, c, "note", 0)
	id = s.one(t, c, "select pleiad.move_shard(0, '"+to+"', null, '1MB')")
	await(id, "prepared")
	s.exec(t, c, "alter table note add column extra int default 5")
	s.exec(t, c, "create index note_extra on note (extra)")
	s.await(t, c, time.Minute, id, "done")
	if n := s.one(t, c, "select attempts from pleiad.moves where job = "+id); n == "0" {
		t.Error("the move did not notice that its table was changed")
	}
	if n := s.one(t, c, "select count(*) from note where extra = 5"); n != "401" {
		t.Errorf("%s rows have the new column", n)
	}

	// A cancelled job leaves nothing, and can be resumed.
	_, to = s.elsewhere(t, c, "note", 1)
	id = s.one(t, c, "select pleiad.move_shard(1, '"+to+"', null, '100kB')")
	await(id, "prepared")
	if ok := s.one(t, c, "select pleiad.cancel_job("+id+")"); ok != "t" {
		t.Error("the job could not be cancelled")
	}
	s.await(t, c, 30*time.Second, id, "cancelled")
	s.noLeftovers(t, db)
	s.exec(t, c, "select pleiad.resume_job("+id+")")
	s.await(t, c, 2*time.Minute, id, "done")
	s.noLeftovers(t, db)
	if n := s.one(t, c, "select count(*), sum(length(body)), max(length(doc ->> 'a')) from note"); n != "401|400000|5000000" {
		t.Errorf("the table has %s", n)
	}
	if n := s.one(t, c, "select count(*), count(up), count(first) from tree join leaf using (k)"); n != "40|20|40" {
		t.Errorf("the tree has %s", n)
	}
	if e := s.failure(t, c.PgConn(), "delete from tree where k = 3 and id = 1"); e.Code != "23503" {
		t.Errorf("a row that others refer to was deleted: %v", e)
	}
	s.verified(t, db)
}

// TestMoveIsBounded: a move that would keep too much WAL on its source is given up, and leaves nothing.
func TestMoveIsBounded(t *testing.T) {
	s := serve(t, "rebalancer:\n  max_slot_wal: 4MiB\n")
	db := s.newDatabase(t)
	c, other := s.conn(t, db), s.conn(t, db)
	s.exec(t, c, "set pleiad.shard_count = 2")
	s.exec(t, c, "create table note (k int primary key, body text) partition by hash (k)")
	for k := range 8 {
		s.exec(t, c, fmt.Sprintf("insert into note values (%d, 'x')", k))
	}
	from, to := s.elsewhere(t, c, "note", 0)
	id := s.one(t, other, "select pleiad.move_shard(0, '"+to+"', null, '1kB')")
	eventually(t, 30*time.Second, "the slot", func() bool {
		return s.one(t, other, "select exists (select from pleiad.moves where step <> 'planned' and job = "+id+")") == "t"
	})
	// What is open on the source keeps its slot from going on.
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for k := range 8 {
		if _, err := tx.Exec(t.Context(), fmt.Sprintf("update note set body = 'y' where k = %d", k)); err != nil {
			t.Fatal(err)
		}
	}
	source := s.server(from).conn(t, db)
	for range 4 {
		s.exec(t, source, "select pg_logical_emit_message(false, 'filler', repeat('x', 4000000))")
	}
	s.await(t, other, 30*time.Second, id, "failed")
	if detail := s.one(t, other, "select detail from pleiad.jobs where id = "+id); !strings.Contains(detail, "max_slot_wal") {
		t.Errorf("the job failed for another reason: %s", detail)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.noLeftovers(t, db)
	if n := s.one(t, other, "select count(*) from note where body = 'y'"); n != "8" {
		t.Errorf("%s rows are changed", n)
	}
}
