package executor

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// CopySink is COPY FROM STDIN on one backend, which gets a part of the client's rows.
type CopySink struct {
	Member *Member
	// Values translates rows of binary data, whose oids are home's.
	Values *Values
	Opened bool  // the prologue has been sent
	Line   int64 // lines sent
	// Notice is shown what the server has to say; nil where another copy's server says the same.
	Notice func(frame []byte)

	text  string
	data  []byte  // rows collected for the next CopyData
	lines []int64 // ring: the client's line of each of the last lines sent
	done  bool    // ReadyForQuery has been read
}

// lineRing is how many lines are remembered, to name the client's line when the server rejects its own: more than
// the socket's buffers hold, since an error is looked for before more is sent.
const lineRing = 1 << 17

// sinkChunk is how much is collected before it is sent.
const sinkChunk = 32 << 10

// CopyFailure is why a COPY failed: a server's ErrorResponse or an error of pleiad's.
type CopyFailure struct {
	Frame []byte
	Err   *pgerr.Error
}

func (f *CopyFailure) Error() string {
	if f.Frame != nil {
		return wire.ErrorField(f.Frame, 'M')
	}
	return f.Err.Error()
}

// Row is the row that a server's error is about, by the line of the client's data; errors about none come last.
func (f *CopyFailure) Row() int64 {
	if m := copyLine.FindStringSubmatch(wire.ErrorField(f.Frame, 'W')); m != nil {
		if n, err := strconv.ParseInt(m[2], 10, 64); err == nil {
			return n
		}
	}
	return math.MaxInt64
}

// NewCopySink prepares COPY with this text on m.
func NewCopySink(m *Member, text string) *CopySink { return &CopySink{Member: m, text: text} }

// Begin starts COPY. It returns the CopyInResponse, or the ErrorResponse of a server that refuses.
func (c *CopySink) Begin() (response, refused []byte, err error) {
	m := c.Member
	if err := Settle(m); err != nil {
		return nil, nil, err
	}
	m.Conn.Unnamed = 0
	m.Out = wire.Query(m.Out, c.text)
	m.Owed++
	if err := m.Send(); err != nil {
		return nil, nil, err
	}
	for {
		typ, frame, err := m.Next()
		if err != nil {
			return nil, nil, err
		}
		switch typ {
		case 'G':
			return bytes.Clone(frame), nil, nil
		case 'E':
			refused = bytes.Clone(frame)
		case 'S':
			m.NoteParameter(frame)
		case 'Z':
			if err := m.Ready(frame); err != nil {
				return nil, nil, err
			}
			c.done = true
			if refused == nil {
				return nil, nil, m.Lost(fmt.Errorf("COPY ended before it began"))
			}
			return nil, refused, nil
		}
	}
}

// Raw adds bytes that are no row of the client's.
func (c *CopySink) Raw(b []byte) { c.data = append(c.data, b...) }

// Row adds a row, which write appends, that stands at the given line of the client's data. The error is a
// *CopyFailure when the server has rejected an earlier row.
func (c *CopySink) Row(line int64, write func(dst []byte) ([]byte, error)) error {
	var err error
	from := len(c.data)
	if c.data, err = write(c.data); err != nil {
		return err
	}
	c.Values.Tuple(c.data[from:])
	if c.lines == nil {
		c.lines = make([]int64, 0, 1024)
	}
	// A row of several lines counts as many on the server.
	for range max(1, bytes.Count(c.data[from:], []byte{'\n'})) {
		if len(c.lines) < lineRing {
			c.lines = append(c.lines, line)
		} else {
			c.lines[c.Line%lineRing] = line
		}
		c.Line++
	}
	if len(c.data) < sinkChunk {
		return nil
	}
	return c.flush()
}

func (c *CopySink) flush() error {
	if c.done || len(c.data) == 0 {
		c.data = c.data[:0]
		return nil
	}
	m := c.Member
	if m.readable() {
		if f, err := c.readFailure(); f != nil || err != nil {
			if f != nil {
				return f
			}
			return err
		}
	}
	m.Out = wire.CopyData(m.Out, c.data)
	c.data = c.data[:0]
	if cap(c.data) > 8*sinkChunk {
		c.data = nil
	}
	return m.Send()
}

// readFailure reads what the server says before the data is over: an error, or a notice.
func (c *CopySink) readFailure() (*CopyFailure, error) {
	for c.Member.readable() || c.Member.R.Buffered() > 0 {
		typ, frame, err := c.Member.Next()
		if err != nil {
			return nil, err
		}
		switch typ {
		case 'E':
			f := &CopyFailure{Frame: c.mapLines(bytes.Clone(frame))}
			_, err := c.Member.drainInto(nil)
			c.done = true
			return f, err
		case 'S':
			c.Member.NoteParameter(frame)
		case 'N':
			c.notice(frame)
		}
	}
	return nil, nil
}

func (c *CopySink) notice(frame []byte) {
	if c.Notice != nil {
		c.Notice(c.mapLines(frame))
	}
}

