package executor

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

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
	// Again is the message that failed in such a way (Owed.Again), 0 if none did, and Code the error's.
	Again byte
	// Undone is true if a statement of pleiad's own answered with the tag ROLLBACK: that is how COMMIT and PREPARE
	// TRANSACTION end a transaction that had failed.
	Undone bool
	// Unsynced is true if the server stopped waiting for its standbys although the transaction has committed.
	Unsynced bool
	// Dropped are the answers that an error took the place of.
	Dropped []Owed
	passed  bool // something of the server's was forwarded
	// renamed is the message that failed, for the names in its error.
	renamed Owed
}

// Relay passes m's owed answers to out until none is owed. ReadyForQuery is never forwarded: the caller says it,
// since it speaks for the whole session. An error means that the connection or the client is lost.
func Relay(m *Member, out *wire.Writer, obs Observer) (Outcome, error) {
	return relayTo(m, 0, out, obs)
}

// relayTo is Relay until no more than left answers are owed.
func relayTo(m *Member, left int, out *wire.Writer, obs Observer) (o Outcome, err error) {
	if m.opening && !m.Extended {
		m.SyncNow()
	}
	if len(m.Out) > asideBytes {
		sent := m.sendAside()
		defer func() {
			if lost := sent(err != nil); lost != nil && err == nil {
				err = lost
			}
		}()
	}
	for m.Queue.Len() > left {
		if err := m.Send(); err != nil {
			return o, err
		}
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
		if err := relayBuffered(m, left, out, obs, &o); err != nil {
			return o, err
		}
	}
	return o, m.Send()
}

// asideBytes is how much is sent without reading at the same time. A server that cannot get rid of its answers to the
// first messages reads no more of the others, so larger ones would block both sides.
const asideBytes = 64 << 10

// sendAside writes Out in a goroutine. The caller reads meanwhile, and then calls the function returned, which waits
// for the goroutine's end; giveUp makes it end at once.
func (m *Member) sendAside() func(giveUp bool) error {
	out, conn := m.Out, m.Conn.Conn
	m.Out = nil
	done := make(chan error, 1)
	go func() {
		_, err := conn.Write(out)
		done <- err
	}()
	return func(giveUp bool) error {
		if giveUp {
			_ = conn.SetWriteDeadline(time.Unix(1, 0))
		}
		if err := <-done; err != nil || giveUp {
			return m.Lost(fmt.Errorf("send: %w", err))
		}
		return nil
	}
}

