package startup

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// FuzzAccept feeds whole connections: whatever comes, Accept ends without a panic and with one of its results.
func FuzzAccept(f *testing.F) {
	f.Add(packet(Protocol30.code(), plainBody))
	f.Add(append(packet(gssRequestCode, ""), packet(Version{3, 9999}.code(), plainBody)...))
	f.Add(append(packet(sslRequestCode, ""), packet(cancelRequestCode, "\x00\x00\x00\x01abcd")...))
	f.Add([]byte{tlsHandshakeRecord, 3, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		res, err := Accept(context.Background(), &script{in: bytes.NewReader(in)}, Options{})
		if (err == nil) != (res != nil) {
			t.Fatalf("got %+v, %v", res, err)
		}
		if res == nil {
			return
		}
		if (res.Session == nil) == (res.Cancel == nil) {
			t.Fatalf("got %+v", res)
		}
		if s := res.Session; s != nil && (s.User == "" || s.Database == "" || s.Protocol.Major != 3 || s.Protocol.Minor > 2) {
			t.Fatalf("got %+v", s)
		}
	})
}

// script is a connection whose client has sent all it ever will.
type script struct {
	net.Conn
	in *bytes.Reader
}

func (s *script) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error) { return io.Discard.Write(b) }
func (s *script) SetDeadline(time.Time) error { return nil }
func (s *script) RemoteAddr() net.Addr        { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// FuzzParameters compares with a transcription of the loop in PostgreSQL's ProcessStartupPacket, which alone takes
// any last byte for the terminator.
func FuzzParameters(f *testing.F) {
	f.Add([]byte(plainBody))
	f.Add([]byte("user\x00\x00\x00"))
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		want, wantOK := dumbParameters(body)
		p, err := parseParameters(body)
		if (err == nil) != wantOK {
			t.Fatalf("got %v, want ok %v", err, wantOK)
		}
		if err != nil {
			return
		}
		var q parameters
		for _, s := range want {
			q.add(s.Name, s.Value)
		}
		if p.user != q.user || p.database != q.database || p.options != q.options ||
			!slices.Equal(p.settings, q.settings) || !slices.Equal(p.protocolOptions, q.protocolOptions) {
			t.Fatalf("got %+v, want %+v", p, q)
		}
	})
}

func dumbParameters(body []byte) (pairs []Setting, ok bool) {
	buf := append(bytes.Clone(body), 0) // PostgreSQL adds one NUL against overruns
	cstring := func(at int) string { return string(buf[at : at+bytes.IndexByte(buf[at:], 0)]) }
	offset := 0
	for offset < len(body) {
		name := cstring(offset)
		if name == "" {
			break
		}
		value := offset + len(name) + 1
		if value >= len(body) {
			break
		}
		pairs = append(pairs, Setting{name, cstring(value)})
		offset = value + len(cstring(value)) + 1
	}
	return pairs, offset == len(body)-1 && body[offset] == 0
}

func FuzzOptions(f *testing.F) {
	f.Add(`-c geqo=off --work-mem=4MB -cx.y=a\ b\\`)
	f.Fuzz(func(t *testing.T, line string) {
		settings, err := parseOptions(line)
		if err != nil && settings != nil {
			t.Fatal("settings beside an error")
		}
		for _, w := range splitOptions(line) {
			if w == "" && !bytes.Contains([]byte(line), []byte(`\`)) {
				t.Fatal("empty word")
			}
		}
	})
}
