package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// inDoubtLimit is the promise: how long a transaction may stay prepared once all servers and a proxy are there.
const inDoubtLimit = 10 * time.Second

// commitPoints are the failpoints of a distributed commit in their order, and whether it is decided there.
var commitPoints = []struct {
	name    string
	decided bool
}{
	{"before-prepare", false}, {"between-prepares", false}, {"after-prepare", false},
	{"after-decision", true}, {"between-commits", true}, {"after-commit-prepared", true},
}

// writes is a table whose rows can be put on chosen servers.
type writes struct {
	*served
	db   string
	keys map[string][]int // of each server, not yet used
}

// newWrites makes the table; the proxy must not be armed then, because DDL commits on several servers too.
func newWrites(t *testing.T, s *served) *writes {
	t.Helper()
	w := &writes{served: s, db: s.newDatabase(t), keys: map[string][]int{}}
	c := s.conn(t, w.db)
	s.exec(t, c, "create table w (k int primary key, batch text) partition by hash (k)")
	if err := loadRows(ctxFor(t), c.PgConn(), "w", "select i, '' from generate_series(1, 1000) i"); err != nil {
		t.Fatal(err)
	}
	for _, server := range s.servers() {
		for _, row := range server.text(t, server.conn(t, w.db), "select k from w order by k") {
			k, err := strconv.Atoi(row)
			if err != nil {
				t.Fatal(err)
			}
			w.keys[server.name] = append(w.keys[server.name], k)
		}
	}
	s.exec(t, c, "truncate w")
	return w
}

// insert is a statement that writes two rows on each of the servers.
func (w *writes) insert(batch string, servers ...string) (sql string, rows int) {
	var values []string
	for _, name := range servers {
		for _, k := range w.keys[name][:2] {
			values = append(values, fmt.Sprintf("(%d, '%s')", k, batch))
		}
		w.keys[name] = w.keys[name][2:]
	}
	return "insert into w values " + strings.Join(values, ", "), len(values)
}

// count asks the servers themselves how many rows of the batch there are.
func (w *writes) count(t *testing.T, batch string) (n int) {
	t.Helper()
	for _, server := range w.servers() {
		n += len(server.text(t, server.conn(t, w.db), "select k from w where batch = '"+batch+"'"))
	}
	return n
}

// arm starts the proxy anew with a failpoint.
func (s *served) arm(t *testing.T, failpoint string) {
	t.Helper()
	if err := s.program.stop(); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"PLEIAD_FAILPOINT=" + failpoint}
	s.start(t)
	s.env = nil
}

// settled waits until no transaction is prepared anywhere.
func (w *writes) settled(t *testing.T) {
	t.Helper()
	began := time.Now()
	noPrepared(t, w.served, w.db)
	if took := time.Since(began); took > patience(inDoubtLimit) {
		t.Errorf("transactions were in doubt for %s, want %s at most", took, inDoubtLimit)
	}
}

var participants = map[string][]string{
	"home and two others":   {"b1", "b2", "b3"},
	"two others":            {"b2", "b3"},
	"home and another":      {"b1", "b3"},
	"in a block, with home": {"b1", "b2", "b3"},
}

// runBatch sends the statement, in a transaction block if the batch's name says so.
func runBatch(ctx context.Context, c *pgx.Conn, who, sql string) error {
	if strings.Contains(who, "block") {
		sql = "begin; " + sql + "; commit"
	}
	return c.PgConn().Exec(ctx, sql).Close()
}

// TestCommitProxyKilled kills the proxy at each step of a distributed commit. The next proxy makes it all or
// nothing without being asked for that database.
func TestCommitProxyKilled(t *testing.T) {
	w := newWrites(t, serve(t, "transactions:\n  recovery_interval: 200ms\n"))
	type step struct {
		point, who string
		decided    bool
	}
	var steps []step
	for _, point := range commitPoints {
		for who := range participants {
			steps = append(steps, step{point.name, who, point.decided})
		}
	}
	w.arm(t, steps[0].point)
	for i, st := range steps {
		batch := st.point + ", " + st.who
		sql, rows := w.insert(batch, participants[st.who]...)
		err := runBatch(ctxFor(t), w.conn(t, w.db), st.who, sql)
		var pg *pgconn.PgError
		if err == nil || errors.As(err, &pg) {
			t.Fatalf("%s: the statement ended with %v, want a lost connection", batch, err)
		}
		<-w.program.exited
		if err := w.program.complaints(); err != nil {
			t.Error(err)
		}
		// The proxy that recovers is the next to be killed.
		w.env = nil
		if i+1 < len(steps) {
			w.env = []string{"PLEIAD_FAILPOINT=" + steps[i+1].point}
		}
		w.start(t)
		w.settled(t)
		want := 0
		if st.decided {
			want = rows
		}
		if n := w.count(t, batch); n != want {
			t.Errorf("%s: %d rows, want %d", batch, n, want)
		}
	}
}

// awaitStopped waits until the program has stopped itself.
func (p *program) awaitStopped(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, "the program stands at the failpoint", func() bool {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		return strings.HasPrefix(rest, "T")
	})
}

