package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// twoPhaseAim is how many times the latency of a transaction on one backend one on two may have.
const twoPhaseAim = 3.0

// twoPhaseWay is a transaction of two updates, and the servers of their rows, counted from home.
type twoPhaseWay struct {
	name   string
	places [2]int
}

var twoPhaseWays = []twoPhaseWay{
	{"one backend", [2]int{1, 1}},
	{"two backends, one of them home", [2]int{0, 1}},
	{"two backends", [2]int{1, 2}},
}

// twoPhase measures transactions of two updates, one client, each way in turn: the mean milliseconds of each run.
func (b *running) twoPhase(ctx context.Context) (runs [][]float64, err error) {
	if b.o.spread == 0 {
		return nil, nil
	}
	err = run(ctx, b.pleiadURI, "create table pair (k int primary key, v int not null) partition by hash (k)",
		"insert into pair select i, 0 from generate_series(1, 1000) i", "vacuum analyze pair")
	if err != nil {
		return nil, err
	}
	c, err := pgx.Connect(ctx, b.pleiadURI)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close(ctx) }()
	keys := map[int][]int{} // by server, counted from home
	for k := 1; k <= 100; k++ {
		var plan string
		if err := c.QueryRow(ctx, fmt.Sprintf("explain select v from pair where k = %d", k)).Scan(&plan); err != nil {
			return nil, fmt.Errorf("ask where row %d is: %w", k, err)
		}
		var server int
		if _, err := fmt.Sscanf(strings.TrimSpace(plan), "Backends: b%d", &server); err != nil {
			return nil, fmt.Errorf("ask where row %d is: %q: %w", k, plan, err)
		}
		keys[server-1] = append(keys[server-1], k)
	}
	runs = make([][]float64, len(twoPhaseWays))
	for range b.o.rounds {
		for i, way := range twoPhaseWays {
			took, err := twoPhaseRun(ctx, c, keys, way, b.o.run)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			runs[i] = append(runs[i], took)
		}
	}
	return runs, nil
}

// twoPhaseRun runs transactions for a while and gives the mean milliseconds of one.
func twoPhaseRun(ctx context.Context, c *pgx.Conn, keys map[int][]int, way twoPhaseWay, length time.Duration) (float64, error) {
	began := time.Now()
	n := 0
	for ; time.Since(began) < length; n++ {
		err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			for i, place := range way.places {
				of := keys[place]
				if len(of) < 2 {
					return fmt.Errorf("server %d has %d of the rows", place+1, len(of))
				}
				if _, err := tx.Exec(ctx, "update pair set v = v + 1 where k = $1", of[(2*n+i)%len(of)]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return time.Since(began).Seconds() * 1000 / float64(n), nil
}

// reportTwoPhase prints the medians beside each other.
func reportTwoPhase(to io.Writer, runs [][]float64) error {
	if len(runs) == 0 {
		return nil
	}
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "\nBEGIN, two updates, COMMIT, one client (aim: on two backends %.1f × the latency on one at most):\n\n", twoPhaseAim)
	fmt.Fprintln(w, "| rows on | ms | |")
	fmt.Fprintln(w, "| --- | ---: | --- |")
	var one float64
	for i, all := range runs {
		slices.Sort(all)
		median, note := all[len(all)/2], ""
		if i == 0 {
			one = median
		} else {
			note = fmt.Sprintf("%.2f ×%s", median/one, verdict(true, median/one <= twoPhaseAim))
		}
		fmt.Fprintf(w, "| %s | %.2f | %s |\n", twoPhaseWays[i].name, median, note)
	}
	return w.Flush()
}
