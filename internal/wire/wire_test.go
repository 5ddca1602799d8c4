package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// pieces gives a stream in pieces of the given lengths, over and over.
type pieces struct {
	left []byte
	cuts []int
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := min(p.cuts[p.n%len(p.cuts)], len(p.left), len(b))
	p.n++
	copy(b, p.left[:n])
	p.left = p.left[n:]
	return n, nil
}

func stream(sizes ...int) (out []byte) {
	r := rand.New(rand.NewPCG(1, 1))
	for i, n := range sizes {
		frame, at := Begin(nil, byte('A'+i%26))
		for range n {
			frame = append(frame, byte(r.Uint32()))
		}
		out = append(out, End(frame, at)...)
	}
	return out
}

func TestReaderGivesTheSameWhateverThePieces(t *testing.T) {
	in := stream(0, 1, 5, BufferSize-5, BufferSize-4, BufferSize, 3*BufferSize, 0, 100_000, 2, 2, 2)
	for _, cuts := range [][]int{{1 << 20}, {1}, {2, 3}, {5}, {BufferSize}, {BufferSize - 1, 7}} {
		r := NewReader(&pieces{left: in, cuts: cuts}, 1<<20)
		var got []byte
		for {
			typ, frame, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil || frame[0] != typ {
				t.Fatal(err)
			}
			got = append(got, frame...)
			if len(got)%3 == 0 {
				r.Release()
			}
		}
		if !bytes.Equal(got, in) {
			t.Errorf("pieces %v: %d bytes of %d", cuts, len(got), len(in))
		}
		r.Drop()
	}
}

func TestReaderCopiesLongFrames(t *testing.T) {
	in := stream(10, 100_000, 10)
	r := NewReader(&pieces{left: in, cuts: []int{777}}, 1<<20)
	var got bytes.Buffer
	for range 3 {
		_, size, err := r.Peek()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Copy(&got, size); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got.Bytes(), in) || cap(r.buf) != BufferSize {
		t.Errorf("%d bytes over a buffer of %d", got.Len(), cap(r.buf))
	}
}

// TestAPromisedLengthCostsNothing: the buffer grows with what has come.
func TestAPromisedLengthCostsNothing(t *testing.T) {
	in := append([]byte{'D', 0x3f, 0xff, 0xff, 0xff}, make([]byte, 60_000)...)
	r := NewReader(&pieces{left: in, cuts: []int{1}}, 1<<30)
	if _, _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if cap(r.buf) > 2*len(in) {
		t.Errorf("%d bytes came, the buffer has %d", len(in), cap(r.buf))
	}
}

func TestReaderRefusesBadLengths(t *testing.T) {
	for _, c := range []struct {
		length uint32
		want   error
	}{{0, ErrBadLength}, {3, ErrBadLength}, {0xfffffffe, ErrBadLength}, {0x80000000, ErrBadLength}, {0x7fffffff, ErrTooLarge}, {100, ErrTooLarge}, {99, nil}} {
		in := binary.BigEndian.AppendUint32([]byte{'Q'}, c.length)
		in = append(in, make([]byte, 200)...)
		r := NewReader(&pieces{left: in, cuts: []int{7}}, 100)
		_, _, err := r.Next()
		if !errors.Is(err, c.want) {
			t.Errorf("length %d: %v", int32(c.length), err)
		}
	}
}

func TestReaderTellsAnEndBetweenFramesFromOneInside(t *testing.T) {
	in := stream(0, 20)
	for n := range len(in) {
		r := NewReader(&pieces{left: in[:n], cuts: []int{3}}, 1000)
		var err error
		for err == nil {
			_, _, err = r.Next()
		}
		want := io.ErrUnexpectedEOF
		if n == 0 || n == 5 {
			want = io.EOF
		}
		if err != want {
			t.Errorf("end after %d bytes: %v", n, err)
		}
	}
}

