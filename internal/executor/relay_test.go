package executor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/wire"
)

// relayed runs Relay over a server's bytes, cut into pieces, and gives what the client gets.
func relayed(t testing.TB, owed []Owed, server []byte, cuts []int) (*Member, []byte, Outcome, error) {
	t.Helper()
	near, far := net.Pipe()
	m := member(near)
	for _, o := range owed {
		m.Queue.Push(o)
		if o.Msg == 'S' || o.Msg == 'Q' {
			m.Owed++
		}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		go func() { _, _ = io.Copy(io.Discard, far) }()
		rest := server
		for _, n := range cuts {
			n = min(n, len(rest))
			if _, err := far.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		_, _ = far.Write(rest)
		_ = far.Close()
	}()
	var got bytes.Buffer
	out := wire.NewWriter(&got)
	o, err := Relay(m, out, &watcher{})
	_ = near.Close()
	<-sent
	if out.Err() == nil {
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return m, got.Bytes(), o, err
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func notice(text string) []byte {
	out, at := wire.Begin(nil, 'N')
	out = wire.String(wire.String(wire.String(out, "SNOTICE"), "C00000"), "M"+text)
	return wire.End(append(out, 0), at)
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// conversation is a pipeline with every kind of answer in it, and what the client is to see of it.
func conversation() (owed []Owed, server, client []byte) {
	row := dataRow([]byte("one"), nil)
	large := dataRow(bytes.Repeat([]byte("x"), 70_000))
	desc := rowDescription([]uint32{25, 23})
	add := func(o Owed, said, shown []byte) {
		owed = append(owed, o)
		server = append(server, said...)
		client = append(client, shown...)
	}
	begin := join(wire.CommandComplete(nil, "BEGIN"), wire.ReadyForQuery(nil, 'T'))
	add(Owed{Msg: 'Q', Reply: Skip}, join(notice("hidden"), begin), nil)
	add(Owed{Msg: 'P', Reply: Quiet}, wire.Empty(nil, '1'), nil)
	add(Owed{Reply: Fake, Frames: wire.Empty(nil, '1')}, nil, wire.Empty(nil, '1'))
	add(Owed{Msg: 'B'}, wire.Empty(nil, '2'), wire.Empty(nil, '2'))
	add(Owed{Msg: 'D'}, desc, desc)
	status := wire.ParameterStatus(nil, "TimeZone", "UTC")
	rows := join(row, row, notice("shown"), row, large, row, status, row)
	add(Owed{Msg: 'E'}, join(rows, wire.Empty(nil, 's')), join(rows, wire.Empty(nil, 's')))
	done := join(row, wire.CommandComplete(nil, "SELECT 1"))
	add(Owed{Msg: 'E'}, done, done)
	add(Owed{Msg: 'E'}, wire.Empty(nil, 'I'), wire.Empty(nil, 'I'))
	add(Owed{Msg: 'E', Reply: Skip}, join(row, large, wire.CommandComplete(nil, "SELECT 2")), nil)
	add(Owed{Msg: 'C'}, wire.Empty(nil, '3'), wire.Empty(nil, '3'))
	types := []byte{'t', 0, 0, 0, 10, 0, 1, 0, 0, 0, 23}
	add(Owed{Msg: 'D'}, join(types, wire.Empty(nil, 'n')), join(types, wire.Empty(nil, 'n')))
	add(Owed{Msg: 'S'}, wire.ReadyForQuery(nil, 'T'), nil)
	copyOut := join([]byte{'H', 0, 0, 0, 7, 0, 0, 0}, wire.CopyData(nil, []byte("a\tb\n")),
		wire.CopyData(nil, bytes.Repeat([]byte("y"), 40_000)), wire.Empty(nil, 'c'), wire.CommandComplete(nil, "COPY 2"))
	listen := []byte{'A', 0, 0, 0, 10, 0, 0, 0, 1, 'a', 0}
	add(Owed{Msg: 'Q'}, join(listen, copyOut, wire.ReadyForQuery(nil, 'T')), copyOut)
	return owed, server, client
}

func TestRelayGivesTheSameWhateverTheChunks(t *testing.T) {
	owed, server, client := conversation()
	r := random(1)
	for n := range 300 {
		var cuts []int
		biggest := []int{1, 3, 17, 200, 5000, 40_000}[n%6]
		for sum := 0; sum < len(server); {
			c := 1 + r.IntN(biggest)
			if biggest < 200 && sum > 3000 && r.IntN(2) == 0 {
				c = 20_000
			}
			cuts = append(cuts, c)
			sum += c
		}
		m, got, o, err := relayed(t, owed, server, cuts)
		if err != nil || o.Failed || o.Skipped != nil {
			t.Fatalf("pieces of up to %d: %+v %v", biggest, o, err)
		}
		if !bytes.Equal(got, client) {
			t.Fatalf("pieces of up to %d: got %s, want %s", biggest, shape(t, got), shape(t, client))
		}
		if m.Queue.Len() != 0 || m.Owed != 0 || m.Status != 'T' {
			t.Fatalf("left %d answers, %d ReadyForQuery, status %c", m.Queue.Len(), m.Owed, m.Status)
		}
	}
}

func TestRelayLosesAConnectionThatEndsAnywhere(t *testing.T) {
	owed, server, client := conversation()
	whole := 0 // bytes of client output in complete frames
	r := random(2)
	for n := range 400 {
		at := r.IntN(len(server))
		if n < 200 {
			at = n
		}
		_, got, _, err := relayed(t, owed, server[:at], nil)
		if !errors.Is(err, backend.ErrLost) {
			t.Fatalf("cut at %d: %v", at, err)
		}
		if !bytes.HasPrefix(client, got) {
			t.Fatalf("cut at %d: other bytes than before", at)
		}
		whole = max(whole, len(got))
	}
	if whole == 0 {
		t.Fatal("nothing was relayed")
	}
}

func TestRelayBreaksTheClientAfterAPartOfARow(t *testing.T) {
	large := dataRow(bytes.Repeat([]byte("x"), 70_000))
	near, far := net.Pipe()
	m := member(near)
	m.Queue.Push(Owed{Msg: 'Q'})
	m.Owed = 1
	go func() {
		_, _ = far.Write(large[:50_000])
		_ = far.Close()
	}()
	out := wire.NewWriter(io.Discard)
	if _, err := Relay(m, out, &watcher{}); !errors.Is(err, backend.ErrLost) {
		t.Fatal(err)
	}
	if out.Err() == nil {
		t.Fatal("an error message could follow a part of a row")
	}
}

func TestRelaySkipsToSyncAfterAnError(t *testing.T) {
	owed := []Owed{
		{Msg: 'P', Statement: 7}, {Msg: 'B'}, {Msg: 'E'},
		{Msg: 'P', Statement: 8, Unnamed: true}, {Msg: 'C', Reply: Skip, Evicted: 9},
		{Reply: Fake, Frames: wire.Empty(nil, '1')}, {Msg: 'B'}, {Msg: 'E'}, {Msg: 'S'},
	}
	server := join(wire.Empty(nil, '1'), wire.Empty(nil, '2'), errorFrame("22012"), wire.ReadyForQuery(nil, 'I'))
	near, far := net.Pipe()
	m := member(near)
	for _, o := range owed {
		m.Queue.Push(o)
	}
	m.Owed = 1
	m.Conn.Unnamed = 8
	m.Statements.Add(7, 0)
	m.Statements.Add(8, 0)
	go func() { _, _ = far.Write(server) }()
	var got bytes.Buffer
	out := wire.NewWriter(&got)
	o, err := Relay(m, out, &watcher{})
	if err != nil || !o.Failed || string(o.Code[:]) != "22012" || o.Skipped != nil {
		t.Fatalf("%+v %v", o, err)
	}
	_ = out.Flush()
	if s := shape(t, got.Bytes()); s != "12E" {
		t.Errorf("client got %s", s)
	}
	if m.Owed != 0 || m.Queue.Len() != 0 || m.Status != 'I' {
		t.Errorf("owed %d, queue %d", m.Owed, m.Queue.Len())
	}
	if !m.Statements.Has(7) || m.Statements.Has(8) || !m.Statements.Has(9) || m.Conn.Unnamed != 0 {
		t.Error("the books of prepared statements are wrong")
	}
}

func TestRelayOfAFailingInjectedParse(t *testing.T) {
	owed := []Owed{{Msg: 'P', Reply: Quiet, Statement: 3}, {Msg: 'B'}, {Msg: 'E'}, {Msg: 'S'}}
	_, got, o, err := relayed(t, owed, join(errorFrame("42601"), wire.ReadyForQuery(nil, 'I')), nil)
	if err != nil || !o.Failed || shape(t, got) != "E" {
		t.Fatalf("%s %+v %v", shape(t, got), o, err)
	}
	owed[0].Reply = Skip
	_, got, o, err = relayed(t, owed, join(errorFrame("42601"), wire.ReadyForQuery(nil, 'I')), nil)
	if err != nil || o.Failed || o.Skipped == nil || len(got) != 0 {
		t.Fatalf("%q %+v %v", got, o, err)
	}
}

// TestAFailedBeginSkipsTheQueryBehindIt: the server ignores the query until a Sync, which has to be sent.
func TestAFailedBeginSkipsTheQueryBehindIt(t *testing.T) {
	server := func(sql string) answer {
		if sql == "BEGIN" {
			return answer{code: "57014"}
		}
		return answer{tag: "INSERT 0 1"}
	}
	for _, extended := range []bool{false, true} {
		fs := newServers(t, server)
		g := newGang(t, fs)
		g.Begin(TxnExplicit, "BEGIN")
		m, err := g.Join(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if extended {
			m.Bound([]byte("INSERT INTO t VALUES (1)"), nil, []byte{0, 0, 0, 0}, nil, 0)
		} else {
			m.Query([]byte("INSERT INTO t VALUES (1)"))
		}
		var got bytes.Buffer
		out := wire.NewWriter(&got)
		var o Outcome
		within(t, func() { o, err = Relay(m, out, &watcher{}) })
		if err != nil || o.Skipped == nil || o.Failed {
			t.Fatalf("extended %v: %+v %v", extended, o, err)
		}
		if m.Owed != 0 || m.Queue.Len() != 0 {
			t.Errorf("extended %v: owed %d, queue %d", extended, m.Owed, m.Queue.Len())
		}
		if log := strings.Join(fs.fakes[0].statements(), "|"); log != "BEGIN" {
			t.Errorf("extended %v: the server ran %s", extended, log)
		}
	}
}

func TestRelayAcceptsOnlyWhatAnswersTheMessage(t *testing.T) {
	legal := map[byte]string{
		'Q': "DCIdcHTGZNASE", 'P': "1NASE", 'B': "2NASE", 'D': "TtnNASE", 'E': "DCIdcHGsNASE", 'C': "3NASE", 'S': "ZNASE",
	}
	bodies := map[byte][]byte{
		'Z': wire.ReadyForQuery(nil, 'I'), 'E': errorFrame("22012"), 'N': notice("n"),
		'S': wire.ParameterStatus(nil, "a", "b"), 'T': rowDescription([]uint32{23}), 'C': wire.CommandComplete(nil, "X"),
		'G': {'G', 0, 0, 0, 7, 0, 0, 0}, 'D': dataRow([]byte("1")),
	}
	for msg, types := range legal {
		for typ := range 256 {
			frame, ok := bodies[byte(typ)]
			if !ok {
				frame = wire.Empty(nil, byte(typ))
			}
			_, _, _, err := relayed(t, []Owed{{Msg: msg}}, frame, nil)
			accepted := err == nil || strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "unexpected CopyInResponse")
			if want := strings.IndexByte(types, byte(typ)) >= 0; accepted != want {
				t.Errorf("%q in answer to %q: %v", byte(typ), msg, err)
			}
		}
	}
}

func TestRelayOfHostileFrames(t *testing.T) {
	for name, server := range map[string][]byte{
		"length -2":           {'D', 0xff, 0xff, 0xff, 0xfe, 1, 2, 3},
		"length 3":            {'D', 0, 0, 0, 3, 0, 0},
		"length 0":            {'C', 0, 0, 0, 0, 0, 0},
		"length 2^31-1":       {'D', 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"notice of 2^31-1":    {'N', 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"empty ready":         {'Z', 0, 0, 0, 4},
		"long ready":          {'Z', 0, 0, 0, 6, 'I', 'I'},
		"unknown status":      {'Z', 0, 0, 0, 5, 'X'},
		"authentication":      {'R', 0, 0, 0, 8, 0, 0, 0, 0},
		"backend key":         {'K', 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0},
		"copy both":           {'W', 0, 0, 0, 7, 0, 0, 0},
		"empty error":         {'E', 0, 0, 0, 4},
		"parameter, no value": {'S', 0, 0, 0, 6, 'a', 0},
		"row description":     {'T', 0, 0, 0, 6, 0xff, 0xff},
	} {
		_, _, _, err := relayed(t, []Owed{{Msg: 'Q'}}, server, nil)
		if !errors.Is(err, backend.ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRelayTurnsFatalErrorsIntoALostConnection(t *testing.T) {
	out, at := wire.Begin(nil, 'E')
	for _, f := range []string{"SFATAL", "VFATAL", "C57P01", "Mterminating"} {
		out = wire.String(out, f)
	}
	fatal := wire.End(append(out, 0), at)
	_, got, _, err := relayed(t, []Owed{{Msg: 'Q'}}, fatal, nil)
	if !errors.Is(err, backend.ErrLost) || len(got) != 0 {
		t.Fatalf("%q %v", got, err)
	}
	if e := ClientError(err); e.Code != "08006" || !strings.Contains(e.Detail, "57P01") {
		t.Errorf("%+v", e)
	}
}

// TestALongPipelineDoesNotBlockBothSides: the server answers the first message with more than the sockets hold and
// reads the rest of the pipeline only then.
func TestALongPipelineDoesNotBlockBothSides(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	const size = 16 << 20
	served := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			served <- err
			return
		}
		defer func() { _ = c.Close() }()
		row := dataRow(bytes.Repeat([]byte("r"), 10_000))
		for n := 0; n < size && err == nil; n += len(row) {
			_, err = c.Write(row)
		}
		if err == nil {
			_, err = c.Write(wire.CommandComplete(nil, "SELECT 1"))
		}
		if err == nil {
			_, err = io.CopyN(io.Discard, c, size)
		}
		if err == nil {
			_, err = c.Write(wire.ReadyForQuery(nil, 'I'))
		}
		served <- err
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	m := member(nc)
	defer m.Conn.Close()
	m.Out = make([]byte, size)
	m.Queue.Push(Owed{Msg: 'E'})
	m.Queue.Push(Owed{Msg: 'S'})
	m.Owed = 1
	within(t, func() { _, err = Relay(m, wire.NewWriter(io.Discard), &watcher{}) })
	if err != nil || m.Owed != 0 {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}

func TestALongPipelineEndsWithItsClient(t *testing.T) {
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	m := member(near)
	defer m.Conn.Close()
	m.Out = make([]byte, 1<<20) // never read
	m.Queue.Push(Owed{Msg: 'Q'})
	m.Owed = 1
	go func() { _, _ = far.Write(dataRow(bytes.Repeat([]byte("r"), 60_000))) }()
	var err error
	within(t, func() { _, err = Relay(m, wire.NewWriter(&failingWriter{}), &watcher{}) })
	if err == nil || !m.Broken() {
		t.Fatalf("%v, broken %v", err, m.Broken())
	}
}

func TestRelayPassesCopyInOn(t *testing.T) {
	near, far := net.Pipe()
	m := member(near)
	m.Queue.Push(Owed{Msg: 'Q'})
	m.Owed = 1
	go func() {
		_, _ = far.Write([]byte{'G', 0, 0, 0, 7, 0, 0, 0})
		r := wire.NewReader(far, 1<<20)
		for {
			typ, _, err := r.Next()
			if err != nil {
				return
			}
			if typ == 'c' {
				break
			}
		}
		_, _ = far.Write(join(wire.CommandComplete(nil, "COPY 1"), wire.ReadyForQuery(nil, 'I')))
	}()
	var got bytes.Buffer
	out := wire.NewWriter(&got)
	w := &watcher{copyIn: func(m *Member) error {
		if shape(t, got.Bytes()) != "G" {
			t.Error("CopyInResponse was not flushed before the client's data was asked for")
		}
		_, err := m.Conn.Conn.Write(join(wire.CopyData(nil, []byte("1\n")), wire.Empty(nil, 'c')))
		return err
	}}
	if _, err := Relay(m, out, w); err != nil {
		t.Fatal(err)
	}
	_ = out.Flush()
	if s := shape(t, got.Bytes()); s != "GC" {
		t.Errorf("client got %s", s)
	}
}

func TestCommitReportsSettingsThatItBringsBack(t *testing.T) {
	server := join(notice("at commit"), wire.ParameterStatus(nil, "TimeZone", "UTC"),
		wire.CommandComplete(nil, "ROLLBACK"), wire.ReadyForQuery(nil, 'I'))
	_, got, o, err := relayed(t, []Owed{{Msg: 'Q', Reply: Skip, Report: true}}, server, nil)
	if err != nil || shape(t, got) != "NS" || !o.Undone {
		t.Fatalf("%s %+v %v", shape(t, got), o, err)
	}
}

func FuzzRelay(f *testing.F) {
	_, server, _ := conversation()
	f.Add(server[:2000], "QPBDESC", 7)
	f.Add([]byte{'T', 0, 0, 0, 6, 0xff, 0xff}, "Q", 1)
	f.Add(append([]byte{'V', 0, 0, 0, 9, 0, 0, 0, 1, '5'}, wire.ReadyForQuery(nil, 'I')...), "F", 3)
	f.Add(append(append([]byte{'V', 0, 0, 0x40, 8, 0, 0, 0x40, 0}, make([]byte, 0x4000)...), wire.ReadyForQuery(nil, 'I')...), "F", 999)
	f.Fuzz(func(t *testing.T, server []byte, msgs string, piece int) {
		var owed []Owed
		for _, c := range []byte(msgs) {
			if strings.IndexByte("QPBDESCF", c) >= 0 {
				owed = append(owed, Owed{Msg: c, Reply: Reply(len(owed) % 2)})
			}
		}
		var cuts []int
		for n := 0; piece > 0 && n < len(server); n += piece {
			cuts = append(cuts, piece)
		}
		_, a, _, errA := relayed(t, owed, server, cuts)
		_, b, _, errB := relayed(t, owed, server, nil)
		if (errA == nil) != (errB == nil) {
			t.Fatalf("%v in pieces, %v in one", errA, errB)
		}
		if errA == nil && !bytes.Equal(a, b) {
			t.Fatalf("%q in pieces, %q in one", a, b)
		}
	})
}

// replay is a connection whose server says the same to every statement.
type replay struct {
	net.Conn
	said []byte
	left []byte
}

func (r *replay) Read(b []byte) (int, error) {
	n := copy(b, r.left)
	r.left = r.left[n:]
	return n, nil
}

func (r *replay) Write(b []byte) (int, error) {
	r.left = r.said
	return len(b), nil
}

func (r *replay) SetWriteDeadline(time.Time) error { return nil }

func BenchmarkRelayOneRow(b *testing.B) {
	said := join(rowDescription([]uint32{25}), dataRow([]byte("value")), wire.CommandComplete(nil, "SELECT 1"), wire.ReadyForQuery(nil, 'I'))
	m := member(&replay{said: said})
	out := wire.NewWriter(io.Discard)
	w := &watcher{}
	sql := []byte("SELECT doc FROM meetings WHERE room = 'a'")
	b.ReportAllocs()
	for b.Loop() {
		m.Query(sql)
		if _, err := Relay(m, out, w); err != nil {
			b.Fatal(err)
		}
		if err := out.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		m.Query(sql)
		_, _ = Relay(m, out, w)
		_ = out.Flush()
	}); n != 0 {
		b.Fatalf("%v allocations a statement", n)
	}
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