// SkippedRows is how many rows a notice says that COPY has left out for their errors; ok is false for other notices.
func SkippedRows(notice []byte) (n int64, ok bool) {
	if wire.ErrorField(notice, 'R') != "CopyFrom" {
		return 0, false
	}
	n, err := strconv.ParseInt(firstNumber.FindString(wire.ErrorField(notice, 'M')), 10, 64)
	return n, err == nil
}

var firstNumber = regexp.MustCompile(`[0-9]+`)

// SumOfSkipped is the notice of n skipped rows, made of one that a server sent for a part of them.
func SumOfSkipped(notice []byte, n int64) []byte {
	m := wire.ErrorField(notice, 'M')
	if n > 1 {
		m = strings.Replace(m, " row was skipped", " rows were skipped", 1)
	}
	at := firstNumber.FindStringIndex(m)
	return replaceField(notice, 'M', m[:at[0]]+strconv.FormatInt(n, 10)+m[at[1]:])
}

// End sends CopyDone and reads the outcome: the number of rows.
func (c *CopySink) End() (rows int64, err error) {
	if c.done {
		return 0, nil
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	m := c.Member
	m.Out = wire.Empty(m.Out, 'c')
	if err := m.Send(); err != nil {
		return 0, err
	}
	errFrame, err := m.drainInto(func(typ byte, frame []byte) {
		switch typ {
		case 'C':
			tag := strings.TrimRight(string(frame[wire.HeaderLen:]), "\x00")
			rows, _ = strconv.ParseInt(tag[strings.LastIndexByte(tag, ' ')+1:], 10, 64)
		case 'N':
			c.notice(frame)
		}
	})
	c.done = true
	if err != nil {
		return 0, err
	}
	if errFrame != nil {
		return 0, &CopyFailure{Frame: c.mapLines(errFrame)}
	}
	return rows, nil
}

// Abort ends COPY without its rows. It returns the ErrorResponse of a row that the server had rejected before.
func (c *CopySink) Abort(reason string) (failure []byte) {
	if c.done || c.Member.Broken() {
		return nil
	}
	var f *CopyFailure
	if errors.As(c.flush(), &f) {
		return f.Frame
	}
	c.done = true
	m := c.Member
	m.Out = wire.CopyFail(m.Out, reason)
	if m.Send() != nil {
		return nil // whoever uses the lost connection next notices
	}
	errFrame, _ := m.drainInto(nil)
	if wire.ErrorField(errFrame, 'C') == pgerr.QueryCanceled {
		return nil
	}
	return c.mapLines(errFrame)
}

var copyLine = regexp.MustCompile(`(?m)^(COPY .*, line )(\d+)`)

// mapLines rewrites the line in an error's context from the backend's count to the client's.
func (c *CopySink) mapLines(frame []byte) []byte {
	where := wire.ErrorField(frame, 'W')
	m := copyLine.FindStringSubmatchIndex(where)
	if m == nil {
		return frame
	}
	n, err := strconv.ParseInt(where[m[4]:m[5]], 10, 64)
	if err != nil || n < 1 || n > c.Line || n <= c.Line-lineRing || len(c.lines) == 0 {
		return frame
	}
	header := c.Line - int64(len(c.lines))
	if c.Line > lineRing {
		header = 0
	}
	i := n - 1
	if len(c.lines) < lineRing {
		i -= header // header lines are counted but not remembered
	} else {
		i %= lineRing
	}
	if i < 0 || i >= int64(len(c.lines)) {
		return frame
	}
	mapped := where[:m[4]] + strconv.FormatInt(c.lines[i], 10) + where[m[5]:]
	return replaceField(frame, 'W', mapped)
}

// replaceField returns an ErrorResponse with one field changed.
func replaceField(frame []byte, code byte, value string) []byte {
	out, at := wire.Begin(nil, frame[0])
	b := wire.BodyOf(frame)
	for {
		k := b.Byte()
		if k == 0 {
			break
		}
		v := b.Text()
		out = append(out, k)
		if k == code {
			out = append(out, value...)
		} else {
			out = append(out, v...)
		}
		out = append(out, 0)
	}
	return wire.End(append(out, 0), at)
}

// readable tells whether the server has said something, without waiting.
func (m *Member) readable() bool {
	if m.R.Buffered() > 0 {
		return true
	}
	sc, ok := m.Conn.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var n int
	_ = rc.Control(func(fd uintptr) {
		var b [1]byte
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return n > 0
}

// FrameToError is an ErrorResponse as an error of pleiad's own.
func FrameToError(frame []byte) *pgerr.Error {
	position, err := strconv.Atoi(wire.ErrorField(frame, 'P'))
	if err != nil {
		position = 0 // none
	}
	return &pgerr.Error{
		Severity: "ERROR", Code: wire.ErrorField(frame, 'C'), Message: wire.ErrorField(frame, 'M'),
		Detail: wire.ErrorField(frame, 'D'), Hint: wire.ErrorField(frame, 'H'), Context: wire.ErrorField(frame, 'W'), Position: position,
	}
}
