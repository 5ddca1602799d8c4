package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/failpoint"
	"github.com/pleiad/pleiad/internal/replication"
)

// following is a move whose target follows its source.
type following struct {
	*move
	sub     *replication.Subscription
	control *pgx.Conn // to the source: marks
	marks   int
	died    chan struct{} // closed when the subscription has ended
	err     error         // why; set before died closes
}

// follow catches up with the source, compares, and switches as soon as nobody is in the way.
func (m *move) follow(ctx context.Context) error {
	if err := m.learnTables(ctx); err != nil {
		return err
	}
	sub, err := m.subscription(ctx)
	if err != nil {
		return err
	}
	defer closing(sub.Source)
	defer closing(sub.Target)
	return m.on(ctx, m.source, func(control *pgx.Conn) error {
		f := &following{move: m, sub: sub, control: control, died: make(chan struct{})}
		run, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() {
			f.err = sub.Run(run)
			close(f.died)
		})
		err := f.toTheSwitch(ctx)
		stop()
		running.Wait()
		if err != nil && f.err != nil && !errors.Is(f.err, context.Canceled) {
			return f.err // what broke the stream says more than what waited for it
		}
		return err
	})
}

// subscription reads how far the target is, and connects both ends.
func (m *move) subscription(ctx context.Context) (sub *replication.Subscription, err error) {
	if err := m.sameServers(ctx); err != nil {
		return nil, err
	}
	sub = &replication.Subscription{Move: m.id, Slot: m.slot(), Publication: m.slot(), Tables: map[replication.Table]replication.Follow{}}
	owners := map[replication.Table]string{}
	for _, t := range m.tables {
		owners[t.Part] = t.Owner
	}
	err = m.on(ctx, m.target, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT nsp::text, rel::text, lsn::text FROM pleiad.incoming WHERE move = $1", m.id)
		if err != nil {
			return err
		}
		var t replication.Table
		var at string
		_, err = pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &at}, func() error {
			p, err := replication.ParsePosition(at)
			switch {
			case err != nil:
				return err
			case t.Name == "":
				sub.From = p
			case owners[t] == "":
				return fmt.Errorf("%w: %s is not in the group any more", errStartOver, t.SQL())
			default:
				sub.Tables[t] = replication.Follow{Owner: owners[t], Since: p}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if sub.From == 0 || len(sub.Tables) != len(owners) {
			return fmt.Errorf("%w: the group has other tables now", errStartOver)
		}
		return m.keyOperators(ctx, conn, sub)
	})
	if err != nil {
		return nil, err
	}
	if sub.Source, err = connectReplication(ctx, m.cluster, m.source, m.database); err != nil {
		return nil, err
	}
	target, err := connect(ctx, m.cluster, m.target, m.database)
	if err != nil {
		closing(sub.Source)
		return nil, err
	}
	sub.Target = target.PgConn()
	return sub, nil
}

func (m *move) keyOperators(ctx context.Context, conn *pgx.Conn, sub *replication.Subscription) error {
	for t, f := range sub.Tables {
		rows, err := conn.Query(ctx, "SELECT name::text, operator FROM pleiad.key_operators($1::text::regclass)", t.SQL())
		if err != nil {
			return err
		}
		f.Equal = map[string]string{}
		var name, operator string
		if _, err := pgx.ForEachRow(rows, []any{&name, &operator}, func() error {
			f.Equal[name] = operator
			return nil
		}); err != nil {
			return err
		}
		sub.Tables[t] = f
	}
	return nil
}

// reach writes a mark on the source and waits until the target has everything that committed before it. The subscription
// stands still there until resume is called.
func (f *following) reach(ctx context.Context) (resume func(), err error) {
	f.marks++
	content := f.slot() + " " + strconv.Itoa(f.marks) + " " + strconv.FormatInt(time.Now().UnixNano(), 36)
	mark := f.sub.Expect(content)
	// Its commit is durable, and so is what committed before it: the stream shows nothing else.
	_, err = f.control.Exec(ctx, "SELECT pg_logical_emit_message(true, $1, $2::text)", replication.MarkPrefix, content)
	if err != nil {
		mark.Resume()
		return nil, fmt.Errorf("write mark: %w", err)
	}
	select {
	case <-mark.Reached():
		return mark.Resume, nil
	case <-f.died:
		mark.Resume()
		return nil, f.err
	case <-ctx.Done():
		mark.Resume()
		return nil, ctx.Err()
	}
}

// near is how fast a mark must come through before the switch is tried.
const near = 100 * time.Millisecond

