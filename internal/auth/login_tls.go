package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/pleiad/pleiad/internal/startup"
)

// sslRequestCode is NEGOTIATE_SSL_CODE of pqcomm.h, cancelRequestCode CANCEL_REQUEST_CODE.
const (
	sslRequestCode    = 1234<<16 | 5679
	cancelRequestCode = 1234<<16 | 5678
)

// SSLMode has libpq's names and meanings.
type SSLMode string

// The modes, from lax to strict.
const (
	SSLDisable    SSLMode = "disable"
	SSLPrefer     SSLMode = "prefer"
	SSLRequire    SSLMode = "require"
	SSLVerifyCA   SSLMode = "verify-ca"
	SSLVerifyFull SSLMode = "verify-full"
)

// ClientTLS is how connections to one server are encrypted; nil: not at all. Unix sockets never are.
type ClientTLS struct {
	config   *tls.Config
	optional bool // go on in clear text if the server has no TLS
}

// ErrNoServerTLS says that the server has no TLS and the mode needs it.
var ErrNoServerTLS = errors.New("the server does not support TLS, and the TLS mode requires it")

// BuildTLS reads the files of one server's settings. RootCert "" or "system" is the system's list; as in libpq,
// verify-ca does not take that, and require with a root certificate is verify-ca. Unlike libpq's, prefer does not
// try anew in clear text when the handshake fails, and verify-full reads subject alternative names only.
func BuildTLS(mode SSLMode, host, rootCert, cert, key string) (*ClientTLS, error) {
	switch mode {
	case SSLDisable:
		return nil, nil
	case SSLPrefer, SSLRequire, SSLVerifyCA, SSLVerifyFull:
	default:
		return nil, fmt.Errorf("build TLS settings: unknown mode %q", string(mode))
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"postgresql"}, ServerName: host}
	if err := loadClientCert(c, cert, key); err != nil {
		return nil, err
	}
	ownRoots := rootCert != "" && rootCert != "system"
	if ownRoots {
		pem, err := os.ReadFile(rootCert)
		if err != nil {
			return nil, fmt.Errorf("read root certificate: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read root certificate %s: it holds no certificate", rootCert)
		}
	}
	switch {
	case mode == SSLVerifyFull:
		if host == "" {
			return nil, errors.New("build TLS settings: verify-full needs a host name")
		}
	case mode == SSLVerifyCA && !ownRoots:
		return nil, errors.New("build TLS settings: verify-ca needs a root certificate of its own; use verify-full with the system's")
	case mode == SSLVerifyCA, mode == SSLRequire && ownRoots:
		c.InsecureSkipVerify = true // replaced by VerifyConnection, which differs in ignoring the name
		c.VerifyConnection = verifyChain(c.RootCAs)
	default:
		c.InsecureSkipVerify = true // prefer and require encrypt only, by definition
	}
	return &ClientTLS{config: c, optional: mode == SSLPrefer}, nil
}

func loadClientCert(c *tls.Config, cert, key string) error {
	if cert == "" && key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("load client certificate: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}

func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range state.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}

// negotiate asks for TLS and does the handshake. Exactly one byte is read in clear text (CVE-2021-23222).
func (t *ClientTLS) negotiate(ctx context.Context, conn net.Conn) (net.Conn, *tls.ConnectionState, error) {
	if _, unix := conn.RemoteAddr().(*net.UnixAddr); t == nil || unix {
		return conn, nil, nil
	}
	request := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, sslRequestCode)
	if _, err := conn.Write(request); err != nil {
		return nil, nil, fmt.Errorf("request TLS: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, nil, fmt.Errorf("request TLS: %w", err)
	}
	switch answer[0] {
	case 'S':
	case 'N':
		if t.optional {
			return conn, nil, nil
		}
		return nil, nil, ErrNoServerTLS
	case 'E':
		// Whoever sends this has not been authenticated, so its text is nothing to show (CVE-2024-10977).
		return nil, nil, errors.New("request TLS: the server answered with an error")
	default:
		return nil, nil, fmt.Errorf("request TLS: unexpected answer 0x%02x", answer[0])
	}
	secure := tls.Client(conn, t.config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("do TLS handshake: %w", err)
	}
	state := secure.ConnectionState()
	return secure, &state, nil
}

// CancelBackend asks the server on conn, a fresh connection, to cancel what the session with this key runs, and
// waits until the server has closed it, which is when the signal has been sent. Conn is closed in any case. No
// error does not mean that something was cancelled.
func CancelBackend(ctx context.Context, conn net.Conn, tlsConf *ClientTLS, pid int32, secret []byte) error {
	release := startup.Guard(ctx, conn)
	err := requestCancel(ctx, conn, tlsConf, pid, secret)
	if cause := release(); cause != nil {
		err = cause
	}
	_ = conn.Close() // nothing more is to be known
	if err != nil {
		return fmt.Errorf("cancel on backend: %w", err)
	}
	return nil
}

func requestCancel(ctx context.Context, conn net.Conn, tlsConf *ClientTLS, pid int32, secret []byte) error {
	conn, _, err := tlsConf.negotiate(ctx, conn)
	if err != nil {
		return err
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(12+len(secret)))
	packet = binary.BigEndian.AppendUint32(packet, cancelRequestCode)
	packet = binary.BigEndian.AppendUint32(packet, uint32(pid))
	if _, err := conn.Write(append(packet, secret...)); err != nil {
		return fmt.Errorf("write cancel request: %w", err)
	}
	// The server says nothing: it closes, perhaps with a reset.
	_, err = io.CopyN(io.Discard, conn, 1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}
