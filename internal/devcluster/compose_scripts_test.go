package devcluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stage runs docker/'s scripts with the environment that docker-compose.yml gives them, on this
// machine's PostgreSQL: it plays the part of the official image's entry point.
type stage struct {
	t   *testing.T
	c   *Cluster // lends account, programs and the thread that starts children
	dir string
}

func newStage(t *testing.T) *stage {
	c := ForTest(t, Options{Backends: 1})
	st := &stage{t: t, c: c, dir: filepath.Join(c.Dir(), "stage")}
	if err := c.acct.own(st.dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"primary-init.sh", "standby.sh", "healthcheck.sh", "postgres_password"} {
		path := filepath.Join(st.dir, name)
		if err := os.WriteFile(path, []byte(readRepository(t, "docker/"+name)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

// server makes the value that queries one of the stage's servers.
func (st *stage) server(name string) *Server {
	st.t.Helper()
	port, err := choosePort(nil)
	if err != nil {
		st.t.Fatal(err)
	}
	return &Server{Name: name, Port: port, SocketDir: st.dir, DataDir: filepath.Join(st.dir, name),
		LogFile: filepath.Join(st.dir, name+".log"), c: st.c}
}

// command prepares a program of the service: its environment, with the container's paths and names
// replaced by this machine's.
func (st *stage) command(s, primary *Server, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = st.dir
	cmd.Env = append(childEnv(), "PGDATA="+s.DataDir, "PGHOST="+st.dir, "PGPORT="+strconv.Itoa(s.Port),
		"PATH="+st.c.BinDir()+":"+os.Getenv("PATH"))
	for key, value := range readCompose(st.t).Services[s.Name].Environment {
		value = strings.ReplaceAll(value, "/run/secrets", st.dir)
		if key == "PRIMARY_HOST" || key == "ROLES_HOST" {
			value = "127.0.0.1"
		}
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	if primary != nil {
		port := strconv.Itoa(primary.Port)
		cmd.Env = append(cmd.Env, "PRIMARY_PORT="+port, "ROLES_PORT="+port)
	}
	cmd.SysProcAttr = st.c.acct.sysProcAttr(syscall.SIGINT)
	return cmd
}

func (st *stage) run(cmd *exec.Cmd) {
	st.t.Helper()
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := st.c.spawn.start(cmd); err != nil {
		st.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		st.t.Fatalf("%s: %v\n%s", cmd.Path, err, &out)
	}
}

// start runs a server until the returned function stops it and waits for an answer.
func (st *stage) start(s *Server, cmd *exec.Cmd) (stop func()) {
	st.t.Helper()
	log, _, err := openLog(s.LogFile)
	if err != nil {
		st.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := st.c.spawn.start(cmd); err != nil {
		st.t.Fatal(err)
	}
	log.Close()
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	stop = func() {
		cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-p.exited:
		case <-time.After(20 * time.Second):
			st.t.Errorf("%s does not stop: %v", s.Name, killAll(s.DataDir))
		}
	}
	st.t.Cleanup(stop)
	if err := s.awaitAnswer(st.t.Context(), p, 0); err != nil {
		st.t.Fatal(err)
	}
	return stop
}

func (st *stage) listening(s *Server, addresses string) []string {
	return []string{"-c", "port=" + strconv.Itoa(s.Port), "-c", "listen_addresses=" + addresses,
		"-c", "unix_socket_directories=" + st.dir, "-c", "fsync=off", "-c", "shared_buffers=16MB"}
}

// makePrimary does what the official image's entry point does at the first start of a primary;
// first is the one that was made before, or nil.
func (st *stage) makePrimary(s, first *Server) {
	st.t.Helper()
	args := []string{"-D", s.DataDir, "-U", superuser, "--no-sync", "--pwfile=" + filepath.Join(st.dir, "postgres_password")}
	args = append(args, strings.Fields(readCompose(st.t).Services[s.Name].Environment["POSTGRES_INITDB_ARGS"])...)
	st.run(st.command(s, nil, st.c.bin.path("initdb"), args...))
	hba, err := os.OpenFile(filepath.Join(s.DataDir, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		st.t.Fatal(err)
	}
	_, err = hba.WriteString("host all all all scram-sha-256\n")
	if err := errors.Join(err, hba.Close()); err != nil {
		st.t.Fatal(err)
	}
	stop := st.start(s, st.command(s, nil, st.c.bin.path("postgres"), st.listening(s, "")...))
	st.run(st.command(s, first, filepath.Join(st.dir, "primary-init.sh")))
	stop()
	st.run(st.command(s, nil, "sh", "-c", completed(st.t, s.Name)))
}

// completed is the part of a primary's health check that says whether its first start went to the end.
func completed(t *testing.T, name string) string {
	t.Helper()
	test := readCompose(t).Services[name].Healthcheck.Test
	check, _, ok := strings.Cut(test[1], " && pg_isready ")
	if test[0] != "CMD-SHELL" || !ok {
		t.Fatalf("health check of %s: %q", name, test)
	}
	return strings.ReplaceAll(check, "$$", "$")
}

// Clients prove themselves to several servers at once only if the verifiers are the same.
func TestComposePrimariesHaveTheSamePasswords(t *testing.T) {
	st := newStage(t)
	var first *Server
	want := ""
	for _, name := range []string{"b1", "b2"} {
		s := st.server(name)
		st.makePrimary(s, first)
		st.start(s, st.command(s, nil, st.c.bin.path("postgres"), st.listening(s, "127.0.0.1")...))
		got := mustQuery(t, s, "SELECT string_agg(rolname || ' ' || rolpassword, ' ' ORDER BY rolname) FROM pg_authid WHERE rolpassword <> ''")
		if first == nil {
			first, want = s, got
		}
		if got != want || strings.Count(got, "SCRAM-SHA-256$") != 2 {
			t.Errorf("%s has %s; b1 has %s", name, got, want)
		}
	}
}

func TestComposeScriptsMakeAPrimaryAndItsStandby(t *testing.T) {
	st := newStage(t)
	primary, standby := st.server("b1"), st.server("b1-r1")
	st.makePrimary(primary, nil)
	st.start(primary, st.command(primary, nil, st.c.bin.path("postgres"), st.listening(primary, "127.0.0.1")...))
	for name, want := range map[string]string{"wal_level": "logical", "max_prepared_transactions": "200",
		"data_checksums": "on", "server_encoding": "UTF8"} {
		if got := mustQuery(t, primary, "SHOW "+name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if got := mustQuery(t, primary, "SELECT datcollate FROM pg_database WHERE datname = 'template1'"); got != "C.UTF-8" {
		t.Errorf("new databases collate as %q", got)
	}

	// Half a copy, as a container killed in the middle leaves it.
	if err := st.c.acct.own(standby.DataDir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(standby.DataDir, "PG_VERSION"), []byte("9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	startStandby := func() func() {
		return st.start(standby, st.command(standby, primary, filepath.Join(st.dir, "standby.sh"), st.listening(standby, "127.0.0.1")...))
	}
	stop := startStandby()
	if err := primary.waitStreaming(t.Context(), standby); err != nil {
		t.Fatal(err)
	}
	if got := mustQuery(t, primary, "SELECT slot_name FROM pg_replication_slots WHERE active"); got != "b1_r1" {
		t.Errorf("active slot %q", got)
	}
	hasRows := func(n int) func() bool {
		return func() bool {
			rows, err := standby.query(t.Context(), "SELECT count(*) FROM t")
			return err == nil && rows[0][0] == strconv.Itoa(n)
		}
	}
	mustQuery(t, primary, "CREATE TABLE t AS SELECT generate_series(1, 100)")
	eventually(t, "100 rows on the standby", hasRows(100))

	stop()
	kept := filepath.Join(standby.DataDir, "kept")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	mustQuery(t, primary, "INSERT INTO t SELECT generate_series(1, 100)")
	startStandby()
	eventually(t, "200 rows on the standby", hasRows(200))
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("the standby was copied again: %v", err)
	}

	check := func(port int) error {
		cmd := st.command(primary, nil, filepath.Join(st.dir, "healthcheck.sh"))
		cmd.Env = append(cmd.Env, fmt.Sprintf("PORT=%d", port))
		if err := st.c.spawn.start(cmd); err != nil {
			t.Fatal(err)
		}
		return cmd.Wait()
	}
	if err := check(primary.Port); err != nil {
		t.Errorf("health check of a living server: %v", err)
	}
	mute, err := net.Listen("tcp4", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if check(mute.Addr().(*net.TCPAddr).Port) == nil {
		t.Error("health check of a mute server passed")
	}
}
