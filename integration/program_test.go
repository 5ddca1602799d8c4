package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readyLimit bounds the way of `pleiad dev` to its line on stdout; with the race detector and a busy
// machine it is far from the 15 s that a user waits.
const readyLimit = 120 * time.Second

const readyPrefix = "pleiad is ready: "

type programOptions struct {
	name   string
	binary string
	args   []string
	env    []string
	// noReady is for commands that serve without saying so on stdout; awaitPort then tells.
	noReady bool
}

// program is one running pleiad.
type program struct {
	name   string
	cmd    *exec.Cmd
	stderr *logBuffer
	ready  string // the URI behind readyPrefix
	exited chan struct{}
	err    error // of Wait; set before exited closes
}

// logBuffer keeps what a child writes.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) tail(lines int) string {
	all := strings.Split(strings.TrimRight(l.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func startProgram(o programOptions) (*program, error) {
	p := &program{name: o.name, stderr: &logBuffer{}, exited: make(chan struct{})}
	p.cmd = exec.Command(o.binary, o.args...)
	p.cmd.Env = append(os.Environ(), o.env...)
	p.cmd.Stderr = p.stderr
	// A killed test run takes the program along; it then stops its servers.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.name, err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(stdout)
		first, _ := lines.ReadString('\n') // an early end shows as an exit below
		ready <- strings.TrimRight(first, "\n")
		rest, _ := io.ReadAll(lines) // ends with the process
		if len(rest) > 0 {
			fmt.Fprintf(p.stderr, "unexpected on stdout: %q\n", rest)
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	if o.noReady {
		return p, nil
	}
	select {
	case line := <-ready:
		var found bool
		if p.ready, found = strings.CutPrefix(line, readyPrefix); found {
			return p, nil
		}
		err = fmt.Errorf("first line on stdout is %q, want %q", line, readyPrefix+"postgres://…")
	case <-time.After(readyLimit):
		err = fmt.Errorf("not ready after %s", readyLimit)
	}
	err = errors.Join(fmt.Errorf("start %s: %w", o.name, err), p.stop())
	return nil, fmt.Errorf("%w\n%s", err, p.stderr.tail(60))
}

// stop sends SIGTERM, waits and reports an exit that is not clean.
func (p *program) stop() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s ended by itself: %v\n%s", p.name, p.err, p.stderr.tail(60))
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.exited:
		if p.err != nil {
			return fmt.Errorf("%s stopped with: %w\n%s", p.name, p.err, p.stderr.tail(30))
		}
		return nil
	case <-time.After(45 * time.Second):
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.exited
	return fmt.Errorf("%s did not stop within 45 s of SIGTERM\n%s", p.name, p.stderr.tail(30))
}

// serious finds what no test may leave in the log of the program.
var serious = regexp.MustCompile(`(?m)^panic:|^fatal error:|WARNING: DATA RACE|goroutine \d+ \[|level=(?:ERROR|error) .*\bbug\b`)

// complaints returns an error that quotes panics and data races of the program's log.
func (p *program) complaints() error {
	log := p.stderr.String()
	if os.Getenv("PLEIAD_TEST_LOG") == "1" {
		fmt.Fprintf(os.Stderr, "--- log of %s ---\n%s\n", p.name, log)
	}
	at := serious.FindStringIndex(log)
	if at == nil {
		return nil
	}
	from := strings.LastIndexByte(log[:at[0]], '\n') + 1
	return fmt.Errorf("%s wrote this:\n%s", p.name, log[from:min(len(log), from+8000)])
}

// side reads the URI of the ready line.
func (p *program) side() (*side, error) {
	s, err := parseURI(p.ready)
	if err != nil {
		return nil, err
	}
	s.name, s.pleiad, s.pid = "pleiad", true, p.cmd.Process.Pid
	s.binDir = "/usr/bin"
	return s, nil
}

// showLog adds the end of the program's log to the output of a failed test.
func (p *program) showLog(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of %s's log:\n%s", p.name, p.stderr.tail(15))
		}
	})
}

// rssBytes is a process's resident memory.
func rssBytes(pid int) (int64, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("read memory of process %d: no VmRSS", pid)
}
