package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// checkConfig runs `pleiad check-config` and returns what it printed and its exit status.
func (s *served) checkConfig(t *testing.T) (said string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, suite.binary, "check-config", "--config", s.config)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// reload writes a configuration, sends SIGHUP and waits for the line that the log gets.
func (s *served) reload(t *testing.T, config, line string) string {
	t.Helper()
	if err := os.WriteFile(s.config, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	seen := len(s.program.stderr.String())
	if err := s.program.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var found string
	eventually(t, 20*time.Second, "the log says "+line, func() bool {
		for l := range strings.Lines(s.program.stderr.String()[seen:]) {
			if strings.Contains(l, "msg="+line) {
				found = l
			}
		}
		return strings.HasSuffix(found, "\n")
	})
	return found
}

// TestConfigReload changes the configuration of a running proxy.
func TestConfigReload(t *testing.T) {
	s := serve(t, "pool:\n  size: 1\n  queue_timeout: 300ms\n")
	db, keyOn := faultTable(t, s)
	raw, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	first := string(raw)
	read := fmt.Sprintf("select v from f where k = %d", keyOn["b1"])
	holder, c := s.conn(t, db), s.conn(t, db)
	s.exec(t, holder, "begin")
	s.exec(t, holder, read)
	full := func() bool {
		_, err := c.Exec(ctxFor(t), read)
		if err != nil && !strings.Contains(err.Error(), "53300") {
			t.Fatal(err)
		}
		return err != nil
	}
	if !full() {
		t.Error("a pool of one connection gave a second")
	}
	second := strings.Replace(first, "size: 1", "size: 2", 1) + "log:\n  level: debug\n"
	if line := s.reload(t, second, "config_reloaded"); !strings.Contains(line, "log.level,pool.size") || !strings.Contains(line, `needs_restart=""`) {
		t.Errorf("the log says %q", line)
	}
	if full() {
		t.Error("the new pool size is not in force")
	}
	stranger := dialRaw(t, s.addr)
	stranger.Write([]byte("nonsense that no client says"))
	eventually(t, 10*time.Second, "the log has lines of level debug", func() bool {
		return strings.Contains(s.program.stderr.String(), "level=DEBUG")
	})
	third := strings.Replace(strings.Replace(second, "listen: "+s.addr, "listen: 127.0.0.1:1", 1), "size: 2", "size: 3", 1)
	if line := s.reload(t, third, "config_reloaded"); !strings.Contains(line, "applied=pool.size") || !strings.Contains(line, "needs_restart=listen") {
		t.Errorf("the log says %q", line)
	}
	for _, broken := range []string{"{", second + "no_such_key: 1\n", strings.Replace(second, "size: 2", "size: -4", 1), ""} {
		if line := s.reload(t, broken, "config_not_reloaded"); !strings.Contains(line, "level=ERROR") {
			t.Errorf("the log says %q", line)
		}
		if full() {
			t.Error("after a broken file the old configuration is not in force")
		}
	}
	if line := s.reload(t, strings.Replace(second, "size: 2", "size: -4", 1), "config_not_reloaded"); !strings.Contains(line, "pool.size") || !strings.Contains(line, "-4") {
		t.Errorf("the log does not name the wrong key: %q", line)
	}
	s.exec(t, holder, "rollback")
	if err := os.WriteFile(s.config, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if said, status := s.checkConfig(t); status != 0 || strings.Count(said, " ok\n") != 3 {
		t.Errorf("check-config ends with %d:\n%s", status, said)
	}
	if err := os.WriteFile(s.config, []byte(strings.Replace(first, "size: 1", "sizes: 1", 1)+"limits:\n  max_clients: many\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if said, status := s.checkConfig(t); status == 0 || !strings.Contains(said, "pool.sizes") || !strings.Contains(said, "limits.max_clients") {
		t.Errorf("check-config ends with %d, want every wrong key:\n%s", status, said)
	}
}

// TestStartWithServersDown starts the proxy before its servers.
func TestStartWithServersDown(t *testing.T) {
	s := serve(t, "timeouts:\n  connect: 1s\n")
	db, keyOn := faultTable(t, s)
	for _, down := range []string{"b2", "b1"} {
		server := s.cluster.Server(down)
		if err := s.program.stop(); err != nil {
			t.Fatal(err)
		}
		if err := server.Stop(devcluster.Fast); err != nil {
			t.Fatal(err)
		}
		s.launch(t)
		if said, status := s.checkConfig(t); status != 1 || !strings.Contains(said, down) {
			t.Errorf("check-config ends with %d:\n%s", status, said)
		}
		s.servedWithout(t, db, keyOn, down)
		if err := server.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, "all is served", func() bool {
			c, err := pgx.Connect(ctxFor(t), s.dsn(db))
			if err != nil {
				return false
			}
			defer c.Close(context.Background())
			_, err = c.Exec(ctxFor(t), "update f set v = 'healed'")
			return err == nil
		})
	}
}

// servedWithout checks what a proxy serves that has never seen one of its servers.
func (s *served) servedWithout(t *testing.T, db string, keyOn map[string]int, down string) {
	t.Helper()
	if down == "b1" { // home: without it no session begins
		var said error
		eventually(t, 20*time.Second, "the proxy says that home is down", func() bool {
			c, err := pgx.Connect(ctxFor(t), s.dsn(db))
			if err == nil {
				c.Close(context.Background())
				t.Fatal("a session began without home")
			}
			said = err
			return strings.Contains(err.Error(), "08006")
		})
		if !strings.Contains(said.Error(), "b1") {
			t.Errorf("the error does not name the backend: %v", said)
		}
		return
	}
	eventually(t, 20*time.Second, "the proxy serves what the others have", func() bool {
		c, err := pgx.Connect(ctxFor(t), s.dsn(db))
		if err != nil {
			return false
		}
		defer c.Close(context.Background())
		_, err = c.Exec(ctxFor(t), fmt.Sprintf("update f set v = 'up' where k = %d", keyOn["b3"]))
		return err == nil
	})
	c := s.conn(t, db)
	for _, sql := range []string{fmt.Sprintf("select v from f where k = %d", keyOn[down]), "select v from f order by k"} {
		if e := s.failure(t, c.PgConn(), sql); e.Code != "08006" || !strings.Contains(e.Message+e.Detail, down) {
			t.Errorf("%s: %s %s, want 08006 that names %s", sql, e.Code, e.Message, down)
		}
	}
	if got := s.one(t, c, "select state from pleiad.backends where name = '"+down+"'"); got != "down" {
		t.Errorf("pleiad.backends says that %s is %s", down, got)
	}
}
