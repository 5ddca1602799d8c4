// Package standby looks after the PostgreSQL servers of each backend: it knows which of them is the primary and how far
// the others have replayed its log, and lets another one take over when the primary is lost.
package standby

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/lsn"
)

// Sample is what a server said of its log. What it says is not older than Sent.
type Sample struct {
	Sent       time.Time
	Recovering bool
	LSN        lsn.LSN // a primary's: end of the last record; a standby's: replayed so far
}

// Look is what a server says of itself when it is asked.
type Look struct {
	Sample
	Timeline  uint32
	ReadOnly  bool    // a primary that lets nobody write by default
	Received  lsn.LSN // a standby's: what promotion would make it have
	Streaming bool    // a standby's: it receives from its primary
	ConnInfo  string  // a standby's primary_conninfo
	Cluster   string  // cluster_name, a standby's name to its primary unless ConnInfo gives one
	SyncNames string  // synchronous_standby_names
	Version   string
	MoveSlots bool // a standby's: slots of moves are left of when it was the primary
	unflushed bool
}

// Watch asks one server, on a connection of its own: at intervals, and as fast as it answers while somebody waits.
type Watch struct {
	dial     func(ctx context.Context) (*pgx.Conn, error)
	interval time.Duration
	timeout  func() time.Duration // of one question
	note     func(Sample)         // sees every sample; may be nil

	waiting atomic.Int32
	wake    chan struct{}

	mu      sync.Mutex
	last    Sample
	look    Look
	err     error         // of the latest question
	errAt   time.Time     // when a question last failed
	fitAt   time.Time     // Sent of the latest answer of a server that takes writes
	okAt    time.Time     // Sent of the latest answer
	changed chan struct{} // closed and made anew at each answer
}

func newWatch(dial func(context.Context) (*pgx.Conn, error), interval time.Duration, timeout func() time.Duration, note func(Sample)) *Watch {
	return &Watch{dial: dial, interval: interval, timeout: timeout, note: note, wake: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Last is the latest sample; Sent is zero before the first.
func (w *Watch) Last() Sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// Look is the latest full answer, and the error of the latest question.
func (w *Watch) Look() (Look, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.look, w.err
}

// times tells when the server last answered, and last answered as one that takes writes.
func (w *Watch) times() (ok, fit time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.okAt, w.fitAt
}

// Answered tells whether the server answers a question that is put now, and has answered all since t.
func (w *Watch) Answered(ctx context.Context, t time.Time) bool {
	_, err := w.After(ctx, time.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	return err == nil && w.errAt.Before(t)
}

// Await returns the first sample that will do, asking until there is one or ctx ends.
func (w *Watch) Await(ctx context.Context, ok func(Sample) bool) (Sample, error) {
	w.waiting.Add(1)
	defer w.waiting.Add(-1)
	for {
		w.mu.Lock()
		s, changed := w.last, w.changed
		w.mu.Unlock()
		if !s.Sent.IsZero() && ok(s) {
			return s, nil
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// After returns a sample that was asked for at t or later.
func (w *Watch) After(ctx context.Context, t time.Time) (Sample, error) {
	return w.Await(ctx, func(s Sample) bool { return !s.Sent.Before(t) })
}

// Reached waits until a standby has replayed up to l.
func (w *Watch) Reached(ctx context.Context, l lsn.LSN) (Sample, error) {
	return w.Await(ctx, func(s Sample) bool { return s.LSN >= l })
}

// pace is between two questions while somebody waits, and retry after one that was not answered.
const (
	pace  = 500 * time.Microsecond
	retry = 100 * time.Millisecond
)

// run asks until ctx ends.
func (w *Watch) run(ctx context.Context) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			hangUp(conn)
		}
	}()
	var next time.Time
	for ctx.Err() == nil {
		full := !time.Now().Before(next)
		var err error
		if conn, err = w.ask(ctx, conn, full); err != nil {
			w.failed(err)
			next = time.Now().Add(retry)
			w.pause(ctx, retry, false)
			continue
		}
		if full {
			next = time.Now().Add(w.interval)
		}
		w.pause(ctx, time.Until(next), true)
	}
}

// pause waits for the next question's time, or for somebody who waits for an answer.
func (w *Watch) pause(ctx context.Context, d time.Duration, hurry bool) {
	wake := w.wake
	if !hurry {
		wake = nil
	} else if w.waiting.Load() > 0 {
		d = min(d, pace)
		wake = nil
	}
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}

// ask puts one question and publishes the answer. It returns the connection to go on with.
func (w *Watch) ask(ctx context.Context, conn *pgx.Conn, full bool) (*pgx.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, w.timeout())
	defer stop()
	sent := time.Now()
	if conn == nil {
		var err error
		if conn, err = w.dial(ctx); err != nil {
			return nil, err
		}
		full = true
	}
	var l Look
	var err error
	if full {
		l, err = askAll(ctx, conn)
	} else {
		l.Sample, err = askLSN(ctx, conn)
	}
	if err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) && !conn.IsClosed() && ctx.Err() == nil {
			return conn, err // a promotion in the middle of the question, for one
		}
		hangUp(conn)
		return nil, err
	}
	l.Sent = sent
	w.answered(l, full)
	if full && l.unflushed {
		// Nobody waits for the end of the log to be written, so that it may take seconds until a standby can have it.
		if _, err := conn.Exec(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, 'pleiad', '')"); err != nil {
			hangUp(conn)
			return nil, err
		}
	}
	return conn, nil
}

