package executor

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/wire"
)

// merge gives rows in the order of the hidden sort columns: a k-way merge over the backends' sorted streams. Equal
// rows come in the order of the backends, so that the same data gives the same answer.
func (s *Scatter) merge(limit int64, out *wire.Writer, obs Observer) (more bool, err error) {
	if s.heap == nil {
		s.heap = make([]int, 0, len(s.streams))
		for i := range s.streams {
			if ok, err := s.advance(i, out, obs); !ok || err != nil {
				return false, err
			}
		}
		heap.Init((*rowHeap)(s))
	}
	for len(s.heap) > 0 && (!s.full() || s.tied()) {
		i := s.heap[0]
		st := s.streams[i]
		if s.pass() {
			if s.Ties && s.sent == s.Limit {
				s.keepTie(st.keys)
			}
			out.Out = appendVisible(out.Out, st.head, s.columns, st.cut)
			if err := out.Spill(); err != nil {
				return false, err
			}
		}
		heap.Pop((*rowHeap)(s))
		before := len(s.heap)
		if ok, err := s.advance(i, out, obs); !ok || err != nil {
			return false, err
		}
		if len(s.heap) > before {
			// advance appended i at the end: sift it up.
			heap.Fix((*rowHeap)(s), len(s.heap)-1)
		}
		if limit > 0 && s.given == limit {
			return true, nil
		}
	}
	return false, nil
}

// keepTie remembers the last row within the limit.
func (s *Scatter) keepTie(keys []sortValue) {
	for _, k := range keys {
		s.tie = append(s.tie, sortValue{bytes.Clone(k.value)})
	}
}

// tied tells whether the next row equals the last one within the limit.
func (s *Scatter) tied() bool {
	for i := range s.tie {
		if s.cmp[i].compare(s.tie[i].value, s.streams[s.heap[0]].keys[i].value) != 0 {
			return false
		}
	}
	return len(s.tie) > 0
}

// advance makes the next row of stream i its head and appends i to the heap's slice (not yet in order); at the
// stream's end it does neither. ok is false when the statement has failed.
func (s *Scatter) advance(i int, out *wire.Writer, obs Observer) (ok bool, err error) {
	row, ok, err := s.nextRow(i, out, obs)
	if !ok || err != nil || row == nil {
		return ok, err
	}
	st := s.streams[i]
	if err := s.setHead(st, row); err != nil {
		return s.lose(&backend.LostError{Backend: st.m.Name, Err: err}), nil
	}
	s.heap = append(s.heap, i)
	return true, nil
}

// setHead makes a row the next of its stream, once it is sure to have the columns that it should.
func (s *Scatter) setHead(st *stream, row []byte) (err error) {
	st.head = row
	if st.keys, st.cut, err = appendKeys(st.keys[:0], row, s.columns); err != nil {
		return err
	}
	if len(st.keys) != len(s.cmp) {
		return fmt.Errorf("row has %d sort columns instead of %d", len(st.keys), len(s.cmp))
	}
	for k := range st.keys {
		if v := st.keys[k].value; v != nil {
			if err := s.cmp[k].check(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// nextOf returns the next event of stream i. What other streams say meanwhile is kept for their turn; an error
// of theirs is returned at once, since it ends the statement.
func (s *Scatter) nextOf(i int, out *wire.Writer, obs Observer) (event, error) {
	st := s.streams[i]
	if len(st.pending) > 0 {
		return st.shift(), nil
	}
	for {
		if len(s.events) == 0 {
			if err := out.Flush(); err != nil {
				return event{}, err
			}
		}
		e := s.receive()
		switch {
		case e.from == i || e.broken != nil || len(e.frame) > 0 && e.frame[0] == 'E':
			return e, nil
		case len(e.frame) > 0 && (e.frame[0] == 'N' || e.frame[0] == 'S'):
			s.control(e, out, obs) // there may be any number of them
		default:
			other := s.streams[e.from]
			other.pending = append(other.pending, e)
		}
	}
}

// sortValue is one hidden column of a row; nil is NULL. It points into the row.
type sortValue struct{ value []byte }

// appendKeys finds the columns behind the first visible ones of a DataRow, and where these end.
func appendKeys(dst []sortValue, row []byte, visible int) (keys []sortValue, cut int, err error) {
	if len(row) < wire.HeaderLen+2 {
		return dst, 0, errRow
	}
	n := int(binary.BigEndian.Uint16(row[wire.HeaderLen:]))
	b := row[wire.HeaderLen+2:]
	cut = len(row)
	for i := range n {
		if i == visible {
			cut = len(row) - len(b)
		}
		if len(b) < 4 {
			return dst, 0, errRow
		}
		size := int(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		if size < -1 || size > len(b) {
			return dst, 0, errRow
		}
		var value []byte // NULL
		if size >= 0 {
			value = b[:size:size]
			b = b[size:]
		}
		if i >= visible {
			dst = append(dst, sortValue{value})
		}
	}
	if n < visible || len(b) != 0 {
		return dst, 0, errRow
	}
	return dst, cut, nil
}

var errRow = errors.New("malformed DataRow")

// appendVisible appends a DataRow cut to its first columns, which end at cut.
func appendVisible(dst, row []byte, visible, cut int) []byte {
	dst, at := wire.Begin(dst, 'D')
	dst = binary.BigEndian.AppendUint16(dst, uint16(visible))
	return wire.End(append(dst, row[wire.HeaderLen+2:cut]...), at)
}

// rowHeap orders a Scatter's streams by their head rows.
type rowHeap Scatter

func (h *rowHeap) Len() int { return len(h.heap) }

func (h *rowHeap) Less(a, b int) bool {
	x, y := h.streams[h.heap[a]], h.streams[h.heap[b]]
	for k := range h.cmp {
		c := h.cmp[k].compare(x.keys[k].value, y.keys[k].value)
		if c != 0 {
			return c < 0
		}
	}
	return x.index < y.index
}

func (h *rowHeap) Swap(a, b int) { h.heap[a], h.heap[b] = h.heap[b], h.heap[a] }

func (h *rowHeap) Push(x any) { h.heap = append(h.heap, x.(int)) }

func (h *rowHeap) Pop() any {
	last := h.heap[len(h.heap)-1]
	h.heap = h.heap[:len(h.heap)-1]
	return last
}
