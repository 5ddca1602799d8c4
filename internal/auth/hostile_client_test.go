package auth

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"

	"github.com/pleiad/pleiad/internal/startup"
)

const testSecret = "geheim"

// roles are what lookups of these tests know.
func roles(_ context.Context, user string) (Role, error) {
	if user != "ada" {
		return Role{}, ErrNoRole
	}
	return Role{Name: user, CanLogin: true, Verifier: Secret(ScramVerifier(testSecret, []byte("0123456789abcdef"), DefaultIterations))}, nil
}

// attempt is one authentication whose client the test plays.
type attempt struct {
	t      *testing.T
	client net.Conn
	server net.Conn
	wire   *pgproto3.Frontend
	done   chan verdict
	cert   *x509.Certificate // with TLS only
}

// begin starts Authenticate for a user on a loopback connection, as if TLS had been negotiated or not.
func begin(t *testing.T, opts Options, user string, secure bool) *attempt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return beginWith(ctx, t, opts, user, secure)
}

func beginWith(ctx context.Context, t *testing.T, opts Options, user string, secure bool) *attempt {
	t.Helper()
	if opts.Lookup == nil {
		opts.Lookup = roles
	}
	srv, err := NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	a := &attempt{t: t, done: make(chan verdict, 1)}
	a.client, a.server = tcpPair(t)
	res := &startup.Result{Conn: a.server, Session: &startup.Session{User: user, Database: user, Protocol: startup.Protocol30}}
	if secure {
		if a.cert, err = x509.ParseCertificate(pg.cert.Certificate[0]); err != nil {
			t.Fatal(err)
		}
		res.Certificate = a.cert
	}
	a.wire = pgproto3.NewFrontend(a.client, a.client)
	go func() {
		id, err := srv.Authenticate(ctx, res)
		a.done <- verdict{id, err}
	}()
	return a
}

func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func (a *attempt) send(m pgproto3.FrontendMessage) {
	a.t.Helper()
	a.wire.Send(m)
	if err := a.wire.Flush(); err != nil {
		a.t.Fatal(err)
	}
}

func (a *attempt) raw(b string) {
	a.t.Helper()
	if _, err := io.WriteString(a.client, b); err != nil {
		a.t.Fatal(err)
	}
}

func expect[M pgproto3.BackendMessage](a *attempt) M {
	a.t.Helper()
	msg, err := a.wire.Receive()
	if err != nil {
		a.t.Fatal(err)
	}
	m, ok := msg.(M)
	if !ok {
		a.t.Fatalf("got %T %+v", msg, msg)
	}
	return m
}

// wantFailure checks what the client and what the caller were told.
func (a *attempt) wantFailure(code, message, reason string) {
	a.t.Helper()
	e := expect[*pgproto3.ErrorResponse](a)
	if e.Severity != "FATAL" || e.Code != code || e.Message != message {
		a.t.Errorf("client was told %s %s %q, want %s %q", e.Severity, e.Code, e.Message, code, message)
	}
	var f *Failure
	if l := <-a.done; !errors.As(l.err, &f) || f.Shown.Code != code || !strings.Contains(f.Reason, reason) {
		a.t.Errorf("got %+v, %v; want %q", l.id, l.err, reason)
	}
}

// exchange answers up to the last message with another SCRAM implementation, which the test may tamper with.
func (a *attempt) exchange(mechanism string, conv *scram.ClientConversation, tamper func(string) string) {
	a.t.Helper()
	expect[*pgproto3.AuthenticationSASL](a)
	first, err := conv.Step("")
	if err != nil {
		a.t.Fatal(err)
	}
	a.send(&pgproto3.SASLInitialResponse{AuthMechanism: mechanism, Data: []byte(first)})
	final, err := conv.Step(string(expect[*pgproto3.AuthenticationSASLContinue](a).Data))
	if err != nil {
		a.t.Fatal(err)
	}
	a.send(&pgproto3.SASLResponse{Data: []byte(tamper(final))})
}

func newConv(t *testing.T, password string, binding scram.ChannelBinding) *scram.ClientConversation {
	t.Helper()
	c, err := scram.SHA256.NewClient("ignored", password, "")
	if err != nil {
		t.Fatal(err)
	}
	if binding.IsSupported() {
		return c.NewConversationWithChannelBinding(binding)
	}
	return c.NewConversation()
}

