package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

type snapshotRead struct {
	name  string
	setup string // once in the session
	sql   string
	rows  bool // the rows are the balances themselves
}

// snapshotReads are ways to read the sum of all balances in one state of all servers. Each gives the sum as its last
// row's last field.
var snapshotReads = []snapshotRead{
	{"aggregate", "set pleiad.snapshot = on", "select sum(balance) from account", false},
	{"rows", "set pleiad.snapshot = on", "select balance from account", true},
	{"rows in order", "set pleiad.snapshot = on", "select balance from account order by id", true},
	{"COPY", "set pleiad.snapshot = on", "copy account (balance) to stdout", true},
	{"gather", "set pleiad.snapshot = on", "select sum(balance) from (select balance, row_number() over (order by id) from account) x", false},
	{"gather with a local table", "set pleiad.snapshot = on", "select sum(balance * n) from (select balance, row_number() over (order by id) from account) x, one", false},
	{"in a block", "set pleiad.snapshot = on", "begin; select balance from account where id < 0; select sum(balance) from account; commit", false},
	{"SET LOCAL", "", "begin; set local pleiad.snapshot = on; select sum(balance) from account; commit", false},
	{"REPEATABLE READ", "", "begin isolation level repeatable read; select sum(balance) from account; commit", false},
	{"REPEATABLE READ, several statements", "", "begin isolation level repeatable read; select balance from account where id = 1; " +
		"select sum(balance) from account; commit", false},
	{"REPEATABLE READ by default", "set default_transaction_isolation = 'repeatable read'", "select sum(balance) from account", false},
}

// sumOf runs one of the reads and gives the sum that it saw.
func sumOf(ctx context.Context, c *pgx.Conn, sql string, rows bool) (sum int, err error) {
	if strings.HasPrefix(sql, "copy") {
		var out strings.Builder
		if _, err := c.PgConn().CopyTo(ctx, &out, sql); err != nil {
			return 0, err
		}
		for line := range strings.Lines(out.String()) {
			var n int
			if _, err := fmt.Sscan(line, &n); err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}
	results, err := c.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return 0, err
	}
	for _, r := range results {
		if len(r.Rows) == 0 {
			continue
		}
		if !rows {
			sum = 0
		}
		for _, row := range r.Rows {
			var n int
			if _, err := fmt.Sscan(string(row[0]), &n); err != nil {
				return 0, err
			}
			if !rows {
				sum = n
				continue
			}
			sum += n
		}
	}
	return sum, nil
}

// TestSnapshotReads: while transfers between servers commit, the sum of all accounts is one and the same for every
// snapshot, and not for reads without one.
func TestSnapshotReads(t *testing.T) {
	s := serve(t, "")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table account (id int primary key, balance int not null) partition by hash (id)")
	if err := loadRows(ctxFor(t), c.PgConn(), "account", "select i, 1000 from generate_series(1, 40) i"); err != nil {
		t.Fatal(err)
	}
	s.exec(t, c, "create table one as select 1 as n")
	ctx, stop := context.WithCancel(ctxFor(t))
	defer stop()
	var work sync.WaitGroup
	var transfers atomic.Int64
	for n := range 6 {
		conn := s.conn(t, db)
		random := rand.New(rand.NewPCG(7, uint64(n)))
		work.Go(func() {
			for ctx.Err() == nil {
				a := 1 + random.IntN(39)
				b := a + 1 + random.IntN(40-a)
				sql := fmt.Sprintf("begin; update account set balance = balance - 5 where id = %d; update account set balance = balance + 5 where id = %d; commit", a, b)
				if _, err := conn.PgConn().Exec(ctxFor(t), sql).ReadAll(); err != nil {
					t.Errorf("transfer: %v", err)
					return
				}
				transfers.Add(1)
			}
		})
	}
	torn := 0
	eventually(t, 30*time.Second, "a read without snapshot sees half of a transfer", func() bool {
		sum, err := sumOf(ctx, c, "select sum(balance) from account", false)
		if err != nil {
			t.Fatal(err)
		}
		if sum != 40_000 {
			torn++
		}
		return torn > 0
	})
	before := transfers.Load()
	for _, r := range snapshotReads {
		conn := s.conn(t, db)
		if r.setup != "" {
			s.exec(t, conn, r.setup)
		}
		began := time.Now()
		for n := range 60 {
			sum, err := sumOf(ctx, conn, r.sql, r.rows)
			if err != nil {
				t.Errorf("%s: %v", r.name, err)
				break
			}
			if sum != 40_000 {
				t.Errorf("%s: read %d saw a sum of %d", r.name, n, sum)
				break
			}
		}
		t.Logf("%s: 60 reads in %s", r.name, time.Since(began).Round(time.Millisecond))
	}
	stop()
	work.Wait()
	t.Logf("%d transfers, %d of them beside snapshot reads", transfers.Load(), transfers.Load()-before)
	if transfers.Load()-before < 50 {
		t.Error("the reads kept the transfers waiting")
	}
}

