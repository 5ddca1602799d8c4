package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// explain says why a server could not be looked at and what to do about it.
func explain(f *facts) (problem, fix string) {
	err, user := f.err, f.credentials.User
	_, address := f.server.Address()
	var pg *pgconn.PgError
	var dns *net.DNSError
	switch {
	case errors.As(err, &pg):
		problem = fmt.Sprintf("%s (SQLSTATE %s)", pg.Message, pg.Code)
		switch {
		case pg.Code == "28P01":
			return problem, fmt.Sprintf("set the right password in password_file or password_env, or: ALTER ROLE %s PASSWORD '...';", identifier(user))
		case pg.Code == "28000" && strings.Contains(pg.Message, "pg_hba.conf"):
			return problem, fmt.Sprintf("pg_hba.conf of the server: %s all %s <address of pleiad> scram-sha-256", hbaType(f), user)
		case pg.Code == "28000":
			return problem, fmt.Sprintf("CREATE ROLE %s SUPERUSER LOGIN PASSWORD '...';  -- or credentials.user of one that exists", identifier(user))
		case pg.Code == "53300":
			return problem, "ALTER SYSTEM SET max_connections = ...;  -- then restart the server"
		case pg.Code == "57P03":
			return problem, "wait until the server has started (hot_standby = on for a replica)"
		case pg.Code == "42501":
			return problem, fmt.Sprintf("ALTER ROLE %s SUPERUSER;", identifier(user))
		}
		return problem, ""
	case errors.As(err, &dns):
		return dns.Error(), "correct host in the configuration, or the name service"
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(err.Error(), "read password file"):
		return err.Error(), "write the password of " + user + " to that file"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return "nobody listens at " + address, "start the server; set its listen_addresses and port, or host and port here"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "no answer from " + address + " in time", "see that packets reach it (firewall, address), or raise timeouts.connect"
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return "the server has no TLS, tls.mode is " + string(f.server.TLS.Mode), "ALTER SYSTEM SET ssl = on;  -- with ssl_cert_file and ssl_key_file; or another tls.mode"
	case strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "tls:"):
		return err.Error(), "give tls.root_cert the authority of the server's certificate, and the certificate the server's host name"
	}
	return err.Error(), ""
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func hbaType(f *facts) string {
	switch {
	case f.server.Unix():
		return "local"
	case f.server.TLS.Mode == "disable":
		return "host"
	default:
		return "hostssl"
	}
}
