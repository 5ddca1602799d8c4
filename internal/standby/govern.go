package standby

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pleiad/pleiad/internal/lsn"
)

// governInterval is between two decisions.
const governInterval = 50 * time.Millisecond

// govern decides what the backend needs, until ctx ends.
func (b *Backend) govern(ctx context.Context) {
	t := time.NewTicker(governInterval)
	defer t.Stop()
	var failedAt, ledAt time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		b.keepUsable()
		if time.Since(failedAt) < time.Second || !b.taking.TryLock() {
			continue
		}
		if err := b.step(ctx); err != nil && ctx.Err() == nil {
			failedAt = time.Now()
			b.troubled(err.Error())
		}
		if time.Since(ledAt) > shepherdInterval {
			ledAt = time.Now()
			b.shepherd(ctx)
		}
		b.taking.Unlock()
		b.keepRecord(ctx)
		b.keepSync(ctx)
		b.reportOutdated(ctx)
	}
}

// troubled notes why there is no fit primary, once.
func (b *Backend) troubled(why string) {
	b.mu.Lock()
	again := b.trouble == why
	b.trouble = why
	b.mu.Unlock()
	if !again {
		b.log.Warn("backend_without_primary", "backend", b.Name, "error", why)
	}
}

// step makes one decision and carries it out. b.taking is held.
func (b *Backend) step(ctx context.Context) error {
	view := b.view()
	d := Decide(view)
	switch d.Action {
	case Follow:
		look, _ := b.Servers[d.Server].Watch.Look()
		return b.follow(ctx, d.Server, look.Timeline)
	case Unclear:
		return errors.New("several servers claim to be the primary, with equal rights")
	case Replace:
		if !b.settings().Promote {
			b.hold()
			return fmt.Errorf("server %s is lost, and another one has to be promoted", b.Servers[view.Primary].Name)
		}
		return b.replace(ctx, view.Primary)
	}
	if view.Primary < 0 {
		return b.presume(ctx)
	}
	if view.Servers[view.Primary].Answers && b.settled() {
		b.release()
	}
	return nil
}

// settled tells whether the primary that was known before still is the one, after a time without.
func (b *Backend) settled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate != nil {
		b.trouble = ""
	}
	return b.gate != nil
}

// presume begins with a primary that nobody has seen: the recorded one, or the configured one.
func (b *Backend) presume(ctx context.Context) error {
	if time.Since(b.began) < b.settings().Detect {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.primary, b.since = 0, b.began
	if b.record != nil {
		for i, s := range b.Servers {
			if s.Name == b.record.Server {
				b.primary = i
			}
		}
		b.record = nil
	}
	return nil
}

// Known tells a backend, before Run, what is recorded of it.
func (b *Backend) Known(r Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.primary < 0 && r.Timeline >= b.timeline {
		b.timeline, b.record = r.Timeline, &r
	}
}

func (b *Backend) view() View {
	set := b.settings()
	b.mu.Lock()
	v := View{Primary: b.primary, Timeline: b.timeline, Detect: set.Detect}
	since := b.since
	b.mu.Unlock()
	now := time.Now()
	for _, s := range b.Servers {
		look, err := s.Watch.Look()
		ok, fit := s.Watch.times()
		if fit.Before(since) {
			fit = since
		}
		v.Servers = append(v.Servers, State{
			// An answer that is about to be overdue counts as one: only silence as long as Detect does not.
			Answers:    err == nil && !ok.IsZero() && now.Sub(ok) < set.Detect,
			Recovering: look.Recovering && s.Watch.Last().Recovering,
			Unfit:      now.Sub(fit), Timeline: look.Timeline, Received: look.Received,
		})
	}
	return v
}

// follow makes a server that somebody else has promoted the primary.
func (b *Backend) follow(ctx context.Context, server int, timeline uint32) error {
	ctx, stop := context.WithTimeout(ctx, takeoverLimit)
	defer stop()
	s := b.Servers[server]
	first, _ := b.Primary()
	history, err := b.readHistory(ctx, server, timeline)
	if err != nil {
		return err
	}
	b.hold()
	if first >= 0 && first != server {
		b.noteOutdated(first)
		b.log.Warn("primary_changed", "backend", b.Name, "from", b.Servers[first].Name, "to", s.Name, "timeline", timeline)
	}
	b.adopt(server, timeline, history)
	b.release()
	return nil
}

func (b *Backend) knownTimeline() uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.timeline
}

// readHistory reads where the earlier timelines of a primary were left.
func (b *Backend) readHistory(ctx context.Context, server int, timeline uint32) (lsn.History, error) {
	if timeline <= 1 {
		return nil, nil
	}
	conn, err := b.Servers[server].dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("read history of timeline %d: %w", timeline, err)
	}
	defer hangUp(conn)
	var text string
	file := fmt.Sprintf("pg_wal/%08X.history", timeline)
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_read_file($1)", file).Scan(&text); err != nil {
		return nil, fmt.Errorf("read history of timeline %d: %w", timeline, err)
	}
	return lsn.ParseHistory(text)
}

// keepRecord makes durable which server is the primary, until it is.
func (b *Backend) keepRecord(ctx context.Context) {
	b.mu.Lock()
	r := b.record
	if b.primary < 0 || time.Since(b.recordAt) < time.Second {
		r = nil
	}
	if r != nil {
		b.recordAt = time.Now()
	}
	b.mu.Unlock()
	if r == nil {
		return
	}
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	if err := b.host.Record(ctx, *r); err != nil {
		b.log.Debug("primary_not_recorded", "backend", b.Name, "error", err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.record == r {
		b.record = nil
	}
}

// noteOutdated remembers a server that was the primary. It is of no use until it follows.
func (b *Backend) noteOutdated(server int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outdated[server] = time.Time{}
}

// outdatedPause is between two calls of Host.Outdated for one server.
const outdatedPause = 5 * time.Second

// reportOutdated finds out which former primaries follow again, and tells of the others.
func (b *Backend) reportOutdated(ctx context.Context) {
	b.mu.Lock()
	primary, timeline := b.primary, b.timeline
	held := b.gate != nil
	b.mu.Unlock()
	if held || primary < 0 {
		return
	}
	for i, s := range b.Servers {
		if i == primary {
			continue
		}
		look, err := s.Watch.Look()
		b.mu.Lock()
		told, outdated := b.outdated[i]
		switch {
		case err == nil && look.Recovering && look.Timeline == timeline && look.Streaming:
			delete(b.outdated, i)
			outdated = false
		case err == nil && !look.Sent.IsZero() && !look.Recovering && !outdated:
			b.outdated[i] = time.Time{}
			outdated = true
		}
		due := outdated && time.Since(told) > outdatedPause
		if due {
			b.outdated[i] = time.Now()
		}
		b.mu.Unlock()
		if due {
			b.host.Outdated(ctx, b.Name, s.Name, b.Servers[primary].Name)
		}
	}
}
