package executor

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// failing makes a server that answers as it should, but for one statement.
func failing(prefix string, how answer) func(string) answer {
	return func(sql string) answer {
		if prefix != "" && strings.HasPrefix(sql, prefix) {
			return how
		}
		return answer{}
	}
}

// writing opens a transaction that has written on the given backends and read on others.
func writing(t *testing.T, g *Gang, writers, readers []int) {
	t.Helper()
	g.Begin(TxnExplicit, "BEGIN")
	for _, b := range append(slices.Clone(writers), readers...) {
		m, err := g.Join(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		m.Wrote = slices.Contains(writers, b)
		m.Query([]byte("UPDATE t"))
		if o, err := Relay(m, wire.NewWriter(discard{}), &watcher{}); err != nil || o.Failed {
			t.Fatal(err, o)
		}
	}
}

func commit(t *testing.T, g *Gang) (code string) {
	t.Helper()
	var frame []byte
	within(t, func() { frame = g.Commit(t.Context(), wire.NewWriter(discard{}), &watcher{}) })
	if frame == nil {
		return ""
	}
	return wire.ErrorField(frame, 'C')
}

func count(log []string, sql string) (n int) {
	for _, s := range log {
		if strings.HasPrefix(s, sql) {
			n++
		}
	}
	return n
}

func TestOneWriterCommitsInOnePhase(t *testing.T) {
	fs := newServers(t, failing("", answer{}), failing("", answer{}), failing("", answer{}))
	g := newGang(t, fs)
	writing(t, g, []int{1}, []int{0, 2})
	if code := commit(t, g); code != "" || len(fs.decided) != 0 {
		t.Fatalf("%s, decided %v", code, fs.decided)
	}
	for i, f := range fs.fakes {
		if log := strings.Join(f.statements(), "|"); log != "BEGIN|UPDATE t|COMMIT" {
			t.Errorf("backend %d: %s", i, log)
		}
	}
}

func TestTheRecordIsWrittenInHomesPart(t *testing.T) {
	fs := newServers(t, failing("", answer{}), failing("", answer{}), failing("", answer{}))
	g := newGang(t, fs)
	writing(t, g, []int{0, 1, 2}, nil)
	if code := commit(t, g); code != "" {
		t.Fatal(code)
	}
	if log := strings.Join(fs.fakes[0].statements(), "|"); log != "BEGIN|UPDATE t|SELECT pleiad.record_commit('gid1')|COMMIT" {
		t.Errorf("home: %s", log)
	}
	for _, i := range []int{1, 2} {
		want := "BEGIN|UPDATE t|PREPARE TRANSACTION 'gid1'|COMMIT PREPARED 'gid1'"
		if log := strings.Join(fs.fakes[i].statements(), "|"); log != want {
			t.Errorf("backend %d: %s", i, log)
		}
	}
	if len(fs.decided) != 0 || !slices.Equal(fs.forgot, []string{"gid1"}) || !slices.Equal(fs.settled, []string{"gid1"}) {
		t.Errorf("decided %v, forgot %v, settled %v", fs.decided, fs.forgot, fs.settled)
	}
}

// TestTwoPhaseCommitAtEachFailure: whatever fails, no backend commits what another rolls back, and the client is told
// no more than is known.
func TestTwoPhaseCommitAtEachFailure(t *testing.T) {
	fail, die := answer{code: "23505"}, answer{die: true}
	for _, c := range []struct {
		name    string
		writers []int
		at      int // the backend that fails
		prefix  string
		how     answer
		decide  error
		code    string
		commits bool   // the others commit
		left    []int  // backends whose part stays prepared for recovery
		forgot  bool   // the record is dropped
		home    string // what home ends with, "" for not a part of it
	}{
		{name: "prepare fails", writers: []int{1, 2}, at: 2, prefix: "PREPARE", how: fail, code: "23505"},
		{name: "prepare fails, home writes", writers: []int{0, 1, 2}, at: 1, prefix: "PREPARE", how: fail, code: "23505", home: "ROLLBACK"},
		{name: "prepare is lost", writers: []int{1, 2}, at: 1, prefix: "PREPARE", how: die, code: "08006"},
		{name: "prepare rolls back", writers: []int{1, 2}, at: 1, prefix: "PREPARE", how: answer{tag: "ROLLBACK"}, code: "40000"},
		{name: "record fails", writers: []int{0, 1}, at: 0, prefix: "SELECT pleiad.record", how: fail, code: "23505", home: "COMMIT"},
		{name: "recovery was faster than home", writers: []int{0, 1}, at: 0, prefix: "SELECT pleiad.record",
			how: answer{code: "23505", fields: []string{"spleiad", "tcommit_record"}}, code: "40000", home: "COMMIT"},
		{name: "home's commit fails", writers: []int{0, 1}, at: 0, prefix: "COMMIT", how: fail, code: "23505", home: "COMMIT"},
		{name: "home's commit rolls back", writers: []int{0, 1}, at: 0, prefix: "COMMIT", how: answer{tag: "ROLLBACK"}, code: "40000", home: "COMMIT"},
		{name: "home is lost at the record", writers: []int{0, 1, 2}, at: 0, prefix: "SELECT pleiad.record", how: die,
			code: pgerr.TransactionResolutionUnknown, left: []int{1, 2}},
		{name: "home is lost at its commit", writers: []int{0, 1, 2}, at: 0, prefix: "COMMIT", how: die,
			code: pgerr.TransactionResolutionUnknown, left: []int{1, 2}},
		{name: "recovery was faster", writers: []int{1, 2}, at: -1, decide: fmt.Errorf("decide: %w", ErrAborted), code: "40000"},
		{name: "decision unknown", writers: []int{1, 2}, at: -1, decide: errors.New("no answer"),
			code: pgerr.TransactionResolutionUnknown, left: []int{1, 2}},
		{name: "commit prepared fails", writers: []int{1, 2}, at: 2, prefix: "COMMIT PREPARED", how: fail, commits: true, left: []int{2}},
		{name: "commit prepared is lost", writers: []int{1, 2}, at: 1, prefix: "COMMIT PREPARED", how: die, commits: true, left: []int{1}},
		{name: "nothing fails", writers: []int{1, 2}, at: -1, commits: true, forgot: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var scripts []func(string) answer
			for i := range 3 {
				script := failing("", answer{})
				if i == c.at {
					script = failing(c.prefix, c.how)
				}
				scripts = append(scripts, script)
			}
			fs := newServers(t, scripts...)
			fs.decide = func(string) error { return c.decide }
			g := newGang(t, fs)
			before := g.Settings
			writing(t, g, c.writers, nil)
			g.Settings = g.Settings.With("work_mem", "'5MB'")
			if code := commit(t, g); code != c.code {
				t.Errorf("client is told %q, want %q", code, c.code)
			}
			for i, f := range fs.fakes {
				left := len(f.prepared()) > 0
				if want := slices.Contains(c.left, i); left != want {
					t.Errorf("backend %d: prepared %v, want %v: %v", i, left, want, f.statements())
				}
				log := f.statements()
				if !c.commits && i != 0 && count(log, "COMMIT") > 0 {
					t.Errorf("backend %d committed: %v", i, log)
				}
				if c.commits && slices.Contains(c.writers, i) && count(log, "COMMIT PREPARED") != 1 {
					t.Errorf("backend %d: %v", i, log)
				}
			}
			if c.home != "" {
				if log := fs.fakes[0].statements(); log[len(log)-1] != c.home {
					t.Errorf("home: %v", log)
				}
			}
			if len(fs.settled) != 1 || (len(fs.forgot) == 1) != c.forgot {
				t.Errorf("settled %v, forgot %v", fs.settled, fs.forgot)
			}
			if committed := c.code == ""; committed == (g.Settings == before) || g.Txn.State != TxnNone {
				t.Errorf("committed %v, settings %q, state %d", committed, g.Settings.Apply, g.Txn.State)
			}
		})
	}
}

