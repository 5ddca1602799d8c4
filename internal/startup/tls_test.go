package startup

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
)

// upgrade does what libpq does for sslmode=require.
func upgrade(t *testing.T, client net.Conn, conf *tls.Config) *tls.Conn {
	t.Helper()
	write(t, client, packet(sslRequestCode, ""))
	if b := readByte(t, client); b != 'S' {
		t.Fatalf("got %q, want S", b)
	}
	secure := tls.Client(client, conf)
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	return secure
}

func TestTLSAfterSSLRequest(t *testing.T) {
	opts, conf := withTLS(t)
	client, done := start(t, opts)
	conf.NextProtos = nil // clients before PostgreSQL 17 send none
	secure := upgrade(t, client, conf)
	write(t, secure, append(packet(Protocol30.code(), plainBody), "behind"...))
	r := wantSession(t, done)
	if !r.Secure() || r.Certificate == nil || !r.Certificate.Equal(opts.TLS.leaf) {
		t.Fatalf("got %+v", r)
	}
	got := make([]byte, len("behind"))
	if _, err := io.ReadFull(r.Conn, got); err != nil || string(got) != "behind" {
		t.Fatalf("got %q, %v", got, err)
	}
}

// CVE-2021-23214: clear text sent together with the SSLRequest is never taken for text from inside TLS.
func TestPlaintextBufferedAfterSSLRequestCloses(t *testing.T) {
	opts, _ := withTLS(t)
	client, server := tcpPair(t)
	write(t, client, append(packet(sslRequestCode, ""), packet(Protocol30.code(), plainBody)...))
	_, err := Accept(t.Context(), server, opts)
	server.Close()
	if !errors.Is(err, ErrPlaintextAfterSSLRequest) {
		t.Fatalf("got %v", err)
	}
	wantClosed(t, client)
}

// The same bytes, arriving after S was sent, end in a failed handshake.
func TestPlaintextInPlaceOfHandshakeCloses(t *testing.T) {
	opts, _ := withTLS(t)
	client, done := start(t, opts)
	write(t, client, packet(sslRequestCode, ""))
	if b := readByte(t, client); b != 'S' {
		t.Fatalf("got %q", b)
	}
	write(t, client, packet(Protocol30.code(), plainBody))
	if o := <-done; o.err == nil {
		t.Fatalf("got %+v", o.res)
	}
}

func TestNoSSLOrGSSRequestInsideTLS(t *testing.T) {
	for _, code := range []uint32{sslRequestCode, gssRequestCode} {
		opts, conf := withTLS(t)
		client, done := start(t, opts)
		secure := upgrade(t, client, conf)
		write(t, secure, packet(code, ""))
		if e := readError(t, secure); e.Code != "0A000" {
			t.Fatalf("got %+v", e)
		}
		wantCode(t, (<-done).err, "0A000")
	}
}

func TestCancelRequestInsideTLS(t *testing.T) {
	opts, conf := withTLS(t)
	client, done := start(t, opts)
	write(t, upgrade(t, client, conf), packet(cancelRequestCode, "\x00\x00\x00\x07abcd"))
	if o := <-done; o.err != nil || o.res.Cancel == nil || o.res.Cancel.PID != 7 {
		t.Fatalf("got %+v, %v", o.res, o.err)
	}
}

func TestDirectTLS(t *testing.T) {
	opts, conf := withTLS(t)
	client, done := start(t, opts)
	secure := tls.Client(client, conf)
	write(t, secure, packet(Protocol32.code(), plainBody))
	if r := wantSession(t, done); !r.Secure() {
		t.Fatal("not secure")
	}
}

func TestDirectTLSNeedsALPN(t *testing.T) {
	for _, protos := range [][]string{nil, {"h2"}} {
		opts, conf := withTLS(t)
		conf.NextProtos = protos
		client, done := start(t, opts)
		secure := tls.Client(client, conf)
		_ = secure.Handshake() // with a foreign protocol the server ends it, without one only afterwards
		o := <-done
		if o.err == nil || protos == nil && !errors.Is(o.err, ErrDirectTLSWithoutALPN) {
			t.Fatalf("ALPN %q: got %+v, %v", protos, o.res, o.err)
		}
	}
}

func TestDirectTLSWhereTLSIsOff(t *testing.T) {
	client, done := start(t, Options{})
	write(t, client, []byte{tlsHandshakeRecord, 3, 1, 0, 5})
	if o := <-done; !errors.Is(o.err, ErrDirectTLSDisabled) {
		t.Fatalf("got %+v, %v", o.res, o.err)
	}
	wantClosed(t, client)
}

func TestTLSBelow12IsRefused(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		opts, conf := withTLS(t)
		conf.MinVersion, conf.MaxVersion = version, version
		client, done := start(t, opts)
		write(t, client, packet(sslRequestCode, ""))
		readByte(t, client)
		if err := tls.Client(client, conf).Handshake(); err == nil {
			t.Fatal("client was let in")
		}
		if o := <-done; o.err == nil {
			t.Fatalf("got %+v", o.res)
		}
	}
}

func TestSNIIsNotIdentity(t *testing.T) {
	var seen []*Session
	for _, name := range []string{"localhost", "superuser.example", "other.lab"} {
		opts, conf := withTLS(t)
		conf.ServerName, conf.InsecureSkipVerify = name, true
		client, done := start(t, opts)
		write(t, upgrade(t, client, conf), packet(Protocol30.code(), plainBody))
		seen = append(seen, wantSession(t, done).Session)
	}
	for _, s := range seen {
		if s.User != "ada" || s.Database != "lab" || len(s.Settings) != 0 {
			t.Fatalf("got %+v", s)
		}
	}
}

func TestClientCertificateCompulsory(t *testing.T) {
	cert, pool := newCert(t)
	strict, err := NewTLS(cert, pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []bool{false, true} {
		conf := &tls.Config{RootCAs: pool, ServerName: "localhost"}
		if own {
			conf.Certificates = []tls.Certificate{cert}
		}
		client, done := start(t, Options{TLS: strict})
		write(t, client, packet(sslRequestCode, ""))
		readByte(t, client)
		secure := tls.Client(client, conf)
		if err := secure.Handshake(); err == nil {
			_, _ = secure.Write(packet(Protocol30.code(), plainBody)) // TLS 1.3 learns of the refusal only now
		}
		if o := <-done; (o.err == nil) != own {
			t.Fatalf("own certificate %v: got %+v, %v", own, o.res, o.err)
		}
	}
}

func TestRequireTLSRefusesSessionsInClearText(t *testing.T) {
	opts, _ := withTLS(t)
	opts.RequireTLS = true
	client, done := start(t, opts)
	write(t, client, packet(Protocol30.code(), plainBody))
	if e := readError(t, client); e.Code != "28000" || e.Hint == "" {
		t.Fatalf("got %+v", e)
	}
	wantCode(t, (<-done).err, "28000")
}
