package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The bank: transfers between accounts on all servers while servers, connections and the proxy fail at random.
const (
	bankAccounts = 24
	bankBalance  = 1000
	bankClients  = 16
	bankReaders  = 3
)

// bankTime is short within the whole suite; PLEIAD_BANK_TIME makes it longer (make faults: two minutes).
func bankTime(t *testing.T) time.Duration {
	t.Helper()
	given := os.Getenv("PLEIAD_BANK_TIME")
	if given == "" {
		return 25 * time.Second
	}
	d, err := time.ParseDuration(given)
	if err != nil {
		t.Fatalf("PLEIAD_BANK_TIME: %v", err)
	}
	return d
}

// transfer is one entry of the history.
type transfer struct {
	id, from, to, amount int
	outcome              string // ok, failed or unknown
}

// TestBank keeps the sum of all accounts, and each acknowledged transfer once, whatever happens to the servers, the
// connections and the proxy; and every snapshot sees that sum meanwhile.
func TestBank(t *testing.T) {
	s := serve(t, "timeouts:\n  connect: 2s\ntransactions:\n  recovery_interval: 200ms\n")
	relays := s.relayed(t)
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table account (id int primary key, balance int not null) partition by hash (id)")
	s.exec(t, c, "create table transfer (id int primary key, source int, target int, amount int) partition by hash (id)")
	if err := loadRows(ctxFor(t), c.PgConn(), "account", fmt.Sprintf("select i, %d from generate_series(1, %d) i", bankBalance, bankAccounts)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), bankTime(t))
	defer stop()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	histories := make([][]transfer, bankClients)
	var clients sync.WaitGroup
	for n := range histories {
		clients.Go(func() { histories[n] = s.transfers(ctx, t, db, n, rand.New(rand.NewPCG(uint64(seed), uint64(n)))) })
	}
	var reads, refused atomic.Int64
	for n := range bankReaders {
		clients.Go(func() { s.sums(ctx, t, db, n, &reads, &refused) })
	}
	faults := s.misfortunes(ctx, t, rand.New(rand.NewPCG(uint64(seed), 1000)), relays)
	clients.Wait()
	noPrepared(t, s, db)
	s.audit(t, db, histories)
	t.Logf("%d snapshot reads checked, %d ended with an error; faults: %v", reads.Load(), refused.Load(), faults)
	if reads.Load() < 50 {
		t.Error("too few reads for a judgement")
	}
}

