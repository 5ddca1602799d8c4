package config

import (
	"strconv"
	"strings"
)

// ConnString is the keyword/value form of one server for pgconn.ParseConfig.
// It sets every keyword that libpq would else take from the environment or
// the home directory of whoever started pleiad. It holds the password in
// clear: it is for ParseConfig alone.
func (s Server) ConnString(user string, password Secret, database string) string {
	pairs := []struct{ key, value string }{
		{"host", s.Host},
		{"port", strconv.Itoa(s.Port)},
		{"user", user},
		{"password", password.Reveal()},
		{"dbname", database},
		{"passfile", "/dev/null"},
		{"sslmode", string(s.TLS.Mode)},
		{"sslrootcert", s.TLS.RootCert},
		{"sslcert", s.TLS.Cert},
		{"sslkey", s.TLS.Key},
		{"sslpassword", ""},
		{"sslcertmode", "allow"},
		{"sslsni", "1"},
		{"sslnegotiation", "postgres"},
		{"channel_binding", "prefer"},
		{"require_auth", ""},
		{"target_session_attrs", "any"},
		{"min_protocol_version", "3.0"},
		{"max_protocol_version", "3.0"},
		{"application_name", "pleiad"},
		{"options", ""},
		{"timezone", "UTC"},
	}
	var b strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.key + "='" + escape.Replace(p.value) + "'")
	}
	return b.String()
}
