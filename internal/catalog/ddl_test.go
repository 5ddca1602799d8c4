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
	if got := text(t, c.conns[0], "SELECT gid || ' ' || outcome || ' ' || owner FROM pleiad.transactions"); got != "pleiad_x committed ann" {
		t.Errorf("pleiad.transactions: %s", got)
	}
	if _, err := c.conns[0].Exec(t.Context(), ForgetCommitSQL, "pleiad_x"); err == nil {
		t.Error("a user could forget a decision")
	}
	if _, err := db.conns[0].Exec(t.Context(), ForgetCommitSQL, "pleiad_x"); err != nil {
		t.Error(err)
	}
}
