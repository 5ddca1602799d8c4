package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// hub receives notifications of every backend for the sessions of one database: NOTIFY reaches all listeners,
// whichever backend it ran on, and a client that listens pins no connection.
type hub struct {
	db *Database

	mu       sync.Mutex
	channels map[string]map[*Session]struct{}
	ears     []*ear // by backend; made with the first LISTEN
}

// ear is one backend's listening connection.
type ear struct {
	hub   *hub
	index int

	mu    sync.Mutex
	conn  *backend.Conn
	acks  []chan struct{} // one for each statement sent
	ready chan struct{}   // closed when conn is in place and listens
}

// earRetry is how long an ear waits before it connects again.
const earRetry = 500 * time.Millisecond

// listen adds s to a channel's listeners and returns once the backends have been told.
func (h *hub) listen(s *Session, channel string) {
	h.mu.Lock()
	if h.ears == nil {
		h.start()
	}
	if h.channels[channel] == nil {
		h.channels[channel] = map[*Session]struct{}{}
	}
	h.channels[channel][s] = struct{}{}
	// Said again for a channel that others listen to: their LISTEN may still be on its way.
	wait := h.tell("LISTEN " + quoteIdent(channel))
	h.mu.Unlock()
	wait(s.ctx)
}

// unlisten removes s from a channel.
func (h *hub) unlisten(s *Session, channel string) {
	h.mu.Lock()
	subs := h.channels[channel]
	delete(subs, s)
	wait := func(context.Context) {}
	if subs != nil && len(subs) == 0 {
		delete(h.channels, channel)
		wait = h.tell("UNLISTEN " + quoteIdent(channel))
	}
	h.mu.Unlock()
	wait(s.srv.run)
}

// tell sends a statement to every ear; h.mu is held, so that the backends hear of changes in their order. The result,
// called without h.mu, waits until they have been made. A backend that is down is waited for only for a moment.
func (h *hub) tell(sql string) (wait func(context.Context)) {
	var told, absent []<-chan struct{}
	for _, e := range h.ears {
		if done, sent := e.send(sql); sent {
			told = append(told, done)
		} else {
			absent = append(absent, done)
		}
	}
	return func(ctx context.Context) {
		await(ctx, controlTimeout, told)
		await(ctx, earRetry, absent)
	}
}

// await waits until all channels are closed, or for as long as limit.
func await(ctx context.Context, limit time.Duration, all []<-chan struct{}) {
	if len(all) == 0 {
		return
	}
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	for _, done := range all {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// start makes the ears; h.mu is held.
func (h *hub) start() {
	h.channels = map[string]map[*Session]struct{}{}
	for i, t := range h.db.targets {
		if t.Address == "" {
			continue
		}
		e := &ear{hub: h, index: i, ready: make(chan struct{})}
		h.ears = append(h.ears, e)
		h.db.srv.bg.Go(func() { e.run(h.db.life) })
	}
}

// send sends a statement. done is closed once it has run, or, where sent is false, once the ear is connected and
// listens to every channel of the hub.
func (e *ear) send(sql string) (done <-chan struct{}, sent bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil {
		return e.ready, false
	}
	ack := make(chan struct{})
	e.acks = append(e.acks, ack)
	// An error is noticed by run, which connects again and closes ack.
	_, _ = e.conn.Conn.Write(wire.Query(nil, sql))
	return ack, true
}

// run keeps the ear connected until ctx ends.
func (e *ear) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := e.connect(ctx); err == nil {
			e.hear(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(earRetry):
		}
	}
}

func (e *ear) connect(ctx context.Context) error {
	db := e.hub.db
	t, err := db.targetOf(e.index)
	if err != nil {
		return err
	}
	b, _ := db.srv.config().Backend(t.Name)
	var cred auth.Credentials
	if p, err := b.Credentials.Password(); err == nil {
		cred.Password = auth.Secret(p.Reveal())
	}
	c, err := backend.Dial(ctx, t, map[string]string{
		"user": b.Credentials.User, "database": db.name, "client_encoding": "UTF8", "application_name": "pleiad listener",
	}, cred)
	if err != nil {
		return err
	}
	e.hub.mu.Lock()
	var sql string
	for channel := range e.hub.channels {
		sql += "LISTEN " + quoteIdent(channel) + ";"
	}
	e.hub.mu.Unlock()
	if sql != "" {
		// What is notified from now on is heard once this returns.
		if _, err := c.Roundtrip(sql); err != nil {
			c.Close()
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = c
	close(e.ready)
	return nil
}

// hear reads until the connection ends.
func (e *ear) hear(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = e.conn.Conn.Close() })
	defer stop()
	for {
		typ, frame, err := e.conn.Next()
		if err != nil {
			break
		}
		switch typ {
		case 'A':
			e.hub.dispatch(frame)
		case 'Z':
			e.mu.Lock()
			if len(e.acks) > 0 {
				close(e.acks[0])
				e.acks = e.acks[1:]
			}
			e.mu.Unlock()
		}
	}
	e.mu.Lock()
	for _, a := range e.acks {
		close(a)
	}
	e.acks, e.ready = nil, make(chan struct{})
	c := e.conn
	e.conn = nil
	e.mu.Unlock()
	c.Close()
}

// sever breaks the ear's connection to a backend, whose primary is another server from now on.
func (h *hub) sever(b int) {
	h.mu.Lock()
	ears := append([]*ear(nil), h.ears...)
	h.mu.Unlock()
	for _, e := range ears {
		e.mu.Lock()
		if e.index == b && e.conn != nil {
			_ = e.conn.Conn.Close()
		}
		e.mu.Unlock()
	}
}

// dispatch hands a notification to the sessions that listen on its channel.
func (h *hub) dispatch(frame []byte) {
	b := wire.BodyOf(frame)
	b.Int32()
	channel := b.Text()
	h.mu.Lock()
	var subs []*Session
	for s := range h.channels[string(channel)] {
		subs = append(subs, s)
	}
	h.mu.Unlock()
	for _, s := range subs {
		s.inbox.push(s, frame)
	}
}

// inbox holds notifications until the session stands between statements, and outside of a transaction.
type inbox struct {
	mu      sync.Mutex
	queue   []byte
	open    bool          // the session waits for its client: write at once
	writing chan struct{} // closed when the goroutine that writes to the client ends; nil when there is none
	used    bool
	full    bool
}

// inboxBytes bounds what is kept for a session that is in a transaction, or whose client does not read; beyond it,
// notifications are dropped as PostgreSQL's queue would fill up, and the client is told.
const inboxBytes = 8 << 20

// push never waits for the client: other sessions' notifications come behind this one.
func (i *inbox) push(s *Session, frame []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.queue)+len(frame) > inboxBytes {
		i.full = true
		return
	}
	i.queue = append(i.queue, frame...)
	if i.open && i.writing == nil {
		i.writing = make(chan struct{})
		s.srv.bg.Go(func() { i.write(s) })
	}
}

