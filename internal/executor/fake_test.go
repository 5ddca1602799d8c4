package executor

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/wire"
)

// answer is what a fake server says to one statement.
type answer struct {
	oids   []uint32 // result columns; nil for none
	rows   [][]byte // DataRow frames
	tag    string
	code   string        // SQLSTATE of an error after the rows
	fields []string      // further fields of that error, each with its type ahead
	before []byte        // frames ahead of everything, such as notices
	raw    []byte        // written as it is, instead of an answer
	gate   chan struct{} // waited for before the answer, or until a cancel comes
	die    bool          // the connection ends instead of an answer
}

// fakeBackend is one fake PostgreSQL server: enough of the protocol to hold a transaction, skip to Sync after an
// error, prepare and be cancelled.
type fakeBackend struct {
	t       *testing.T
	index   int
	script  func(sql string) answer
	ln      net.Listener
	wg      sync.WaitGroup
	mu      sync.Mutex
	log     []string // statements executed
	parses  []string // the names of those that were parsed
	held    map[string]bool
	cancels chan struct{}
}

func newFake(t *testing.T, index int, script func(sql string) answer) *fakeBackend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeBackend{t: t, index: index, script: script, ln: ln, held: map[string]bool{}, cancels: make(chan struct{}, 1)}
	f.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { (&fakeSession{f: f, Conn: c, status: 'I', stmts: map[string]string{}}).serve() })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		f.wg.Wait()
	})
	return f
}

// say changes what the server answers.
func (f *fakeBackend) say(script func(sql string) answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
}

func (f *fakeBackend) answer(sql string) answer {
	f.mu.Lock()
	script := f.script
	f.mu.Unlock()
	return script(sql)
}

func (f *fakeBackend) statements() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// parsed gives the names of the statements that were parsed since the last call.
func (f *fakeBackend) parsed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := f.parses
	f.parses = nil
	return names
}

// fakeSession is one connection to a fakeBackend.
type fakeSession struct {
	net.Conn
	f      *fakeBackend
	status byte
	skip   bool
	stmts  map[string]string
	bound  string
	out    []byte
}

func (s *fakeSession) serve() {
	defer func() { _ = s.Conn.Close() }()
	r := wire.NewReader(s.Conn, 1<<30)
	for {
		typ, frame, err := r.Next()
		if err != nil || typ == 'X' {
			return
		}
		if s.skip && typ != 'S' {
			continue
		}
		b := wire.BodyOf(frame)
		ok := true
		switch typ {
		case 'Q':
			ok = s.simple(string(b.Text()))
		case 'P':
			s.parse(string(b.Text()), string(b.Text()))
		case 'B':
			_ = b.Text()
			s.bind(string(b.Text()))
		case 'D':
			sql := s.bound
			if b.Byte() == 'S' {
				sql = s.stmts[string(b.Text())]
				s.out = append(s.out, 't', 0, 0, 0, 6, 0, 0)
			}
			s.describe(s.f.answer(sql))
		case 'E':
			ok = s.run(s.bound, false)
		case 'C':
			if b.Byte() == 'S' {
				delete(s.stmts, string(b.Text()))
			}
			s.out = wire.Empty(s.out, '3')
		case 'S':
			s.skip = false
			s.out = wire.ReadyForQuery(s.out, s.status)
			ok = s.flush()
		case 'H':
			ok = s.flush()
		}
		if !ok {
			return
		}
	}
}

func (s *fakeSession) parse(name, sql string) {
	if _, there := s.stmts[name]; there && name != "" {
		s.fail("42P05")
		return
	}
	s.f.mu.Lock()
	s.f.parses = append(s.f.parses, name)
	s.f.mu.Unlock()
	s.stmts[name] = sql
	s.out = wire.Empty(s.out, '1')
}

func (s *fakeSession) bind(name string) {
	sql, there := s.stmts[name]
	if !there {
		s.fail("26000")
		return
	}
	s.bound = sql
	s.out = wire.Empty(s.out, '2')
}

func (s *fakeSession) flush() bool {
	_, err := s.Conn.Write(s.out)
	s.out = s.out[:0]
	return err == nil
}

func (s *fakeSession) simple(text string) bool {
	delete(s.stmts, "")
	for sql := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(sql) == "" {
			continue
		}
		if !s.run(sql, true) {
			return false
		}
		if s.skip {
			s.skip = false
			break
		}
	}
	s.out = wire.ReadyForQuery(s.out, s.status)
	return s.flush()
}

