package proxy

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/catalog"
	"github.com/pleiad/pleiad/internal/config"
)

// health knows the state of every server, from looking at each now and then.
type health struct {
	srv *Server

	mu    sync.Mutex
	state []catalog.Server
}

// healthPoll is how often each server is looked at.
const healthPoll = 2 * time.Second

// healthTimeout bounds one look.
const healthTimeout = 2 * time.Second

func newHealth(srv *Server) *health {
	h := &health{srv: srv}
	for _, b := range srv.config().Backends {
		h.state = append(h.state, serverRow(b.Name, b.Name, "primary", b.Primary))
		for i, r := range b.Replicas {
			name := r.Name
			if name == "" {
				name = b.Name + "-r" + strconv.Itoa(i+1)
			}
			h.state = append(h.state, serverRow(name, b.Name, "replica", r))
		}
	}
	return h
}

func serverRow(name, backend, role string, s config.Server) catalog.Server {
	return catalog.Server{Name: name, Backend: backend, Role: role, Host: s.Host, Port: s.Port, State: "unknown"}
}

// servers is the state of every server at the moment.
func (h *health) servers() []catalog.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]catalog.Server(nil), h.state...)
}

// run looks at the servers until ctx ends.
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

// look asks every server, all at once, and tells whether anything changed.
func (h *health) look(ctx context.Context) (changed bool) {
	list := h.servers()
	next := make([]catalog.Server, len(list))
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() { next[i] = h.ask(ctx, list[i]) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return false
	}
	for i := range list {
		if next[i] == list[i] {
			continue
		}
		changed = true
		h.srv.log.Info("server_state", "server", next[i].Name, "from", list[i].State, "to", next[i].State, "detail", next[i].Detail)
		if next[i].State == "up" && next[i].Role == "primary" && list[i].State == "down" {
			// What lies in the pools belongs to the server that went away.
			h.srv.eachDatabase(func(db *Database) { db.flushBackend(next[i].Backend) })
		}
	}
	h.mu.Lock()
	h.state = next
	h.mu.Unlock()
	return changed
}

func (h *health) ask(ctx context.Context, s catalog.Server) catalog.Server {
	ctx, stop := context.WithTimeout(ctx, healthTimeout)
	defer stop()
	cfg := h.srv.config()
	b, ok := cfg.Backend(s.Backend)
	if !ok {
		return s
	}
	var recovering bool
	query := func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('server_version')").
			Scan(&recovering, &s.Version)
	}
	var err error
	if s.Role == "primary" {
		err = h.srv.control.with(ctx, s.Backend, maintenanceDB, query)
	} else {
		err = h.askReplica(ctx, b, s, query)
	}
	switch {
	case err != nil:
		s.State, s.Detail = "down", err.Error()
	case recovering != (s.Role == "replica"):
		s.State, s.Detail = "wrong role", "pg_is_in_recovery is "+strconv.FormatBool(recovering)
	default:
		s.State, s.Detail = "up", ""
	}
	return s
}

// maintenanceDB is the database that pleiad uses for what is not about any one.
const maintenanceDB = "postgres"

// askReplica opens a connection for this look alone: replicas serve no clients yet.
func (h *health) askReplica(ctx context.Context, b config.Backend, s catalog.Server, query func(*pgx.Conn) error) error {
	for _, r := range b.Replicas {
		if r.Host != s.Host || r.Port != s.Port {
			continue
		}
		password, err := b.Credentials.Password()
		if err != nil && b.Credentials.Configured() {
			return err
		}
		conn, err := pgx.Connect(ctx, r.ConnString(b.Credentials.User, password, maintenanceDB))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		return query(conn)
	}
	return net.ErrClosed
}

// publish writes the state where view pleiad.backends shows it.
func (h *health) publish(ctx context.Context, db *Database) {
	ctx, stop := context.WithTimeout(ctx, controlTimeout)
	defer stop()
	err := h.srv.control.with(ctx, db.targets[db.home].Name, db.name, func(conn *pgx.Conn) error {
		return catalog.PutServers(ctx, conn, h.servers())
	})
	if err != nil && ctx.Err() == nil {
		h.srv.log.Warn("server_state_not_published", "database", db.name, "error", err)
	}
}

func (db *Database) flushBackend(name string) {
	for i, t := range db.targets {
		if t.Name == name {
			db.pools.FlushBackend(i)
		}
	}
}
