package executor

import "github.com/pleiad/pleiad/internal/wire"

// takeTurns gives rows in the order of Turns.
func (s *Scatter) takeTurns(limit int64, out *wire.Writer, obs Observer) (more bool, err error) {
	for len(s.Turns) > 0 {
		row, ok, err := s.nextRow(s.Turns[0], out, obs)
		if !ok || err != nil {
			return false, err
		}
		s.Turns = s.Turns[1:]
		if row == nil {
			continue
		}
		s.sent++
		s.given++
		if _, err := out.Write(row); err != nil {
			return false, err
		}
		if limit > 0 && s.given == limit {
			return true, nil
		}
	}
	return false, nil
}

// nextRow returns the next row of stream i, nil at its end. ok is false when the statement has failed.
func (s *Scatter) nextRow(i int, out *wire.Writer, obs Observer) (row []byte, ok bool, err error) {
	st := s.streams[i]
	for {
		if row := st.take(); row != nil {
			return row, true, nil
		}
		if st.buffer != nil {
			st.recycle(st.buffer)
			st.buffer = nil
		}
		if st.ended {
			return nil, true, nil
		}
		e, err := s.nextOf(i, out, obs)
		if err != nil {
			return nil, false, err
		}
		if e.rows == nil {
			if !s.control(e, out, obs) {
				return nil, false, nil
			}
			continue
		}
		st.rows, st.buffer = e.rows, e.rows
	}
}
