package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Aims of a move: its rate against pg_dump | psql of the same table between the same servers, and clients' throughput
// meanwhile against that before.
const (
	moveRateAim   = 0.8
	moveServeAim  = 0.7
	moveClients   = 8
	moveHoldLimit = 200 * time.Millisecond
)

// moveResult is what one move shows.
type moveResult struct {
	bytes        int64 // of the shard
	dumped, took time.Duration
	before, then float64 // statements a second
	hold         time.Duration
}

const moveTable = "create table parcel (id int primary key, room int, doc jsonb)"

// moves measures one move of half of the rows, without clients and with them.
func (b *running) moves(ctx context.Context) (r moveResult, err error) {
	if b.o.moved == 0 {
		return r, nil
	}
	rows := fmt.Sprintf(spreadRows, b.o.moved)
	c, err := pgx.Connect(ctx, b.pleiadURI)
	if err != nil {
		return r, err
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, "set pleiad.shard_count = 2"); err != nil {
		return r, err
	}
	if _, err := c.Exec(ctx, moveTable+" partition by hash (id)"); err != nil {
		return r, err
	}
	if err := copyRows(ctx, b.pleiadURI, "parcel", rows); err != nil {
		return r, err
	}
	if err := run(ctx, b.pleiadURI, "create index on parcel (room)", "vacuum analyze parcel"); err != nil {
		return r, err
	}
	var group int
	var from, to string
	err = c.QueryRow(ctx, `select t.colocation, s.backend, s.bytes from pleiad.shards s join pleiad.tables t on t.name = s.table_name
		where s.table_name = 'parcel' and s.shard = 0`).Scan(&group, &from, &r.bytes)
	if err != nil {
		return r, fmt.Errorf("find the shard: %w", err)
	}
	if err := c.QueryRow(ctx, "select name from pleiad.backends where role = 'primary' and name <> $1 order by name limit 1", from).Scan(&to); err != nil {
		return r, err
	}
	if r.dumped, err = b.dumpAndLoad(ctx, c, from, to); err != nil {
		return r, err
	}
	if r.took, _, err = moveShard(ctx, c, group, to); err != nil {
		return r, err
	}
	load := b.readers(ctx)
	defer load.stop()
	r.before = load.rate(ctx, b.o.run)
	began, at := load.done.Load(), time.Now()
	_, r.hold, err = moveShard(ctx, c, group, from)
	if err != nil {
		return r, err
	}
	r.then = float64(load.done.Load()-began) / time.Since(at).Seconds()
	return r, load.failure()
}

