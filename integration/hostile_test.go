package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// relay stands between the proxy and one server. It passes bytes on, or answers by itself.
type relay struct {
	net.Listener
	target string // path of the server's socket

	mu     sync.Mutex
	answer func(net.Conn) // nil: pass on
	open   map[net.Conn]struct{}
	wg     sync.WaitGroup
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, target: target, open: map[net.Conn]struct{}{}}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		l.Close()
		r.become(nil)
		r.wg.Wait()
	})
	return r
}

func (r *relay) accept() {
	for {
		c, err := r.Accept()
		if err != nil {
			return // closed
		}
		r.mu.Lock()
		answer := r.answer
		r.open[c] = struct{}{}
		r.mu.Unlock()
		r.wg.Go(func() {
			defer r.end(c)
			if answer != nil {
				answer(c)
				return
			}
			r.pass(c)
		})
	}
}

func (r *relay) end(c net.Conn) {
	r.mu.Lock()
	delete(r.open, c)
	r.mu.Unlock()
	c.Close()
}

func (r *relay) pass(c net.Conn) {
	server, err := net.Dial("unix", r.target)
	if err != nil {
		return
	}
	r.wg.Go(func() {
		io.Copy(server, c) // the end of either side is the end of both
		server.Close()
	})
	io.Copy(c, server)
}

// become cuts every connection and answers new ones this way.
func (r *relay) become(answer func(net.Conn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
	for c := range r.open {
		c.Close()
	}
}

// serveRelayed is serve with a relay in front of b3.
func serveRelayed(t *testing.T, settings string) (*served, *relay) {
	t.Helper()
	d := sharedServers(t).Server("b3")
	r := newRelay(t, filepath.Join(d.SocketDir, fmt.Sprintf(".s.PGSQL.%d", d.Port)))
	s := serve(t, settings)
	raw, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	direct := fmt.Sprintf("host: %s, port: %d}", d.SocketDir, d.Port)
	_, port, err := net.SplitHostPort(r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	relayed := strings.Replace(string(raw), direct, "host: 127.0.0.1, port: "+port+"}", 1)
	if relayed == string(raw) {
		t.Fatalf("%q is not in the configuration", direct)
	}
	if err := errors.Join(s.program.stop(), os.WriteFile(s.config, []byte(relayed), 0o644)); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	return s, r
}

// lengthFrame is a message with a length that need not be its own.
func lengthFrame(kind byte, length uint32, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, length), body...)
}

var (
	authOK     = frame('R', []byte{0, 0, 0, 0})
	readyIdle  = frame('Z', []byte{'I'})
	noSQLSTATE = frame('E', []byte("Mnobody knows\x00\x00"))
	oneColumn  = frame('T', append([]byte{0, 1, 'v', 0}, make([]byte, 18)...))
)

