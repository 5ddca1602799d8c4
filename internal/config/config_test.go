package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func parse(t *testing.T, yaml string) *Config {
	t.Helper()
	c, err := Parse([]byte(yaml), "f")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultNeedsOnlyBackends(t *testing.T) {
	var errs Errors
	if err := Default().Validate(); !errors.As(err, &errs) || len(errs) != 1 || errs[0].Path != "backends" {
		t.Errorf("Default().Validate() = %v, want one error, about backends", err)
	}
	c := parse(t, "backends: [{name: a, primary: {host: 10.0.0.1}}]")
	if c.Home != "a" || c.Backends[0].Weight != 1 || c.Backends[0].Primary.Port != 5432 {
		t.Errorf("home %q, weight %d, port %d", c.Home, c.Backends[0].Weight, c.Backends[0].Primary.Port)
	}
}

func TestInheritance(t *testing.T) {
	c := parse(t, `
credentials: {user: root, password_env: P}
backend_tls: {mode: require, root_cert: /ca, cert: /c, key: /k}
backends:
  - name: a
    primary: {host: a.example}
    replicas:
      - {host: 127.0.0.1}
      - {host: /run/pg}
      - {host: "::1", name: six, tls: {mode: verify-ca}}
      - {host: far, tls: {cert: /c2, key: /k2}}
  - name: b
    primary: {host: b.example}
    credentials: {password_file: /p}
`)
	a, b := c.Backends[0], c.Backends[1]
	inherited := ServerTLS{SSLRequire, "/ca", "/c", "/k"}
	for _, x := range []struct {
		name string
		got  Server
		want Server
	}{
		{"tcp", a.Primary, Server{"a", "a.example", 5432, inherited, 0}},
		{"loopback", a.Replicas[0], Server{"a-r1", "127.0.0.1", 5432, ServerTLS{Mode: SSLDisable}, 1}},
		{"unix", a.Replicas[1], Server{"a-r2", "/run/pg", 5432, ServerTLS{Mode: SSLDisable}, 1}},
		{"loopback with its own mode", a.Replicas[2], Server{"six", "::1", 5432, ServerTLS{SSLVerifyCA, "/ca", "/c", "/k"}, 1}},
		{"own certificate", a.Replicas[3], Server{"a-r4", "far", 5432, ServerTLS{SSLRequire, "/ca", "/c2", "/k2"}, 1}},
	} {
		if x.got != x.want {
			t.Errorf("%s: %+v, want %+v", x.name, x.got, x.want)
		}
	}
	if want := (Credentials{"root", PasswordSource{PasswordEnv: "P"}}); a.Credentials != want {
		t.Errorf("credentials of a %+v, want %+v", a.Credentials, want)
	}
	if want := (Credentials{"root", PasswordSource{PasswordFile: "/p"}}); b.Credentials != want {
		t.Errorf("credentials of b %+v, want %+v: a file here hides a variable there", b.Credentials, want)
	}
	if d := parse(t, "backends: [{name: a, primary: {host: far}}]").Backends[0].Primary.TLS.Mode; d != SSLVerifyFull {
		t.Errorf("default mode over the network %q, want verify-full", d)
	}
}

func TestPoolFor(t *testing.T) {
	c := parse(t, `
pool: {size: 20, min_idle: 10}
users: {u: {pool_mode: session}, v: {pool_size: 3}}
databases: {d: {pool_mode: transaction, pool_size: 5}, e: {pool_mode: session}}
backends: [{name: a, primary: {host: a}}]
`)
	for _, x := range []struct {
		user, database string
		mode           PoolMode
		size, minIdle  int
	}{
		{"x", "x", PoolTransaction, 20, 10},
		{"x", "d", PoolTransaction, 5, 5},
		{"x", "e", PoolSession, 20, 10},
		{"u", "d", PoolSession, 5, 5},
		{"v", "d", PoolTransaction, 3, 3},
		{"v", "e", PoolSession, 3, 3},
	} {
		p := c.PoolFor(x.user, x.database)
		if p.Mode != x.mode || p.Size != x.size || p.MinIdle != x.minIdle {
			t.Errorf("PoolFor(%s, %s) = %s %d %d, want %s %d %d", x.user, x.database, p.Mode, p.Size, p.MinIdle, x.mode, x.size, x.minIdle)
		}
	}
}

func TestEveryKeyIsInReloadable(t *testing.T) {
	keys := keysOf(Default())
	for path := range keys {
		if _, ok := reloadable[path]; !ok {
			t.Errorf("%s is not in the table", path)
		}
	}
	for path := range reloadable {
		if _, ok := keys[path]; !ok {
			t.Errorf("%s is in the table and no key", path)
		}
	}
}

func TestReload(t *testing.T) {
	old := parse(t, "pool: {size: 5}\nbackends: [{name: a, primary: {host: a}}]")
	before := fmt.Sprintf("%+v", *old)
	next := parse(t, `
listen: 127.0.0.1:7000
pool: {size: 7}
users: {ann: {pool_size: 2}}
log: {level: debug, format: json}
backends: [{name: a, primary: {host: a}}, {name: b, primary: {host: b}}]
`)
	merged, applied, restart, err := Reload(old, next)
	if err != nil {
		t.Fatal(err)
	}
	paths := func(changes []Change) (all []string) {
		for _, c := range changes {
			all = append(all, c.Path)
		}
		return all
	}
	if got, want := paths(applied), []string{"log.level", "pool.size", "users"}; !reflect.DeepEqual(got, want) {
		t.Errorf("applied %v, want %v", got, want)
	}
	if got, want := paths(restart), []string{"backends", "listen", "log.format"}; !reflect.DeepEqual(got, want) {
		t.Errorf("need a restart %v, want %v", got, want)
	}
	if merged.Pool.Size != 7 || merged.Users["ann"].PoolSize != 2 || merged.Log.Level != LogDebug {
		t.Errorf("not applied: %+v", merged)
	}
	if merged.Listen != old.Listen || len(merged.Backends) != 1 || merged.Log.Format != LogText {
		t.Errorf("applied without a restart: %+v", merged)
	}
	if after := fmt.Sprintf("%+v", *old); after != before {
		t.Errorf("the running configuration was written:\n%s\nwas\n%s", after, before)
	}
	if got := applied[1].String(); got != "pool.size: 5 -> 7" {
		t.Errorf("change %q", got)
	}
	if changes := Diff(old, old); len(changes) != 0 {
		t.Errorf("differs from itself: %v", changes)
	}
}

// trust becomes legal by a listen address that needs a restart: the mixture
// would serve everyone on the old address.
func TestReloadRefusesAnInvalidMixture(t *testing.T) {
	const backends = "\nbackends: [{name: a, primary: {host: a}}]"
	old := parse(t, "listen: 0.0.0.0:1"+backends)
	next := parse(t, "listen: 127.0.0.1:1\nauth: {method: trust}"+backends)
	_, _, _, err := Reload(old, next)
	if err == nil || !strings.Contains(err.Error(), "auth.method") {
		t.Errorf("got %v, want an error about auth.method", err)
	}
}

func TestPassword(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("PLEIAD_TEST_PASSWORD", "from env\n")
	t.Setenv("PLEIAD_TEST_EMPTY", "")
	for _, x := range []struct {
		name      string
		source    PasswordSource
		want, err string
	}{
		{"file", PasswordSource{PasswordFile: write("a", " s3cret \r\n")}, " s3cret ", ""},
		{"file without end of line", PasswordSource{PasswordFile: write("b", "x")}, "x", ""},
		{"env", PasswordSource{PasswordEnv: "PLEIAD_TEST_PASSWORD"}, "from env\n", ""},
		{"none", PasswordSource{}, "", "no password configured"},
		{"empty file", PasswordSource{PasswordFile: write("c", "\n")}, "", "it is empty"},
		{"two lines", PasswordSource{PasswordFile: write("d", "s3cret\ns3cret\n")}, "", "more than one line"},
		{"no file", PasswordSource{PasswordFile: dir + "/none"}, "", "no such file"},
		{"env not set", PasswordSource{PasswordEnv: "PLEIAD_TEST_NONE"}, "", "PLEIAD_TEST_NONE is not set"},
		{"env empty", PasswordSource{PasswordEnv: "PLEIAD_TEST_EMPTY"}, "", "is not set"},
	} {
		got, err := x.source.Password()
		if (err == nil) != (x.err == "") || err != nil && !strings.Contains(err.Error(), x.err) {
			t.Errorf("%s: error %v, want %q", x.name, err, x.err)
		}
		if got.Reveal() != x.want {
			t.Errorf("%s: got %q, want %q", x.name, got.Reveal(), x.want)
		}
	}
}

func TestSecretShowsNothing(t *testing.T) {
	s := Secret("hunter2")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "a", s, "b", struct{ S Secret }{s})
	encoded, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(s, struct{ S Secret }{s}) + fmt.Sprintf("%s %v %q %x %#v %d %+v", s, s, s, s, s, s, &s) + log.String() + string(encoded)
	if strings.Contains(all, "hunter2") || strings.Contains(all, "68756e74657232") {
		t.Errorf("shown: %s", all)
	}
	if strings.Count(all, "***") < 11 {
		t.Errorf("not every form shows ***: %s", all)
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "17": 17, "17B": 17, "1KiB": 1024, "64MiB": 64 << 20, "64 MiB": 64 << 20, "3GiB": 3 << 30} {
		var s Size
		if err := s.parse(text); err != nil || s != want {
			t.Errorf("%q: %d, %v, want %d", text, s, err, want)
		}
		var again Size
		if err := again.parse(s.String()); err != nil || again != s {
			t.Errorf("%d is written %q and read %d, %v", s, s.String(), again, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "9999999999GiB", "1 M", "0x10"} {
		if s := Size(-7); s.parse(text) == nil || s != -7 {
			t.Errorf("%q was read as %d", text, s)
		}
	}
	var d Duration
	if err := d.parse("1m30s"); err != nil || d.D() != 90*time.Second || d.String() != "1m30s" {
		t.Errorf("1m30s was read as %v, %v", d, err)
	}
}

func TestConnStringHoldsAgainstTheEnvironment(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGOPTIONS", "PGTZ", "PGAPPNAME", "PGSSLROOTCERT"} {
		t.Setenv(name, "from-environment")
	}
	t.Setenv("PGSSLMODE", "prefer")
	t.Setenv("PGTARGETSESSIONATTRS", "primary")
	s := Server{Host: "db.example", Port: 77, TLS: ServerTLS{Mode: SSLVerifyFull}}
	pc, err := pgconn.ParseConfig(s.ConnString(`o'hara \ x`, Secret(`p' \w=`), "d b"))
	if err != nil {
		t.Fatal(err)
	}
	if pc.Host != "db.example" || pc.Port != 77 || pc.User != `o'hara \ x` || pc.Password != `p' \w=` || pc.Database != "d b" {
		t.Errorf("got %s:%d %q %q %q", pc.Host, pc.Port, pc.User, pc.Password, pc.Database)
	}
	if pc.TLSConfig == nil || pc.TLSConfig.InsecureSkipVerify || pc.TLSConfig.ServerName != "db.example" || len(pc.Fallbacks) != 0 {
		t.Errorf("TLS is not verify-full: %+v, %d fallbacks", pc.TLSConfig, len(pc.Fallbacks))
	}
	if pc.ValidateConnect != nil {
		t.Error("target_session_attrs came from the environment")
	}
	for k, v := range pc.RuntimeParams {
		if strings.Contains(v, "environment") {
			t.Errorf("%s = %q came from the environment", k, v)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("backends: [{name: a, primary: {host: a}}]")
	f.Add("a: &a [*a]\nusers: &u {x: *u}\nbackends: &b [*b]")
	f.Add("? {a: b}\n: c\n<<: *x")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text), "f")
		if err == nil {
			if err := c.Validate(); err != nil {
				t.Errorf("Parse accepts what Validate refuses: %v", err)
			}
			return
		}
		var errs Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Errorf("not Errors: %v", err)
		}
	})
}
