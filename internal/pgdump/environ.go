package pgdump

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// libpqNames are the environment variables of libpq's connection parameters (libpq-envars). What has none, pg_dump does
// without.
var libpqNames = map[string]string{
	"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE", "database": "PGDATABASE",
	"user": "PGUSER", "password": "PGPASSWORD", "passfile": "PGPASSFILE", "service": "PGSERVICE", "servicefile": "PGSERVICEFILE",
	"connect_timeout": "PGCONNECT_TIMEOUT", "options": "PGOPTIONS", "target_session_attrs": "PGTARGETSESSIONATTRS",
	"channel_binding": "PGCHANNELBINDING", "gssencmode": "PGGSSENCMODE", "krbsrvname": "PGKRBSRVNAME",
	"sslmode": "PGSSLMODE", "sslnegotiation": "PGSSLNEGOTIATION", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT",
	"sslkey": "PGSSLKEY", "sslsni": "PGSSLSNI", "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
}

// Environ is an environment in which libpq's programs connect as a connection string says, or to another database:
// their arguments can be read by everybody on the machine. session are settings for PGOPTIONS.
func Environ(base []string, dsn, database string, session ...string) ([]string, error) {
	params, err := parameters(dsn)
	if err != nil {
		return nil, err
	}
	if _, ok := params["sslpassword"]; ok {
		return nil, errors.New("sslpassword is not supported here: pg_dump has no environment variable for it")
	}
	env := append([]string(nil), base...)
	for key, value := range params {
		if name := libpqNames[key]; name != "" {
			env = append(env, name+"="+value)
		}
	}
	if database != "" {
		env = append(env, "PGDATABASE="+database)
	}
	options := ""
	for _, e := range env { // the last one counts
		if v, ok := strings.CutPrefix(e, "PGOPTIONS="); ok {
			options = v
		}
	}
	for _, s := range session {
		options += " -c " + s
	}
	return append(env, "PGOPTIONS="+strings.TrimSpace(options), "PGAPPNAME=pleiad dump"), nil
}

// parameters takes a connection string apart: a URI, or keywords and values (libpq-connstring).
func parameters(dsn string) (map[string]string, error) {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return uriParameters(dsn)
	}
	out := map[string]string{}
	for rest := strings.TrimSpace(dsn); rest != ""; rest = strings.TrimSpace(rest) {
		key, after, ok := strings.Cut(rest, "=")
		key = strings.TrimSpace(key)
		if !ok || strings.ContainsAny(key, " \t\r\n") {
			return nil, errors.New("a keyword of the connection string has no value")
		}
		value, left, err := value(strings.TrimLeft(after, " \t\r\n"))
		if err != nil {
			return nil, err
		}
		out[key], rest = value, left
	}
	return out, nil
}

// value reads a value, quoted or up to white space, and what follows it. A backslash takes the next character as it is.
func value(s string) (v, rest string, err error) {
	var b strings.Builder
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quoted && c == '\'', !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
			return b.String(), s[i+1:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New("a quoted value of the connection string does not end")
	}
	return b.String(), "", nil
}

func uriParameters(dsn string) (map[string]string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err // without the text, which may have a password
		}
		return nil, fmt.Errorf("read the connection URI: %w", err)
	}
	out := map[string]string{}
	set := func(key, value string) {
		if strings.Trim(value, ",") != "" {
			out[key] = value
		}
	}
	set("user", u.User.Username())
	if p, ok := u.User.Password(); ok {
		out["password"] = p
	}
	var hosts, ports []string
	for h := range strings.SplitSeq(u.Host, ",") {
		one := url.URL{Host: h}
		hosts, ports = append(hosts, one.Hostname()), append(ports, one.Port())
	}
	set("host", strings.Join(hosts, ","))
	set("port", strings.Join(ports, ","))
	set("dbname", strings.TrimPrefix(u.Path, "/"))
	for key, values := range u.Query() {
		out[key] = values[0]
	}
	return out, nil
}
