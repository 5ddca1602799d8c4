package standby

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/devcluster"
	"github.com/pleiad/pleiad/internal/lsn"
)

// TestReceivedTimeline: what a server's segments say counts, and where they say nothing, what its control file said.
func TestReceivedTimeline(t *testing.T) {
	cluster := devcluster.ForTest(t, devcluster.Options{Backends: 1})
	conn, err := pgx.Connect(t.Context(), cluster.DSN(cluster.Primaries()[0], "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var at, boundary string
	if err := conn.QueryRow(t.Context(), `SELECT l::text, ('0/0'::pg_lsn + div(l - '0/0', s) * s)::text
		FROM pg_switch_wal() l, pg_size_bytes(current_setting('wal_segment_size')) s`).Scan(&at, &boundary); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE ROLE lists_nothing"); err != nil {
		t.Fatal(err)
	}
	parse := func(s string) lsn.LSN {
		l, err := lsn.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, c := range []struct {
		name     string
		role     string
		received lsn.LSN
		control  uint32
		want     uint32
	}{
		{"in a segment that is there", "postgres", parse(at), 0, 1},
		{"its control file is ahead", "postgres", parse(at), 4, 4},
		{"the end of a segment", "postgres", parse(boundary), 0, 1},
		{"no log at all", "postgres", 0, 2, 2},
		{"behind all segments", "postgres", parse("FFFF/0"), 3, 3},
		{"at the last byte there can be", "postgres", parse("FFFFFFFF/FFFFFFFF"), 3, 3},
		{"segments that are not listed", "lists_nothing", parse(at), 5, 5},
	} {
		if _, err := conn.Exec(t.Context(), "SET ROLE "+c.role); err != nil {
			t.Fatal(err)
		}
		got, err := receivedTimeline(t.Context(), conn, Look{Timeline: c.control, Received: c.received})
		if err != nil || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.name, got, err, c.want)
		}
	}
}
