package backend

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/wire"
)

// Target is how one server of a backend is reached.
type Target struct {
	Index     int    // of the backend's primary, or of one of its replicas; see Key
	Name      string // the backend's
	Server    string // the server's
	Network   string // "tcp" or "unix"
	Address   string
	TLS       *auth.ClientTLS
	Timeout   time.Duration // to be connected and logged in
	KeepAlive time.Duration
	// Generation is that of the backend: in a later one the connection is not lent any more.
	Generation uint64
	// Load counts the server's connections that are lent; may be nil.
	Load *atomic.Int64
}

// Dial opens a session on the target.
func Dial(ctx context.Context, t Target, params map[string]string, cred auth.Credentials) (*Conn, error) {
	if t.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.Timeout)
		defer cancel()
	}
	d := net.Dialer{KeepAlive: t.KeepAlive}
	nc, err := d.DialContext(ctx, t.Network, t.Address)
	if err != nil {
		return nil, &DialError{Backend: t.Name, Err: err}
	}
	hello, err := auth.Login(ctx, nc, t.TLS, params, cred)
	if err != nil {
		return nil, &DialError{Backend: t.Name, Err: err}
	}
	c := New(hello.Conn, t, hello.Parameters)
	c.Status, c.pid, c.secret = hello.TxStatus, uint32(hello.PID), hello.Secret
	return c, nil
}

// New makes a Conn of a session on the target that is logged in and idle; params are its reported settings.
func New(nc net.Conn, t Target, params map[string]string) *Conn {
	if params == nil {
		params = map[string]string{}
	}
	return &Conn{
		Conn: nc, R: wire.NewReader(wire.NewSource(nc), MaxFrame),
		Backend: t.Index, Name: t.Name, Server: t.Server, Status: 'I', params: params,
		generation: t.Generation, load: t.Load,
	}
}

// CancelRequest asks the target to cancel what c runs, and waits until the server has passed it on.
func CancelRequest(ctx context.Context, t Target, c *Conn) error {
	if len(c.secret) == 0 {
		return fmt.Errorf("cancel on backend %q: the server gave no cancel key", t.Name)
	}
	if t.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, t.Timeout)
		defer stop()
	}
	d := net.Dialer{}
	nc, err := d.DialContext(ctx, t.Network, t.Address)
	if err != nil {
		return &DialError{Backend: t.Name, Err: err}
	}
	if err := auth.CancelBackend(ctx, nc, t.TLS, int32(c.pid), c.secret); err != nil {
		return fmt.Errorf("cancel on backend %q: %w", t.Name, err)
	}
	return nil
}
