package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Aims of queries over all shards: throughput against one PostgreSQL with all rows, or against the slowest server with its
// own part alone; and the proxy's memory meanwhile.
const (
	spreadAim       = 1.0
	partAim         = 0.8
	gatherAim       = 1.0 / 3
	spreadMemoryAim = 150 << 20
)

// spreadQuery is one query over rows of all shards.
type spreadQuery struct {
	name string
	sql  string
	aim  float64
	part bool // compared with the slowest server's own part, not with one PostgreSQL
}

var spreadQueries = []spreadQuery{
	{"indexed count(*)", "SELECT count(*) FROM spread WHERE room BETWEEN 100 AND 299", partAim, true},
	{"GROUP BY a JSON path", "SELECT doc->>'kind', count(*), avg((doc->>'n')::numeric), max(doc->>'name') FROM spread GROUP BY 1 ORDER BY 1", spreadAim, false},
	{"DISTINCT a JSON path", "SELECT DISTINCT doc->>'kind' FROM spread ORDER BY 1", spreadAim, false},
	{"top 10 by a JSON path", "SELECT id, doc->>'n' FROM spread ORDER BY (doc->>'n')::int DESC, id LIMIT 10", spreadAim, false},
	{"percentile of a JSON path", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (doc->>'n')::int) FROM spread WHERE room < 100", spreadAim, false},
	{"100,000 rows joined off the key", "SELECT count(*), sum(a.id - b.id) FROM spread a JOIN spread b ON a.doc->>'n' = b.doc->>'n'" +
		" WHERE a.id <= 50000 AND b.id <= 50000", gatherAim, false},
}

// partsAtOnce is every server's own part, each asked directly at the same time: what the machine can do without pleiad.
const partsAtOnce = "all parts at once"

// spreadResult has the seconds of each run.
type spreadResult struct {
	spreadQuery
	through map[string][]float64
	peak    int64 // of the proxy's memory
}

const (
	spreadTable = "create table spread (id int primary key, room int, doc jsonb)"
	spreadRows  = `select i, i::bigint * 7919 %% 1000, jsonb_build_object('n', i::bigint * 31 %% 1000003, 'kind', 'kind ' || i %% 23, 'name', 'name ' || i, 'nested', jsonb_build_object('x', md5(i::text))) from generate_series(1, %d) i`
)

