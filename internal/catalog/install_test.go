package catalog

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestInstallTwiceChangesNothing(t *testing.T) {
	db := newDB(t)
	before := text(t, db.conns[0], "SELECT xmin::text FROM pleiad.node")
	procs := text(t, db.conns[0], "SELECT string_agg(xmin::text, ' ' ORDER BY oid) FROM pg_proc WHERE pronamespace = 'pleiad'::regnamespace")
	if err := Install(t.Context(), db.conns[0], RoleHome); err != nil {
		t.Fatal(err)
	}
	if after := text(t, db.conns[0], "SELECT xmin::text FROM pleiad.node"); after != before {
		t.Errorf("node row was rewritten: xmin %s, was %s", after, before)
	}
	if after := text(t, db.conns[0], "SELECT string_agg(xmin::text, ' ' ORDER BY oid) FROM pg_proc WHERE pronamespace = 'pleiad'::regnamespace"); after != procs {
		t.Error("functions were replaced though their text is the same")
	}
}

func TestInstallReplacesOtherFunctions(t *testing.T) {
	db := newDB(t)
	mustExec(t, db.conns[1], "DROP FUNCTION pleiad.record_commit(text); UPDATE pleiad.node SET source_hash = 'old'")
	if err := Install(t.Context(), db.conns[1], RoleOther); err != nil {
		t.Fatal(err)
	}
	if got := text(t, db.conns[1], "SELECT to_regprocedure('pleiad.record_commit(text)')::text"); got != "pleiad.record_commit(text)" {
		t.Errorf("record_commit after upgrade: %s", got)
	}
}

// TestInstallReplacesTheTransactionsView: its columns once had other names, and CREATE OR REPLACE cannot rename any.
func TestInstallReplacesTheTransactionsView(t *testing.T) {
	db := newDB(t)
	mustExec(t, db.conns[0], "DROP VIEW pleiad.transactions; CREATE VIEW pleiad.transactions AS SELECT gid, '' AS outcome FROM pleiad.commit_record;"+
		"UPDATE pleiad.node SET source_hash = 'old'")
	if err := Install(t.Context(), db.conns[0], RoleHome); err != nil {
		t.Fatal(err)
	}
	got := text(t, db.conns[0], "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'pleiad.transactions'::regclass")
	if want := "gid state owner database since age backends reason"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
}

func TestInstallRefusesNewerCatalogAndOtherRole(t *testing.T) {
	db := newDB(t)
	if err := Install(t.Context(), db.conns[1], RoleHome); !errors.Is(err, ErrRole) {
		t.Errorf("install as home: %v", err)
	}
	mustExec(t, db.conns[1], "UPDATE pleiad.version SET version = 99")
	if err := Install(t.Context(), db.conns[1], RoleOther); !errors.Is(err, ErrNewerCatalog) {
		t.Errorf("install over a newer version: %v", err)
	}
}

func TestPutBackendsKeepsIDsAndBumpsTheEpochOnce(t *testing.T) {
	db := newDB(t)
	before := text(t, db.conns[0], "SELECT epoch::text FROM pleiad.epoch")
	same := []Backend{{Name: "b1", Home: true, Weight: 1}, {Name: "b2", Weight: 1}}
	if _, err := PutBackends(t.Context(), db.conns[0], same); err != nil {
		t.Fatal(err)
	}
	if after := text(t, db.conns[0], "SELECT epoch::text FROM pleiad.epoch"); after != before {
		t.Errorf("epoch %s after writing the same backends, was %s", after, before)
	}
	got, err := PutBackends(t.Context(), db.conns[0], []Backend{{Name: "b3", Weight: 2}, {Name: "b2", Weight: 3}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Backend{{0, "b1", true, 1, "active"}, {1, "b2", false, 3, "active"}, {2, "b3", false, 2, "absent"}}
	if len(got) != len(want) {
		t.Fatalf("backends %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("backend %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestPutServersShowsExactlyThese(t *testing.T) {
	db := newDB(t)
	servers := []Server{
		{Name: "b1", Backend: "b1", Role: "primary", Host: "127.0.0.1", Port: 5001, State: "up"},
		{Name: "b1-r1", Backend: "b1", Role: "replica", Host: "127.0.0.1", Port: 5002, State: "down", Detail: "refused"},
		{Name: "b2", Backend: "b2", Role: "primary", Host: "127.0.0.1", Port: 5003, State: "up"},
	}
	for _, list := range [][]Server{servers, servers[:2]} {
		if err := PutServers(t.Context(), db.conns[0], list); err != nil {
			t.Fatal(err)
		}
	}
	got := text(t, db.conns[0], "SELECT string_agg(concat_ws(' ', name, role, port, state, home), ', ' ORDER BY name) FROM pleiad.backends")
	if want := "b1 primary 5001 up t, b1-r1 replica 5002 down t"; got != want {
		t.Errorf("pleiad.backends: %s, want %s", got, want)
	}
}

func TestSecretIsMadeOnceAndForTheServiceRoleAlone(t *testing.T) {
	db, c := newClient(t)
	first, err := Secret(t.Context(), db.conns[0], MockSecret)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Secret(t.Context(), db.conns[0], MockSecret)
	if err != nil || !bytes.Equal(first, again) || len(first) != secretBytes {
		t.Errorf("the second time: %x, %v, the first %x", again, err, first)
	}
	other, err := Secret(t.Context(), db.conns[0], "other")
	if err != nil || bytes.Equal(other, first) {
		t.Errorf("another one: %x, %v", other, err)
	}
	if _, err := c.conns[0].Exec(t.Context(), "SELECT FROM pleiad.secret"); err == nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("a user reads secrets: %v", err)
	}
}
