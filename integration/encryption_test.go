package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var loopback = []net.IP{net.IPv4(127, 0, 0, 1)}

func tlsSettings(mode, cert, key string) string {
	return fmt.Sprintf("tls:\n  mode: %s\n  cert: %s\n  key: %s\n", mode, cert, key)
}

// serverTLS turns TLS on in every server for the test's time.
func serverTLS(t *testing.T, cert, key string) {
	t.Helper()
	for _, d := range sharedServers(t).Primaries() {
		direct := &side{name: d.Name, user: "postgres", database: "postgres", socket: d.SocketDir, addr: fmt.Sprint("socket:", d.Port)}
		for from, to := range map[string]string{cert: "test.pem", key: "test.key"} {
			copyForServer(t, from, filepath.Join(d.DataDir, to))
		}
		for _, sql := range []string{"alter system set ssl_cert_file = 'test.pem'", "alter system set ssl_key_file = 'test.key'", "alter system set ssl = on"} {
			direct.admin(t, sql)
		}
		direct.admin(t, "select pg_reload_conf()")
		t.Cleanup(func() {
			direct.admin(t, "alter system reset all")
			direct.admin(t, "select pg_reload_conf()")
		})
		eventually(t, 10*time.Second, d.Name+" speaks TLS", func() bool {
			c := dialRaw(t, d.Addr())
			defer c.Close()
			if _, err := c.Write(sslRequest); err != nil {
				return false
			}
			answer := make([]byte, 1)
			_, err := io.ReadFull(c, answer)
			return err == nil && answer[0] == 'S'
		})
	}
}

// copyForServer gives a file to the user that owns the directory.
func copyForServer(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Stat(filepath.Dir(to))
	if err != nil {
		t.Fatal(err)
	}
	owner := dir.Sys().(*syscall.Stat_t)
	if err := os.Chown(to, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
}

var sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}

