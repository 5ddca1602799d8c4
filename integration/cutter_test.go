package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// direction is which way a message goes that a relay drops, together with its connection.
type direction string

const (
	toServer   direction = "to the server"   // the message never arrives
	fromServer direction = "from the server" // it arrives, and its answer does not
)

// cutter passes connections on to a server and understands enough of the protocol to cut one at a given message.
type cutter struct {
	dir  string // of its socket
	port int
	to   string

	mu   sync.Mutex
	text []byte // of the message at which a connection is cut; nil: none
	way  direction
	cuts int
	open map[net.Conn]struct{}
}

// newCutter listens on a Unix socket for connections to the server at the given socket.
func newCutter(t *testing.T, socketDir string, port int) *cutter {
	t.Helper()
	r := &cutter{open: map[net.Conn]struct{}{}, dir: t.TempDir(), port: port, to: filepath.Join(socketDir, ".s.PGSQL."+strconv.Itoa(port))}
	l, err := net.Listen("unix", filepath.Join(r.dir, ".s.PGSQL."+strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.mu.Lock()
		for c := range r.open {
			c.Close()
		}
		r.mu.Unlock()
		serving.Wait()
	})
	return r
}

// cut drops the connection on which the next message with this text comes.
func (r *cutter) cut(text string, way direction) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text, r.way = []byte(text), way
}

// count is how many connections have been cut.
func (r *cutter) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cuts
}

// struck tells whether the connection is to be cut at this message.
func (r *cutter) struck(frame []byte) (way direction, yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.text == nil || !bytes.Contains(frame, r.text) {
		return "", false
	}
	r.text = nil
	r.cuts++
	return r.way, true
}

func (r *cutter) serve(client net.Conn) {
	server, err := net.Dial("unix", r.to)
	if err != nil {
		client.Close() // as the server itself would refuse
		return
	}
	r.track(client, true)
	defer r.track(client, false)
	mute := make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		defer server.Close()
		r.forward(client, server, mute)
	})
	both.Go(func() {
		defer client.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := server.Read(buf)
			select {
			case <-mute: // what the server answers now is lost
				return
			default:
			}
			if n > 0 {
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	both.Wait()
}

func (r *cutter) track(c net.Conn, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if open {
		r.open[c] = struct{}{}
		return
	}
	delete(r.open, c)
}

// forward passes the client's messages on until one strikes.
func (r *cutter) forward(client, server net.Conn, mute chan struct{}) {
	untyped := true // the startup packet has no type
	for {
		head := make([]byte, 5)
		if untyped {
			head = head[:4]
		}
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		frame := make([]byte, len(head)-4+int(binary.BigEndian.Uint32(head[len(head)-4:])))
		copy(frame, head)
		if _, err := io.ReadFull(client, frame[len(head):]); err != nil {
			return
		}
		untyped = false
		way, yes := r.struck(frame)
		if yes && way == toServer {
			return
		}
		if yes {
			close(mute)
		}
		if _, err := server.Write(frame); err != nil {
			return
		}
		if yes {
			_, _ = io.Copy(io.Discard, client) // until the client has noticed
			return
		}
	}
}

// relayed puts a relay between the proxy and each of its servers, and starts it anew.
func (s *served) relayed(t *testing.T) map[string]*cutter {
	t.Helper()
	raw, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	text, relays := string(raw), map[string]*cutter{}
	for _, server := range s.cluster.Primaries() {
		r := newCutter(t, server.SocketDir, server.Port)
		relays[server.Name] = r
		direct := fmt.Sprintf("{host: %s, port: %d}", server.SocketDir, server.Port)
		if !strings.Contains(text, direct) {
			t.Fatalf("the configuration has no %s", direct)
		}
		text = strings.Replace(text, direct, fmt.Sprintf("{host: %s, port: %d}", r.dir, r.port), 1)
	}
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.program.stop(); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	return relays
}

// TestCommitConnectionCut drops a connection at each message of a distributed commit, ahead of the server and behind it.
func TestCommitConnectionCut(t *testing.T) {
	s := serve(t, "transactions:\n  recovery_interval: 200ms\n")
	relays := s.relayed(t)
	w := newWrites(t, s)
	for i, at := range []struct {
		server, text string
		decided      bool
	}{
		{"b2", "PREPARE TRANSACTION", false},
		{"b1", "pleiad.record_commit", false},
		{"b3", "COMMIT PREPARED", true},
	} {
		for _, way := range []direction{toServer, fromServer} {
			batch := fmt.Sprintf("cut %d %s", i, way) // without the text: the INSERT is not to be cut
			sql, rows := w.insert(batch, "b1", "b2", "b3")
			c := w.conn(t, w.db)
			r := relays[at.server]
			before := r.count()
			r.cut(at.text, way)
			err := runBatch(ctxFor(t), c, batch, sql)
			if r.count() != before+1 {
				t.Fatalf("%s: no connection was cut", batch)
			}
			w.settled(t)
			w.judge(t, batch, err, rows)
			if at.decided && w.count(t, batch) != rows {
				t.Errorf("%s: decided, and not all rows are there", batch)
			}
			if n := w.one(t, c, "select count(*) from w"); n == "" {
				t.Errorf("%s: the session does not go on", batch)
			}
		}
	}
}
