package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/failpoint"
	"github.com/pleiad/pleiad/internal/replication"
)

// A switch is one distributed transaction: the source detaches the shard's partitions, the target attaches its own, home
// changes the map. While it runs, statements that want the shard wait at the barrier.
type switching struct {
	*following
	home, source, target *pgx.Conn // source or target is home's connection where it is home
	gid                  string
	ended                func() // says that the switch is over
	generations          generations
	began                time.Time // of the hold
	phases               []any     // name and milliseconds since it began, for the log
	epoch                uint64
	links                map[replication.Table][]string // partition on the source → its foreign keys within the group
	order                []shardTable                   // referencing tables first
	selves               map[replication.Table]bool     // refer to themselves
}

// ddlPatience is how long a switch waits for a schema change that is under way. Nobody waits for the switch yet.
const ddlPatience = "2s"

// carryLimit is how long a process that ends goes on with a switch that is being decided or carried out.
const carryLimit = time.Minute

// outlive gives a context that ends carryLimit after ctx.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, stop := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() { time.AfterFunc(carryLimit, stop) })
	return longer, func() {
		forget()
		stop()
	}
}

// switchOver tries to switch once. errBusy says that nothing has happened.
func (f *following) switchOver(ctx context.Context) (err error) {
	done, err := f.turn(ctx)
	if err != nil {
		return err
	}
	s := &switching{following: f}
	defer s.close()
	err = s.connect(ctx)
	if err == nil {
		err = s.begin(ctx)
	}
	if err != nil {
		done()
		return err
	}
	// The target's too: attaching a foreign key locks what it refers to, and a transaction that reads on one of its standbys
	// would look for the shard there before that has it.
	backends := []int{f.sourceID, f.targetID}
	f.clearVacuum(ctx, s.source)
	f.clearVacuum(ctx, s.target)
	drain, open, err := f.cluster.Hold(f.database, f.group, backends)
	if err != nil {
		done()
		return err
	}
	s.began = time.Now()
	known, err := s.whileHeld(ctx, drain)
	// What is decided is carried out, also while the process ends.
	carry, stop := outlive(s.alive)
	defer stop()
	if !known {
		if known, err = s.findOut(carry, err); !known {
			return err // the barrier stays closed: nobody can say where the shard is
		}
	}
	if err == nil {
		if err = s.publish(carry); err != nil {
			return err // the barrier stays closed: not all of the switch is in force
		}
	} else {
		s.close() // its locks go before those who wait for them come
	}
	open()
	done()
	held := time.Since(s.began)
	if err != nil {
		f.log.Debug("switch_given_up", "move", f.id, "held", held, "error", err)
		return err
	}
	f.step = Switched
	f.log.Info("shard_switched", "database", f.database, "move", f.id, "group", f.group, "shard", f.shard, "target", f.move.target, "held", held,
		slog.Group("after_ms", s.phases...))
	return f.onHome(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "UPDATE pleiad.move SET hold_ms = $2, changed = now() WHERE id = $1", f.id, float64(held.Microseconds())/1000)
		return err
	})
}

// phase notes how long statements have been held so far.
func (s *switching) phase(name string) {
	s.phases = append(s.phases, name, time.Since(s.began).Milliseconds())
}

func (s *switching) connect(ctx context.Context) (err error) {
	s.generations = s.move.generations()
	if s.home, err = connect(ctx, s.cluster, s.move.home, s.database); err != nil {
		return err
	}
	s.source, s.target = s.home, s.home
	if s.sourceID != s.homeID {
		if s.source, err = connect(ctx, s.cluster, s.move.source, s.database); err != nil {
			return err
		}
	}
	if s.targetID != s.homeID {
		s.target, err = connect(ctx, s.cluster, s.move.target, s.database)
	}
	return err
}

