package executor

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/internal/wire"
)

// A prepared statement that the client knows as a simple query gives way to the client's text where an error may be of how it was
// put, and nothing has been shown.
func TestRelayKeepsBackErrorsOfTheText(t *testing.T) {
	ready := wire.ReadyForQuery(nil, 'I')
	one, two := wire.Empty(nil, '1'), wire.Empty(nil, '2')
	for _, c := range []struct {
		name   string
		server []byte
		shown  string
		again  byte
	}{
		{"its Parse fails", join(errorFrame("42P18"), ready), "", 'P'},
		{"a value is none", join(one, errorFrame("22P02"), ready), "", 'B'},
		{"the server has another", join(one, errorFrame("26000"), ready), "", 'B'},
		{"its columns have changed", join(one, two, errorFrame("0A000"), ready), "", 'D'},
		{"cancelled", join(errorFrame("57014"), ready), "E", 0},
		{"it fails behind its columns", join(one, two, rowDescription([]uint32{25}), errorFrame("22012"), ready), "TE", 0},
		{"it has warned before", join(one, notice("careful"), errorFrame("22P02"), ready), "NE", 0},
		{"it succeeds", join(one, two, rowDescription([]uint32{25}), dataRow([]byte("v")), wire.CommandComplete(nil, "SELECT 1"), ready), "TDC", 0},
		{"its commit fails", join(one, two, rowDescription([]uint32{25}), wire.CommandComplete(nil, "SELECT 1"), errorFrame("40001"), ready), "TE", 0},
	} {
		near, far := net.Pipe()
		m := member(near)
		m.Queue.Push(Owed{Msg: 'P', Reply: Quiet, Statement: 7, Again: true})
		m.Statements.Add(7, 0)
		m.RunPrepared("pleiad_7", wire.NoParams, true, 0)
		m.Out = nil
		go func() { _, _ = far.Write(c.server) }()
		var got bytes.Buffer
		out := wire.NewWriter(&got)
		out.HoldTag = true
		o, err := Relay(m, out, &watcher{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		out.HoldTag = false
		_ = out.Flush()
		if s := shape(t, got.Bytes()); s != c.shown || o.Again != c.again || o.Failed != strings.HasSuffix(c.shown, "E") {
			t.Errorf("%s: the client got %q, again %q, failed %t; want %q, %q", c.name, s, o.Again, o.Failed, c.shown, c.again)
		}
		if m.Owed != 0 || m.Queue.Len() != 0 || m.Statements.Has(7) != (c.again != 'P' && c.name != "cancelled") {
			t.Errorf("%s: owed %d, queue %d, prepared %t", c.name, m.Owed, m.Queue.Len(), m.Statements.Has(7))
		}
	}
}

// Errors longer than the buffer count in the client's text as others do.
func TestLongErrorsAreFixedToo(t *testing.T) {
	long := errorFrame("42601", "P5", "D"+strings.Repeat("x", wire.BufferSize), "Wunnamed portal with parameters: $1 = '1'")
	for _, size := range []int{1, wire.BufferSize + 1} {
		near, far := net.Pipe()
		m := member(near)
		m.Queue.Push(Owed{Msg: 'P', Reply: Quiet, Position: func(p int) int { return p * 2 }})
		m.Queue.Push(Owed{Msg: 'S'})
		m.Owed, m.Shift, m.Unseen = 1, 100, true
		go func() {
			for rest := join(long, wire.ReadyForQuery(nil, 'I')); len(rest) > 0; {
				n, err := far.Write(rest[:min(size*1000, len(rest))])
				if err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		var got bytes.Buffer
		out := wire.NewWriter(&got)
		if _, err := Relay(m, out, &watcher{}); err != nil {
			t.Fatal(err)
		}
		_ = out.Flush()
		if p := wire.ErrorField(got.Bytes(), 'P'); p != strconv.Itoa(5*2+100) || wire.ErrorField(got.Bytes(), 'W') != "" {
			t.Errorf("position %s, context %q", p, wire.ErrorField(got.Bytes(), 'W'))
		}
	}
}
