package devcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Data is made beside its final name and renamed when whole, so that a run killed half-way leaves
// nothing that looks like a server.
const unfinished = ".new"

// setAside is the suffix of data that a promotion outdated; the next one replaces it.
const setAside = ".outdated"

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// ensurePrimary runs initdb if the server has no data. Each primary is made by an initdb of its
// own: copies of one would share the system identifier, by which PostgreSQL tells a standby of one
// primary from a standby of another.
func (c *Cluster) ensurePrimary(ctx context.Context, s *Server) error {
	made, err := exists(s.DataDir)
	if err != nil || made {
		return err
	}
	tmp := s.DataDir + unfinished
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	args := []string{"-D", tmp, "-U", superuser, "-E", "UTF8", "--locale=" + c.opts.Locale, "--data-checksums",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions"}
	if c.opts.Fast {
		args = append(args, "--no-sync")
	}
	if err := c.runProgram(ctx, "initdb", args...); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	if err := appendInclude(filepath.Join(tmp, "postgresql.conf")); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	if err := os.Rename(tmp, s.DataDir); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	return nil
}

func appendInclude(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\ninclude '%s'\n", confFile)
	return errors.Join(err, f.Close())
}

// ensureStandby copies a running primary if the server has no data. The connection to follow is
// not left to pg_basebackup (-R), as it changes with the ports; writeConf sets it.
func (c *Cluster) ensureStandby(ctx context.Context, s, primary *Server) error {
	made, err := exists(s.DataDir)
	if err != nil || made {
		return err
	}
	tmp := s.DataDir + unfinished
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	args := []string{"-D", tmp, "-d", primary.DSN(""), "-S", s.slotName(), "-X", "stream", "-c", "fast"}
	if c.opts.Fast {
		args = append(args, "--no-sync", "--no-manifest")
	}
	if err := c.runProgram(ctx, "pg_basebackup", args...); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	// An ALTER SYSTEM on the primary about whom to follow is not for its standby.
	if err := dropFollowing(filepath.Join(tmp, "postgresql.auto.conf")); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	signal := filepath.Join(tmp, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	if c.acct.drop {
		if err := os.Chown(signal, int(c.acct.uid), int(c.acct.gid)); err != nil {
			return fmt.Errorf("make %s: %w", s.Name, err)
		}
	}
	if err := os.Rename(tmp, s.DataDir); err != nil {
		return fmt.Errorf("make %s: %w", s.Name, err)
	}
	return nil
}

// dropFollowing takes out of postgresql.auto.conf what failovers and switchovers leave there.
func dropFollowing(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var kept []string
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, "primary_conninfo") && !strings.HasPrefix(line, "primary_slot_name") &&
			!strings.HasPrefix(line, "default_transaction_read_only") {
			kept = append(kept, line)
		}
	}
	return os.WriteFile(path, []byte(strings.Join(kept, "")), 0o600) // keeps the owner: the file exists
}

// makeSlot reserves WAL for a standby from now on, unless the slot is there.
func (s *Server) makeSlot(ctx context.Context, slot string) error {
	_, err := s.query(ctx, fmt.Sprintf("SELECT pg_create_physical_replication_slot('%s', true) "+
		"WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '%s')", slot, slot))
	return err
}

func (c *Cluster) removeServerData(s *Server) error {
	if err := os.RemoveAll(s.DataDir); err != nil {
		return fmt.Errorf("remove data of %s: %w", s.Name, err)
	}
	return nil
}

// resolveRoles finds the primary of a backend. After a promotion more than one server may hold
// itself for it; the newest timeline is right, and the others are set aside and made anew.
func (c *Cluster) resolveRoles(backend string) (primary *Server, standbys []*Server, err error) {
	var newest uint64
	var members, claimants []*Server
	for _, s := range c.servers {
		if s.Backend != backend {
			continue
		}
		members = append(members, s)
		made, err := exists(s.DataDir)
		if err != nil {
			return nil, nil, fmt.Errorf("look for data of %s: %w", s.Name, err)
		}
		if !made || s.Role() != Primary {
			continue
		}
		claimants = append(claimants, s)
		line, err := s.timeline()
		if err != nil {
			return nil, nil, err
		}
		if primary == nil || line > newest {
			primary, newest = s, line
		}
	}
	if primary == nil {
		primary = members[0]
		if made, err := exists(primary.DataDir); err != nil || made {
			return nil, nil, fmt.Errorf("find primary of %s: every server with data is a standby: promote one or start over with --reset", backend)
		}
	}
	for _, s := range claimants {
		if s == primary {
			continue
		}
		old := s.DataDir + setAside
		c.log.Warn("outdated_primary_set_aside", "server", s.Name, "primary", primary.Name, "old_data", old)
		if err := os.RemoveAll(old); err != nil {
			return nil, nil, fmt.Errorf("set data of %s aside: %w", s.Name, err)
		}
		if err := os.Rename(s.DataDir, old); err != nil {
			return nil, nil, fmt.Errorf("set data of %s aside: %w", s.Name, err)
		}
	}
	for _, s := range members {
		if s != primary {
			standbys = append(standbys, s)
		}
	}
	return primary, standbys, nil
}

// timeline is the newest that a primary knows of; promotion leaves a history file for each but 1.
func (s *Server) timeline() (uint64, error) {
	files, err := filepath.Glob(filepath.Join(s.DataDir, "pg_wal", "????????.history"))
	if err != nil {
		return 0, fmt.Errorf("read timeline of %s: %w", s.Name, err)
	}
	newest := uint64(1)
	for _, f := range files {
		n, err := strconv.ParseUint(filepath.Base(f)[:8], 16, 32)
		if err != nil {
			return 0, fmt.Errorf("read timeline of %s: %w", s.Name, err)
		}
		newest = max(newest, n)
	}
	return newest, nil
}

// launchAnyPort configures and starts a server and, if its port was lost to another process
// meanwhile, tries others.
func (c *Cluster) launchAnyPort(ctx context.Context, s, primary *Server) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for attempt := 1; ; attempt++ {
		if err := c.writeConf(s, primary); err != nil {
			return err
		}
		err := s.launch(ctx)
		var ended *exitError
		if err == nil || attempt == 5 || !errors.As(err, &ended) || portFree(s.Port) {
			return err
		}
		old := s.Port
		if s.Port, err = choosePort(nil); err != nil {
			return err
		}
		c.log.Warn("port_changed", "server", s.Name, "old", old, "new", s.Port)
	}
}
