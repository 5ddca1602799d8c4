package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// faultTable makes a table and tells for each backend one key that lies on it.
func faultTable(t *testing.T, s *served) (db string, keyOn map[string]int) {
	t.Helper()
	db = s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "create table f (k int primary key, v text) partition by hash (k)")
	if err := loadRows(ctxFor(t), c.PgConn(), "f", "select i, 'v' || i from generate_series(1, 60) i"); err != nil {
		t.Fatal(err)
	}
	keyOn = map[string]int{}
	for _, server := range s.servers() {
		var k int
		if _, err := fmt.Sscan(server.one(t, server.conn(t, db), "select min(k) from f"), &k); err != nil {
			t.Fatalf("%s holds no row of f: %v", server.name, err)
		}
		keyOn[server.name] = k
	}
	return db, keyOn
}

// TestFaultClientKilled kills clients inside transactions; within a second nothing of them is left.
func TestFaultClientKilled(t *testing.T) {
	s := serve(t, "")
	db, keyOn := faultTable(t, s)
	c := s.conn(t, db)
	left := s.onEach(t, db, `select count(*) from pg_stat_activity a where datname = current_database() and pid <> pg_backend_pid()
		and backend_type = 'client backend' and (state <> 'idle' or exists (select from pg_locks l where l.pid = a.pid and locktype = 'advisory'
		and classid <> 1886151017))`) // the proxy's own
	for name, script := range map[string]string{
		"idle in a block":    "begin;\nupdate f set v = 'killed';\n\\! echo open; sleep 300\n",
		"running in a block": "begin;\nupdate f set v = 'killed';\n\\! echo open\nselect pg_sleep(300) from f where k < 30;",
		"advisory lock":      "select pg_advisory_lock(1);\n\\! echo open; sleep 300\n",
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(clientProgram("psql"), "-X", "-q", s.dsn(db))
			cmd.Stdin = strings.NewReader(script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out := &logBuffer{}
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, 20*time.Second, "the client has opened its transaction", func() bool { return strings.Contains(out.String(), "open") })
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Fatal("the client was not killed")
			}
			killed := time.Now()
			eventually(t, 5*time.Second, "the locks of the client are gone", func() bool {
				for _, k := range keyOn {
					if _, err := c.Exec(ctxFor(t), "select k from f where k = $1 for update nowait", k); err != nil {
						return false
					}
				}
				return true
			})
			eventually(t, 5*time.Second, "no server has a session in a transaction or a query of it", func() bool {
				return !slices.ContainsFunc(left(), func(n string) bool { return n != "0" })
			})
			if took := time.Since(killed); took > patience(time.Second) {
				t.Errorf("it took %s, want a second at most", took)
			}
			if rows := s.text(t, c, "select k from f where v = 'killed'"); rows != nil {
				t.Errorf("rows %v keep what was never committed", rows)
			}
		})
	}
}

