package standby

import (
	"context"
	"strings"
	"time"
)

// shepherdInterval is between two looks for standbys that have lost their primary.
const shepherdInterval = 2 * time.Second

// shepherd leads standbys to the primary that follow nobody: those that a takeover has cut off and not led on, as it
// was killed, and, where promotion is pleiad's business, those that could not be reached then. b.taking is held.
func (b *Backend) shepherd(ctx context.Context) {
	primary, _ := b.Primary()
	if primary < 0 || b.Held() {
		return
	}
	for i, s := range b.Servers {
		look, err := s.Watch.Look()
		if err == nil && i != primary && look.MoveSlots {
			b.dropMoveSlots(ctx, s)
		}
		if i == primary || err != nil || !look.Recovering || look.Streaming || look.ConnInfo == "" {
			continue
		}
		cut := strings.HasSuffix(look.ConnInfo, fenceMark)
		if !cut && (!b.settings().Promote || look.ConnInfo == b.connInfo(look.ConnInfo, primary)) {
			continue
		}
		if !cut && look.Timeline == b.timelineNow() {
			continue // it has the primary's timeline: it is on its way, or its own configuration is right
		}
		if err := b.leadServer(ctx, i, primary, look.ConnInfo); err != nil {
			b.log.Warn("standby_does_not_follow", "backend", b.Name, "server", s.Name, "error", err)
		} else {
			b.log.Info("standby_led", "backend", b.Name, "server", s.Name, "primary", b.Servers[primary].Name)
		}
	}
}

func (b *Backend) timelineNow() uint32 {
	line, _ := b.Timeline()
	return line
}

func (b *Backend) leadServer(ctx context.Context, server, primary int, conninfo string) error {
	ctx, stop := context.WithTimeout(ctx, 2*b.patience())
	defer stop()
	to, err := b.Servers[primary].dial(ctx)
	if err != nil {
		return err
	}
	defer hangUp(to)
	conn, err := b.Servers[server].dial(ctx)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	return b.lead(ctx, conn, conninfo, to, primary)
}
