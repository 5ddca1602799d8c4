// Package auth proves who a client is and, with what that proof yields, logs in to the backends as the same role.
//
// A server that checks a SCRAM proof learns the client's ClientKey on the way. It is enough to log in to any
// server that stores the same verifier, so pleiad knows no passwords and still is, on every backend, the role
// itself. Authenticate returns these Keys and Login uses them.
package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/startup"
)

// Method is how clients prove who they are.
type Method string

// The methods, named as in pg_hba.conf.
const (
	Scram    Method = "scram-sha-256"
	Password Method = "password"
	Trust    Method = "trust"
)

// Options of a Server.
type Options struct {
	Method Method
	Lookup Lookup
	// MockSecret makes the salts of roles that do not exist. Keep it over restarts and equal on every proxy,
	// else changing salts tell which roles exist. Empty: random for this Server.
	MockSecret []byte
	// MockIterations is the cluster's scram_iterations; 0: DefaultIterations.
	MockIterations int
	// Now is the clock for VALID UNTIL; nil: time.Now.
	Now func() time.Time
}

// Server authenticates clients. Safe for concurrent use.
type Server struct{ opts Options }

// NewServer checks the options.
func NewServer(opts Options) (*Server, error) {
	switch opts.Method {
	case Scram, Password, Trust:
	default:
		return nil, fmt.Errorf("make authentication: unknown method %q", string(opts.Method))
	}
	if opts.Lookup == nil {
		return nil, errors.New("make authentication: there is no role lookup")
	}
	if len(opts.MockSecret) == 0 {
		opts.MockSecret = make([]byte, 32)
		if _, err := rand.Read(opts.MockSecret); err != nil {
			return nil, fmt.Errorf("make mock secret: %w", err)
		}
	}
	if opts.MockIterations <= 0 {
		opts.MockIterations = DefaultIterations
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Server{opts: opts}, nil
}

// Identity is a client that has been authenticated.
type Identity struct {
	Role   Role
	Method Method
	// Keys are nil after trust.
	Keys *Keys
	// ChannelBound says that the proof was tied to this TLS connection.
	ChannelBound bool
}

// Failure is a refused login. The client has been told Shown; Reason is for the log alone, and names no secret.
type Failure struct {
	Shown  *pgerr.Error
	Reason string
}

func (f *Failure) Error() string { return f.Reason }

// Unwrap gives what the client was told.
func (f *Failure) Unwrap() error { return f.Shown }

// ErrClientLeft is a client that closed its side during authentication, as psql does to ask for a password.
var ErrClientLeft = errors.New("client left during authentication")

// goodbyeTime is how long a client may take to read that its login took too long.
const goodbyeTime = time.Second

// Authenticate asks the client of a session to prove that it is Session.User, and sends AuthenticationOk. It
// gives up when ctx is done. A *Failure has been shown to the client; of other errors it was told nothing. The
// caller closes the connection.
func (s *Server) Authenticate(ctx context.Context, res *startup.Result) (*Identity, error) {
	c := &conversation{opts: &s.opts, conn: res.Conn, res: res, user: res.Session.User}
	c.frames = &frameReader{r: res.Conn, only: 'p', keep: true}
	c.wire = pgproto3.NewBackend(c.frames, res.Conn)
	c.wire.SetMaxBodyLen(maxFrame)

	release := startup.Guard(ctx, res.Conn)
	id, err := c.run(ctx)
	var shown *Failure
	if errors.As(err, &shown) {
		_ = startup.WriteError(res.Conn, shown.Shown) // the reason is worth more than that it could not be told
	}
	if cause := release(); cause != nil {
		return nil, timedOut(res.Conn, cause, shown)
	}
	if err != nil {
		return nil, fmt.Errorf("authenticate role %q: %w", c.user, err)
	}
	return id, nil
}

func timedOut(conn net.Conn, cause error, shown *Failure) error {
	if shown != nil {
		return shown
	}
	f := &Failure{
		Shown:  pgerr.Fatal(pgerr.AdminShutdown, "terminating connection due to administrator command"),
		Reason: "authentication interrupted: " + cause.Error(),
	}
	if errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, os.ErrDeadlineExceeded) {
		f.Shown = pgerr.Fatal(pgerr.QueryCanceled, "canceling authentication due to timeout")
	}
	if err := conn.SetDeadline(time.Now().Add(goodbyeTime)); err == nil {
		_ = startup.WriteError(conn, f.Shown)
	}
	return f
}

// conversation is one authentication.
type conversation struct {
	opts   *Options
	conn   net.Conn
	res    *startup.Result
	user   string
	frames *frameReader
	wire   *pgproto3.Backend
}

func (c *conversation) run(ctx context.Context) (*Identity, error) {
	if c.opts.Method != Scram && !c.res.Secure() && !startup.Local(c.conn) {
		return nil, &Failure{
			Shown: pgerr.Fatal(pgerr.InvalidAuthorization, `connection without TLS is not permitted for user "%s"`, c.user).
				WithHint("Connect with sslmode=require or stricter."),
			Reason: string(c.opts.Method) + " authentication needs TLS or a loopback connection",
		}
	}
	role, known, err := c.lookup(ctx)
	if err != nil {
		return nil, err
	}
	switch c.opts.Method {
	case Trust:
		return c.trust(role, known)
	case Password:
		return c.password(role, known)
	default:
		return c.scram(role, known)
	}
}

