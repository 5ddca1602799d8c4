package integration

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// TestRecoveryServerDownAtStart kills the proxy in a distributed commit and starts it while a server is down. What the
// others hold is ended as soon as home answers, what lies on that one when it is back, in a database that no
// client asks for.
func TestRecoveryServerDownAtStart(t *testing.T) {
	w := newWrites(t, serve(t, "transactions:\n  recovery_interval: 200ms\ntimeouts:\n  connect: 2s\n"))
	for _, c := range []struct {
		name, down string
		point      string
		decided    bool
		meanwhile  []string // servers on which nothing must stay prepared while it is down
	}{
		{"another server, decided", "b3", "after-decision", true, []string{"b1", "b2"}},
		{"another server, undecided", "b3", "after-prepare", false, []string{"b1", "b2"}},
		{"home, decided", "b1", "after-decision", true, nil},
		{"home, undecided", "b1", "after-prepare", false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.arm(t, c.point)
			sql, rows := w.insert(c.name, "b2", "b3")
			err := w.conn(t, w.db).PgConn().Exec(ctxFor(t), sql).Close()
			var pg *pgconn.PgError
			if err == nil || errors.As(err, &pg) {
				t.Fatalf("the statement ended with %v, want a lost connection", err)
			}
			<-w.program.exited
			down := w.cluster.Server(c.down)
			if err := down.Stop(devcluster.Immediate); err != nil {
				t.Fatal(err)
			}
			back := false
			t.Cleanup(func() {
				if !back {
					if err := down.Start(context.Background()); err != nil {
						t.Error(err)
					}
				}
			})
			w.launch(t)
			for _, name := range c.meanwhile {
				conn := w.server(name).conn(t, w.db)
				eventually(t, patience(inDoubtLimit), "nothing is prepared on "+name, func() bool {
					return w.server(name).one(t, conn, "select count(*) from pg_prepared_xacts") == "0"
				})
			}
			if err := down.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			back = true
			w.settled(t)
			want := 0
			if c.decided {
				want = rows
			}
			if n := w.count(t, c.name); n != want {
				t.Errorf("%d rows, want %d", n, want)
			}
		})
	}
}

// TestTransactionsInDoubt: what a server that has gone keeps from its end is in pleiad.transactions, with the reason, for as long
// as that lasts.
func TestTransactionsInDoubt(t *testing.T) {
	w := newWrites(t, serve(t, "transactions:\n  recovery_interval: 200ms\ntimeouts:\n  connect: 2s\n"))
	outcome, rows := w.stopAt(t, "after-decision", "", "in doubt", "b2", "b3")
	down := w.cluster.Server("b3")
	if err := down.Kill(); err != nil {
		t.Fatal(err)
	}
	w.program.resume(t)
	if err := outcome(); err != nil {
		t.Errorf("the statement, which was decided: %v", err)
	}
	c := w.conn(t, w.db)
	var row string
	eventually(t, 20*time.Second, "the transaction is shown with its reason", func() bool {
		rows := w.text(t, c, "select state, backends, reason, age > '0' from pleiad.transactions where reason is not null")
		row = strings.Join(rows, "; ")
		return strings.HasPrefix(row, "committed|b3|")
	})
	if row != `committed|b3|backend "b3" does not answer|t` {
		t.Errorf("it is shown as %s", row)
	}
	if err := down.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.settled(t)
	eventually(t, 20*time.Second, "nothing is in doubt", func() bool {
		return w.one(t, c, "select count(*) from pleiad.in_doubt") == "0"
	})
	if n := w.count(t, "in doubt"); n != rows {
		t.Errorf("%d rows, want %d", n, rows)
	}
	// The record goes once everything has been seen complete and some time has passed.
	home := w.server("b1").conn(t, w.db)
	w.server("b1").exec(t, home, "update pleiad.commit_record set decided = decided - interval '2 minutes'")
	eventually(t, 20*time.Second, "the record is gone", func() bool {
		return w.one(t, c, "select count(*) from pleiad.transactions") == "0"
	})
}

var salt = regexp.MustCompile(`s=([^,]+)`)

