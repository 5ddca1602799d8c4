package executor

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// Scatter is one statement running on several backends at once.
type Scatter struct {
	Gang    *Gang
	Members []*Member
	// Texts holds one statement per member, or one for all.
	Texts []string
	// OIDs and Params are what the client gave with Parse and Bind: parameter types (home's), and the Bind body
	// from the parameter formats to the last value.
	OIDs   []uint32
	Params []byte
	// Formats are the client's result formats: none (text), one for all, or one for each column.
	Formats []int16
	Sort    []router.SortKey
	Limit   int64 // rows to give, -1 for all
	Offset  int64
	// Ties is true if rows equal to the last one in all sort columns follow it.
	Ties bool
	// Describe is true if the client is to see a RowDescription (simple protocol).
	Describe bool
	// Replan is true if the statement has another plan: where the order of its rows cannot be reproduced, Run and Fetch return
	// *Unsorted, having given no row, and no transaction is the worse for it.
	Replan bool
	// Columns, when set, is the RowDescription that the client sees in place of the server's, whose types are the same.
	Columns []byte
	// Command is the tag's word; INSERT's tag carries an oid of 0.
	Command string
	// Turns, when set, names the member that each row comes from in turn. If a backend gives fewer rows than it
	// has turns (ON CONFLICT DO NOTHING), its remaining turns are passed over.
	Turns []int
	// Position, when set, translates an error's position in a member's text into the client's message.
	Position   func(member, position int) int
	Collations Collations
	// Arrays are further parameters behind the client's, such as rows that Collect has gathered: one list for each member,
	// or one for all.
	Arrays [][]*Array
	// Statement, if not 0, is the prepared statement that the text is on the servers: each keeps it once it has parsed it. There
	// are no Arrays then.
	Statement uint64
	// Known, when set, is what Learn would ask for.
	Known *SortColumns

	streams []*stream
	events  chan event
	cmp     []comparator
	given   int64    // rows given since the last Fetch began
	columns int      // visible ones
	types   []uint32 // of the sort columns behind them
	heap    []int
	turning bool        // Turns was set
	paused  bool        // a Fetch has left rows for another one
	sent    int64       // rows given to the client
	skipped int64       // rows of the OFFSET passed over
	tie     []sortValue // with Ties: the sort columns of the last row within the limit
	counted int64       // rows counted by the backends' tags
	failure []byte
	lost    error
	held    int             // bytes of rows that hold has read
	ctx     context.Context // of the running or last Fetch: it bounds a cancel
}

// Run executes the statement to the end and writes its result, CommandComplete included, or its ErrorResponse.
// failed tells which. An error means that the client is gone.
func (s *Scatter) Run(ctx context.Context, out *wire.Writer, obs Observer) (failed bool, err error) {
	if err := s.Open(ctx); err != nil {
		if u := s.unsorted(err); u != nil {
			return false, u
		}
		out.Out = wire.Error(out.Out, ClientError(err))
		return true, out.Err()
	}
	if _, err := s.Fetch(ctx, 0, out, obs); err != nil {
		return true, err
	}
	return s.Failed(), nil
}

// Learn asks for the sort columns, ahead of Open: an error says that their order is not known here.
func (s *Scatter) Learn() error { return s.learnColumns() }

// Open sends the statement to every backend and starts reading.
func (s *Scatter) Open(ctx context.Context) error {
	if len(s.Sort) > 0 && s.cmp == nil {
		if err := s.learnColumns(); err != nil {
			return err
		}
	}
	s.events = make(chan event, len(s.Members)*(chunksAhead+1))
	s.turning = len(s.Turns) > 0
	bound, err := s.Gang.bindAll(ctx, s.Members, s.Command == "SELECT", binding{
		parse: s.parse,
		bind: func(i int, statement string) {
			if err := s.bind(i, s.Members[i], statement); err != nil {
				_ = s.Members[i].Lost(err) // Send says so again
			}
		},
	})
	if err != nil {
		return err
	}
	if i := bound.first(); i >= 0 {
		s.notBound(i, bound.replies[i])
		return nil
	}
	for _, m := range s.Members {
		m.executeBound()
	}
	for i, m := range s.Members {
		st := newStream(i, m, s.events)
		st.named = bound.named[i]
		s.streams = append(s.streams, st)
		if err := m.Send(); err != nil {
			st.over, st.ended = true, true
			_ = s.lose(err)
			continue
		}
		if bound.replies != nil {
			for _, n := range bound.replies[i].notices {
				st.pending = append(st.pending, event{from: i, frame: n})
			}
		}
		go st.read()
	}
	s.Gang.streaming = append(s.Gang.streaming, s)
	return nil
}

