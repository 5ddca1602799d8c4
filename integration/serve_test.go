package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// serveCluster is three servers for the tests that configure, break or kill a proxy; those run one after
// another, never beside each other.
var serveCluster struct {
	once    sync.Once
	cluster *devcluster.Cluster
	err     error
}

// served is a `pleiad serve` with a configuration of the test's own.
type served struct {
	*side
	cluster *devcluster.Cluster
	program *program
	config  string // path
	env     []string
}

// sharedServers starts the three servers when they are first needed.
func sharedServers(t *testing.T) *devcluster.Cluster {
	t.Helper()
	needPleiad(t)
	serveCluster.once.Do(func() {
		serveCluster.cluster, serveCluster.err = devcluster.Start(context.Background(), devcluster.Options{
			Dir: filepath.Join(suite.dir, "serve"), Backends: 3, Fast: true,
		})
	})
	if serveCluster.err != nil {
		t.Fatal(serveCluster.err)
	}
	return serveCluster.cluster
}

// serve starts a proxy on the shared three servers. Settings are lines of YAML put into the configuration.
func serve(t *testing.T, settings string) *served {
	t.Helper()
	return serveOn(t, sharedServers(t), settings)
}

// serveOn starts a proxy on servers of the test's own.
func serveOn(t *testing.T, cluster *devcluster.Cluster, settings string) *served {
	t.Helper()
	s := &served{cluster: cluster, config: filepath.Join(t.TempDir(), "config.yaml")}
	s.side = &side{name: "pleiad serve", user: s.cluster.SuperUser(), database: "postgres", pleiad: true}
	s.addr = freeAddress(t)
	s.writeConfig(t, settings)
	s.start(t)
	t.Cleanup(func() {
		if err := errors.Join(s.program.stop(), s.program.complaints()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *served) writeConfig(t *testing.T, settings string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: integration\nlisten: %s\nhome: b1\nauth:\n  method: trust\ncredentials:\n  user: %s\nbackends:\n", s.addr, s.user)
	for _, server := range s.cluster.Primaries() {
		fmt.Fprintf(&b, "  - name: %s\n    primary: {host: %s, port: %d}\n", server.Name, server.SocketDir, server.Port)
	}
	b.WriteString(settings)
	if err := os.WriteFile(s.config, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// launch runs the program.
func (s *served) launch(t *testing.T) {
	t.Helper()
	p, err := startProgram(programOptions{
		name: "serve", binary: suite.binary, args: []string{"serve", "--config", s.config}, env: s.env, noReady: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.program, s.pid = p, p.cmd.Process.Pid
	p.showLog(t)
}

// start runs the program and waits until it answers.
func (s *served) start(t *testing.T) {
	t.Helper()
	s.launch(t)
	p := s.program
	deadline := time.Now().Add(60 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		c, err := pgconn.Connect(ctx, s.dsn(s.database))
		if err == nil {
			_, err = c.Exec(ctx, "select 1").ReadAll()
			c.Close(ctx)
		}
		cancel()
		if err == nil {
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("serve ended: %v\n%s", p.err, p.stderr.tail(40))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("serve does not answer: %v\n%s", err, p.stderr.tail(40))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// server is a backend asked directly.
func (s *served) server(name string) *side {
	d := s.cluster.Server(name)
	return &side{name: name, user: s.user, database: "postgres", socket: d.SocketDir, addr: fmt.Sprint("socket:", d.Port)}
}

func (s *served) servers() []*side {
	var all []*side
	for _, d := range s.cluster.Primaries() {
		all = append(all, s.server(d.Name))
	}
	return all
}

// freeAddress is a loopback address that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// failure runs SQL that must fail and returns the error.
func (s *side) failure(t *testing.T, c *pgconn.PgConn, sql string) *pgconn.PgError {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	_, err := c.Exec(ctx, sql).ReadAll()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Fatalf("%s: %s: %v, want an error of the server", s.name, brief(sql), err)
	}
	return pg
}