func (s *fakeSession) describe(a answer) {
	if a.oids == nil {
		s.out = wire.Empty(s.out, 'n')
		return
	}
	s.out = append(s.out, rowDescription(a.oids)...)
}

func rowDescription(oids []uint32) []byte {
	out, at := wire.Begin(nil, 'T')
	out = binary.BigEndian.AppendUint16(out, uint16(len(oids)))
	for i, o := range oids {
		out = wire.String(out, fmt.Sprintf("c%d", i))
		out = append(out, 0, 0, 0, 0, 0, 0)
		out = binary.BigEndian.AppendUint32(out, o)
		out = append(out, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0)
	}
	return wire.End(out, at)
}

func (s *fakeSession) fail(code string, fields ...string) {
	s.out = append(s.out, errorFrame(code, fields...)...)
	s.flush() // as send_message_to_frontend does
	s.skip = true
	if s.status == 'T' {
		s.status = 'E'
	}
}

func errorFrame(code string, fields ...string) []byte {
	out, at := wire.Begin(nil, 'E')
	for _, f := range []string{"SERROR", "VERROR", "C" + code, "Mscripted " + code} {
		out = wire.String(out, f)
	}
	for _, f := range fields {
		out = wire.String(out, f)
	}
	return wire.End(append(out, 0), at)
}

// run executes one statement; false ends the connection.
func (s *fakeSession) run(sql string, simple bool) bool {
	sql = strings.TrimSpace(sql)
	a := s.f.answer(sql)
	s.f.mu.Lock()
	s.f.log = append(s.f.log, sql)
	s.f.mu.Unlock()
	if a.die {
		return false
	}
	if a.gate != nil {
		select {
		case <-a.gate:
		case <-s.f.cancels:
			s.fail("57014")
			return true
		}
	}
	s.out = append(s.out, a.before...)
	if a.raw != nil {
		s.out = append(s.out, a.raw...)
		return s.flush()
	}
	if s.status == 'E' && !strings.HasPrefix(sql, "ROLLBACK") && !strings.HasPrefix(sql, "COMMIT") && !strings.HasPrefix(sql, "PREPARE") {
		s.fail("25P02")
		return true
	}
	if simple && a.oids != nil {
		s.describe(a)
	}
	for _, row := range a.rows {
		s.out = append(s.out, row...)
		if len(s.out) > 8<<10 && !s.flush() {
			return false
		}
	}
	if a.code != "" {
		s.fail(a.code, a.fields...)
		return true
	}
	tag := a.tag
	if tag == "" {
		tag = s.transact(sql)
	}
	if tag != "" {
		s.out = wire.CommandComplete(s.out, tag)
	}
	return true
}

// transact does what transaction statements do and gives the tag; "" after an error.
func (s *fakeSession) transact(sql string) string {
	word, rest, _ := strings.Cut(sql, " ")
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	aborted := s.status == 'E'
	_, gid, _ := strings.Cut(rest, " ")
	switch {
	case word == "BEGIN":
		s.status = 'T'
	case strings.HasPrefix(sql, "COMMIT PREPARED"), strings.HasPrefix(sql, "ROLLBACK PREPARED"):
		if !s.f.held[gid] {
			s.fail("42704")
			return ""
		}
		delete(s.f.held, gid)
		return word + " PREPARED"
	case word == "COMMIT", word == "ROLLBACK" && rest == "":
		s.status = 'I'
		if aborted {
			return "ROLLBACK"
		}
	case strings.HasPrefix(sql, "PREPARE TRANSACTION"):
		s.status = 'I'
		if aborted {
			return "ROLLBACK"
		}
		s.f.held[gid] = true
		return "PREPARE TRANSACTION"
	case strings.HasPrefix(sql, "ROLLBACK TO"):
		s.status = 'T'
	}
	return word
}

// prepared lists the transactions prepared on the server.
func (f *fakeBackend) prepared() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []string{}
	for gid := range f.held {
		out = append(out, gid)
	}
	return out
}

// fakeServers implements Servers over fakes; backend 0 is home.
type fakeServers struct {
	fakes  []*fakeBackend
	pools  *backend.Pools
	decide func(gid string) error
	gate   *Gate

	gids    int
	decided []string
	forgot  []string
	settled []string
	spans   []bool
}