func TestACommitThatRollsBackIsAnError(t *testing.T) {
	for _, writers := range [][]int{{1}, {}} {
		fs := newServers(t, failing("", answer{}), failing("COMMIT", answer{tag: "ROLLBACK"}))
		g := newGang(t, fs)
		writing(t, g, writers, []int{1})
		if code := commit(t, g); code != "40000" {
			t.Errorf("writers %v: %q", writers, code)
		}
	}
}

func TestALostSingleWriterIsUnknown(t *testing.T) {
	fs := newServers(t, failing("", answer{}), failing("COMMIT", answer{die: true}))
	g := newGang(t, fs)
	writing(t, g, []int{1}, []int{0})
	if code := commit(t, g); code != pgerr.TransactionResolutionUnknown {
		t.Error(code)
	}
}

// TestSettingsOfAPreparedTransactionThatIsRolledBack: PREPARE TRANSACTION keeps what SET did in it.
func TestSettingsOfAPreparedTransactionThatIsRolledBack(t *testing.T) {
	fs := newServers(t, failing("", answer{}), failing("", answer{}), failing("PREPARE", answer{code: "53100"}))
	g := newGang(t, fs)
	writing(t, g, []int{1, 2}, nil)
	g.Txn.NoteSetting("SET work_mem TO '5MB'")
	if code := commit(t, g); code != "53100" {
		t.Fatal(code)
	}
	if m := g.Member(1); !m.Unclean || m.Owner != 0 {
		t.Error("the connection is believed to be in its old settings")
	}
	if m := g.Member(2); m.Unclean {
		t.Error("a connection that rolled back by itself is discarded")
	}
}

