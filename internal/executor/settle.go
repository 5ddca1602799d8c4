package executor

import (
	"errors"
	"fmt"

	"github.com/pleiad/pleiad/internal/wire"
)

// Settle sends what was composed ahead of a statement (settings, BEGIN) and reads the answers. Where that failed the
// connection's state is not known: it is lost, and the error is a FrameError as well.
func Settle(m *Member) error {
	if m.Queue.Len() == 0 {
		return nil
	}
	return m.settled(0)
}

// settled reads the answers to what was composed ahead of the last left answers.
func (m *Member) settled(left int) error {
	o, err := relayTo(m, left, wire.NewWriter(discard{}), nobody{})
	if err != nil {
		return err
	}
	if o.Skipped != nil || o.Failed {
		lost := m.Lost(errState)
		if o.Skipped == nil {
			return lost
		}
		return errors.Join(&FrameError{Frame: o.Skipped}, lost)
	}
	return nil
}

var errState = errors.New("its state could not be made the session's")

type nobody struct{}

func (nobody) Parameter(string, string) bool { return false }
func (nobody) CopyIn(*Member) error          { return fmt.Errorf("unexpected CopyInResponse") }

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
