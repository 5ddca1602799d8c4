package auth

import (
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The same bytes get the same refusal from PostgreSQL and from the tiny server: severity, SQLSTATE and words.
func TestRefusalsAreThoseOfPostgreSQL(t *testing.T) {
	p := newTiny(t, Options{Method: Scram, Lookup: pg.lookup}, true)
	startupPacket := func(body string) string {
		b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
		return string(binary.BigEndian.AppendUint32(b, pgproto3.ProtocolVersion30)) + body
	}
	message := func(kind, body string) string {
		return kind + string(binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))) + body
	}
	sasl := func(mechanism, data string) string {
		return message("p", mechanism+"\x00"+string(binary.BigEndian.AppendUint32(nil, uint32(len(data))))+data)
	}
	start := startupPacket("user\x00u_scram\x00database\x00postgres\x00\x00")
	for name, in := range map[string]string{
		"layout":                 startupPacket("user\x00u_scram\x00"),
		"nothing":                startupPacket("\x00"),
		"no user":                startupPacket("database\x00postgres\x00\x00"),
		"replication":            startupPacket("user\x00u_scram\x00replication\x00perhaps\x00\x00"),
		"query":                  start + message("Q", "select 1\x00"),
		"mechanism":              start + sasl("SCRAM-SHA-1", "n,,n=,r=abc"),
		"plus without TLS":       start + sasl(mechScramPlus, "p=tls-server-end-point,,n=,r=abc"),
		"SASL length":            start + message("p", mechScram+"\x00\x00\x00\x00\x09x"),
		"SASL without a length":  start + message("p", mechScram+"\x00\x00"),
		"SASL without a name":    start + message("p", "abc"),
		"SASL and more":          start + message("p", mechScram+"\x00\x00\x00\x00\x01xy"),
		"empty message":          start + sasl(mechScram, ""),
		"GS2 flag":               start + sasl(mechScram, "x,,n=,r=abc"),
		"binding without plus":   start + sasl(mechScram, "p=tls-server-end-point,,n=,r=abc"),
		"authzid":                start + sasl(mechScram, "n,a=root,n=,r=abc"),
		"mandatory extension":    start + sasl(mechScram, "n,,m=x,n=,r=abc"),
		"no nonce":               start + sasl(mechScram, "n,,n="),
		"not printable":          start + sasl(mechScram, "n,,n=,r=a\x01b"),
		"NUL":                    start + sasl(mechScram, "n,,n=\x00,r=ab"),
		"final of another nonce": start + sasl(mechScram, "n,,n=,r=abc") + message("p", "c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
		"final without proof":    start + sasl(mechScram, "n,,n=,r=abc") + message("p", "c=biws,r=abc"),
		"final empty":            start + sasl(mechScram, "n,,n=,r=abc") + message("p", ""),
		"final short proof":      start + sasl(mechScram, "n,,n=,r=abc") + message("p", "c=biws,r=abc,p=AAAA"),
		"final query":            start + sasl(mechScram, "n,,n=,r=abc") + message("Q", "select 1\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			want, got := refusal(t, pg.port, in), refusal(t, p.port, in)
			if want.Severity != got.Severity || want.Code != got.Code || want.Message != got.Message {
				t.Errorf("got %s %s %q, PostgreSQL says %s %s %q", got.Severity, got.Code, got.Message, want.Severity, want.Code, want.Message)
			}
		})
	}
}

// refusal sends bytes and returns the error that comes, whatever comes before it.
func refusal(t *testing.T, port int, in string) pgproto3.ErrorResponse {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, in); err != nil {
		t.Fatal(err)
	}
	wire := pgproto3.NewFrontend(conn, conn)
	for {
		msg, err := wire.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := msg.(*pgproto3.ErrorResponse); ok {
			return *e
		}
	}
}