// misfortunes lets things fail, one after the other, until ctx ends; at the end everything runs.
func (s *served) misfortunes(ctx context.Context, t *testing.T, random *rand.Rand, relays map[string]*cutter) map[string]int {
	t.Helper()
	faults := map[string]int{}
	pause := func(d time.Duration) {
		rest, done := context.WithTimeout(ctx, d)
		defer done()
		<-rest.Done()
	}
	anew := func() {
		<-s.program.exited
		if err := s.program.complaints(); err != nil {
			t.Error(err)
		}
		s.env = nil
		if random.IntN(2) == 0 {
			point := commitPoints[random.IntN(len(commitPoints))].name
			s.env = []string{fmt.Sprintf("PLEIAD_FAILPOINT=%s:%d", point, 20+random.IntN(100))}
		}
		s.start(t)
	}
	for ctx.Err() == nil {
		server := s.cluster.Server([]string{"b1", "b2", "b3"}[random.IntN(3)])
		switch fault := random.IntN(5); fault {
		case 0:
			faults["server killed"]++
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			// Its processes notice the postmaster's end by themselves, and keep the shared memory until then.
			eventually(t, 30*time.Second, "the server starts again", func() bool { return server.Start(context.Background()) == nil })
		case 1:
			faults["server stopped for a while"]++
			if err := server.Pause(); err != nil {
				t.Fatal(err)
			}
			pause(time.Duration(random.IntN(1500)) * time.Millisecond)
			if err := server.Resume(); err != nil {
				t.Fatal(err)
			}
		case 2:
			select {
			case <-s.program.exited:
			default:
				faults["proxy killed"]++
				if err := s.program.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			anew()
		default:
			faults["connection cut"]++
			text := []string{"PREPARE TRANSACTION", "COMMIT PREPARED", "record_commit", "balance", "commit"}[random.IntN(5)]
			relays[server.Name].cut(text, []direction{toServer, fromServer}[random.IntN(2)])
		}
		select {
		case <-s.program.exited:
			faults["proxy killed in a commit"]++
			anew()
		default:
		}
		pause(time.Duration(300+random.IntN(900)) * time.Millisecond)
	}
	for _, r := range relays {
		r.cut("no message has this text", toServer)
	}
	select {
	case <-s.program.exited:
		faults["proxy killed in a commit"]++
	default:
		if len(s.env) == 0 {
			return faults
		}
		if err := s.program.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	<-s.program.exited
	s.env = nil
	s.start(t)
	return faults
}

// sums is one reader's work: every sum of all balances that it is given is the same.
func (s *served) sums(ctx context.Context, t *testing.T, db string, reader int, reads, refused *atomic.Int64) {
	var c *pgx.Conn
	ways := []string{"aggregate", "rows", "SET LOCAL", "REPEATABLE READ", "gather"}
	for n := reader; ctx.Err() == nil; n++ {
		way := ways[n%len(ways)]
		r := snapshotReads[slices.IndexFunc(snapshotReads, func(r snapshotRead) bool { return r.name == way })]
		work, done := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
		var err error
		if c == nil || c.IsClosed() {
			if c, err = pgx.Connect(work, s.dsn(db)); err != nil {
				c = nil
				done()
				time.Sleep(20 * time.Millisecond)
				continue
			}
		}
		setup := "reset pleiad.snapshot"
		if r.setup != "" {
			setup = r.setup
		}
		sum := 0
		if _, err = c.Exec(work, setup); err == nil {
			sum, err = sumOf(work, c, r.sql, r.rows)
		}
		switch {
		case err != nil:
			refused.Add(1)
			c.Close(work)
		case sum != bankAccounts*bankBalance:
			t.Errorf("%s saw a sum of %d, want %d", way, sum, bankAccounts*bankBalance)
		default:
			reads.Add(1)
		}
		done()
	}
	if c != nil {
		closing, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		c.Close(closing)
	}
}

// transfers is one client's work; it connects anew when its connection is lost.
func (s *served) transfers(ctx context.Context, t *testing.T, db string, client int, random *rand.Rand) (history []transfer) {
	var c *pgconn.PgConn
	// Statements that are under way at the end are not broken off.
	work, stop := context.WithTimeout(context.WithoutCancel(ctx), bankTime(t)+callLimit)
	defer stop()
	for id := client * 1_000_000; ctx.Err() == nil; id++ {
		if c == nil || c.IsClosed() {
			var err error
			if c, err = pgconn.Connect(work, s.dsn(db)); err != nil {
				c = nil // the proxy, or home, is being started
				time.Sleep(20 * time.Millisecond)
				continue
			}
		}
		// In any order: some deadlock.
		a := random.IntN(bankAccounts)
		tr := transfer{id: id, from: 1 + a, to: 1 + (a+1+random.IntN(bankAccounts-1))%bankAccounts, amount: random.IntN(41) - 20}
		tr.outcome = tr.run(work, c)
		history = append(history, tr)
	}
	if c != nil {
		c.Close(work)
	}
	return history
}

// run makes the transfer and tells its outcome. Only an error in COMMIT can leave it unknown.
func (tr transfer) run(ctx context.Context, c *pgconn.PgConn) string {
	for _, sql := range []string{
		"begin",
		fmt.Sprintf("update account set balance = balance - %d where id = %d", tr.amount, tr.from),
		fmt.Sprintf("update account set balance = balance + %d where id = %d", tr.amount, tr.to),
		fmt.Sprintf("insert into transfer values (%d, %d, %d, %d)", tr.id, tr.from, tr.to, tr.amount),
	} {
		if err := c.Exec(ctx, sql).Close(); err != nil {
			c.Exec(ctx, "rollback").Close() // a lost connection shows at the next use
			return "failed"
		}
	}
	results, err := c.Exec(ctx, "commit").ReadAll()
	var pg *pgconn.PgError
	switch {
	case err == nil && results[0].CommandTag.String() == "COMMIT":
		return "ok"
	case err == nil:
		return "failed" // ROLLBACK
	case errors.As(err, &pg) && pg.Code != "08007" && pg.Code != "40003":
		return "failed"
	default:
		return "unknown"
	}
}

// audit holds what is on the servers against the histories.
func (s *served) audit(t *testing.T, db string, histories [][]transfer) {
	t.Helper()
	times := map[string]int{}
	want := map[string]int{}
	for i := range bankAccounts {
		want[strconv.Itoa(i+1)] = bankBalance
	}
	got := map[string]string{}
	for _, server := range s.servers() {
		c := server.conn(t, db)
		for _, row := range server.text(t, c, "select id, source, target, amount from transfer") {
			f := strings.Split(row, "|")
			amount, err := strconv.Atoi(f[3])
			if err != nil {
				t.Fatal(err)
			}
			times[f[0]]++
			want[f[1]] -= amount
			want[f[2]] += amount
		}
		for _, row := range server.text(t, c, "select id, balance from account") {
			id, balance, _ := strings.Cut(row, "|")
			got[id] = balance
		}
	}
	sum := 0
	for id, balance := range want {
		sum += balance
		if got[id] != strconv.Itoa(balance) {
			t.Errorf("account %s has %s, its transfers make %d", id, got[id], balance)
		}
	}
	if sum != bankAccounts*bankBalance || len(got) != bankAccounts {
		t.Errorf("%d accounts with %d together, want %d with %d", len(got), sum, bankAccounts, bankAccounts*bankBalance)
	}
	outcomes := map[string]int{}
	for _, history := range histories {
		for _, tr := range history {
			outcomes[tr.outcome]++
			n := times[strconv.Itoa(tr.id)]
			if n > 1 || tr.outcome == "ok" && n != 1 || tr.outcome == "failed" && n != 0 {
				t.Errorf("transfer %d, told %s, is there %d times", tr.id, tr.outcome, n)
			}
		}
	}
	t.Logf("transfers: %v", outcomes)
	if outcomes["ok"] < 100 {
		t.Errorf("%d transfers succeeded: too few for a judgement", outcomes["ok"])
	}
}
