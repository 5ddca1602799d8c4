package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// jobStatus is a job as view pleiad.jobs shows it.
type jobStatus struct {
	ID        int64      `json:"id"`
	Kind      string     `json:"kind"`
	State     string     `json:"state"`
	Detail    string     `json:"detail,omitempty"`
	Done      int        `json:"moves_done"`
	Moves     int        `json:"moves"`
	Copied    int64      `json:"bytes_copied"`
	Bytes     int64      `json:"bytes"`
	WorstHold *float64   `json:"worst_hold_ms,omitempty"`
	Started   *time.Time `json:"started,omitempty"`
	Finished  *time.Time `json:"finished,omitempty"`
}

// moveStatus is one row of pleiad.moves.
type moveStatus struct {
	ID       int64    `json:"id"`
	Group    int      `json:"colocation"`
	Shard    int      `json:"shard"`
	Source   string   `json:"source"`
	Target   string   `json:"target"`
	Step     string   `json:"step"`
	Bytes    int64    `json:"bytes"`
	Copied   int64    `json:"bytes_copied"`
	Rate     *float64 `json:"bytes_per_second,omitempty"`
	Lag      int64    `json:"lag_bytes"`
	Hold     *float64 `json:"hold_ms,omitempty"`
	Attempts int      `json:"attempts,omitempty"`
	Detail   string   `json:"detail,omitempty"`
	Tables   *string  `json:"tables,omitempty"`
}

// progress is what a machine reads: one line a change.
type progress struct {
	Job   jobStatus    `json:"job"`
	Moves []moveStatus `json:"moves"`
	// Findings are verify's.
	Findings []finding `json:"findings,omitempty"`
}

type finding struct {
	Object  string `json:"object"`
	Backend string `json:"backend"`
	Problem string `json:"problem"`
}

// errNotDone is a job that ended otherwise; what happened has been printed.
var errNotDone = exitCode(1)

// readJobs reads one job, or all for 0.
func readJobs(ctx context.Context, conn *pgx.Conn, id int64) ([]jobStatus, error) {
	rows, err := conn.Query(ctx, `SELECT id, kind, state, detail, moves_done::int, moves::int, bytes_copied, bytes, worst_hold_ms, started, finished
		FROM pleiad.jobs WHERE id = $1 OR $1 = 0 ORDER BY id`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[jobStatus])
}

func readProgress(ctx context.Context, conn *pgx.Conn, id int64) (p progress, err error) {
	jobs, err := readJobs(ctx, conn, id)
	if err != nil {
		return p, err
	}
	if len(jobs) == 0 {
		return p, fmt.Errorf("job %d does not exist", id)
	}
	p.Job = jobs[0]
	rows, err := conn.Query(ctx, `SELECT id, colocation, shard, source, target, step, bytes, bytes_copied, bytes_per_second, lag_bytes, hold_ms,
		attempts, detail, tables FROM pleiad.moves WHERE job = $1 ORDER BY id`, id)
	if err == nil {
		p.Moves, err = pgx.CollectRows(rows, pgx.RowToStructByPos[moveStatus])
	}
	if err != nil || p.Job.Kind != "verify" {
		return p, err
	}
	rows, err = conn.Query(ctx, "SELECT object, backend, problem FROM pleiad.findings WHERE job = $1", id)
	if err == nil {
		p.Findings, err = pgx.CollectRows(rows, pgx.RowToStructByPos[finding])
	}
	return p, err
}

func writeJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

const watchInterval = 250 * time.Millisecond

// watch shows a job until it ends: bars to a person, objects to a machine, lines to a file.
func (o *client) watch(ctx context.Context, conn *pgx.Conn, id int64, w io.Writer) error {
	var show shower = &lines{w: w, steps: map[int64]string{}}
	if o.output == "json" {
		show = &objects{w: w}
	} else if f, ok := w.(*os.File); ok && terminal(f) {
		show = newBars(w)
	}
	t := time.NewTicker(watchInterval)
	defer t.Stop()
	for {
		p, err := readProgress(ctx, conn, id)
		if err != nil {
			return errors.Join(err, show.end(p))
		}
		if err := show.show(p); err != nil {
			return err
		}
		switch p.Job.State {
		case "done":
			if err := show.end(p); err != nil {
				return err
			}
			if len(p.Findings) > 0 {
				return errNotDone
			}
			return nil
		case "failed", "cancelled":
			if err := show.end(p); err != nil {
				return err
			}
			return errNotDone
		}
		select {
		case <-ctx.Done():
			_ = show.end(p)
			return fmt.Errorf("job %d goes on without being watched: %w", id, ctx.Err())
		case <-t.C:
		}
	}
}

func terminal(f *os.File) bool {
	s, err := f.Stat()
	return err == nil && s.Mode()&os.ModeCharDevice != 0
}

