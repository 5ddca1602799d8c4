package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// combination is one row of the table, measured on every target.
type combination struct {
	script  string
	mode    string
	clients int
}

func (c combination) String() string {
	return fmt.Sprintf("%s, %s, %d clients", c.script, c.mode, c.clients)
}

// result is what one target did in all rounds of one combination.
type result struct {
	combination
	target       string
	rates        []float64 // transactions per second, one a round
	latencies    []int     // microseconds, a sample of all rounds
	transactions int
	cpu          time.Duration // of the proxy process; only of targets that have one
	hasProxy     bool
}

// measure runs the rounds, each target in turn, and in another order each time.
func (b *running) measure(ctx context.Context, c combination) ([]result, error) {
	results := make([]result, len(b.targets))
	for i, t := range b.targets {
		results[i] = result{combination: c, target: t.name, hasProxy: t.pid != 0}
	}
	for round := range b.o.rounds {
		for i := range b.targets {
			at := (i + round) % len(b.targets)
			if err := b.once(ctx, c, b.targets[at], &results[at]); err != nil {
				return nil, fmt.Errorf("%s: %w", b.targets[at].name, err)
			}
		}
	}
	for _, r := range results {
		fmt.Fprintf(os.Stderr, "%s, %s: %.0f/s\n", c, r.target, r.rate())
	}
	return results, nil
}

var (
	processedCount = regexp.MustCompile(`number of transactions actually processed: (\d+)`)
	rateLine       = regexp.MustCompile(`tps = ([0-9.]+) \(without initial connection time\)`)
	failedLine     = regexp.MustCompile(`number of failed transactions: ([1-9]\d*)`)
)

// once is one pgbench run. Its log takes a tenth of the latencies, all of them with one client.
func (b *running) once(ctx context.Context, c combination, t *target, r *result) error {
	prefix := filepath.Join(b.dir, "log")
	sampling := "0.1"
	if c.clients == 1 {
		sampling = "1"
	}
	cmd := exec.CommandContext(ctx, "pgbench", "-n", "-M", c.mode, "-c", strconv.Itoa(c.clients),
		"-j", strconv.Itoa(min(c.clients, 2)), "-T", strconv.Itoa(int(b.o.run/time.Second)), "-f", b.scriptPath(c.script),
		"-D", fmt.Sprint("accounts=", b.o.accounts), "-D", fmt.Sprint("documents=", b.o.documents),
		"-l", "--log-prefix="+prefix, "--sampling-rate="+sampling, t.dsn(c.mode))
	var before, after time.Duration
	var err error
	if t.pid != 0 {
		if before, err = cpuTime(t.pid); err != nil {
			return err
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	if t.pid != 0 {
		if after, err = cpuTime(t.pid); err != nil {
			return err
		}
		r.cpu += after - before
	}
	if failedLine.Match(out) || bytes.Contains(out, []byte("aborted")) {
		return fmt.Errorf("pgbench: transactions failed:\n%s", out)
	}
	count, rate := processedCount.FindSubmatch(out), rateLine.FindSubmatch(out)
	if count == nil || rate == nil {
		return fmt.Errorf("pgbench said what is not understood:\n%s", out)
	}
	n, err := strconv.Atoi(string(count[1]))
	if err != nil {
		return fmt.Errorf("read pgbench's count: %w", err)
	}
	tps, err := strconv.ParseFloat(string(rate[1]), 64)
	if err != nil {
		return fmt.Errorf("read pgbench's rate: %w", err)
	}
	r.transactions += n
	r.rates = append(r.rates, tps)
	return r.readLog(prefix)
}

// readLog takes the third column, microseconds, of pgbench's logs, and removes them.
func (r *result) readLog(prefix string) error {
	logs, err := filepath.Glob(prefix + ".*")
	if err != nil {
		return fmt.Errorf("find pgbench's log: %w", err)
	}
	for _, log := range logs {
		raw, err := os.ReadFile(log)
		if err != nil {
			return fmt.Errorf("read pgbench's log: %w", err)
		}
		for line := range strings.Lines(string(raw)) {
			f := strings.Fields(line)
			if len(f) < 3 {
				return fmt.Errorf("read pgbench's log: line %q", line)
			}
			us, err := strconv.Atoi(f[2])
			if err != nil {
				return fmt.Errorf("read pgbench's log: %w", err)
			}
			r.latencies = append(r.latencies, us)
		}
		if err := os.Remove(log); err != nil {
			return fmt.Errorf("remove pgbench's log: %w", err)
		}
	}
	return nil
}

// rate is the median over the rounds.
func (r *result) rate() float64 {
	if len(r.rates) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(r.rates))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// quantile is a latency in milliseconds.
func (r *result) quantile(q float64) float64 {
	if len(r.latencies) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(r.latencies))
	return float64(s[min(len(s)-1, int(q*float64(len(s))))]) / 1000
}

// cpuPerTransaction is in microseconds.
func (r *result) cpuPerTransaction() float64 {
	if r.transactions == 0 {
		return 0
	}
	return float64(r.cpu.Microseconds()) / float64(r.transactions)
}
