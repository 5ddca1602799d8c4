package startup

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// patience is how long a test waits for what has to happen at once.
const patience = 10 * time.Second

// TestMain fails when a goroutine outlives the tests.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for deadline := time.Now().Add(patience); code == 0 && runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			code = 1
		}
	}
	os.Exit(code)
}

// outcome is what Accept returned.
type outcome struct {
	res *Result
	err error
}

// start runs Accept on one end of a TCP connection; the other end is the client's.
func start(t *testing.T, opts Options) (client net.Conn, done <-chan outcome) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return startWith(ctx, t, opts)
}

func startWith(ctx context.Context, t *testing.T, opts Options) (client net.Conn, done <-chan outcome) {
	t.Helper()
	client, server := tcpPair(t)
	out := make(chan outcome, 1)
	go func() {
		res, err := Accept(ctx, server, opts)
		if err != nil {
			server.Close()
		}
		out <- outcome{res, err}
	}()
	return client, out
}

func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// packet makes a startup-phase packet: length, code, body.
func packet(code uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	b = binary.BigEndian.AppendUint32(b, code)
	return append(b, body...)
}

const plainBody = "user\x00ada\x00database\x00lab\x00\x00"

func write(t *testing.T, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

func readByte(t *testing.T, r io.Reader) byte {
	t.Helper()
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		t.Fatal(err)
	}
	return b[0]
}

func readError(t *testing.T, r io.Reader) *pgproto3.ErrorResponse {
	t.Helper()
	msg, err := pgproto3.NewFrontend(r, io.Discard).Receive()
	if err != nil {
		t.Fatal(err)
	}
	e, ok := msg.(*pgproto3.ErrorResponse)
	if !ok {
		t.Fatalf("got %T, want an error", msg)
	}
	return e
}

// wantClosed checks that the server ended the connection without another byte.
func wantClosed(t *testing.T, client net.Conn) {
	t.Helper()
	b, err := io.ReadAll(client)
	var ne net.Error
	if len(b) > 0 || errors.As(err, &ne) && ne.Timeout() {
		t.Fatalf("got %q, %v; want a closed connection", b, err)
	}
}

func wantSession(t *testing.T, done <-chan outcome) *Result {
	t.Helper()
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	if o.res.Session == nil {
		t.Fatalf("got %+v, want a session", o.res)
	}
	t.Cleanup(func() { o.res.Conn.Close() })
	return o.res
}

func wantCode(t *testing.T, err error, code string) *pgerr.Error {
	t.Helper()
	var e *pgerr.Error
	if !errors.As(err, &e) || e.Code != code || e.Severity != "FATAL" {
		t.Fatalf("got %v, want FATAL %s", err, code)
	}
	return e
}

// newCert makes a self-signed certificate for localhost.
func newCert(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pleiad"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func withTLS(t *testing.T) (Options, *tls.Config) {
	t.Helper()
	cert, pool := newCert(t)
	server, err := NewTLS(cert, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Options{TLS: server}, &tls.Config{RootCAs: pool, ServerName: "localhost", NextProtos: []string{alpn}}
}
