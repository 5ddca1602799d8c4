package integration

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// pgbenchTables are pgbench's own, sharded by their ids; history has no key of its own.
var pgbenchTables = []string{
	"create table pgbench_branches (bid int primary key, bbalance int, filler char(88)) partition by hash (bid)",
	"create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84)) partition by hash (tid)",
	"create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84)) partition by hash (aid)",
	"create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22)) partition by hash (tid)",
}

var processedTransactions = regexp.MustCompile(`number of transactions actually processed: (\d+)`)

// TestClientsPgbench initialises pgbench and runs its own script in every protocol mode; afterwards every
// balance must agree with the history.
func TestClientsPgbench(t *testing.T) {
	t.Parallel()
	for _, s := range both() {
		t.Run(s.name, func(t *testing.T) {
			db := s.newDatabase(t)
			c := s.conn(t, db)
			for _, ddl := range pgbenchTables {
				s.exec(t, c, ddl)
			}
			runClient(t, "", clientProgram("pgbench"), "-i", "-I", pgbenchRows(t), "--partitions=32", "-s", "1", s.dsn(db))
			if n := len(s.text(t, c, "select aid from pgbench_accounts")); n != 100_000 {
				t.Fatalf("%d accounts, want 100000", n)
			}
			total := 0
			for _, protocol := range []string{"simple", "extended", "prepared"} {
				for _, script := range []string{"tpcb-like", "simple-update", "select-only"} {
					out := runClient(t, "", clientProgram("pgbench"), "-n", "-M", protocol, "-b", script,
						"-c", "4", "-j", "2", "-t", "60", "--max-tries=10", s.dsn(db))
					done := processedTransactions.FindStringSubmatch(out)
					if done == nil || done[1] != "240" || !strings.Contains(out, "failed transactions: 0") {
						t.Errorf("-M %s -b %s: not all transactions were processed:\n%s", protocol, script, out)
					}
					if script != "select-only" {
						total += 240
					}
				}
			}
			checkBalances(t, s, c, total)
		})
	}
}

// pgbenchRows is how pgbench makes its rows: COPY … FREEZE is for no partitioned table, and --partitions keeps pgbench from it
// for all tables before version 17 only. From then on the server makes them.
func pgbenchRows(t *testing.T) string {
	t.Helper()
	version := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindStringSubmatch(runClient(t, "", clientProgram("pgbench"), "--version"))
	if version == nil {
		t.Fatal("pgbench does not tell its version")
	}
	if version[1] < "17" {
		return "gv"
	}
	return "Gv"
}

func checkBalances(t *testing.T, s *side, c *pgx.Conn, transactions int) {
	t.Helper()
	sum := func(query string) (total int, rows int) {
		lines := s.text(t, c, query)
		for _, l := range lines {
			n, err := strconv.Atoi(l)
			if err != nil {
				t.Fatalf("%s: %q is no number", query, l)
			}
			total += n
		}
		return total, len(lines)
	}
	history, entries := sum("select delta from pgbench_history")
	if entries != transactions {
		t.Errorf("history has %d rows, want %d", entries, transactions)
	}
	if accounts, _ := sum("select abalance from pgbench_accounts where abalance <> 0"); accounts != history {
		t.Errorf("accounts sum to %d, history to %d", accounts, history)
	}
	tellers, _ := sum("select tbalance from pgbench_tellers")
	if branches, _ := sum("select bbalance from pgbench_branches"); tellers != branches {
		t.Errorf("tellers sum to %d, branches to %d", tellers, branches)
	}
}

// TestClientsPgbenchUnaware has pgbench make its tables itself in an application's session that shards by
// primary key: its tables get theirs too late and stay local, and everything works.
func TestClientsPgbenchUnaware(t *testing.T) {
	t.Parallel()
	for _, s := range both() {
		t.Run(s.name, func(t *testing.T) {
			dsn := s.dsn(s.newDatabase(t), distributions["primary_key"]...)
			runClient(t, "", clientProgram("pgbench"), "-i", "-I", "dtgvpf", "-s", "1", dsn)
			out := runClient(t, "", clientProgram("pgbench"), "-n", "-c", "2", "-t", "50", dsn)
			if !strings.Contains(out, fmt.Sprint("processed: ", 100)) {
				t.Errorf("not all transactions were processed:\n%s", out)
			}
		})
	}
}
