package executor

import (
	"bytes"
	"fmt"

	"github.com/pleiad/pleiad/internal/wire"
)

// Observer sees what passes by on its way to the client.
type Observer interface {
	// Parameter is told of a ParameterStatus and says whether the client should see it.
	Parameter(name, value string) bool
	// CopyIn is called when the server waits for COPY data (CopyInResponse was forwarded and flushed): it
	// passes the client's data to m until CopyDone or CopyFail.
	CopyIn(m *Member) error
}

// Outcome sums up what a relay saw.
type Outcome struct {
	Failed bool // an ErrorResponse was forwarded
	// Code is the SQLSTATE of the first forwarded ErrorResponse.
	Code [5]byte
	// Skipped is the first ErrorResponse to a message of pleiad's own, a copy; it was not forwarded.
	Skipped []byte
	passed  bool // something of the server's was forwarded
}

// Relay passes m's owed answers to out until none is owed. ReadyForQuery is never forwarded: the caller says it,
// since it speaks for the whole session. An error means that the connection or the client is lost.
func Relay(m *Member, out *wire.Writer, obs Observer) (Outcome, error) {
	var o Outcome
	if err := m.Send(); err != nil {
		return o, err
	}
	for m.Queue.Len() > 0 {
		head := m.Queue.Head()
		if head.Reply == Fake {
			if _, err := out.Write(head.Frames); err != nil {
				return o, err
			}
			m.Queue.Pop()
			continue
		}
		if _, _, whole := m.R.Whole(); !whole {
			if err := relayPartial(m, out, obs, &o); err != nil {
				return o, err
			}
			continue
		}
		if err := relayBuffered(m, out, obs, &o); err != nil {
			return o, err
		}
	}
	return o, nil
}

// relayBuffered handles the whole frames that are in the buffer, passing runs of them on in one piece.
func relayBuffered(m *Member, out *wire.Writer, obs Observer, o *Outcome) error {
	run := 0 // bytes at the buffer's start that are to be forwarded
	for m.Queue.Len() > 0 && m.Queue.Head().Reply != Fake {
		b := m.R.Bytes()[run:]
		if len(b) < wire.HeaderLen {
			break
		}
		size := int(uint32(b[1])<<24|uint32(b[2])<<16|uint32(b[3])<<8|uint32(b[4])) + 1
		if size < wire.HeaderLen || size > len(b) {
			break
		}
		if t := b[0]; (t == 'D' || t == 'd') && m.Queue.Head().Reply == Forward {
			run += size // the common case: rows
			continue
		}
		forward, hold, err := m.reply(b[:size], obs, o)
		if err != nil {
			return err
		}
		if t := b[0]; forward && (t == 'E' || t == 'N') {
			if err := passFixed(m, out, o, run, size); err != nil {
				return err
			}
			run = 0
			continue
		}
		if forward {
			run += size
			if !hold {
				continue
			}
		}
		if run > 0 {
			o.passed = true
			if _, err := out.Write(m.R.Take(run)); err != nil {
				return err
			}
			run = 0
		}
		if !forward {
			m.R.Take(size)
		}
		if hold {
			if err := out.Flush(); err != nil {
				return err
			}
			if err := obs.CopyIn(m); err != nil {
				return err
			}
		}
	}
	if run > 0 {
		o.passed = true
		if _, err := out.Write(m.R.Take(run)); err != nil {
			return err
		}
	}
	return nil
}

// passFixed passes on the run of bytes and the error or notice behind it.
func passFixed(m *Member, out *wire.Writer, o *Outcome, run, size int) error {
	o.passed = true
	if run > 0 {
		if _, err := out.Write(m.R.Take(run)); err != nil {
			return err
		}
	}
	_, err := out.Write(fixError(m.R.Take(size), m.Shift))
	return err
}

