package catalog

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

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
