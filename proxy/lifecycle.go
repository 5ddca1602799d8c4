package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/startup"
	"github.com/pleiad/pleiad/internal/wire"
)

// serve is the life of one client's socket.
func (srv *Server) serve(ctx context.Context, nc net.Conn) {
	defer func() { _ = nc.Close() }()
	cfg := srv.config()
	release, err := srv.limiter.Admit(nc.RemoteAddr())
	if err != nil {
		srv.refuse(nc, err)
		return
	}
	defer release()
	login := ctx
	if limit := cfg.Auth.LoginTimeout.D(); limit > 0 {
		var stop context.CancelFunc
		login, stop = context.WithTimeout(ctx, limit)
		defer stop()
	}
	res, err := startup.Accept(login, nc, startup.Options{
		TLS: srv.tls.Load(), RequireTLS: cfg.TLS.Mode == config.ClientTLSRequire,
	})
	if err != nil {
		srv.log.Debug("startup_refused", "peer", nc.RemoteAddr().String(), "error", err)
		return
	}
	if res.Cancel != nil {
		srv.cancels.Cancel(res.Cancel.PID, res.Cancel.Secret)
		return
	}
	if n := srv.clients.Add(1); cfg.Limits.MaxClients > 0 && n > int64(cfg.Limits.MaxClients) {
		srv.clients.Add(-1)
		srv.refuse(res.Conn, pgerr.Fatal(pgerr.TooManyConnections, "sorry, too many clients already"))
		return
	}
	defer srv.clients.Add(-1)
	s, err := srv.login(login, nc, res)
	release()
	if err != nil {
		return
	}
	srv.converse(s)
}

// refuse tells a client that it is not served, without waiting for it.
func (srv *Server) refuse(nc net.Conn, err error) {
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_ = startup.WriteError(nc, fatal(executor.ClientError(err)))
}

func fatal(e *pgerr.Error) *pgerr.Error {
	c := *e
	c.Severity = "FATAL"
	return &c
}

// login authenticates the client and makes its session. The client has been told of any error.
func (srv *Server) login(ctx context.Context, raw net.Conn, res *startup.Result) (*Session, error) {
	if m := srv.config().Auth.Method; m == config.AuthPassword && !res.Secure() && !startup.Local(raw) {
		err := pgerr.Fatal(pgerr.InvalidAuthorization, "password authentication needs TLS").
			WithHint("Connect with sslmode=require.")
		srv.refuse(res.Conn, err)
		return nil, err
	}
	id, err := srv.auth.Load().Authenticate(ctx, res)
	if err != nil {
		var shown *auth.Failure
		if !errors.As(err, &shown) && !errors.Is(err, auth.ErrClientLeft) {
			srv.refuse(res.Conn, pgerr.Fatal(pgerr.ConnectionFailure, "cannot look up role: no backend answers").
				WithDetail("%v", err))
		}
		srv.log.Info("login_refused", "peer", raw.RemoteAddr().String(), "error", err)
		return nil, err
	}
	s, err := srv.newSession(ctx, raw, res, id)
	if err != nil {
		srv.refuse(res.Conn, err)
		srv.log.Info("session_refused", "peer", raw.RemoteAddr().String(), "user", id.Role.Name,
			"database", res.Session.Database, "error", err)
		return nil, err
	}
	return s, nil
}

