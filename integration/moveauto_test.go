package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRebalanceByItself: rebalancer.auto starts a rebalance when a backend is too far over its share, within its hours, and
// no other one while that runs or when nothing is to be gained.
func TestRebalanceByItself(t *testing.T) {
	const looks = 100 * time.Millisecond
	settings := func(threshold int, from, to time.Time) string {
		return fmt.Sprintf("rebalancer:\n  max_rate: 2MiB\n  auto: {enabled: true, interval: %s, threshold: %d, from: '%s', to: '%s'}\n",
			looks, threshold, from.Format("15:04"), to.Format("15:04"))
	}
	now := time.Now()
	later, evenLater := now.Add(2*time.Hour), now.Add(3*time.Hour)
	s := serve(t, settings(30, later, evenLater))
	configure := func(threshold int, from, to time.Time) {
		t.Helper()
		s.writeConfig(t, settings(threshold, from, to))
		raw := s.configText(t)
		if line := s.reload(t, raw, "config_reloaded"); !strings.Contains(line, "rebalancer.auto") {
			t.Fatal(line)
		}
	}
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "set pleiad.shard_count = 3")
	s.exec(t, c, "create table heap (k int primary key, v text) partition by hash (k)")
	s.exec(t, c, "insert into heap select i, repeat('x', 1000) from generate_series(1, 4000) i")
	for shard := range 3 {
		s.job(t, c, time.Minute, fmt.Sprintf("move_shard(%d, 'b2', null, '1GB')", shard))
	}
	rebalances := func() string {
		return s.one(t, c, "select count(*), count(*) filter (where state = 'done') from pleiad.jobs where kind = 'rebalance'")
	}
	none := func(want, why string) {
		t.Helper()
		pause(t, 5*looks)
		if got := rebalances(); got != want {
			t.Fatalf("%s: %s rebalances, of which are done, and not %s", why, got, want)
		}
	}
	none("0|0", "out of hours")
	// All shards are on one of three backends: it is 200 % over its share.
	configure(250, now.Add(-time.Hour), now.Add(time.Hour))
	none("0|0", "below the threshold")
	// A shard that an open transaction has written to does not switch: what runs goes on running until that ends.
	writer := s.conn(t, db)
	s.exec(t, writer, "begin")
	s.exec(t, writer, "update heap set v = v")
	configure(30, now.Add(-time.Hour), now.Add(time.Hour))
	eventually(t, 10*time.Second, "a rebalance to begin", func() bool { return rebalances() == "1|0" })
	none("1|0", "while one runs")
	s.exec(t, writer, "commit")
	eventually(t, time.Minute, "the rebalance to end", func() bool { return rebalances() == "1|1" })
	if got := strings.Join(s.text(t, c, "select backend, count(*) from pleiad.shards group by 1 order by 1"), " "); got != "b1|1 b2|1 b3|1" {
		t.Errorf("the shards are on %s", got)
	}
	none("1|1", "balanced")
	// What somebody has stopped is not begun again at once.
	s.exec(t, c, "select pleiad.drain('b3')")
	eventually(t, time.Minute, "b3 to be empty", func() bool {
		return s.one(t, c, "select count(*) from pleiad.shards where backend = 'b3'") == "0"
	})
	s.exec(t, writer, "begin")
	s.exec(t, writer, "update heap set v = v")
	s.job(t, c, time.Minute, "add_backend('b3')")
	eventually(t, 10*time.Second, "another rebalance to begin", func() bool { return rebalances() == "2|1" })
	id := s.one(t, c, "select max(id) from pleiad.jobs where kind = 'rebalance'")
	s.exec(t, c, "select pleiad.cancel_job("+id+")")
	s.await(t, c, time.Minute, id, "cancelled")
	s.exec(t, writer, "commit")
	none("2|1", "after one that was cancelled")
	s.noLeftovers(t, db)
}