// shower shows how a job stands, and at last how it ended.
type shower interface {
	show(progress) error
	end(progress) error
}

// objects writes one JSON object a change.
type objects struct {
	w    io.Writer
	last string
}

func (s *objects) show(p progress) error {
	b, err := json.Marshal(p)
	if err != nil || string(b) == s.last {
		return err
	}
	s.last = string(b)
	_, err = fmt.Fprintln(s.w, s.last)
	return err
}

func (s *objects) end(progress) error { return nil }

// lines writes a line where a move comes to another step.
type lines struct {
	w     io.Writer
	steps map[int64]string
}

func (s *lines) show(p progress) error {
	for _, m := range p.Moves {
		if s.steps[m.ID] == m.Step || m.Step == "proposed" {
			continue
		}
		s.steps[m.ID] = m.Step
		if _, err := fmt.Fprintf(s.w, "%s: %s\n", m.name(), m.Step); err != nil {
			return err
		}
	}
	return nil
}

func (m *moveStatus) name() string {
	return fmt.Sprintf("shard %d of group %d, %s to %s", m.Shard, m.Group, m.Source, m.Target)
}

func (s *lines) end(p progress) error { return summary(s.w, p) }

// summary is the last that a person reads.
func summary(w io.Writer, p progress) error {
	var worst string
	if p.Job.WorstHold != nil {
		worst = fmt.Sprintf("; statements were held for %.0f ms at most", *p.Job.WorstHold)
	}
	for _, m := range p.Moves {
		if m.Step == "proposed" {
			if _, err := fmt.Fprintf(w, "%s: %d bytes\n", m.name(), m.Bytes); err != nil {
				return err
			}
		}
	}
	for _, f := range p.Findings {
		if _, err := fmt.Fprintf(w, "%s on %s: %s\n", f.Object, f.Backend, f.Problem); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "job %d (%s) is %s%s\n", p.Job.ID, p.Job.Kind, p.Job.State, worst)
	if err == nil && p.Job.Detail != "" {
		_, err = fmt.Fprintln(w, p.Job.Detail)
	}
	return err
}

// bars are a person's: one for each move that runs.
type bars struct {
	w    io.Writer
	all  *mpb.Progress
	bars map[int64]*moveBar
}

type moveBar struct {
	bar  *mpb.Bar
	last atomic.Pointer[moveStatus] // the bar is drawn by another goroutine
}

func newBars(w io.Writer) *bars {
	return &bars{w: w, all: mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(watchInterval)), bars: map[int64]*moveBar{}}
}

func (s *bars) show(p progress) error {
	for _, m := range p.Moves {
		if m.Step == "proposed" {
			continue
		}
		b := s.bars[m.ID]
		if b == nil {
			if m.Step == "planned" {
				continue // bars are of what runs
			}
			b = &moveBar{}
			b.last.Store(&m)
			s.bars[m.ID] = b
			// A bar that is made with a total keeps it, and what is copied is rarely what the table takes on disk.
			b.bar = s.all.AddBar(0,
				mpb.PrependDecorators(decor.Name(m.name()+" ", decor.WC{C: decor.DindentRight | decor.DextraSpace}),
					decor.Any(func(decor.Statistics) string { return b.phase() }, decor.WCSyncWidth)),
				mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.Any(func(decor.Statistics) string { return b.pace() })))
		}
		b.last.Store(&m)
		switch m.Step {
		case "done":
			b.bar.SetTotal(max(m.Copied, 1), false)
			b.bar.SetCurrent(max(m.Copied, 1))
			b.bar.SetTotal(-1, true)
		case "failed", "cancelled":
			b.bar.Abort(false)
		default:
			b.bar.SetTotal(max(m.Bytes, m.Copied+1), false)
			b.bar.SetCurrent(m.Copied)
		}
	}
	return nil
}

func (b *moveBar) phase() string { return b.last.Load().Step }

// pace is rate, time left and lag.
func (b *moveBar) pace() string {
	text, m := "", b.last.Load()
	if r := m.Rate; r != nil && *r > 0 && m.Step == "prepared" {
		text += fmt.Sprintf("  %.1f MB/s", *r/1e6)
		if left := float64(m.Bytes-m.Copied) / *r; left > 0 {
			text += fmt.Sprintf("  ETA %s", time.Duration(left*float64(time.Second)).Round(time.Second))
		}
	}
	if m.Lag > 0 {
		text += fmt.Sprintf("  lag %d kB", m.Lag/1024)
	}
	return text
}

func (s *bars) end(p progress) error {
	for _, b := range s.bars {
		if !b.bar.Completed() {
			b.bar.Abort(false)
		}
	}
	s.all.Wait()
	return summary(s.w, p)
}