func (srv *Server) newSession(ctx context.Context, raw net.Conn, res *startup.Result, id *auth.Identity) (*Session, error) {
	st := res.Session
	var db *Database
	err := srv.whileStarting(ctx, func() (err error) {
		db, err = srv.database(ctx, st.Database)
		return err
	})
	if err != nil {
		return nil, loginError(err, srv.config().Home)
	}
	cred := auth.Credentials{Keys: id.Keys}
	if id.Keys != nil || id.Method == auth.Trust {
		db.setCredentials(id.Role.Name, cred)
	}
	s := &Session{
		srv: srv, db: db, id: srv.sessions.Add(1), nc: res.Conn, raw: raw, user: id.Role.Name, role: id.Role,
		ctx: newInterrupt(srv.run), shown: map[string]string{}, startup: backend.NoSettings,
	}
	s.in = wire.NewReader(wire.NewSource(res.Conn), int(srv.config().Limits.MaxMessage))
	s.out = wire.NewWriter(wire.NewSink(res.Conn))
	s.gang = executor.Gang{
		ID: s.id, Servers: roleServers{db: db, role: s.user, acting: s.actingRole, session: s}, Settings: backend.NoSettings,
		PinAll: srv.config().PoolFor(s.user, db.name).Mode == config.PoolSession,
	}
	if db.replicated {
		s.gang.Sync = durability{db}
	}
	if s.settings.role, err = db.roleSettings(ctx, s.user); err != nil {
		return nil, pgerr.Fatal(pgerr.ConnectionFailure, "cannot read the role's settings").WithDetail("%v", err)
	}
	if e := s.takeStartup(st.Settings); e != nil {
		return nil, fatal(e)
	}
	if s.key, err = srv.cancels.Register(st.Protocol.SecretLength(), func() { go s.Cancel() }); err != nil {
		return nil, err
	}
	if err := s.greet(); err != nil {
		srv.cancels.Remove(s.key.PID)
		s.gang.Close()
		s.ctx.end()
		return nil, err
	}
	return s, nil
}

// loginError words what keeps a database from being opened.
func loginError(err error, home string) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == pgerr.InvalidCatalogName || pg.Code == pgerr.ObjectNotInPrerequisiteState) {
		return &pgerr.Error{Severity: "FATAL", Code: pg.Code, Message: pg.Message, Detail: pg.Detail}
	}
	return pgerr.Fatal(pgerr.ConnectionFailure, "cannot open the database on backend %q", home).WithDetail("%v", err)
}

// takeStartup turns the startup packet's settings into the session's.
func (s *Session) takeStartup(list []startup.Setting) *pgerr.Error {
	set := backend.NoSettings
	for _, kv := range list {
		name := lower(kv.Name)
		switch {
		case name == "client_encoding":
			if !isUTF8(kv.Value) {
				return encodingRefusal(kv.Value)
			}
		case name == "standard_conforming_strings" && !isOn(kv.Value):
			return pgerr.New(pgerr.FeatureNotSupported, "standard_conforming_strings = off is not supported").
				WithHint("Write escape strings as E'…'.")
		case name == "is_superuser" || name == "session_authorization" || name == "role":
			if name != "role" {
				return pgerr.New(pgerr.CantChangeRuntimeParam, "parameter %q cannot be changed", name)
			}
			set = set.With(name, quoteLiteral(kv.Value))
		case isOwn(name):
			if e := s.setOwn(name, &kv.Value, false); e != nil {
				return e
			}
		default:
			set = set.With(name, settingValue(name, kv.Value))
		}
	}
	s.startup, s.gang.Settings = set, set
	s.settings.startup = copyMap(s.settings.current)
	return nil
}

// greet checks on home that the role may use the database and its settings are right, and tells the client what a
// server tells it.
func (s *Session) greet() error {
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		return greetError(err)
	}
	if err := executor.Settle(m); err != nil {
		m.Unclean, m.Owner = true, 0
		s.gang.Close()
		return fatal(executor.ClientError(err))
	}
	if err := s.takeDefaults(m); err != nil {
		return fatal(executor.ClientError(err))
	}
	out := s.out
	for name, value := range m.Params() {
		s.shown[name] = value
		out.Out = wire.ParameterStatus(out.Out, name, value)
	}
	s.gang.Release()
	dst, at := wire.Begin(out.Out, 'K')
	dst = append(dst, byte(s.key.PID>>24), byte(s.key.PID>>16), byte(s.key.PID>>8), byte(s.key.PID))
	out.Out = wire.End(append(dst, s.key.Secret...), at)
	out.Out = wire.ReadyForQuery(out.Out, 'I')
	return out.Flush()
}

