package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/lib/pq"

	"github.com/pleiad/pleiad/internal/pgerr"
)

func TestSCRAMWithPsql(t *testing.T) {
	p := newTiny(t, Options{Method: Scram, Lookup: pg.lookup}, true)
	if id := p.wantLogin(t, "u_scram", "geheim", "sslmode=disable"); id.ChannelBound || id.Keys == nil || id.Method != Scram || id.Role.ConnLimit != 7 {
		t.Fatalf("got %+v", id)
	}
	for _, more := range []string{"sslmode=require", "sslmode=require channel_binding=require",
		"sslmode=verify-full sslrootcert=" + pg.certFile} {
		if id := p.wantLogin(t, "u_scram", "geheim", more); !id.ChannelBound {
			t.Fatalf("%s: not bound to the channel", more)
		}
	}
	if id := p.wantLogin(t, "u_scram", "geheim", "sslmode=require channel_binding=disable"); id.ChannelBound {
		t.Fatal("bound to the channel")
	}
	if id := p.wantLogin(t, "u_super", "geheim", ""); !id.Role.Super || !id.Role.ValidUntil.IsZero() {
		t.Fatalf("got %+v", id.Role)
	}
	p.wantLogin(t, "u_unicode", "päss\u00a0Ⅸ", "")
	p.wantLogin(t, "u_unicode", "päss IX", "") // what SASLprep makes of it
}

func TestRefusalsWithPsql(t *testing.T) {
	for _, method := range []Method{Scram, Password} {
		p := newTiny(t, Options{Method: method, Lookup: pg.lookup}, true)
		for _, more := range []string{"sslmode=disable", "sslmode=require"} {
			for user, reason := range map[string]string{
				"u_scram": "password does not match", "u_absent": "role does not exist", "u_none": "role has no password",
				"u_expired": "role has an expired password", "u_past": "role has an expired password", "u_md5": "md5 password",
				"u_nologin": "password does not match",
			} {
				p.wantRefused(t, user, "falsch", more, "28P01", `password authentication failed for user "`+user+`"`, reason)
			}
			for user, reason := range map[string]string{"u_expired": "expired", "u_past": "expired", "u_md5": "md5"} {
				p.wantRefused(t, user, "geheim", more, "28P01", `password authentication failed for user "`+user+`"`, reason)
			}
			p.wantRefused(t, "u_nologin", "geheim", more, "28000", `role "u_nologin" is not permitted to log in`, "not permitted")
		}
	}
}

func TestPasswordWithPsql(t *testing.T) {
	p := newTiny(t, Options{Method: Password, Lookup: pg.lookup}, true)
	for _, more := range []string{"sslmode=disable", "sslmode=require"} {
		id := p.wantLogin(t, "u_scram", "geheim", more)
		role, err := pg.lookup(t.Context(), "u_scram")
		if err != nil {
			t.Fatal(err)
		}
		if v, err := ParseVerifier(string(role.Verifier)); err != nil || string(v.ServerKey) != string(id.Keys.ServerKey) {
			t.Fatalf("keys do not fit the verifier: %v", err)
		}
	}
}

func TestTrustWithPsql(t *testing.T) {
	p := newTiny(t, Options{Method: Trust, Lookup: pg.lookup}, true)
	for _, user := range []string{"u_none", "u_md5", "u_expired"} {
		if id := p.wantLogin(t, user, "", ""); id.Keys != nil {
			t.Fatal("keys out of nothing")
		}
	}
	p.wantRefused(t, "u_absent", "", "sslmode=disable", "28000", `role "u_absent" does not exist`, "")
	p.wantRefused(t, "u_nologin", "", "sslmode=require", "28000", `role "u_nologin" is not permitted to log in`, "")
}

