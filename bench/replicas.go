package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// sessionAim is what reads at the level session may cost of the proxy's CPU time, compared with eventual, where the
// replica keeps up.
const sessionAim = 1.05

// replicaWay is one way to read or to commit on one primary with one replica.
type replicaWay struct{ name, script, options string }

var replicaWays = []replicaWay{
	{"reads, strong: the primary alone", "read", "-c pleiad.consistency=strong"},
	{"reads, eventual: the replica and the primary", "read", "-c pleiad.consistency=eventual"},
	{"reads, session", "read", "-c pleiad.consistency=session"},
	{"commits, async", "commit", "-c pleiad.replication=async"},
	{"commits, sync", "commit", "-c pleiad.replication=sync"},
}

const replicaClients = 8

// replicaResult has the medians of a way's runs.
type replicaResult struct {
	replicaWay
	rate    float64 // transactions a second
	latency float64 // milliseconds, the mean
	cpu     float64 // of the proxy, microseconds a transaction
}

// replicas measures reads from a replica and commits that wait for one, each way in turn.
func (b *running) replicas(ctx context.Context) ([]replicaResult, error) {
	if !b.o.replicas {
		return nil, nil
	}
	var uri string
	var err error
	if b.replicated, uri, err = b.launch("replicated", "--backends", "1", "--replicas", "1", "--primary-reads", "1"); err != nil {
		return nil, err
	}
	err = run(ctx, uri, "CREATE TABLE bench_kv (k int PRIMARY KEY, v int NOT NULL) PARTITION BY HASH (k)",
		"INSERT INTO bench_kv SELECT i, 0 FROM generate_series(1, 10000) i")
	if err != nil {
		return nil, err
	}
	scripts := map[string]string{
		"read":   "\\set k random(1, 10000)\nSELECT v FROM bench_kv WHERE k = :k;\n",
		"commit": "\\set k random(1, 10000)\nUPDATE bench_kv SET v = v + 1 WHERE k = :k;\n",
	}
	for name, text := range scripts {
		if err := os.WriteFile(b.scriptPath("replica-"+name), []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("write script: %w", err)
		}
	}
	runs := make([][]replicaResult, len(replicaWays))
	for range b.o.rounds {
		for i, way := range replicaWays {
			r, err := b.replicaRun(ctx, uri, way)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			runs[i] = append(runs[i], r)
		}
	}
	var out []replicaResult
	for _, all := range runs {
		slices.SortFunc(all, func(x, y replicaResult) int { return int(x.rate - y.rate) })
		out = append(out, all[len(all)/2])
	}
	return out, nil
}

// replicaRun is one pgbench run.
func (b *running) replicaRun(ctx context.Context, uri string, way replicaWay) (replicaResult, error) {
	r := replicaResult{replicaWay: way}
	cmd := exec.CommandContext(ctx, "pgbench", "-n", "-M", "prepared", "-c", strconv.Itoa(replicaClients), "-j", "2",
		"-T", strconv.Itoa(int(b.o.run/time.Second)), "-f", b.scriptPath("replica-"+way.script), uri)
	cmd.Env = append(os.Environ(), "PGOPTIONS="+way.options)
	cmd.Dir = filepath.Clean(b.dir)
	before, err := cpuTime(b.replicated.Process.Pid)
	if err != nil {
		return r, err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	after, err := cpuTime(b.replicated.Process.Pid)
	if err != nil {
		return r, err
	}
	count, rate := processedCount.FindSubmatch(out), rateLine.FindSubmatch(out)
	if failedLine.Match(out) || count == nil || rate == nil {
		return r, fmt.Errorf("pgbench said what is not understood:\n%s", out)
	}
	n, err := strconv.Atoi(string(count[1]))
	if err != nil {
		return r, fmt.Errorf("read pgbench's count: %w", err)
	}
	if r.rate, err = strconv.ParseFloat(string(rate[1]), 64); err != nil {
		return r, fmt.Errorf("read pgbench's rate: %w", err)
	}
	r.latency = 1000 * replicaClients / r.rate
	r.cpu = float64((after - before).Microseconds()) / float64(max(n, 1))
	return r, nil
}

// reportReplicas prints the ways beside each other.
func reportReplicas(to io.Writer, results []replicaResult) error {
	if len(results) == 0 {
		return nil
	}
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "\nOne primary and one replica, %d clients, prepared (aim: session costs %.2f × the CPU time of eventual at most):\n\n",
		replicaClients, sessionAim)
	fmt.Fprintln(w, "| way | transactions/s | mean ms | proxy CPU µs/transaction | |")
	fmt.Fprintln(w, "| --- | ---: | ---: | ---: | --- |")
	for i, r := range results {
		note := ""
		switch i {
		case 1:
			note = fmt.Sprintf("%.2f × the primary alone", r.rate/results[0].rate)
		case 2:
			ratio := r.cpu / results[1].cpu
			note = fmt.Sprintf("%.2f × eventual's CPU%s", ratio, verdict(true, ratio <= sessionAim))
		case 4:
			note = fmt.Sprintf("%.2f × async's latency", r.latency/results[3].latency)
		}
		fmt.Fprintf(w, "| %s | %.0f | %.2f | %.1f | %s |\n", r.name, r.rate, r.latency, r.cpu, note)
	}
	return w.Flush()
}