// greetError passes on what home said to the login: that the role may not connect, that the database is full.
func greetError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return &pgerr.Error{Severity: "FATAL", Code: pg.Code, Message: pg.Message, Detail: pg.Detail, Hint: pg.Hint}
	}
	return fatal(executor.ClientError(err))
}

// converse serves the session to its end and cleans up behind it.
func (srv *Server) converse(s *Session) {
	srv.mu.Lock()
	srv.living[s] = struct{}{}
	gone := srv.databases[s.db.name] != s.db
	srv.mu.Unlock()
	s.gang.Pass = s.db.barrier.NewPass()
	unwatch := srv.watcher.watch(s)
	var err error
	if gone {
		err = s.bye(pgerr.CannotConnectNow, "the database is being dropped, renamed or copied")
	} else {
		err = s.serveSafely()
	}
	unwatch()
	srv.mu.Lock()
	delete(srv.living, s)
	srv.mu.Unlock()
	srv.cancels.Remove(s.key.PID)
	s.end()
	if err != nil && !errors.Is(err, errTerminated) {
		srv.log.Debug("session_lost", "session", s.id, "user", s.user, "database", s.db.name, "error", err)
	}
}

// serveSafely is serve, but a bug ends one session and not the process: its client is told, its connections are
// closed, and the log has the stack.
func (s *Session) serveSafely() (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		s.srv.log.Error("session_bug", "session", s.id, "bug", fmt.Sprint(p), "stack", string(debug.Stack()))
		for _, m := range s.gang.Members() {
			_ = m.Lost(errBug)
		}
		err = s.bye(pgerr.InternalError, "internal error: the session ends")
	}()
	return s.serve()
}

var errBug = errors.New("internal error")

// end gives back what the session holds. An open transaction is rolled back by closing its connections.
func (s *Session) end() {
	for _, p := range s.portals {
		if p.scatter != nil {
			p.scatter.Close(s.ctx)
		}
	}
	s.gang.Close()
	if s.gang.Pass != nil {
		s.gang.Pass.Drop()
	}
	s.dropStatements()
	s.stopListening()
	s.in.Drop()
	s.ctx.end()
}

// drain ends every session at its next boundary, and those that reach none in time all the same.
func (srv *Server) drain() {
	limit := srv.config().Timeouts.Shutdown.D()
	deadline := time.Now().Add(limit)
	srv.eachSession(func(s *Session) {
		s.dying.Store(true)
		if s.running.Load() == 0 && s.between.Load() {
			// Wakes a session that waits for its client.
			_ = s.nc.SetReadDeadline(time.Unix(1, 0))
		}
	})
	for srv.countSessions() > 0 && time.Now().Before(deadline) {
		srv.eachSession(func(s *Session) {
			if s.running.Load() == 0 && s.between.Load() {
				_ = s.nc.SetReadDeadline(time.Unix(1, 0))
			}
		})
		time.Sleep(10 * time.Millisecond)
	}
	srv.eachSession(func(s *Session) {
		s.Cancel()
		_ = s.nc.SetDeadline(time.Unix(1, 0))
	})
}

func (srv *Server) eachSession(f func(*Session)) {
	srv.mu.Lock()
	all := make([]*Session, 0, len(srv.living))
	for s := range srv.living {
		all = append(all, s)
	}
	srv.mu.Unlock()
	for _, s := range all {
		f(s)
	}
}

func (srv *Server) countSessions() int {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return len(srv.living)
}

var errStatementTimeout = pgerr.New(pgerr.QueryCanceled, "canceling statement due to statement timeout")

// watchTimeouts cancels statements that run for longer than timeouts.query.
func (srv *Server) watchTimeouts(ctx context.Context) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			limit := srv.config().Timeouts.Query.D()
			if limit <= 0 {
				continue
			}
			srv.eachSession(func(s *Session) {
				began := s.started.Load()
				if began != 0 && now.UnixNano()-began > int64(limit) && s.expired.CompareAndSwap(false, true) {
					go s.sentence(s.running.Load(), errStatementTimeout)
				}
			})
		}
	}
}
