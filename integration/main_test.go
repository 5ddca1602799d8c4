package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad/pleiad/internal/devcluster"
)

// update rewrites the lists of refused statements in testdata/sql to what the run saw.
var update = flag.Bool("update", false, "rewrite testdata to what this run saw")

// suite is what all tests share; TestMain makes it before and takes it down after them.
var suite struct {
	dir    string // everything temporary
	binary string // the program under test; "" when the target is PostgreSQL
	plain  *side  // one PostgreSQL with all the data: what is right
	target *side  // what is judged
	dev    *program
	refs   *devcluster.Cluster // the plain server
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runSuite(m))
}

func runSuite(m *testing.M) int {
	stop, err := startSuite()
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
		}
		return 1
	}
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = max(code, 1)
	}
	return code
}

// startSuite returns the way to stop whatever was started, also when it fails.
func startSuite() (stop func() error, err error) {
	suite.dir, err = os.MkdirTemp(os.Getenv("PLEIAD_TEST_DIR"), "pleiad-integration-")
	if err != nil {
		return func() error { return nil }, fmt.Errorf("make temporary directory: %w", err)
	}
	// The servers' unprivileged user must pass through it.
	if err := os.Chmod(suite.dir, 0o755); err != nil {
		return stopSuite, fmt.Errorf("open temporary directory: %w", err)
	}
	var wg sync.WaitGroup
	var plainErr, targetErr error
	wg.Go(func() { plainErr = startPlain() })
	if !standIn() {
		wg.Go(func() { targetErr = startTarget() })
	}
	wg.Wait()
	if err := errors.Join(plainErr, targetErr); err != nil {
		return stopSuite, err
	}
	return stopSuite, nil
}

// standIn says that a second PostgreSQL takes the place of the program.
func standIn() bool { return os.Getenv("PLEIAD_TEST_TARGET") == "postgres" }

func startPlain() error {
	servers := 1
	if standIn() {
		servers = 2
	}
	cluster, err := devcluster.Start(context.Background(), devcluster.Options{
		Dir: filepath.Join(suite.dir, "plain"), Backends: servers, Fast: true,
		HBA: []string{"host all all 127.0.0.1/32 trust"},
	})
	if err != nil {
		return fmt.Errorf("start plain PostgreSQL: %w", err)
	}
	suite.refs = cluster
	for i, name := range []string{"PostgreSQL", "second PostgreSQL"}[:servers] {
		s := &side{
			name: name, addr: cluster.Primaries()[i].Addr(), user: cluster.SuperUser(),
			database: "postgres", binDir: cluster.BinDir(),
		}
		if i == 0 {
			suite.plain = s
		} else {
			suite.target = s
		}
	}
	return nil
}

func startTarget() error {
	bin, err := buildProgram(filepath.Join(suite.dir, "pleiad"))
	if err != nil {
		return err
	}
	suite.binary = bin
	dev, err := startProgram(programOptions{
		name: "dev", binary: bin,
		args: []string{
			"dev", "--backends", "3", "--replicas", "0",
			"--dir", filepath.Join(suite.dir, "dev"), "--listen", "127.0.0.1:0",
		},
	})
	if err != nil {
		return err
	}
	suite.dev = dev
	suite.target, err = dev.side()
	return err
}

// buildProgram builds the program once for all tests, so that what is tested is what is in the tree.
func buildProgram(to string) (string, error) {
	if given := os.Getenv("PLEIAD_TEST_BINARY"); given != "" {
		return filepath.Abs(given)
	}
	args := []string{"build", "-o", to}
	if raced() {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/pleiad")...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return to, nil
}

// stopSuite ends what startSuite began and says what went wrong meanwhile: panics, data races,
// servers or descriptors left behind.
func stopSuite() error {
	var errs []error
	if suite.dev != nil {
		errs = append(errs, suite.dev.stop(), suite.dev.complaints())
		errs = append(errs, leftServers(suite.dir, time.Now().Add(10*time.Second)))
	}
	if serveCluster.cluster != nil {
		errs = append(errs, serveCluster.cluster.Stop())
	}
	if replicaCluster.cluster != nil {
		errs = append(errs, replicaCluster.cluster.Stop())
	}
	if suite.refs != nil {
		errs = append(errs, suite.refs.Stop())
	}
	errs = append(errs, os.RemoveAll(suite.dir))
	return errors.Join(errs...)
}

// leftServers waits until no postgres process works below dir.
func leftServers(dir string, until time.Time) error {
	for {
		var left []string
		procs, err := filepath.Glob("/proc/[0-9]*/cwd")
		if err != nil {
			return fmt.Errorf("list processes: %w", err)
		}
		for _, link := range procs {
			cwd, err := os.Readlink(link)
			if err == nil && strings.HasPrefix(cwd, filepath.Join(dir, "dev")) {
				left = append(left, filepath.Base(filepath.Dir(link)))
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("the program left servers behind: processes %s", strings.Join(left, " "))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