func (s *Scatter) parse(i int) named {
	return s.Members[i].parseNamed(s.Statement, s.Gang.Servers.StatementLimit(), s.Texts[min(i, len(s.Texts)-1)], s.OIDs)
}

// notBound fails a statement that a member refused to bind: no stream reads.
func (s *Scatter) notBound(from int, r bindReply) {
	if r.failure == nil {
		_ = s.lose(r.lost)
		return
	}
	s.failure = s.inClientsTerms(from, r.failure)
}

// inClientsTerms is a server's error as the client is to see it.
func (s *Scatter) inClientsTerms(from int, frame []byte) []byte {
	frame = s.Members[from].clientTerms(s.Gang.judged(frame), 0)
	if s.Position != nil {
		frame = MovePosition(frame, func(p int) int { return s.Position(from, p) })
	}
	return frame
}

// bind composes Bind: the client's parameters, and the result formats, with binary for the hidden sort columns.
func (s *Scatter) bind(member int, m *Member, statement string) error {
	if len(s.Arrays) == 0 {
		m.Out = wire.Bind(m.Out, "", statement, append(m.clientParams(s.Params, s.OIDs), s.resultFormats()...))
		return nil
	}
	return m.bind(m.clientParams(s.Params, s.OIDs), s.Arrays[min(member, len(s.Arrays)-1)], s.resultFormats())
}

func (s *Scatter) resultFormats() (tail []byte) {
	if len(s.Sort) == 0 {
		tail = binary.BigEndian.AppendUint16(tail, uint16(len(s.Formats)))
		for _, f := range s.Formats {
			tail = binary.BigEndian.AppendUint16(tail, uint16(f))
		}
		return tail
	}
	tail = binary.BigEndian.AppendUint16(tail, uint16(s.columns+len(s.Sort)))
	for i := range s.columns {
		var f int16
		switch len(s.Formats) {
		case 0:
		case 1:
			f = s.Formats[0]
		default:
			if i < len(s.Formats) {
				f = s.Formats[i]
			}
		}
		tail = binary.BigEndian.AppendUint16(tail, uint16(f))
	}
	for range s.Sort {
		tail = binary.BigEndian.AppendUint16(tail, 1)
	}
	return tail
}

// SortColumns are a sorted statement's result: how many columns the client sees, and the types (home's) of those behind them.
type SortColumns struct {
	Visible int
	Types   []uint32
}

// Learned is what Learn has been told.
func (s *Scatter) Learned() *SortColumns { return &SortColumns{s.columns, s.types} }

// learnColumns finds how rows compare: how many columns there are decides their formats as well.
func (s *Scatter) learnColumns() (err error) {
	if s.Known == nil {
		if err := s.askColumns(); err != nil {
			return err
		}
	} else {
		s.columns, s.types = s.Known.Visible, s.Known.Types
	}
	s.cmp, err = newComparators(s.types, s.Sort, s.Collations)
	return err
}

// askColumns asks the first backend for the result's columns.
func (s *Scatter) askColumns() error {
	m := s.Members[0]
	m.Out = wire.Parse(m.Out, "", s.Texts[0], m.OIDs(s.OIDs))
	m.Unnamed = 0
	m.Out = wire.Describe(m.Out, 'S', "")
	m.Out = wire.Sync(m.Out)
	m.Owed++
	m.opening, m.Extended = false, false
	if err := m.Send(); err != nil {
		return err
	}
	if err := Settle(m); err != nil {
		return err
	}
	var fields []byte
	errFrame, err := m.drainInto(func(typ byte, frame []byte) {
		if typ == 'T' {
			fields = append([]byte(nil), frame...)
		}
	})
	if err != nil {
		return err
	}
	if errFrame != nil {
		if s.Position != nil {
			errFrame = MovePosition(errFrame, func(p int) int { return s.Position(0, p) })
		}
		return &FrameError{Frame: errFrame}
	}
	types := ColumnTypes(fields)
	if len(types) < len(s.Sort) {
		return pgerr.New(pgerr.InternalError, "scatter statement has %d columns, %d of them hidden", len(types), len(s.Sort))
	}
	s.columns = len(types) - len(s.Sort)
	s.types = types[s.columns:]
	return nil
}

