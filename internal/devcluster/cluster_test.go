package devcluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// mustQuery returns the first column of the first row.
func mustQuery(t *testing.T, s *Server, sql string) string {
	t.Helper()
	rows, err := s.query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		return ""
	}
	return rows[0][0]
}

// eventually polls a condition that nothing announces.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
		time.Sleep(pollInterval)
	}
}

// reachableDir is a temporary directory that an unprivileged server user can pass through;
// testing's own is for the owner alone.
func reachableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pleiad-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "dev")
}

func mustStart(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := Start(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop() })
	return c
}

func mustStop(t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	ps, err := processesIn(c.dataRoot)
	if err != nil || len(ps) != 0 {
		t.Fatalf("%d processes left (%v)", len(ps), err)
	}
}

func TestFreshClusterReplicatesAndARestartKeepsIt(t *testing.T) {
	dir := reachableDir(t)
	c := mustStart(t, Options{Dir: dir, Backends: 3, Replicas: 1})
	t.Logf("fresh: %v", c.Ready())
	if len(c.Primaries()) != 3 || len(c.Servers()) != 6 {
		t.Fatalf("%d primaries of %d servers", len(c.Primaries()), len(c.Servers()))
	}
	ports, systems := map[string]int{}, map[string]string{}
	for _, p := range c.Primaries() {
		id := mustQuery(t, p, "SELECT system_identifier FROM pg_control_system()")
		if other := systems[id]; other != "" {
			t.Errorf("%s and %s share a system identifier", p.Name, other)
		}
		systems[id] = p.Name
		mustQuery(t, p, "CREATE TABLE kept AS SELECT '"+p.Name+"' AS v")
		replicas := c.Replicas(p.Backend)
		if len(replicas) != 1 || replicas[0].Name != p.Name+"-r1" {
			t.Fatalf("replicas of %s: %v", p.Name, replicas)
		}
		eventually(t, "the row on "+replicas[0].Name, func() bool {
			rows, err := replicas[0].query(t.Context(), "SELECT v FROM kept")
			return err == nil && len(rows) == 1 && rows[0][0] == p.Name
		})
	}
	for name, want := range map[string]string{"wal_level": "logical", "max_prepared_transactions": "200",
		"data_checksums": "on", "server_encoding": "UTF8", "fsync": "on"} {
		if got := mustQuery(t, c.Server("b1"), "SHOW "+name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if got := mustQuery(t, c.Server("b1"), "SELECT datcollate FROM pg_database WHERE datname = 'template1'"); got != "C.UTF-8" {
		t.Errorf("new databases collate as %q", got)
	}
	for _, s := range c.Servers() {
		ports[s.Name] = s.Port
	}
	mustStop(t, c)

	c = mustStart(t, Options{Dir: dir, Backends: 3, Replicas: 1})
	t.Logf("again: %v", c.Ready())
	for _, s := range c.Servers() {
		if s.Port != ports[s.Name] {
			t.Errorf("port of %s went from %d to %d", s.Name, ports[s.Name], s.Port)
		}
		if got := mustQuery(t, s, "SELECT v FROM kept"); got != s.Backend {
			t.Errorf("%s has %q", s.Name, got)
		}
	}
	mustStop(t, c)
}

func TestSecondStartOfADirectoryInUseIsRefused(t *testing.T) {
	dir := reachableDir(t)
	c := mustStart(t, Options{Dir: dir, Backends: 1, Fast: true})
	_, err := Start(t.Context(), Options{Dir: dir, Backends: 1, Fast: true})
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID == "" {
		t.Fatalf("got %v", err)
	}
	if got := mustQuery(t, c.Server("b1"), "SELECT 1"); got != "1" {
		t.Fatal("the first cluster was hurt")
	}
}