// write passes on what comes while the session waits for its client. The end of the socket ends it.
func (i *inbox) write(s *Session) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for i.open && len(i.queue) > 0 {
		b := i.queue
		i.queue = nil
		i.mu.Unlock()
		_, _ = s.nc.Write(b) // a client that is gone is noticed by the session
		i.mu.Lock()
	}
	close(i.writing)
	i.writing = nil
}

// deliver writes what has come and, from now on, lets notifications through as they come.
func (i *inbox) deliver(s *Session) error {
	if !i.used {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !s.quiet() {
		return nil
	}
	s.out.Out = append(s.out.Out, i.queue...)
	i.queue = nil
	if i.full {
		i.full = false
		s.warn(pgerr.OutOfMemory, "notifications were dropped: the session was in a transaction, or did not read, for too long")
	}
	i.open = true
	return s.out.Flush()
}

// shut keeps notifications back while a statement runs.
func (i *inbox) shut() {
	if !i.used {
		return
	}
	i.mu.Lock()
	i.open = false
	writing := i.writing
	i.mu.Unlock()
	if writing != nil {
		<-writing // what follows goes to the same socket
	}
}

// runListen is LISTEN, UNLISTEN and NOTIFY. In a transaction the first two take effect when it commits.
func (s *Session) runListen(r *request) error {
	t := r.tmpl
	if t.Kind == router.KindNotify {
		return s.forward(r, s.db.home)
	}
	change := listenChange{channel: t.Name, on: t.Kind == router.KindListen}
	s.openPipeline()
	if s.gang.Txn.State != executor.TxnNone {
		s.listenLater = append(s.listenLater, change)
	} else {
		s.applyListen(change)
	}
	s.tag(t.Command)
	return nil
}

type listenChange struct {
	channel string
	on      bool
}

func (s *Session) applyListen(c listenChange) {
	switch {
	case c.on && !s.listening[c.channel]:
		if s.listening == nil {
			s.listening = map[string]bool{}
		}
		s.inbox.used = true
		s.listening[c.channel] = true
		s.db.hub.listen(s, c.channel)
	case c.on:
	case c.channel == "*":
		s.stopListening()
	case s.listening[c.channel]:
		delete(s.listening, c.channel)
		s.db.hub.unlisten(s, c.channel)
	}
}

// startListening does, just before a transaction commits, what LISTEN asked for in it: a transaction hears its own
// notifications. It returns what to take back if the commit fails.
func (s *Session) startListening() (undo []listenChange) {
	for _, c := range s.listenLater {
		if c.on && !s.listening[c.channel] {
			s.applyListen(c)
			undo = append(undo, listenChange{channel: c.channel})
		}
	}
	return undo
}

// settleListening ends the transaction for LISTEN and UNLISTEN.
func (s *Session) settleListening(committed bool) {
	later := s.listenLater
	s.listenLater = nil
	if !committed {
		return
	}
	for _, c := range later {
		s.applyListen(c)
	}
}

// commit commits the open transaction, or rolls it back and says why: the ErrorResponse for the client.
func (s *Session) commit() (errFrame []byte) {
	undo := s.startListening()
	s.gang.Txn.Sync = s.gang.Txn.Sync || s.syncAtEnd()
	for _, m := range s.gang.Members() {
		if m.Began {
			s.noteUse(m)
		}
	}
	written := s.replicatedWriters()
	s.committing.Store(s.gang.Txn.Sync)
	errFrame = s.gang.Commit(s.ctx, s.out, s)
	s.committing.Store(false)
	if errFrame == nil {
		s.warnDegraded(written)
		s.afterCommit()
		return nil
	}
	if executor.Committed(errFrame) {
		s.afterCommit()
		return errFrame
	}
	for _, c := range undo {
		s.applyListen(c)
	}
	s.closeHeld()
	s.afterRollback()
	return s.gang.JudgedFrame(errFrame)
}

func (s *Session) stopListening() {
	for c := range s.listening {
		s.db.hub.unlisten(s, c)
	}
	s.listening = nil
}