func (p *program) resume(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// stopAt arms a failpoint that stops the proxy, sends a batch and waits until it is there; outcome waits for the
// batch's end.
func (w *writes) stopAt(t *testing.T, point, who, batch string, servers ...string) (outcome func() error, rows int) {
	t.Helper()
	w.arm(t, point+":1:stop")
	sql, rows := w.insert(batch, servers...)
	c := w.conn(t, w.db)
	done := make(chan error, 1)
	ctx := ctxFor(t)
	go func() { done <- runBatch(ctx, c, who, sql) }()
	w.program.awaitStopped(t)
	return func() error { return <-done }, rows
}

// judge compares what the client was told with what is there.
func (w *writes) judge(t *testing.T, batch string, told error, rows int) {
	t.Helper()
	n := w.count(t, batch)
	var pg *pgconn.PgError
	switch {
	case n != 0 && n != rows:
		t.Errorf("%s: %d rows, want all %d or none", batch, n, rows)
	case told == nil && n != rows:
		t.Errorf("%s: acknowledged, and %d rows of %d are there", batch, n, rows)
	case told == nil:
	case !errors.As(told, &pg):
		t.Errorf("%s: the statement ended with %v", batch, told)
	case pg.Code == "08007" || pg.Code == "40003":
	case n != 0:
		t.Errorf("%s: failed with %s %s, and the rows are there", batch, pg.Code, pg.Message)
	}
}

// TestCommitProxyPaused stops the proxy at each step for so long that another one recovers its transaction. When
// it goes on, it must not report a commit of what the other has rolled back.
func TestCommitProxyPaused(t *testing.T) {
	w := newWrites(t, serve(t, "transactions:\n  recovery_interval: 200ms\n"))
	for _, point := range commitPoints {
		for _, who := range []string{"home and two others", "two others"} {
			servers := participants[who]
			batch := "paused " + point.name + ", " + who
			outcome, rows := w.stopAt(t, point.name, who, batch, servers...)
			other := serveBeside(t, w.served)
			w.settled(t)
			before := w.count(t, batch)
			w.program.resume(t)
			err := outcome()
			w.settled(t)
			w.judge(t, batch, err, rows)
			if point.name == "after-prepare" && err == nil {
				t.Errorf("%s: acknowledged what the other proxy has rolled back", batch)
			}
			if after := w.count(t, batch); point.decided && (before != rows || after != rows) {
				t.Errorf("%s: %d rows by recovery, %d at the end, want %d", batch, before, after, rows)
			}
			if err := errors.Join(other.program.stop(), other.program.complaints()); err != nil {
				t.Error(err)
			}
		}
	}
}

// serveBeside starts a second proxy with the configuration of the first, on an address of its own. The caller stops
// it.
func serveBeside(t *testing.T, s *served) *served {
	t.Helper()
	raw, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	side := *s.side
	other := &served{side: &side, cluster: s.cluster, env: s.env, config: s.config + "." + strconv.FormatInt(databaseNumber.Add(1), 10)}
	other.addr = freeAddress(t)
	if err := os.WriteFile(other.config, []byte(strings.Replace(string(raw), s.addr, other.addr, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	other.start(t)
	return other
}

// TestCommitOtherProxyKilled kills proxies beside one that lives: that one ends their transactions, in a database that
// nobody has opened through it, and leaves alone what is not yet old.
func TestCommitOtherProxyKilled(t *testing.T) {
	w := newWrites(t, serve(t, "transactions:\n  recovery_interval: 200ms\n"))
	if err := w.program.stop(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	want := map[string]int{}
	// Each proxy that starts also ends what was prepared before; what the last one leaves is for the living one.
	last := len(commitPoints) - 2
	for _, point := range append(slices.Delete(slices.Clone(commitPoints), last, last+1), commitPoints[last]) {
		w.env = []string{"PLEIAD_FAILPOINT=" + point.name}
		other := serveBeside(t, w.served)
		batch := "beside a living proxy, " + point.name
		sql, rows := w.insert(batch, participants["home and two others"]...)
		if point.decided {
			want[batch] = rows
		} else {
			want[batch] = 0
		}
		if err := runBatch(ctxFor(t), other.conn(t, w.db), "", sql); err == nil {
			t.Fatalf("%s: the statement succeeded", batch)
		}
		<-other.program.exited
	}
	w.env = nil
	w.settled(t)
	for batch, rows := range want {
		if n := w.count(t, batch); n != rows {
			t.Errorf("%s: %d rows, want %d", batch, n, rows)
		}
	}
}

// TestCommitBackendKilled kills a server while a commit stands between two steps. The outcome is the same everywhere
// once it is back.
func TestCommitBackendKilled(t *testing.T) {
	w := newWrites(t, serve(t, "timeouts:\n  connect: 2s\ntransactions:\n  recovery_interval: 200ms\n"))
	for _, point := range commitPoints[:4] {
		for _, victim := range []string{"b1", "b2"} {
			for _, who := range []string{"home and two others", "two others"} {
				batch := victim + " killed " + point.name + ", " + who
				outcome, rows := w.stopAt(t, point.name, who, batch, participants[who]...)
				if err := w.cluster.Server(victim).Kill(); err != nil {
					t.Fatal(err)
				}
				w.program.resume(t)
				err := outcome()
				if err := w.cluster.Server(victim).Start(context.Background()); err != nil {
					t.Fatal(err)
				}
				w.settled(t)
				w.judge(t, batch, err, rows)
				if point.decided && w.count(t, batch) != rows {
					t.Errorf("%s: decided, and not all rows are there", batch)
				}
			}
		}
	}
}