// toTheSwitch goes from the beginning of the stream to the switch.
func (f *following) toTheSwitch(ctx context.Context) error {
	compared := false
	for wait := 100 * time.Millisecond; ; wait = min(wait*3/2, 2*time.Second) {
		took, err := f.catchUp(ctx)
		if err != nil {
			return err
		}
		if took < near || compared {
			if !compared {
				err = f.compare(ctx)
				compared = err == nil
			} else {
				err = f.switchOver(ctx)
			}
			switch {
			case err == nil && f.step == Switched:
				return nil
			case err == nil:
				continue
			case !errors.Is(err, errBusy):
				return err
			}
			f.sayBusy(ctx, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.died:
			return f.err
		case <-time.After(wait):
		}
	}
}

func (f *following) sayBusy(ctx context.Context, why error) {
	f.log.Debug("move_waits", "database", f.database, "move", f.id, "error", why)
	_ = f.onHome(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "UPDATE pleiad.move SET detail = $2, changed = now() WHERE id = $1", f.id, why.Error())
		return err
	})
}

func (f *following) catchUp(ctx context.Context) (took time.Duration, err error) {
	began := time.Now()
	resume, err := f.reach(ctx)
	if err != nil {
		return 0, err
	}
	resume()
	return time.Since(began), nil
}

func (f *following) compare(ctx context.Context) error {
	if err := f.compareTables(ctx); err != nil {
		return err
	}
	failpoint.Hit("move-compared")
	return f.advance(ctx, Following, "")
}

// compareTables takes snapshots of both sides at one position, which keeps writers away from the shard for as long as the
// target needs to come there, and compares row counts and an order-free hash of all rows.
func (f *following) compareTables(ctx context.Context) error {
	source, err := connect(ctx, f.cluster, f.source, f.database)
	if err != nil {
		return err
	}
	defer closing(source)
	target, err := connect(ctx, f.cluster, f.target, f.database)
	if err != nil {
		return err
	}
	defer closing(target)
	if err := f.snapshots(ctx, source, target); err != nil {
		return err
	}
	for _, t := range f.tables {
		var here, there digest
		var errHere, errThere error
		var both sync.WaitGroup
		both.Go(func() { here, errHere = f.digest(ctx, source, t) })
		both.Go(func() { there, errThere = f.digest(ctx, target, t) })
		both.Wait()
		if err := errors.Join(errHere, errThere); err != nil {
			return fmt.Errorf("compare %s: %w", t.Part.SQL(), err)
		}
		if here != there {
			return fmt.Errorf("%w: %s has %d rows with hash %s on %q, %d with hash %s on %q", errDiffer, t.Part.SQL(),
				here.rows, here.hash, f.source, there.rows, there.hash, f.target)
		}
	}
	return nil
}

func (f *following) snapshots(ctx context.Context, source, target *pgx.Conn) error {
	return f.on(ctx, f.source, func(lock *pgx.Conn) error {
		f.clearVacuum(ctx, lock)
		tx, err := lock.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", lockPatience.String()); err != nil {
			return err
		}
		for _, t := range f.tables {
			if _, err := tx.Exec(ctx, "LOCK TABLE ONLY "+t.Part.SQL()+" IN SHARE MODE"); err != nil {
				if lockTimedOut(err) {
					return fmt.Errorf("%w: %s cannot be locked to be compared", errBusy, t.Part.SQL())
				}
				return err
			}
		}
		const begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_current_snapshot()"
		if _, err := source.PgConn().Exec(ctx, begin).ReadAll(); err != nil {
			return err
		}
		resume, err := f.reach(ctx)
		if err != nil {
			return err
		}
		defer resume()
		_, err = target.PgConn().Exec(ctx, begin).ReadAll()
		return err
	})
}

type digest struct {
	rows int64
	hash string
}

// digest is the number of a partition's rows and the sum of their hashes: of documents and integers by their own hash
// functions, of everything else by its text.
func (m *move) digest(ctx context.Context, conn *pgx.Conn, t shardTable) (d digest, err error) {
	var sql string
	err = conn.QueryRow(ctx, `SELECT 'SELECT count(*), coalesce(sum(hash_record_extended(ROW(' || string_agg(format(
			CASE WHEN atttypid = 'jsonb'::regtype THEN 'jsonb_hash_extended(%1$I, 0)'
				WHEN atttypid IN (20, 21, 23) THEN 'hashint8extended(%1$I::int8, 0)'
				ELSE 'hashtextextended(%1$I::text COLLATE "C", 0)' END, attname), ', ' ORDER BY attname COLLATE "C")
		|| '), 1)::numeric), 0)::text FROM ONLY ' || $1::text
		FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped`, t.Part.SQL()).Scan(&sql)
	if err != nil {
		return d, err
	}
	err = conn.QueryRow(ctx, sql).Scan(&d.rows, &d.hash)
	return d, err
}

// clearVacuum ends autovacuum's work on the shard: it would hold up a lock for longer than clients may be held.
func (m *move) clearVacuum(ctx context.Context, conn *pgx.Conn) {
	for _, t := range m.tables {
		// What cannot be ended shows as a lock that is not got.
		_, _ = conn.Exec(ctx, `SELECT pg_cancel_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
			WHERE a.backend_type = 'autovacuum worker' AND l.relation = to_regclass($1)
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, t.Part.SQL())
	}
}
