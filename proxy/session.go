package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/cancelkey"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Session is one client. One goroutine runs it; Cancel, notifications and the hang-up watcher come from others
// and touch only what says so.
type Session struct {
	srv  *Server
	db   *Database
	id   uint64
	nc   net.Conn
	in   *wire.Reader
	out  *wire.Writer
	user string
	role auth.Role
	key  cancelkey.Key

	ctx  *interrupt // ends waits when the statement is cancelled or the client is gone
	gang executor.Gang

	// shown is the ParameterStatus values that the client knows.
	shown map[string]string

	raw     net.Conn          // the socket below TLS
	startup *backend.Settings // what the startup packet set
	vals    router.Values
	between atomic.Bool // waits for the client, between transactions

	planner  planner
	scanner  sqlparse.Scanner
	spans    []sqlparse.Span
	named    naming
	pointing pointing
	read     readingOf
	settings settings
	reads    reads
	repeat   repeat
	// defaultIsolation is default_transaction_isolation where the session has not set it.
	defaultIsolation string
	stmts            map[string]*statement
	unnamed          *statement
	called           map[uint32]calledFunction // by home's oids
	portals          map[string]*portal
	cursors          cursors
	messageText      string // the simple query at hand, once a cursor keeps it
	batch            batch
	listening        map[string]bool
	inbox            inbox
	listenLater      []listenChange // until the transaction commits

	// skip is true from an error in the extended protocol to the next Sync.
	skip bool
	// running is the number of the statement that runs now, 0 between statements; for the watchers.
	running atomic.Uint64
	count   uint64
	started atomic.Int64 // when the running statement began, Unix nanoseconds; 0 when none is timed
	expired atomic.Bool  // the running statement was cancelled by timeouts.query
	// committing is true while a commit that may wait for standbys is on its way: it is not cancelled.
	committing atomic.Bool
	dying      atomic.Bool // the server shuts down: end at the next boundary
}

// errTerminated is a session that ended in good order.
var errTerminated = errors.New("session terminated")

// serve runs the session until its client leaves. It returns errTerminated when all was in order.
func (s *Session) serve() error {
	for {
		if !s.whole() {
			if err := s.idle(); err != nil {
				return err
			}
		}
		typ, frame, err := s.in.Next()
		s.between.Store(false)
		if err != nil {
			// A notification that is being written to a client that does not read must not keep the session.
			_ = s.nc.SetWriteDeadline(time.Now().Add(time.Second))
		}
		s.inbox.shut()
		if err != nil {
			return s.readFailed(err)
		}
		if err := s.message(typ, frame); err != nil {
			return err
		}
	}
}

func (s *Session) whole() bool {
	_, _, ok := s.in.Whole()
	return ok
}

