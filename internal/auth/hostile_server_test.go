package auth

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"
)

// against runs Login towards a server that the test plays, and returns what Login did.
func against(t *testing.T, conf *ClientTLS, cred Credentials, remote bool, play func(server net.Conn, wire *pgproto3.Backend)) (*ServerHello, error) {
	t.Helper()
	client, server := tcpPair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		play(server, pgproto3.NewBackend(server, server))
	}()
	var conn net.Conn = client
	if remote {
		conn = far{client}
	}
	h, err := tryLogin(t, conn, conf, "ada", cred)
	if err != nil {
		client.Close()
	}
	t.Cleanup(func() { client.Close(); <-done })
	return h, err
}

// say sends messages and ignores failures: the client may have left, which is then the point of the test.
func say(wire *pgproto3.Backend, msgs ...pgproto3.BackendMessage) {
	for _, m := range msgs {
		wire.Send(m)
	}
	_ = wire.Flush()
}

func drain(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

var saslOffer = &pgproto3.AuthenticationSASL{AuthMechanisms: []string{mechScram}}

// CVE-2024-10977, CVE-2021-23222.
func TestAnswersToSSLRequest(t *testing.T) {
	const shout = "ESFATAL\x00C28000\x00Mrun this command\x00\x00"
	for name, c := range map[string]struct{ answer, want string }{
		"error":                 {shout, "answered with an error"},
		"unknown byte":          {"X", "unexpected answer 0x58"},
		"nothing":               {"", "EOF"},
		"N where TLS is a must": {"N", ErrNoServerTLS.Error()},
		"clear text behind S":   {"SR\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I", "handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := against(t, tlsFor(t, SSLVerifyFull), Credentials{Password: testSecret}, false, func(server net.Conn, _ *pgproto3.Backend) {
				var request [8]byte
				if _, err := io.ReadFull(server, request[:]); err != nil || !bytes.Equal(request[4:], []byte{4, 210, 22, 47}) {
					t.Errorf("got %v, %v", request, err)
				}
				_, _ = io.WriteString(server, c.answer)
				if c.answer != "" {
					drain(server)
				}
			})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "run this") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestPreferGoesOnInClearText(t *testing.T) {
	h, err := against(t, tlsFor(t, SSLPrefer), Credentials{}, false, func(server net.Conn, wire *pgproto3.Backend) {
		_, _ = wire.ReceiveStartupMessage()
		_, _ = io.WriteString(server, "N")
		_, _ = wire.ReceiveStartupMessage()
		say(wire, &pgproto3.AuthenticationOk{}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	})
	if err != nil || h.TLS != nil {
		t.Fatalf("got %+v, %v", h, err)
	}
}

func TestCleartextPasswordIsNotGivenAwayInClearText(t *testing.T) {
	_, err := against(t, nil, Credentials{Password: testSecret}, true, func(server net.Conn, wire *pgproto3.Backend) {
		_, _ = wire.ReceiveStartupMessage()
		say(wire, &pgproto3.AuthenticationCleartextPassword{})
		if b, _ := io.ReadAll(server); bytes.Contains(b, []byte(testSecret)) {
			t.Error("the password was sent")
		}
	})
	if !errors.Is(err, ErrCleartextRefused) {
		t.Fatalf("got %v", err)
	}
}

// scramServer plays the server's half with a verifier; tamper may change each message.
func scramServer(t *testing.T, tamper func(step int, msg string) string, after ...pgproto3.BackendMessage) func(net.Conn, *pgproto3.Backend) {
	return func(server net.Conn, wire *pgproto3.Backend) {
		v, err := ParseVerifier(ScramVerifier(testSecret, []byte("0123456789abcdef"), DefaultIterations))
		if err != nil {
			t.Error(err)
			return
		}
		conv, err := newExchange(v, scram.ChannelBinding{})
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = wire.ReceiveStartupMessage()
		_ = wire.SetAuthType(pgproto3.AuthTypeSASL)
		say(wire, saslOffer)
		msg, err := wire.Receive()
		if err != nil {
			return
		}
		first, _ := conv.Step(string(msg.(*pgproto3.SASLInitialResponse).Data))
		_ = wire.SetAuthType(pgproto3.AuthTypeSASLContinue)
		say(wire, &pgproto3.AuthenticationSASLContinue{Data: []byte(tamper(1, first))})
		msg, err = wire.Receive()
		if err != nil {
			return
		}
		final, _ := conv.Step(string(msg.(*pgproto3.SASLResponse).Data))
		say(wire, append([]pgproto3.BackendMessage{&pgproto3.AuthenticationSASLFinal{Data: []byte(tamper(2, final))}}, after...)...)
		drain(server)
	}
}

func TestServerHasToProveItself(t *testing.T) {
	ready := []pgproto3.BackendMessage{&pgproto3.AuthenticationOk{}, &pgproto3.ReadyForQuery{TxStatus: 'I'}}
	at := func(step int, change func(string) string) func(int, string) string {
		return func(s int, msg string) string {
			if s == step {
				return change(msg)
			}
			return msg
		}
	}
	for name, c := range map[string]struct {
		tamper func(int, string) string
		want   string
	}{
		"honest":          {at(0, nil), ""},
		"signature":       {at(2, func(string) string { return "v=" + strings.Repeat("A", 43) + "=" }), "server signature"},
		"empty signature": {at(2, func(string) string { return "v=" }), "server signature"},
		"error value":     {at(2, func(string) string { return "e=other-error" }), "no signature"},
		"nonce replaced":  {at(1, func(s string) string { return "r=xyz" + s[strings.Index(s, ",s="):] }), "nonce"},
		"nonce not extended": {at(1, func(s string) string {
			return s[:2+24] + s[strings.Index(s, ",s="):]
		}), "nonce"},
		"iteration cap":    {at(1, func(s string) string { return strings.Replace(s, "i=4096", "i=1000001", 1) }), "iteration count"},
		"iterations zero":  {at(1, func(s string) string { return strings.Replace(s, "i=4096", "i=0", 1) }), "iteration count"},
		"iterations huge":  {at(1, func(s string) string { return strings.Replace(s, "i=4096", "i=99999999999999999999", 1) }), "iteration count"},
		"empty salt":       {at(1, func(s string) string { return s[:strings.Index(s, ",s=")] + ",s=,i=4096" }), "salt"},
		"mandatory extras": {at(1, func(s string) string { return "m=x," + s }), "attribute is missing"},
		"empty":            {at(1, func(string) string { return "" }), "attribute is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := against(t, nil, Credentials{Password: testSecret}, false, scramServer(t, c.tamper, ready...))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestOkDoesNotReplaceTheServersProof(t *testing.T) {
	ok := []pgproto3.BackendMessage{&pgproto3.AuthenticationOk{}, &pgproto3.ReadyForQuery{TxStatus: 'I'}}
	for name, msgs := range map[string][]pgproto3.BackendMessage{
		"in place of the first message": ok,
		"final only":                    {&pgproto3.AuthenticationSASLFinal{Data: []byte("v=")}, ok[0], ok[1]},
	} {
		_, err := against(t, nil, Credentials{Password: testSecret}, false, func(server net.Conn, wire *pgproto3.Backend) {
			_, _ = wire.ReceiveStartupMessage()
			say(wire, append([]pgproto3.BackendMessage{saslOffer}, msgs...)...)
			drain(server)
		})
		if err == nil || !strings.Contains(err.Error(), "unexpected *pgproto3.Authentication") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := against(t, nil, Credentials{Password: testSecret}, false, func(server net.Conn, wire *pgproto3.Backend) {
		_, _ = wire.ReceiveStartupMessage()
		say(wire, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-1", mechScramPlus}})
		drain(server)
	})
	if err == nil || !strings.Contains(err.Error(), "none of the supported") {
		t.Errorf("got %v", err)
	}
}

func TestHostileServer(t *testing.T) {
	ok := "R\x00\x00\x00\x08\x00\x00\x00\x00"
	for name, c := range map[string]struct{ in, want string }{
		"negative length":        {"R\xff\xff\xff\xfe", "invalid message length"},
		"short length":           {"R\x00\x00\x00\x03", "invalid message length"},
		"huge length":            {"R\x7f\xff\xff\xff", "invalid body length"},
		"over the cap":           {ok + "S\x00\x01\x00\x05", "invalid body length"},
		"unknown type":           {"\x01\x00\x00\x00\x04", "unknown message type"},
		"unknown authentication": {"R\x00\x00\x00\x08\x00\x00\x00\x63", "unknown authentication"},
		"GSS":                    {"R\x00\x00\x00\x08\x00\x00\x00\x07", "unsupported *pgproto3.AuthenticationGSS"},
		"rows before Ok":         {"D\x00\x00\x00\x06\x00\x00", "*pgproto3.DataRow"},
		"ready before Ok":        {"Z\x00\x00\x00\x05I", "*pgproto3.ReadyForQuery"},
		"rows after Ok":          {ok + "D\x00\x00\x00\x06\x00\x00", "*pgproto3.DataRow"},
		"second question":        {ok + ok, "unexpected *pgproto3.AuthenticationOk"},
		"closed after Ok":        {ok, "unexpected EOF"},
		"error without SQLSTATE": {"E\x00\x00\x00\x05\x00", "log in to backend"},
		"error unterminated":     {"E\x00\x00\x00\x05S", ""},
		"endless parameters":     {ok + strings.Repeat("S\x00\x00\x00\x08a\x00b\x00", 3000), "too much"},
		"fat parameters":         {ok + strings.Repeat("S\x00\x00\xf0\x06a\x00"+strings.Repeat("x", 0xf006-4-3)+"\x00", 40), "too much"},
		"endless notices":        {strings.Repeat("N\x00\x00\x00\x05\x00", 3000), "too much"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := against(t, nil, Credentials{Password: testSecret}, false, func(server net.Conn, wire *pgproto3.Backend) {
				_, _ = wire.ReceiveStartupMessage()
				_, _ = io.WriteString(server, c.in)
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v, %v", h, err)
			}
		})
	}
}

// What a server sends right behind ReadyForQuery is for the session.
func TestBytesBehindReadyForQueryStayInConnection(t *testing.T) {
	const behind = "S\x00\x00\x00\x0bname\x00v\x00"
	h, err := against(t, nil, Credentials{}, false, func(server net.Conn, wire *pgproto3.Backend) {
		_, _ = wire.ReceiveStartupMessage()
		_, _ = io.WriteString(server, "R\x00\x00\x00\x08\x00\x00\x00\x00"+"N\x00\x00\x00\x09Mhi\x00\x00"+"K\x00\x00\x00\x0c\xff\xff\xff\xffabcd"+"Z\x00\x00\x00\x05I"+behind)
		drain(server)
	})
	if err != nil || h.PID != -1 || string(h.Secret) != "abcd" || len(h.Notices) != 1 || h.Notices[0].Message != "hi" {
		t.Fatalf("got %+v, %v", h, err)
	}
	got := make([]byte, len(behind))
	if _, err := io.ReadFull(h.Conn, got); err != nil || string(got) != behind {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestLoginIsBoundedByItsContext(t *testing.T) {
	client, server := tcpPair(t)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Login(ctx, client, nil, map[string]string{"user": "ada"}, Credentials{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("connection is left open: %v", err)
	}
}

func TestStartupParametersCannotSmuggle(t *testing.T) {
	for _, params := range []map[string]string{
		{"user": "ada", "application_name": "x\x00user\x00postgres"}, {"user": "ada", "x\x00user": "postgres"}, {"database": "lab"}, {"user": ""},
	} {
		client, server := tcpPair(t)
		_, err := Login(t.Context(), client, nil, params, Credentials{})
		if b, _ := io.ReadAll(server); err == nil || len(b) != 0 {
			t.Errorf("%q: sent %q, %v", params, b, err)
		}
	}
}

func FuzzServerFirst(f *testing.F) {
	f.Add("r=abc,s=c2FsdA==,i=4096")
	f.Fuzz(func(t *testing.T, msg string) {
		nonce, salt, iterations, err := parseServerFirst(msg)
		if err == nil && (len(salt) == 0 || iterations < 1 || iterations > maxIterations || len(nonce) > len(msg)) {
			t.Fatalf("accepted %q", msg)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("p\x00\x00\x00\x05xp\x00\x00\x00\x04rest"), byte('p'))
	f.Add([]byte("R\xff\xff\xff\xfe"), byte(0))
	f.Fuzz(func(t *testing.T, in []byte, only byte) {
		src := bytes.NewReader(in)
		frames := &frameReader{r: src, only: only, keep: true}
		wire := pgproto3.NewFrontend(frames, io.Discard)
		wire.SetMaxBodyLen(maxFrame)
		read := 0
		for {
			if _, err := wire.Receive(); err != nil {
				return
			}
			read += frameHeader + len(frames.body)
			if left := src.Len(); len(in)-left != read {
				t.Fatalf("read %d bytes for messages of %d", len(in)-left, read)
			}
		}
	})
}
