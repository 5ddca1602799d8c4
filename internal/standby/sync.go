package standby

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/lsn"
)

// Synchronous commits wait in PostgreSQL, which shows nobody what has not been confirmed: the proxy asks for
// remote_apply where a transaction shall wait, and sees to it that the primary knows who confirms. Other commits do not
// wait, as the primary's own default is then local.

// syncState is what is known of a backend's synchronous replication.
type syncState struct {
	ready    atomic.Uint64 // the generation in which the primary is known to wait; 0: none
	readyAt  atomic.Int64  // since when, Unix nanoseconds
	degraded atomic.Bool
	degrades atomic.Uint64 // how often

	releasing sync.Mutex

	mu     sync.Mutex
	wanted bool
	at     time.Time // of the latest attempt
}

// freshFor is how long after a change of the setting commits are checked one by one: the server heeds it a moment after
// it was told.
const freshFor = 3 * time.Second

// Confirm makes sure that the primary lets remote_apply wait for the standbys.
func (b *Backend) Confirm(ctx context.Context) error {
	if b.sync.ready.Load() == b.gen.Load() {
		return nil
	}
	b.sync.mu.Lock()
	defer b.sync.mu.Unlock()
	b.sync.wanted = true
	if b.sync.degraded.Load() || b.sync.ready.Load() == b.gen.Load() {
		return nil
	}
	// Clients that ask for a primary which is lost would stand in line here, ahead of the takeover.
	primary, _ := b.Primary()
	if primary < 0 || b.Held() {
		return ErrNoPrimary
	}
	if _, err := b.Servers[primary].Watch.Look(); err != nil {
		return err
	}
	return b.installSync(ctx)
}