// spread measures queries over all shards, one client at a time, each way in turn. It loads its rows first.
func (b *running) spread(ctx context.Context) (out []spreadResult, err error) {
	if b.o.spread == 0 {
		return nil, nil
	}
	ways, err := b.spreadWays(ctx)
	if err != nil {
		return nil, err
	}
	conns := map[string]*pgx.Conn{}
	defer func() {
		for _, c := range conns {
			_ = c.Close(ctx)
		}
	}()
	for name, dsn := range ways {
		c, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", name, err)
		}
		conns[name] = c
	}
	for _, q := range spreadQueries {
		r, err := b.spreadRuns(ctx, q, conns)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	pids, err := b.postmasters()
	if err != nil {
		return nil, err
	}
	apart, err := confine(pids)
	if apart == nil || err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, apart.release()) }()
	for _, q := range spreadQueries {
		if q.part {
			q.name += ", half a processor for each server"
			r, err := b.spreadRuns(ctx, q, conns)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// spreadRuns measures one query.
func (b *running) spreadRuns(ctx context.Context, q spreadQuery, conns map[string]*pgx.Conn) (spreadResult, error) {
	r := spreadResult{spreadQuery: q, through: map[string][]float64{}}
	if err := resetPeak(b.pleiad.Process.Pid); err != nil {
		return r, err
	}
	var parts []*pgx.Conn
	for name, c := range conns {
		if strings.HasPrefix(name, "part ") {
			parts = append(parts, c)
		}
	}
	for round := range 2 * b.o.rounds {
		for name, c := range conns {
			if part := strings.HasPrefix(name, "part "); part && !q.part || name == "postgres" && q.part {
				continue
			}
			took, err := timed(ctx, []*pgx.Conn{c}, q.sql, b.o.run)
			if err != nil {
				return r, fmt.Errorf("%s through %s: %w", q.name, name, err)
			}
			if round > 0 { // the first one fills caches
				r.through[name] = append(r.through[name], took)
			}
		}
		if !q.part {
			continue
		}
		took, err := timed(ctx, parts, q.sql, b.o.run)
		if err != nil {
			return r, fmt.Errorf("%s of all parts: %w", q.name, err)
		}
		if round > 0 {
			r.through[partsAtOnce] = append(r.through[partsAtOnce], took)
		}
	}
	var err error
	r.peak, err = peak(b.pleiad.Process.Pid)
	fmt.Fprintf(os.Stderr, "%s: %v\n", q.name, r.through)
	return r, err
}

// spreadWays loads the rows and names the ways to them: postgres, pleiad, and each server behind it.
func (b *running) spreadWays(ctx context.Context) (map[string]string, error) {
	direct := fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", benchRole, benchPassword, b.server.tcp, benchDatabase)
	rows := fmt.Sprintf(spreadRows, b.o.spread)
	index := "create index on spread (room)"
	if err := run(ctx, direct, spreadTable, "insert into spread "+rows, index, "vacuum analyze spread"); err != nil {
		return nil, err
	}
	if err := run(ctx, b.pleiadURI, spreadTable+" partition by hash (id)"); err != nil {
		return nil, err
	}
	if err := copyRows(ctx, b.pleiadURI, "spread", rows); err != nil {
		return nil, err
	}
	if err := run(ctx, b.pleiadURI, index, "vacuum analyze spread"); err != nil {
		return nil, err
	}
	ways := map[string]string{"postgres": direct, "pleiad": b.pleiadURI}
	c, err := pgx.Connect(ctx, b.pleiadURI)
	if err != nil {
		return nil, fmt.Errorf("connect to pleiad: %w", err)
	}
	defer c.Close(ctx)
	found, err := c.Query(ctx, "select name, host, port::text from pleiad.backends where role = 'primary'")
	if err != nil {
		return nil, fmt.Errorf("ask pleiad for its servers: %w", err)
	}
	defer found.Close()
	for found.Next() {
		var name, host, port string
		if err := found.Scan(&name, &host, &port); err != nil {
			return nil, fmt.Errorf("ask pleiad for its servers: %w", err)
		}
		ways["part "+name] = fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%s", c.Config().Database, url.QueryEscape(host), port)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("ask pleiad for its servers: %w", err)
	}
	return ways, nil
}

// timed runs a query for a while, once at least, and gives the mean seconds of one. Over several connections one ends when it has
// ended on all.
func timed(ctx context.Context, conns []*pgx.Conn, sql string, length time.Duration) (float64, error) {
	start := time.Now()
	for n := 1; ; n++ {
		errs := make(chan error, len(conns))
		for _, c := range conns {
			go func() { errs <- drain(ctx, c, sql) }()
		}
		var err error
		for range conns {
			err = errors.Join(err, <-errs)
		}
		if err != nil {
			return 0, err
		}
		if took := time.Since(start); took >= length/4 {
			return took.Seconds() / float64(n), nil
		}
	}
}

// drain runs a query and reads its rows.
func drain(ctx context.Context, c *pgx.Conn, sql string) error {
	rows, err := c.Query(ctx, sql)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return rows.Err()
}

// resetPeak makes the kernel count a process's peak memory anew (proc(5), clear_refs).
func resetPeak(pid int) error {
	if err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte("5"), 0); err != nil {
		return fmt.Errorf("reset the proxy's peak memory: %w", err)
	}
	return nil
}

// peak is a process's peak resident memory, bytes.
func peak(pid int) (int64, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("read the proxy's peak memory: %w", err)
	}
	for line := range bytes.Lines(raw) {
		if f := strings.Fields(string(line)); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d shows no peak memory", pid)
}

// median is that of a way's runs, seconds.
func (r *spreadResult) median(way string) float64 {
	s := slices.Sorted(slices.Values(r.through[way]))
	return s[len(s)/2]
}

// seconds are pleiad's own and those of what it is compared with: one server with all rows, or the slowest part.
func (r *spreadResult) seconds() (own, other float64) {
	for way := range r.through {
		switch {
		case way == "pleiad":
			own = r.median(way)
		case r.part == strings.HasPrefix(way, "part "):
			other = max(other, r.median(way))
		}
	}
	return own, other
}

// reportSpread prints the queries over all shards.
func reportSpread(to io.Writer, rows int, results []spreadResult) error {
	if len(results) == 0 {
		return nil
	}
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "\nQueries over %d rows of all shards, one client, milliseconds (aims: as many per second as one PostgreSQL with all rows; of a\n"+
		"count, %.1f × as many as the slowest server answers its own part alone; of the join, %.2f ×; memory under %d MiB):\n\n",
		rows, partAim, gatherAim, spreadMemoryAim>>20)
	fmt.Fprintln(w, "| query | pleiad | compared with | ms | ratio | peak memory |")
	fmt.Fprintln(w, "| --- | ---: | --- | ---: | ---: | ---: |")
	for _, r := range results {
		own, other := r.seconds()
		with := "one PostgreSQL"
		if r.part {
			with = "the slowest part"
			both := r.median(partsAtOnce)
			fmt.Fprintf(w, "| %s | %.2f | %s | %.2f | %.2f | |\n", r.name, own*1000, partsAtOnce+", without pleiad", both*1000, both/own)
		}
		fmt.Fprintf(w, "| %s | %.2f | %s | %.2f | %.2f%s | %d MiB%s |\n", r.name, own*1000, with, other*1000,
			other/own, verdict(true, other/own >= r.aim), r.peak>>20, verdict(true, r.peak < spreadMemoryAim))
	}
	return w.Flush()
}
