package rebalancer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// job is one that this process runs.
type job struct {
	jobRow
	r        *Rebalancer
	log      *slog.Logger
	database string
	settings Settings
	options  jobOptions
	ctx      context.Context
	cancel   context.CancelCauseFunc
}

type jobOptions struct {
	By          string `json:"by"`
	DryRun      bool   `json:"dry_run"`
	MaxParallel int    `json:"max_parallel"`
	MaxRate     int64  `json:"max_rate"`
	Group       int    `json:"group"`
	Shard       int    `json:"shard"`
	Target      string `json:"target"`
	Backend     string `json:"backend"`
	Table       uint32 `json:"table"`
}

func (r *Rebalancer) newJob(ctx context.Context, database string, row jobRow) *job {
	j := &job{jobRow: row, r: r, log: r.log, database: database, settings: r.settings()}
	j.ctx, j.cancel = context.WithCancelCause(ctx)
	return j
}

// run carries the job to its end, or as far as it gets before alive ends.
func (j *job) run(alive context.Context) {
	defer j.cancel(nil)
	if j.State == "cancelling" {
		j.cancel(errCancelled)
	}
	err := json.Unmarshal(j.Options, &j.options)
	if err == nil {
		err = j.work()
	}
	if alive.Err() != nil {
		return // another run goes on with it
	}
	state, detail := "done", ""
	switch {
	case errors.Is(context.Cause(j.ctx), errCancelled):
		state = "cancelled"
		if err := j.abandon(alive); err != nil {
			detail = err.Error()
		}
	case err != nil:
		state, detail = "failed", err.Error()
		// Moves that it did not come to would keep their shards from moving in another job.
		if err := j.abandon(alive); err != nil {
			detail += "\n" + err.Error()
		}
	}
	for {
		err := j.onHome(alive, func(conn *pgx.Conn) error {
			_, err := conn.Exec(alive, `UPDATE pleiad.job SET state = $2, detail = CASE WHEN $3 <> '' THEN $3 ELSE detail END,
				finished = now() WHERE id = $1`, j.ID, state, detail)
			return err
		})
		if err == nil || alive.Err() != nil {
			break
		}
		j.log.Warn("job_not_ended", "database", j.database, "job", j.ID, "error", err)
		pause(alive, time.Second)
	}
	j.log.Info("job_ended", "database", j.database, "job", j.ID, "kind", j.Kind, "state", state, "detail", detail)
}

func (j *job) turn(ctx context.Context) (done func(), err error) { return j.r.turn(ctx, j.database) }

func (j *job) onHome(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := connect(ctx, j.r.cluster, "", j.database)
	if err != nil {
		return err
	}
	defer closing(conn)
	return f(conn)
}

func (j *job) work() error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	switch j.Kind {
	case "verify":
		return j.outlast(j.verify)
	case "add_backend":
		return j.outlast(j.addBackend)
	}
	if err := j.outlast(j.plan); err != nil {
		return err
	}
	if j.options.DryRun {
		return nil
	}
	if err := j.moveAll(); err != nil || j.Kind != "remove_backend" {
		return err
	}
	return j.outlast(j.forgetBackend)
}

// outlast does again what found a server away: it may be restarting, or another one take over from it.
func (j *job) outlast(f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if !away(err) || n >= maxAway || j.ctx.Err() != nil {
			return err
		}
		j.log.Warn("job_delayed", "database", j.database, "job", j.ID, "error", err)
		pause(j.ctx, min(time.Duration(n)*200*time.Millisecond, 3*time.Second))
	}
}

// parallel is how many moves run at once.
func (j *job) parallel() int {
	if j.options.MaxParallel > 0 {
		return j.options.MaxParallel
	}
	return max(1, j.settings.MaxParallel)
}

// moveAll runs the moves that have not ended. One that fails does not keep the others from going on.
func (j *job) moveAll() error {
	var moves []*move
	err := j.outlast(func() (err error) {
		moves, err = j.unfinished(j.ctx)
		return err
	})
	if err != nil {
		return err
	}
	rate := j.options.MaxRate
	if rate == 0 {
		rate = j.settings.MaxRate
	}
	limit := &limiter{perSecond: rate}
	queue := make(chan *move)
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		errs    []error
	)
	for range min(j.parallel(), len(moves)) {
		workers.Go(func() {
			for m := range queue {
				m.rate = limit
				if err := m.run(j.ctx); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("move %d of shard %d: %w", m.id, m.shard, err))
					mu.Unlock()
				}
			}
		})
	}
	for _, m := range moves {
		select {
		case queue <- m:
			continue
		case <-j.ctx.Done():
		}
		break
	}
	close(queue)
	workers.Wait()
	if err := j.ctx.Err(); err != nil {
		return err
	}
	if len(errs) == 0 {
		return j.outlast(j.failedBefore)
	}
	return errors.Join(errs...)
}

// failedBefore tells of moves that failed in a run before this one, in another process, and whose shards are where they were.
func (j *job) failedBefore() error {
	return j.onHome(j.ctx, func(home *pgx.Conn) error {
		rows, err := home.Query(j.ctx, `SELECT format('move %s of shard %s: %s', m.id, m.shard, m.detail) FROM pleiad.move m
			JOIN pleiad.placement p ON (p.group_id, p.shard, p.backend) = (m.group_id, m.shard, m.source)
			WHERE m.job = $1 AND m.step = 'failed' ORDER BY m.id`, j.ID)
		if err != nil {
			return err
		}
		failed, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err == nil && len(failed) > 0 {
			err = errors.New(strings.Join(failed, "\n"))
		}
		return err
	})
}

// abandon undoes what a job that is cancelled, or has failed, has under way. A shard that has switched stays where it is.
func (j *job) abandon(alive context.Context) error {
	moves, err := j.unfinished(alive)
	for ; away(err) && alive.Err() == nil; moves, err = j.unfinished(alive) {
		pause(alive, time.Second)
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range moves {
		m.rate = &limiter{}
		if m.step == Switched {
			if err := m.run(alive); err != nil {
				errs = append(errs, err)
			}
			continue
		}
		if err := m.giveUp(alive, Cancelled, errCancelled); m.step != Cancelled {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// unfinished reads the job's moves that have not ended.
func (j *job) unfinished(ctx context.Context) ([]*move, error) {
	var moves []*move
	err := j.onHome(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT m.id, m.group_id, m.shard, m.source, s.name, m.target, t.name, m.step, m.gid, m.shape,
			m.attempts, m.copied, h.id, h.name
			FROM pleiad.move m JOIN pleiad.backend s ON s.id = m.source JOIN pleiad.backend t ON t.id = m.target
			JOIN pleiad.backend h ON h.home
			WHERE m.job = $1 AND m.step NOT IN ('done', 'proposed', 'cancelled', 'failed') ORDER BY m.step <> 'switched', m.id`, j.ID)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			m := &move{turn: j.turn, cluster: j.r.cluster, settings: j.settings, log: j.log, database: j.database, job: j.ID, alive: j.r.alive}
			var copied int64
			if err := rows.Scan(&m.id, &m.group, &m.shard, &m.sourceID, &m.source, &m.targetID, &m.target, &m.step, &m.gid, &m.shape,
				&m.attempts, &copied, &m.homeID, &m.home); err != nil {
				return err
			}
			m.copied.Store(copied)
			moves = append(moves, m)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read moves of job %d: %w", j.ID, err)
	}
	return moves, nil
}
