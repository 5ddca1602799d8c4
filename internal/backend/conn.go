// Package backend holds connections to PostgreSQL servers: opening them as the client's own role, pooling them
// by backend, database and role, and what is known of each one's session state.
package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pleiad/pleiad/internal/wire"
)

// MaxFrame is the longest frame accepted from a server: PostgreSQL's own limit of 1 GiB.
const MaxFrame = 1 << 30

// ErrLost says that a server connection broke; what was sent on it may or may not have run.
var ErrLost = errors.New("server connection lost")

// Conn is one server session. It is owned by one goroutine at a time: the session it is lent to, or the pool.
type Conn struct {
	net.Conn
	R       *wire.Reader
	Backend int    // the pool's Key.Backend
	Name    string // backend's name, for messages
	Server  string // the server's name

	// Out is what has been composed and not yet sent; Send writes it.
	Out []byte

	// Status is the transaction status of the last ReadyForQuery: 'I', 'T' or 'E'.
	Status byte
	// Owed counts ReadyForQuery messages that the server still owes; a connection returns to its pool only
	// with Owed 0 and Status 'I'.
	Owed int

	// Settings names the client settings that are in force on this connection (Settings.ID).
	Settings uint64
	// Unclean is true when a statement may have left session state: it is discarded before the connection
	// serves another client.
	Unclean bool
	// Owner is the session that Unclean state belongs to.
	Owner uint64

	// Statements are the prepared statements this server session has.
	Statements Statements
	// Unnamed is the id of the statement the unnamed one holds, 0 for none. A simple query drops it.
	Unnamed uint64

	// Linger, when set, is called once the connection is closed: the server may still work for it, so that its place
	// in the pool is taken until gone is called.
	Linger func(gone func())

	sink    io.Writer // writes to Conn
	params  map[string]string
	pid     uint32
	secret  []byte
	broken  bool
	cause   error // why it is broken
	pool    *Pool
	created time.Time
	used    time.Time
	keeper  uint64 // who may want it back (Keep); the pool's lock guards it

	generation uint64
	load       *atomic.Int64 // of the server; may be nil

	cancelling sync.WaitGroup
	cancels    atomic.Int32
}

// PID is the server's process id of this session.
func (c *Conn) PID() uint32 { return c.pid }

// Param returns the last ParameterStatus value of name.
func (c *Conn) Param(name string) string { return c.params[name] }

// Params returns the reported settings; the map belongs to the connection.
func (c *Conn) Params() map[string]string { return c.params }

// NoteParameter records a ParameterStatus frame and returns its name and value, and whether it differs from
// what was known.
func (c *Conn) NoteParameter(frame []byte) (name, value string, changed bool) {
	b := wire.BodyOf(frame)
	n, v := b.Text(), b.Text()
	if b.Err() != nil {
		return "", "", false
	}
	if c.params[string(n)] == string(v) {
		return string(n), string(v), false
	}
	c.params[string(n)] = string(v)
	return string(n), string(v), true
}

// Send writes Out.
func (c *Conn) Send() error {
	if c.broken {
		return c.Lost(net.ErrClosed)
	}
	if len(c.Out) == 0 {
		return nil
	}
	if c.sink == nil {
		c.sink = wire.NewSink(c.Conn)
	}
	_, err := c.sink.Write(c.Out)
	c.Out = c.Out[:0]
	if cap(c.Out) > 64<<10 {
		c.Out = nil
	}
	if err != nil {
		return c.Lost(err)
	}
	return nil
}

// Lost marks the connection as broken: nothing is read from it or written to it any more. It wraps err, or what
// broke the connection first.
func (c *Conn) Lost(err error) error {
	c.broken = true
	if c.cause == nil {
		c.cause = &LostError{Backend: c.Name, Err: err}
	}
	return c.cause
}

// Broken tells whether the connection can never be used again.
func (c *Conn) Broken() bool { return c.broken }

// LostError is a server connection that broke while it was in use.
type LostError struct {
	Backend string
	Err     error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("lose connection to backend %q: %v", e.Backend, e.Err)
}

// Unwrap gives ErrLost and the cause.
func (e *LostError) Unwrap() []error { return []error{ErrLost, e.Err} }

// Idle tells whether the session is between transactions with nothing owed.
func (c *Conn) Idle() bool {
	return !c.broken && c.Owed == 0 && c.Status == 'I' && len(c.Out) == 0 && c.R.Buffered() == 0
}

// Close ends the server session.
func (c *Conn) Close() {
	if !c.broken {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Conn.Write(wire.Terminate(nil))
	}
	c.broken = true
	_ = c.Conn.Close()
	c.R.Drop()
}

// Next reads the next frame from the server; a stream that ends is ErrLost.
func (c *Conn) Next() (typ byte, frame []byte, err error) {
	if c.broken {
		return 0, nil, c.Lost(net.ErrClosed)
	}
	typ, frame, err = c.R.Next()
	if err != nil {
		return 0, nil, c.Lost(err)
	}
	return typ, frame, nil
}

// Ready accounts for a ReadyForQuery frame.
func (c *Conn) Ready(frame []byte) error {
	if len(frame) != wire.HeaderLen+1 || c.Owed <= 0 {
		return c.Lost(errors.New("unexpected ReadyForQuery"))
	}
	switch status := frame[wire.HeaderLen]; status {
	case 'I', 'T', 'E':
		c.Status = status
		c.Owed--
		return nil
	default:
		return c.Lost(fmt.Errorf("unknown transaction status %q", status))
	}
}

// Roundtrip runs sql as a simple query whose rows nobody wants, and returns the first ErrorResponse frame, if any.
func (c *Conn) Roundtrip(sql string) (errFrame []byte, err error) {
	c.Out = wire.Query(c.Out, sql)
	c.Owed++
	c.Unnamed = 0
	if err := c.Send(); err != nil {
		return nil, err
	}
	return c.Drain(nil)
}

// Drain reads until nothing is owed, giving DataRow frames to row when it is set. It returns a copy of the
// first ErrorResponse.
func (c *Conn) Drain(row func(frame []byte)) (errFrame []byte, err error) {
	for c.Owed > 0 {
		typ, frame, err := c.Next()
		if err != nil {
			return errFrame, err
		}
		switch typ {
		case 'Z':
			if err := c.Ready(frame); err != nil {
				return errFrame, err
			}
		case 'E':
			if errFrame == nil {
				errFrame = append([]byte(nil), frame...)
			}
		case 'D':
			if row != nil {
				row(frame)
			}
		case 'S':
			c.NoteParameter(frame)
		case 'G':
			c.Out = wire.CopyFail(c.Out, "unexpected COPY")
			if err := c.Send(); err != nil {
				return errFrame, err
			}
		}
	}
	return errFrame, nil
}

// Hold keeps the pool from lending the connection again until Unhold. It is called, under the lock that guards the
// borrower's list of connections, before Cancel.
func (c *Conn) Hold() {
	c.cancels.Add(1)
	c.cancelling.Add(1)
}

// Unhold ends Hold.
func (c *Conn) Unhold() { c.cancelling.Done() }

// Cancel asks the server to cancel what this connection runs. Any goroutine that holds it (Hold) may call it.
func (c *Conn) Cancel(ctx context.Context) error { return c.pool.cancel(ctx, c) }
