package devcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Role is what a server is now; promotion changes it.
type Role string

const (
	Primary Role = "primary"
	Replica Role = "replica"
)

// startLimit bounds a server's way to its first answer, crash recovery included.
const startLimit = 2 * time.Minute

// Server is one PostgreSQL server. The exported fields do not change once Start has returned.
type Server struct {
	Name      string // "b1"; a replica made for it: "b1-r1"
	Backend   string // "b1"
	Host      string // loopback
	Port      int
	SocketDir string
	DataDir   string
	LogFile   string

	c *Cluster

	mu      sync.Mutex // serializes starts, stops and faults
	proc    *process   // nil: never started
	retired bool       // the cluster stops: no more starts
}

// process is one life of a postmaster.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed after err is set
	err    error
	wanted bool // the exit was asked for; guarded by Server.mu
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Role reads the data directory, so it also follows promotion by others.
func (s *Server) Role() Role {
	if _, err := os.Stat(filepath.Join(s.DataDir, "standby.signal")); err == nil {
		return Replica
	}
	return Primary
}

// DSN is a connection URI for the superuser over the Unix socket.
func (s *Server) DSN(database string) string {
	q := url.Values{"host": {s.SocketDir}, "port": {strconv.Itoa(s.Port)}}
	return fmt.Sprintf("postgres://%s@/%s?%s", superuser, url.PathEscape(database), q.Encode())
}

// Addr is the loopback TCP address, where pg_hba.conf asks for a password.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// PID is the postmaster's process id, zero if it does not run.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.running() {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// slotName is the replication slot that a standby uses on its primary.
func (s *Server) slotName() string { return strings.ReplaceAll(s.Name, "-", "_") }

func (s *Server) connect(ctx context.Context) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(s.DSN("postgres"))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.Name, err)
	}
	cfg.Fallbacks = nil
	return pgconn.ConnectConfig(ctx, cfg)
}

// query returns the rows as text; NULL is empty.
func (s *Server) query(ctx context.Context, sql string) ([][]string, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.Name, err)
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.Name, err)
	}
	var rows [][]string
	for _, raw := range results[len(results)-1].Rows {
		row := make([]string, len(raw))
		for i, v := range raw {
			row[i] = string(v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// launch starts the postmaster and waits until a connection succeeds. s.mu is held.
func (s *Server) launch(ctx context.Context) error {
	if s.retired {
		return fmt.Errorf("start %s: %w", s.Name, errStopped)
	}
	if s.proc != nil && s.proc.running() {
		return fmt.Errorf("start %s: it runs already", s.Name)
	}
	began := time.Now()
	logFile, offset, err := openLog(s.LogFile)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	defer logFile.Close()
	cmd := exec.Command(s.c.bin.path("postgres"), "-D", s.DataDir)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env, cmd.Dir = childEnv(), s.DataDir
	// If this process is killed the server shuts down by itself, without losing what it acknowledged.
	cmd.SysProcAttr = s.c.acct.sysProcAttr(syscall.SIGINT)
	if err := s.c.spawn.start(cmd); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	s.proc = p
	s.c.watchers.Go(func() { s.watch(p) })
	if err := s.awaitAnswer(ctx, p, offset); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", s.Name, err), s.halt(syscall.SIGQUIT))
	}
	s.c.log.Debug("server_ready", "server", s.Name, "port", s.Port, "pid", cmd.Process.Pid,
		"seconds", time.Since(began).Seconds())
	return nil
}

// watch owns the process's end.
func (s *Server) watch(p *process) {
	p.err = p.cmd.Wait()
	close(p.exited)
	s.mu.Lock()
	wanted := p.wanted
	s.mu.Unlock()
	if !wanted {
		s.c.log.Error("server_exited", "server", s.Name, "state", p.cmd.ProcessState.String(), "log", s.LogFile)
	}
}

func (s *Server) awaitAnswer(ctx context.Context, p *process, logOffset int64) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		conn, err := s.connect(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.exited:
			p.wanted = true
			return &exitError{state: p.cmd.ProcessState.String(), log: logTail(s.LogFile, logOffset)}
		case <-ctx.Done():
			return fmt.Errorf("wait for an answer: %w (last: %w)", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// exitError says that a server ended before it answered.
type exitError struct{ state, log string }

func (e *exitError) Error() string {
	return fmt.Sprintf("it ended with %s: %s", e.state, e.log)
}

// halt sends the postmaster a shutdown signal, escalates if it takes too long, and returns when no
// process of the server is left. s.mu is held.
func (s *Server) halt(sig syscall.Signal) error {
	if s.proc == nil {
		return nil
	}
	s.proc.wanted = true
	if s.proc.running() {
		if err := s.thaw(); err != nil {
			return err
		}
		steps := []struct {
			sig   syscall.Signal
			limit time.Duration
		}{{sig, s.c.opts.StopTimeout}, {syscall.SIGQUIT, 5 * time.Second}}
		for _, step := range steps {
			if err := s.proc.cmd.Process.Signal(step.sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return fmt.Errorf("stop %s: %w", s.Name, err)
			}
			if s.awaitExit(step.limit) {
				break
			}
			s.c.log.Warn("server_stops_slowly", "server", s.Name, "signal", step.sig.String())
		}
	}
	return s.sweep()
}

func (s *Server) awaitExit(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.proc.exited:
		return true
	case <-timer.C:
		return false
	}
}

// sweep kills what a postmaster left behind and waits until all of it is reaped.
func (s *Server) sweep() error {
	if gone, err := waitGone(s.DataDir, 2*time.Second); err != nil {
		return fmt.Errorf("stop %s: %w", s.Name, err)
	} else if !gone {
		if err := killAll(s.DataDir); err != nil {
			return fmt.Errorf("stop %s: %w", s.Name, err)
		}
	}
	<-s.proc.exited
	return nil
}

func (s *Server) stopForGood() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
	return s.halt(syscall.SIGINT)
}