// TestFaultCancel cancels statements that run on every server.
func TestFaultCancel(t *testing.T) {
	s := serve(t, "")
	db, keyOn := faultTable(t, s)
	asleep := s.onEach(t, db, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'")
	sleeping := func() (n int) {
		for _, count := range asleep() {
			if count != "0" {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		sql string
		on  int
	}{
		{"select pg_sleep(100) from f", 3},
		{"select k, pg_sleep(100) from f order by k", 3},
		{"update f set v = 'x' where pg_sleep(100) is not null", 3},
		{fmt.Sprintf("select pg_sleep(100) from f where k = %d", keyOn["b2"]), 1},
		{"select pg_sleep(100)", 1},
	} {
		raw := dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", db)
		if err := raw.queue(queryMessage(c.sql)); err != nil {
			t.Fatal(err)
		}
		if err := raw.flush(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, fmt.Sprintf("%s runs on %d servers", c.sql, c.on), func() bool { return sleeping() == c.on })
		if err := raw.cancel(); err != nil {
			t.Fatal(err)
		}
		lines, err := raw.until("ReadyForQuery")
		if err != nil || !strings.Contains(strings.Join(lines, "\n"), `ERROR 57014 "canceling statement due to user request"`) {
			t.Errorf("%s: answered with %v, %v", c.sql, lines, err)
		}
		eventually(t, patience(2*time.Second), "no server runs it any more", func() bool { return sleeping() == 0 })
		if err := raw.queue(queryMessage("select 'next'")); err != nil {
			t.Fatal(err)
		}
		if lines, err := raw.until("ReadyForQuery"); err != nil || !strings.Contains(strings.Join(lines, "\n"), `DataRow "next"`) {
			t.Errorf("the statement after the cancel: %v, %v", lines, err)
		}
	}
	// A key that was never given cancels nothing and says nothing.
	raw := dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", db)
	if err := raw.queue(queryMessage("select pg_sleep(0.5), 'undisturbed'")); err != nil {
		t.Fatal(err)
	}
	if err := raw.flush(); err != nil {
		t.Fatal(err)
	}
	stranger := &rawConn{Conn: raw.Conn, addr: raw.addr, cancelKey: append([]byte(nil), raw.cancelKey...)}
	stranger.cancelKey[len(stranger.cancelKey)-1] ^= 1
	if err := stranger.cancel(); err != nil {
		t.Fatal(err)
	}
	if lines, err := raw.until("ReadyForQuery"); err != nil || !strings.Contains(strings.Join(lines, "\n"), "undisturbed") {
		t.Errorf("a wrong key disturbed: %v, %v", lines, err)
	}
}

// TestFaultBackendDown stops one server: what lies on the others is served, the rest fails with its name,
// and when it is back all is well without help.
func TestFaultBackendDown(t *testing.T) {
	s := serve(t, "timeouts:\n  connect: 2s\n")
	db, keyOn := faultTable(t, s)
	c := s.conn(t, db)
	open := s.conn(t, db)
	s.exec(t, open, "begin")
	s.exec(t, open, fmt.Sprintf("update f set v = 'in flight' where k in (%d, %d)", keyOn["b1"], keyOn["b2"]))
	down := s.cluster.Server("b2")
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
	for _, name := range []string{"b1", "b3"} {
		for range 5 {
			if got := s.one(t, c, fmt.Sprintf("select k from f where k = %d", keyOn[name])); got == "" {
				t.Error("no row")
			}
		}
	}
	for _, sql := range []string{
		fmt.Sprintf("select v from f where k = %d", keyOn["b2"]),
		"select k from f order by k",
		"update f set v = 'partly'",
		fmt.Sprintf("insert into f values (%d, 'x'), (%d, 'y') on conflict (k) do update set v = 'partly'", keyOn["b1"], keyOn["b2"]),
	} {
		e := s.failure(t, c.PgConn(), sql)
		if e.Code != "08006" || !strings.Contains(e.Message+e.Detail, "b2") {
			t.Errorf("%s: %s %s, want 08006 that names b2", sql, e.Code, e.Message)
		}
	}
	if rows := s.text(t, c, fmt.Sprintf("select k from f where k in (%d, %d) and v = 'partly'", keyOn["b1"], keyOn["b3"])); rows != nil {
		t.Errorf("a statement that failed has changed rows %v", rows)
	}
	if err := s.failure(t, open.PgConn(), "commit"); !strings.HasPrefix(err.Code, "08") && err.Code != "40003" && !strings.HasPrefix(err.Code, "57P") {
		t.Errorf("commit without one of the servers: %s %s", err.Code, err.Message)
	}
	if err := down.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	back = true
	eventually(t, 20*time.Second, "the server is used again", func() bool {
		_, err := c.Exec(context.Background(), fmt.Sprintf("update f set v = 'healed' where k = %d", keyOn["b2"]))
		return err == nil
	})
	if n := len(s.text(t, c, "select k from f order by k")); n != 60 {
		t.Errorf("%d rows, want 60", n)
	}
	if rows := s.text(t, c, "select k from f where v = 'in flight'"); rows != nil {
		t.Errorf("rows %v of a transaction that was never committed", rows)
	}
	noPrepared(t, s, db)
}

// noPrepared waits until no prepared transaction is left on any server.
func noPrepared(t *testing.T, s *served, db string) {
	t.Helper()
	left := s.onEach(t, db, "select coalesce(string_agg(gid || ' in ' || database, ', '), '') from pg_prepared_xacts")
	deadline := time.Now().Add(15 * time.Second)
	for strings.Join(left(), "") != "" {
		if time.Now().After(deadline) {
			t.Fatalf("prepared transactions are not finished within 15 s: on the servers are %q", left())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// onEach connects to every server directly and returns the way to ask each for one value.
func (s *served) onEach(t *testing.T, db, sql string) func() []string {
	t.Helper()
	servers := s.servers()
	var conns []*pgx.Conn
	for _, server := range servers {
		conns = append(conns, server.conn(t, db))
	}
	return func() (all []string) {
		for i, c := range conns {
			all = append(all, servers[i].one(t, c, sql))
		}
		return all
	}
}

// TestFaultBackendPaused freezes one server: the others serve on, and what it says late reaches nobody.
func TestFaultBackendPaused(t *testing.T) {
	s := serve(t, "")
	db, keyOn := faultTable(t, s)
	c := s.conn(t, db)
	s.text(t, c, "select k from f order by k")
	paused := s.cluster.Server("b3")
	if err := paused.Pause(); err != nil {
		t.Fatal(err)
	}
	resumed := false
	resume := func() {
		if !resumed {
			resumed = true
			if err := paused.Resume(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(resume)
	stuck := s.conn(t, db)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := stuck.Exec(ctx, fmt.Sprintf("select 'late', v from f where k = %d", keyOn["b3"])); err == nil {
		t.Error("a frozen server answered")
	}
	for _, name := range []string{"b1", "b2"} {
		for range 20 {
			s.text(t, c, fmt.Sprintf("select v from f where k = %d", keyOn[name]))
		}
	}
	resume()
	other := s.conn(t, db)
	for range 20 {
		if got := s.one(t, other, fmt.Sprintf("select 'own', k from f where k = %d", keyOn["b3"])); got != fmt.Sprintf("own|%d", keyOn["b3"]) {
			t.Fatalf("read %q: somebody else's answer", got)
		}
	}
}

// TestFaultServerProcess ends server processes under a session.
func TestFaultServerProcess(t *testing.T) {
	s := serve(t, "pool:\n  size: 2\n")
	db, keyOn := faultTable(t, s)
	c := s.conn(t, db)
	terminate := func() {
		for _, server := range s.servers() {
			server.text(t, server.conn(t, db), "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'")
		}
	}
	s.exec(t, c, "set work_mem = '7MB'")
	s.exec(t, c, "begin")
	s.exec(t, c, fmt.Sprintf("update f set v = 'lost' where k = %d", keyOn["b1"]))
	terminate()
	e := s.failure(t, c.PgConn(), fmt.Sprintf("select v from f where k = %d", keyOn["b1"]))
	if e.Code != "57P01" && !strings.HasPrefix(e.Code, "08") {
		t.Errorf("the statement after the end of the server process: %s %s", e.Code, e.Message)
	}
	s.exec(t, c, "rollback")
	if got := s.one(t, c, "show work_mem"); got != "7MB" {
		t.Errorf("work_mem is %s: the session lost its settings", got)
	}
	if got := s.one(t, c, fmt.Sprintf("select v from f where k = %d", keyOn["b1"])); got == "lost" {
		t.Error("the transaction was not rolled back")
	}
	// Idle connections that have ended are not handed out.
	terminate()
	eventually(t, 5*time.Second, "fresh connections serve", func() bool {
		_, err := c.Exec(context.Background(), "select k from f order by k")
		return err == nil
	})
}

// TestFaultPoolExhausted has more transactions than connections.
func TestFaultPoolExhausted(t *testing.T) {
	s := serve(t, "pool:\n  size: 2\n  queue_timeout: 500ms\n")
	db, keyOn := faultTable(t, s)
	c := s.conn(t, db)
	var holders []*pgx.Conn
	for range 2 {
		h := s.conn(t, db)
		s.exec(t, h, "begin")
		s.exec(t, h, fmt.Sprintf("select v from f where k = %d", keyOn["b1"]))
		holders = append(holders, h)
	}
	began := time.Now()
	e := s.failure(t, c.PgConn(), fmt.Sprintf("select v from f where k = %d", keyOn["b1"]))
	if e.Code != "53300" {
		t.Errorf("%s %s, want 53300", e.Code, e.Message)
	}
	if took := time.Since(began); took < 400*time.Millisecond || took > patience(5*time.Second) {
		t.Errorf("it took %s, want the queue's 500 ms", took)
	}
	if got := s.one(t, c, fmt.Sprintf("select k from f where k = %d", keyOn["b2"])); got != fmt.Sprint(keyOn["b2"]) {
		t.Errorf("another server's pool: %q", got)
	}
	var freed sync.WaitGroup
	freed.Go(func() {
		<-time.After(100 * time.Millisecond)
		if _, err := holders[0].Exec(context.Background(), "commit"); err != nil {
			t.Errorf("commit: %v", err)
		}
	})
	if got := s.one(t, c, fmt.Sprintf("select k from f where k = %d", keyOn["b1"])); got == "" {
		t.Error("no row although a connection came free")
	}
	freed.Wait()
	// Many wait in turn, and all are served.
	s.exec(t, holders[1], "rollback")
	var wg sync.WaitGroup
	for range 30 {
		waiter := s.conn(t, db)
		wg.Go(func() {
			if _, err := waiter.Exec(context.Background(), fmt.Sprintf("select pg_sleep(0.005), v from f where k = %d", keyOn["b1"])); err != nil {
				t.Errorf("waiting: %v", err)
			}
		})
	}
	wg.Wait()
}

// TestFaultLimits proves the limits of the configuration that have an SQLSTATE.
func TestFaultLimits(t *testing.T) {
	db := serve(t, "").newDatabase(t) // which may take longer than a query may
	s := serve(t, "limits:\n  max_clients: 5\n  max_query_bytes: 64KiB\n  max_prepared_per_client: 10\n  max_message: 1MiB\n"+
		"timeouts:\n  query: 500ms\n  idle_in_transaction: 700ms\n")
	c := s.conn(t, db)
	long := "select '" + strings.Repeat("x", 70<<10) + "'"
	if e := s.failure(t, c.PgConn(), long); e.Code != "54000" {
		t.Errorf("a long statement: %s %s", e.Code, e.Message)
	}
	if _, err := c.PgConn().Prepare(ctxFor(t), "long", long, nil); err == nil || !strings.Contains(err.Error(), "SQLSTATE 54000") {
		t.Errorf("a long statement in Parse: %v", err)
	}
	if got := s.one(t, c, long[:60<<10]+"'"); len(got) != 60<<10-len("select '") {
		t.Errorf("a statement below the limit: %d characters", len(got))
	}
	if e := s.failure(t, c.PgConn(), "select pg_sleep(20)"); e.Code != "57014" || e.Message != "canceling statement due to statement timeout" {
		t.Errorf("a slow statement: %s %s", e.Code, e.Message)
	}
	var refused string
	for i := range 12 {
		if _, err := c.PgConn().Prepare(ctxFor(t), fmt.Sprint("p", i), "select 1", nil); err != nil {
			refused = err.Error()
		}
	}
	if !regexp.MustCompile(`SQLSTATE 5[34]\d{3}`).MatchString(refused) {
		t.Errorf("too many prepared statements: %q", refused)
	}
	idle := dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", db)
	if err := idle.queue(queryMessage("begin")); err != nil {
		t.Fatal(err)
	}
	lines, err := idle.until("never")
	if said := strings.Join(lines, "\n"); readable(err) != "closed" || !strings.Contains(said, "FATAL 25P03") {
		t.Errorf("an idle transaction: %v\n%s", err, said)
	}
	var last error
	for range 8 {
		extra, err := pgx.Connect(ctxFor(t), s.dsn(db))
		if err != nil {
			last = err
			continue
		}
		defer extra.Close(context.Background())
	}
	if last == nil || !strings.Contains(last.Error(), "53300") {
		t.Errorf("more than max_clients: %v, want 53300", last)
	}
}

// TestFaultProxyKilled kills the proxy under writes over several servers; afterwards every statement has
// happened everywhere or nowhere.
func TestFaultProxyKilled(t *testing.T) {
	s := serve(t, "transactions:\n  recovery_interval: 200ms\n")
	db := s.newDatabase(t)
	s.exec(t, s.conn(t, db), "create table w (k bigint primary key, batch bigint) partition by hash (k)")
	const rows = 8
	var batch int64
	for range 4 {
		var wg sync.WaitGroup
		acknowledged := make([]map[int64]bool, 4)
		for w := range 4 {
			conn := s.conn(t, db)
			acknowledged[w] = map[int64]bool{}
			first := batch
			batch += 1_000_000
			wg.Go(func() {
				for b := first; ; b++ {
					var values []string
					for i := range int64(rows) {
						values = append(values, fmt.Sprintf("(%d, %d)", b*rows+i, b))
					}
					if _, err := conn.Exec(context.Background(), "insert into w values "+strings.Join(values, ", ")); err != nil {
						return // the proxy is gone
					}
					acknowledged[w][b] = true
				}
			})
		}
		c := s.conn(t, db)
		eventually(t, 30*time.Second, "writes are under way", func() bool { return len(s.text(t, c, "select k from w limit 200")) >= 200 })
		if err := s.program.cmd.Process.Signal(os.Kill); err != nil {
			t.Fatal(err)
		}
		<-s.program.exited
		wg.Wait()
		if err := s.program.complaints(); err != nil {
			t.Error(err)
		}
		s.start(t)
		noPrepared(t, s, db)
		seen := map[string]int{}
		for _, b := range s.text(t, s.conn(t, db), "select batch from w") {
			seen[b]++
		}
		for b, n := range seen {
			if n != rows {
				t.Errorf("batch %s has %d rows, want all %d or none", b, n, rows)
			}
		}
		for _, acks := range acknowledged {
			for b := range acks {
				if seen[fmt.Sprint(b)] == 0 {
					t.Errorf("batch %d was acknowledged and is not there", b)
				}
			}
		}
		s.exec(t, s.conn(t, db), "truncate w")
	}
}

// TestFaultShutdown ends the proxy in order under load: clients see 57P01 at a boundary, and nothing else.
func TestFaultShutdown(t *testing.T) {
	s := serve(t, "timeouts:\n  shutdown: 5s\n")
	db, keyOn := faultTable(t, s)
	inBlock := s.conn(t, db)
	s.exec(t, inBlock, "begin")
	s.exec(t, inBlock, fmt.Sprintf("update f set v = 'finished' where k = %d", keyOn["b1"]))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ends []string
	for range 4 {
		c := s.conn(t, db)
		wg.Go(func() {
			for {
				if _, err := c.Exec(context.Background(), "select k from f order by k"); err != nil {
					mu.Lock()
					ends = append(ends, err.Error())
					mu.Unlock()
					return
				}
			}
		})
	}
	s.text(t, s.conn(t, db), "select k from f order by k")
	if err := s.program.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.exec(t, inBlock, fmt.Sprintf("update f set v = 'finished' where k = %d", keyOn["b2"]))
	s.exec(t, inBlock, "commit")
	wg.Wait()
	<-s.program.exited
	for _, end := range ends {
		if !strings.Contains(end, "57P01") && !strings.Contains(end, "EOF") && !strings.Contains(end, "conn closed") && !strings.Contains(end, "reset") {
			t.Errorf("a client saw %q", end)
		}
	}
	if s.program.err != nil {
		t.Errorf("the proxy ended with %v", s.program.err)
	}
	s.start(t)
	if n := len(s.text(t, s.conn(t, db), "select k from f where v = 'finished'")); n != 2 {
		t.Errorf("%d rows of the transaction that was open at SIGTERM, want 2", n)
	}
}