func TestSCRAMWithPgxAndLibPQ(t *testing.T) {
	p := newTiny(t, Options{Method: Scram, Lookup: pg.lookup}, true)
	for _, mode := range []string{"disable", "require", "verify-full&sslrootcert=" + pg.certFile} {
		uri := fmt.Sprintf("postgres://u_scram:%%s@127.0.0.1:%d/lab?sslmode=%s", p.port, mode)
		conn, err := pgconn.Connect(t.Context(), fmt.Sprintf(uri, "geheim"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := conn.Exec(t.Context(), "select 1").ReadAll()
		if err != nil || string(res[0].Rows[0][0]) != "u_scram" {
			t.Fatalf("got %v, %v", res, err)
		}
		_ = conn.Close(t.Context())
		db, err := sql.Open("postgres", fmt.Sprintf(uri, "geheim"))
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := db.QueryRow("select 1").Scan(&got); err != nil || got != "u_scram" {
			t.Fatalf("lib/pq: got %q, %v", got, err)
		}
		_ = db.Close()
		var e *pgconn.PgError
		if _, err := pgconn.Connect(t.Context(), fmt.Sprintf(uri, "falsch")); !errors.As(err, &e) || e.Code != "28P01" {
			t.Fatalf("pgx with a wrong password: %v", err)
		}
	}
}

// The point of it all: what a psql login leaves with pleiad opens a session as that role on a real server.
func TestKeysOfAPsqlLoginOpenTheRealServer(t *testing.T) {
	for _, method := range []Method{Scram, Password} {
		p := newTiny(t, Options{Method: method, Lookup: pg.lookup}, true)
		for _, user := range []string{"u_scram", "u_super", "u_ssl"} {
			id := p.wantLogin(t, user, "geheim", "sslmode=require")
			h := mustLogin(t, SSLRequire, user, Credentials{Keys: id.Keys})
			if got := queryOne(t, h, "select current_user::text || ' ' || session_user"); got != user+" "+user {
				t.Fatalf("got %q", got)
			}
			if !h.ChannelBound {
				t.Fatal("login to the server is not bound to the channel")
			}
		}
	}
}

func TestLookupFailureIsSaid(t *testing.T) {
	down := func(context.Context, string) (Role, error) { return Role{}, errors.New("dial tcp: refused") }
	p := newTiny(t, Options{Method: Scram, Lookup: down}, false)
	p.wantRefused(t, "u_scram", "geheim", "", "57P03", "roles cannot be looked up at the moment", "dial tcp: refused")
	own := func(context.Context, string) (Role, error) {
		return Role{}, pgerr.New(pgerr.ConnectionFailure, "backend %q is down", "home")
	}
	p = newTiny(t, Options{Method: Scram, Lookup: own}, false)
	p.wantRefused(t, "u_scram", "geheim", "", "08006", `backend "home" is down`, "is down")
	other := func(context.Context, string) (Role, error) { return Role{Name: "u_super", CanLogin: true}, nil }
	p = newTiny(t, Options{Method: Trust, Lookup: other}, false)
	p.wantRefused(t, "u_scram", "", "", "XX000", "role lookup returned another role", "u_super")
}

// CVE-2025-12819 and CVE-2018-1058: the lookup sees the name alone, and its SQL no one's schema.
func TestLookupIgnoresClientParametersAndSearchPath(t *testing.T) {
	p := newTiny(t, Options{Method: Scram, Lookup: func(ctx context.Context, user string) (Role, error) {
		if user != "u_scram" {
			return Role{}, fmt.Errorf("asked for %q", user)
		}
		return pg.lookup(ctx, user)
	}}, false)
	p.wantLogin(t, "u_scram", "geheim", "options='-c search_path=evil -c role=postgres'")

	conn, err := pgconn.Connect(t.Context(), pg.uri("postgres", "")+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	exec := func(sql string) {
		t.Helper()
		if err := conn.Exec(t.Context(), sql).Close(); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE SCHEMA evil;
		CREATE TABLE evil.pg_authid AS SELECT * FROM pg_catalog.pg_authid;
		UPDATE evil.pg_authid SET rolsuper = true;
		CREATE FUNCTION evil.always(pg_catalog.name, pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE sql AS 'select true';
		CREATE OPERATOR evil.= (LEFTARG = pg_catalog.name, RIGHTARG = pg_catalog.text, FUNCTION = evil.always);
		CREATE FUNCTION evil.date_part(pg_catalog.text, pg_catalog.timestamptz) RETURNS pg_catalog.float8 LANGUAGE sql AS 'select 1e30::float8';
		SET search_path = evil, pg_catalog`)
	defer exec("DROP SCHEMA evil CASCADE")
	r := conn.ExecParams(t.Context(), LookupSQL, [][]byte{[]byte("u_expired")}, nil, nil, nil).Read()
	if r.Err != nil || len(r.Rows) != 1 || string(r.Rows[0][0]) != "u_expired" || string(r.Rows[0][3]) != "f" || string(r.Rows[0][5]) != "978307200" {
		t.Fatalf("got %s, %v", r.Rows, r.Err)
	}
}

func TestLookupDoesNotTruncateNames(t *testing.T) {
	name := strings.Repeat("l", 63)
	conn, err := pgconn.Connect(t.Context(), pg.uri("postgres", "")+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.Exec(t.Context(), "DROP ROLE IF EXISTS "+name+"; CREATE ROLE "+name+" LOGIN").Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := pg.lookup(t.Context(), name); err != nil || r.Name != name {
		t.Fatalf("got %+v, %v", r, err)
	}
	if _, err := pg.lookup(t.Context(), name+"x"); !errors.Is(err, ErrNoRole) {
		t.Fatalf("got %v", err)
	}
}
