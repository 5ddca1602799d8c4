package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// What a failover of a server takes away, and what it must not. The stream of a move is bound to two servers: the source's
// slot is not on its standbys, and the target's standbys may lack what the source was told to forget. So the move starts
// over when either's timeline is another one. The switch, and with it the copy, is on the standbys before it is
// decided: what follows it deletes the only other copy of the rows.

// timelineSQL is the timeline that a primary writes.
const timelineSQL = "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int"

func (m *move) timelineOf(ctx context.Context, backend string) (timeline int, err error) {
	err = m.on(ctx, backend, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT "+timelineSQL).Scan(&timeline)
	})
	if err != nil {
		return 0, fmt.Errorf("read timeline of %q: %w", backend, err)
	}
	return timeline, nil
}

// sameServers tells by errStartOver that another server is the primary of source or target since the move's stream began.
func (m *move) sameServers(ctx context.Context) error {
	var source, target, now int
	err := m.on(ctx, m.target, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, "SELECT source_timeline, target_timeline, "+timelineSQL+" FROM pleiad.incoming WHERE (move, nsp, rel) = ($1, '', '')",
			m.id).Scan(&source, &target, &now)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("%w: %q has lost where it began", errStartOver, m.target)
		}
		return err
	})
	if err != nil {
		return err
	}
	if target != now {
		return fmt.Errorf("%w: %q has failed over", errStartOver, m.target)
	}
	if now, err = m.timelineOf(ctx, m.source); err == nil && source != now {
		err = fmt.Errorf("%w: %q has failed over", errStartOver, m.source)
	}
	return err
}

// errStandbys: a failover now would lose what the move has written.
var errStandbys = errors.New("standbys are behind")

// durablePoll is between two looks at what standbys have.
const durablePoll = 2 * time.Millisecond

// durable waits until a failover of the connection's server cannot lose what it has flushed to its log so far. A takeover asks
// more than half of the standbys and takes the one with the most log, so that as many must have it as leave no such
// half without.
func (m *move) durable(ctx context.Context, backend string, conn *pgx.Conn, limit time.Duration) error {
	var end string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&end); err != nil {
		return err
	}
	for deadline := time.Now().Add(limit); ; {
		var all, have int
		err := conn.QueryRow(ctx, `SELECT count(*)::int, count(*) FILTER (WHERE flush_lsn >= $1::text::pg_lsn)::int
			FROM pg_stat_replication r WHERE state IN ('streaming', 'catchup')
			AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')`, end).Scan(&all, &have)
		if err != nil {
			return err
		}
		all = max(all, m.cluster.Standbys(backend))
		if have >= (all+1)/2 {
			return nil
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("%w: %d of %d of %q have %s", errStandbys, have, all, backend, end)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(durablePoll):
		}
	}
}

// durable waits for the standbys of the servers that take part in the switch.
func (s *switching) durable(ctx context.Context, limit time.Duration, conns ...*pgx.Conn) error {
	errs := make([]error, len(conns))
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() { errs[i] = s.move.durable(ctx, s.nameOf(c), c, limit) })
	}
	all.Wait()
	err := errors.Join(errs...)
	if errors.Is(err, errStandbys) {
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	return err
}

func (s *switching) nameOf(c *pgx.Conn) string {
	switch c {
	case s.home:
		return s.move.home
	case s.source:
		return s.move.source
	}
	return s.move.target
}

// errReplaced: a connection is to a server that is not its backend's primary any more.
var errReplaced = fmt.Errorf("%w: another server has become the primary", errAway)

// generations are those of the backends that a move uses.
type generations map[string]uint64

func (m *move) generations() generations {
	g := generations{}
	for _, b := range []string{m.home, m.source, m.target} {
		g[b] = m.cluster.Generation(b)
	}
	return g
}

// replaced tells whether one of the backends has another primary since.
func (m *move) replaced(since generations) error {
	for b, g := range since {
		if m.cluster.Generation(b) != g {
			return fmt.Errorf("%w: backend %q", errReplaced, b)
		}
	}
	return nil
}

// standbyPatience is how long a switch waits for standbys before it holds anybody.
const standbyPatience = time.Second

// decisionPatience is how long statements are held at most because a decision is on home and not on its standbys. By then a
// home that is lost has been replaced, which is noticed.
const decisionPatience = 10 * time.Second

// decided tells whether the decision that home has committed stands. If home has been replaced meanwhile, nobody can say from
// here.
func (s *switching) decided(ctx context.Context) (known bool, err error) {
	for deadline := time.Now().Add(decisionPatience); ; {
		err := s.move.durable(ctx, s.move.home, s.home, s.settings.MaxHold)
		if lost := s.replaced(s.generations); lost != nil {
			return false, lost
		}
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, errStandbys) {
			return false, err
		}
		if time.Now().After(deadline) {
			s.log.Warn("switch_not_on_standbys", "database", s.database, "move", s.id, "error", err)
			return true, nil
		}
	}
}
