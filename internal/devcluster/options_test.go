package devcluster

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestShapeMayGrowAndNotShrink(t *testing.T) {
	dir := reachableDir(t)
	c := mustStart(t, Options{Dir: dir, Backends: 1, Fast: true})
	mustQuery(t, c.Server("b1"), "CREATE TABLE t AS SELECT 7 AS v")
	mustStop(t, c)

	c = mustStart(t, Options{Dir: dir, Backends: 2, Replicas: 1, Fast: true})
	if len(c.Primaries()) != 2 || len(c.Replicas("b1")) != 1 || len(c.Replicas("b2")) != 1 {
		t.Fatalf("grown to %d servers", len(c.Servers()))
	}
	if got := mustQuery(t, c.Server("b1-r1"), "SELECT v FROM t"); got != "7" {
		t.Errorf("the new standby has %q", got)
	}
	mustStop(t, c)

	for _, o := range []Options{{Backends: 1, Replicas: 1}, {Backends: 2}} {
		o.Dir = dir
		if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--reset") {
			t.Errorf("shrinking to %d/%d: %v", o.Backends, o.Replicas, err)
		}
	}
	c = mustStart(t, Options{Dir: dir, Backends: 1, Fast: true, Reset: true})
	if got := mustQuery(t, c.Server("b1"), "SELECT to_regclass('t')"); got != "" {
		t.Errorf("reset kept table %s", got)
	}
	mustStop(t, c)
}

func TestEndOfContextStopsEverything(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := Start(ctx, Options{Backends: 1, Replicas: 1, Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-c.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("still running")
	}
	if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
	if err := c.Server("b1").Start(context.Background()); err == nil {
		t.Error("a server started after the end")
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	dir := reachableDir(t)
	_, err := Start(t.Context(), Options{Dir: dir, Backends: 2, Fast: true,
		ExtraConf: map[string]string{"max_connections": "many"}})
	if err == nil || !strings.Contains(err.Error(), `"max_connections"`) {
		t.Fatalf("got %v", err)
	}
	if gone, err := waitGone(dir, 0); !gone || err != nil {
		t.Errorf("servers remain: %v", err)
	}
	c := mustStart(t, Options{Dir: dir, Backends: 2, Fast: true})
	mustStop(t, c)

	for _, o := range []Options{{}, {Backends: 1, Replicas: -1}, {Backends: 1, ExtraConf: map[string]string{"a b": ""}}} {
		if _, err := Start(t.Context(), o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}

func TestTakenPortIsReplaced(t *testing.T) {
	dir := reachableDir(t)
	c := mustStart(t, Options{Dir: dir, Backends: 1, Replicas: 1, Fast: true})
	port := c.Server("b1").Port
	mustStop(t, c)
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c = mustStart(t, Options{Dir: dir, Backends: 1, Replicas: 1, Fast: true}) // the standby follows the new port
	if c.Server("b1").Port == port {
		t.Errorf("port %d is used twice", port)
	}
	mustStop(t, c)
}

func TestTCPAsksForAPasswordAndHBALinesComeFirst(t *testing.T) {
	c := ForTest(t, Options{Backends: 1, ExtraConf: map[string]string{"work_mem": "5MB", "search_path": `public, "it's"`},
		HBA: []string{"host all guest 127.0.0.1/32 trust"}})
	s := c.Server("b1")
	mustQuery(t, s, "CREATE ROLE guest LOGIN; CREATE ROLE member LOGIN PASSWORD 'right'")
	connect := func(user, password string) error {
		conn, err := pgconn.Connect(t.Context(), "postgres://"+user+":"+password+"@"+s.Addr()+"/postgres")
		if err == nil {
			conn.Close(t.Context())
		}
		return err
	}
	for _, tc := range []struct {
		user, password string
		in             bool
	}{{"guest", "", true}, {"member", "right", true}, {"member", "wrong", false}, {c.SuperUser(), "", false}} {
		if err := connect(tc.user, tc.password); (err == nil) != tc.in {
			t.Errorf("%s/%s: %v", tc.user, tc.password, err)
		}
	}
	if got := mustQuery(t, s, "SHOW work_mem") + mustQuery(t, s, "SHOW search_path"); got != `5MBpublic, "it's"` {
		t.Errorf("extra configuration: %q", got)
	}
	st, err := os.Stat(s.SocketDir)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("socket directory: %v, %v", st.Mode(), err)
	}
}

func TestDeepDirectoryGetsAShortSocketPathThatStays(t *testing.T) {
	dir := filepath.Join(reachableDir(t), strings.Repeat("deep/", 20))
	o := Options{Dir: dir, Backends: 1, Fast: true}
	c := mustStart(t, o)
	sockets := c.Server("b1").SocketDir
	if within(sockets, c.Dir()) || len(sockets)+len(longestSocketName) > socketPathLimit {
		t.Errorf("sockets in %s", sockets)
	}
	mustStop(t, c)
	if _, err := os.Stat(sockets); !os.IsNotExist(err) {
		t.Errorf("socket directory is left: %v", err)
	}
	c = mustStart(t, o)
	if got := c.Server("b1").SocketDir; got != sockets {
		t.Errorf("sockets moved from %s to %s", sockets, got)
	}
	mustStop(t, c)
}

// As root, data goes elsewhere if the servers' user cannot reach Dir; other users stay where asked.
func TestUnreachableDirectory(t *testing.T) {
	private := t.TempDir() // only for its owner
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	asked := filepath.Join(private, "dev")
	o := Options{Dir: asked, Backends: 1, Fast: true, FallbackDir: reachableDir(t)}
	c := mustStart(t, o)
	mustQuery(t, c.Server("b1"), "SELECT 1")
	want := asked
	if os.Geteuid() == 0 {
		want = filepath.Join(o.FallbackDir, fallbackName(asked))
	}
	if c.Dir() != want {
		t.Errorf("data is in %s, not in %s", c.Dir(), want)
	}
	mustStop(t, c)
	if os.Geteuid() == 0 {
		o.FallbackDir = filepath.Join(private, "too")
		if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), private) {
			t.Errorf("got %v", err)
		}
	}
}

func TestProgramsOfAnotherVersionAreRefused(t *testing.T) {
	if err := (binaries{dir: "/x", major: 14}).usable(0); err == nil {
		t.Error("14 is accepted")
	}
	if err := (binaries{dir: "/x", major: 16}).usable(15); err == nil || !strings.Contains(err.Error(), "--reset") {
		t.Errorf("16 on data of 15: %v", err)
	}
	if _, err := findBinaries(t.Context(), t.TempDir(), 0); err == nil {
		t.Error("an empty directory is accepted")
	}
	dir, major, err := FindBinaries(t.Context(), "")
	if err != nil || major < oldestMajor || !filepath.IsAbs(dir) {
		t.Errorf("found %q, %d, %v", dir, major, err)
	}
}
