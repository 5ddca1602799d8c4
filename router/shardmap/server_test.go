package shardmap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The tests compare with a PostgreSQL of their own: made on first use, listening on a Unix socket in a
// private directory only, removed at the end.
var server struct {
	once sync.Once
	err  error
	dir  string
	cmd  *exec.Cmd
}

func TestMain(m *testing.M) {
	code := m.Run()
	stopServer()
	os.Exit(code)
}

// connect opens a connection that lives as long as the test.
func connect(t testing.TB) *pgconn.PgConn {
	t.Helper()
	server.once.Do(func() { server.err = startServer() })
	if server.err != nil {
		t.Fatalf("start PostgreSQL: %v", server.err)
	}
	conn, err := pgconn.Connect(t.Context(), dsn())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func dsn() string { return "host=" + server.dir + " user=postgres dbname=postgres sslmode=disable" }

func binDir() (string, error) {
	if dir := os.Getenv("PLEIAD_PG_BIN"); dir != "" {
		return dir, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	major := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	sort.Slice(found, func(i, j int) bool { return major(found[i]) > major(found[j]) })
	if len(found) > 0 {
		return filepath.Dir(found[0]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("find server binaries: %w", err)
	}
	return filepath.Dir(path), nil
}

// unprivileged is who the server runs as: nil is the current user, else postgres or nobody.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func startServer() error {
	bin, err := binDir()
	if err != nil {
		return err
	}
	cred, err := unprivileged()
	if err != nil {
		return err
	}
	if server.dir, err = os.MkdirTemp("", "shardmap"); err != nil {
		return err
	}
	if cred != nil {
		if err := os.Chown(server.dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(server.dir, "data")
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir = server.dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
		return cmd
	}
	initdb := run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("run initdb: %w\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(server.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := run("postgres", "-D", data, "-k", server.dir, "-c", "listen_addresses=", "-c", "fsync=off")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT // also when the tests are killed
	if err := cmd.Start(); err != nil {
		return err
	}
	server.cmd = cmd
	return waitReady()
}

func waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		conn, err := pgconn.Connect(ctx, dsn())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(server.dir, "log"))
			return errors.Join(err, errors.New(string(log)))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func stopServer() {
	if server.cmd != nil {
		// SIGINT is PostgreSQL's fast shutdown.
		_ = server.cmd.Process.Signal(syscall.SIGINT)
		_ = server.cmd.Wait()
	}
	if server.dir != "" {
		_ = os.RemoveAll(server.dir)
	}
}

func exec1(t testing.TB, conn *pgconn.PgConn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// accepts asks PostgreSQL whether remainder of modulus accepts the values in table's key. Each value is a
// parameter of its own type (the column's where unknown), in its own format: PostgreSQL's input functions
// read it.
func accepts(t testing.TB, conn *pgconn.PgConn, stmt string, remainder uint32, vals []Value) (bool, error) {
	t.Helper()
	params := [][]byte{[]byte(strconv.Itoa(int(remainder)))}
	formats := []int16{0}
	for _, v := range vals {
		data := v.Data
		if v.Null {
			data = nil
		} else if data == nil {
			data = []byte{}
		}
		params = append(params, data)
		formats = append(formats, int16(v.Format))
	}
	res := conn.ExecPrepared(t.Context(), stmt, params, formats, nil).Read()
	if res.Err != nil {
		var pg *pgconn.PgError
		if !errors.As(res.Err, &pg) {
			t.Fatal(res.Err)
		}
		return false, res.Err
	}
	return string(res.Rows[0][0]) == "t", nil
}

// testModulus is large so that a wrong hash agrees by chance once in 65,521 times.
const testModulus = 65521

// prepareKey makes a table partitioned by hash over these columns ("type" or "type opclass") and returns the
// name of a statement for accepts.
func prepareKey(t testing.TB, conn *pgconn.PgConn, name string, types []string, opclasses []string, oids []uint32) string {
	t.Helper()
	cols, key, args := "", "", ""
	for i, typ := range types {
		sep := ""
		if i > 0 {
			sep = ", "
		}
		cols += fmt.Sprintf("%sk%d %s", sep, i, typ)
		key += fmt.Sprintf("%sk%d %s", sep, i, opclasses[i])
		args += fmt.Sprintf(", $%d::%s", i+2, typ)
	}
	exec1(t, conn, fmt.Sprintf("CREATE TEMP TABLE %s (%s) PARTITION BY HASH (%s)", name, cols, key))
	sql := fmt.Sprintf("SELECT satisfies_hash_partition('%s'::regclass, %d, $1::int%s)", name, testModulus, args)
	if _, err := conn.Prepare(t.Context(), name, sql, append([]uint32{23}, oids...)); err != nil {
		t.Fatal(err)
	}
	return name
}
