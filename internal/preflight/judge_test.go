package preflight

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad/pleiad/internal/config"
)

// listenSilently takes connections and never answers; it returns the port.
func listenSilently(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var held []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			held = append(held, c)
		}
		for _, c := range held {
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).Port
}

// good are the facts of a server that lacks nothing.
func good(t target) facts {
	f := facts{
		target: t, version: "15.4", versionNum: 150004, superuser: true, inRecovery: t.replica,
		systemID: "id of " + t.backend,
		settings: map[string]string{
			"wal_level": "logical", "standard_conforming_strings": "on", "integer_datetimes": "on",
			"max_connections": "100", "max_prepared_transactions": "100", "max_replication_slots": "10",
			"max_wal_senders": "10", "superuser_reserved_connections": "3",
		},
		databases: map[string]database{"postgres": {Encoding: "UTF8", Provider: "c", Collate: "en_US.UTF-8", CType: "en_US.UTF-8", Actual: "2.36", Recorded: "2.36"}},
		roles:     map[string]role{"postgres": {true, "v"}},
	}
	if t.replica {
		f.walReceiver = "streaming"
	}
	return f
}

func judged(t *testing.T, change func(map[string]*facts)) Report {
	t.Helper()
	c, err := config.Parse([]byte(`
backends:
  - {name: b1, primary: {host: h1}, replicas: [{host: h1r}]}
  - {name: b2, primary: {host: h2}, replicas: [{host: h2r}]}
users: {own: {password_env: OWN}}
`), "f")
	if err != nil {
		t.Fatal(err)
	}
	var all []facts
	for _, x := range targets(c) {
		all = append(all, good(x))
	}
	byName := map[string]*facts{}
	for i := range all {
		byName[all[i].server.Name] = &all[i]
	}
	change(byName)
	return judge(c, all)
}

func TestJudge(t *testing.T) {
	setDatabase := func(f *facts, change func(*database)) {
		d := f.databases["postgres"]
		change(&d)
		f.databases = map[string]database{"postgres": d}
	}
	for _, x := range []struct {
		name   string
		change func(map[string]*facts)
		status int
		want   []string
	}{
		{"nothing", func(map[string]*facts) {}, 0, nil},
		{"too old, nothing else said of it", func(m map[string]*facts) {
			*m["b2"] = facts{target: m["b2"].target, version: "14.9", versionNum: 140009}
		}, 1, []string{"b2 error version"}},
		{"another major version", func(m map[string]*facts) {
			m["b2"].version, m["b2"].versionNum = "16.1", 160001
		}, 1, []string{"b2 error version"}},
		{"another minor version", func(m map[string]*facts) {
			m["b2"].version, m["b2"].versionNum = "15.9", 150009
		}, 0, nil},
		{"replica does not follow", func(m map[string]*facts) { m["b1-r1"].walReceiver = "" }, 1, []string{"b1-r1 error streaming"}},
		{"copied data", func(m map[string]*facts) {
			m["b2"].systemID, m["b2-r1"].systemID = m["b1"].systemID, m["b1"].systemID
			m["b2"].started = time.Unix(1, 0)
		}, 0, []string{"b2 warning system_identifier"}},
		{"clocks", func(m map[string]*facts) {
			m["b1"].ahead = 1500 * time.Millisecond
			m["b2"].ahead = -3 * time.Second
			m["b2-r1"].ahead, m["b2-r1"].roundTrip = 2*time.Second, 3*time.Second
			m["b1-r1"].ahead = -900 * time.Millisecond
		}, 0, []string{"b1 warning clock", "b2 warning clock"}},
		{"another locale", func(m map[string]*facts) {
			setDatabase(m["b2"], func(d *database) { d.Collate = "C" })
		}, 1, []string{"b2 error locale"}},
		{"another C library on a replica", func(m map[string]*facts) {
			setDatabase(m["b1-r1"], func(d *database) { d.Actual = "2.40" })
		}, 1, []string{"b1-r1 error collation_version"}},
		{"upgraded C library everywhere", func(m map[string]*facts) {
			for _, f := range m {
				setDatabase(f, func(d *database) { d.Actual = "2.40" })
			}
		}, 0, []string{"b1 warning collation_version", "b2 warning collation_version"}},
		{"prepared transactions, young and old", func(m map[string]*facts) {
			m["b1"].prepared = []prepared{{"it's", time.Hour}, {"young", 9 * time.Second}}
			m["b1-r1"].prepared = m["b1"].prepared
		}, 0, []string{"b1 warning prepared_transaction"}},
		{"service role's salt, a role with its own password, an MD5 one", func(m map[string]*facts) {
			m["b1"].roles = map[string]role{"postgres": {true, "v"}, "own": {true, "a"}, "old": {true, "md5x"}, "group": {false, ""}}
			m["b2"].roles = map[string]role{"postgres": {true, "w"}, "own": {true, "b"}, "old": {true, "md5x"}, "group": {false, ""}}
		}, 0, []string{"b2 warning password", "b2 warning password", "b1 warning password", "b2 warning password"}},
		{"a role that may log in on one only", func(m map[string]*facts) {
			m["b2"].roles = map[string]role{"postgres": {true, "v"}, "x": {true, ""}}
			m["b1"].roles = map[string]role{"postgres": {true, "v"}, "x": {false, ""}}
		}, 1, []string{"b2 error role"}},
		{"home is down, the others are compared with each other", func(m map[string]*facts) {
			*m["b1"] = facts{target: m["b1"].target, err: syscall.ECONNREFUSED}
			setDatabase(m["b2-r1"], func(d *database) { d.Actual = "1" })
		}, 1, []string{"b1 error connection", "b2-r1 error collation_version"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := judged(t, x.change)
			expect(t, r, x.status, x.want...)
		})
	}
}

func TestReportText(t *testing.T) {
	r := judged(t, func(m map[string]*facts) {
		m["b1"].settings["wal_level"] = "replica"
		m["b1"].prepared = []prepared{{"it's", time.Hour}}
		*m["b2-r1"] = facts{target: m["b2-r1"].target, err: &net.DNSError{Err: "no such host", Name: "h2r"}}
	})
	const want = `SERVER  ROLE     ADDRESS   VERSION  RESULT
b1      primary  h1:5432   15.4     1 error, 1 warning
b1-r1   replica  h1r:5432  15.4     ok
b2      primary  h2:5432   15.4     ok
b2-r1   replica  h2r:5432  -        1 error

b1: error: wal_level: replica; logical is needed: moving a shard needs logical decoding
    ALTER SYSTEM SET wal_level = 'logical';  -- then restart the server

b1: warning: prepared_transaction: "it's" is prepared for 1h0m0s; it holds its locks and keeps VACUUM back
    if a running pleiad does not finish it and nobody else will: ROLLBACK PREPARED 'it''s';

b2-r1: error: connection: lookup h2r: no such host
    correct host in the configuration, or the name service
`
	if got := print(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if r.ExitStatus() != 1 {
		t.Errorf("exit status %d, want 1", r.ExitStatus())
	}
}
