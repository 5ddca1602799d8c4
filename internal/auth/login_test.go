package auth

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

func tlsFor(t *testing.T, mode SSLMode) *ClientTLS {
	t.Helper()
	root := ""
	if mode == SSLVerifyCA || mode == SSLVerifyFull {
		root = pg.certFile
	}
	c, err := BuildTLS(mode, "localhost", root, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryLogin(t *testing.T, conn net.Conn, conf *ClientTLS, user string, cred Credentials) (*ServerHello, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return Login(ctx, conn, conf, map[string]string{"user": user, "database": "postgres", "application_name": "pleiad test"}, cred)
}

func mustLogin(t *testing.T, mode SSLMode, user string, cred Credentials) *ServerHello {
	t.Helper()
	h, err := tryLogin(t, pg.dial(t), tlsFor(t, mode), user, cred)
	if err != nil {
		t.Fatalf("log in as %s with %s: %v", user, mode, err)
	}
	t.Cleanup(func() { h.Conn.Close() })
	if h.TxStatus != 'I' || h.PID == 0 || len(h.Secret) != 4 || h.Parameters["application_name"] != "pleiad test" ||
		h.Parameters["server_encoding"] != "UTF8" || (h.TLS != nil) != (mode != SSLDisable) {
		t.Fatalf("got %+v", h)
	}
	return h
}

// queryOne runs a query that returns one text value.
func queryOne(t *testing.T, h *ServerHello, sql string) string {
	t.Helper()
	wire := pgproto3.NewFrontend(h.Conn, h.Conn)
	wire.SendQuery(&pgproto3.Query{String: sql})
	if err := wire.Flush(); err != nil {
		t.Fatal(err)
	}
	var got string
	for {
		msg, err := wire.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := msg.(type) {
		case *pgproto3.DataRow:
			got = string(m.Values[0])
		case *pgproto3.ErrorResponse:
			t.Fatal(m.Message)
		case *pgproto3.ReadyForQuery:
			return got
		}
	}
}

func TestLoginToPostgres(t *testing.T) {
	for _, mode := range []SSLMode{SSLDisable, SSLPrefer, SSLRequire, SSLVerifyCA, SSLVerifyFull} {
		for _, user := range []string{"u_trust", "u_md5", "u_plain", "u_scram"} {
			h := mustLogin(t, mode, user, Credentials{Password: "geheim"})
			if got := queryOne(t, h, "select current_user::text"); got != user {
				t.Fatalf("got %q", got)
			}
			if h.ChannelBound != (user == "u_scram" && mode != SSLDisable) {
				t.Fatalf("%s as %s: channel bound %v", mode, user, h.ChannelBound)
			}
		}
	}
	mustLogin(t, SSLRequire, "u_unicode", Credentials{Password: "päss\u00a0Ⅸ"})
}

func TestLoginOverUnixSocketIgnoresTLS(t *testing.T) {
	conn, err := net.Dial("unix", filepath.Join(pg.dir, ".s.PGSQL."+strconv.Itoa(pg.port)))
	if err != nil {
		t.Fatal(err)
	}
	h, err := tryLogin(t, conn, tlsFor(t, SSLVerifyFull), "u_trust", Credentials{})
	if err != nil || h.TLS != nil {
		t.Fatalf("got %+v, %v", h, err)
	}
	h.Conn.Close()
}

func TestLoginErrorsAreTheServers(t *testing.T) {
	for _, c := range []struct {
		user string
		cred Credentials
		mode SSLMode
		code string
	}{
		{"u_scram", Credentials{Password: "falsch"}, SSLRequire, "28P01"},
		{"u_md5", Credentials{Password: "falsch"}, SSLRequire, "28P01"},
		{"u_plain", Credentials{Password: "falsch"}, SSLRequire, "28P01"},
		{"u_nologin", Credentials{Password: "geheim"}, SSLRequire, "28000"},
		{"u_absent", Credentials{Password: "geheim"}, SSLDisable, "28P01"},
		{"u_ssl", Credentials{Password: "geheim"}, SSLDisable, "28000"},
	} {
		conn := pg.dial(t)
		_, err := tryLogin(t, conn, tlsFor(t, c.mode), c.user, c.cred)
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != c.code || e.Severity != "FATAL" || e.Message == "" || e.Routine == "" {
			t.Errorf("as %s: got %v", c.user, err)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("as %s: connection is left open: %v", c.user, err)
		}
	}
}

func TestLoginWithoutTheRightCredentials(t *testing.T) {
	keys := deriveKeys("geheim", []byte("another salt...."), DefaultIterations)
	for _, c := range []struct {
		user string
		cred Credentials
		want error
	}{
		{"u_scram", Credentials{}, ErrNoCredentials},
		{"u_md5", Credentials{Keys: &keys}, ErrNoCredentials},
		{"u_plain", Credentials{Keys: &keys}, ErrNoCredentials},
		{"u_scram", Credentials{Keys: &keys}, ErrOtherVerifier},
	} {
		if _, err := tryLogin(t, pg.dial(t), nil, c.user, c.cred); !errors.Is(err, c.want) {
			t.Errorf("as %s: got %v, want %v", c.user, err, c.want)
		}
	}
	mustLogin(t, SSLDisable, "u_scram", Credentials{Keys: &keys, Password: "geheim"})
}

func TestVerifyFullChecksTheName(t *testing.T) {
	for _, c := range []struct {
		mode SSLMode
		host string
		ok   bool
	}{
		{SSLVerifyFull, "localhost", true}, {SSLVerifyFull, "127.0.0.1", true},
		{SSLVerifyFull, "db.example", false}, {SSLVerifyCA, "db.example", true}, {SSLRequire, "db.example", true},
	} {
		conf, err := BuildTLS(c.mode, c.host, pg.certFile, "", "")
		if err != nil {
			t.Fatal(err)
		}
		h, err := tryLogin(t, pg.dial(t), conf, "u_trust", Credentials{})
		if (err == nil) != c.ok {
			t.Errorf("%s to %s: %v", c.mode, c.host, err)
		}
		if err == nil {
			h.Conn.Close()
		}
	}
}

func TestForeignRootIsNotTrusted(t *testing.T) {
	certPEM, _, _, err := makeCert()
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "root.crt")
	writeFile(t, foreign, certPEM)
	for _, mode := range []SSLMode{SSLVerifyFull, SSLVerifyCA, SSLRequire} {
		conf, err := BuildTLS(mode, "localhost", foreign, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tryLogin(t, pg.dial(t), conf, "u_trust", Credentials{}); err == nil || !strings.Contains(err.Error(), "handshake") {
			t.Errorf("%s: got %v", mode, err)
		}
	}
	conf, err := BuildTLS(SSLVerifyFull, "localhost", "", "", "") // the system's roots
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLogin(t, pg.dial(t), conf, "u_trust", Credentials{}); err == nil {
		t.Error("a self-signed certificate passed for the system's roots")
	}
}

func TestBuildTLSRefusesWhatCannotBeMeant(t *testing.T) {
	for _, c := range []struct {
		mode             SSLMode
		host, root, cert string
	}{
		{"strict", "localhost", "", ""}, {SSLVerifyFull, "", "", ""}, {SSLVerifyCA, "localhost", "", ""},
		{SSLVerifyCA, "localhost", "system", ""}, {SSLVerifyFull, "localhost", "/nonexistent", ""},
		{SSLVerifyFull, "localhost", pg.keyFile, ""}, {SSLRequire, "localhost", "", "/nonexistent"},
	} {
		if got, err := BuildTLS(c.mode, c.host, c.root, c.cert, ""); err == nil {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

func TestCancelBackend(t *testing.T) {
	for _, mode := range []SSLMode{SSLDisable, SSLRequire} {
		h := mustLogin(t, mode, "u_trust", Credentials{})
		wire := pgproto3.NewFrontend(h.Conn, h.Conn)
		wire.SendQuery(&pgproto3.Query{String: "select pg_sleep(1000)"})
		if err := wire.Flush(); err != nil {
			t.Fatal(err)
		}
		watch := mustLogin(t, SSLDisable, "postgres", Credentials{})
		for deadline := time.Now().Add(patience); queryOne(t, watch, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'") != "1"; {
			if time.Now().After(deadline) {
				t.Fatal("the query does not start")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := CancelBackend(ctx, pg.dial(t), tlsFor(t, mode), h.PID, h.Secret); err != nil {
			t.Fatal(err)
		}
		msg, err := wire.Receive()
		for ; err == nil; msg, err = wire.Receive() {
			if e, ok := msg.(*pgproto3.ErrorResponse); ok {
				if e.Code != "57014" {
					t.Fatalf("got %+v", e)
				}
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