// TestSnapshotSetting: where pleiad.snapshot can be set, and what it makes of statements that it cannot serve.
func TestSnapshotSetting(t *testing.T) {
	s := needPleiad(t)
	db := s.newDatabase(t)
	admin := s.conn(t, db)
	s.exec(t, admin, "create table account (id int primary key, balance int not null) partition by hash (id)")
	if err := loadRows(ctxFor(t), admin.PgConn(), "account", "select i, 1 from generate_series(1, 40) i"); err != nil {
		t.Fatal(err)
	}
	role := "snapshot_" + db
	for _, r := range []string{role, role + "_serializable"} {
		s.exec(t, admin, "create role "+r+" login")
		s.exec(t, admin, "grant select on account to "+r)
		t.Cleanup(func() {
			s.exec(t, admin, "drop owned by "+r)
			s.admin(t, "drop role "+r)
		})
	}
	shown := func(params ...string) string {
		t.Helper()
		return s.one(t, s.conn(t, db, params...), "show pleiad.snapshot")
	}
	if got := shown("user=" + role); got != "off" {
		t.Errorf("by default it is %s", got)
	}
	s.exec(t, admin, "alter database "+db+" set pleiad.snapshot = off")
	s.exec(t, admin, "alter role "+role+" set pleiad.snapshot = 'yes'")
	if got := shown("user=" + role); got != "on" {
		t.Errorf("for a role that has it it is %s", got)
	}
	if got := shown("user="+role, "options=-c pleiad.snapshot=off"); got != "off" {
		t.Errorf("given at the start it is %s", got)
	}
	s.exec(t, admin, "alter role "+role+" in database "+db+" set pleiad.snapshot = off")
	if got := shown("user=" + role); got != "off" {
		t.Errorf("for a role that has it off in this database it is %s", got)
	}
	s.exec(t, admin, "alter role "+role+"_serializable set default_transaction_isolation = 'serializable'")
	c := s.conn(t, db, "user="+role+"_serializable")
	if e := s.failure(t, c.PgConn(), "select sum(balance) from account"); e.Code != "0A000" || e.Hint == "" {
		t.Errorf("a role that is serializable, over several backends: %s %s", e.Code, e.Message)
	}
	if got := s.one(t, c, "select balance from account where id = 1"); got != "1" {
		t.Errorf("on one backend: %s", got)
	}
	s.exec(t, admin, "set pleiad.snapshot = on")
	if e := s.failure(t, admin.PgConn(), "set pleiad.snapshot = perhaps"); e.Code != "22023" {
		t.Errorf("a value that is none: %s %s", e.Code, e.Message)
	}
	s.exec(t, admin, "begin")
	if e := s.failure(t, admin.PgConn(), "copy account to stdout"); e.Code != "0A000" || e.Hint == "" {
		t.Errorf("COPY in a READ COMMITTED transaction: %s %s", e.Code, e.Message)
	}
	s.exec(t, admin, "rollback")
	// An error at Bind leaves the transaction aborted and the session in order.
	s.exec(t, admin, "begin")
	if e := s.failure(t, admin.PgConn(), "select id from account where balance / (id - id) > 0"); e.Code != "22012" {
		t.Errorf("an error of the statement: %s %s", e.Code, e.Message)
	}
	if e := s.failure(t, admin.PgConn(), "select nothing_of_that_name from account"); e.Code != "25P02" {
		t.Errorf("in the aborted transaction: %s %s", e.Code, e.Message)
	}
	s.exec(t, admin, "rollback")
	if e := s.failure(t, admin.PgConn(), "select id, nothing_of_that_name from account"); e.Code != "42703" || e.Position != 12 {
		t.Errorf("a column that is not there: %s %s at %d", e.Code, e.Message, e.Position)
	}
	if got := s.one(t, admin, "select count(*) from account"); got != "40" {
		t.Errorf("%s rows", got)
	}
}

// TestSnapshotWaitsForLocks: a statement that waits for a table's lock keeps no commit waiting, not even of the transaction
// that has the lock, and sees what was committed meanwhile.
func TestSnapshotWaitsForLocks(t *testing.T) {
	s := needPleiad(t)
	db := s.newDatabase(t)
	c, other := s.conn(t, db), s.conn(t, db)
	s.exec(t, c, "create table account (id int primary key, balance int not null) partition by hash (id)")
	if err := loadRows(ctxFor(t), c.PgConn(), "account", "select i, 1 from generate_series(1, 40) i"); err != nil {
		t.Fatal(err)
	}
	s.exec(t, c, "set pleiad.snapshot = on")
	for _, sql := range []string{"select sum(balance) from account", "select balance from account"} {
		s.exec(t, other, "begin")
		s.exec(t, other, "lock table account in access exclusive mode")
		s.exec(t, other, "update account set balance = balance + 1")
		sums := make(chan int, 1)
		go func() {
			sum, err := sumOf(ctxFor(t), c, sql, sql != "select sum(balance) from account")
			if err != nil {
				t.Error(err)
			}
			sums <- sum
		}()
		watch := s.conn(t, db)
		eventually(t, 10*time.Second, "the query waits for the lock", func() bool {
			return s.one(t, watch, "select count(*) > 0 from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())") == "t"
		})
		want := 40 * s.number(t, other, "select balance from account where id = 1")
		s.exec(t, other, "commit")
		if sum := <-sums; sum != want {
			t.Errorf("%s: %d, want %d", sql, sum, want)
		}
	}
}

// number is one for a query that gives a number.
func (s *side) number(t testing.TB, c *pgx.Conn, sql string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s.one(t, c, sql), &n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}
