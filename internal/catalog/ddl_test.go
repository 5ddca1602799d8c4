package catalog

import (
	"strings"
	"testing"

	"github.com/pleiad/pleiad/router"
)

func TestShardRelationIsTheServers(t *testing.T) {
	db := newDB(t)
	long := strings.Repeat("abcdefghij", 7)
	for _, n := range [][2]string{
		{"public", "meetings"}, {"app", "meetings"}, {"public", "a.b"}, {"a", "b"}, {"a.b", "c"}, {"public", `q"uote`}, {`q"`, "x"},
		{"public", long[:63]}, {"app", long[:60]}, {long[:63], long[:63]}, {"app", strings.Repeat("é", 31)}, {"éé", strings.Repeat("日本", 10)},
		{"app", strings.Repeat("a", 46) + "日本語日本語"},
	} {
		want := text(t, db.conns[0], "SELECT pleiad.shard_relation($1, $2)", n[0], n[1])
		if got := router.ShardRelation(n[0], n[1]); got != want || len(got) > 63 {
			t.Errorf("ShardRelation(%q, %q) = %q, the server says %q", n[0], n[1], got, want)
		}
	}
}

// TestChangesWaitForEachOther: a second change starts from the epoch that the first one left.
func TestChangesWaitForEachOther(t *testing.T) {
	db, c := newClient(t)
	c.must("CREATE TABLE a (k int)")
	other := db.client("bob")
	mustExec(t, c.conns[0], "BEGIN")
	before := text(t, c.conns[0], "SELECT pleiad.begin_ddl()::text")
	got := make(chan string, 1)
	go func() {
		var epoch string
		if err := other.conns[0].QueryRow(t.Context(), "SELECT pleiad.begin_ddl()::text").Scan(&epoch); err != nil {
			epoch = err.Error()
		}
		got <- epoch
	}()
	admin := db.conns[0]
	for text(t, admin, "SELECT count(*)::text FROM pg_stat_activity WHERE usename = 'bob' AND wait_event = 'advisory' AND datname = current_database()") != "1" {
		select {
		case e := <-got:
			t.Fatalf("the second change did not wait: epoch %s", e)
		default:
		}
	}
	mustExec(t, c.conns[0], "COMMIT")
	if after := <-got; before != "3" || after != "4" {
		t.Errorf("epochs before the first and second change: %s, %s", before, after)
	}
}

func TestReadOnlyTransactionIsRefusedAsPostgreSQLDoes(t *testing.T) {
	_, c := newClient(t)
	mustExec(t, c.conns[0], "SET default_transaction_read_only = on")
	err := c.exec([]int{0}, router.Plan("CREATE TABLE x (a int)", c.env).DDL.Steps[0].SQL)
	if err == nil || !strings.Contains(err.Error(), "cannot execute CREATE TABLE in a read-only transaction (SQLSTATE 25006)") {
		t.Errorf("error: %v", err)
	}
}

func TestCommitRecordNamesTheSession(t *testing.T) {
	db, c := newClient(t)
	if _, err := c.conns[0].Exec(t.Context(), RecordCommitSQL, "pleiad_x"); err != nil {
		t.Fatal(err)
	}
	if got := text(t, c.conns[0], "SELECT concat_ws(' ', gid, state, owner, database = current_database(), since IS NOT NULL) FROM pleiad.transactions"); got != "pleiad_x committed ann t t" {
		t.Errorf("pleiad.transactions: %s", got)
	}
	if _, err := c.conns[0].Exec(t.Context(), ForgetCommitSQL, "pleiad_x"); err == nil {
		t.Error("a user could forget a decision")
	}
	if _, err := db.conns[0].Exec(t.Context(), ForgetCommitSQL, "pleiad_x"); err != nil {
		t.Error(err)
	}
}

// TestCommitRecordNamesTheOwnerOfThePreparedParts: under whatever role a session acts, its record is that of the role
// which PREPARE TRANSACTION gives the part to, and the decision is durable.
func TestCommitRecordNamesTheOwnerOfThePreparedParts(t *testing.T) {
	db, _ := newClient(t)
	home := db.conns[0]
	mustExec(t, home, "GRANT CREATE ON SCHEMA public TO ann; GRANT ann TO bob")
	defer mustExec(t, home, "RESET ROLE; RESET SESSION AUTHORIZATION; REVOKE ann FROM bob") // roles are every test's
	for _, as := range []string{
		"SET ROLE ann", "SET SESSION AUTHORIZATION ann", "SET SESSION AUTHORIZATION bob; SET ROLE ann",
		"SET SESSION AUTHORIZATION ann; SET ROLE none",
	} {
		mustExec(t, home, "BEGIN; "+as+"; CREATE TABLE part (k int); PREPARE TRANSACTION 'pleiad_p'")
		owner := text(t, home, "SELECT owner::text FROM pg_prepared_xacts WHERE gid = 'pleiad_p'")
		mustExec(t, home, "BEGIN; "+as+"; SET synchronous_commit = off")
		if _, err := home.Exec(t.Context(), RecordCommitSQL, "pleiad_p"); err != nil {
			t.Fatal(err)
		}
		if got := text(t, home, "SHOW synchronous_commit"); got != "on" {
			t.Errorf("%s: synchronous_commit is %s at the decision", as, got)
		}
		mustExec(t, home, "COMMIT")
		if got := text(t, home, "SELECT owner::text FROM pleiad.commit_record WHERE gid = 'pleiad_p'"); got != owner || owner != "ann" {
			t.Errorf("%s: the record is %s's, the part %s's", as, got, owner)
		}
		mustExec(t, home, "RESET ROLE")
		mustExec(t, home, "RESET SESSION AUTHORIZATION")
		mustExec(t, home, "RESET synchronous_commit")
		mustExec(t, home, "ROLLBACK PREPARED 'pleiad_p'")
		mustExec(t, home, "DELETE FROM pleiad.commit_record")
	}
}

// TestTransactionsSayWhatBecomesOfThem: a record in the way of a late decision is no commit, nor is one of another role.
func TestTransactionsSayWhatBecomesOfThem(t *testing.T) {
	db, _ := newClient(t)
	home := db.conns[0]
	for _, gid := range []string{"undecided", "taken", "forged", "decided", "proxy"} {
		mustExec(t, home, "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'pleiad_"+gid+"'")
		defer mustExec(t, home, "ROLLBACK PREPARED 'pleiad_"+gid+"'")
	}
	mustExec(t, home, "INSERT INTO pleiad.commit_record (gid, owner) VALUES ('pleiad_taken', ''), ('pleiad_forged', 'ann'),"+
		" ('pleiad_decided', current_user), ('pleiad_elsewhere', 'ann'), ('pleiad_late', '')")
	mustExec(t, home, "INSERT INTO pleiad.commit_record (gid, owner, trusted) VALUES ('pleiad_proxy', 'ann', true)")
	got := text(t, home, `SELECT string_agg(concat_ws(' ', gid, state, CASE owner WHEN 'ann' THEN owner WHEN current_user THEN 'own' END), ', ' ORDER BY gid)
		FROM pleiad.transactions WHERE database = current_database() AND since <= now()`)
	want := "pleiad_decided committed own, pleiad_elsewhere committed ann, pleiad_forged rolled back ann, " +
		"pleiad_late rolled back, pleiad_proxy committed ann, pleiad_taken rolled back own, pleiad_undecided prepared own"
	if got != want {
		t.Errorf("pleiad.transactions: %s, want %s", got, want)
	}
}