func TestLateJoinersSeeSettingsAndSavepoints(t *testing.T) {
	fs := newServers(t, failing("", answer{}), failing("", answer{}), failing("", answer{}))
	g := newGang(t, fs)
	g.Begin(TxnExplicit, "BEGIN -- work")
	g.Txn.NoteSetting("SET a TO 1")
	g.Settings = g.Settings.With("a", "1")
	g.NoteSavepoint("s", "SAVEPOINT s")
	g.Txn.NoteSetting("SET b TO 2")
	g.Settings = g.Settings.With("b", "2")
	g.NoteSavepoint("t", "SAVEPOINT t")
	if _, err := g.Join(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	want := "BEGIN -- work|SET a TO 1|SAVEPOINT s|SET b TO 2|SAVEPOINT t"
	if log := strings.Join(fs.fakes[0].statements(), "|"); log != want {
		t.Errorf("late joiner saw %s", log)
	}
	g.Txn.NoteRelease("t")
	if g.Txn.HasSavepoint("t") || !g.Txn.HasSavepoint("s") || g.Txn.Savepoints() != 1 {
		t.Error("RELEASE t")
	}
	g.Txn.Failed = true
	g.NoteRollbackTo("s")
	if v, ok := g.Settings.Get("b"); ok || g.Txn.Failed {
		t.Errorf("after ROLLBACK TO s: b is %s, failed %v", v, g.Txn.Failed)
	}
	if v, _ := g.Settings.Get("a"); v != "1" {
		t.Errorf("after ROLLBACK TO s: a is %q", v)
	}
	if _, err := g.Join(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if log := strings.Join(fs.fakes[1].statements(), "|"); log != "BEGIN -- work|SET a TO 1|SAVEPOINT s" {
		t.Errorf("joiner after ROLLBACK TO saw %s", log)
	}
	g.Txn.NoteRelease("s")
	if !g.Txn.HasSettings() || g.Txn.Savepoints() != 0 {
		t.Error("RELEASE s forgot a setting")
	}
	g.Rollback(wire.NewWriter(discard{}), &watcher{})
	if g.Settings != backend.NoSettings {
		t.Errorf("after ROLLBACK: %q", g.Settings.Apply)
	}
}

func TestSavepointsOfOneNameNest(t *testing.T) {
	g := &Gang{Settings: backend.NoSettings}
	g.Begin(TxnExplicit, "BEGIN")
	g.NoteSavepoint("s", "SAVEPOINT s")
	g.Txn.NoteSetting("SET a TO 1")
	g.NoteSavepoint("s", "SAVEPOINT s")
	g.NoteRollbackTo("s")
	if g.Txn.Savepoints() != 2 || !g.Txn.HasSettings() {
		t.Error("ROLLBACK TO went to the older one")
	}
	g.Txn.NoteRelease("s")
	if g.Txn.Savepoints() != 1 || !g.Txn.HasSettings() {
		t.Error("RELEASE released the older one")
	}
}

// TestStateThatCannotBeReplayed: the statement does not run, and the connection is never used again.
func TestStateThatCannotBeReplayed(t *testing.T) {
	for _, prefix := range []string{"DISCARD", "RESET ROLE", "SET"} {
		fs := newServers(t, failing(prefix, answer{code: "42501"}))
		g := newGang(t, fs)
		first, err := g.Join(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		first.Unclean = true
		g.Release()
		g2 := &Gang{ID: 2, Servers: fs, Settings: backend.NoSettings.With("role", "'alice'")}
		_, err = g2.Join(t.Context(), 0)
		if err == nil || ClientError(err).Code != "42501" || !errors.Is(err, backend.ErrLost) {
			t.Fatalf("%s fails: %v", prefix, err)
		}
		g2.Close()
		if s := fs.pools.Stats(); s[0].Open != 0 {
			t.Errorf("%s fails: the pool keeps the connection: %+v", prefix, s)
		}
	}
}

func TestAConnectionFollowsItsClients(t *testing.T) {
	fs := newServers(t, failing("", answer{}))
	alice := &Gang{ID: 1, Servers: fs, Settings: backend.NoSettings.With("role", "'alice'").With("a.b", "1")}
	bob := &Gang{ID: 2, Servers: fs, Settings: backend.NoSettings}
	for _, g := range []*Gang{alice, alice, bob, bob, alice} {
		m, err := g.Join(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		m.Query([]byte("SELECT 1"))
		if _, err := Relay(m, wire.NewWriter(discard{}), &watcher{}); err != nil {
			t.Fatal(err)
		}
		g.Release()
	}
	set := `SET "a"."b" TO 1|SET ROLE 'alice'`
	want := strings.Join([]string{set, "SELECT 1", "SELECT 1", "RESET SESSION AUTHORIZATION|RESET ROLE|RESET ALL",
		"SELECT 1", "SELECT 1", set, "SELECT 1"}, "|")
	if log := strings.Join(fs.fakes[0].statements(), "|"); log != want {
		t.Errorf("the server ran %s", log)
	}
}

func TestASimpleQueryForgetsTheUnnamedStatement(t *testing.T) {
	fs := newServers(t, failing("", answer{}))
	g := newGang(t, fs)
	for name, run := range map[string]func(m *Member){
		"query":     func(m *Member) { m.Query([]byte("SELECT 1")) },
		"internal":  func(m *Member) { m.Internal("SELECT 1") },
		"finishing": func(m *Member) { m.Finishing("COMMIT") },
		"ask":       func(m *Member) { _, _, _ = m.Ask("SELECT 1") },
	} {
		m, err := g.Join(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		m.Conn.Unnamed = 5
		run(m)
		if m.Conn.Unnamed != 0 {
			t.Error(name)
		}
		if _, err := Relay(m, wire.NewWriter(discard{}), &watcher{}); err != nil {
			t.Fatal(err)
		}
		g.Release()
	}
}

func TestCopyMergeJoinsBinaryStreams(t *testing.T) {
	header := []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	// 21 bytes that end like a trailer, and two that are not one.
	tricky := append([]byte{0, 1, 0, 0, 0, 15}, bytes.Repeat([]byte{0xff}, 15)...)
	rows := [][]byte{tricky, {0, 1, 0xff, 0xff, 0xff, 0xff}, tricky}
	stream := func(parts ...[]byte) answer {
		out := []byte{'H', 0, 0, 0, 7, 1, 0, 0}
		for _, p := range parts {
			out = wire.CopyData(out, p)
		}
		out = wire.CommandComplete(wire.Empty(out, 'c'), fmt.Sprintf("COPY %d", len(parts)-1))
		return answer{raw: out}
	}
	// The header comes with the first row, or with the trailer where there is none.
	scripts := []answer{
		stream(join(header, rows[0]), binaryTrailer), stream(join(header, binaryTrailer)),
		stream(join(header, rows[1]), rows[2], binaryTrailer), stream(join(header, binaryTrailer)),
	}
	var fns []func(string) answer
	for _, a := range scripts {
		fns = append(fns, func(string) answer { return a })
	}
	fs := newServers(t, fns...)
	g := newGang(t, fs)
	var members []*Member
	for i := range scripts {
		m, err := g.Join(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		m.Query([]byte("COPY t TO STDOUT"))
		members = append(members, m)
	}
	var got bytes.Buffer
	out := wire.NewWriter(&got)
	n, failure, err := (&CopyMerge{Binary: true}).Run(t.Context(), g, members, out)
	_ = out.Flush()
	if err != nil || failure != nil || n != 3 {
		t.Fatal(n, failure, err)
	}
	var data []byte
	for _, f := range frames(t, got.Bytes()) {
		if f[0] == 'd' {
			data = append(data, f[5:]...)
		}
	}
	if want := join(header, rows[0], rows[1], rows[2], binaryTrailer); !bytes.Equal(data, want) {
		t.Errorf("got  %x\nwant %x", data, want)
	}
	if s := shape(t, got.Bytes()); !strings.HasPrefix(s, "H") || !strings.HasSuffix(s, "c") || strings.Count(s, "H") != 1 {
		t.Error(s)
	}
}

func TestCopyMergeFailsOnce(t *testing.T) {
	data := join([]byte{'H', 0, 0, 0, 7, 0, 0, 0}, wire.CopyData(nil, []byte("1\n")), wire.Empty(nil, 'c'), wire.CommandComplete(nil, "COPY 1"))
	good := func(string) answer { return answer{raw: data} }
	for name, bad := range map[string]answer{
		"error": {code: "22012"}, "lost": {die: true}, "malformed": {raw: []byte{'d', 0xff, 0xff, 0xff, 0xfe}},
	} {
		for at := range 3 {
			scripts := []func(string) answer{good, good, good}
			scripts[at] = func(string) answer { return bad }
			g := newGang(t, newServers(t, scripts...))
			var members []*Member
			for i := range 3 {
				m, err := g.Join(t.Context(), i)
				if err != nil {
					t.Fatal(err)
				}
				m.Query([]byte("COPY t TO STDOUT"))
				members = append(members, m)
			}
			within(t, func() {
				_, failure, err := (&CopyMerge{}).Run(t.Context(), g, members, wire.NewWriter(discard{}))
				if name == "error" && (err != nil || wire.ErrorField(failure, 'C') != "22012") {
					t.Errorf("%s at %d: %s %v", name, at, failure, err)
				}
				if name != "error" && !errors.Is(err, backend.ErrLost) {
					t.Errorf("%s at %d: %v", name, at, err)
				}
			})
			for i, m := range members {
				if i != at && (m.Owed != 0 || m.Queue.Len() != 0 || m.Broken()) {
					t.Errorf("%s at %d: backend %d owes %d", name, at, i, m.Owed)
				}
			}
		}
	}
}
