package devcluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// StopMode is how a server ends; see the PostgreSQL manual, "Shutting Down the Server".
type StopMode int

const (
	// Fast rolls back what is open and writes a checkpoint.
	Fast StopMode = iota
	// Immediate drops everything as a crash does; the next start recovers from WAL.
	Immediate
)

// Stop ends one server. A server that does not run is no error.
func (s *Server) Stop(mode StopMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mode == Immediate {
		return s.halt(syscall.SIGQUIT)
	}
	return s.halt(syscall.SIGINT)
}

// Kill sends SIGKILL to the postmaster and all its children and returns when they are gone.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return fmt.Errorf("kill %s: it was never started", s.Name)
	}
	s.proc.wanted = true
	if err := killAll(s.DataDir); err != nil {
		return fmt.Errorf("kill %s: %w", s.Name, err)
	}
	<-s.proc.exited
	return nil
}

// Start starts a stopped or killed server on its old port and returns when it answers. A standby
// may not stream yet; see WaitStreaming.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.launch(ctx)
}

// Restart stops the server (fast) if it runs and starts it.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.halt(syscall.SIGINT); err != nil {
		return err
	}
	return s.launch(ctx)
}

// Pause freezes the postmaster and all its children with SIGSTOP: connections stay open and
// nothing answers. Resume, Stop and Kill work on a paused server.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.running() {
		return fmt.Errorf("pause %s: it does not run", s.Name)
	}
	// The postmaster first and by itself, so that no child is born after the list is made.
	if err := s.proc.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause %s: %w", s.Name, err)
	}
	awaitFrozen(s.proc.cmd.Process.Pid)
	ps, err := processesIn(s.DataDir)
	if err != nil {
		return fmt.Errorf("pause %s: %w", s.Name, err)
	}
	defer release(ps)
	if err := signalAll(ps, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause %s: %w", s.Name, err)
	}
	for _, p := range ps {
		awaitFrozen(p.pid)
	}
	if !s.proc.running() {
		return fmt.Errorf("pause %s: it ended", s.Name)
	}
	return nil
}

// awaitFrozen returns once a stop signal has taken effect or the process is gone.
func awaitFrozen(pid int) {
	for fields := statOf(pid); len(fields) > 0 && !strings.Contains("TZX", fields[0]); fields = statOf(pid) {
		time.Sleep(time.Millisecond)
	}
}

// Resume lets a paused server go on.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.thaw()
}

// thaw does no harm to a server that is not paused.
func (s *Server) thaw() error {
	ps, err := processesIn(s.DataDir)
	if err != nil {
		return fmt.Errorf("resume %s: %w", s.Name, err)
	}
	defer release(ps)
	return signalAll(ps, syscall.SIGCONT)
}

// Promote makes a standby a primary and returns when it takes writes. The old primary is neither
// stopped nor told.
func (s *Server) Promote(ctx context.Context) error {
	rows, err := s.query(ctx, "SELECT pg_promote(true, 60)")
	if err != nil {
		return fmt.Errorf("promote %s: %w", s.Name, err)
	}
	if rows[0][0] != "t" {
		return fmt.Errorf("promote %s: not done within 60 s", s.Name)
	}
	return nil
}

// Rejoin makes a server that was a primary a standby of the one that took over from it: pg_rewind takes back what the
// other does not have. The server may run or not.
func (s *Server) Rejoin(ctx context.Context, primary *Server) error {
	if s == primary || primary.Role() != Primary {
		return fmt.Errorf("rejoin %s: %s is not another primary", s.Name, primary.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Role() == Replica && s.proc != nil && s.proc.running() {
		return fmt.Errorf("rejoin %s: it is a standby", s.Name)
	}
	if err := s.halt(syscall.SIGINT); err != nil {
		return err
	}
	// pg_rewind compares with the timeline that the last checkpoint of the new primary tells.
	if _, err := primary.query(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("rejoin %s: %w", s.Name, err)
	}
	args := []string{"--target-pgdata=" + s.DataDir, "--source-server=" + primary.DSN("postgres")}
	if s.c.opts.Fast {
		args = append(args, "--no-sync")
	}
	if err := s.c.runProgram(ctx, "pg_rewind", args...); err != nil {
		return fmt.Errorf("rejoin %s: %w", s.Name, err)
	}
	if err := s.c.writeServerFile(s, "standby.signal", ""); err != nil {
		return err
	}
	if err := primary.makeSlot(ctx, s.slotName()); err != nil {
		return err
	}
	if err := s.c.writeConf(s, primary); err != nil {
		return err
	}
	if err := s.launch(ctx); err != nil {
		return err
	}
	return primary.waitStreaming(ctx, s)
}

// Rebuild throws the server's data away and makes it a standby of primary: after a promotion, the
// way back for the old primary.
func (s *Server) Rebuild(ctx context.Context, primary *Server) error {
	if s == primary || primary.Role() != Primary {
		return fmt.Errorf("rebuild %s: %s is not another primary", s.Name, primary.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.halt(syscall.SIGQUIT); err != nil {
		return err
	}
	if err := s.c.removeServerData(s); err != nil {
		return err
	}
	if err := primary.makeSlot(ctx, s.slotName()); err != nil {
		return err
	}
	if err := s.c.ensureStandby(ctx, s, primary); err != nil {
		return err
	}
	if err := s.c.writeConf(s, primary); err != nil {
		return err
	}
	if err := s.launch(ctx); err != nil {
		return err
	}
	return primary.waitStreaming(ctx, s)
}

// WaitStreaming returns when primary s sends WAL to standby.
func (s *Server) WaitStreaming(ctx context.Context, standby *Server) error {
	return s.waitStreaming(ctx, standby)
}

func (s *Server) waitStreaming(ctx context.Context, standby *Server) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last error
	for {
		rows, err := s.query(ctx, fmt.Sprintf(
			"SELECT 1 FROM pg_stat_replication WHERE application_name = '%s' AND state = 'streaming'", standby.Name))
		if err == nil && len(rows) > 0 {
			return nil
		}
		if err != nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait until %s streams from %s: %w; see %s",
				standby.Name, s.Name, ctx.Err(), standby.LogFile), last)
		case <-tick.C:
		}
	}
}