// Fetch gives up to limit rows (0: all). more is true when the portal is suspended.
func (s *Scatter) Fetch(ctx context.Context, limit int64, out *wire.Writer, obs Observer) (more bool, err error) {
	s.ctx, s.given = ctx, 0
	if s.lost == nil && s.failure == nil {
		if len(s.Sort) > 0 {
			more, err = s.merge(limit, out, obs)
		} else if s.turning {
			more, err = s.takeTurns(limit, out, obs)
		} else {
			more, err = s.concat(limit, out, obs)
		}
		if err != nil {
			return false, s.abandon(ctx, err)
		}
		if more {
			s.paused = true
			out.Out = wire.Empty(out.Out, 's')
			return true, out.Spill()
		}
	}
	unsorted := s.unsorted(s.lost)
	if s.Failed() && unsorted == nil { // a cancelled statement would end the transaction
		s.cancel(ctx)
	}
	if err := s.drain(out, obs); err != nil {
		return false, err
	}
	if unsorted != nil && s.failure == nil {
		return false, unsorted
	}
	switch {
	case s.failure != nil:
		_, err = out.Write(s.failure)
	case s.lost != nil:
		out.Out = wire.Error(out.Out, ClientError(s.lost))
	default:
		out.Out = wire.CommandComplete(out.Out, s.tag())
	}
	return false, err
}

// Unsorted says that rows come in an order that is not proved to be reproduced here.
type Unsorted struct{ Err *pgerr.Error }

func (u *Unsorted) Error() string { return u.Err.Error() }

// unsorted gives the reason why the statement has to be planned anew, nil for none.
func (s *Scatter) unsorted(err error) *Unsorted {
	var own *pgerr.Error
	if !s.Replan || s.sent+s.skipped > 0 || s.paused || !errors.As(err, &own) || own.Code != pgerr.FeatureNotSupported {
		return nil
	}
	return &Unsorted{own}
}

// Failed tells whether the statement ended with an error.
func (s *Scatter) Failed() bool { return s.failure != nil || s.lost != nil }

// tag is the command tag: of a portal's last Execute, if it ran in several.
func (s *Scatter) tag() string {
	n := s.given
	if s.Command != "SELECT" && !s.paused {
		n = s.counted
	}
	if s.Command == "INSERT" {
		return "INSERT 0 " + strconv.FormatInt(n, 10)
	}
	return s.Command + " " + strconv.FormatInt(n, 10)
}

// noteTag adds up a backend's command tag.
func (s *Scatter) noteTag(frame []byte) {
	tag := strings.TrimRight(string(frame[wire.HeaderLen:]), "\x00")
	if i := strings.LastIndexByte(tag, ' '); i >= 0 {
		if n, err := strconv.ParseInt(tag[i+1:], 10, 64); err == nil {
			s.counted += n
		}
	}
}

// control handles an event that is not rows. It returns false when the statement has failed.
func (s *Scatter) control(e event, out *wire.Writer, obs Observer) (ok bool) {
	st := s.streams[e.from]
	switch {
	case e.broken != nil:
		st.ended = true
		return s.lose(e.broken)
	case e.done:
		st.ended = true
		return true
	case e.frame == nil:
		return true
	}
	switch e.frame[0] {
	case 'E':
		return s.fail(e)
	case 'N':
		_, _ = out.Write(st.m.clientTerms(e.frame, 0)) // a client that is gone is noticed with the next row
	case 'C':
		s.noteTag(e.frame)
	case 'T':
		return s.describe(st, e.frame, out)
	case 'S':
		st.m.NoteParameter(e.frame)
	}
	return true
}

// fail takes note of a server's error; the first that is known is the statement's.
func (s *Scatter) fail(e event) (ok bool) {
	if isFatal(e.frame) {
		return s.lose(&backend.LostError{Backend: s.streams[e.from].m.Name, Err: fatalError(e.frame)})
	}
	if s.failure == nil && s.lost == nil { // else it may be the answer to a cancel
		s.failure = s.inClientsTerms(e.from, e.frame)
	}
	return false
}

// lose fails the statement with an error that is not a server's own.
func (s *Scatter) lose(err error) (ok bool) {
	if s.lost == nil {
		s.lost = err
	}
	return false
}

