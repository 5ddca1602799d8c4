package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/replication"
)

// Step is how far a move has come; catalog table pleiad.move says what each means.
type Step string

// The steps, in their order, and the ends.
const (
	Planned   Step = "planned"
	Prepared  Step = "prepared"
	Copied    Step = "copied"
	Indexed   Step = "indexed"
	Following Step = "following"
	Switched  Step = "switched"
	Done      Step = "done"
	Proposed  Step = "proposed"
	Cancelled Step = "cancelled"
	Failed    Step = "failed"
)

// legal are the moves from one step to another. What has been switched can only be finished.
var legal = map[Step][]Step{
	Planned:   {Prepared, Cancelled, Failed, Planned},
	Prepared:  {Copied, Planned, Cancelled, Failed},
	Copied:    {Indexed, Planned, Cancelled, Failed},
	Indexed:   {Following, Planned, Cancelled, Failed},
	Following: {Following, Switched, Planned, Cancelled, Failed},
	Switched:  {Done},
}

func (s Step) ended() bool { return s == Done || s == Proposed || s == Cancelled || s == Failed }

// move is one shard on its way. One goroutine runs it.
type move struct {
	turn     func(context.Context) (done func(), err error) // to switch, one at a time
	cluster  Cluster
	settings Settings
	log      *slog.Logger
	database string
	rate     *limiter
	// alive ends with the process: a switch that is decided is carried out also when its job is cancelled.
	alive context.Context

	id, job              int64
	group, shard         int
	modulus              int
	sourceID, targetID   int
	homeID               int
	source, target, home string // backends' names
	step                 Step
	gid, shape           string
	attempts             int
	away                 int // attempts in a row that found a server away

	tables []shardTable
	copied atomic.Int64

	mu   sync.Mutex
	free map[string][]pooled // connections to use again, by backend
}

// shardTable is one table of the group, and its partition that moves.
type shardTable struct {
	Parent, Part replication.Table
	Owner        string
}

// Errors that decide what becomes of a move.
var (
	// errStartOver: what is on the target is of no use any more.
	errStartOver = errors.New("the move starts over")
	// errDiffer: the copy is not like the source.
	errDiffer = errors.New("the contents of source and target differ")
	// errTooMuchWAL: the source keeps too much for the move.
	errTooMuchWAL = errors.New("the source keeps more WAL for the move than rebalancer.max_slot_wal")
	// errNoPart: the target has been removed. What is moved there would be thrown away when it is added again.
	errNoPart = errors.New("the backend takes no part")
	// errBusy: something is in the way that ends by itself; try again later.
	errBusy = errors.New("the switch waits")
)

// errAway: a server cannot be reached.
var errAway = errors.New("no connection")

// away tells whether an error is of a server that cannot be reached or of a connection that has broken: the work may go on where
// it was.
func away(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Severity == "FATAL" || pg.Severity == "PANIC" || strings.HasPrefix(pg.Code, "57P")
	}
	var broken net.Error
	return errors.Is(err, errAway) || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// maxAway bounds how often a move is tried again while a server is away: a restart or a failover takes its time, and what was
// copied may be good still. With the waits between, and those of connecting, it is two minutes at least.
const maxAway = 40

// maxAttempts bounds how often a move is tried again after an error, from the last step or from the start.
const maxAttempts = 8

// slot is the name of its slot and its publication. Ids below 0 are of joins. Slots are a whole server's, and moves of its
// other databases have the same numbers.
func (m *move) slot() string {
	kind, id := "move", m.id
	if id < 0 {
		kind, id = "join", -id
	}
	return fmt.Sprintf("pleiad_%s_%d_%08x", kind, id, crc32.ChecksumIEEE([]byte(m.database)))
}

