package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// The aims: pleiad's CPU per transaction and throughput, relative to PgBouncer's.
const (
	cpuAim  = 1.5
	rateAim = 0.8
	idleAim = 32 << 10 // bytes a client
)

// machine is one line on where the numbers come from.
func (b *running) machine(ctx context.Context) string {
	version := func(program string, args ...string) string {
		out, err := exec.CommandContext(ctx, program, args...).Output()
		if err != nil {
			return program + " of unknown version"
		}
		first, _, _ := strings.Cut(string(out), "\n")
		return first
	}
	model := "unknown processor"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
				break
			}
		}
	}
	bouncer := "pgbouncer"
	if _, err := exec.LookPath(bouncer); err != nil {
		bouncer = "/usr/sbin/pgbouncer"
	}
	return fmt.Sprintf("%d × %s; %s; %s; %s; runs of %s × %d, interleaved", runtime.NumCPU(), model,
		version("pgbench", "--version"), version(bouncer, "--version"), runtime.Version(), b.o.run, b.o.rounds)
}

// report prints everything as Markdown.
func report(to io.Writer, machine string, results []result, memories []memory) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "%s\n\n", machine)
	fmt.Fprintln(w, "| workload | protocol | clients | through | transactions/s | p50 ms | p99 ms | proxy CPU µs/transaction |")
	fmt.Fprintln(w, "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |")
	for _, r := range results {
		cpu := "–"
		if r.hasProxy {
			cpu = fmt.Sprintf("%.1f", r.cpuPerTransaction())
		}
		fmt.Fprintf(w, "| %s | %s | %d | %s | %.0f | %.3f | %.3f | %s |\n",
			r.script, r.mode, r.clients, r.target, r.rate(), r.quantile(0.5), r.quantile(0.99), cpu)
	}
	for _, ours := range []string{"pleiad", "pleiad-local"} {
		reportRatios(w, results, ours)
	}
	for _, m := range memories {
		each := float64(m.after-m.before) / float64(m.clients)
		fmt.Fprintf(w, "\n%s: %d idle clients take %.1f KiB each (%d MiB before, %d MiB with them)%s\n",
			m.target, m.clients, each/1024, m.before>>20, m.after>>20, verdict(m.target == "pleiad", each <= idleAim))
	}
	fmt.Fprintln(w, "\nWith `prepared`, PgBouncer pools sessions: versions before 1.21 keep no prepared statements when pooling transactions.")
	return w.Flush()
}

// reportRatios compares a target with PgBouncer, combination by combination and in the geometric mean.
func reportRatios(w io.Writer, results []result, target string) {
	byCombination := map[combination]map[string]*result{}
	var order []combination
	for i, r := range results {
		if byCombination[r.combination] == nil {
			byCombination[r.combination] = map[string]*result{}
			order = append(order, r.combination)
		}
		byCombination[r.combination][r.target] = &results[i]
	}
	var rates, cpus []float64
	var lines []string
	for _, c := range order {
		ours, theirs := byCombination[c][target], byCombination[c]["pgbouncer"]
		if ours == nil || theirs == nil || theirs.rate() == 0 || theirs.cpuPerTransaction() == 0 {
			continue
		}
		rate, cpu := ours.rate()/theirs.rate(), ours.cpuPerTransaction()/theirs.cpuPerTransaction()
		rates, cpus = append(rates, rate), append(cpus, cpu)
		lines = append(lines, fmt.Sprintf("| %s | %s | %d | %.2f%s | %.2f%s |\n", c.script, c.mode, c.clients,
			rate, verdict(true, rate >= rateAim), cpu, verdict(true, cpu <= cpuAim)))
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s relative to PgBouncer (aims: throughput %.1f at least, CPU per transaction %.1f at most):\n\n", target, rateAim, cpuAim)
	fmt.Fprintln(w, "| workload | protocol | clients | throughput | CPU per transaction |")
	fmt.Fprintln(w, "| --- | --- | ---: | ---: | ---: |")
	for _, l := range lines {
		io.WriteString(w, l)
	}
	fmt.Fprintf(w, "| geometric mean | | | %.2f%s | %.2f%s |\n", geometricMean(rates), verdict(true, geometricMean(rates) >= rateAim),
		geometricMean(cpus), verdict(true, geometricMean(cpus) <= cpuAim))
}

func verdict(asked, met bool) string {
	switch {
	case !asked:
		return ""
	case met:
		return " ✓"
	default:
		return " ✗"
	}
}

func geometricMean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}