// says answers whatever the client sends with these bytes and ends.
func says(parts ...[]byte) func(net.Conn) {
	return func(c net.Conn) {
		c.Read(make([]byte, 10_000))
		for _, p := range parts {
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}
}

// forever says one thing until the connection is cut.
func forever(first, again []byte) func(net.Conn) {
	return func(c net.Conn) {
		says(first)(c)
		for many := []byte(strings.Repeat(string(again), 100)); ; {
			if _, err := c.Write(many); err != nil {
				return
			}
		}
	}
}

// greeted logs the client in and answers each thing it sends with these bytes.
func greeted(parts ...[]byte) func(net.Conn) {
	return func(c net.Conn) {
		says(authOK, frame('S', []byte("server_version\x0015.4\x00")), frame('K', make([]byte, 8)), readyIdle)(c)
		says(parts...)(c)
	}
}

var hostileAnswers = map[string]func(net.Conn){
	"noise":                          says([]byte(strings.Repeat("\xff\x00\x80nonsense", 400))),
	"nothing and an end":             says(),
	"silence":                        func(c net.Conn) { io.Copy(io.Discard, c) },
	"negative length in the login":   says(lengthFrame('R', 0xfffffffe, "")),
	"length below four":              says(lengthFrame('R', 3, "")),
	"huge length in the login":       says(lengthFrame('R', 0x7fffffff, "abc")),
	"huge length of an error":        says(lengthFrame('E', 0x7fffffff, strings.Repeat("x", 100_000))),
	"huge length of a setting":       says(authOK, lengthFrame('S', 0x3fffffff, "abc")),
	"endless settings":               forever(authOK, frame('S', []byte("name\x00value\x00"))),
	"endless notices":                forever(authOK, frame('N', []byte("Mnotice\x00\x00"))),
	"an error without SQLSTATE":      says(noSQLSTATE),
	"an error without fields":        says(frame('E', []byte{0})),
	"an error without a body":        says(frame('E', nil)),
	"ready before authentication":    says(readyIdle),
	"an authentication nobody knows": says(frame('R', []byte{0, 0, 0, 99})),
	"rows before authentication":     says(frame('D', []byte{0, 1, 0, 0, 0, 1, 'x'})),
	"noise after the login":          greeted([]byte(strings.Repeat("\xff\x00\x80nonsense", 400))),
	"negative length of a row":       greeted(oneColumn, lengthFrame('D', 0xffffffff, "")),
	"huge length of a row":           greeted(oneColumn, lengthFrame('D', 0x7fffffff, "abc")),
	"a type nobody knows":            greeted(frame('!', []byte("abc")), readyIdle),
	"a status nobody knows":          greeted(frame('Z', []byte{'?'})),
	"ready without a body":           greeted(frame('Z', nil)),
	"parameters too many":            greeted(frame('1', nil), frame('t', []byte{0xff, 0xff}), readyIdle),
}

// relayedAnswers are well framed and wrong inside. The bytes of results and errors are passed on as they come: it is
// for the client to judge them, and for pleiad to live on.
var relayedAnswers = map[string]func(net.Conn){
	"a row of negative fields":     greeted(oneColumn, frame('D', []byte{0xff, 0xff, 0, 0, 0, 1, 'x'}), readyIdle),
	"a field longer than the row":  greeted(oneColumn, frame('D', []byte{0, 1, 0x7f, 0, 0, 1, 'x'}), readyIdle),
	"ready again and again":        greeted(readyIdle, readyIdle, readyIdle, readyIdle, readyIdle, readyIdle),
	"no SQLSTATE after the login":  greeted(noSQLSTATE, readyIdle),
	"a length of columns too many": greeted(frame('T', []byte{0xff, 0xff}), readyIdle),
	"a tag without an end":         greeted(frame('C', []byte("SELECT 1")), readyIdle),
}

// TestHostileBackend puts nonsense in the place of a server: statements on it fail, nobody else is hurt, and all is
// well when the server is back.
func TestHostileBackend(t *testing.T) {
	s, r := serveRelayed(t, "timeouts:\n  connect: 500ms\n  query: 3s\n")
	db, keyOn := faultTable(t, s)
	t.Cleanup(func() { r.become(nil) })
	c := s.conn(t, db)
	s.text(t, c, "select k from f order by k")
	peak, stop := watchRSS(t, s.pid)
	defer stop()
	statements := []string{
		fmt.Sprintf("select v from f where k = %d", keyOn["b3"]), "select v from f", "select v from f order by k",
		"update f set v = 'hostile'", fmt.Sprintf("begin; update f set v = 'hostile' where k in (%d, %d); commit", keyOn["b1"], keyOn["b3"]),
	}
	for _, answers := range []map[string]func(net.Conn){hostileAnswers, relayedAnswers} {
		for name, answer := range answers {
			r.become(answer)
			for _, sql := range statements {
				began := time.Now()
				_, err := c.PgConn().Exec(ctxFor(t), sql).ReadAll()
				if took := time.Since(began); took > patience(8*time.Second) {
					t.Errorf("%s: %s took %s", name, sql, took)
				}
				var pg *pgconn.PgError
				if _, relayed := relayedAnswers[name]; !relayed && (!errors.As(err, &pg) || len(pg.Code) != 5 || pg.Message == "") {
					t.Errorf("%s: %s: %v, want an error with an SQLSTATE", name, sql, err)
				}
				if c.IsClosed() {
					c = s.conn(t, db)
				} else if c.PgConn().TxStatus() != 'I' {
					s.exec(t, c, "rollback")
				}
			}
			s.one(t, c, fmt.Sprintf("select v from f where k = %d", keyOn["b1"]))
			if _, err := c.Exec(ctxFor(t), "select v from f where k = $1", keyOn["b3"]); err == nil {
				t.Errorf("%s: an extended statement succeeds", name)
			}
			if c.IsClosed() {
				c = s.conn(t, db)
			}
		}
	}
	r.become(nil)
	eventually(t, 20*time.Second, "the server is used again", func() bool {
		_, err := c.Exec(ctxFor(t), "select v from f order by k")
		return err == nil
	})
	stop()
	if rows := s.text(t, c, "select k from f where v = 'hostile'"); rows != nil {
		t.Errorf("rows %v keep what was never acknowledged", rows)
	}
	if n := len(s.text(t, c, "select k from f")); n != 60 {
		t.Errorf("%d rows, want 60", n)
	}
	t.Logf("peak of resident memory: %d MiB", peak.Load()>>20)
	if limit := memoryLimit(150 << 20); peak.Load() > limit {
		t.Errorf("the proxy took %d MiB, want %d at most", peak.Load()>>20, limit>>20)
	}
	noPrepared(t, s, db)
}