// run carries the move to its end. It returns nil for one that is done, and what is in the way otherwise; then nothing is
// left of it, unless ctx has ended: a later run goes on from its last step.
func (m *move) run(ctx context.Context) error {
	disarm, err := m.cluster.Arm(m.database)
	if err != nil {
		return err
	}
	defer disarm()
	defer m.hangUp()
	for {
		err := m.next(ctx)
		if !away(err) {
			m.away = 0
		}
		switch {
		case err == nil && m.step == Done:
			return nil
		case err == nil:
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case m.step == Switched:
			// It is the target's shard now, and the rest is sure to be possible some time.
			m.say(ctx, err)
		case errors.Is(err, errDiffer), errors.Is(err, errTooMuchWAL), errors.Is(err, errCircle), errors.Is(err, errNoPart), m.attempts >= maxAttempts, m.away >= maxAway:
			return m.giveUp(ctx, Failed, err)
		case away(err):
			m.away++
			m.say(ctx, err)
			if err := m.tooMuchKept(ctx); err != nil {
				return m.giveUp(ctx, Failed, err)
			}
		case errors.Is(err, errStartOver), errors.Is(err, replication.ErrNoSlot), errors.Is(err, replication.ErrDiverged), m.reshaped(ctx):
			m.attempts++
			m.say(ctx, err)
			if err := m.advance(ctx, Planned, err.Error()); err != nil {
				m.say(ctx, err)
			}
		default:
			m.attempts++
			m.say(ctx, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Duration(m.attempts+m.away+1)*200*time.Millisecond, 3*time.Second)):
		}
		if m.step != Switched {
			if _, err := m.reread(ctx); err != nil {
				m.say(ctx, err)
			}
		}
	}
}

// reshaped tells whether tables of the group have been changed since the target's were made: what failed may have failed
// for that.
func (m *move) reshaped(ctx context.Context) bool {
	if m.step == Planned {
		return false
	}
	changed := false
	err := m.learnTables(ctx)
	if err == nil {
		err = m.on(ctx, m.source, func(conn *pgx.Conn) error {
			shape, err := m.sourceShape(ctx, conn)
			changed = err == nil && shape != m.shape
			return err
		})
	}
	return err == nil && changed
}

// next does the work of one step.
func (m *move) next(ctx context.Context) error {
	switch m.step {
	case Planned:
		return m.prepare(ctx)
	case Prepared:
		return m.watching(ctx, m.copyAll)
	case Copied:
		return m.watching(ctx, m.index)
	case Indexed, Following:
		return m.watching(ctx, m.follow)
	case Switched:
		return m.finish(ctx)
	}
	return fmt.Errorf("bug: a move with step %q is run", m.step)
}

func (m *move) say(ctx context.Context, err error) {
	m.log.Warn("move_delayed", "database", m.database, "move", m.id, "step", string(m.step), "attempts", m.attempts, "error", err)
	_ = m.onHome(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "UPDATE pleiad.move SET detail = $2, attempts = $3, changed = now() WHERE id = $1",
			m.id, err.Error(), m.attempts)
		return err
	})
}

// reread looks whether a switch whose outcome was not known is decided.
func (m *move) reread(ctx context.Context) (changed bool, err error) {
	err = m.onHome(ctx, func(conn *pgx.Conn) error {
		var step Step
		if err := conn.QueryRow(ctx, "SELECT step, gid FROM pleiad.move WHERE id = $1", m.id).Scan(&step, &m.gid); err != nil {
			return err
		}
		changed = step != m.step
		m.step = step
		return nil
	})
	return changed, err
}

// advance writes a step. The row must still have the step that this run knows of.
func (m *move) advance(ctx context.Context, to Step, detail string) error {
	ok := false
	for _, s := range legal[m.step] {
		ok = ok || s == to
	}
	if !ok {
		return fmt.Errorf("bug: a move goes from %s to %s", m.step, to)
	}
	err := m.onHome(ctx, func(conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, `UPDATE pleiad.move SET step = $3, detail = $4, shape = $5, attempts = $6, copied = $7,
			changed = now(), started = coalesce(started, now()), finished = CASE WHEN $8 THEN now() END
			WHERE id = $1 AND step = $2`,
			m.id, m.step, to, detail, m.shape, m.attempts, m.copied.Load(), to.ended())
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("move %d is not at step %s any more", m.id, m.step)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write step %s: %w", to, err)
	}
	m.log.Info("move_step", "database", m.database, "move", m.id, "group", m.group, "shard", m.shard,
		"source", m.source, "target", m.target, "step", string(to))
	m.step = to
	return nil
}

