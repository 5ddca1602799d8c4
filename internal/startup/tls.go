package startup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// alpn is the protocol name that PostgreSQL registered for TLS.
const alpn = "postgresql"

// TLS is what clients are shown. It does not change; a reload makes another one.
type TLS struct {
	config *tls.Config
	leaf   *x509.Certificate
}

// NewTLS takes the certificate for clients. With clientCAs, a client needs a certificate that one of them signed.
// The name that a client asks for (SNI) chooses nothing.
func NewTLS(cert tls.Certificate, clientCAs *x509.CertPool) (*TLS, error) {
	if len(cert.Certificate) == 0 {
		return nil, errors.New("make TLS settings: there is no certificate")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("parse certificate: %w", err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{alpn},
		// As PostgreSQL: a ticket would outlive a reload, and every login proves its role anyway.
		SessionTicketsDisabled: true,
	}
	if clientCAs != nil {
		c.ClientCAs = clientCAs
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return &TLS{config: c, leaf: leaf}, nil
}

// LoadTLS is NewTLS with PEM files; clientCAFile may be "".
func LoadTLS(certFile, keyFile, clientCAFile string) (*TLS, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s: %w", certFile, err)
	}
	var pool *x509.CertPool
	if clientCAFile != "" {
		pem, err := os.ReadFile(clientCAFile)
		if err != nil {
			return nil, fmt.Errorf("read client CA: %w", err)
		}
		pool = x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read client CA %s: it holds no certificate", clientCAFile)
		}
	}
	return NewTLS(cert, pool)
}

// answerSSL answers an SSLRequest, and does the handshake if that is S.
func (a *acceptor) answerSSL(ctx context.Context) error {
	a.sslDone = true
	if _, unix := a.conn.RemoteAddr().(*net.UnixAddr); a.opts.TLS == nil || unix {
		if _, err := a.conn.Write([]byte{'N'}); err != nil {
			return fmt.Errorf("answer SSL request: %w", err)
		}
		return nil
	}
	// Nothing can have been sent honestly before S. What is not seen here, because it is still under way, gets
	// to the handshake and fails there: reads are exact, so no clear text is left over for the session.
	if pending, err := bytesPending(a.conn); err != nil {
		return err
	} else if pending {
		return ErrPlaintextAfterSSLRequest
	}
	if _, err := a.conn.Write([]byte{'S'}); err != nil {
		return fmt.Errorf("answer SSL request: %w", err)
	}
	_, err := a.handshake(ctx, a.conn)
	return err
}

// directTLS does a handshake of which the first byte has been read.
func (a *acceptor) directTLS(ctx context.Context, first byte) error {
	if _, unix := a.conn.RemoteAddr().(*net.UnixAddr); a.opts.TLS == nil || unix {
		return ErrDirectTLSDisabled
	}
	state, err := a.handshake(ctx, &prefixed{Conn: a.conn, prefix: []byte{first}})
	if err != nil {
		return err
	}
	if state.NegotiatedProtocol != alpn {
		return ErrDirectTLSWithoutALPN
	}
	return nil
}

// handshake replaces the connection. Inside TLS there is neither SSLRequest nor GSSENCRequest.
func (a *acceptor) handshake(ctx context.Context, raw net.Conn) (tls.ConnectionState, error) {
	conn := tls.Server(raw, a.opts.TLS.config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, fmt.Errorf("do TLS handshake: %w", err)
	}
	a.conn, a.tls, a.sslDone, a.gssDone = conn, true, true, true
	return conn.ConnectionState(), nil
}

// prefixed gives back bytes that were read before.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.prefix) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.prefix)
	p.prefix = p.prefix[n:]
	return n, nil
}