// hangUp closes a connection without a word to its server, which may not answer.
func hangUp(conn *pgx.Conn) { _ = conn.PgConn().Conn().Close() }

func (w *Watch) answered(l Look, full bool) {
	w.mu.Lock()
	w.last, w.err, w.okAt = l.Sample, nil, l.Sent
	if full {
		w.look = l
	}
	if !l.Recovering && !w.look.ReadOnly {
		w.fitAt = l.Sent
	}
	close(w.changed)
	w.changed = make(chan struct{})
	w.mu.Unlock()
	if w.note != nil {
		w.note(l.Sample)
	}
}

func (w *Watch) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err, w.errAt = err, time.Now()
}

const lsnSQL = `SELECT r, CASE WHEN r THEN coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0')
  ELSE pg_catalog.pg_current_wal_insert_lsn() END::text FROM (SELECT pg_catalog.pg_is_in_recovery() AS r OFFSET 0) x`

func askLSN(ctx context.Context, conn *pgx.Conn) (s Sample, err error) {
	var at string
	if err := conn.QueryRow(ctx, lsnSQL).Scan(&s.Recovering, &at); err != nil {
		return s, err
	}
	return s, s.read(at)
}

func (s *Sample) read(at string) (err error) {
	if s.LSN, err = lsn.Parse(at); err == nil && !s.Recovering {
		s.LSN = s.LSN.Settled()
	}
	return err
}

// lookSQL asks for everything. A standby's timeline is that of what it received last, or of what it started from.
const lookSQL = `SELECT r, CASE WHEN r THEN coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0')
    ELSE pg_catalog.pg_current_wal_insert_lsn() END::text,
  CASE WHEN r THEN greatest((SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver), (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()))
    ELSE ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int END,
  NOT r AND pg_catalog.current_setting('default_transaction_read_only')::bool,
  CASE WHEN r THEN greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn(), '0/0')
    ELSE pg_catalog.pg_current_wal_flush_lsn() END::text,
  EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver WHERE status = 'streaming'),
  pg_catalog.current_setting('primary_conninfo'), pg_catalog.current_setting('cluster_name'),
  pg_catalog.current_setting('synchronous_standby_names'), pg_catalog.current_setting('server_version'),
  r AND EXISTS (` + moveSlots + `)
  FROM (SELECT pg_catalog.pg_is_in_recovery() AS r OFFSET 0) x`

func askAll(ctx context.Context, conn *pgx.Conn) (l Look, err error) {
	var at, received string
	err = conn.QueryRow(ctx, lookSQL).Scan(&l.Recovering, &at, &l.Timeline, &l.ReadOnly, &received, &l.Streaming,
		&l.ConnInfo, &l.Cluster, &l.SyncNames, &l.Version, &l.MoveSlots)
	if err != nil {
		return l, err
	}
	if err := l.read(at); err != nil {
		return l, err
	}
	if l.Received, err = lsn.Parse(received); err != nil {
		return l, fmt.Errorf("read the received position: %w", err)
	}
	if !l.Recovering {
		l.unflushed = l.Received < l.LSN
		l.Received = l.LSN
	}
	return l, nil
}
