package rebalancer

import (
	"bytes"
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

// joining is a backend that gets what every backend has: roles, schema objects, reference tables with their rows. Until
// its last step no statement uses it, and whatever breaks off is done again from the start.
type joining struct {
	*move // of the reference tables, from home
	j     *job
}

// addBackend makes a backend take part.
func (j *job) addBackend() error {
	ctx := j.ctx
	n := &joining{j: j, move: &move{
		turn: j.turn, cluster: j.r.cluster, settings: j.settings, log: j.log, database: j.database, rate: &limiter{perSecond: j.settings.MaxRate},
		alive: j.r.alive, id: -j.ID, job: j.ID, step: Following, target: j.options.Backend,
	}}
	defer n.hangUp()
	var state string
	var shards int
	err := j.onHome(ctx, func(home *pgx.Conn) error {
		if _, err := home.Exec(ctx, "UPDATE pleiad.job SET state = 'running', started = now() WHERE id = $1 AND state = 'queued'", j.ID); err != nil {
			return err
		}
		if err := home.QueryRow(ctx, "SELECT id, name FROM pleiad.backend WHERE home").Scan(&n.homeID, &n.home); err != nil {
			return err
		}
		n.source, n.sourceID = n.home, n.homeID
		return home.QueryRow(ctx, `SELECT id, state, (SELECT count(*)::int FROM pleiad.placement p WHERE p.backend = b.id)
			FROM pleiad.backend b WHERE name = $1`, n.target).Scan(&n.targetID, &state, &shards)
	})
	if err != nil {
		return fmt.Errorf("read backends: %w", err)
	}
	switch state {
	case "active":
		return errors.Join(n.clean(ctx), n.forgetPosition(ctx)) // a run before this one came to the end
	case "drained":
		return n.activate(ctx)
	}
	if shards > 0 {
		return fmt.Errorf("%d shards are on backend %q, and would be thrown away", shards, n.target)
	}
	for {
		err := n.attempt(ctx)
		if err == nil || ctx.Err() != nil || !errors.Is(err, errStartOver) || n.attempts >= maxAttempts {
			clean, stop := context.WithTimeout(context.WithoutCancel(ctx), carryLimit)
			defer stop()
			if err == nil {
				err = n.forgetPosition(clean)
			}
			return errors.Join(err, n.cleanAtLast(clean))
		}
		n.attempts++
		j.log.Warn("join_starts_over", "database", j.database, "backend", n.target, "error", err)
	}
}

func (n *joining) attempt(ctx context.Context) error {
	if err := n.clean(ctx); err != nil {
		return err
	}
	if err := n.createDatabase(ctx); err != nil {
		return err
	}
	failpoint.Hit("join-database")
	joiner, ok := n.cluster.(Joiner)
	if !ok {
		return errors.New("this proxy cannot install the catalog")
	}
	if err := joiner.Install(ctx, n.target, n.database); err != nil {
		return err
	}
	if err := n.createObjects(ctx); err != nil {
		return err
	}
	failpoint.Hit("join-objects")
	if err := n.learnTables(ctx); err != nil {
		return err
	}
	if len(n.tables) == 0 {
		return n.enter(ctx, nil)
	}
	disarm, err := n.cluster.Arm(n.database)
	if err != nil {
		return err
	}
	defer disarm()
	return n.bringReferences(ctx)
}

// learnReferences reads which reference tables there are.
func (m *move) learnReferences(ctx context.Context) error {
	err := m.onHome(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT n.nspname::text, c.relname::text,
			CASE WHEN c.relforcerowsecurity THEN current_user ELSE pg_get_userbyid(c.relowner) END::text
			FROM pleiad.reference r JOIN pg_class c ON c.oid = r.relid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2`)
		if err != nil {
			return err
		}
		var t shardTable
		_, err = pgx.ForEachRow(rows, []any{&t.Parent.Schema, &t.Parent.Name, &t.Owner}, func() error {
			t.Part = t.Parent
			m.tables = append(m.tables, t)
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("read reference tables: %w", err)
	}
	return nil
}

// bringReferences copies the reference tables and follows home's until the backend takes part.
func (n *joining) bringReferences(ctx context.Context) error {
	err := n.onHome(ctx, func(conn *pgx.Conn) error {
		list := make([]replication.Table, len(n.tables))
		for i, t := range n.tables {
			list[i] = t.Part
		}
		return patiently(ctx, conn, func() error { return replication.Publish(ctx, conn, n.slot(), list) })
	})
	if err != nil {
		return err
	}
	if err := n.beginStream(ctx); err != nil {
		return err
	}
	for _, t := range n.tables {
		if err := n.copyTable(ctx, t); err != nil {
			return fmt.Errorf("copy %s: %w", t.Part.SQL(), err)
		}
	}
	failpoint.Hit("join-copied")
	sub, err := n.subscription(ctx)
	if err != nil {
		return err
	}
	defer closing(sub.Source)
	defer closing(sub.Target)
	// Triggers and foreign keys have done their work on home.
	if _, err := sub.Target.Exec(ctx, "SET session_replication_role = replica").ReadAll(); err != nil {
		return err
	}
	return n.onHome(ctx, func(control *pgx.Conn) error {
		f := &following{move: n.move, sub: sub, control: control, died: make(chan struct{})}
		run, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() {
			f.err = sub.Run(run)
			close(f.died)
		})
		err := n.untilEntered(ctx, f)
		stop()
		running.Wait()
		if err != nil && f.err != nil && !errors.Is(f.err, context.Canceled) {
			return f.err
		}
		return err
	})
}

func (n *joining) untilEntered(ctx context.Context, f *following) error {
	compared := false
	for wait := 100 * time.Millisecond; ; wait = min(wait*3/2, 2*time.Second) {
		if _, err := f.catchUp(ctx); err != nil {
			return err
		}
		var err error
		if !compared {
			err = f.compareTables(ctx)
			compared = err == nil
		} else if err = n.enter(ctx, f); err == nil {
			return nil
		}
		if err != nil && !errors.Is(err, errBusy) {
			return err
		}
		if err != nil {
			pause(ctx, wait)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// enter is the moment in which the backend begins to take part: nobody writes to a reference table, home's rows and
// its own are the same, and the schema is as it was when its objects were made.
func (n *joining) enter(ctx context.Context, f *following) error {
	done, err := n.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	home, err := connect(ctx, n.cluster, n.home, n.database)
	if err != nil {
		return err
	}
	defer closing(home)
	var epoch uint64
	if err := run(ctx, home, "BEGIN", "SET LOCAL lock_timeout = '"+ddlPatience+"'"); err != nil {
		return err
	}
	if err := home.QueryRow(ctx, "SELECT pleiad.begin_ddl() + 1").Scan(&epoch); err != nil {
		if lockTimedOut(err) {
			return fmt.Errorf("%w: a schema change is under way", errBusy)
		}
		return err
	}
	if err := alone(ctx, home); err != nil {
		return err
	}
	shape, err := schemaShape(ctx, home)
	if err != nil {
		return err
	}
	if shape != n.shape {
		return fmt.Errorf("%w: the schema has been changed", errStartOver)
	}
	open := func() {}
	if f != nil {
		var drain func(context.Context) error
		if drain, open, err = n.cluster.Hold(n.database, -1, []int{-1}); err != nil {
			return err
		}
		if err := n.meet(ctx, f, home, drain); err != nil {
			closing(home)
			open()
			return err
		}
	}
	_, err = home.Exec(ctx, "UPDATE pleiad.backend SET state = 'active' WHERE id = $1", n.targetID)
	if err == nil {
		err = run(ctx, home, "COMMIT")
	}
	if err != nil {
		// Whether it has come to be is seen from the catalog: this proxy reads it before it lets anybody in.
		err = errors.Join(err, n.refreshed(epoch))
		open()
		return err
	}
	err = n.refreshed(epoch)
	open()
	n.log.Info("backend_joined", "database", n.database, "backend", n.target)
	return err
}

// refreshed makes the proxy read the schema, for as long as that takes.
func (n *joining) refreshed(epoch uint64) error {
	ctx, stop := outlive(n.alive)
	defer stop()
	for {
		err := n.cluster.Switched(ctx, n.database, -1, 0, 0, epoch)
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// meet brings the copies to the same state while statements are held.
func (n *joining) meet(ctx context.Context, f *following, home *pgx.Conn, drain func(context.Context) error) error {
	limited, stop := context.WithTimeout(ctx, n.settings.MaxHold)
	defer stop()
	if err := drain(limited); err != nil {
		return fmt.Errorf("%w: transactions are open that began before it was tried", errBusy)
	}
	statements := []string{"SET LOCAL lock_timeout = '" + lockPatience.String() + "'"}
	for _, t := range n.tables {
		statements = append(statements, "LOCK TABLE "+t.Part.SQL()+" IN SHARE MODE")
	}
	if err := run(ctx, home, statements...); err != nil {
		if lockTimedOut(err) {
			return fmt.Errorf("%w: %w", errBusy, err)
		}
		return err
	}
	resume, err := f.reach(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: the new backend is too far behind", errBusy)
	}
	if err == nil {
		resume()
	}
	return err
}

// activate lets a drained backend take shards again.
func (n *joining) activate(ctx context.Context) error {
	return n.setState(ctx, "active", func(pgx.Tx) error { return nil })
}

// setState writes the backend's state, if check finds nothing against it while no schema changes and no shard is switched.
func (n *joining) setState(ctx context.Context, state string, check func(pgx.Tx) error) error {
	var epoch uint64
	err := n.onHome(ctx, func(home *pgx.Conn) error {
		return pgx.BeginFunc(ctx, home, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, "SELECT pleiad.begin_ddl() + 1").Scan(&epoch); err != nil {
				return err
			}
			if err := alone(ctx, home); err != nil {
				return err
			}
			if err := check(tx); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "UPDATE pleiad.backend SET state = $2 WHERE id = $1", n.targetID, state)
			return err
		})
	})
	if err != nil {
		return err
	}
	return n.refreshed(epoch)
}

// clean removes what an attempt leaves on home. What is on the backend is thrown away by the next one.
func (n *joining) clean(ctx context.Context) error {
	return n.onHome(ctx, func(conn *pgx.Conn) error {
		if err := replication.DropSlot(ctx, conn, n.slot()); err != nil {
			return err
		}
		return patiently(ctx, conn, func() error { return replication.Unpublish(ctx, conn, n.slot()) })
	})
}

// cleanAtLast cleans as soon as home lets it.
func (n *joining) cleanAtLast(ctx context.Context) error {
	for {
		err := n.clean(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, time.Second)
	}
}

func (n *joining) forgetPosition(ctx context.Context) error {
	return n.on(ctx, n.target, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "DELETE FROM pleiad.incoming WHERE move = $1", n.id)
		return err
	})
}

// schemaShape is what must not change between making a backend's objects and its joining.
func schemaShape(ctx context.Context, home *pgx.Conn) (shape string, err error) {
	err = home.QueryRow(ctx, "SELECT md5((pleiad.snapshot()::jsonb - 'epoch' - 'groups' - 'backends')::text)").Scan(&shape)
	if err != nil {
		return "", fmt.Errorf("read the schema: %w", err)
	}
	return shape, nil
}

// createObjects makes all that the schema has. The lock keeps it as it is meanwhile.
func (n *joining) createObjects(ctx context.Context) error {
	return n.onHome(ctx, func(home *pgx.Conn) error {
		if err := run(ctx, home, "BEGIN", "SELECT pleiad.lock_ddl()"); err != nil {
			return err
		}
		var err error
		if n.shape, err = schemaShape(ctx, home); err != nil {
			return err
		}
		// Any backend but home has what the new one needs and nothing else.
		from := n.home
		err = home.QueryRow(ctx, "SELECT name FROM pleiad.backend WHERE NOT home AND state <> 'absent' ORDER BY id LIMIT 1").Scan(&from)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var local []string
		if from == n.home {
			if local, err = localRelations(ctx, home); err != nil {
				return err
			}
		}
		text, err := dumpSchema(ctx, n.cluster, from, n.database, local)
		if err != nil {
			return err
		}
		err = n.on(ctx, n.target, func(conn *pgx.Conn) error {
			defer closing(conn) // the text changes its settings
			if err := run(ctx, conn, string(text)); err != nil {
				return errors.New("make the schema's objects: " + short(err))
			}
			return errHandedOut
		})
		if err != nil && !errors.Is(err, errHandedOut) {
			return err
		}
		return run(ctx, home, "COMMIT")
	})
}

// errHandedOut makes on close the connection.
var errHandedOut = errors.New("the connection is not to be used again")

// short cuts the statement list out of an error.
func short(err error) string {
	if i := bytes.LastIndex([]byte(err.Error()), []byte("ERROR:")); i >= 0 {
		return err.Error()[i:]
	}
	return strconv.Quote(err.Error()[max(0, len(err.Error())-200):])
}

// localRelations lists what exists on home alone.
func localRelations(ctx context.Context, home *pgx.Conn) ([]string, error) {
	rows, err := home.Query(ctx, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname !~ '^pleiad(_[0-9]+)?$'
		AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pleiad.sharded s WHERE s.relid = c.oid)
		AND NOT EXISTS (SELECT FROM pleiad.reference r WHERE r.relid = c.oid) AND NOT EXISTS (SELECT FROM pleiad.everywhere_view e WHERE e.relid = c.oid)`)
	if err != nil {
		return nil, fmt.Errorf("read local tables: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// forgetBackend ends a drained backend's part. Nothing of it is needed then: what it keeps is thrown away when it is added
// again.
func (j *job) forgetBackend() error {
	ctx := j.ctx
	n := &joining{j: j, move: &move{turn: j.turn, cluster: j.r.cluster, settings: j.settings, log: j.log, database: j.database, alive: j.r.alive}}
	defer n.hangUp()
	err := j.onHome(ctx, func(home *pgx.Conn) error {
		if err := home.QueryRow(ctx, "SELECT id, name FROM pleiad.backend WHERE home").Scan(&n.homeID, &n.home); err != nil {
			return err
		}
		return home.QueryRow(ctx, "SELECT id, name FROM pleiad.backend WHERE name = $1", j.options.Backend).Scan(&n.targetID, &n.target)
	})
	if err != nil {
		return err
	}
	disarm, err := j.r.cluster.Arm(j.database)
	if err != nil {
		return err
	}
	defer disarm()
	for wait := 100 * time.Millisecond; ; wait = min(wait*3/2, 2*time.Second) {
		err := n.leave(ctx)
		if !errors.Is(err, errBusy) {
			return err
		}
		pause(ctx, wait)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// leave makes statements do without the backend, at a moment when none is at it.
func (n *joining) leave(ctx context.Context) error {
	err := n.onHome(ctx, func(home *pgx.Conn) error { return n.unused(ctx, home) })
	if err != nil {
		return err
	}
	done, err := n.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	drain, open, err := n.cluster.Hold(n.database, -1, []int{-1})
	if err != nil {
		return err
	}
	defer open()
	limited, stop := context.WithTimeout(ctx, n.settings.MaxHold)
	defer stop()
	if err := drain(limited); err != nil {
		return fmt.Errorf("%w: transactions are open that began before it was tried", errBusy)
	}
	return n.setState(ctx, "absent", func(tx pgx.Tx) error { return n.unused(ctx, tx.Conn()) })
}

// unused makes sure that the backend has no shards and that none is on its way to it or leaves tables behind there.
func (n *joining) unused(ctx context.Context, home *pgx.Conn) error {
	var left, moving int
	err := home.QueryRow(ctx, `SELECT (SELECT count(*)::int FROM pleiad.placement WHERE backend = $1),
		(SELECT count(*)::int FROM pleiad.move WHERE $1 IN (source, target) AND step NOT IN ('done', 'proposed', 'cancelled', 'failed'))`,
		n.targetID).Scan(&left, &moving)
	switch {
	case err != nil:
		return err
	case left > 0:
		return fmt.Errorf("%d shards are left on backend %q", left, n.target)
	case moving > 0:
		return fmt.Errorf("%w: %d moves to or from backend %q are under way", errBusy, moving, n.target)
	}
	return nil
}
