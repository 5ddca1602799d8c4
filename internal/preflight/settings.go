package preflight

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pleiad/pleiad/internal/config"
)

const (
	// ownConnections are those pleiad itself may hold on a server besides the
	// pools: catalog, health, recovery, DDL, up to six for each running move.
	ownConnections = 16
	// moveSlots are the replication slots of the moves that may run at once,
	// one to follow and one for its table copies each.
	moveSlots = 4
	// clockTolerance is how far two clocks may be apart without a warning.
	clockTolerance = time.Second
)

// minimum is a number that must be large enough. All need a restart.
type minimum struct {
	name string
	need func(largestPool, replicas, reserved int) (n int, why string)
}

var minimums = []minimum{
	{"max_connections", func(pool, _, reserved int) (int, string) {
		return pool + ownConnections + reserved, fmt.Sprintf("the largest pool (%d), %d for pleiad itself, %d reserved for superusers; each further role and database has its own pool", pool, ownConnections, reserved)
	}},
	{"max_prepared_transactions", func(pool, _, _ int) (int, string) {
		return pool, fmt.Sprintf("every connection of the largest pool (%d) may be in a transaction over several backends", pool)
	}},
	{"max_replication_slots", func(_, replicas, _ int) (int, string) {
		return replicas + moveSlots, fmt.Sprintf("%d replicas and %d for moving shards", replicas, moveSlots)
	}},
	{"max_wal_senders", func(_, replicas, _ int) (int, string) {
		return replicas + moveSlots, fmt.Sprintf("%d replicas and %d for moving shards", replicas, moveSlots)
	}},
}

// exact are settings with one right value.
var exact = []struct{ name, want, why, fix string }{
	{"wal_level", "logical", "moving a shard needs logical decoding", "ALTER SYSTEM SET wal_level = 'logical';  -- then restart the server"},
	{"standard_conforming_strings", "on", "a backslash in a string would mean something else", "ALTER SYSTEM SET standard_conforming_strings = on;  SELECT pg_reload_conf();  -- and reset it for roles and databases that set it"},
	{"integer_datetimes", "on", "binary timestamps would be read wrongly", "use a server built with integer timestamps"},
}

// settings judges a primary, and a replica by what it would be as one: what it
// lacks there is a warning.
func (j *judgement) settings(i int, f *facts) {
	severity, when := Error, ""
	if f.replica {
		severity, when = Warning, " once it is promoted"
	}
	for _, e := range exact {
		if got := f.settings[e.name]; got != e.want {
			j.add(i, severity, e.name, fmt.Sprintf("%s; %s is needed%s: %s", got, e.want, when, e.why), e.fix)
		}
	}
	backend, _ := j.config.Backend(f.backend)
	reserved := f.number("superuser_reserved_connections") + f.number("reserved_connections")
	for _, m := range minimums {
		n, why := m.need(largestPool(j.config), len(backend.Replicas), reserved)
		if got := f.number(m.name); got < n {
			j.add(i, severity, m.name, fmt.Sprintf("%d; at least %d is needed%s: %s", got, n, when, why),
				fmt.Sprintf("ALTER SYSTEM SET %s = %d;  -- then restart the server%s", m.name, n, replicasFirst(m.name, backend)))
		}
	}
}

// replicasFirst: a standby stops when its primary has more of these
// (manual, "Hot Standby", "Administrator's Overview").
func replicasFirst(name string, b config.Backend) string {
	if len(b.Replicas) == 0 || name == "max_replication_slots" {
		return ""
	}
	return ", its replicas first"
}

// number is 0 for a setting this version does not have.
func (f *facts) number(name string) int {
	n, err := strconv.Atoi(f.settings[name])
	if err != nil {
		return 0
	}
	return n
}

func largestPool(c *config.Config) int {
	size := c.Pool.Size
	for _, u := range c.Users {
		size = max(size, u.PoolSize)
	}
	for _, d := range c.Databases {
		size = max(size, d.PoolSize)
	}
	return size
}

func (j *judgement) clock(i int, f *facts) {
	// Half of the round trip may have been before the clock was read or after.
	off := max(f.ahead.Abs()-f.roundTrip/2, 0)
	if off <= clockTolerance {
		return
	}
	direction := "ahead of"
	if f.ahead < 0 {
		direction = "behind"
	}
	j.add(i, Warning, "clock", fmt.Sprintf("%v %s this machine's; now() would differ between servers", off.Round(time.Millisecond), direction),
		"synchronize both clocks, for instance with chrony")
}

// leftovers are transactions and slots that nobody seems to finish.
func (j *judgement) leftovers(i int, f *facts) {
	if f.replica {
		return // it only shows those of its primary
	}
	old := max(j.config.Transactions.InDoubtAlert.D(), 10*time.Second)
	for _, p := range f.prepared {
		if p.age < old {
			continue
		}
		j.add(i, Warning, "prepared_transaction", fmt.Sprintf("%q is prepared for %v; it holds its locks and keeps VACUUM back", p.gid, p.age.Round(time.Second)),
			fmt.Sprintf("if a running pleiad does not finish it and nobody else will: ROLLBACK PREPARED %s;", literal(p.gid)))
	}
	for _, slot := range f.idleSlots {
		j.add(i, Warning, "replication_slot", fmt.Sprintf("%q has no reader; it keeps WAL until the disk is full", slot),
			fmt.Sprintf("if no replica and no move needs it: SELECT pg_drop_replication_slot(%s);", literal(slot)))
	}
}
