package integration

import (
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestFaultClientKilledInStream kills clients in the middle of COPY, of a cursor and of a result that they read.
func TestFaultClientKilledInStream(t *testing.T) {
	s := serve(t, "pool:\n  size: 2\n")
	db, keyOn := faultTable(t, s)
	c := s.conn(t, db)
	busy := s.onEach(t, db, `select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
		and backend_type = 'client backend' and state <> 'idle'`)
	some := func() bool { return slices.ContainsFunc(busy(), func(n string) bool { return n != "0" }) }
	var rows strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&rows, "%d\tcopied\n", 1000+i)
	}
	for name, script := range map[string]string{
		"COPY":            "copy f from stdin;\n" + rows.String(),
		"COPY in a block": "begin;\nupdate f set v = 'copied';\ncopy f from stdin;\n" + rows.String(),
		"cursor": fmt.Sprintf("begin;\nupdate f set v = 'copied' where k < 10;\n"+
			"declare c cursor for select f.k from f, generate_series(1, 100000) where k = %d;\nfetch 5 from c;\n", keyOn["b2"]),
		"a long result": "select f.k, repeat('x', 1000) from f, generate_series(1, 100000);\n",
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(clientProgram("psql"), "-X", "-q", "-o", "/dev/null", s.dsn(db))
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			errs := &logBuffer{}
			cmd.Stderr = errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var feed sync.WaitGroup
			feed.Go(func() { io.WriteString(in, script) }) // stays open: the client waits for more
			eventually(t, 20*time.Second, "a server works for the client", func() bool {
				if e := errs.String(); e != "" {
					t.Fatal(e)
				}
				return some()
			})
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			feed.Wait()
			if err := cmd.Wait(); err == nil {
				t.Fatal("the client was not killed")
			}
			killed := time.Now()
			eventually(t, 10*time.Second, "no server has a transaction or a query of it", func() bool { return !some() })
			if took := time.Since(killed); took > patience(time.Second) {
				t.Errorf("it took %s, want a second at most", took)
			}
			if e := errs.String(); e != "" {
				t.Error(e)
			}
			if rows := s.text(t, c, "select k from f where v = 'copied'"); rows != nil {
				t.Errorf("%d rows keep what was never committed", len(rows))
			}
			// Both connections of the pool serve again.
			for range 4 {
				if n := len(s.text(t, s.conn(t, db), "select k from f order by k")); n != 60 {
					t.Errorf("%d rows, want 60", n)
				}
			}
		})
	}
}

// TestFaultPortalAbandoned loses a client whose portals over all servers are suspended.
func TestFaultPortalAbandoned(t *testing.T) {
	s := serve(t, "pool:\n  size: 1\n")
	db, _ := faultTable(t, s)
	busy := s.onEach(t, db, `select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
		and backend_type = 'client backend' and state <> 'idle'`)
	for _, sql := range []string{"select f.k from f, generate_series(1, 20000)", "select f.k from f, generate_series(1, 20000) order by 1"} {
		raw := dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", db)
		for _, m := range [][]byte{
			queryMessage("begin"), queryMessage("update f set v = 'abandoned'"),
			frame('P', []byte("\x00"+sql+"\x00\x00\x00")), frame('B', make([]byte, 8)),
			frame('E', []byte{0, 0, 0, 0, 5}), frame('H', nil),
		} {
			if err := raw.queue(m); err != nil {
				t.Fatal(err)
			}
		}
		if lines, err := raw.until("PortalSuspended"); err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, strings.Join(lines, "\n"))
		}
		if slices.Contains(busy(), "0") {
			t.Errorf("%s: busy are %q of the servers, want all", sql, busy())
		}
		raw.Close()
		left := time.Now()
		eventually(t, 10*time.Second, "no server has anything of the client", func() bool {
			return !slices.ContainsFunc(busy(), func(n string) bool { return n != "0" })
		})
		if took := time.Since(left); took > patience(time.Second) {
			t.Errorf("%s: it took %s, want a second at most", sql, took)
		}
		if rows := s.text(t, s.conn(t, db), "select k from f where v = 'abandoned'"); rows != nil {
			t.Errorf("%s: %d rows keep what was never committed", sql, len(rows))
		}
	}
}

// TestMemorySlowReader has clients that hardly read large results: the proxy waits for them in little memory, and
// serves the others meanwhile.
func TestMemorySlowReader(t *testing.T) {
	s := serve(t, "")
	db, keyOn := faultTable(t, s)
	c := s.conn(t, db)
	const rows, width = 300, 1 << 20
	for what, sql := range map[string]string{
		"one server": fmt.Sprintf("select repeat('x', %d) from generate_series(1, %d)", width, rows),
		"all":        fmt.Sprintf("select k, repeat('x', %d) from f, generate_series(1, 5)", width),
		"in order":   fmt.Sprintf("select k, repeat('x', %d) from f, generate_series(1, 5) order by k", width),
	} {
		before, err := rssBytes(s.pid)
		if err != nil {
			t.Fatal(err)
		}
		peak, stop := watchRSS(t, s.pid)
		raw := dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", db)
		if err := raw.queue(queryMessage(sql)); err != nil {
			t.Fatal(err)
		}
		if err := raw.flush(); err != nil {
			t.Fatal(err)
		}
		got := 0
		for done := false; !done; {
			kind, _, err := raw.receive(callLimit)
			if err != nil {
				t.Fatal(err)
			}
			switch kind {
			case 'D':
				if got++; got%30 == 0 {
					// The client rests while others work.
					for _, k := range keyOn {
						for range 10 {
							s.text(t, c, fmt.Sprintf("select v from f where k = %d", k))
						}
					}
				}
			case 'E':
				t.Fatalf("%s: an error in place of row %d", what, got)
			case 'Z':
				done = true
			}
		}
		stop()
		raw.Close()
		if got != rows {
			t.Errorf("%s: %d rows, want %d", what, got, rows)
		}
		t.Logf("%s: %d MiB before, %d MiB at most", what, before>>20, peak.Load()>>20)
		if grown := peak.Load() - before; grown > memoryLimit(48<<20) {
			t.Errorf("%s: the proxy grew by %d MiB", what, grown>>20)
		}
	}
}
