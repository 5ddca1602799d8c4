package auth

import (
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"

	"github.com/pleiad/pleiad/internal/startup"
)

// Credentials prove a role to a backend. Both may be set: Keys are tried where they fit, else Password.
type Credentials struct {
	Keys     *Keys
	Password Secret // "": none
}

// Format covers every verb.
func (Credentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// LogValue implements slog.LogValuer.
func (Credentials) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText keeps the value out of encoders.
func (Credentials) MarshalText() ([]byte, error) { return []byte(masked), nil }

// ErrNoCredentials says that the server asks for a proof that these credentials cannot give.
var ErrNoCredentials = errors.New("the server asks for a password and none is known that it would take")

// ErrCleartextRefused says that a password was asked for in clear text on a connection that others can read.
var ErrCleartextRefused = errors.New("the server asks for the password in clear text without TLS")

// ServerHello is what a backend said up to its first ReadyForQuery.
type ServerHello struct {
	// Conn replaces the connection given to Login. No byte behind ReadyForQuery has been taken from it.
	Conn net.Conn
	// TLS is nil without TLS.
	TLS        *tls.ConnectionState
	Parameters map[string]string // ParameterStatus
	PID        int32
	Secret     []byte // the cancel key; nil if the server gave none
	TxStatus   byte   // I, as nothing has run
	Notices    []*pgconn.Notice
	// ChannelBound says that the server proved to be the one at the other end of this TLS connection.
	ChannelBound bool
}

const (
	// maxHelloMessages and maxHelloBytes bound what a server may say before ReadyForQuery.
	maxHelloMessages = 2_000
	maxHelloBytes    = 1 << 20
)

// Login opens a session on conn with protocol 3.0. Params is the startup packet's, user among them. It gives up
// when ctx is done. An error the server answered is a *pgconn.PgError. On any error conn is closed.
func Login(ctx context.Context, conn net.Conn, tlsConf *ClientTLS, params map[string]string, cred Credentials) (*ServerHello, error) {
	release := startup.Guard(ctx, conn)
	l := &login{conn: conn, cred: cred, user: params["user"], hello: &ServerHello{Parameters: map[string]string{}}}
	err := l.run(ctx, tlsConf, params)
	if cause := release(); cause != nil {
		err = cause
	}
	if err != nil {
		_ = conn.Close() // the login's error says more
		return nil, fmt.Errorf("log in to backend: %w", err)
	}
	return l.hello, nil
}

// login is the state of one Login.
type login struct {
	conn  net.Conn
	cred  Credentials
	user  string
	wire  *pgproto3.Frontend
	hello *ServerHello

	messages, bytes int
}

func (l *login) run(ctx context.Context, tlsConf *ClientTLS, params map[string]string) error {
	if l.user == "" {
		return errors.New("there is no user in the startup parameters")
	}
	conn, state, err := tlsConf.negotiate(ctx, l.conn)
	if err != nil {
		return err
	}
	l.conn, l.hello.Conn, l.hello.TLS = conn, conn, state
	frames := &frameReader{r: conn}
	l.wire = pgproto3.NewFrontend(frames, conn)
	l.wire.SetMaxBodyLen(maxFrame)
	err = l.send(&pgproto3.StartupMessage{ProtocolVersion: startup30, Parameters: maps.Clone(params)})
	if err != nil {
		return err
	}
	if err := l.authenticate(); err != nil {
		return err
	}
	return l.untilReady()
}

// startup30 is protocol 3.0: every server speaks it, and 3.2 would bring longer cancel keys alone.
const startup30 = pgproto3.ProtocolVersion30

// authenticate ends with AuthenticationOk. Once an exchange has begun in which the server has to prove itself,
// Ok counts only behind that proof.
func (l *login) authenticate() error {
	for asked := false; ; asked = true {
		msg, err := l.receive()
		if err != nil {
			return err
		}
		if _, ok := msg.(*pgproto3.AuthenticationOk); ok {
			return nil
		}
		if asked {
			return fmt.Errorf("authenticate: unexpected %T", msg)
		}
		switch m := msg.(type) {
		case *pgproto3.AuthenticationCleartextPassword:
			err = l.cleartext()
		case *pgproto3.AuthenticationMD5Password:
			err = l.md5(m.Salt)
		case *pgproto3.AuthenticationSASL:
			err = l.sasl(slices.Clone(m.AuthMechanisms))
		default:
			err = fmt.Errorf("authenticate: unexpected or unsupported %T", msg)
		}
		if err != nil {
			return err
		}
	}
}

func (l *login) cleartext() error {
	if l.hello.TLS == nil && !startup.Local(l.conn) {
		return ErrCleartextRefused
	}
	if l.cred.Password == "" {
		return ErrNoCredentials
	}
	return l.send(&pgproto3.PasswordMessage{Password: string(l.cred.Password)})
}

func (l *login) md5(salt [4]byte) error {
	if l.cred.Password == "" {
		return ErrNoCredentials
	}
	hexSum := func(b []byte) string {
		sum := md5.Sum(b)
		return hex.EncodeToString(sum[:])
	}
	inner := hexSum([]byte(string(l.cred.Password) + l.user))
	return l.send(&pgproto3.PasswordMessage{Password: "md5" + hexSum(append([]byte(inner), salt[:]...))})
}

func (l *login) sasl(offered []string) error {
	var binding scram.ChannelBinding
	if l.hello.TLS != nil && len(l.hello.TLS.PeerCertificates) > 0 {
		binding = endpointBinding(l.hello.TLS.PeerCertificates[0])
	}
	plus := binding.IsSupported() && slices.Contains(offered, mechScramPlus)
	mechanism := mechScram
	switch {
	case plus:
		mechanism = mechScramPlus
	case !slices.Contains(offered, mechScram):
		return fmt.Errorf("authenticate: the server offers none of the supported SASL mechanisms: %q", offered)
	}
	c, err := newSCRAMClient(l.cred, binding, plus, binding.IsSupported())
	if err != nil {
		return err
	}
	if err := l.send(&pgproto3.SASLInitialResponse{AuthMechanism: mechanism, Data: []byte(c.first())}); err != nil {
		return err
	}
	serverFirst, err := receiveAs[*pgproto3.AuthenticationSASLContinue](l)
	if err != nil {
		return err
	}
	final, err := c.final(string(serverFirst.Data))
	if err != nil {
		return err
	}
	if err := l.send(&pgproto3.SASLResponse{Data: []byte(final)}); err != nil {
		return err
	}
	serverFinal, err := receiveAs[*pgproto3.AuthenticationSASLFinal](l)
	if err != nil {
		return err
	}
	if err := c.verify(string(serverFinal.Data)); err != nil {
		return err
	}
	l.hello.ChannelBound = plus
	return nil
}

// untilReady collects what the server tells of itself.
func (l *login) untilReady() error {
	for {
		msg, err := l.receive()
		if err != nil {
			return err
		}
		switch m := msg.(type) {
		case *pgproto3.ParameterStatus:
			l.bytes += len(m.Name) + len(m.Value)
			l.hello.Parameters[m.Name] = m.Value
		case *pgproto3.BackendKeyData:
			l.hello.PID, l.hello.Secret = int32(m.ProcessID), slices.Clone(m.SecretKey)
		case *pgproto3.ReadyForQuery:
			l.hello.TxStatus = m.TxStatus
			return nil
		default:
			return fmt.Errorf("start session: unexpected %T", msg)
		}
	}
}

// receive reads the next message, and deals with those that may come at any time.
func (l *login) receive() (pgproto3.BackendMessage, error) {
	for {
		if l.messages++; l.messages > maxHelloMessages || l.bytes > maxHelloBytes {
			return nil, errors.New("start session: the server sends too much before it is ready")
		}
		msg, err := l.wire.Receive()
		if err != nil {
			return nil, fmt.Errorf("read from server: %w", err)
		}
		switch m := msg.(type) {
		case *pgproto3.ErrorResponse:
			return nil, pgconn.ErrorResponseToPgError(m)
		case *pgproto3.NoticeResponse:
			l.bytes += len(m.Message) + len(m.Detail) + len(m.Hint)
			e := pgconn.ErrorResponseToPgError((*pgproto3.ErrorResponse)(m))
			l.hello.Notices = append(l.hello.Notices, (*pgconn.Notice)(e))
		default:
			return msg, nil
		}
	}
}

func receiveAs[M pgproto3.BackendMessage](l *login) (M, error) {
	var none M
	msg, err := l.receive()
	if err != nil {
		return none, err
	}
	m, ok := msg.(M)
	if !ok {
		return none, fmt.Errorf("authenticate: unexpected %T", msg)
	}
	return m, nil
}

func (l *login) send(m pgproto3.FrontendMessage) error {
	l.wire.Send(m)
	if err := l.wire.Flush(); err != nil {
		return fmt.Errorf("write to server: %w", err)
	}
	return nil
}
