package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// poolSize is what both proxies may open to a server; pleiad's default.
const poolSize = 20

// database and role that the direct connections and PgBouncer use, made on one server behind pleiad's back.
const (
	benchDatabase = "bench_direct"
	localDatabase = "bench_local" // pleiad's, with local tables
	benchRole     = "bench"
	benchPassword = "bench"
)

// running is a bench with everything started.
type running struct {
	o          options
	dir        string
	pleiad     *exec.Cmd
	pleiadURI  string
	binary     string    // of pleiad
	replicated *exec.Cmd // a second pleiad, with a replica
	server     server    // the one that has all rows as well
	bouncer    *exec.Cmd
	targets    []*target
}

// target is one way to the data.
type target struct {
	name string
	// dsn depends on pgbench's mode, because PgBouncer before 1.21 cannot keep prepared statements when
	// pooling transactions.
	dsn func(mode string) string
	pid int // of the proxy; 0: none
}

func startBench(ctx context.Context, o options) (*running, error) {
	b := &running{o: o}
	var err error
	if b.dir, err = os.MkdirTemp(o.dir, "pleiad-bench-"); err != nil {
		return b, fmt.Errorf("make directory: %w", err)
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { // the servers' unprivileged user passes through
		return b, fmt.Errorf("open directory: %w", err)
	}
	if err := b.startPleiad(ctx); err != nil {
		return b, err
	}
	if b.server, err = b.firstServer(ctx); err != nil {
		return b, err
	}
	server := b.server
	if err := b.makeDirect(ctx, server); err != nil {
		return b, err
	}
	if err := b.makeSharded(ctx); err != nil {
		return b, err
	}
	local, err := b.makeLocal(ctx)
	if err != nil {
		return b, err
	}
	for _, name := range o.targets {
		switch name {
		case "postgres":
			dsn := fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", benchRole, benchPassword, server.tcp, benchDatabase)
			b.targets = append(b.targets, &target{name: name, dsn: func(string) string { return dsn }})
		case "pgbouncer":
			t, err := b.startBouncer(ctx, server)
			if err != nil {
				return b, err
			}
			b.targets = append(b.targets, t)
		case "pleiad":
			b.targets = append(b.targets, &target{
				name: name, pid: b.pleiad.Process.Pid, dsn: func(string) string { return b.pleiadURI },
			})
		case "pleiad-local":
			b.targets = append(b.targets, &target{
				name: name, pid: b.pleiad.Process.Pid, dsn: func(string) string { return local },
			})
		}
	}
	return b, nil
}

func (b *running) startPleiad(ctx context.Context) error {
	binary := b.o.binary
	if binary == "" {
		binary = filepath.Join(b.dir, "pleiad")
		build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/pleiad")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build pleiad: %w", err)
		}
	}
	b.binary = binary
	var err error
	b.pleiad, b.pleiadURI, err = b.launch("dev", "--backends", "3", "--replicas", "0")
	return err
}