// lookup does not ask for names that no role can have.
func (c *conversation) lookup(ctx context.Context) (role Role, known bool, err error) {
	if !utf8.ValidString(c.user) || strings.ContainsRune(c.user, 0) {
		return Role{}, false, nil
	}
	role, err = c.opts.Lookup(ctx, c.user)
	switch {
	case errors.Is(err, ErrNoRole):
		return Role{}, false, nil
	case err != nil:
		f := &Failure{Shown: pgerr.Fatal(pgerr.CannotConnectNow, "roles cannot be looked up at the moment")}
		f.Reason = "look up role: " + err.Error()
		var own *pgerr.Error
		if errors.As(err, &own) {
			fatal := *own
			fatal.Severity = "FATAL"
			f.Shown = &fatal
		}
		return Role{}, false, f
	case role.Name != c.user:
		return Role{}, false, &Failure{
			Shown:  pgerr.Fatal(pgerr.InternalError, "role lookup returned another role"),
			Reason: fmt.Sprintf("role lookup returned %q", role.Name),
		}
	}
	return role, true, nil
}

func (c *conversation) trust(role Role, known bool) (*Identity, error) {
	if !known {
		shown := pgerr.Fatal(pgerr.InvalidAuthorization, `role "%s" does not exist`, c.user)
		return nil, &Failure{Shown: shown, Reason: shown.Message}
	}
	return c.admit(&Identity{Role: role, Method: Trust})
}

// admit is the last step of every method.
func (c *conversation) admit(id *Identity, before ...pgproto3.BackendMessage) (*Identity, error) {
	if !id.Role.CanLogin {
		shown := pgerr.Fatal(pgerr.InvalidAuthorization, `role "%s" is not permitted to log in`, c.user)
		return nil, &Failure{Shown: shown, Reason: shown.Message}
	}
	for _, m := range before {
		c.wire.Send(m)
	}
	if err := c.send(&pgproto3.AuthenticationOk{}); err != nil {
		return nil, err
	}
	return id, nil
}

// credentials is the verifier to check against. Why it is a mock one, which no proof fits, is said by doomed.
func (c *conversation) credentials(role Role, known bool) (v Verifier, doomed string) {
	switch {
	case !known:
		return c.mock(), "role does not exist"
	case role.Verifier == "":
		return c.mock(), "role has no password"
	case role.expired(c.opts.Now()):
		return c.mock(), "role has an expired password"
	}
	v, err := ParseVerifier(string(role.Verifier))
	switch {
	case errors.Is(err, ErrNotScram) && strings.HasPrefix(string(role.Verifier), "md5"):
		return c.mock(), "role has an md5 password, which is not supported: set it anew with password_encryption = 'scram-sha-256'"
	case err != nil:
		return c.mock(), err.Error()
	}
	return v, ""
}

// mock is the same at each login of this user, as a real verifier would be.
func (c *conversation) mock() Verifier {
	return Verifier{
		Salt:       hmacSHA256(c.opts.MockSecret, "salt "+c.user)[:DefaultSaltLength],
		Iterations: c.opts.MockIterations,
		StoredKey:  hmacSHA256(c.opts.MockSecret, "stored "+c.user),
		ServerKey:  hmacSHA256(c.opts.MockSecret, "server "+c.user),
	}
}

func (c *conversation) wrongPassword(reason string) *Failure {
	return &Failure{
		Shown:  pgerr.Fatal(pgerr.InvalidPassword, `password authentication failed for user "%s"`, c.user),
		Reason: reason,
	}
}

func violation(format string, args ...any) *Failure {
	shown := pgerr.Fatal(pgerr.ProtocolViolation, format, args...)
	return &Failure{Shown: shown, Reason: shown.Message}
}

func (f *Failure) withDetail(format string, args ...any) *Failure {
	f.Shown = f.Shown.WithDetail(format, args...)
	f.Reason += ": " + f.Shown.Detail
	return f
}

func (c *conversation) send(m pgproto3.BackendMessage) error {
	c.wire.Send(m)
	if err := c.wire.Flush(); err != nil {
		return fmt.Errorf("write authentication message: %w", err)
	}
	return nil
}

// ask sends a request for a message of type p, and reads it. What names the message for errors.
func (c *conversation) ask(request pgproto3.BackendMessage, authType uint32, what string) (pgproto3.FrontendMessage, error) {
	if err := c.wire.SetAuthType(authType); err != nil {
		return nil, err
	}
	if err := c.send(request); err != nil {
		return nil, err
	}
	msg, err := c.wire.Receive()
	if err == nil {
		return msg, nil
	}
	var other *unexpectedTypeError
	var tooLong *pgproto3.ExceededMaxBodyLenErr
	switch {
	case errors.As(err, &other):
		return nil, violation("expected %s response, got message type %d", what, other.got)
	case errors.Is(c.frames.err, io.EOF), errors.Is(c.frames.err, io.ErrUnexpectedEOF), errors.Is(c.frames.err, net.ErrClosed):
		return nil, ErrClientLeft
	case c.frames.err != nil:
		return nil, fmt.Errorf("read %s response: %w", what, c.frames.err)
	case errors.As(err, &tooLong):
		return nil, violation("invalid message length")
	default:
		return nil, c.badPacket(authType)
	}
}

// badPacket says what is wrong with a message that pgproto3 cannot decode.
func (c *conversation) badPacket(authType uint32) *Failure {
	switch {
	case int32(binary.BigEndian.Uint32(c.frames.head[1:])) < 4:
		return violation("invalid message length")
	case authType != pgproto3.AuthTypeSASL:
		return violation("invalid password packet size")
	case bytes.IndexByte(c.frames.body, 0) < 0:
		return violation("invalid string in message")
	default:
		return violation("insufficient data left in message")
	}
}
