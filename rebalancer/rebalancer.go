package rebalancer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Rebalancer runs the jobs of all databases. Of the proxies of a cluster, one at a time works on a database's.
type Rebalancer struct {
	cluster  Cluster
	settings func() Settings
	log      *slog.Logger
	alive    context.Context // Run's

	mu    sync.Mutex
	turns map[string]chan struct{} // by database, see turn
}

// turn waits until no other switch of the database is under way, and keeps others from beginning until done is called: the
// lock on home ends with a switch's decision, and statements are held for a moment longer.
func (r *Rebalancer) turn(ctx context.Context, database string) (done func(), err error) {
	r.mu.Lock()
	if r.turns == nil {
		r.turns = map[string]chan struct{}{}
	}
	if r.turns[database] == nil {
		r.turns[database] = make(chan struct{}, 1)
	}
	one := r.turns[database]
	r.mu.Unlock()
	select {
	case one <- struct{}{}:
		return func() { <-one }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// New makes a Rebalancer; Run starts it.
func New(c Cluster, settings func() Settings, log *slog.Logger) *Rebalancer {
	return &Rebalancer{cluster: c, settings: settings, log: log}
}

// pollInterval is between two looks for jobs.
const pollInterval = 200 * time.Millisecond

// Run works until ctx ends. What is under way then goes on when a proxy runs again.
func (r *Rebalancer) Run(ctx context.Context) error {
	r.alive = ctx
	var (
		leaders sync.WaitGroup
		mu      sync.Mutex
		leading = map[string]bool{}
	)
	defer leaders.Wait()
	t := time.NewTicker(pollInterval)
	defer t.Stop()
	looked := time.Now()
	for {
		if now := time.Now(); now.Sub(looked) >= r.settings().Auto.Interval {
			looked = now
			r.auto(ctx, now)
		}
		for _, database := range r.cluster.Databases() {
			mu.Lock()
			busy := leading[database]
			leading[database] = true
			mu.Unlock()
			if busy {
				continue
			}
			leaders.Go(func() {
				if err := r.lead(ctx, database); err != nil && ctx.Err() == nil {
					r.log.Warn("jobs_delayed", "database", database, "error", err)
					pause(ctx, time.Second)
				}
				mu.Lock()
				delete(leading, database)
				mu.Unlock()
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// leadLock is held by the proxy that works on a database's jobs, for as long as its connection lives.
const leadLock = "SELECT pg_try_advisory_lock(1886151017, 4)"

// lead runs a database's jobs until none is left.
func (r *Rebalancer) lead(ctx context.Context, database string) error {
	conn, err := connect(ctx, r.cluster, "", database)
	if err != nil {
		return err
	}
	defer closing(conn)
	var alone bool
	if err := conn.QueryRow(ctx, leadLock).Scan(&alone); err != nil || !alone {
		pause(ctx, time.Second) // another proxy is at it
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	jobs := map[int64]*job{}
	ended := make(chan int64)
	running := 0
	defer func() {
		stop()
		for ; running > 0; running-- {
			<-ended
		}
	}()
	t := time.NewTicker(pollInterval)
	defer t.Stop()
	for {
		list, err := readJobs(ctx, conn)
		if err != nil {
			return err
		}
		if len(list) == 0 && running == 0 {
			return nil
		}
		for _, row := range list {
			if j := jobs[row.ID]; j != nil {
				if row.State == "cancelling" {
					j.cancel(errCancelled)
				}
				continue
			}
			j := r.newJob(ctx, database, row)
			jobs[row.ID] = j
			running++
			go func() {
				j.run(ctx)
				ended <- j.ID
			}()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case id := <-ended:
			running--
			delete(jobs, id)
		case <-t.C:
		}
	}
}

// jobRow is a job as the catalog has it.
type jobRow struct {
	ID      int64
	Kind    string
	Options []byte
	State   string
}

func readJobs(ctx context.Context, conn *pgx.Conn) ([]jobRow, error) {
	rows, err := conn.Query(ctx, `SELECT id, kind, options::text::bytea, state FROM pleiad.job
		WHERE state IN ('queued', 'running', 'cancelling') ORDER BY id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[jobRow])
}

var errCancelled = errors.New("the job was cancelled")