// launch runs `pleiad dev` in a directory of its own until it is ready. The command is returned also where that failed
// after it began.
func (b *running) launch(name string, args ...string) (cmd *exec.Cmd, uri string, err error) {
	log, err := os.Create(filepath.Join(b.dir, name+".log"))
	if err != nil {
		return nil, "", fmt.Errorf("make log: %w", err)
	}
	defer log.Close()
	args = append([]string{"dev", "--dir", filepath.Join(b.dir, name), "--listen", "127.0.0.1:0"}, args...)
	cmd = exec.Command(b.binary, args...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", fmt.Errorf("start pleiad: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start pleiad: %w", err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	uri, ok := strings.CutPrefix(strings.TrimSpace(line), "pleiad is ready: ")
	if err != nil || !ok {
		said, _ := os.ReadFile(log.Name())
		return cmd, "", fmt.Errorf("start pleiad: it said %q, not that it is ready; its log:\n%s", line, said)
	}
	return cmd, uri, nil
}

// server is one PostgreSQL behind pleiad.
type server struct {
	socket string // directory
	port   string
	tcp    string
}

// firstServer finds the server that the direct connections use.
func (b *running) firstServer(ctx context.Context) (server, error) {
	c, err := pgx.Connect(ctx, b.pleiadURI)
	if err != nil {
		return server{}, fmt.Errorf("connect to pleiad: %w", err)
	}
	defer c.Close(ctx)
	var s server
	err = c.QueryRow(ctx, "select host, port::text from pleiad.backends where role = 'primary' order by name limit 1").Scan(&s.socket, &s.port)
	if err != nil {
		return server{}, fmt.Errorf("ask pleiad for its servers: %w", err)
	}
	if !strings.HasPrefix(s.socket, "/") {
		return server{}, fmt.Errorf("pleiad reaches its servers at %s, want a socket directory", s.socket)
	}
	s.tcp = net.JoinHostPort("127.0.0.1", s.port)
	return s, nil
}

// startBouncer runs PgBouncer as the user who owns the servers' sockets.
func (b *running) startBouncer(ctx context.Context, s server) (*target, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	dir := filepath.Join(b.dir, "pgbouncer")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	database := fmt.Sprintf("host=%s port=%s dbname=%s user=%s", s.socket, s.port, benchDatabase, benchRole)
	config := fmt.Sprintf(`[databases]
transaction = %s pool_mode=transaction pool_size=%d
session = %s pool_mode=session pool_size=200
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
max_client_conn = 10000
log_connections = 0
log_disconnections = 0
log_pooler_errors = 1
stats_period = 600
ignore_startup_parameters = extra_float_digits
`, database, poolSize, database, port, filepath.Join(dir, "users"))
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte("\""+benchRole+"\" \"\"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ini"), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	b.bouncer = exec.Command(program, "-q", filepath.Join(dir, "ini"))
	b.bouncer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if b.bouncer.SysProcAttr.Credential, err = unprivileged(s.socket, dir); err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	if err := b.bouncer.Start(); err != nil {
		b.bouncer = nil
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	t := &target{name: "pgbouncer", pid: b.bouncer.Process.Pid, dsn: func(mode string) string {
		pool := "transaction"
		if mode == "prepared" {
			pool = "session"
		}
		return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", benchRole, port, pool)
	}}
	return t, awaitAnswer(ctx, t.dsn("simple"))
}

// unprivileged is the owner of the socket directory when this process is root; dir becomes his.
func unprivileged(socket, dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	st, err := os.Stat(socket)
	if err != nil {
		return nil, fmt.Errorf("look at the servers' sockets: %w", err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || sys.Uid == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, fmt.Errorf("find an unprivileged user: %w", err)
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errU, errG); err != nil {
			return nil, fmt.Errorf("find an unprivileged user: %w", err)
		}
		sys = &syscall.Stat_t{Uid: uint32(uid), Gid: uint32(gid)}
	}
	for _, path := range []string{dir, filepath.Join(dir, "users"), filepath.Join(dir, "ini")} {
		if err := os.Chown(path, int(sys.Uid), int(sys.Gid)); err != nil {
			return nil, fmt.Errorf("hand directory over: %w", err)
		}
	}
	return &syscall.Credential{Uid: sys.Uid, Gid: sys.Gid}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func awaitAnswer(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := pgconn.Connect(ctx, dsn)
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for an answer: %w", err)
		case <-tick.C:
		}
	}
}

// stop ends what was started; it works on a bench that started in part.
func (b *running) stop() error {
	var errs []error
	for _, p := range []*exec.Cmd{b.bouncer, b.pleiad, b.replicated} {
		if p == nil {
			continue
		}
		if err := p.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("stop %s: %w", filepath.Base(p.Path), err))
			continue
		}
		// PgBouncer exits with 1 after SIGTERM, and a measured program has no more to say.
		kill := time.AfterFunc(45*time.Second, func() { p.Process.Kill() })
		if _, err := p.Process.Wait(); err != nil && !errors.Is(err, io.EOF) {
			errs = append(errs, fmt.Errorf("wait for %s: %w", filepath.Base(p.Path), err))
		}
		kill.Stop()
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}