// installSync tells the primary who confirms, and the servers that may be it one day, as far as they answer: a standby
// is told again before it is promoted. b.sync.mu is held.
func (b *Backend) installSync(ctx context.Context) error {
	primary, gen := b.Primary()
	if primary < 0 {
		return ErrNoPrimary
	}
	ctx, stop := context.WithTimeout(ctx, b.patience())
	defer stop()
	errs := make([]error, len(b.Servers))
	var wg sync.WaitGroup
	for i, s := range b.Servers {
		if _, err := s.Watch.Look(); err != nil && i != primary {
			continue
		}
		wg.Go(func() {
			conn, err := s.dial(ctx)
			if err == nil {
				err = b.setSync(ctx, conn, b.syncNames())
				hangUp(conn)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if errs[primary] != nil {
		return fmt.Errorf("tell server %s who confirms: %w", b.Servers[primary].Name, errs[primary])
	}
	b.sync.readyAt.Store(time.Now().UnixNano())
	b.sync.ready.Store(gen)
	return nil
}

// setSync writes the settings of synchronous replication, where they differ.
func (b *Backend) setSync(ctx context.Context, conn *pgx.Conn, names string) error {
	var have, level string
	err := conn.QueryRow(ctx, `SELECT pg_catalog.current_setting('synchronous_standby_names'),
		coalesce((SELECT setting FROM pg_catalog.pg_file_settings WHERE name = 'synchronous_commit'
			ORDER BY seqno DESC LIMIT 1), 'on')`).Scan(&have, &level)
	if err != nil {
		return err
	}
	if level != "local" && level != "off" {
		if err := alterSystem(ctx, conn, "synchronous_commit", "local"); err != nil {
			return err
		}
	}
	if have == names {
		return nil
	}
	return alterSystem(ctx, conn, "synchronous_standby_names", names)
}

// carrySync prepares a standby that is about to be promoted.
func (b *Backend) carrySync(ctx context.Context, conn *pgx.Conn) error {
	b.sync.mu.Lock()
	wanted := b.sync.wanted && !b.sync.degraded.Load()
	b.sync.mu.Unlock()
	if !wanted {
		return nil
	}
	return b.setSync(ctx, conn, b.syncNames())
}

// syncNames is synchronous_standby_names: every server of the backend by the name it has as a standby. Others that
// receive from the primary, as subscriptions, do not count.
func (b *Backend) syncNames() string {
	names := make([]string, len(b.Servers))
	for i, s := range b.Servers {
		look, _ := s.Watch.Look()
		names[i] = `"` + strings.ReplaceAll(standbyName(look, s.Name), `"`, `""`) + `"`
	}
	return fmt.Sprintf("ANY %d (%s)", b.settings().Confirm, strings.Join(names, ", "))
}

// standbyName is what a server calls itself when it receives: application_name, else cluster_name.
func standbyName(l Look, fallback string) string {
	name := fallback
	if l.Cluster != "" {
		name = l.Cluster
	}
	if cfg, err := pgx.ParseConfig(strings.TrimSuffix(l.ConnInfo, fenceMark)); l.ConnInfo != "" && err == nil {
		if given := cfg.RuntimeParams["application_name"]; given != "" {
			name = given
		}
	}
	return name
}

// Fresh tells whether the primary may not yet heed what it was told, so that a commit has to be checked (Applied).
func (b *Backend) Fresh() bool {
	return time.Since(time.Unix(0, b.sync.readyAt.Load())) < freshFor
}

// Applied waits until as many standbys as must confirm have replayed the primary's log as it ends now.
func (b *Backend) Applied(ctx context.Context) error {
	end, err := b.Now(ctx, time.Now())
	if err != nil {
		return err
	}
	primary, _ := b.Primary()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reached := make(chan error, len(b.Servers))
	asked := 0
	for i, s := range b.Servers {
		if i == primary {
			continue
		}
		asked++
		go func() { reached <- s.reach(ctx, end) }()
	}
	confirmed := 0
	var failed error
	for range asked {
		if err := <-reached; err != nil {
			failed = err
		} else {
			confirmed++
		}
		if confirmed == b.settings().Confirm {
			stop()
		}
	}
	if confirmed < b.settings().Confirm {
		return errors.Join(fmt.Errorf("%d standbys have applied it", confirmed), failed)
	}
	return nil
}

func (s *Server) reach(ctx context.Context, end lsn.LSN) error {
	_, err := s.Watch.Reached(ctx, end)
	return err
}

// Degraded tells whether commits that shall wait for standbys do not, for want of standbys.
func (b *Backend) Degraded() bool { return b.sync.degraded.Load() }

// Degrades counts the times that Degrade had an effect.
func (b *Backend) Degrades() uint64 { return b.sync.degrades.Load() }

// Degrade lets synchronous commits go on without standbys, those that wait included, until enough are back.
func (b *Backend) Degrade(ctx context.Context) error {
	b.sync.mu.Lock()
	defer b.sync.mu.Unlock()
	if b.sync.degraded.Load() {
		return nil
	}
	if err := b.tellPrimary(ctx, ""); err != nil {
		return err
	}
	b.sync.degraded.Store(true)
	b.sync.degrades.Add(1)
	b.sync.at = time.Now()
	b.log.Warn("replication_degraded", "backend", b.Name, "standbys_needed", b.settings().Confirm)
	return nil
}

// tellPrimary sets who confirms, on the primary alone.
func (b *Backend) tellPrimary(ctx context.Context, names string) error {
	primary, _ := b.Primary()
	if primary < 0 {
		return ErrNoPrimary
	}
	ctx, stop := context.WithTimeout(ctx, b.patience())
	defer stop()
	conn, err := b.Servers[primary].dial(ctx)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	return b.setSync(ctx, conn, names)
}

// keepSync returns to waiting once enough standbys stream again, and to the right names where somebody changed them.
func (b *Backend) keepSync(ctx context.Context) {
	b.sync.mu.Lock()
	defer b.sync.mu.Unlock()
	primary, gen := b.Primary()
	if primary < 0 || b.Held() || time.Since(b.sync.at) < time.Second {
		return
	}
	look, err := b.Servers[primary].Watch.Look()
	if err != nil || look.Recovering {
		return
	}
	// A proxy before this one has had commits wait.
	b.sync.wanted = b.sync.wanted || strings.HasPrefix(look.SyncNames, "ANY ")
	if !b.sync.wanted {
		return
	}
	b.sync.at = time.Now()
	degraded := b.sync.degraded.Load()
	if degraded && b.streaming() < b.settings().Confirm {
		return
	}
	if !degraded && b.sync.ready.Load() == gen && (look.SyncNames == b.syncNames() || b.Fresh()) {
		return
	}
	if err := b.installSync(ctx); err != nil {
		b.log.Warn("replication_not_synchronous", "backend", b.Name, "error", err)
		return
	}
	if degraded {
		b.sync.degraded.Store(false)
		b.log.Warn("replication_restored", "backend", b.Name)
	}
}

// Staffed tells whether as many standbys as must confirm receive from the primary, and are waited for.
func (b *Backend) Staffed() bool { return !b.Degraded() && b.streaming() >= b.settings().Confirm }

// streaming counts the standbys that receive from the primary.
func (b *Backend) streaming() (n int) {
	for i, s := range b.Servers {
		if look, err := s.Watch.Look(); err == nil && look.Streaming && b.Usable(i) {
			n++
		}
	}
	return n
}

// Waits tells whether a server process of the primary waits for standbys.
func (b *Backend) Waits(ctx context.Context, pid uint32) (waits bool, err error) {
	return b.ofWaiting(ctx, pid, "true")
}

// Release ends the wait of a server process of the primary for standbys; false where it does not wait. The server takes
// the commit as done, with a warning.
func (b *Backend) Release(ctx context.Context, pid uint32) (released bool, err error) {
	primary, _ := b.Primary()
	if primary < 0 {
		return false, nil
	}
	if _, err := b.Servers[primary].Watch.Look(); err != nil {
		return false, nil // it is the primary that is missing
	}
	b.sync.releasing.Lock() // clients that wait are many, and each would connect
	defer b.sync.releasing.Unlock()
	return b.ofWaiting(ctx, pid, "pg_catalog.pg_cancel_backend(pid)")
}

func (b *Backend) ofWaiting(ctx context.Context, pid uint32, what string) (is bool, err error) {
	primary, _ := b.Primary()
	if primary < 0 {
		return false, ErrNoPrimary
	}
	ctx, stop := context.WithTimeout(ctx, b.patience())
	defer stop()
	conn, err := b.Servers[primary].dial(ctx)
	if err != nil {
		return false, err
	}
	defer hangUp(conn)
	err = conn.QueryRow(ctx, "SELECT coalesce((SELECT "+what+` FROM pg_catalog.pg_stat_activity
		WHERE pid = $1 AND wait_event_type = 'IPC' AND wait_event = 'SyncRep'), false)`, int32(pid)).Scan(&is)
	return is, err
}