func (m *move) onHome(ctx context.Context, f func(*pgx.Conn) error) error {
	return m.on(ctx, m.home, f)
}

// pooled is a connection to the primary of a backend's generation.
type pooled struct {
	*pgx.Conn
	generation uint64
}

// on runs f with a connection to a backend that nobody else uses meanwhile.
func (m *move) on(ctx context.Context, backend string, f func(*pgx.Conn) error) error {
	conn, err := m.take(ctx, backend)
	if err != nil {
		return err
	}
	if err := f(conn.Conn); err != nil {
		closing(conn) // with whatever state is left in it
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.free == nil {
		m.free = map[string][]pooled{}
	}
	m.free[backend] = append(m.free[backend], conn)
	return nil
}

func (m *move) take(ctx context.Context, backend string) (pooled, error) {
	generation := m.cluster.Generation(backend)
	for {
		m.mu.Lock()
		list := m.free[backend]
		n := len(list) - 1
		if n < 0 {
			m.mu.Unlock()
			break
		}
		c := list[n] // before the place is another's
		m.free[backend] = list[:n]
		m.mu.Unlock()
		if c.generation == generation && c.Ping(ctx) == nil && c.PgConn().TxStatus() == 'I' {
			return c, nil
		}
		closing(c)
	}
	conn, err := connect(ctx, m.cluster, backend, m.database)
	return pooled{conn, generation}, err
}

// hangUp closes the connections that nobody uses.
func (m *move) hangUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, list := range m.free {
		for _, conn := range list {
			closing(conn)
		}
	}
	m.free = nil
}

// watching runs a step while another goroutine watches what the source keeps for it, and shows progress.
func (m *move) watching(ctx context.Context, step func(context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		m.watch(ctx, stop)
	}()
	err := step(ctx)
	cause := context.Cause(ctx)
	stop(nil)
	<-watched
	if err != nil && (errors.Is(cause, errTooMuchWAL) || errors.Is(cause, errReplaced)) {
		return cause
	}
	return err
}

// watchInterval is between two looks at a move's slot.
const watchInterval = 500 * time.Millisecond

func (m *move) watch(ctx context.Context, stop context.CancelCauseFunc) {
	t := time.NewTicker(watchInterval)
	defer t.Stop()
	since := m.generations()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		// What was connected to before may answer still, and it is no use.
		if err := m.replaced(since); err != nil {
			stop(err)
			return
		}
		kept, behind, err := m.slotWAL(ctx)
		if err != nil {
			continue // the step itself will meet it
		}
		_ = m.onHome(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "UPDATE pleiad.move SET copied = $2, lag = $3, changed = now() WHERE id = $1",
				m.id, m.copied.Load(), behind)
			return err
		})
		if err := m.overWAL(kept); err != nil {
			stop(err)
			return
		}
	}
}

func (m *move) slotWAL(ctx context.Context) (kept, behind int64, err error) {
	err = m.on(ctx, m.source, func(conn *pgx.Conn) (err error) {
		kept, behind, err = replication.SlotWAL(ctx, conn, m.slot())
		return err
	})
	return kept, behind, err
}

func (m *move) overWAL(kept int64) error {
	if limit := m.settings.MaxSlotWAL; limit > 0 && kept > limit {
		return fmt.Errorf("%w: %d bytes", errTooMuchWAL, kept)
	}
	return nil
}

// tooMuchKept looks at the slot while no step runs.
func (m *move) tooMuchKept(ctx context.Context) error {
	kept, _, err := m.slotWAL(ctx)
	if err != nil {
		return nil // there is none, or its server is away and keeps nothing
	}
	return m.overWAL(kept)
}

// giveUp undoes what is there and ends the move. It returns why.
func (m *move) giveUp(ctx context.Context, end Step, why error) error {
	defer m.hangUp()
	for {
		err := m.undo(ctx)
		if err == nil {
			break
		}
		m.say(ctx, fmt.Errorf("undo: %w", err))
		select {
		case <-ctx.Done():
			return errors.Join(why, ctx.Err())
		case <-time.After(time.Second):
		}
	}
	if err := m.advance(ctx, end, why.Error()); err != nil {
		return errors.Join(why, err)
	}
	return why
}
