package executor

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// server is one PostgreSQL that the tests share, started when the first of them needs it.
var server struct {
	once    sync.Once
	cluster *devcluster.Cluster
	err     error
}

func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if server.cluster != nil {
		if err := server.cluster.Stop(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	fuzzing := flag.Lookup("test.fuzz").Value.String() != "" // which has goroutines of its own
	if code == 0 && !fuzzing && !settled(before) {
		stacks := make([]byte, 1<<20)
		fmt.Printf("leaked goroutines: %d → %d\n%s\n", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

// settled allows what ends by itself a moment to end.
func settled(goroutines int) bool {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if runtime.NumGoroutine() <= goroutines {
			return true
		}
	}
	return false
}

func postgres(t testing.TB) *pgx.Conn {
	t.Helper()
	server.once.Do(func() {
		server.cluster, server.err = devcluster.Start(context.Background(), devcluster.Options{Backends: 1, Fast: true})
	})
	if server.err != nil {
		t.Fatal(server.err)
	}
	c := server.cluster
	conn, err := pgx.Connect(t.Context(), c.DSN(c.Primaries()[0], "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
