package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pleiad/pleiad/internal/startup"
)

// tiny is a server made of startup, auth and nothing else: it answers every query with the role's name.
type tiny struct {
	port   int
	logins chan verdict
}

// verdict is what one client's authentication gave.
type verdict struct {
	id  *Identity
	err error
}

func newTiny(t *testing.T, opts Options, withTLS bool) *tiny {
	t.Helper()
	srv, err := NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	var start startup.Options
	if withTLS {
		if start.TLS, err = startup.LoadTLS(pg.certFile, pg.keyFile, ""); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tiny{port: l.Addr().(*net.TCPAddr).Port, logins: make(chan verdict, 100)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(ctx, conn, srv, start)
		}
	}()
	return p
}

func (p *tiny) serve(ctx context.Context, conn net.Conn, srv *Server, opts startup.Options) {
	defer conn.Close()
	res, err := startup.Accept(ctx, conn, opts)
	if err != nil || res.Cancel != nil {
		return
	}
	id, err := srv.Authenticate(ctx, res)
	p.logins <- verdict{id, err}
	if err == nil {
		answerQueries(res.Conn, id.Role.Name)
	}
}

// answerQueries plays a PostgreSQL that knows one query.
func answerQueries(conn net.Conn, answer string) {
	wire := pgproto3.NewBackend(conn, conn)
	for _, p := range [][2]string{{"server_version", "15.0"}, {"client_encoding", "UTF8"}, {"standard_conforming_strings", "on"}, {"DateStyle", "ISO"}} {
		wire.Send(&pgproto3.ParameterStatus{Name: p[0], Value: p[1]})
	}
	wire.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	ready := &pgproto3.ReadyForQuery{TxStatus: 'I'}
	wire.Send(ready)
	for wire.Flush() == nil {
		msg, err := wire.Receive()
		if err != nil {
			return
		}
		if _, ok := msg.(*pgproto3.Query); !ok {
			return
		}
		wire.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("r"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}}})
		wire.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(answer)}})
		wire.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		wire.Send(ready)
	}
}

// psql runs the real one; the rest of the connection string is the caller's.
func (p *tiny) psql(t *testing.T, user, password, more string) (out string, err error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(pg.bin, "psql"), "-X", "-w", "-At", "-c", "select 1",
		fmt.Sprintf("host=127.0.0.1 port=%d dbname=lab user=%s %s", p.port, user, more))
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "LC_ALL=C.UTF-8")
	b, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(b)), err
}

// wantLogin checks that psql got in, and returns what the server learned.
func (p *tiny) wantLogin(t *testing.T, user, password, more string) *Identity {
	t.Helper()
	out, err := p.psql(t, user, password, more)
	if err != nil || out != user {
		t.Fatalf("psql as %s: %v: %s", user, err, out)
	}
	l := <-p.logins
	if l.err != nil || l.id.Role.Name != user {
		t.Fatalf("got %+v, %v", l.id, l.err)
	}
	return l.id
}

// wantRefused checks what psql was told and what the log says.
func (p *tiny) wantRefused(t *testing.T, user, password, more, code, message, reason string) {
	t.Helper()
	out, err := p.psql(t, user, password, more)
	if err == nil || !strings.Contains(out, "FATAL:  "+message) {
		t.Errorf("psql as %s: %v: %s", user, err, out)
	}
	var f *Failure
	if l := <-p.logins; !errors.As(l.err, &f) || f.Shown.Code != code || f.Shown.Message != message || !strings.Contains(f.Reason, reason) {
		t.Errorf("as %s: got %v", user, l.err)
	}
}
