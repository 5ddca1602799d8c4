package startup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// maxPacket is MAX_STARTUP_PACKET_LENGTH of pqcomm.h: bytes after the length word.
const maxPacket = 10_000

// Request codes of pqcomm.h, where a startup packet has its version.
const (
	cancelRequestCode = 1234<<16 | 5678
	sslRequestCode    = 1234<<16 | 5679
	gssRequestCode    = 1234<<16 | 5680
)

// tlsHandshakeRecord is the first byte of a TLS client hello; as the first byte of a length it would be far
// above the cap.
const tlsHandshakeRecord = 0x16

// Accept reads from a fresh client socket until there is a session or a cancel request. It gives up when ctx is
// done, which is to carry the login deadline. The caller owns conn and closes it, whatever is returned.
//
// An error that wraps *pgerr.Error has been shown to the client; of others it was told nothing.
func Accept(ctx context.Context, conn net.Conn, opts Options) (*Result, error) {
	release := Guard(ctx, conn)
	a := &acceptor{opts: opts, conn: conn}
	res, err := a.run(ctx)
	if cause := release(); cause != nil {
		return nil, fmt.Errorf("accept client: %w", cause)
	}
	if err != nil {
		return nil, fmt.Errorf("accept client: %w", err)
	}
	return res, nil
}

// acceptor is the state of one Accept.
type acceptor struct {
	opts Options
	conn net.Conn // the one in use: replaced by the handshake
	tls  bool
	// sslDone and gssDone: the request was made, or can no longer be. Each is taken once (CVE-2026-6479).
	sslDone, gssDone bool
}

func (a *acceptor) run(ctx context.Context) (*Result, error) {
	for first := true; ; first = false {
		code, body, err := a.readPacket(ctx, first)
		if err != nil {
			return nil, err
		}
		switch {
		case code == cancelRequestCode:
			cancel, err := parseCancel(body)
			if err != nil {
				return nil, err
			}
			return a.result(nil, cancel), nil
		case code == sslRequestCode && !a.sslDone:
			if err := a.answerSSL(ctx); err != nil {
				return nil, err
			}
		case code == gssRequestCode && !a.gssDone:
			a.gssDone = true
			if _, err := a.conn.Write([]byte{'N'}); err != nil {
				return nil, fmt.Errorf("answer GSS encryption request: %w", err)
			}
		default:
			s, err := a.session(versionOf(code), body)
			if err != nil {
				return nil, a.refuse(err)
			}
			return a.result(s, nil), nil
		}
	}
}

func (a *acceptor) result(s *Session, c *CancelRequest) *Result {
	r := &Result{Conn: a.conn, Session: s, Cancel: c}
	if a.tls {
		r.Certificate = a.opts.TLS.leaf
	}
	return r
}

// readPacket reads exactly one packet. A TLS client hello in place of the first one is answered with the
// handshake, and the packet is the one inside.
func (a *acceptor) readPacket(ctx context.Context, first bool) (code uint32, body []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(a.conn, head[:1]); err != nil {
		if first && errors.Is(err, io.EOF) {
			return 0, nil, ErrNoStartup
		}
		return 0, nil, fmt.Errorf("read startup packet: %w", noEOF(err))
	}
	if first && !a.tls && head[0] == tlsHandshakeRecord {
		if err := a.directTLS(ctx, head[0]); err != nil {
			return 0, nil, err
		}
		return a.readPacket(ctx, false)
	}
	if _, err := io.ReadFull(a.conn, head[1:]); err != nil {
		return 0, nil, fmt.Errorf("read startup packet: %w", noEOF(err))
	}
	size := int64(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if size < 4 || size > maxPacket {
		return 0, nil, ErrInvalidLength
	}
	packet := make([]byte, size)
	if _, err := io.ReadFull(a.conn, packet); err != nil {
		return 0, nil, fmt.Errorf("read startup packet: %w", noEOF(err))
	}
	return binary.BigEndian.Uint32(packet), packet[4:], nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// session checks a startup packet in PostgreSQL's order, and negotiates the version on the way.
func (a *acceptor) session(asked Version, body []byte) (*Session, error) {
	if asked.Major != Protocol32.Major {
		return nil, pgerr.Fatal(pgerr.FeatureNotSupported,
			"unsupported frontend protocol %d.%d: server supports 3.0 to 3.2", asked.Major, asked.Minor)
	}
	p, err := parseParameters(body)
	if err != nil {
		return nil, err
	}
	version := asked
	if asked.AtLeast(Protocol32) {
		version = Protocol32
	}
	if version != asked || len(p.protocolOptions) > 0 {
		if err := a.negotiate(version, p.protocolOptions); err != nil {
			return nil, err
		}
	}
	s, err := p.session(version)
	if err != nil {
		return nil, err
	}
	if _, unix := a.conn.RemoteAddr().(*net.UnixAddr); a.opts.RequireTLS && !a.tls && !unix {
		return nil, pgerr.Fatal(pgerr.InvalidAuthorization, "connection without TLS is not permitted").
			WithHint("Connect with sslmode=require or stricter.")
	}
	return s, nil
}

// negotiate offers less than was asked for. The version field is the whole version, not the minor one alone:
// that is what PostgreSQL sends and what libpq reads.
func (a *acceptor) negotiate(v Version, unknown []string) error {
	msg := pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: v.code(), UnrecognizedOptions: unknown}
	b, err := msg.Encode(nil)
	if err != nil {
		return fmt.Errorf("encode protocol negotiation: %w", err)
	}
	if _, err := a.conn.Write(b); err != nil {
		return fmt.Errorf("negotiate protocol version: %w", err)
	}
	return nil
}

// refuse shows err to the client if it is meant for it.
func (a *acceptor) refuse(err error) error {
	var shown *pgerr.Error
	if errors.As(err, &shown) {
		if werr := WriteError(a.conn, shown); werr != nil {
			return fmt.Errorf("%w (client not told: %v)", err, werr)
		}
	}
	return err
}

// WriteError sends e as an ErrorResponse.
func WriteError(w io.Writer, e *pgerr.Error) error {
	msg := pgproto3.ErrorResponse{
		Severity: e.Severity, SeverityUnlocalized: e.Severity,
		Code: e.Code, Message: e.Message, Detail: e.Detail, Hint: e.Hint, Position: int32(e.Position),
	}
	b, err := msg.Encode(nil)
	if err != nil {
		return fmt.Errorf("encode error response: %w", err)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write error response: %w", err)
	}
	return nil
}