// relayBuffered handles the whole frames that are in the buffer, passing runs of them on in one piece.
func relayBuffered(m *Member, left int, out *wire.Writer, obs Observer, o *Outcome) error {
	run := 0 // bytes at the buffer's start that are to be forwarded
	for m.Queue.Len() > left && m.Queue.Head().Reply != Fake {
		b := m.R.Bytes()[run:]
		if len(b) < wire.HeaderLen {
			break
		}
		size := int(uint32(b[1])<<24|uint32(b[2])<<16|uint32(b[3])<<8|uint32(b[4])) + 1
		if size < wire.HeaderLen || size > len(b) {
			break
		}
		if t, head := b[0], m.Queue.Head(); (t == 'D' || t == 'd') && head.givesRows() {
			if t == 'D' {
				head.rows(m.Types).Row(b[:size])
			}
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
	if o.renamed.Msg == 'S' {
		out.DropTag() // it failed to commit
	}
	_, err := out.Write(m.fixed(m.R.Take(size), o))
	return err
}

// fixed makes an error or notice one about what the client has sent.
func (m *Member) fixed(frame []byte, o *Outcome) []byte {
	frame = m.gang.judged(frame)
	if m.Position != nil {
		frame = MovePosition(frame, m.Position)
	}
	if to := o.renamed.Position; to != nil {
		frame = MovePosition(frame, to)
		o.renamed.Position = nil
	}
	frame = m.clientTerms(frame, m.Shift)
	if r := &o.renamed; r.Server != "" {
		frame = replaceField(frame, 'M', strings.ReplaceAll(wire.ErrorField(frame, 'M'), `"`+r.Server+`"`, `"`+r.Client+`"`))
		r.Server = ""
	}
	return frame
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
	if typ == 'D' || typ == 'd' || typ == 'V' {
		if _, _, err := m.reply([]byte{typ, 0, 0, 0, 0}, obs, o); err != nil {
			return err
		}
		if m.Queue.Head().givesRows() {
			if typ == 'D' && m.Queue.Head().rows(m.Types) != nil {
				return relayTranslated(m, size, out)
			}
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
	if t := frame[0]; forward && (t == 'E' || t == 'N') {
		frame = m.fixed(frame, o)
		o.passed = true
	}
	if forward {
		if _, err := out.Write(frame); err != nil {
			return err
		}
	}
	m.R.Take(size)
	if hold {
		return m.Lost(fmt.Errorf("CopyInResponse of %d bytes", size))
	}
	return nil
}

// translatedBytes bounds a row that is read as a whole because oids in it are translated.
const translatedBytes = 256 << 20

// relayTranslated passes on a row that is longer than the buffer and may hold the backend's oids.
func relayTranslated(m *Member, size int, out *wire.Writer) error {
	if size > translatedBytes {
		return m.Lost(fmt.Errorf("row of %d bytes with values of user-defined types in binary format", size))
	}
	frame, err := m.R.Need(size)
	if err != nil {
		return m.Lost(err)
	}
	m.Queue.Head().rows(m.Types).Row(frame)
	_, err = out.Write(m.R.Take(size))
	return err
}

// lostIfRead tells a failing client from a failing server after a copy between them. The client of a failing server
// has got a part of a frame: nothing can follow it.
func lostIfRead(m *Member, out *wire.Writer, err error) error {
	if err == nil || out.Err() != nil {
		return err
	}
	err = m.Lost(err)
	out.Break(err)
	return err
}

// givesRows tells whether rows, or a function's value, may answer the message, and go to the client.
func (o *Owed) givesRows() bool {
	return o.Reply == Forward && (o.Msg == 'E' || o.Msg == 'Q' || o.Msg == 'F')
}

// answers tells whether a frame of type typ may answer the message.
func (o *Owed) answers(typ byte) bool {
	switch typ {
	case 'D', 'C', 'I', 'd', 'c', 'H', 'G':
		return o.Msg == 'E' || o.Msg == 'Q'
	case 'T':
		return o.Msg == 'D' || o.Msg == 'Q'
	case 't', 'n':
		return o.Msg == 'D'
	case '1':
		return o.Msg == 'P'
	case '2':
		return o.Msg == 'B'
	case '3':
		return o.Msg == 'C'
	case 's':
		return o.Msg == 'E'
	case 'Z':
		return o.Msg == 'S' || o.Msg == 'Q' || o.Msg == 'F'
	case 'V':
		return o.Msg == 'F'
	case 'N', 'A', 'S', 'E':
		return true
	}
	return false
}

// reply accounts for one frame and says whether it goes to the client. hold is true when the server now waits
// for COPY data.
func (m *Member) reply(frame []byte, obs Observer, o *Outcome) (forward, hold bool, err error) {
	head := m.Queue.Head()
	if !head.answers(frame[0]) {
		return false, false, m.Lost(fmt.Errorf("message %q in answer to %q", frame[0], head.Msg))
	}
	forward = head.Reply == Forward
	switch frame[0] {
	case 'N':
		unsynced := wire.ErrorField(frame, 'R') == "SyncRepWaitForLSN"
		o.Unsynced = o.Unsynced || unsynced
		forward = (forward || head.Report || head.Again) && !(unsynced && m.waits == waitKept) // its client did not ask to wait
	case 'A':
		forward = false
	case 'T':
		m.Types.Rows(frame)
		if head.Table != 0 {
			ofTable(frame, head.Table)
		}
		if head.Msg == 'D' {
			head.Shape.columns(frame)
			m.Queue.Pop()
		} else {
			head.values = m.Types.described(frame)
		}
	case 't':
		m.Types.Params(frame)
		head.Shape.params(frame)
	case 'n':
		head.Shape.columns(nil)
		m.Queue.Pop()
	case '1', '2', '3', 's':
		m.Queue.Pop()
	case 'C', 'I':
		if !forward {
			o.noteTag(frame)
		}
		if head.Msg == 'E' {
			m.Queue.Pop()
		}
	case 'S':
		name, value, changed := m.NoteParameter(frame)
		forward = (forward && changed || head.Report) && obs.Parameter(name, value)
	case 'E':
		if isFatal(frame) {
			return false, false, m.Lost(fatalError(frame))
		}
		forward = forward || head.Reply == Quiet
		if head.Again && !o.passed && ofText(wire.ErrorField(frame, 'C')) {
			forward, o.Again = false, head.Msg
			copy(o.Code[:], wire.ErrorField(frame, 'C'))
		}
		m.fail(frame, forward, o)
	case 'Z':
		if err := m.Ready(frame); err != nil {
			return false, false, err
		}
		m.Queue.Pop()
		forward = false
	case 'G':
		if !forward {
			return false, false, m.Lost(errors.New("CopyInResponse that nobody asked for"))
		}
		hold = true
	}
	return forward, hold, nil
}

// ofText tells the errors that may be of how a statement was put: what it says, the values that it was given, or that the server
// does not have it.
func ofText(code string) bool {
	switch code[:min(2, len(code))] {
	case "22", "42", "0A", "26":
		return true
	}
	return false
}

// noteTag looks at the tag of a statement whose answer is not shown.
func (o *Outcome) noteTag(frame []byte) {
	if bytes.Equal(frame[wire.HeaderLen:], rollbackTag) {
		o.Undone = true
	}
}

var rollbackTag = []byte("ROLLBACK\x00")

// isFatal tells the ErrorResponse after which the server closes the connection. The client's own session goes on, so
// it is not shown as it is.
func isFatal(frame []byte) bool {
	switch wire.ErrorField(frame, 'V') {
	case "FATAL", "PANIC":
		return true
	}
	return false
}

func fatalError(frame []byte) error {
	return fmt.Errorf("%s: %s (SQLSTATE %s)",
		wire.ErrorField(frame, 'V'), wire.ErrorField(frame, 'M'), wire.ErrorField(frame, 'C'))
}

// fail accounts for an ErrorResponse. It ends a simple query and a function call; in the extended protocol the server skips everything up
// to the next Sync, those as well (ignore_till_sync of postgres.c).
func (m *Member) fail(frame []byte, forward bool, o *Outcome) {
	if forward {
		if !o.Failed {
			copy(o.Code[:], wire.ErrorField(frame, 'C'))
		}
		o.Failed = true
	} else if o.Skipped == nil {
		o.Skipped = m.clientTerms(bytes.Clone(frame), 0)
	}
	o.renamed = *m.Queue.Head()
	if o.renamed.Msg == 'Q' || o.renamed.Msg == 'F' {
		return
	}
	queries := false
	for m.Queue.Len() > 0 {
		h := m.Queue.Head()
		switch {
		case h.Msg == 'S':
			return
		case h.Msg == 'Q' || h.Msg == 'F':
			m.Owed--
			queries = true
		case h.Statement != 0:
			m.Statements.Remove(h.Statement)
		case h.Evicted != 0:
			m.Statements.Add(h.Evicted, 0)
		case h.Msg == 'C' && h.Reply == Skip:
			// Which statement the server still has is not known.
			m.Unclean, m.Owner = true, 0
		}
		if h.Unnamed {
			m.Conn.Unnamed = 0
		}
		if h.Client != "" && h.Reply != Quiet {
			o.Dropped = append(o.Dropped, *h)
		}
		m.Queue.Pop()
	}
	if queries && m.Owed == 0 {
		m.SyncNow()
	}
}
