package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// clockTick is USER_HZ, the unit of times in /proc; it is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime is what a process's own threads have used, user and system; its children's is not in it.
func cpuTime(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	// The second field, the name in parentheses, may hold spaces; utime and stime are fields 14 and 15.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("read CPU time: %q", raw)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// rss is a process's resident memory in bytes.
func rss(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0, fmt.Errorf("read memory: %q", raw)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// memory is what idle clients cost a proxy.
type memory struct {
	target  string
	clients int
	before  int64 // bytes
	after   int64
}

// idleMemory opens sessions that do nothing.
func (b *running) idleMemory(ctx context.Context) ([]memory, error) {
	var all []memory
	for _, t := range b.targets {
		if t.pid == 0 || b.o.idle == 0 {
			continue
		}
		m := memory{target: t.name, clients: b.o.idle}
		var err error
		if m.before, err = rss(t.pid); err != nil {
			return nil, err
		}
		if m.after, err = idleRSS(ctx, t, b.o.idle); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		all = append(all, m)
	}
	return all, nil
}

func idleRSS(ctx context.Context, t *target, clients int) (int64, error) {
	conns := make([]*pgconn.PgConn, 0, clients)
	defer func() {
		for _, c := range conns {
			c.Close(ctx)
		}
	}()
	for range clients {
		c, err := pgconn.Connect(ctx, t.dsn("simple"))
		if err != nil {
			return 0, fmt.Errorf("open idle client %d: %w", len(conns)+1, err)
		}
		conns = append(conns, c)
	}
	return rss(t.pid)
}