// saltOf begins a login with SCRAM and returns the salt that the proxy names.
func saltOf(t *testing.T, addr, user string) string {
	t.Helper()
	c := dialRaw(t, addr)
	defer c.Close()
	if _, err := c.Write(startupMessage("user", user, "database", "postgres")); err != nil {
		t.Fatal(err)
	}
	if kind, body, err := c.receive(callLimit); err != nil || kind != 'R' || !strings.Contains(string(body), "SCRAM-SHA-256") {
		t.Fatalf("asked for a login with %q %q, %v", kind, body, err)
	}
	first := "n,,n=,r=nonce"
	body := append([]byte("SCRAM-SHA-256\x00"), binary.BigEndian.AppendUint32(nil, uint32(len(first)))...)
	if _, err := c.Write(frame('p', append(body, first...))); err != nil {
		t.Fatal(err)
	}
	kind, answer, err := c.receive(callLimit)
	m := salt.FindSubmatch(answer)
	if err != nil || kind != 'R' || m == nil {
		t.Fatalf("answered with %q %q, %v", kind, answer, err)
	}
	if raw, err := base64.StdEncoding.DecodeString(string(m[1])); err != nil || len(raw) != 16 {
		t.Fatalf("salt %q: %v", m[1], err)
	}
	return string(m[1])
}

// TestMockSecretIsTheClusters: a role that does not exist has the same salt after a restart, as one that exists has, and
// nobody can work it out who has not read home's catalog.
func TestMockSecretIsTheClusters(t *testing.T) {
	s := serve(t, "")
	raw, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config, []byte(strings.Replace(string(raw), "method: trust", "method: scram-sha-256", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	again := func() {
		t.Helper()
		if err := s.program.stop(); err != nil {
			t.Fatal(err)
		}
		s.launch(t)
		eventually(t, 30*time.Second, "the proxy listens", func() bool {
			c, err := pgconn.Connect(ctxFor(t), s.dsn("postgres"))
			if err == nil {
				c.Close(ctxFor(t))
			}
			return err == nil || strings.Contains(err.Error(), "28P01") || strings.Contains(err.Error(), "password")
		})
	}
	again()
	first := saltOf(t, s.addr, "nobody_at_all")
	if other := saltOf(t, s.addr, "somebody_else"); other == first {
		t.Error("two roles that do not exist have one salt")
	}
	again()
	if second := saltOf(t, s.addr, "nobody_at_all"); second != first {
		t.Errorf("salt %s after a restart, was %s", second, first)
	}
	home := s.server("b1").conn(t, "postgres")
	s.server("b1").exec(t, home, "update pleiad.secret set value = sha256(value)")
	again()
	if third := saltOf(t, s.addr, "nobody_at_all"); third == first {
		t.Error("the salt does not come from the catalog's secret")
	}
}

// TestRecoveryKeepsDecisions: recovery acts on a decision only when a standby of home has it, whoever wrote it. Home's standbys do
// not receive here, though they seem to.
func TestRecoveryKeepsDecisions(t *testing.T) {
	r := serveReplicated(t, "transactions:\n  recovery_interval: 200ms\n")
	r.caughtUp(t)
	home, other := r.primary(t, "b1"), r.primary(t, "b2")
	const gid = "pleiad_replicas_lost_1"
	var stopped []int
	resume := func() {
		for _, pid := range stopped {
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Error(err)
			}
		}
		stopped = nil
	}
	defer func() { resume() }()
	for _, s := range r.cluster.Replicas("b1") {
		pid, err := strconv.Atoi(r.on(t, s, "select pid from pg_stat_wal_receiver"))
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGSTOP)
		}
		if err != nil {
			t.Fatal(err)
		}
		stopped = append(stopped, pid)
	}
	r.on(t, other, "begin; create table part_of_a_transaction (); prepare transaction '"+gid+"'")
	r.restart(t, r.configText(t)) // what the proxy has not prepared itself it takes for its predecessor's
	eventually(t, patience(30*time.Second), "recovery waits for home's standbys", func() bool {
		return r.on(t, home, "select count(*) from pg_stat_activity where wait_event = 'SyncRep'") != "0"
	})
	if n := r.on(t, other, "select count(*) from pg_prepared_xacts where gid = '"+gid+"'"); n != "1" {
		t.Error("the part ended before the decision was on a standby")
	}
	resume()
	eventually(t, patience(30*time.Second), "the part has ended", func() bool {
		return r.on(t, other, "select count(*) from pg_prepared_xacts") == "0"
	})
}