// sockets makes both ends of a loopback connection.
func sockets(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

func TestAWaitingSocketHoldsNoBuffer(t *testing.T) {
	near, far := sockets(t)
	src := NewSource(near)
	if _, ok := src.(lazySource); !ok {
		t.Fatal("a socket is not read lazily")
	}
	r := NewReader(src, 1000)
	if err := near.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if r.buf != nil {
		t.Error("a buffer is held while nothing came")
	}
	if err := near.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Write(stream(3)); err != nil {
		t.Fatal(err)
	}
	if typ, frame, err := r.Next(); err != nil || typ != 'A' || len(frame) != 8 {
		t.Errorf("%c %q %v", typ, frame, err)
	}
	r.Release()
	_ = far.Close()
	if _, _, err := r.Next(); err != io.EOF {
		t.Errorf("%v", err)
	}
	if r.buf != nil {
		t.Error("a buffer is held after the end")
	}
}

func TestWriterKeepsOrderAndBounds(t *testing.T) {
	var got, want bytes.Buffer
	w := NewWriter(&got)
	r := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		b := bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(3000)*(1+9*r.IntN(2)))
		want.Write(b)
		switch r.IntN(4) {
		case 0:
			w.Out = append(w.Out, b...)
			if err := w.Spill(); err != nil {
				t.Fatal(err)
			}
		default:
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		if len(w.Out) > 3*flushAt {
			t.Fatalf("%d bytes are held", len(w.Out))
		}
	}
	if err := w.Flush(); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("other bytes than were written", err)
	}
	w.Release()
	if w.Out != nil {
		t.Error("an idle writer holds a buffer")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriterErrorsStay(t *testing.T) {
	w := NewWriter(broken{})
	w.Out = append(w.Out, 'x')
	if err := w.Flush(); err != io.ErrClosedPipe {
		t.Error(err)
	}
	w.dst = io.Discard
	if _, err := w.Write([]byte("y")); err != io.ErrClosedPipe || w.Err() == nil || w.Flush() == nil || w.Spill() == nil {
		t.Error("the error is forgotten")
	}
	w = NewWriter(io.Discard)
	w.Break(io.ErrUnexpectedEOF)
	w.Break(io.EOF)
	if _, err := w.Write([]byte("y")); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
}

// TestComposedMessagesAreTheProtocols holds each message against the codec of pgproto3.
func TestComposedMessagesAreTheProtocols(t *testing.T) {
	encode := func(m pgproto3.Message) []byte {
		b, err := m.Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	report := &pgerr.Error{Severity: "ERROR", Code: "42601", Message: "m", Detail: "d", Hint: "h", Context: "w", Position: 7}
	fields := pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "42601", Message: "m", Detail: "d", Hint: "h", Where: "w", Position: 7}
	for name, c := range map[string]struct{ got, want []byte }{
		"Query":     {Query(nil, "SELECT 1"), encode(&pgproto3.Query{String: "SELECT 1"})},
		"Parse":     {Parse(nil, "n", "q", []uint32{23, 25}), encode(&pgproto3.Parse{Name: "n", Query: "q", ParameterOIDs: []uint32{23, 25}})},
		"Bind":      {Bind(nil, "p", "s", NoParams), encode(&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s"})},
		"Describe":  {Describe(nil, 'S', "n"), encode(&pgproto3.Describe{ObjectType: 'S', Name: "n"})},
		"Close":     {CloseMessage(nil, 'P', "n"), encode(&pgproto3.Close{ObjectType: 'P', Name: "n"})},
		"Execute":   {Execute(nil, "p", 5), encode(&pgproto3.Execute{Portal: "p", MaxRows: 5})},
		"Sync":      {Sync(nil), encode(&pgproto3.Sync{})},
		"Flush":     {Flush(nil), encode(&pgproto3.Flush{})},
		"Terminate": {Terminate(nil), encode(&pgproto3.Terminate{})},
		"Ready":     {ReadyForQuery(nil, 'T'), encode(&pgproto3.ReadyForQuery{TxStatus: 'T'})},
		"Command":   {CommandComplete(nil, "SELECT 1"), encode(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})},
		"Parameter": {ParameterStatus(nil, "a", "b"), encode(&pgproto3.ParameterStatus{Name: "a", Value: "b"})},
		"CopyFail":  {CopyFail(nil, "r"), encode(&pgproto3.CopyFail{Message: "r"})},
		"CopyData":  {CopyData(nil, []byte("r")), encode(&pgproto3.CopyData{Data: []byte("r")})},
		"CopyDone":  {Empty(nil, 'c'), encode(&pgproto3.CopyDone{})},
		"NoData":    {Empty(nil, 'n'), encode(&pgproto3.NoData{})},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
	var decoded pgproto3.ErrorResponse
	if err := decoded.Decode(Error(nil, report)[HeaderLen:]); err != nil {
		t.Fatal(err)
	}
	decoded.UnknownFields = nil
	if decoded.Message != fields.Message || decoded.Code != fields.Code || decoded.Hint != fields.Hint || decoded.Where != fields.Where ||
		decoded.Position != 7 || decoded.Detail != "d" || decoded.SeverityUnlocalized != "ERROR" {
		t.Errorf("%+v", decoded)
	}
	if n := Notice(nil, report); n[0] != 'N' || ErrorField(n, 'M') != "m" || ErrorField(n, 'P') != "7" || ErrorField(n, 'q') != "" {
		t.Errorf("%q", n)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(stream(3, 0, 30), uint8(1))
	f.Add([]byte{'D', 0xff, 0xff, 0xff, 0xfe}, uint8(3))
	f.Add([]byte{'D', 0x7f, 0xff, 0xff, 0xff, 1}, uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		r := NewReader(&pieces{left: in, cuts: []int{int(cut) + 1}}, 50_000)
		var got []byte
		for {
			wtyp, wsize, whole := r.Whole()
			typ, frame, err := r.Next()
			if err != nil {
				break
			}
			if whole && (wtyp != typ || wsize != len(frame)) {
				t.Fatalf("whole said %q of %d, next %q of %d", wtyp, wsize, typ, len(frame))
			}
			if len(frame) != int(binary.BigEndian.Uint32(frame[1:]))+1 {
				t.Fatalf("frame %q", frame)
			}
			got = append(got, frame...)
		}
		if !bytes.HasPrefix(in, got) {
			t.Fatal("other bytes than came")
		}
		if cap(r.buf) > max(BufferSize, 2*len(in)) {
			t.Fatalf("a buffer of %d for %d bytes", cap(r.buf), len(in))
		}
		r.Drop()
	})
}

func FuzzBody(f *testing.F) {
	f.Add([]byte("name\x00value\x00\x00\x01\x00\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := Of(in)
		read := 0
		for i := 0; d.Left() > 0 && d.Err() == nil; i++ {
			before := d.Left()
			switch i % 5 {
			case 0:
				d.Byte()
			case 1:
				d.Int16()
			case 2:
				d.Int32()
			case 3:
				d.Text()
			case 4:
				d.Bytes(int(d.Byte()) - 3)
			}
			read += before - d.Left()
		}
		if (d.Err() == nil) != (read == len(in) && d.End() == nil) {
			t.Fatalf("read %d of %d, %v", read, len(in), d.Err())
		}
		_ = ErrorField(append([]byte{'E', 0, 0, 0, 0}, in...), 'C')
	})
}

// The tag of a statement that has not committed stays, and can be taken back; whatever else was written is on its way in order.
func TestWriterHoldsTheTag(t *testing.T) {
	row := func(n int) []byte { return DataRow(nil, [][]byte{bytes.Repeat([]byte("x"), n)}) }
	tag := CommandComplete(nil, "INSERT 0 1")
	for _, size := range []int{10, 9000, 70000} {
		for _, drop := range []bool{false, true} {
			var dst bytes.Buffer
			w := NewWriter(&dst)
			w.HoldTag = true
			answer := append(row(size), tag...)
			if _, err := w.Write(answer); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil || !bytes.Equal(dst.Bytes(), row(size)) {
				t.Errorf("%d bytes: %d are written before the commit, %v", size, dst.Len(), err)
			}
			want := answer
			if drop {
				w.DropTag()
				w.DropTag()
				want = row(size)
			}
			w.HoldTag = false
			if err := w.Flush(); err != nil || !bytes.Equal(dst.Bytes(), want) {
				t.Errorf("%d bytes, dropped %t: %d are written, want %d, %v", size, drop, dst.Len(), len(want), err)
			}
		}
	}
	var dst bytes.Buffer
	w := NewWriter(&dst)
	w.HoldTag = true
	want := append(bytes.Clone(tag), tag...)
	for _, piece := range [][]byte{tag[:7], tag[7:], tag} { // what is behind another tag is the last
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	w.DropTag()
	w.HoldTag = false
	if err := w.Flush(); err != nil || !bytes.Equal(dst.Bytes(), want[:len(tag)]) {
		t.Errorf("%q, %v", dst.Bytes(), err)
	}
}