// close rolls back what is open.
func (s *switching) close() {
	if s.ended != nil {
		s.ended()
	}
	for _, c := range []*pgx.Conn{s.source, s.target, s.home} {
		if c != nil && !c.IsClosed() {
			closing(c)
		}
	}
}

// others are the connections whose parts are prepared.
func (s *switching) others() (out []*pgx.Conn) {
	for _, c := range []*pgx.Conn{s.source, s.target} {
		if c != s.home {
			out = append(out, c)
		}
	}
	return out
}

// begin opens the transaction everywhere and takes the lock that keeps schema changes out.
func (s *switching) begin(ctx context.Context) error {
	for _, c := range append(s.others(), s.home) {
		if err := run(ctx, c, "BEGIN", "SET LOCAL lock_timeout = '"+ddlPatience+"'"); err != nil {
			return err
		}
	}
	err := s.home.QueryRow(ctx, "SELECT pleiad.begin_ddl() + 1").Scan(&s.epoch)
	if lockTimedOut(err) {
		return fmt.Errorf("%w: a schema change is under way", errBusy)
	}
	if err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	if err := alone(ctx, s.home); err != nil {
		return err
	}
	if err := s.present(ctx)(s.home); err != nil {
		return err
	}
	if err := s.learnTables(ctx); err != nil {
		return err
	}
	shape, err := s.sourceShape(ctx, s.source)
	if err != nil {
		return err
	}
	if shape != s.shape {
		return fmt.Errorf("%w: tables of the group have been changed", errStartOver)
	}
	if err := s.learnModulus(ctx)(s.home); err != nil {
		return err
	}
	if err := s.sort(ctx); err != nil {
		return err
	}
	if err := s.learnLinks(ctx); err != nil {
		return err
	}
	s.gid, s.ended = s.cluster.NewTransaction()
	if err := s.record(ctx); err != nil {
		return err
	}
	return s.durable(ctx, standbyPatience, append(s.others(), s.home)...)
}

// learnLinks reads the foreign keys that a detached partition would keep, and that would keep the tables they refer to
// from being detached.
func (s *switching) learnLinks(ctx context.Context) error {
	s.links = map[replication.Table][]string{}
	for _, t := range s.order {
		rows, err := s.source.Query(ctx, `SELECT conname::text FROM pg_constraint WHERE conrelid = $1::text::regclass
			AND contype = 'f' AND confrelid = ANY ($2::text[]::regclass[])`, t.Part.SQL(), s.parents())
		if err == nil {
			s.links[t.Part], err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return fmt.Errorf("read foreign keys of %s: %w", t.Part.SQL(), err)
		}
	}
	return nil
}

