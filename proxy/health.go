package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/catalog"
	"github.com/pleiad/pleiad/internal/standby"
)

// health shows the state of every server, as those know it who look after them.
type health struct {
	srv  *Server
	last []catalog.Server // as of the latest look
	// complained is when it was last logged that the state could not be written, Unix nanoseconds.
	complained atomic.Int64
}

// complainPause is between two such lines: whoever reads the view has it written.
const complainPause = 10 * time.Second

// healthPoll is how often changes are looked for.
const healthPoll = 500 * time.Millisecond

// maintenanceDB is the database that pleiad uses for what is not about any one.
const maintenanceDB = "postgres"

// servers is the state of every server at the moment.
func (h *health) servers() []catalog.Server {
	now := time.Now()
	var out []catalog.Server
	for _, b := range h.srv.config().Backends {
		n := h.srv.nodes[b.Name]
		for i, st := range n.Status(now) {
			c := configured(b, i)
			row := catalog.Server{
				Name: st.Server, Backend: b.Name, Role: "replica", Host: c.Host, Port: c.Port,
				State: st.State, Detail: st.Detail, Version: st.Version, Position: positionOf(st),
			}
			if st.Primary {
				row.Role = "primary"
			}
			out = append(out, row)
		}
	}
	return out
}

// positionOf is a server's position as the catalog has it, to the millisecond.
func positionOf(st standby.Status) (p catalog.Position) {
	if st.Timeline > 0 {
		timeline, at := int64(st.Timeline), st.LSN.String()
		p.Timeline, p.LSN = &timeline, &at
	}
	if st.LagBytes >= 0 {
		p.LagBytes = &st.LagBytes
	}
	if st.Lag >= 0 {
		ms := st.Lag.Milliseconds()
		p.LagMS = &ms
	}
	if !st.Since.IsZero() {
		since := st.Since.Truncate(time.Millisecond)
		p.Since = &since
	}
	return p
}

// run looks for changes until ctx ends.
func (h *health) run(ctx context.Context) {
	t := time.NewTicker(healthPoll)
	defer t.Stop()
	for {
		if h.look(ctx) {
			h.srv.eachDatabase(func(db *Database) { h.publish(ctx, db) })
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// look tells whether the state of any server has changed.
func (h *health) look(ctx context.Context) (changed bool) {
	next := h.servers()
	if ctx.Err() != nil {
		return false
	}
	for i := range next {
		if len(h.last) == len(next) && h.last[i].Same(next[i]) {
			continue
		}
		changed = true
		from := "unknown"
		if len(h.last) == len(next) {
			from = h.last[i].State
		}
		if from == "unknown" && next[i].State == from {
			continue // nobody has asked it yet
		}
		h.srv.log.Info("server_state", "server", next[i].Name, "role", next[i].Role, "from", from, "to", next[i].State, "detail", next[i].Detail)
		if next[i].State == "up" && next[i].Role == "primary" && from == "down" {
			// What lies in the pools belongs to the server that went away.
			h.srv.eachDatabase(func(db *Database) { db.flushBackend(next[i].Backend) })
		}
	}
	h.last = next
	return changed
}

// publish writes the state where view pleiad.backends shows it. Home may be what has changed: it is not waited for.
func (h *health) publish(ctx context.Context, db *Database) {
	ctx, stop := context.WithTimeout(ctx, publishTimeout)
	defer stop()
	err := h.srv.control.with(ctx, db.targets[db.home].Name, db.name, func(conn *pgx.Conn) error {
		return catalog.PutServers(ctx, conn, h.servers())
	})
	now, last := time.Now().UnixNano(), h.complained.Load()
	if err != nil && ctx.Err() == nil && now-last > int64(complainPause) && h.complained.CompareAndSwap(last, now) {
		h.srv.log.Warn("server_state_not_published", "database", db.name, "error", err)
	}
}

// publishTimeout bounds one publication.
const publishTimeout = 2 * time.Second

func (db *Database) flushBackend(name string) {
	for i, t := range db.targets {
		if t.Name == name {
			db.pools.FlushBackend(i)
		}
	}
}