// describe checks a backend's RowDescription and shows the client the first.
func (s *Scatter) describe(st *stream, frame []byte, out *wire.Writer) (ok bool) {
	types := ColumnTypes(frame)
	hidden := len(s.Sort)
	if len(types) < hidden || !slices.Equal(types[len(types)-hidden:], s.types) {
		return s.lose(pgerr.New(pgerr.InternalError, "backend %q describes other sort columns than the first", st.m.Name))
	}
	if s.Columns != nil {
		if !slices.Equal(types, ColumnTypes(s.Columns)) {
			return s.lose(pgerr.New(pgerr.InternalError, "the answer has columns of types %v instead of %v", types, ColumnTypes(s.Columns)))
		}
		frame = s.Columns
	}
	if s.Describe {
		s.Describe = false
		_, _ = out.Write(stripColumns(frame, hidden))
	}
	return true
}

// live counts the streams whose end has not been seen.
func (s *Scatter) live() int {
	n := 0
	for _, st := range s.streams {
		if !st.ended {
			n++
		}
	}
	return n
}

// drain reads all streams to their ends.
func (s *Scatter) drain(out *wire.Writer, obs Observer) error {
	for _, st := range s.streams {
		for _, e := range st.pending {
			s.settleEvent(e, out, obs)
		}
		st.pending = nil
	}
	for s.reading() > 0 {
		s.settleEvent(s.receive(), out, obs)
	}
	s.Gang.streamed(s)
	return out.Err()
}

func (s *Scatter) settleEvent(e event, out *wire.Writer, obs Observer) {
	if e.rows != nil {
		s.streams[e.from].recycle(e.rows)
		return
	}
	s.control(e, out, obs)
}

// concat gives rows as they come, whichever backend is first.
func (s *Scatter) concat(limit int64, out *wire.Writer, obs Observer) (more bool, err error) {
	for {
		for _, st := range s.streams {
			for row := st.take(); row != nil; row = st.take() {
				if s.full() {
					continue
				}
				if !s.pass() {
					continue
				}
				if _, err := out.Write(row); err != nil {
					return false, err
				}
				if limit > 0 && s.given == limit {
					return true, nil
				}
			}
			if st.buffer != nil {
				st.recycle(st.buffer)
				st.buffer = nil
			}
		}
		if s.live() == 0 {
			return false, nil
		}
		e, err := s.next(out)
		if err != nil {
			return false, err
		}
		if e.rows == nil {
			if !s.control(e, out, obs) {
				return false, nil
			}
			continue
		}
		st := s.streams[e.from]
		st.rows, st.buffer = e.rows, e.rows
		if s.Limit < 0 && s.Offset == 0 && limit == 0 {
			n := countRows(e.rows)
			s.sent += n
			s.given += n
			if _, err := out.Write(e.rows); err != nil {
				return false, err
			}
			st.rows = nil
		}
	}
}

// full tells whether LIMIT is reached.
func (s *Scatter) full() bool { return s.Limit >= 0 && s.sent >= s.Limit }

// pass counts a row and tells whether it lies behind OFFSET and so goes to the client.
func (s *Scatter) pass() bool {
	if s.skipped < s.Offset {
		s.skipped++
		return false
	}
	s.sent++
	s.given++
	return true
}

func countRows(b []byte) (n int64) {
	for len(b) > 0 {
		b = b[int(binary.BigEndian.Uint32(b[1:]))+1:]
		n++
	}
	return n
}

// ColumnTypes lists the type oids of a RowDescription, none of NoData.
func ColumnTypes(frame []byte) []uint32 {
	if len(frame) < 7 {
		return nil
	}
	d := wire.BodyOf(frame)
	n := d.Uint16()
	types := make([]uint32, 0, n)
	for range n {
		d.Text()
		d.Bytes(6)
		types = append(types, uint32(d.Int32()))
		d.Bytes(8)
	}
	if d.End() != nil {
		return nil
	}
	return types
}

// stripColumns removes the last hidden columns from a RowDescription.
func stripColumns(frame []byte, hidden int) []byte {
	if hidden == 0 || len(frame) < wire.HeaderLen+2 {
		return frame
	}
	d := wire.BodyOf(frame)
	n := max(d.Uint16()-hidden, 0)
	for range n {
		d.Text()
		d.Bytes(18)
	}
	out := append([]byte(nil), frame[:len(frame)-d.Left()]...)
	binary.BigEndian.PutUint16(out[wire.HeaderLen:], uint16(n))
	return wire.End(out, 0)
}

// FrameError is a server's ErrorResponse on its way to the client.
type FrameError struct{ Frame []byte }

func (e *FrameError) Error() string {
	return wire.ErrorField(e.Frame, 'S') + ": " + wire.ErrorField(e.Frame, 'M') + " (SQLSTATE " + wire.ErrorField(e.Frame, 'C') + ")"
}
