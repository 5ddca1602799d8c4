package executor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/failpoint"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// ErrAborted is Decide's answer when recovery has already decided to roll back.
var ErrAborted = errors.New("distributed transaction was rolled back by recovery")

// Commit ends the transaction of every member. It returns the ErrorResponse frame to give to the client when the
// transaction was rolled back instead, nil when it is committed.
//
// One writer commits in one phase, and the readers after it; but those with a new cursor WITH HOLD before it, since their
// COMMIT runs the cursor's query to its end, which may fail. Two or more prepare first; then the decision is
// recorded on home; then each commits its prepared part. A crash before the record rolls back, one after it
// commits: recovery reads the records and pg_prepared_xacts alone.
func (g *Gang) Commit(ctx context.Context, out *wire.Writer, obs Observer) (errFrame []byte) {
	g.closeStreams(ctx)
	if errFrame = g.readySync(ctx); errFrame != nil {
		g.Rollback(out, obs)
		return errFrame
	}
	var writers, readers, holders []*Member
	for _, m := range g.members {
		switch {
		case !m.Began:
		case m.Wrote:
			writers = append(writers, m)
		case m.Holds:
			holders = append(holders, m)
		default:
			readers = append(readers, m)
		}
	}
	if errFrame = heldByWriters(writers); errFrame == nil {
		errFrame = firstError(g.endAll(holders, "COMMIT", out, obs))
	} else {
		readers = append(readers, holders...)
	}
	// Members that only read have nothing to decide: they hold no row's lock, and are released before the others begin
	// to prepare. What their COMMIT answers is read behind the writers'. But a COMMIT keeps what SET did, and the
	// transaction may fail.
	early := errFrame == nil && !g.Txn.HasSettings()
	var released [][]byte
	if early {
		released = g.send(readers, "COMMIT", "")
	}
	if errFrame != nil {
		readers = append(readers, writers...)
	} else if len(writers) > 1 {
		errFrame = g.commitTwoPhase(ctx, writers, out, obs)
	} else if len(writers) == 1 {
		errFrame = g.commitOne(writers[0], out, obs)
	}
	verb := "COMMIT"
	if !early {
		if errFrame != nil {
			verb = "ROLLBACK"
		}
		released = g.send(readers, verb, "")
	}
	failed := firstError(g.answers(readers, released, verb, out, obs))
	if len(writers) == 0 && errFrame == nil {
		errFrame = failed
	}
	if errFrame == nil {
		errFrame = g.checkSync(ctx, writers)
	}
	g.finish(errFrame == nil || Committed(errFrame))
	return errFrame
}

// heldByWriters refuses what PREPARE TRANSACTION would: a cursor WITH HOLD that a part with another decision declared.
func heldByWriters(writers []*Member) []byte {
	for _, m := range writers {
		if m.Holds && len(writers) > 1 {
			return wire.Error(nil, pgerr.New(pgerr.FeatureNotSupported,
				"a transaction that declares a cursor WITH HOLD and writes on several backends is not supported").
				WithHint("Declare the cursor in a transaction of its own."))
		}
	}
	return nil
}

// Rollback ends the transaction of every member.
func (g *Gang) Rollback(out *wire.Writer, obs Observer) {
	g.killStreams()
	var all []*Member
	for _, m := range g.members {
		if m.Began {
			all = append(all, m)
		}
	}
	g.endAll(all, "ROLLBACK", out, obs)
	g.finish(false)
}

// Unlock undoes, after an error, what the failed transaction or subtransaction did on all of its backends, so that it holds
// up nobody until the client says ROLLBACK: PostgreSQL lets its locks go with the error, too. Where no savepoint can
// rescue the transaction its connections go back as well.
func (g *Gang) Unlock(out *wire.Writer, obs Observer) {
	if g.Txn.unlocked || !slices.ContainsFunc(g.members, func(m *Member) bool { return m.Began && m.Status == 'T' }) {
		return
	}
	g.Txn.unlocked = true
	g.killStreams()
	name, rescued := g.Txn.lastSavepoint()
	var all []*Member
	for _, m := range g.members {
		if m.Began && !m.Broken() && (m.Status == 'T' || !rescued) {
			all = append(all, m)
		}
	}
	if rescued {
		g.endAll(all, `ROLLBACK TO SAVEPOINT "`+strings.ReplaceAll(name, `"`, `""`)+`"`, out, obs)
		return
	}
	g.endAll(all, "ROLLBACK", out, obs)
	g.Txn.gone = true
	g.giveBack()
}

