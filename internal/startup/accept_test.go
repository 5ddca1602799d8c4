package startup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestStartupPacket(t *testing.T) {
	client, done := start(t, Options{})
	write(t, client, packet(Protocol30.code(), "user\x00ada\x00DateStyle\x00ISO\x00options\x00-c geqo=off --work-mem=1\\ MB\x00\x00"))
	s := wantSession(t, done).Session
	want := &Session{Protocol: Protocol30, User: "ada", Database: "ada", Settings: []Setting{
		{"geqo", "off"}, {"work_mem", "1 MB"}, {"DateStyle", "ISO"}}}
	if !reflect.DeepEqual(s, want) {
		t.Fatalf("got %+v, want %+v", s, want)
	}
}

func TestStartupAByteAtATime(t *testing.T) {
	client, done := start(t, Options{})
	for _, b := range append(packet(gssRequestCode, ""), packet(Protocol32.code(), plainBody)...) {
		write(t, client, []byte{b})
	}
	if r := wantSession(t, done); r.Session.Database != "lab" || r.Session.Protocol != Protocol32 {
		t.Fatalf("got %+v", r.Session)
	}
}

func TestBytesBehindStartupStayInConnection(t *testing.T) {
	const behind = "p\x00\x00\x00\x04 and more"
	client, done := start(t, Options{})
	write(t, client, append(packet(Protocol30.code(), plainBody), behind...))
	r := wantSession(t, done)
	got := make([]byte, len(behind))
	if _, err := io.ReadFull(r.Conn, got); err != nil || string(got) != behind {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestStartupLengthsAreSignedAndCapped(t *testing.T) {
	for _, head := range []string{
		"\xff\xff\xff\xfe", "\x80\x00\x00\x00", "\x7f\xff\xff\xff", "\x00\x00\x00\x00", "\x00\x00\x00\x07", "\x00\x00\x27\x15",
		"GET ", "\x00\x00\x00\x04",
	} {
		client, done := start(t, Options{})
		write(t, client, []byte(head+"\x00\x03\x00\x00"))
		if o := <-done; !errors.Is(o.err, ErrInvalidLength) {
			t.Errorf("length %x: %v", head, o.err)
		}
		wantClosed(t, client)
	}
	client, done := start(t, Options{})
	longest := "user\x00" + strings.Repeat("u", maxPacket-4-5-2) + "\x00\x00"
	write(t, client, packet(Protocol30.code(), longest))
	wantSession(t, done)
}

func TestStartupCutShort(t *testing.T) {
	whole := packet(Protocol30.code(), plainBody)
	for n := range whole {
		client, done := start(t, Options{})
		write(t, client, whole[:n])
		client.Close()
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = ErrNoStartup
		}
		if o := <-done; !errors.Is(o.err, want) {
			t.Fatalf("%d bytes: %v", n, o.err)
		}
	}
}

func TestProtocolMajorOtherThanThree(t *testing.T) {
	for code, name := range map[uint32]string{2 << 16: "2.0", 4<<16 | 7: "4.7", 0: "0.0", 1234<<16 | 5677: "1234.5677"} {
		client, done := start(t, Options{})
		write(t, client, packet(code, plainBody))
		e := readError(t, client)
		if want := "unsupported frontend protocol " + name + ": server supports 3.0 to 3.2"; e.Message != want || e.Code != "0A000" {
			t.Errorf("got %q %s, want %q", e.Message, e.Code, want)
		}
		wantCode(t, (<-done).err, "0A000")
		wantClosed(t, client)
	}
}

func TestProtocolNegotiation(t *testing.T) {
	for _, c := range []struct {
		asked, got Version
		options    []string
		negotiates bool
	}{
		{asked: Protocol30, got: Protocol30},
		{asked: Version{3, 1}, got: Version{3, 1}},
		{asked: Protocol32, got: Protocol32},
		{asked: Version{3, 3}, got: Protocol32, negotiates: true},
		{asked: Version{3, 9999}, got: Protocol32, negotiates: true, options: []string{"_pq_.test_protocol_negotiation"}},
		{asked: Protocol30, got: Protocol30, negotiates: true, options: []string{"_pq_.a", "_pq_.b"}},
	} {
		t.Run(fmt.Sprint(c.asked, c.options), func(t *testing.T) {
			body := plainBody[:len(plainBody)-1]
			for _, o := range c.options {
				body += o + "\x00on\x00"
			}
			client, done := start(t, Options{})
			write(t, client, packet(c.asked.code(), body+"\x00"))
			r := wantSession(t, done)
			if r.Session.Protocol != c.got || len(r.Session.Settings) != 0 {
				t.Fatalf("got %+v", r.Session)
			}
			r.Conn.Close()
			if !c.negotiates {
				wantClosed(t, client)
				return
			}
			msg, err := pgproto3.NewFrontend(client, io.Discard).Receive()
			n, ok := msg.(*pgproto3.NegotiateProtocolVersion)
			if err != nil || !ok || n.NewestMinorProtocol != c.got.code() ||
				strings.Join(n.UnrecognizedOptions, " ") != strings.Join(c.options, " ") {
				t.Fatalf("got %+v, %v", msg, err)
			}
		})
	}
}

func TestRefusedStartupPackets(t *testing.T) {
	const layout = "invalid startup packet layout: expected terminator as last byte"
	for _, c := range []struct{ body, code, message string }{
		{"", "08P01", layout},
		{"user\x00ada", "08P01", layout},
		{"user\x00ada\x00", "08P01", layout},
		{"user\x00", "08P01", layout},
		{plainBody + "x", "08P01", layout},
		{plainBody + "\x00", "08P01", layout},
		{"\x00", "28000", "no PostgreSQL user name specified in startup packet"},
		{"user\x00\x00database\x00lab\x00\x00", "28000", "no PostgreSQL user name specified in startup packet"},
		{"user\x00ada\x00replication\x00true\x00\x00", "0A000", "replication connections are not supported"},
		{"user\x00ada\x00replication\x00database\x00\x00", "0A000", "replication connections are not supported"},
		{"user\x00ada\x00replication\x00maybe\x00\x00", "22023", `invalid value for parameter "replication": "maybe"`},
		{"user\x00ada\x00options\x00-c geqo\x00\x00", "42601", "-c geqo requires a value"},
		{"user\x00ada\x00options\x00-c\x00\x00", "42601", "invalid command-line argument for server process: -c"},
		{"user\x00ada\x00options\x00-B 5\x00\x00", "42601", "invalid command-line argument for server process: -B"},
	} {
		client, done := start(t, Options{})
		write(t, client, packet(Protocol30.code(), c.body))
		e := readError(t, client)
		if e.Code != c.code || e.Message != c.message || e.Severity != "FATAL" || e.SeverityUnlocalized != "FATAL" {
			t.Errorf("%q: got %+v", c.body, e)
		}
		wantCode(t, (<-done).err, c.code)
		wantClosed(t, client)
	}
}

func TestReplicationFalseIsAnOrdinarySession(t *testing.T) {
	client, done := start(t, Options{})
	write(t, client, packet(Protocol30.code(), "user\x00ada\x00replication\x00off\x00\x00"))
	if s := wantSession(t, done).Session; len(s.Settings) != 0 {
		t.Fatalf("got settings %v", s.Settings)
	}
}

func TestOneGSSRequestAtMost(t *testing.T) {
	client, done := start(t, Options{})
	write(t, client, packet(gssRequestCode, ""))
	if b := readByte(t, client); b != 'N' {
		t.Fatalf("got %q", b)
	}
	write(t, client, packet(gssRequestCode, ""))
	if e := readError(t, client); e.Message != "unsupported frontend protocol 1234.5680: server supports 3.0 to 3.2" {
		t.Fatalf("got %+v", e)
	}
	wantCode(t, (<-done).err, "0A000")
}

func TestOneSSLRequestAtMost(t *testing.T) {
	client, done := start(t, Options{})
	for _, code := range []uint32{sslRequestCode, gssRequestCode} {
		write(t, client, packet(code, ""))
		if b := readByte(t, client); b != 'N' {
			t.Fatalf("got %q", b)
		}
	}
	write(t, client, packet(sslRequestCode, ""))
	if e := readError(t, client); e.Message != "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.2" {
		t.Fatalf("got %+v", e)
	}
	wantCode(t, (<-done).err, "0A000")
}

func TestCancelRequest(t *testing.T) {
	for _, secret := range []string{"\x01\x02\x03\x04", strings.Repeat("k", 32), strings.Repeat("k", 256), "k"} {
		client, done := start(t, Options{RequireTLS: true})
		write(t, client, packet(cancelRequestCode, "\xff\xff\xff\xfe"+secret))
		o := <-done
		if o.err != nil || o.res.Session != nil || o.res.Cancel.PID != -2 || string(o.res.Cancel.Secret) != secret {
			t.Fatalf("got %+v, %v", o.res, o.err)
		}
	}
	for _, secret := range []string{"", strings.Repeat("k", 257)} {
		client, done := start(t, Options{})
		write(t, client, packet(cancelRequestCode, "\x00\x00\x00\x01"+secret))
		if o := <-done; !errors.Is(o.err, ErrInvalidCancel) {
			t.Fatalf("got %+v, %v", o.res, o.err)
		}
		wantClosed(t, client)
	}
}

// The client goes on sending, one byte before each silence would be long enough to notice.
func TestLoginDeadlineCoversTrickle(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	client, done := startWith(ctx, t, Options{})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	whole := packet(Protocol30.code(), "user\x00"+strings.Repeat("u", 9000)+"\x00\x00")
	for i := 0; ; i++ {
		select {
		case o := <-done:
			if !errors.Is(o.err, context.DeadlineExceeded) {
				t.Fatalf("got %+v, %v", o.res, o.err)
			}
			wantClosed(t, client)
			return
		case <-tick.C:
			_, _ = client.Write(whole[i : i+1]) // fails once the server has closed
		}
	}
}

func TestLoginDeadlineCoversHandshake(t *testing.T) {
	opts, _ := withTLS(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	client, done := startWith(ctx, t, opts)
	write(t, client, packet(sslRequestCode, ""))
	if b := readByte(t, client); b != 'S' {
		t.Fatalf("got %q", b)
	}
	late := errors.New("late")
	cancel(late)
	if o := <-done; !errors.Is(o.err, late) {
		t.Fatalf("got %v", o.err)
	}
}

func TestDeadlineIsGoneAfterAccept(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client, done := startWith(ctx, t, Options{})
	write(t, client, packet(Protocol30.code(), plainBody))
	r := wantSession(t, done)
	cancel()
	write(t, client, []byte("x"))
	if b := readByte(t, r.Conn); b != 'x' {
		t.Fatalf("got %q", b)
	}
}

func TestUnixSocketNeedsNoTLS(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	opts, _ := withTLS(t)
	opts.RequireTLS = true
	write(t, client, append(packet(sslRequestCode, ""), packet(Protocol30.code(), plainBody)...))
	r, err := Accept(t.Context(), server, opts)
	if err != nil || r.Secure() || !Local(server) {
		t.Fatalf("got %+v, %v", r, err)
	}
	if b := readByte(t, client); b != 'N' {
		t.Fatalf("got %q", b)
	}
}