func newServers(t *testing.T, scripts ...func(sql string) answer) *fakeServers {
	t.Helper()
	fs := &fakeServers{gate: NewGate(0)}
	for i, script := range scripts {
		fs.fakes = append(fs.fakes, newFake(t, i, script))
	}
	fs.pools = &backend.Pools{
		Dial: func(ctx context.Context, key backend.Key) (*backend.Conn, error) {
			var d net.Dialer
			nc, err := d.DialContext(ctx, "tcp", fs.fakes[key.Backend].ln.Addr().String())
			if err != nil {
				return nil, err
			}
			name := fmt.Sprintf("b%d", key.Backend)
			return backend.New(nc, backend.Target{Index: key.Backend, Name: name}, nil), nil
		},
		Cancel: func(_ context.Context, c *backend.Conn) error {
			select {
			case fs.fakes[c.Backend].cancels <- struct{}{}:
			default:
			}
			return nil
		},
		Limits: func(backend.Key) backend.Limits { return backend.Limits{Size: 4} },
		Name:   func(b int) string { return fmt.Sprintf("b%d", b) },
	}
	t.Cleanup(func() {
		for i := range fs.fakes {
			fs.pools.FlushBackend(i)
		}
	})
	return fs
}

func (fs *fakeServers) Get(ctx context.Context, b int) (*backend.Conn, error) {
	return fs.pools.Pool(backend.Key{Backend: b}).Get(ctx)
}
func (fs *fakeServers) OIDs(int) (*OIDs, error) { return nil, nil }
func (fs *fakeServers) Derived(int) *Derived    { return nil }
func (fs *fakeServers) Home() int               { return 0 }
func (fs *fakeServers) Spans(yes bool)          { fs.spans = append(fs.spans, yes) }
func (fs *fakeServers) StatementLimit() int     { return 10 }
func (fs *fakeServers) Name(b int) string       { return fmt.Sprintf("b%d", b) }
func (fs *fakeServers) HoldCommits(ctx context.Context, over []int, limit time.Duration) (*Hold, error) {
	return fs.gate.Hold(ctx, over, limit)
}
func (fs *fakeServers) PassGate(gid string, parts []int) *Passage { return fs.gate.Commit(gid, parts) }
func (fs *fakeServers) All() (list []int) {
	for i := range fs.fakes {
		list = append(list, i)
	}
	return list
}
func (fs *fakeServers) NewGID() string     { fs.gids++; return fmt.Sprintf("gid%d", fs.gids) }
func (fs *fakeServers) Forget(gid string)  { fs.forgot = append(fs.forgot, gid) }
func (fs *fakeServers) Settled(gid string) { fs.settled = append(fs.settled, gid) }
func (fs *fakeServers) Decide(_ context.Context, gid string) error {
	fs.decided = append(fs.decided, gid)
	if fs.decide == nil {
		return nil
	}
	return fs.decide(gid)
}

func newGang(t *testing.T, fs *fakeServers) *Gang {
	g := &Gang{ID: 1, Servers: fs, Settings: backend.NoSettings}
	t.Cleanup(g.Close)
	return g
}

// watcher is an Observer that lets every parameter through.
type watcher struct {
	seen   []string
	copyIn func(m *Member) error
}

func (w *watcher) Parameter(name, value string) bool {
	w.seen = append(w.seen, name+"="+value)
	return true
}

func (w *watcher) CopyIn(m *Member) error {
	if w.copyIn == nil {
		return fmt.Errorf("unexpected CopyInResponse")
	}
	return w.copyIn(m)
}

// dataRow makes a DataRow frame; nil is NULL.
func dataRow(values ...[]byte) []byte { return wire.DataRow(nil, values) }

// frames cuts a stream into its frames; an incomplete rest fails the test.
func frames(t *testing.T, b []byte) (out [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n := 0
		if len(b) >= 5 {
			n = int(binary.BigEndian.Uint32(b[1:])) + 1
		}
		if n < 5 || n > len(b) {
			t.Fatalf("stream ends within a frame: %q", b[:min(len(b), 40)])
		}
		out = append(out, b[:n])
		b = b[n:]
	}
	return out
}

// shape is the types of the frames of a stream.
func shape(t *testing.T, b []byte) string {
	t.Helper()
	var s strings.Builder
	for _, f := range frames(t, b) {
		s.WriteByte(f[0])
	}
	return s.String()
}

// member makes a Member over one end of a pipe or socket.
func member(nc net.Conn) *Member {
	return &Member{Conn: backend.New(nc, backend.Target{Name: "b0"}, nil)}
}

// within fails the test when f does not return in time.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("deadlock")
	}
}

// failingWriter fails after a number of bytes.
type failingWriter struct{ left int }

func (w *failingWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		return 0, io.ErrClosedPipe
	}
	w.left -= len(b)
	return len(b), nil
}

func newDiscard() *wire.Writer { return wire.NewWriter(discard{}) }