// alone makes sure that this proxy is the only one that serves the database: another one would go on by the old map for
// a moment. None can begin to until the transaction ends.
func alone(ctx context.Context, home *pgx.Conn) error {
	if _, err := home.Exec(ctx, "SELECT pg_advisory_xact_lock(1886151017, 6)"); err != nil {
		return err
	}
	var proxies int
	err := home.QueryRow(ctx, `SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 1886151017 AND objid = 5
		AND objsubid = 2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&proxies)
	if err == nil && proxies > 1 {
		return fmt.Errorf("%w: %d proxies serve the database, and shards move while one does", errBusy, proxies)
	}
	return err
}

// sort finds the order in which partitions can be detached.
func (s *switching) sort(ctx context.Context) (err error) {
	s.order, s.selves, err = s.detachOrder(ctx, s.home)
	return err
}

func run(ctx context.Context, c *pgx.Conn, statements ...string) error {
	for _, sql := range statements {
		if _, err := c.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// whileHeld does what must happen while statements are held. known is false when nobody can say whether the switch has
// been decided; else err tells.
func (s *switching) whileHeld(ctx context.Context, drain func(context.Context) error) (known bool, err error) {
	until := s.began.Add(s.settings.MaxHold)
	limited, stop := context.WithDeadline(ctx, until)
	defer stop()
	if err := drain(limited); err != nil {
		return true, fmt.Errorf("%w: transactions use the shard that began before it was tried", errBusy)
	}
	s.phase("drained")
	if err := s.lock(ctx, time.Until(until)); err != nil {
		return true, err
	}
	s.phase("locked")
	failpoint.Hit("move-locked")
	resume, err := s.reach(limited)
	if err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			return true, fmt.Errorf("%w: the target is too far behind", errBusy)
		}
		return true, err
	}
	defer resume()
	s.phase("fenced")
	failpoint.Hit("move-fenced")
	// A part that is prepared must not be left behind by a cancelled job.
	carry, end := outlive(s.alive)
	defer end()
	err = s.change(carry)
	s.phase("prepared")
	if err == nil {
		err = s.durable(carry, time.Until(until), s.others()...)
	}
	if err == nil {
		err = s.replaced(s.generations)
	}
	if err != nil {
		s.rollBack(carry)
		if lockTimedOut(err) {
			return true, fmt.Errorf("%w: %w", errBusy, err)
		}
		return true, err
	}
	return s.commit()
}

// lock keeps every writer and reader from the source's partitions: also those that came past the barrier, by another
// proxy or before this process began.
func (s *switching) lock(ctx context.Context, limit time.Duration) error {
	if limit <= 0 {
		return fmt.Errorf("%w: there was no time left to lock it", errBusy)
	}
	var list []string
	for _, t := range s.order {
		list = append(list, "ONLY "+t.Parent.SQL(), "ONLY "+t.Part.SQL())
	}
	err := run(ctx, s.source, "SET LOCAL lock_timeout = '"+max(limit, time.Millisecond).Round(time.Millisecond).String()+"'; LOCK TABLE "+
		strings.Join(list, ", ")+" IN ACCESS EXCLUSIVE MODE")
	if lockTimedOut(err) {
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	return err
}

// detach is the source's part of the switch.
func (s *switching) detach() (script []string) {
	for _, t := range s.order {
		if s.selves[t.Parent] {
			// Its rows are in the way of detaching it, as those that refer to it. The target has them all.
			script = append(script, "SET LOCAL session_replication_role = replica", "DELETE FROM ONLY "+t.Part.SQL(),
				"SET LOCAL session_replication_role = origin")
		}
		script = append(script, "ALTER TABLE "+t.Parent.SQL()+" DETACH PARTITION "+t.Part.SQL())
		for _, name := range s.links[t.Part] {
			script = append(script, "ALTER TABLE "+t.Part.SQL()+" DROP CONSTRAINT "+quoteIdent(name))
		}
	}
	return script
}

// attach is the target's.
func (s *switching) attach() (script []string) {
	script = append(script, "SET LOCAL lock_timeout = '"+s.settings.MaxHold.String()+"'")
	for _, t := range slices.Backward(s.order) {
		script = append(script, fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES WITH (MODULUS %d, REMAINDER %d)",
			t.Parent.SQL(), t.Part.SQL(), s.modulus, s.shard), "ALTER TABLE "+t.Part.SQL()+" DROP CONSTRAINT IF EXISTS "+placed)
	}
	return script
}

// change detaches on the source and attaches on the target, side by side, each in one message that ends with what
// prepares it. Home's part is not prepared: its commit decides.
func (s *switching) change(ctx context.Context) error {
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i, part := range []struct {
		conn   *pgx.Conn
		script []string
	}{{s.source, s.detach()}, {s.target, s.attach()}} {
		if part.conn != s.home {
			part.script = append(part.script, "PREPARE TRANSACTION "+quoteLiteral(s.gid))
		}
		both.Go(func() { errs[i] = run(ctx, part.conn, strings.Join(part.script, "; ")) })
	}
	both.Wait()
	return errors.Join(errs...)
}

// commit decides.
func (s *switching) commit() (known bool, err error) {
	ctx, stop := outlive(s.alive)
	defer stop()
	failpoint.Hit("move-prepared-switch")
	if err := run(ctx, s.home, "COMMIT"); err != nil {
		return false, err
	}
	s.phase("decided")
	failpoint.Hit("move-decided")
	return s.decided(ctx)
}

// record writes what home's part says: the new map, and the decision.
func (s *switching) record(ctx context.Context) error {
	tag, err := s.home.Exec(ctx, `UPDATE pleiad.placement SET backend = $3 WHERE (group_id, shard, backend) = ($1, $2, $4)`,
		s.group, s.shard, s.targetID, s.sourceID)
	if err == nil && tag.RowsAffected() != 1 {
		return fmt.Errorf("%w: the shard is on another backend", errStartOver)
	}
	if err == nil {
		tag, err = s.home.Exec(ctx, `UPDATE pleiad.move SET step = 'switched', gid = $2, detail = '', copied = $3, lag = 0, changed = now()
			WHERE id = $1 AND step = 'following'`, s.id, s.gid, s.copied.Load())
	}
	if err == nil && tag.RowsAffected() != 1 {
		return fmt.Errorf("move %d is not at step following any more", s.id)
	}
	if err == nil {
		_, err = s.home.Exec(ctx, "INSERT INTO pleiad.commit_record (gid, owner, trusted) VALUES ($1, current_user, true)", s.gid)
	}
	if err != nil {
		return fmt.Errorf("write the switch: %w", err)
	}
	return nil
}

// rollBack ends prepared parts of a switch that is not decided. What cannot be told now is recovery's to do.
func (s *switching) rollBack(ctx context.Context) {
	for _, c := range s.others() {
		if c.PgConn().TxStatus() != 'I' {
			continue // it is not prepared: what it did ends with its connection
		}
		_ = run(ctx, c, "ROLLBACK PREPARED "+quoteLiteral(s.gid))
	}
}

// findOut learns whether home has committed, as recovery does: where the decision is not written, its place is taken.
// Statements are held until it is known. It returns nil for a switch that is decided, else why there is none.
func (s *switching) findOut(ctx context.Context, cause error) (known bool, err error) {
	for {
		trusted := false
		err := s.onHome(ctx, func(conn *pgx.Conn) error {
			if _, err := conn.Exec(ctx, "INSERT INTO pleiad.commit_record (gid, owner) VALUES ($1, '') ON CONFLICT (gid) DO NOTHING", s.gid); err != nil {
				return err
			}
			return conn.QueryRow(ctx, "SELECT trusted FROM pleiad.commit_record WHERE gid = $1", s.gid).Scan(&trusted)
		})
		switch {
		case err == nil && trusted:
			return true, nil
		case err == nil:
			s.rollBack(ctx)
			return true, cause
		}
		s.say(ctx, err)
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// publish carries the decision out and makes the new map the one in force. It does not give up: held statements can run
// by neither map before.
func (s *switching) publish(ctx context.Context) error {
	for {
		err := s.settle(ctx)
		if err == nil {
			err = s.cluster.Switched(ctx, s.database, s.group, s.shard, s.targetID, s.epoch)
		}
		if err == nil {
			return nil
		}
		s.say(ctx, err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// settle commits the prepared parts; one that is gone has been committed by recovery.
func (s *switching) settle(ctx context.Context) error {
	names := map[*pgx.Conn]string{s.source: s.move.source, s.target: s.move.target}
	errs := make([]error, 2)
	var all sync.WaitGroup
	for i, c := range s.others() {
		all.Go(func() {
			if errs[i] = settlePart(ctx, c, s.gid); errs[i] != nil {
				errs[i] = s.on(ctx, names[c], func(again *pgx.Conn) error { return settlePart(ctx, again, s.gid) })
			}
		})
	}
	all.Wait()
	s.phase("settled")
	failpoint.Hit("move-settled")
	return errors.Join(errs...)
}
