package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// pollInterval paces waits for conditions that nothing announces.
const pollInterval = 10 * time.Millisecond

var errStopped = errors.New("the cluster is stopped")

// spawner starts every child from one thread that lives as long as the cluster. The kernel sends
// the parent-death signal when the *thread* that forked ends, and Go's other threads may end early.
type spawner struct {
	requests chan spawnRequest
	quit     chan struct{}
	ended    chan struct{}
	once     sync.Once
}

type spawnRequest struct {
	cmd   *exec.Cmd
	reply chan error
}

func newSpawner() *spawner {
	sp := &spawner{requests: make(chan spawnRequest), quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(sp.ended)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for {
			select {
			case r := <-sp.requests:
				r.reply <- r.cmd.Start()
			case <-sp.quit:
				return
			}
		}
	}()
	return sp
}

func (sp *spawner) start(cmd *exec.Cmd) error {
	r := spawnRequest{cmd: cmd, reply: make(chan error, 1)}
	select {
	case sp.requests <- r:
		return <-r.reply
	case <-sp.quit:
		return errStopped
	}
}

// close ends the thread; children that still run get their death signal.
func (sp *spawner) close() {
	sp.once.Do(func() { close(sp.quit) })
	<-sp.ended
}

// childEnv is this process's environment without libpq's variables, which would steer the programs.
func childEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LANG") {
			env = append(env, kv)
		}
	}
	return append(env, "LC_ALL=C.UTF-8")
}

// runProgram runs one of PostgreSQL's programs to its end as the servers' user.
func (c *Cluster) runProgram(ctx context.Context, program string, args ...string) error {
	var out strings.Builder
	cmd := exec.Command(c.bin.path(program), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env, cmd.Dir = childEnv(), c.dataRoot
	cmd.SysProcAttr = c.acct.sysProcAttr(syscall.SIGKILL)
	if err := c.spawn.start(cmd); err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	stopKill := context.AfterFunc(ctx, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer stopKill()
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("run %s: %w: %s", program, err, strings.TrimSpace(out.String()))
	}
	return nil
}

// postgresProcess is a process of a PostgreSQL server found in /proc. The handle pins the process,
// so a signal never reaches another one that got the same number later.
type postgresProcess struct {
	pid, parent int
	handle      *os.Process
}

// processesIn lists the postgres processes whose working directory is dir or below it. A
// postmaster and all its children stay in their data directory for life.
func processesIn(dir string) ([]postgresProcess, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []postgresProcess
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !isPostgresIn(pid, dir) {
			continue
		}
		handle, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if !isPostgresIn(pid, dir) { // again, now that the handle pins the number
			handle.Release()
			continue
		}
		found = append(found, postgresProcess{pid: pid, parent: parentOf(pid), handle: handle})
	}
	return found, nil
}

func isPostgresIn(pid int, dir string) bool {
	proc := "/proc/" + strconv.Itoa(pid)
	cwd, err := os.Readlink(proc + "/cwd")
	if err != nil || (cwd != dir && !strings.HasPrefix(cwd, dir+"/")) {
		return false
	}
	exe, err := os.Readlink(proc + "/exe")
	return err == nil && filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == "postgres"
}

// parentOf returns zero if the process is gone.
func parentOf(pid int) int {
	fields := statOf(pid)
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1]) // zero if unreadable, as documented
	return parent
}

// statOf returns the fields of /proc/PID/stat from the state on, none if the process is gone.
func statOf(pid int) []string {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	// "pid (command) state parent …"; the command may hold spaces and parentheses.
	return strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
}

func release(ps []postgresProcess) {
	for _, p := range ps {
		p.handle.Release()
	}
}

// signalAll reports errors other than that a process is gone already.
func signalAll(ps []postgresProcess, sig syscall.Signal) error {
	var errs []error
	for _, p := range ps {
		if err := p.handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("signal process %d: %w", p.pid, err))
		}
	}
	return errors.Join(errs...)
}

// waitGone waits until no postgres process works in dir and reports whether that came to pass.
func waitGone(dir string, limit time.Duration) (bool, error) {
	deadline := time.Now().Add(limit)
	for {
		ps, err := processesIn(dir)
		if err != nil {
			return false, err
		}
		release(ps)
		if len(ps) == 0 {
			return true, nil
		}
		if time.Now().After(deadline) {
			return false, nil
		}
		time.Sleep(pollInterval)
	}
}

// killAll leaves no postgres process in dir. Heads are frozen first, so that none forks meanwhile.
func killAll(dir string) error {
	for range 100 {
		ps, err := processesIn(dir)
		if err != nil {
			return err
		}
		if len(ps) == 0 {
			return nil
		}
		err = errors.Join(signalAll(heads(ps), syscall.SIGSTOP), signalAll(ps, syscall.SIGKILL))
		if err == nil {
			awaitDead(ps, 10*time.Second)
		}
		release(ps)
		if err != nil {
			return err
		}
		if gone, err := waitGone(dir, 100*time.Millisecond); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("kill servers in %s: processes remain", dir)
}

// awaitDead waits until processes that were killed have let go of everything. One that is ending has no program any more,
// by which processesIn knows it, while it still holds shared memory.
func awaitDead(ps []postgresProcess, limit time.Duration) {
	deadline := time.Now().Add(limit)
	for _, p := range ps {
		for time.Now().Before(deadline) {
			if stat := statOf(p.pid); len(stat) == 0 || stat[0] == "Z" || stat[0] == "X" {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// heads are the processes whose parent is not among ps: postmasters, or orphans of one.
func heads(ps []postgresProcess) []postgresProcess {
	in := make(map[int]bool, len(ps))
	for _, p := range ps {
		in[p.pid] = true
	}
	var hs []postgresProcess
	for _, p := range ps {
		if !in[p.parent] {
			hs = append(hs, p)
		}
	}
	return hs
}

// stopOrphans ends servers that an earlier process left running in dir: fast shutdown, then
// immediate, then SIGKILL. It returns how many there were.
func stopOrphans(dir string, limit time.Duration) (int, error) {
	ps, err := processesIn(dir)
	if err != nil || len(ps) == 0 {
		return 0, err
	}
	defer release(ps)
	n := len(heads(ps))
	for _, step := range []struct {
		sig   syscall.Signal
		limit time.Duration
	}{{syscall.SIGINT, limit}, {syscall.SIGQUIT, 5 * time.Second}} {
		// A paused server gets the signal once it continues.
		if err := errors.Join(signalAll(heads(ps), step.sig), signalAll(ps, syscall.SIGCONT)); err != nil {
			return n, err
		}
		if gone, err := waitGone(dir, step.limit); gone || err != nil {
			return n, err
		}
	}
	return n, killAll(dir)
}