// commitOne commits a single writer.
func (g *Gang) commitOne(m *Member, out *wire.Writer, obs Observer) []byte {
	errs := g.endAll([]*Member{m}, "COMMIT", out, obs)
	if errs[0] == nil && m.Status != 'I' {
		errs[0] = wire.Error(nil, pgerr.New(pgerr.InternalError, "backend %q is in a transaction after COMMIT", m.Name))
	}
	if errs[0] != nil && m.Broken() && !Committed(errs[0]) {
		return wire.Error(nil, pgerr.New(pgerr.TransactionResolutionUnknown,
			"connection to backend %q was lost during COMMIT: the transaction may or may not be committed", m.Name))
	}
	return errs[0]
}

// endAll runs one statement on every member in parallel and returns their errors.
func (g *Gang) endAll(all []*Member, sql string, out *wire.Writer, obs Observer) [][]byte {
	return g.answers(all, g.send(all, sql, ""), sql, out, obs)
}

// send sends a statement that ends a transaction, or a part of it, to every member. between names the failpoint behind each.
func (g *Gang) send(all []*Member, sql, between string) [][]byte {
	errs := make([][]byte, len(all))
	for i, m := range all {
		m.Finishing(m.syncing(sql))
		if err := m.Send(); err != nil {
			errs[i] = wire.Error(nil, ClientError(err))
		}
		if between != "" {
			failpoint.Hit(between)
		}
	}
	return errs
}

// answers reads the members' answers to it, of those that it could be sent to.
func (g *Gang) answers(all []*Member, errs [][]byte, sql string, out *wire.Writer, obs Observer) [][]byte {
	if commits, asked := watched(all, sql); len(commits) > 0 {
		defer g.Sync.Watch(commits, asked)()
	}
	for i, m := range all {
		if errs[i] != nil {
			continue
		}
		o, err := Relay(m, out, obs)
		if err != nil {
			errs[i] = wire.Error(nil, ClientError(err))
			if m.isAbandoned() {
				errs[i] = unsynced(m, sql)
			}
			continue
		}
		errs[i] = o.Skipped
		if errs[i] == nil && o.Unsynced {
			if m.waits == waitKept {
				m.Unclean, m.Owner = true, 0 // the cancel that let it go on may come late
			} else if g.Txn.Sync {
				errs[i] = unsynced(m, sql)
			}
		}
		if errs[i] == nil && o.Undone && sql != "ROLLBACK" {
			errs[i] = wire.Error(nil, pgerr.New(pgerr.TransactionRollback, "backend %q rolled the transaction back", m.Name).
				WithHint("Run the transaction again."))
		}
	}
	return errs
}

// Finishing composes a statement that ends a transaction or a part of it.
func (m *Member) Finishing(sql string) {
	m.Conn.Unnamed = 0 // a simple query drops it
	m.Out = wire.Query(m.Out, sql)
	m.Unnamed = 0
	m.Owed++
	m.opening, m.Extended = false, false
	m.Queue.Push(Owed{Msg: 'Q', Reply: Skip, Report: true})
}

