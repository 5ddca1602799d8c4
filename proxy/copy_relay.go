package proxy

import (
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// CopyIn implements executor.Observer: it passes the client's COPY data to the one server that waits for it.
func (s *Session) CopyIn(m *executor.Member) error {
	// PostgreSQL ignores a Sync that came before the data; the client sends another one behind it.
	if m.DropSync() {
		s.batch.swallow = true
	}
	for {
		typ, size, err := s.in.Peek()
		if err != nil {
			return err
		}
		switch typ {
		case 'd':
			if err := s.in.Copy(m.Conn, size); err != nil {
				return s.copyBroken(m, err)
			}
			continue
		case 'c', 'f':
			if err := s.in.Copy(m.Conn, size); err != nil {
				return s.copyBroken(m, err)
			}
			return s.copyEnded(m)
		case 'H', 'S':
			if err := s.in.Discard(size); err != nil {
				return err
			}
			continue
		case 'X':
			return errTerminated
		}
		return s.copyViolation(typ)
	}
}

// copyEnded makes the server say how COPY ended: in the extended protocol it keeps its answer until Sync or Flush, and
// the ones that the client sent before its data are gone.
func (s *Session) copyEnded(m *executor.Member) error {
	if m.Queue.Head().Msg != 'E' {
		return nil
	}
	if _, err := m.Conn.Write(wire.Flush(nil)); err != nil {
		return m.Lost(err)
	}
	return nil
}

// copyViolation ends the session of a client that sends something else than data during COPY: where its next message
// starts is not certain.
func (s *Session) copyViolation(typ byte) error {
	s.out.Out = wire.Error(s.out.Out, pgerr.New(pgerr.ProtocolViolation,
		"unexpected message type 0x%s during COPY from stdin", hexByte(typ)))
	return s.bye(pgerr.ProtocolViolation, "terminating connection because protocol synchronization was lost")
}

// copyBroken tells a lost server from a lost client.
func (s *Session) copyBroken(m *executor.Member, err error) error {
	if netError(err) {
		return m.Lost(err)
	}
	return err
}
