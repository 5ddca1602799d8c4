// Command bench compares pleiad with PostgreSQL itself and with PgBouncer in front of it: pgbench -S and a
// JSONB mix of point reads and upserts, in one go on one machine. It starts and stops everything it uses
// and prints Markdown.
//
// Fairness: all answer from the same servers. Directly and behind PgBouncer, one of pleiad's three
// servers holds all rows in a database of its own; behind pleiad they are sharded over the three, and, as target
// pleiad-local, in local tables on that same one server: this tells the proxy's cost from the layout's. Clients
// come over TCP loopback, both proxies reach the servers over Unix sockets with pools of the same size.
// Runs are short and interleaved, so that what else the machine does falls on all alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	targets   []string
	scripts   []string
	modes     []string
	clients   []int
	run       time.Duration
	rounds    int
	accounts  int
	documents int
	idle      int
	spread    int
	moved     int
	replicas  bool
	binary    string
	dir       string
}

func main() {
	o, err := readFlags()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func readFlags() (options, error) {
	var o options
	targets := flag.String("targets", "postgres,pgbouncer,pleiad,pleiad-local", "what to measure")
	scripts := flag.String("scripts", "select,json", "select is pgbench -S, json the mix of documents; none: neither")
	modes := flag.String("modes", "simple,prepared", "pgbench's protocol modes")
	clients := flag.String("clients", "1,16,64", "numbers of clients")
	flag.DurationVar(&o.run, "time", 3*time.Second, "length of one run, whole seconds")
	flag.IntVar(&o.rounds, "rounds", 3, "runs of each combination")
	flag.IntVar(&o.accounts, "accounts", 100_000, "rows of pgbench_accounts")
	flag.IntVar(&o.documents, "documents", 50_000, "documents")
	flag.IntVar(&o.idle, "idle", 5000, "idle clients whose memory is measured; 0: none")
	flag.IntVar(&o.spread, "spread", 1_000_000, "rows of the queries over all shards; 0: none")
	flag.IntVar(&o.moved, "moved", 400_000, "rows of the table whose shard moves; 0: none")
	flag.BoolVar(&o.replicas, "replicas", true, "reads from a replica, and commits that wait for one")
	flag.StringVar(&o.binary, "pleiad", "", "program to measure; default: built from ./cmd/pleiad")
	flag.StringVar(&o.dir, "dir", "", "where data is kept meanwhile; default: a temporary directory")
	flag.Parse()
	o.targets, o.scripts, o.modes = strings.Split(*targets, ","), strings.Split(*scripts, ","), strings.Split(*modes, ",")
	for c := range strings.SplitSeq(*clients, ",") {
		n, err := strconv.Atoi(c)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-clients: %q is no number of clients", c)
		}
		o.clients = append(o.clients, n)
	}
	for _, check := range []struct {
		flag  string
		given []string
		known []string
	}{
		{"targets", o.targets, []string{"postgres", "pgbouncer", "pleiad", "pleiad-local"}},
		{"scripts", o.scripts, []string{"select", "json", "none"}},
		{"modes", o.modes, []string{"simple", "extended", "prepared"}},
	} {
		for _, g := range check.given {
			if !slices.Contains(check.known, g) {
				return o, fmt.Errorf("-%s: %q is not one of %s", check.flag, g, strings.Join(check.known, ", "))
			}
		}
	}
	if o.run < time.Second || o.rounds < 1 {
		return o, errors.New("-time must be a second at least and -rounds one")
	}
	return o, nil
}

func bench(ctx context.Context, o options) (err error) {
	b, err := startBench(ctx, o)
	defer func() { err = errors.Join(err, b.stop()) }()
	if err != nil {
		return err
	}
	var all []result
	for _, script := range o.scripts {
		if script == "none" {
			continue
		}
		for _, mode := range o.modes {
			for _, clients := range o.clients {
				c := combination{script, mode, clients}
				results, err := b.measure(ctx, c)
				if err != nil {
					return fmt.Errorf("measure %s: %w", c, err)
				}
				all = append(all, results...)
			}
		}
	}
	memory, err := b.idleMemory(ctx)
	if err != nil {
		return err
	}
	spread, err := b.spread(ctx)
	if err != nil {
		return fmt.Errorf("measure queries over all shards: %w", err)
	}
	twoPhase, err := b.twoPhase(ctx)
	if err != nil {
		return fmt.Errorf("measure transactions over two backends: %w", err)
	}
	moved, err := b.moves(ctx)
	if err != nil {
		return fmt.Errorf("measure a move: %w", err)
	}
	replicas, err := b.replicas(ctx)
	if err != nil {
		return fmt.Errorf("measure replicas: %w", err)
	}
	return errors.Join(report(os.Stdout, b.machine(ctx), all, memory), reportSpread(os.Stdout, o.spread, spread),
		reportTwoPhase(os.Stdout, twoPhase), reportMoves(os.Stdout, moved), reportReplicas(os.Stdout, replicas))
}