// TestTLSClients lets clients in over TLS alone, and checks what each mode promises.
func TestTLSClients(t *testing.T) {
	ca, foreign := newAuthority(t), newAuthority(t)
	cert, key := ca.issue(t, "pleiad", loopback, "localhost")
	s := serveLogins(t, tlsSettings("require", cert, key), "")
	s.roles(t, "terry login password 't'")
	full := []string{"sslmode=verify-full", "sslrootcert=" + ca.root}
	for _, c := range []struct {
		name   string
		params []string
		want   string
	}{
		{"clear text", []string{"sslmode=disable"}, "28000"},
		{"require", []string{"sslmode=require"}, "no error"},
		{"verify-full", full, "no error"},
		{"channel binding", append([]string{"channel_binding=require"}, full...), "no error"},
		{"a foreign authority", []string{"sslmode=verify-full", "sslrootcert=" + foreign.root}, "certificate signed by unknown authority"},
		{"wrong password", as("terry", "wrong", full...), "28P01"},
	} {
		if got := s.refused(t, "postgres", append(as("terry", "t"), c.params...)...); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	dsn := s.dsn("postgres", append(as("terry", "t", "channel_binding=require"), full...)...)
	if got := runClient(t, dsn, clientProgram("psql"), "-X", "-A", "-t", "-c", "\\conninfo", "-c", "select 'in as ' || current_user", dsn); !strings.Contains(got, "in as terry") || !strings.Contains(got, "TLSv1.3") {
		t.Errorf("psql says %q", got)
	}
	if got := runClient(t, dsn, python, "-c", `import os, psycopg2
c = psycopg2.connect(os.environ["DSN"])
print(c.info.ssl_in_use, c.info.ssl_attribute("protocol"))`); strings.TrimSpace(got) != "True TLSv1.3" {
		t.Errorf("psycopg2 says %q", got)
	}
	cancelOverTLS(t, s, ca, full)
}

// cancelOverTLS cancels a statement by a request in clear text, as libpq did for long, and by one inside TLS.
func cancelOverTLS(t *testing.T, s *served, ca *authority, params []string) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, secure := range []bool{false, true} {
		c := s.conn(t, "postgres", append(as("terry", "t"), params...)...)
		done := make(chan error, 1)
		go func() { done <- c.PgConn().Exec(context.WithoutCancel(t.Context()), "select pg_sleep(100)").Close() }()
		eventually(t, 20*time.Second, "the statement runs", func() bool {
			b1 := s.direct()[0]
			return b1.one(t, b1.conn(t, "postgres"), "select count(*) from pg_stat_activity where usename = 'terry' and wait_event = 'PgSleep'") == "1"
		})
		var k net.Conn = dialRaw(t, s.addr)
		if secure {
			if _, err := k.Write(sslRequest); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(k, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			k = tls.Client(k, &tls.Config{RootCAs: roots, ServerName: "localhost"})
		}
		request := binary.BigEndian.AppendUint32(nil, uint32(12+len(c.PgConn().SecretKey())))
		request = binary.BigEndian.AppendUint32(request, 1234<<16|5678)
		request = binary.BigEndian.AppendUint32(request, c.PgConn().PID())
		if _, err := k.Write(append(request, c.PgConn().SecretKey()...)); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "57014") {
				t.Errorf("canceled, TLS %t: %v", secure, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the cancel request did nothing, TLS %t", secure)
		}
	}
}

// TestTLSPlaintextBehindRequest sends clear text right behind the SSLRequest: nobody may act on it.
func TestTLSPlaintextBehindRequest(t *testing.T) {
	cert, key := newAuthority(t).issue(t, "pleiad", loopback)
	s := serveLogins(t, "auth:\n  method: password\n"+tlsSettings("allow", cert, key), "")
	c := dialRaw(t, s.addr)
	if _, err := c.Write(append(bytes.Clone(sslRequest), startupMessage("user", serviceRole, "database", "postgres")...)); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(callLimit)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(c)
	// S may have been on its way; what follows it can be an alert of TLS, and nothing of PostgreSQL's protocol.
	if !errors.Is(err, syscall.ECONNRESET) && err != nil {
		t.Errorf("the connection ended with %v", err)
	}
	if rest := bytes.TrimPrefix(said, []byte("S")); len(rest) > 0 && rest[0] != 21 {
		t.Errorf("answered with %q", said)
	}
	// Cleartext passwords: taken over TLS, as from loopback.
	for _, mode := range []string{"require", "disable"} {
		if got := s.refused(t, "postgres", "sslmode="+mode); got != "no error" {
			t.Errorf("sslmode %s: %s", mode, got)
		}
		if got := s.refused(t, "postgres", "sslmode="+mode, "password=wrong"); got != "28P01" {
			t.Errorf("wrong password, sslmode %s: %s", mode, got)
		}
	}
}

// TestTLSBackends has the proxy verify its servers.
func TestTLSBackends(t *testing.T) {
	ca, foreign := newAuthority(t), newAuthority(t)
	cert, key := ca.issue(t, "server", loopback)
	serverTLS(t, cert, key)
	s := serveLogins(t, "", ", tls: {mode: verify-full, root_cert: "+ca.root+"}")
	s.roles(t, "tina login password 't'")
	db := s.newDatabase(t)
	s.rlsTable(t, db, "tina")
	c := s.conn(t, db, as("tina", "t")...)
	s.exec(t, c, "begin")
	if n := len(s.text(t, c, "select k from note")); n != 60 {
		t.Errorf("%d rows, want 60", n)
	}
	for _, server := range s.direct() {
		if clear := server.text(t, server.conn(t, db), "select usename, application_name, query from pg_stat_activity join pg_stat_ssl using (pid) where client_addr is not null and not ssl"); clear != nil {
			t.Errorf("%s has connections in clear text: %q", server.name, clear)
		}
		if n := server.one(t, server.conn(t, db), "select count(*) from pg_stat_activity join pg_stat_ssl using (pid) where usename = 'tina' and ssl"); n != "1" {
			t.Errorf("%s has %s connections of tina over TLS, want 1", server.name, n)
		}
	}
	cancelOfBackend(t, s, c)
	s.exec(t, c, "rollback")
	s.trusts(t, ca.root, foreign.root)
}

// cancelOfBackend cancels a scatter, so that the requests to the servers go over TLS as well.
func cancelOfBackend(t *testing.T, s *served, c *pgx.Conn) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		done <- c.PgConn().Exec(context.WithoutCancel(t.Context()), "select pg_sleep(100) from note").Close()
	}()
	eventually(t, 20*time.Second, "the statement runs", func() bool {
		b3 := s.direct()[2]
		return b3.one(t, b3.conn(t, "postgres"), "select count(*) from pg_stat_activity where usename = 'tina' and wait_event = 'PgSleep'") == "1"
	})
	if err := c.PgConn().CancelRequest(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "57014") {
		t.Errorf("canceled: %v", err)
	}
}

// trusts starts the proxy with another authority: it must serve nobody then.
func (s *served) trusts(t *testing.T, right, wrong string) {
	t.Helper()
	raw, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.program.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config, []byte(strings.ReplaceAll(string(raw), right, wrong)), 0o644); err != nil {
		t.Fatal(err)
	}
	s.launch(t)
	eventually(t, 30*time.Second, "the servers' certificates are refused", func() bool {
		return s.refused(t, "postgres") == "57P03" && strings.Contains(s.program.stderr.String(), "certificate signed by unknown authority")
	})
	if err := errors.Join(s.program.stop(), os.WriteFile(s.config, raw, 0o644)); err != nil {
		t.Fatal(err)
	}
	s.start(t)
}
