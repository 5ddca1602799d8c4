package proxy

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// A read outside of a transaction that a lost server or a standby's recovery has ended can be run again, as long as its
// client has been shown nothing of it: on the primaries then. What is kept for that are the client's own messages, and
// the first answers are held back.

// repeat is the client's messages since it was last between two batches, unless they are more than a read.
type repeat struct {
	messages []byte
	from     int    // where their answers begin in Session.out
	writes   uint64 // of Session.out, when they began
	off      bool   // something among them cannot be run again
	places   []int  // where statements ran
	began    time.Time
	broke    bool // a connection was lost
	again    bool // this is the second time: reads belong on the primaries
}

// repeatBytes bounds what is kept.
const repeatBytes = 8 << 10

// message handles one message of the client's, and the whole batch once more where that may help.
func (s *Session) message(typ byte, frame []byte) error {
	s.keepForRepeat(typ, frame)
	err := s.handle(typ, frame)
	if typ != 'Q' && typ != 'S' && typ != 'F' {
		return err
	}
	if err == nil && s.mayRepeat() {
		err = s.runAgain()
	}
	r := &s.repeat
	r.messages, r.places = r.messages[:0], r.places[:0]
	r.off, r.broke = false, false
	s.out.Hold = false
	return err
}

func (s *Session) keepForRepeat(typ byte, frame []byte) {
	r := &s.repeat
	if len(r.messages) == 0 && !r.off {
		r.from, r.writes, r.began = len(s.out.Out), s.out.Writes(), time.Now()
		r.off = s.gang.Txn.State != executor.TxnNone || s.skip || s.batch.open
	}
	switch typ {
	case 'Q', 'P', 'B', 'D', 'E', 'S':
	default:
		r.off = true
	}
	r.off = r.off || len(r.messages)+len(frame) > repeatBytes
	s.out.Hold = !r.off
	if !r.off {
		r.messages = append(r.messages, frame...)
	}
}

// lost notes a connection that was lost. What it had of the session is lost with it, and must not be missed in silence:
// a temporary table hid another one, perhaps.
func (r *repeat) lost(m *executor.Member) {
	r.broke = true
	r.off = r.off || m.Pinned || m.Unclean
}

// release gives up the buffer of an idle session.
func (r *repeat) release() {
	if len(r.messages) == 0 && cap(r.messages) > 1<<10 {
		r.messages = nil
	}
}

// executes notes what runs.
func (s *Session) executes(t *router.Template) {
	if !s.repeat.off && !t.ReadOnly {
		s.repeat.off, s.out.Hold = true, false
	}
}

// mayRepeat tells whether the batch that has just ended failed in a way that another server may not.
func (s *Session) mayRepeat() bool {
	r := &s.repeat
	if r.off || s.gang.Txn.State != executor.TxnNone || s.out.Writes() != r.writes || len(r.messages) == 0 {
		return false
	}
	code := failureIn(s.out.Out[min(r.from, len(s.out.Out)):])
	switch code {
	case "":
		return false
	case pgerr.ConnectionFailure:
		return r.broke
	case pgerr.AdminShutdown: // a server's that ends, or somebody's who wants the statement to end
		return r.broke && !s.answersStill()
	case pgerr.SerializationFailure, pgerr.DeadlockDetected, pgerr.ReadOnlyTransaction, pgerr.ObjectNotInPrerequisiteState,
		pgerr.FeatureNotSupported:
		return s.usedStandby() // in favour of its replay, or as it takes no writes
	}
	return false
}

// failureIn is the SQLSTATE of the one error among a batch's answers; "" where there is something that must be said once.
func failureIn(answers []byte) (code string) {
	for len(answers) >= wire.HeaderLen {
		size := int(binary.BigEndian.Uint32(answers[1:])) + 1
		if size > len(answers) {
			return ""
		}
		switch answers[0] {
		case 'E':
			code = wire.ErrorField(answers[:size], 'C')
			if strings.Contains(wire.ErrorField(answers[:size], 'D'), "(SQLSTATE "+pgerr.AdminShutdown+")") {
				code = pgerr.AdminShutdown
			}
		case 'N':
			// A server that ends says so ahead of the error, or instead of it.
			switch wire.ErrorField(answers[:size], 'C') {
			case pgerr.AdminShutdown, pgerr.CrashShutdown:
			default:
				return ""
			}
		case 'A', 'S':
			return ""
		}
		answers = answers[size:]
	}
	return code
}

func (s *Session) usedStandby() bool {
	for _, p := range s.repeat.places {
		if _, server := splitPlace(p); server >= 0 {
			return true
		}
	}
	return false
}

// answersStill tells whether every server that was used still answers, and did not go and come back: then somebody has
// ended the statement on purpose.
func (s *Session) answersStill() bool {
	ctx, stop := context.WithTimeout(s.ctx, s.srv.config().Failover.Detect.D())
	defer stop()
	for _, p := range s.repeat.places {
		n := s.db.node(p)
		if n == nil {
			continue
		}
		_, server := splitPlace(p)
		if server < 0 {
			server, _ = n.Primary()
		}
		if server < 0 {
			return false
		}
		if !n.Servers[server].Watch.Answered(ctx, s.repeat.began) {
			return false
		}
	}
	return true
}

// runAgain takes back what the batch has answered, and runs it on the primaries.
func (s *Session) runAgain() error {
	r := &s.repeat
	s.out.Out = s.out.Out[:r.from]
	s.srv.repeated.Add(1)
	r.again = true
	defer func() { r.again = false }()
	for rest := r.messages; len(rest) > 0; {
		size := int(binary.BigEndian.Uint32(rest[1:])) + 1
		frame := rest[:size]
		if frame[0] == 'P' {
			b := wire.BodyOf(frame)
			s.dropStatement(string(b.Text())) // it was made by this very message
		}
		if err := s.handle(frame[0], frame); err != nil {
			return err
		}
		rest = rest[size:]
	}
	return nil
}