// idle is called before the session waits for its client: everything owed is written, and buffers go back.
func (s *Session) idle() error {
	if s.in.Buffered() == 0 {
		if s.dying.Load() && s.quiet() {
			return s.bye(pgerr.AdminShutdown, "terminating connection due to administrator command")
		}
		if err := s.inbox.deliver(s); err != nil {
			return err
		}
		s.in.Release()
		s.between.Store(s.quiet())
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	s.out.Release()
	s.repeat.release()
	return s.armIdleTimeout()
}

// quiet tells whether the session stands between transactions with no batch under way.
func (s *Session) quiet() bool {
	return s.gang.Txn.State == executor.TxnNone && !s.batch.open
}

// armIdleTimeout sets the read deadline that the configuration asks for while the client is silent.
func (s *Session) armIdleTimeout() error {
	t := s.srv.config().Timeouts
	limit := t.ClientIdle.D()
	if s.gang.Txn.State != executor.TxnNone {
		limit = t.IdleInTransaction.D()
	}
	if limit <= 0 {
		if s.batch.deadline {
			s.batch.deadline = false
			return s.nc.SetReadDeadline(time.Time{})
		}
		return nil
	}
	s.batch.deadline = true
	return s.nc.SetReadDeadline(time.Now().Add(limit))
}

// readFailed ends the session whose client cannot be read from any more.
func (s *Session) readFailed(err error) error {
	switch {
	case err == io.EOF:
		return errTerminated
	case errors.Is(err, os.ErrDeadlineExceeded) && s.dying.Load():
		return s.bye(pgerr.AdminShutdown, "terminating connection due to administrator command")
	case errors.Is(err, os.ErrDeadlineExceeded) && s.gang.Txn.State != executor.TxnNone:
		return s.bye(pgerr.IdleInTransactionTimeout, "terminating connection due to idle-in-transaction timeout")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s.bye(pgerr.IdleSessionTimeout, "terminating connection due to idle-session timeout")
	case errors.Is(err, wire.ErrTooLarge), errors.Is(err, wire.ErrBadLength):
		return s.bye(pgerr.ProtocolViolation, "invalid message length")
	}
	return err
}

// bye tells the client why its session ends.
func (s *Session) bye(code, message string) error {
	s.out.Hold = false
	s.out.Out = wire.Error(s.out.Out, pgerr.Fatal(code, "%s", message))
	_ = s.nc.SetWriteDeadline(time.Now().Add(time.Second))
	_ = s.out.Flush()
	return errTerminated
}

// handle is the one switch of the client's protocol.
func (s *Session) handle(typ byte, frame []byte) error {
	if s.skip && typ != 'S' && typ != 'X' {
		switch typ {
		case 'P', 'B', 'D', 'E', 'C', 'H', 'd', 'c', 'f', 'Q', 'F':
			return nil
		}
	}
	switch typ {
	case 'Q':
		return s.onQuery(frame)
	case 'P':
		return s.onParse(frame)
	case 'B':
		return s.onBind(frame)
	case 'D':
		return s.onDescribe(frame)
	case 'E':
		return s.onExecute(frame)
	case 'C':
		return s.onClose(frame)
	case 'H':
		if len(frame) != wire.HeaderLen {
			return s.failBatch(errFormat)
		}
		return s.onFlush()
	case 'S':
		if len(frame) != wire.HeaderLen {
			s.fail(errFormat)
		}
		return s.onSync()
	case 'X':
		return errTerminated
	case 'd', 'c', 'f':
		// Left over from a COPY that failed: PostgreSQL ignores them too.
		return nil
	case 'F':
		return s.onFunctionCall(frame)
	default:
		return s.bye(pgerr.ProtocolViolation, "invalid frontend message type "+itoa(int(typ)))
	}
}

var errFormat = pgerr.New(pgerr.ProtocolViolation, "invalid message format")

// fail tells the client of an error and does to the transaction what an error does.
func (s *Session) fail(e *pgerr.Error) {
	s.out.Out = wire.Error(s.out.Out, s.gang.Judged(e))
	s.failed()
}

// failFrame is fail for a server's own ErrorResponse.
func (s *Session) failFrame(frame []byte) {
	s.out.Out = append(s.out.Out, s.gang.JudgedFrame(frame)...)
	s.failed()
}

// failed marks the transaction, if there is one, as aborted.
func (s *Session) failed() {
	if s.gang.Txn.State != executor.TxnNone {
		s.gang.Txn.Failed = true
	}
	s.batch.failed = true
}

// status is the transaction status that ReadyForQuery tells.
func (s *Session) status() byte {
	switch {
	case s.gang.Txn.State != executor.TxnExplicit:
		return 'I'
	case s.gang.Txn.Failed:
		return 'E'
	}
	return 'T'
}

// ready ends a message with ReadyForQuery; between transactions the connections go back.
func (s *Session) ready() error {
	if s.reads.touched {
		s.reads.settle(time.Now())
	}
	switch {
	case s.gang.Txn.State == executor.TxnNone:
		s.release()
	case s.gang.Txn.Failed:
		s.gang.Unlock(s.out, s)
	}
	s.done()
	s.out.Out = wire.ReadyForQuery(s.out.Out, s.status())
	return s.out.Spill()
}

// release gives connections back and forgets what ended with the transaction.
func (s *Session) release() {
	s.dropBroken()
	s.gang.Release()
	s.gang.Pass.End()
	if len(s.portals) > 0 {
		s.dropPortals()
	}
}

// dropBroken closes connections whose state is not known any more.
func (s *Session) dropBroken() {
	for _, m := range s.gang.Members() {
		if m.Broken() {
			s.repeat.lost(m)
			s.gang.Drop(m)
			s.dropBroken()
			return
		}
	}
}

// begin marks the start of a statement for the watchers.
func (s *Session) beginWork() {
	s.gang.Pass.Begin()
	s.count++
	s.running.Store(s.count)
	if s.srv.timed.Load() {
		s.expired.Store(false)
		s.started.Store(time.Now().UnixNano())
	}
}

// done marks its end.
func (s *Session) done() {
	s.running.Store(0)
	if s.gang.Verdict.Load() != nil {
		s.gang.Verdict.Store(nil)
	}
	if s.srv.timed.Load() {
		s.started.Store(0)
	}
	s.ctx.reset()
}

// serverMajor is home's major version, as home has told it the client.
func (s *Session) serverMajor() (n int) {
	if _, err := fmt.Sscanf(s.shown["server_version"], "%d", &n); err != nil {
		return 0
	}
	return n
}

// Parameter implements executor.Observer.
func (s *Session) Parameter(name, value string) bool {
	if s.shown[name] == value {
		return false
	}
	s.shown[name] = value
	return true
}

// Cancel stops what the session runs; any goroutine may call it.
func (s *Session) Cancel() {
	if s.running.Load() == 0 {
		return
	}
	s.ctx.cancel()
	if s.committing.Load() {
		// PostgreSQL would report a commit that is not replicated; replication.sync_timeout bounds the wait.
		return
	}
	ctx, stop := s.srv.cancelContext()
	defer stop()
	s.gang.Cancel(ctx)
}
