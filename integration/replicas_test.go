package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// replicaCluster is two backends with two standbys each, for the tests that read from them, pause them and promote
// them; those run one after another and leave all six servers running, a primary and two standbys each.
var replicaCluster struct {
	once    sync.Once
	cluster *devcluster.Cluster
	err     error
}

// replicated is a proxy in front of that cluster.
type replicated struct{ *served }

func serveReplicated(t *testing.T, settings string) *replicated {
	t.Helper()
	needPleiad(t)
	replicaCluster.once.Do(func() {
		replicaCluster.cluster, replicaCluster.err = devcluster.Start(context.Background(), devcluster.Options{
			Dir: filepath.Join(suite.dir, "replicas"), Backends: 2, Replicas: 2, Fast: true,
		})
	})
	if replicaCluster.err != nil {
		t.Fatal(replicaCluster.err)
	}
	r := &replicated{&served{cluster: replicaCluster.cluster, config: filepath.Join(t.TempDir(), "config.yaml")}}
	r.side = &side{name: "pleiad serve", user: r.cluster.SuperUser(), database: "postgres", pleiad: true}
	r.addr = freeAddress(t)
	r.configure(t, settings)
	r.start(t)
	t.Cleanup(func() {
		if err := errors.Join(r.program.stop(), r.program.complaints()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// configure writes the servers as they are configured at first, whatever they have become: who is the primary is for the
// proxy to find out.
func (r *replicated) configure(t *testing.T, settings string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: replicas\nlisten: %s\nhome: b1\nauth:\n  method: trust\ncredentials:\n  user: %s\nbackends:\n", r.addr, r.user)
	for _, name := range []string{"b1", "b2"} {
		p := r.cluster.Server(name)
		fmt.Fprintf(&b, "  - name: %s\n    primary: {host: %s, port: %d}\n    replicas:\n", name, p.SocketDir, p.Port)
		for i := 1; i <= 2; i++ {
			s := r.cluster.Server(name + "-r" + strconv.Itoa(i))
			fmt.Fprintf(&b, "      - {name: %s, host: %s, port: %d}\n", s.Name, s.SocketDir, s.Port)
		}
	}
	b.WriteString(settings)
	if err := os.WriteFile(r.config, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// standbys are the servers that are in recovery now.
func (r *replicated) standbys() (all []*devcluster.Server) {
	for _, s := range r.cluster.Servers() {
		if s.Role() == devcluster.Replica {
			all = append(all, s)
		}
	}
	return all
}

// primary is the server that pleiad takes for a backend's primary. The data directory of an outdated one says the same of
// that.
func (r *replicated) primary(t *testing.T, backend string) *devcluster.Server {
	t.Helper()
	return r.cluster.Server(r.one(t, r.conn(t, "postgres"), "select name from pleiad.backends where backend = '"+backend+"' and role = 'primary'"))
}

// on runs SQL on one server itself.
func (r *replicated) on(t testing.TB, s *devcluster.Server, sql string) string {
	t.Helper()
	ctx := ctxFor(t)
	c, err := pgconn.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %s: %v", s.Name, sql, err)
	}
	if rows := results[len(results)-1].Rows; len(rows) > 0 {
		return string(rows[0][0])
	}
	return ""
}

// pauseReplay stops the replay on standbys, once they have what the primaries have; the end of the test resumes it.
func (r *replicated) pauseReplay(t *testing.T, standbys ...*devcluster.Server) {
	t.Helper()
	r.caughtUp(t)
	for _, s := range standbys {
		r.on(t, s, "select pg_wal_replay_pause()")
		eventually(t, 10*time.Second, "replay is paused", func() bool {
			return r.on(t, s, "select pg_get_wal_replay_pause_state()") == "paused"
		})
		t.Cleanup(func() { r.resumeReplay(t, s) })
	}
}

func (r *replicated) resumeReplay(t *testing.T, standbys ...*devcluster.Server) {
	t.Helper()
	for _, s := range standbys {
		r.on(t, s, "select pg_wal_replay_resume() where pg_is_in_recovery()")
	}
}

// caughtUp waits until every standby has replayed what its primary has, and the proxy reads from them.
func (r *replicated) caughtUp(t *testing.T) {
	t.Helper()
	for _, p := range r.cluster.Primaries() {
		end := r.on(t, p, "set synchronous_commit = local; select pg_logical_emit_message(true, 'test', ''); select pg_current_wal_flush_lsn()")
		for _, s := range r.cluster.Replicas(p.Backend) {
			eventually(t, 30*time.Second, s.Name+" has caught up", func() bool {
				return r.on(t, s, "select pg_last_wal_replay_lsn() >= '"+end+"'") == "t"
			})
		}
	}
	c := r.conn(t, "postgres")
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(r.text(t, c, "select * from pleiad.backends"), "\n"))
		}
	}()
	eventually(t, 30*time.Second, "pleiad sees every server up", func() bool {
		return r.one(t, c, "select count(*) from pleiad.backends where state = 'up'") == "6"
	})
}

// kv makes a table with rows 1 … n at value 0, in a database of its own.
func (r *replicated) kv(t *testing.T, n int) (db string) {
	t.Helper()
	db = r.newDatabase(t)
	c := r.conn(t, db)
	r.exec(t, c, "create table kv (k int primary key, v int not null) partition by hash (k)")
	for k := 1; k <= n; k++ {
		r.exec(t, c, fmt.Sprintf("insert into kv values (%d, 0)", k))
	}
	return db
}

// level is a connection that reads at a level of consistency.
func (r *replicated) level(t *testing.T, db, consistency string) *pgx.Conn {
	t.Helper()
	return r.conn(t, db, "options=-c pleiad.consistency="+consistency)
}

// TestConsistency has every standby stop its replay, so that each level shows what it promises: the test of a level
// fails if reads were answered as the next weaker one may answer them.
func TestConsistency(t *testing.T) {
	r := serveReplicated(t, "reads:\n  wait: 20ms\n")
	db := r.kv(t, 8)
	conns := map[string]*pgx.Conn{}
	levels := []string{"strong", "bounded_staleness", "session", "consistent_prefix", "eventual"}
	for _, level := range levels {
		conns[level] = r.level(t, db, level)
	}
	r.exec(t, conns["bounded_staleness"], "set pleiad.max_staleness = 1500")
	writer := r.level(t, db, "session")
	const read, all = "select v from kv where k = 1", "select sum(v) from kv"
	r.pauseReplay(t, r.standbys()...)
	for _, level := range levels {
		if v := r.one(t, conns[level], read); v != "0" {
			t.Fatalf("%s: %s before any write", level, v)
		}
	}
	r.exec(t, writer, "update kv set v = 1")
	token := r.one(t, writer, "show pleiad.session_token")
	want := func(level, sql, v string) {
		t.Helper()
		if got := r.one(t, conns[level], sql); got != v {
			t.Errorf("%s: %s gives %s, want %s", level, sql, got, v)
		}
	}
	// Others' writes.
	want("strong", read, "1")
	want("strong", all, "8")
	for _, level := range []string{"session", "consistent_prefix", "eventual"} {
		want(level, read, "0")
		want(level, all, "0")
	}
	eventually(t, 10*time.Second, "bounded_staleness sees the write", func() bool { return r.one(t, conns["bounded_staleness"], read) == "1" })
	time.Sleep(1600 * time.Millisecond) // the standbys are older than max_staleness from now on, on both backends
	want("bounded_staleness", read, "1")
	want("bounded_staleness", all, "8")
	want("session", read, "0") // which is what bounded_staleness has more
	// Own writes.
	if v := r.one(t, writer, read); v != "1" {
		t.Errorf("session: reads %s after writing 1", v)
	}
	for _, level := range []string{"consistent_prefix", "eventual"} {
		c := conns[level]
		r.exec(t, c, "update kv set v = 2 where k = 2")
		want(level, "select v from kv where k = 2", "0")
	}
	// What another session has seen.
	other := r.level(t, db, "session")
	if v := r.one(t, other, read); v != "0" {
		t.Errorf("session: a new session reads %s", v)
	}
	r.exec(t, other, "set pleiad.session_token = '"+token+"'")
	if v := r.one(t, other, read); v != "1" {
		t.Errorf("session: with the writer's token it reads %s", v)
	}
	// What always goes to the primary, at the weakest level.
	c := conns["eventual"]
	want("eventual", "select v from kv where k = 1 for update", "1")
	want("eventual", "select v + (random() * 0)::int from kv where k = 1", "1")
	r.exec(t, c, "begin")
	want("eventual", read, "1")
	r.exec(t, c, "commit")
	r.exec(t, c, "begin read only")
	want("eventual", read, "0")
	want("eventual", all, "0")
	r.exec(t, c, "commit")
	r.exec(t, c, "begin isolation level repeatable read, read only")
	want("eventual", read, "1")
	r.exec(t, c, "commit")
	r.resumeReplay(t, r.standbys()...)
	eventually(t, 10*time.Second, "the standbys show the write", func() bool { return r.one(t, conns["consistent_prefix"], all) == "9" })
}

// TestMonotonicReads has one standby of a backend ahead of the other. Sessions that go from one to the other never see
// the past; at the weakest level they do.
func TestMonotonicReads(t *testing.T) {
	r := serveReplicated(t, "")
	db := r.kv(t, 1)
	behind := r.cluster.Replicas(r.owner(t, db, 1))[0]
	writer := r.level(t, db, "strong")
	r.pauseReplay(t, behind)
	const n = 40
	sessions := map[string][]*pgx.Conn{}
	for _, level := range []string{"session", "consistent_prefix", "eventual"} {
		for range 2 {
			sessions[level] = append(sessions[level], r.level(t, db, level))
		}
	}
	last := map[*pgx.Conn]int{}
	back := map[string]int{}
	for i := 1; i <= n; i++ {
		r.exec(t, writer, fmt.Sprintf("update kv set v = %d where k = 1", i))
		for level, conns := range sessions {
			for j, c := range conns {
				if level == "session" && j == 1 && i%10 == 0 {
					r.exec(t, c, "begin; update kv set v = v where k = 1; commit")
				}
				v, err := strconv.Atoi(r.one(t, c, "select v from kv where k = 1"))
				if err != nil {
					t.Fatal(err)
				}
				if v < last[c] {
					back[level]++
				}
				last[c] = v
			}
		}
	}
	if back["session"] > 0 || back["consistent_prefix"] > 0 {
		t.Errorf("reads went back in time: %v", back)
	}
	if back["eventual"] == 0 {
		t.Errorf("at eventual no read went back in time: the standbys were not told apart, and the test shows nothing")
	}
}

// owner is the backend that has the row with key k of table kv.
func (r *replicated) owner(t *testing.T, db string, k int) string {
	t.Helper()
	for _, p := range r.cluster.Primaries() {
		s := &side{name: p.Name, user: r.user, database: db, socket: p.SocketDir, addr: fmt.Sprint("socket:", p.Port)}
		if r.text(t, s.conn(t, db), fmt.Sprintf("select k from kv where k = %d", k)) != nil {
			return p.Backend
		}
	}
	t.Fatalf("no backend has row %d", k)
	return ""
}

func (s *served) configText(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// restart runs the proxy anew with another configuration.
func (r *replicated) restart(t *testing.T, config string) {
	t.Helper()
	if err := errors.Join(r.program.stop(), r.program.complaints()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.config, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	r.start(t)
}

// command runs the program with other arguments, as a user does beside the proxy.
func (r *replicated) command(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, suite.binary, args...)
	host, port, _ := net.SplitHostPort(r.addr)
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+r.user, "PGDATABASE=postgres")
	cmd.Stdout, cmd.Stderr = out, out
	return cmd.Run()
}
