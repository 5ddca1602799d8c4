package executor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// chunkSize is how much of one backend's result is read ahead in one piece; chunksAhead how many pieces.
const (
	chunkSize   = 32 << 10
	chunksAhead = 3
)

// event is one piece of what a backend answered.
type event struct {
	from   int
	rows   []byte // whole DataRow frames; give the buffer back with stream.recycle
	frame  []byte // any other frame that matters: T n E N S C I s, a copy
	done   bool   // ReadyForQuery was read: the stream ends
	broken error  // the connection broke: the stream ends
}

// stream reads one backend's answers in a goroutine of its own, which ends at ReadyForQuery or when the
// connection breaks, and not before: the reader of events must drain them.
type stream struct {
	index  int
	m      *Member
	events chan<- event
	free   chan []byte

	pending []event     // merge: received out of turn
	rows    []byte      // rows not consumed yet
	buffer  []byte      // the chunk that rows lies in
	head    []byte      // merge: the row that is next in this stream, in buffer
	keys    []sortValue // merge: head's sort columns
	cut     int         // merge: where head's visible columns end
	values  *Values     // the reading goroutine's: translates the rows that come
	told    bool        // the reading goroutine's: the server has said how the statement ended
	parsed  bool        // it has said ParseComplete; the reading goroutine's until its last event
	named   named       // what that was said of
	ended   bool        // its last event has been handled
	over    bool        // its last event has been received: the goroutine has ended
}

func newStream(index int, m *Member, events chan<- event) *stream {
	s := &stream{index: index, m: m, events: events, free: make(chan []byte, chunksAhead)}
	for range chunksAhead {
		s.free <- nil
	}
	return s
}

// recycle gives a chunk's buffer back to the reading goroutine.
func (s *stream) recycle(b []byte) {
	if cap(b) > 2*chunkSize {
		b = nil
	}
	select {
	case s.free <- b[:0]:
	default: // a chunk that was held
	}
}

// allow lets the goroutine read one more chunk without having back the one that is held.
func (s *stream) allow() {
	select {
	case s.free <- nil:
	default:
	}
}

// shift takes the oldest pending event.
func (s *stream) shift() event {
	e := s.pending[0]
	s.pending[0] = event{}
	s.pending = s.pending[1:]
	return e
}

// read is the goroutine: it owns the connection until it sends done or broken.
func (s *stream) read() {
	if err := Settle(s.m); err != nil {
		s.events <- event{from: s.index, broken: err}
		return
	}
	var buf []byte
	for have := false; ; {
		if !have {
			buf, have = <-s.free, true
		}
		var frame []byte
		var end bool
		var err error
		buf, frame, end, err = s.collect(buf)
		if len(buf) > 0 {
			s.events <- event{from: s.index, rows: buf}
			buf, have = nil, false
		}
		switch {
		case err != nil:
			s.events <- event{from: s.index, broken: err}
			return
		case end:
			s.events <- event{from: s.index, done: true}
			return
		case frame != nil:
			s.events <- event{from: s.index, frame: frame}
		}
	}
}

// collect reads rows into buf until it is full, no more are at hand, or another frame comes.
func (s *stream) collect(buf []byte) (rows, frame []byte, end bool, err error) {
	if buf == nil {
		buf = make([]byte, 0, chunkSize)
	}
	r := s.m.R
	for {
		if _, size, whole := r.Whole(); len(buf) > 0 && (!whole || len(buf)+size > chunkSize) {
			return buf, nil, false, nil
		}
		typ, f, err := s.m.Next()
		if err != nil {
			return buf, nil, false, err
		}
		switch typ {
		case 'D':
			buf = append(buf, f...)
			s.values.Row(buf[len(buf)-len(f):])
		case 'T':
			s.m.Types.Rows(f)
			s.values = s.m.Types.described(f)
			return buf, bytes.Clone(f), false, nil
		case '1':
			s.parsed = true
		case '2', '3':
		case 'Z':
			if err := s.m.Ready(f); err != nil {
				return buf, nil, false, err
			}
			if s.m.Owed == 0 && !s.told {
				return buf, nil, false, s.m.Lost(errors.New("no word of how the statement ended"))
			}
			return buf, nil, s.m.Owed == 0, nil
		case 'E', 'C', 'I', 's':
			s.told = true
			return buf, bytes.Clone(f), false, nil
		case 'N', 'S', 'n':
			return buf, bytes.Clone(f), false, nil
		case 'A':
		default:
			return buf, nil, false, s.m.Lost(fmt.Errorf("message %q among rows", typ))
		}
	}
}

// take returns the next buffered row, or nil when the next event is needed.
func (s *stream) take() []byte {
	if len(s.rows) == 0 {
		return nil
	}
	n := int(binary.BigEndian.Uint32(s.rows[1:])) + 1
	row := s.rows[:n]
	s.rows = s.rows[n:]
	return row
}