func same(s string) string { return s }

// What the client sends right behind its last proof is for the session, not for the login.
func TestBytesBehindTheProofStayInConnection(t *testing.T) {
	const behind = "Q\x00\x00\x00\x0dselect 1\x00"
	wantBehind := func(a *attempt) {
		t.Helper()
		if l := <-a.done; l.err != nil {
			t.Fatal(l.err)
		}
		got := make([]byte, len(behind))
		if _, err := io.ReadFull(a.server, got); err != nil || string(got) != behind {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	a := begin(t, Options{Method: Password}, "ada", false)
	expect[*pgproto3.AuthenticationCleartextPassword](a)
	a.raw("p\x00\x00\x00\x0b" + testSecret + "\x00" + behind)
	wantBehind(a)

	a = begin(t, Options{Method: Scram}, "ada", false)
	conv := newConv(t, testSecret, scram.ChannelBinding{})
	expect[*pgproto3.AuthenticationSASL](a)
	first, _ := conv.Step("")
	a.send(&pgproto3.SASLInitialResponse{AuthMechanism: mechScram, Data: []byte(first)})
	final, _ := conv.Step(string(expect[*pgproto3.AuthenticationSASLContinue](a).Data))
	msg, err := (&pgproto3.SASLResponse{Data: []byte(final)}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	a.raw(string(msg) + behind)
	if _, err := conv.Step(string(expect[*pgproto3.AuthenticationSASLFinal](a).Data)); err != nil || !conv.Valid() {
		t.Fatal(err)
	}
	expect[*pgproto3.AuthenticationOk](a)
	wantBehind(a)
}

func TestChannelBinding(t *testing.T) {
	own := func(a *attempt) scram.ChannelBinding { return endpointBinding(a.cert) }
	a := begin(t, Options{Method: Scram}, "ada", true)
	a.exchange(mechScramPlus, newConv(t, testSecret, own(a)), same)
	if l := <-a.done; l.err != nil || !l.id.ChannelBound {
		t.Fatalf("got %+v, %v", l.id, l.err)
	}

	// A man in the middle shows the client another certificate.
	a = begin(t, Options{Method: Scram}, "ada", true)
	_, _, foreign, err := makeCert()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(foreign.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	a.exchange(mechScramPlus, newConv(t, testSecret, endpointBinding(leaf)), same)
	a.wantFailure("28000", "SCRAM channel binding check failed", "check failed")

	a = begin(t, Options{Method: Scram}, "ada", false)
	if got := expect[*pgproto3.AuthenticationSASL](a).AuthMechanisms; len(got) != 1 || got[0] != mechScram {
		t.Fatalf("offered %q without TLS", got)
	}
	a.client.Close()
	if l := <-a.done; !errors.Is(l.err, ErrClientLeft) {
		t.Fatalf("got %v", l.err)
	}
}

func TestFirstSCRAMMessages(t *testing.T) {
	const bare = "n=,r=abcdef"
	for name, c := range map[string]struct {
		mechanism, first      string
		secure                bool
		code, message, reason string
	}{
		"downgrade":            {mechScram, "y,," + bare, true, "28000", "SCRAM channel binding negotiation error", "downgrade"},
		"plus without binding": {mechScramPlus, "n,," + bare, true, "08P01", "malformed SCRAM message", "does not include"},
		"binding without plus": {mechScram, "p=tls-server-end-point,," + bare, true, "08P01", "malformed SCRAM message", "includes channel"},
		"other binding":        {mechScramPlus, "p=tls-unique,," + bare, true, "08P01", `unsupported SCRAM channel-binding type "tls-unique"`, "tls-unique"},
		"plus without TLS":     {mechScramPlus, "p=tls-server-end-point,," + bare, false, "08P01", "client selected an invalid SASL authentication mechanism", ""},
		"unknown mechanism":    {"SCRAM-SHA-1", "n,," + bare, false, "08P01", "client selected an invalid SASL authentication mechanism", ""},
		"authzid":              {mechScram, "n,a=root," + bare, false, "0A000", "client uses authorization identity, but it is not supported", ""},
		"mandatory extension":  {mechScram, "n,,m=x," + bare, false, "0A000", "client requires an unsupported SCRAM extension", ""},
		"empty":                {mechScram, "", false, "08P01", "malformed SCRAM message", ""},
		"flag":                 {mechScram, "x,," + bare, false, "08P01", "malformed SCRAM message", "flag"},
		"no nonce":             {mechScram, "n,,n=", false, "08P01", "malformed SCRAM message", ""},
		"nonce":                {mechScram, "n,,n=,r=a\x01b", false, "08P01", "non-printable characters in SCRAM nonce", ""},
		"NUL":                  {mechScram, "n,,n=\x00,r=ab", false, "08P01", "malformed SCRAM message", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := begin(t, Options{Method: Scram}, "ada", c.secure)
			expect[*pgproto3.AuthenticationSASL](a)
			a.send(&pgproto3.SASLInitialResponse{AuthMechanism: c.mechanism, Data: []byte(c.first)})
			a.wantFailure(c.code, c.message, c.reason)
		})
	}
}

func TestFinalSCRAMMessages(t *testing.T) {
	for name, c := range map[string]struct {
		tamper        func(string) string
		code, message string
	}{
		"proof":        {func(s string) string { return s[:len(s)-44] + strings.Repeat("A", 43) + "=" }, "28P01", `password authentication failed for user "ada"`},
		"short proof":  {func(s string) string { return s[:len(s)-44] + "AAAA" }, "08P01", "malformed SCRAM message"},
		"no proof":     {func(s string) string { return s[:strings.LastIndex(s, ",")] }, "08P01", "malformed SCRAM message"},
		"nonce":        {func(s string) string { return strings.Replace(s, "r=", "r=x", 1) }, "08P01", "invalid SCRAM response"},
		"binding":      {func(s string) string { return strings.Replace(s, "biws", "eSws", 1) }, "08P01", "unexpected SCRAM channel-binding attribute in client-final-message"},
		"empty":        {func(string) string { return "" }, "08P01", "malformed SCRAM message"},
		"bad encoding": {func(s string) string { return s[:len(s)-1] + "!" }, "08P01", "malformed SCRAM message"},
	} {
		t.Run(name, func(t *testing.T) {
			a := begin(t, Options{Method: Scram}, "ada", false)
			a.exchange(mechScram, newConv(t, testSecret, scram.ChannelBinding{}), c.tamper)
			a.wantFailure(c.code, c.message, "")
		})
	}
}

func TestSCRAMFirstMessageOnItsOwn(t *testing.T) {
	a := begin(t, Options{Method: Scram}, "ada", false)
	expect[*pgproto3.AuthenticationSASL](a)
	a.raw("p\x00\x00\x00\x16" + mechScram + "\x00\xff\xff\xff\xff")
	if d := expect[*pgproto3.AuthenticationSASLContinue](a).Data; len(d) != 0 {
		t.Fatalf("got %q", d)
	}
	conv := newConv(t, testSecret, scram.ChannelBinding{})
	first, _ := conv.Step("")
	a.send(&pgproto3.SASLResponse{Data: []byte(first)})
	final, _ := conv.Step(string(expect[*pgproto3.AuthenticationSASLContinue](a).Data))
	a.send(&pgproto3.SASLResponse{Data: []byte(final)})
	if l := <-a.done; l.err != nil {
		t.Fatal(l.err)
	}
}

// A role that does not exist looks like one with a wrong password: same salt each time, same steps, same words.
func TestMockSecretsForUnknownUsers(t *testing.T) {
	salts := map[string]string{}
	for _, mock := range []string{"one", "one", "two"} {
		for _, user := range []string{"nobody", "somebody", "bad\xff"} {
			a := begin(t, Options{Method: Scram, MockSecret: []byte(mock)}, user, false)
			expect[*pgproto3.AuthenticationSASL](a)
			a.send(&pgproto3.SASLInitialResponse{AuthMechanism: mechScram, Data: []byte("n,,n=,r=abc")})
			first := string(expect[*pgproto3.AuthenticationSASLContinue](a).Data)
			nonce, salt, iterations, err := parseServerFirst(first)
			if err != nil || len(salt) != DefaultSaltLength || iterations != DefaultIterations {
				t.Fatalf("got %q, %v", first, err)
			}
			if before, ok := salts[mock+user]; ok && before != string(salt) {
				t.Fatalf("the salt of %s changes", user)
			}
			salts[mock+user] = string(salt)
			proof := base64.StdEncoding.EncodeToString(make([]byte, 32))
			a.send(&pgproto3.SASLResponse{Data: []byte("c=biws,r=" + nonce + ",p=" + proof)})
			a.wantFailure("28P01", `password authentication failed for user "`+user+`"`, "role does not exist")
		}
	}
	distinct := map[string]bool{}
	for _, s := range salts {
		distinct[s] = true
	}
	if len(distinct) != 6 {
		t.Fatalf("%d salts for 6 users", len(distinct))
	}
}

// Even the client that knows the mock keys, and so sends a fitting proof, is refused.
func TestMockKeysOpenNothing(t *testing.T) {
	c := &conversation{opts: &Options{MockSecret: []byte("known")}, user: "nobody"}
	if _, doomed := c.credentials(Role{}, false); doomed == "" {
		t.Fatal("mock credentials are not doomed")
	}
	if _, ok := c.mock().check(testSecret); ok {
		t.Fatal("mock verifier takes a password")
	}
}

func TestExpiryUsesTheClock(t *testing.T) {
	until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	lookup := func(ctx context.Context, user string) (Role, error) {
		r, err := roles(ctx, user)
		r.ValidUntil = until
		return r, err
	}
	for shift, ok := range map[time.Duration]bool{-time.Second: true, time.Second: false} {
		a := begin(t, Options{Method: Scram, Lookup: lookup, Now: func() time.Time { return until.Add(shift) }}, "ada", false)
		a.exchange(mechScram, newConv(t, testSecret, scram.ChannelBinding{}), same)
		if l := <-a.done; (l.err == nil) != ok {
			t.Errorf("%v: got %v", shift, l.err)
		}
	}
}

func TestHostileMessagesBeforeAuthentication(t *testing.T) {
	length := func(n int32) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
	for name, c := range map[string]struct{ in, code, message string }{
		"query":           {"Q\x00\x00\x00\x0dselect 1\x00", "08P01", "expected %s response, got message type 81"},
		"function call":   {"F" + length(4), "08P01", "expected %s response, got message type 70"},
		"bind":            {"B" + length(4), "08P01", "expected %s response, got message type 66"},
		"unknown type":    {"\x00" + length(4), "08P01", "expected %s response, got message type 0"},
		"negative length": {"p" + length(-2), "08P01", "invalid message length"},
		"short length":    {"p" + length(3), "08P01", "invalid message length"},
		"huge length":     {"p" + length(1<<31-1), "08P01", "invalid message length"},
		"over the cap":    {"p" + length(maxFrame+5), "08P01", "invalid message length"},
	} {
		for method, what := range map[Method]string{Scram: "SASL", Password: "password"} {
			t.Run(name+" "+what, func(t *testing.T) {
				a := begin(t, Options{Method: method}, "ada", false)
				if _, err := a.wire.Receive(); err != nil {
					t.Fatal(err)
				}
				a.raw(c.in)
				a.wantFailure(c.code, strings.ReplaceAll(c.message, "%s", what), "")
			})
		}
	}
}

func TestBodiesAreConsumedExactly(t *testing.T) {
	for name, c := range map[string]struct {
		method      Method
		in, message string
	}{
		"password and more":    {Password, "p\x00\x00\x00\x0c" + testSecret + "\x00x", "invalid password packet size"},
		"two passwords":        {Password, "p\x00\x00\x00\x12" + testSecret + "\x00" + testSecret + "\x00", "invalid password packet size"},
		"unterminated":         {Password, "p\x00\x00\x00\x0a" + testSecret, "invalid password packet size"},
		"SASL data too long":   {Scram, "p\x00\x00\x00\x17" + mechScram + "\x00\x00\x00\x00\x00x", "invalid message format"},
		"SASL data missing":    {Scram, "p\x00\x00\x00\x16" + mechScram + "\x00\x00\x00\x00\x09", "insufficient data left in message"},
		"SASL length cut":      {Scram, "p\x00\x00\x00\x14" + mechScram + "\x00\x00\x00", "insufficient data left in message"},
		"SASL without a name ": {Scram, "p\x00\x00\x00\x07abc", "invalid string in message"},
		"SASL empty":           {Scram, "p\x00\x00\x00\x04", "invalid string in message"},
		"password empty":       {Password, "p\x00\x00\x00\x04", "invalid password packet size"},
	} {
		t.Run(name, func(t *testing.T) {
			a := begin(t, Options{Method: c.method}, "ada", false)
			if _, err := a.wire.Receive(); err != nil {
				t.Fatal(err)
			}
			a.raw(c.in)
			a.wantFailure("08P01", c.message, c.message)
		})
	}
}

func TestEmptyPassword(t *testing.T) {
	a := begin(t, Options{Method: Password}, "ada", false)
	expect[*pgproto3.AuthenticationCleartextPassword](a)
	a.send(&pgproto3.PasswordMessage{})
	a.wantFailure("28P01", "empty password returned by client", "")
}

func TestLoginDeadlineCoversAuthentication(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	a := beginWith(ctx, t, Options{Method: Scram}, "ada", false)
	expect[*pgproto3.AuthenticationSASL](a)
	a.raw("p\x00")
	a.wantFailure("57014", "canceling authentication due to timeout", "deadline")

	stopping, stop := context.WithCancel(t.Context())
	a = beginWith(stopping, t, Options{Method: Scram}, "ada", false)
	expect[*pgproto3.AuthenticationSASL](a)
	stop()
	a.wantFailure("57P01", "terminating connection due to administrator command", "canceled")
}

// far is a connection whose peer is not on this machine.
type far struct{ net.Conn }

func (far) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9} }

func TestTrustAndCleartextNeedTLSOrLoopback(t *testing.T) {
	for method, ok := range map[Method]bool{Trust: false, Password: false, Scram: true} {
		srv, err := NewServer(Options{Method: method, Lookup: roles})
		if err != nil {
			t.Fatal(err)
		}
		for _, secure := range []bool{false, true} {
			client, server := tcpPair(t)
			res := &startup.Result{Conn: far{server}, Session: &startup.Session{User: "ada"}}
			if secure {
				res.Certificate = &x509.Certificate{}
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := srv.Authenticate(ctx, res)
				done <- err
			}()
			msg, err := pgproto3.NewFrontend(client, client).Receive()
			if err != nil {
				t.Fatal(err)
			}
			e, refused := msg.(*pgproto3.ErrorResponse)
			if refused == (ok || secure) || refused && e.Code != "28000" {
				t.Errorf("%s, TLS %v: got %T", method, secure, msg)
			}
			cancel()
			<-done
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{}, {Method: "md5", Lookup: roles}, {Method: Scram}} {
		if _, err := NewServer(o); err == nil {
			t.Errorf("%q: no error", o.Method)
		}
	}
}

func FuzzClientMessages(f *testing.F) {
	f.Add([]byte("n,,n=,r=abc"), []byte("c=biws,r=abc,p=AAAA"))
	f.Add([]byte("p=tls-server-end-point,,n=,r=abc"), []byte("c=,r=,p="))
	v, err := ParseVerifier(ScramVerifier("unknown to the fuzzer", []byte("salt"), 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, final []byte) {
		if _, err := checkClientFirst(string(first), false, false); err != nil {
			return
		}
		conv, err := newExchange(v, scram.ChannelBinding{})
		if err != nil {
			t.Fatal(err)
		}
		serverFirst, err := conv.Step(string(first))
		if err != nil {
			return
		}
		nonce, _, _, err := parseServerFirst(serverFirst)
		if err != nil {
			t.Fatalf("%q answered with %q: %v", first, serverFirst, err)
		}
		final = bytes.ReplaceAll(final, []byte("abc"), []byte(nonce))
		if _, err := conv.Step(string(final)); err == nil || conv.Valid() {
			t.Fatalf("let in with %q, %q", first, final)
		}
	})
}