// relayPartial waits for the next frame. Rows longer than the buffer stream through.
func relayPartial(m *Member, out *wire.Writer, obs Observer, o *Outcome) error {
	if o.passed && len(out.Out) > 0 {
		// The server makes the client wait for the rest: show what there is.
		if err := out.Flush(); err != nil {
			return err
		}
	}
	typ, size, err := m.R.Peek()
	if err != nil {
		return m.Lost(err)
	}
	if size <= wire.BufferSize {
		if _, _, whole := m.R.Whole(); whole {
			return nil
		}
		_, err := m.R.Need(size)
		if err != nil {
			return m.Lost(err)
		}
		return nil
	}
	if typ == 'D' || typ == 'd' {
		if m.Queue.Head().Reply == Forward {
			if err := out.Flush(); err != nil {
				return err
			}
			return lostIfRead(m, out, m.R.Copy(out, size))
		}
		if err := m.R.Discard(size); err != nil {
			return m.Lost(err)
		}
		return nil
	}
	frame, err := m.R.Need(size)
	if err != nil {
		return m.Lost(err)
	}
	forward, hold, err := m.reply(frame, obs, o)
	if err != nil {
		return err
	}
	if forward {
		if _, err := out.Write(frame); err != nil {
			return err
		}
	}
	m.R.Take(size)
	if hold {
		return fmt.Errorf("CopyInResponse of %d bytes", size)
	}
	return nil
}

// lostIfRead tells a failing client from a failing server after a copy between them.
func lostIfRead(m *Member, out *wire.Writer, err error) error {
	if err == nil || out.Err() != nil {
		return err
	}
	return m.Lost(err)
}

// reply accounts for one frame and says whether it goes to the client. hold is true when the server now waits
// for COPY data.
func (m *Member) reply(frame []byte, obs Observer, o *Outcome) (forward, hold bool, err error) {
	head := m.Queue.Head()
	forward = head.Reply == Forward
	switch frame[0] {
	case 'D', 'd', 'c', 'H', 'W':
	case 'N':
		forward = forward || head.Report
	case 'A':
		forward = false
	case 'T':
		m.Types.Rows(frame)
		if head.Msg == 'D' {
			m.Queue.Pop()
		}
	case 't':
		m.Types.Params(frame)
	case 'n':
		m.Queue.Pop()
	case '1', '2', '3', 's':
		m.Queue.Pop()
	case 'C', 'I':
		if head.Msg == 'E' {
			m.Queue.Pop()
		}
	case 'S':
		name, value, changed := m.NoteParameter(frame)
		forward = (forward && changed || head.Report) && obs.Parameter(name, value)
	case 'E':
		forward = forward || head.Reply == Quiet
		m.fail(frame, forward, o)
	case 'Z':
		if len(frame) != 6 || head.Msg != 'S' && head.Msg != 'Q' {
			return false, false, m.Lost(fmt.Errorf("unexpected ReadyForQuery"))
		}
		m.Status = frame[wire.HeaderLen]
		m.Owed--
		m.Queue.Pop()
		forward = false
	case 'G':
		hold = true
	case 'K', 'R', 'V', 'v':
		return false, false, m.Lost(fmt.Errorf("unexpected message %q", frame[0]))
	default:
		return false, false, m.Lost(fmt.Errorf("unknown message %q", frame[0]))
	}
	return forward, hold, nil
}

// fail accounts for an ErrorResponse: the server skips everything up to the next Sync, or ends the simple
// query.
func (m *Member) fail(frame []byte, forward bool, o *Outcome) {
	if forward {
		if !o.Failed {
			copy(o.Code[:], wire.ErrorField(frame, 'C'))
		}
		o.Failed = true
	} else if o.Skipped == nil {
		o.Skipped = bytes.Clone(frame)
	}
	for m.Queue.Len() > 0 {
		h := m.Queue.Head()
		if h.Msg == 'S' || h.Msg == 'Q' {
			return
		}
		if h.Statement != 0 {
			m.Statements.Remove(h.Statement)
		}
		if h.Unnamed {
			m.Conn.Unnamed = 0
		}
		m.Queue.Pop()
	}
}
