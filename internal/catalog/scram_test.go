package catalog

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestScramVerifierIsPostgreSQLs compares with the verifier that a server makes from the same salt.
func TestScramVerifierIsPostgreSQLs(t *testing.T) {
	db := newDB(t)
	for _, password := range []string{"secret", "pässwörd", "ⅳ\u00a0x", "\u0007bell", "a'b\\c"} {
		quoted := text(t, db.conns[0], "SELECT quote_literal($1::text)", password)
		mustExec(t, db.conns[0], "DROP ROLE IF EXISTS scram_check; CREATE ROLE scram_check PASSWORD "+quoted)
		var want string
		var salt []byte
		err := db.conns[0].QueryRow(t.Context(), `SELECT rolpassword, decode(split_part(split_part(rolpassword, ':', 2), '$', 1), 'base64')
			FROM pg_authid WHERE rolname = 'scram_check'`).Scan(&want, &salt)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ScramVerifier(password, salt, ScramIterations)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("verifier of %q is %s, PostgreSQL's is %s", password, got, want)
		}
	}
	mustExec(t, db.conns[0], "DROP ROLE scram_check")
}

func TestRolesGetOneVerifierEverywhere(t *testing.T) {
	db, c := newClient(t)
	admin := db.client("postgres")
	admin.must("CREATE ROLE carol LOGIN PASSWORD 'it''s secret'")
	const stored = "SELECT rolpassword FROM pg_authid WHERE rolname = 'carol'"
	first := admin.same(stored)
	admin.must("ALTER ROLE carol PASSWORD 'it''s secret'")
	if second := admin.same(stored); second == first {
		t.Error("the salt was used again")
	}
	c.refused("42501", "DROP ROLE carol")
	cfg, err := pgx.ParseConfig(cluster.Primaries()[1].DSN(db.name))
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Password = "carol", "it's secret"
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(context.WithoutCancel(t.Context()))
	admin.must("ALTER ROLE carol PASSWORD NULL")
	if got := admin.same(stored); got != "NULL" {
		t.Errorf("password after PASSWORD NULL: %s", got)
	}
	admin.must("ALTER ROLE carol SET pleiad.consistency = 'strong'")
	admin.must("DROP ROLE carol")
}
