package devcluster

import (
	"bufio"
	"os"
	"os/exec"
	"testing"
)

// killedRun starts a cluster in a process of its own and kills that process once it is ready.
func killedRun(t *testing.T, dir, paused string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asRunner+"="+dir+" "+paused)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n') // an error shows as another line
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // says "killed", as meant
	if line != "ready\n" {
		t.Fatalf("the run said %q", line)
	}
}

func TestStartStopsServersThatAKilledRunLeft(t *testing.T) {
	dir := reachableDir(t)
	killedRun(t, dir, "b1") // frozen, so it cannot follow its parent's death by itself
	left, err := processesIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	release(left)
	if len(left) == 0 {
		t.Fatal("the killed run left no server: nothing is tested")
	}
	c := mustStart(t, Options{Dir: dir, Backends: 1, Replicas: 1, Fast: true})
	for _, old := range left {
		for _, s := range c.Servers() {
			if s.PID() == old.pid {
				t.Errorf("%s is the old process %d", s.Name, old.pid)
			}
		}
		if isPostgresIn(old.pid, c.dataRoot) {
			t.Errorf("old process %d still runs", old.pid)
		}
	}
	mustQuery(t, c.Server("b1"), "CREATE TABLE t ()")
	mustStop(t, c)
}

func TestServersEndWithAKilledRun(t *testing.T) {
	dir := reachableDir(t)
	killedRun(t, dir, "")
	gone, err := waitGone(dir, 20e9)
	if err != nil || !gone {
		t.Fatalf("gone: %v, %v", gone, err)
	}
	c := mustStart(t, Options{Dir: dir, Backends: 1, Replicas: 1, Fast: true})
	mustStop(t, c)
}

func TestAProcessElsewhereIsNotTouched(t *testing.T) {
	c := mustStart(t, Options{Backends: 1, Fast: true})
	other := reachableDir(t)
	if err := os.MkdirAll(other, 0o755); err != nil {
		t.Fatal(err)
	}
	if n, err := stopOrphans(other, c.opts.StopTimeout); n != 0 || err != nil {
		t.Fatalf("stopped %d, %v", n, err)
	}
	mustQuery(t, c.Server("b1"), "SELECT 1")
}
