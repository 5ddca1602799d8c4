package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A machine with fewer processors than servers cannot show what servers do side by side. Where control groups can be used, each
// server gets a share of a processor for itself, as if it had a machine of that speed.

// sharePeriod and shareQuota, microseconds, are half a processor: what a server may use of each period.
const (
	sharePeriod = 10_000
	shareQuota  = 5_000
)

// confined is servers in control groups.
type confined struct {
	root   string
	groups []string
}

// confine puts each server, told by its postmaster's process id, into a group of its own. It returns nil where the kernel's control
// groups are not there or not for this process to use.
func confine(postmasters []int) (*confined, error) {
	root, limits := "/sys/fs/cgroup/cpu", [][2]string{ // version 1
		{"cpu.cfs_period_us", strconv.Itoa(sharePeriod)}, {"cpu.cfs_quota_us", strconv.Itoa(shareQuota)},
	}
	if controllers, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil && strings.Contains(string(controllers), "cpu") {
		root, limits = "/sys/fs/cgroup", [][2]string{{"cpu.max", fmt.Sprintf("%d %d", shareQuota, sharePeriod)}}
		if os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu"), 0) != nil {
			return nil, nil
		}
	}
	c := &confined{root: root}
	for _, pid := range postmasters {
		group := filepath.Join(root, "pleiad-bench-"+strconv.Itoa(pid))
		if os.Mkdir(group, 0o755) != nil {
			return nil, c.release()
		}
		c.groups = append(c.groups, group)
		for _, limit := range limits {
			if os.WriteFile(filepath.Join(group, limit[0]), []byte(limit[1]), 0) != nil {
				return nil, c.release()
			}
		}
		if err := enter(group, family(pid)); err != nil {
			return nil, errors.Join(err, c.release())
		}
	}
	return c, nil
}

// release gives the servers the machine back.
func (c *confined) release() error {
	var errs []error
	for _, group := range c.groups {
		raw, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if err == nil {
			err = enter(c.root, strings.Fields(string(raw)))
		}
		if err == nil {
			err = os.Remove(group)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("give the servers the machine back: %w", err)
	}
	return nil
}

// enter moves processes into a group; those that have ended meanwhile are left out.
func enter(group string, pids []string) error {
	for _, pid := range pids {
		err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(pid), 0)
		if _, gone := os.Stat("/proc/" + pid); err != nil && gone == nil {
			return fmt.Errorf("move process %s into a control group: %w", pid, err)
		}
	}
	return nil
}

// family is a process and its children.
func family(pid int) []string {
	parent := strconv.Itoa(pid)
	all := []string{parent}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		rest := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		if len(rest) > 1 && rest[1] == parent {
			all = append(all, filepath.Base(filepath.Dir(path)))
		}
	}
	return all
}

// postmasters are the process ids of pleiad's servers.
func (b *running) postmasters() (pids []int, err error) {
	files, _ := filepath.Glob(filepath.Join(b.dir, "dev", "servers", "*", "postmaster.pid"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("find the servers: %w", err)
		}
		first, _, _ := strings.Cut(string(raw), "\n")
		pid, err := strconv.Atoi(first)
		if err != nil {
			return nil, fmt.Errorf("find the servers: %w", err)
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		return nil, errors.New("find the servers: no postmaster.pid")
	}
	return pids, nil
}
