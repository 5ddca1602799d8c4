// Package startup reads what a client sends before it has proved who it is: TLS, GSS and cancel requests and
// the startup packet. Nothing read here is applied; it is handed over as data for after authentication.
//
// The rules are those of PostgreSQL's backend_startup.c (postmaster.c before version 17).
package startup

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"time"
)

// Options are how one listener treats fresh sockets. The zero value has no TLS.
type Options struct {
	// TLS is nil when TLS is not offered: an SSLRequest is then answered N.
	TLS *TLS
	// RequireTLS refuses sessions, but not cancel requests, in clear text. Unix sockets are exempt.
	RequireTLS bool
}

// Result is one accepted start. Exactly one of Session and Cancel is set.
type Result struct {
	// Conn replaces the socket given to Accept: *tls.Conn after a handshake. No byte beyond the last packet
	// has been taken from it.
	Conn net.Conn
	// Certificate is the one shown to the client, for channel binding; nil without TLS.
	Certificate *x509.Certificate

	Session *Session
	Cancel  *CancelRequest
}

// Secure says that the client's side is encrypted.
func (r *Result) Secure() bool { return r.Certificate != nil }

// Session is what a startup packet asked for. User and Database are never empty; any string in here may hold
// bytes that are not UTF-8.
type Session struct {
	// Protocol is the version in force, after negotiation.
	Protocol Version
	User     string
	Database string
	// Settings are run-time parameters in the order in which PostgreSQL sets them: those of the options
	// parameter first. A later one of the same name (letter case does not count) wins. Names and values are
	// unchecked; to be applied only after authentication.
	Settings []Setting
}

// Setting is one run-time parameter with the client's spelling.
type Setting struct{ Name, Value string }

// CancelRequest asks for the cancellation of what the session with this key runs.
type CancelRequest struct {
	PID int32
	// Secret is 1 to 256 bytes long; sessions have 4 (3.0) or 32 (3.2).
	Secret []byte
}

// Version is a protocol version.
type Version struct{ Major, Minor uint16 }

// The protocol versions that are served.
var (
	Protocol30 = Version{3, 0}
	Protocol32 = Version{3, 2}
)

// AtLeast compares versions.
func (v Version) AtLeast(w Version) bool {
	return v.Major > w.Major || v.Major == w.Major && v.Minor >= w.Minor
}

func (v Version) code() uint32 { return uint32(v.Major)<<16 | uint32(v.Minor) }

func versionOf(code uint32) Version { return Version{uint16(code >> 16), uint16(code)} }

// SecretLength is the length in bytes of the cancel key of a session with this version.
func (v Version) SecretLength() int {
	if v.AtLeast(Protocol32) {
		return 32
	}
	return 4
}

// Errors of Accept that the client is not told about: the socket is just to be closed, as PostgreSQL does.
var (
	// ErrNoStartup: the client left without a single byte, as port scanners and health checks do.
	ErrNoStartup = errors.New("connection closed before a startup packet")
	// ErrInvalidLength: a packet length below 8 or above the cap.
	ErrInvalidLength = errors.New("invalid length of startup packet")
	// ErrInvalidCancel: a cancel request without a key or with one that is too long.
	ErrInvalidCancel = errors.New("invalid length of cancel request")
	// ErrPlaintextAfterSSLRequest: bytes arrived in clear text where the handshake has to start (CVE-2021-23214).
	ErrPlaintextAfterSSLRequest = errors.New("received unencrypted data after SSL request")
	// ErrDirectTLSWithoutALPN: TLS without SSLRequest has to negotiate the protocol "postgresql".
	ErrDirectTLSWithoutALPN = errors.New("received direct SSL connection request without ALPN protocol negotiation")
	// ErrDirectTLSDisabled: a TLS handshake where TLS is not offered.
	ErrDirectTLSDisabled = errors.New("received direct SSL connection request without SSL support")
)

// Guard makes all I/O on conn fail once ctx is done. Release ends that: it returns the reason when ctx was done
// before, and else leaves conn without a deadline.
func Guard(ctx context.Context, conn net.Conn) (release func() error) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		// A failure means that conn is closed, and then I/O fails as well.
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
	return func() error {
		if stop() {
			return nil
		}
		<-fired
		return context.Cause(ctx)
	}
}

// Local says that the peer is on this machine: a Unix socket or a loopback address.
func Local(conn net.Conn) bool {
	switch a := conn.RemoteAddr().(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	default:
		return false
	}
}
