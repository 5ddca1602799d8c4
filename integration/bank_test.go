package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The bank: transfers between accounts on all servers while these are killed in turn.
const (
	bankAccounts = 24
	bankBalance  = 1000
	bankClients  = 8
	bankTime     = 10 * time.Second
)

// transfer is one entry of the history.
type transfer struct {
	id, from, to, amount int
	outcome              string // ok, failed or unknown
}

// TestBank keeps the sum of all accounts, and each acknowledged transfer once, whatever happens to the servers.
func TestBank(t *testing.T) {
	s := serve(t, "timeouts:\n  connect: 2s\ntransactions:\n  recovery_interval: 200ms\n")
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table account (id int primary key, balance int not null) partition by hash (id)")
	s.exec(t, c, "create table transfer (id int primary key, source int, target int, amount int) partition by hash (id)")
	if err := loadRows(ctxFor(t), c.PgConn(), "account", fmt.Sprintf("select i, %d from generate_series(1, %d) i", bankBalance, bankAccounts)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), bankTime)
	defer stop()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	histories := make([][]transfer, bankClients)
	var clients sync.WaitGroup
	for n := range histories {
		clients.Go(func() { histories[n] = s.transfers(ctx, t, db, n, rand.New(rand.NewPCG(uint64(seed), uint64(n)))) })
	}
	kills := 0
	for names := []string{"b2", "b3", "b1"}; ctx.Err() == nil; kills++ {
		server := s.cluster.Server(names[kills%len(names)])
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		// The clients go on for a while before the next one is killed.
		pause, done := context.WithTimeout(ctx, time.Second)
		<-pause.Done()
		done()
	}
	clients.Wait()
	noPrepared(t, s, db)
	s.audit(t, db, histories)
	t.Logf("%d kills", kills)
}

// transfers is one client's work; it connects anew when its connection is lost.
func (s *served) transfers(ctx context.Context, t *testing.T, db string, client int, random *rand.Rand) (history []transfer) {
	var c *pgconn.PgConn
	// Statements that are under way at the end are not broken off.
	work, stop := context.WithTimeout(context.WithoutCancel(ctx), bankTime+callLimit)
	defer stop()
	for id := client * 1_000_000; ctx.Err() == nil; id++ {
		if c == nil || c.IsClosed() {
			var err error
			if c, err = pgconn.Connect(work, s.dsn(db)); err != nil {
				c = nil
				var pg *pgconn.PgError
				if !errors.As(err, &pg) {
					t.Errorf("connect: %v", err)
				}
				time.Sleep(20 * time.Millisecond)
				continue
			}
		}
		// In one order, so that transfers cannot deadlock.
		a := 1 + random.IntN(bankAccounts-1)
		tr := transfer{id: id, from: a, to: a + 1 + random.IntN(bankAccounts-a), amount: random.IntN(41) - 20}
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
