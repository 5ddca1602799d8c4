package pgdump

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestParameters reads connection strings as pgx does, which connects by them.
func TestParameters(t *testing.T) {
	for _, dsn := range []string{
		"host=h port=7 dbname=d user=u password=p",
		`  host = h port='8' user = 'it\\'s'  password='a \' b\\c' dbname=x\ y`,
		"postgres://u:p%40%3A@h:99/d%20b?application_name=x",
		"postgresql://u@[::1]:99/d",
		"postgresql://h1:1,h2:2/d?user=u&password=p",
		"postgres:///d?host=/tmp&port=5433&user=u",
	} {
		cfg, err := pgconn.ParseConfig(dsn)
		got, ours := parameters(dsn)
		if err != nil || ours != nil {
			if (err == nil) != (ours == nil) {
				t.Errorf("%s: %v, pgx: %v", dsn, ours, err)
			}
			continue
		}
		for key, want := range map[string]string{"user": cfg.User, "password": cfg.Password, "dbname": cfg.Database} {
			if got[key] != want {
				t.Errorf("%s: %s is %q, and %q for pgx", dsn, key, got[key], want)
			}
		}
		if host, _, _ := strings.Cut(got["host"], ","); host != cfg.Host {
			t.Errorf("%s: host is %q, and %q for pgx", dsn, host, cfg.Host)
		}
	}
}

func TestEnviron(t *testing.T) {
	env, err := Environ([]string{"PGOPTIONS=-c a=b", "PGDATABASE=other"}, "host=h password='p w' search_path=x", "d", "c.d=on")
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	for _, e := range env {
		name, v, _ := strings.Cut(e, "=")
		last[name] = v
	}
	for name, want := range map[string]string{"PGHOST": "h", "PGPASSWORD": "p w", "PGDATABASE": "d", "PGOPTIONS": "-c a=b -c c.d=on"} {
		if last[name] != want {
			t.Errorf("%s is %q", name, last[name])
		}
	}
	for _, bad := range []string{"host", "user='it''s' host=h", "host='x", "sslpassword=x", "postgres://u:secret@h:x/d"} {
		if _, err := Environ(nil, bad, ""); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
