package proxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/standby"
	"github.com/pleiad/pleiad/router"
)

// wantsSync tells whether a statement's transaction has to wait for standbys: one that is not proved to read alone, where
// the session, the transaction or the table it writes says so.
func (s *Session) wantsSync(t *router.Template) bool {
	if !s.db.replicated {
		return false
	}
	return t.Sync || s.readSettings().sync && !t.ReadOnly && writesPerhaps(t)
}

// writesPerhaps tells statements that can write from those that pleiad answers by itself.
func writesPerhaps(t *router.Template) bool {
	switch t.Kind {
	case router.KindHome, router.KindAny, router.KindShards, router.KindInsert, router.KindEverywhere, router.KindCopyIn, router.KindNotify:
		return true
	case router.KindDDL:
		return t.DDL.InTxn
	}
	return false
}

// beginSync opens a transaction around a statement whose commit has to wait, so that the commit is pleiad's to send, and
// notes it in the one that is open.
func (s *Session) beginSync(t *router.Template) {
	if !s.wantsSync(t) {
		return
	}
	s.openImplicit()
	s.gang.Txn.Sync = true
}

// syncAtEnd tells whether the session waits for standbys at the end of the open transaction, whatever it began as.
func (s *Session) syncAtEnd() bool { return s.db.replicated && s.readSettings().sync }

// durability implements executor.Durability for one database.
type durability struct{ db *Database }

// Replicated implements executor.Durability.
func (d durability) Replicated(b int) bool {
	n := d.db.node(b)
	return n != nil && !n.Alone()
}

// Staffed implements executor.Durability.
func (d durability) Staffed(b int) bool {
	n := d.db.node(b)
	return n != nil && n.Staffed()
}

// Ready implements executor.Durability.
func (d durability) Ready(ctx context.Context, b int) error {
	n := d.db.node(b)
	err := n.Confirm(ctx)
	if err != nil && d.degrades() {
		return nil // Watch lets the commit go on
	}
	return err
}

func (d durability) degrades() bool {
	return d.db.srv.config().Replication.WhenMissing == config.MissingDegrade
}

// staffedPoll is between two looks at the standbys of a commit that did not ask for them.
const staffedPoll = 250 * time.Millisecond

// Watch implements executor.Durability.
func (d durability) Watch(commits []*executor.Member, asked bool) (stop func()) {
	var mu sync.Mutex
	stopped := false
	limit := d.db.srv.config().Replication.SyncTimeout.D()
	look, again := limit, limit/4
	if !asked {
		look, again = min(limit, staffedPoll), min(limit, staffedPoll)
	}
	began := time.Now()
	var timer *time.Timer
	late := func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if !d.letGo(commits, asked, time.Since(began) < limit) {
			timer.Reset(again) // something else takes long: a deferred constraint, a disk
		}
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(look, late)
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		stopped = true
	}
}

// letGo does what has come due for commits that are kept back; false while nothing has.
func (d durability) letGo(commits []*executor.Member, asked, early bool) bool {
	switch {
	case asked:
		return d.overdue(commits)
	case early:
		return d.release(d.deserted(commits))
	}
	return d.release(commits)
}

// deserted are the commits whose standbys are gone.
func (d durability) deserted(commits []*executor.Member) (out []*executor.Member) {
	for _, m := range commits {
		if !d.Staffed(m.Backend) {
			out = append(out, m)
		}
	}
	return out
}

// release lets commits go on without standbys whose clients have not asked for them; false while none waits.
func (d durability) release(commits []*executor.Member) (done bool) {
	ctx, stop := d.db.srv.controlContext()
	defer stop()
	for _, m := range commits {
		n := d.db.node(m.Backend)
		released, err := n.Release(ctx, m.PID())
		if err != nil {
			d.db.srv.log.Warn("commit_not_released", "backend", n.Name, "error", err)
		}
		done = done || released
	}
	return done
}

// overdue deals with commits that wait for standbys longer than replication.sync_timeout; false while none does.
func (d durability) overdue(commits []*executor.Member) bool {
	ctx, stop := d.db.srv.controlContext()
	defer stop()
	done := false
	for _, m := range commits {
		if !d.Replicated(m.Backend) {
			continue
		}
		n := d.db.node(m.Backend)
		waits, err := n.Waits(ctx, m.PID())
		if err != nil || !waits {
			continue
		}
		if d.degrades() {
			if err := n.Degrade(ctx); err != nil {
				d.db.srv.log.Warn("replication_not_degraded", "backend", n.Name, "error", err)
				continue
			}
			done = true
			continue
		}
		d.db.srv.log.Warn("commit_not_replicated", "backend", n.Name, "database", d.db.name)
		d.db.srv.unreplicated.Add(1)
		d.linger(n, m)
		m.Abandon()
		done = true
	}
	return done
}

// lingerPoll is between two looks at a server process that still waits.
const lingerPoll = time.Second

// linger keeps the place in the pool of a connection whose commit is abandoned, as long as its server process is there:
// clients that try again must not pile them up.
func (d durability) linger(n *standby.Backend, m *executor.Member) {
	pid, generation, srv := m.PID(), n.Generation(), d.db.srv
	m.Conn.Linger = func(gone func()) {
		srv.bg.Go(func() {
			defer gone()
			for srv.run.Err() == nil && n.Generation() == generation {
				ctx, stop := srv.controlContext()
				waits, err := n.Waits(ctx, pid)
				stop()
				if err == nil && !waits {
					return
				}
				select {
				case <-srv.run.Done():
				case <-n.Turned(generation):
				case <-time.After(lingerPoll):
				}
			}
		})
	}
}

// Check implements executor.Durability.
func (d durability) Check(ctx context.Context, b int) error {
	n := d.db.node(b)
	if n.Degraded() || !n.Fresh() {
		return nil
	}
	limit := d.db.srv.config().Replication.SyncTimeout.D()
	wait, stop := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer stop()
	err := n.Applied(wait)
	if err == nil || !d.degrades() {
		return err
	}
	return errors.Join(n.Degrade(context.WithoutCancel(ctx)))
}

// warnDegraded tells the client of a commit that did not wait for standbys though it should have.
func (s *Session) warnDegraded(backends []int) {
	for _, b := range backends {
		if n := s.db.node(b); n != nil && n.Degraded() {
			s.warnOf(pgerr.New(pgerr.Warning, "backend %q has too few standbys: the transaction is committed on its primary alone", n.Name))
		}
	}
}

// replicatedWriters are the backends with standbys that the open transaction writes.
func (s *Session) replicatedWriters() (out []int) {
	if !s.gang.Txn.Sync {
		return nil
	}
	for _, m := range s.gang.Members() {
		if n := s.db.node(m.Backend); m.Began && m.Wrote && n != nil && !n.Alone() {
			out = append(out, m.Backend)
		}
	}
	return out
}
