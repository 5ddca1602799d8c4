package executor

import (
	"container/heap"
	"encoding/binary"

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
	given := int64(0)
	for len(s.heap) > 0 && !s.full() {
		i := s.heap[0]
		st := s.streams[i]
		if s.pass() {
			out.Out = appendVisible(out.Out, st.head, s.columns)
			if err := out.Spill(); err != nil {
				return false, err
			}
			given++
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
		if limit > 0 && given == limit {
			return true, nil
		}
	}
	return false, nil
}

// advance makes the next row of stream i its head and appends i to the heap's slice (not yet in order); at the
// stream's end it does neither. ok is false when the statement has failed.
func (s *Scatter) advance(i int, out *wire.Writer, obs Observer) (ok bool, err error) {
	row, ok, err := s.nextRow(i, out, obs)
	if !ok || err != nil || row == nil {
		return ok, err
	}
	st := s.streams[i]
	st.head = row
	st.keys = appendKeys(st.keys[:0], row, s.columns)
	for k := range st.keys {
		if v := st.keys[k].value; v != nil {
			if err := s.cmp[k].check(v); err != nil {
				return false, err
			}
		}
	}
	s.heap = append(s.heap, i)
	return true, nil
}

// nextOf returns the next event of stream i. What other streams say meanwhile is kept for their turn; an error
// of theirs is returned at once, since it ends the statement.
func (s *Scatter) nextOf(i int, out *wire.Writer) (event, error) {
	st := s.streams[i]
	if len(st.pending) > 0 {
		e := st.pending[0]
		st.pending = st.pending[1:]
		return e, nil
	}
	for {
		var e event
		select {
		case e = <-s.events:
		default:
			if err := out.Flush(); err != nil {
				return event{}, err
			}
			e = <-s.events
		}
		if e.from == i || e.broken != nil || len(e.frame) > 0 && e.frame[0] == 'E' {
			return e, nil
		}
		other := s.streams[e.from]
		other.pending = append(other.pending, e)
	}
}

// sortValue is one hidden column of a row; nil is NULL. It points into the row.
type sortValue struct{ value []byte }

// appendKeys finds the columns behind the first visible ones of a DataRow.
func appendKeys(dst []sortValue, row []byte, visible int) []sortValue {
	n := int(binary.BigEndian.Uint16(row[wire.HeaderLen:]))
	b := row[wire.HeaderLen+2:]
	for i := range n {
		size := int32(binary.BigEndian.Uint32(b))
		b = b[4:]
		if size < 0 {
			if i >= visible {
				dst = append(dst, sortValue{})
			}
			continue
		}
		if i >= visible {
			dst = append(dst, sortValue{b[:size:size]})
		}
		b = b[size:]
	}
	return dst
}

// appendVisible appends a DataRow cut to its first columns.
func appendVisible(dst, row []byte, visible int) []byte {
	end := wire.HeaderLen + 2
	for range visible {
		size := int32(binary.BigEndian.Uint32(row[end:]))
		end += 4
		if size > 0 {
			end += int(size)
		}
	}
	dst, at := wire.Begin(dst, 'D')
	dst = binary.BigEndian.AppendUint16(dst, uint16(visible))
	return wire.End(append(dst, row[wire.HeaderLen+2:end]...), at)
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