// moveShard moves shard 0 and tells how long that took, and how long statements were held.
func moveShard(ctx context.Context, c *pgx.Conn, group int, to string) (took, hold time.Duration, err error) {
	var job int64
	if err := c.QueryRow(ctx, "select pleiad.move_shard(0, $1::text, $2::int)", to, group).Scan(&job); err != nil {
		return 0, 0, err
	}
	for {
		var state, detail string
		if err := c.QueryRow(ctx, "select state, detail from pleiad.jobs where id = $1", job).Scan(&state, &detail); err != nil {
			return 0, 0, err
		}
		switch state {
		case "done":
			var seconds, held float64
			err := c.QueryRow(ctx, "select extract(epoch from finished - started)::float8, hold_ms from pleiad.moves where job = $1", job).Scan(&seconds, &held)
			return time.Duration(seconds * float64(time.Second)), time.Duration(held * float64(time.Millisecond)), err
		case "failed", "cancelled":
			return 0, 0, fmt.Errorf("move of shard 0 to %s is %s: %s", to, state, detail)
		}
		select {
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// dumpAndLoad is what one would do by hand: pg_dump of the shard's partition, and psql into another database of the target.
func (b *running) dumpAndLoad(ctx context.Context, c *pgx.Conn, from, to string) (time.Duration, error) {
	dsn := func(backend, database string) (string, error) {
		var host, port string
		if err := c.QueryRow(ctx, "select host, port::text from pleiad.backends where name = $1 and role = 'primary'", backend).Scan(&host, &port); err != nil {
			return "", err
		}
		return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%s", database, url.QueryEscape(host), port), nil
	}
	source, err := dsn(from, "postgres")
	if err != nil {
		return 0, err
	}
	server, err := dsn(to, "postgres")
	if err != nil {
		return 0, err
	}
	target, err := dsn(to, "by_hand")
	if err != nil {
		return 0, err
	}
	if err := run(ctx, server, "create database by_hand"); err != nil {
		return 0, err
	}
	if err := run(ctx, target, "create schema pleiad_0"); err != nil {
		return 0, err
	}
	began := time.Now()
	dump := exec.CommandContext(ctx, "pg_dump", "--table=pleiad_0.parcel", "--no-owner", "--dbname="+source)
	load := exec.CommandContext(ctx, "psql", "-X", "-q", "-o", os.DevNull, "-c", "set client_min_messages = fatal", "-f", "-", target)
	if load.Stdin, err = dump.StdoutPipe(); err != nil {
		return 0, err
	}
	if err := load.Start(); err != nil {
		return 0, err
	}
	if err := dump.Run(); err != nil {
		return 0, fmt.Errorf("pg_dump: %w", err)
	}
	if err := load.Wait(); err != nil { // attaching to a parent that is not there fails, and psql goes on
		return 0, fmt.Errorf("psql: %w", err)
	}
	if err := run(ctx, target, "analyze pleiad_0.parcel"); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took, run(ctx, server, "drop database by_hand")
}

// readers are clients that read rows by their keys, and now and then write one.
type readers struct {
	done atomic.Int64
	end  context.CancelFunc
	all  sync.WaitGroup
	mu   sync.Mutex
	err  error
}

func (b *running) readers(ctx context.Context) *readers {
	r := &readers{}
	ctx, r.end = context.WithCancel(ctx)
	for n := range moveClients {
		r.all.Go(func() {
			if err := r.read(ctx, b.pleiadURI, b.o.moved, uint64(n)); err != nil && ctx.Err() == nil {
				r.mu.Lock()
				r.err = err
				r.mu.Unlock()
			}
		})
	}
	return r
}

func (r *readers) read(ctx context.Context, dsn string, rows int, seed uint64) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	random := rand.New(rand.NewPCG(seed, 0))
	for ctx.Err() == nil {
		id := 1 + random.IntN(rows)
		if random.IntN(5) == 0 {
			_, err = c.Exec(ctx, "update parcel set room = room + 1 where id = $1", id)
		} else {
			var room int
			err = c.QueryRow(ctx, "select room from parcel where id = $1", id).Scan(&room)
		}
		if err != nil {
			return err
		}
		r.done.Add(1)
	}
	return nil
}

func (r *readers) rate(ctx context.Context, over time.Duration) float64 {
	from, began := r.done.Load(), time.Now()
	select {
	case <-ctx.Done():
	case <-time.After(over):
	}
	return float64(r.done.Load()-from) / time.Since(began).Seconds()
}

func (r *readers) stop() {
	r.end()
	r.all.Wait()
}

func (r *readers) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// reportMoves prints the table of moves.
func reportMoves(to io.Writer, r moveResult) error {
	if r.bytes == 0 {
		return nil
	}
	w := bufio.NewWriter(to)
	mb := float64(r.bytes) / 1e6
	fmt.Fprintf(w, "\nA shard of %.0f MB moves to another server (one index beside the key; %d clients read and update by key meanwhile):\n\n", mb, moveClients)
	fmt.Fprintln(w, "| | | | aim |")
	fmt.Fprintln(w, "| --- | ---: | ---: | ---: |")
	fmt.Fprintf(w, "| rate, against pg_dump piped into psql | %.1f MB/s to %.1f MB/s | %.2f × | ≥ %.1f × |\n",
		mb/r.took.Seconds(), mb/r.dumped.Seconds(), r.dumped.Seconds()/r.took.Seconds(), moveRateAim)
	fmt.Fprintf(w, "| statements a second, during and before | %.0f and %.0f | %.2f × | ≥ %.1f × |\n", r.then, r.before, r.then/r.before, moveServeAim)
	fmt.Fprintf(w, "| longest hold | %s | | ≤ %s |\n", r.hold.Round(time.Millisecond), moveHoldLimit)
	return w.Flush()
}
