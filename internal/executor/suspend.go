package executor

import (
	"context"
	"time"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// A Scatter whose Fetch left rows for another one keeps reading on its connections. Before anything else uses one of
// them the Scatter is either held (its rows are read into memory) or closed.

// heldBytes bounds the rows that are kept of one suspended statement.
const heldBytes = 64 << 20

// receive takes the next event of any stream.
func (s *Scatter) receive() event {
	e := <-s.events
	if e.done || e.broken != nil {
		st := s.streams[e.from]
		st.over = true
		if st.parsed && e.done {
			st.m.parsed(st.named)
		}
	}
	return e
}

// next gives the next event, of those held first. The client is shown what there is before it has to wait.
func (s *Scatter) next(out *wire.Writer) (event, error) {
	for _, st := range s.streams {
		if len(st.pending) > 0 {
			return st.shift(), nil
		}
	}
	if len(s.events) == 0 {
		if err := out.Flush(); err != nil {
			return event{}, err
		}
	}
	return s.receive(), nil
}

// reading counts the streams whose goroutine runs.
func (s *Scatter) reading() int {
	n := 0
	for _, st := range s.streams {
		if !st.over {
			n++
		}
	}
	return n
}

// hold reads the rest of all streams into memory, so that the connections are free.
func (s *Scatter) hold() {
	for _, st := range s.streams {
		for range chunksAhead { // those read so far are not given back meanwhile
			st.allow()
		}
	}
	for s.reading() > 0 {
		e := s.receive()
		st := s.streams[e.from]
		if e.rows != nil {
			s.held += len(e.rows)
			if s.held > heldBytes {
				s.overflow()
				st.recycle(e.rows)
				continue
			}
			st.allow()
		}
		st.pending = append(st.pending, e)
	}
	s.Gang.streamed(s)
}

// overflow fails a statement whose rows are too many to hold, and drops them.
func (s *Scatter) overflow() {
	_ = s.lose(pgerr.New(pgerr.ConfigurationLimitExceeded,
		"the rows left in a suspended portal exceed %d MiB", heldBytes>>20).
		WithHint("Fetch all rows of a statement over several backends before running the next one."))
	for _, st := range s.streams {
		kept := st.pending[:0]
		for _, e := range st.pending {
			if e.rows == nil {
				kept = append(kept, e)
			}
		}
		clear(st.pending[len(kept):])
		st.pending = kept
	}
}

// Close ends a suspended statement. In a transaction that goes on its rows are read to their end, since cancelling
// would fail the transaction.
func (s *Scatter) Close(ctx context.Context) {
	if t := &s.Gang.Txn; t.State == TxnNone || t.Failed {
		s.cancel(ctx)
	}
	s.finish()
}

// finish reads what is left for nobody.
func (s *Scatter) finish() {
	if s.live() == 0 {
		s.Gang.streamed(s)
		return
	}
	_ = s.lose(pgerr.New(pgerr.InvalidCursorName, "portal was closed"))
	_ = s.drain(wire.NewWriter(discard{}), nobody{})
}

// abandon ends a statement whose client is gone.
func (s *Scatter) abandon(ctx context.Context, err error) error {
	_ = s.lose(err)
	s.cancel(ctx)
	s.finish()
	return err
}

// cancel asks the servers to end what they still run.
func (s *Scatter) cancel(ctx context.Context) {
	if s.reading() > 0 {
		s.Gang.Cancel(ctx)
	}
}

// vanishTimeout is how long servers may take to end statements that nobody waits for.
const vanishTimeout = 5 * time.Second

// kill ends the statement whatever happens to its transaction: a server that does not answer is waited for only so
// long.
func (s *Scatter) kill() {
	if s.ctx != nil {
		s.cancel(s.ctx)
	}
	for _, st := range s.streams {
		if !st.over {
			_ = st.m.Conn.SetReadDeadline(time.Now().Add(vanishTimeout))
		}
	}
	s.finish()
	for _, st := range s.streams {
		if !st.m.Broken() {
			_ = st.m.Conn.SetReadDeadline(time.Time{})
		}
	}
}

// streamed notes that s has read all.
func (g *Gang) streamed(s *Scatter) {
	for i, x := range g.streaming {
		if x == s {
			g.streaming = append(g.streaming[:i], g.streaming[i+1:]...)
			return
		}
	}
}

// quiesce frees the connections of suspended statements, keeping their rows.
func (g *Gang) quiesce() {
	for len(g.streaming) > 0 {
		g.streaming[0].hold()
	}
}

// closeStreams ends suspended statements: their transaction ends.
func (g *Gang) closeStreams(ctx context.Context) {
	for len(g.streaming) > 0 {
		g.streaming[0].Close(ctx)
	}
}

// killStreams is closeStreams when nobody cares for the transaction any more.
func (g *Gang) killStreams() {
	for len(g.streaming) > 0 {
		g.streaming[0].kill()
	}
}