// commitTwoPhase commits several writers together. The decision is a record on home, written in home's own part
// of the transaction where it has one: then home does not prepare, and its COMMIT is the decision.
func (g *Gang) commitTwoPhase(ctx context.Context, writers []*Member, out *wire.Writer, obs Observer) []byte {
	gid := g.Servers.NewGID()
	defer g.Servers.Settled(gid)
	quoted := "'" + gid + "'" // a GID holds no quotes
	var home *Member
	others := make([]*Member, 0, len(writers))
	for _, m := range writers {
		if m.Backend == g.Servers.Home() {
			home = m
		} else {
			others = append(others, m)
		}
	}
	failpoint.Hit("before-prepare")
	prepare := "PREPARE TRANSACTION " + quoted
	errs := g.answers(others, g.send(others, prepare, "between-prepares"), prepare, out, obs)
	failpoint.Hit("after-prepare")
	failure := firstError(errs)
	if failure != nil {
		if home != nil {
			g.endAll([]*Member{home}, "ROLLBACK", out, obs)
		}
		g.undoPrepared(others, errs, quoted, out, obs)
		return failure
	}
	g.checkKept(ctx, others...)
	// From here to the last COMMIT PREPARED no snapshot is taken over two of these backends.
	passage := g.Servers.PassGate(gid, backendsOf(writers))
	if failure = g.decide(ctx, gid, home, out, obs); failure != nil {
		if wire.ErrorField(failure, 'C') == pgerr.TransactionResolutionUnknown || Committed(failure) {
			passage.Leave() // home may have committed
			return failure
		}
		passage.End()
		g.undoPrepared(others, errs, quoted, out, obs)
		return failure
	}
	failpoint.Hit("after-decision")
	if home != nil {
		g.checkKept(ctx, home)
		passage.Done(home.Backend)
	}
	complete := true
	commit := "COMMIT PREPARED " + quoted
	for i, e := range g.answers(others, g.send(others, commit, "between-commits"), commit, out, obs) {
		if e != nil {
			complete = false // the decision stands: what could not be told now is told by recovery
			if Committed(e) {
				failure = e
			}
			continue
		}
		passage.Done(others[i].Backend)
	}
	failpoint.Hit("after-commit-prepared")
	if !complete {
		passage.Leave()
		return failure
	}
	passage.End()
	g.Servers.Forget(gid)
	return nil
}

func backendsOf(members []*Member) []int {
	out := make([]int, len(members))
	for i, m := range members {
		out[i] = m.Backend
	}
	return out
}

// decide makes the decision to commit durable. It returns the error to show when the transaction is not
// committed, or when nobody can say.
func (g *Gang) decide(ctx context.Context, gid string, home *Member, out *wire.Writer, obs Observer) []byte {
	if home != nil {
		home.Finishing("SELECT pleiad.record_commit('" + gid + "')")
		e := g.commitOne(home, out, obs)
		if e != nil && wire.ErrorField(e, 'C') == pgerr.UniqueViolation && wire.ErrorField(e, 's') == "pleiad" &&
			wire.ErrorField(e, 't') == "commit_record" {
			return abortedByRecovery(gid)
		}
		return e
	}
	switch err := g.Servers.Decide(ctx, gid); {
	case err == nil:
		return nil
	case errors.Is(err, ErrAborted):
		return abortedByRecovery(gid)
	default:
		return wire.Error(nil, pgerr.New(pgerr.TransactionResolutionUnknown,
			"the outcome of distributed transaction %s is not known: %v", gid, err).
			WithHint("Recovery completes it as soon as the home backend answers; see pleiad.transactions."))
	}
}

// abortedByRecovery is what a coordinator hears that finds the place of its record taken.
func abortedByRecovery(gid string) []byte {
	return wire.Error(nil, pgerr.New(pgerr.TransactionRollback, "distributed transaction %s was rolled back by recovery", gid).
		WithHint("Run the transaction again."))
}

// undoPrepared rolls back what did prepare. A member that failed is in no transaction any more.
func (g *Gang) undoPrepared(writers []*Member, errs [][]byte, quoted string, out *wire.Writer, obs Observer) {
	var prepared []*Member
	for i, m := range writers {
		if errs[i] == nil {
			prepared = append(prepared, m)
		}
	}
	g.endAll(prepared, "ROLLBACK PREPARED "+quoted, out, obs)
	if g.Txn.HasSettings() {
		// PREPARE TRANSACTION has made the transaction's settings the session's.
		for _, m := range prepared {
			m.Unclean, m.Owner = true, 0
		}
	}
}

func firstError(errs [][]byte) []byte {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}
