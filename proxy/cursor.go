package proxy

import (
	"errors"
	"slices"
	"time"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// cursors are a session's: what DECLARE made and nothing has ended yet. A portal that Bind makes is counted with them, since
// ROLLBACK TO ends both alike.
type cursors struct {
	all   map[string]*cursor
	born  uint64 // how many cursors and portals there have been
	marks []cursorMark
}

// cursorMark is a savepoint: cursors born later end with ROLLBACK TO it.
type cursorMark struct {
	name string
	born uint64
}

// cursor is one of them.
type cursor struct {
	name    string
	backend int              // the one that has it, -1 for several
	merged  *executor.Cursor // over several
	hold    bool
	binary  bool
	kept    bool // WITH HOLD, and its transaction has committed
	failed  bool // a FETCH failed: as MarkPortalFailed does, whatever the transaction does then
	born    uint64
	fields  []byte // RowDescription with text formats, once asked for
	source  string // what pg_cursors shows
	made    time.Time
}

// endCursors ends the cursors that end with the transaction.
func (s *Session) endCursors(committed bool) {
	for name, c := range s.cursors.all {
		if committed && c.hold {
			c.kept = true
		}
		if !c.kept {
			delete(s.cursors.all, name)
		}
	}
	s.cursors.marks = nil
}

// closeHeld closes the cursors WITH HOLD of a transaction whose COMMIT failed: on some servers it may not have.
func (s *Session) closeHeld() {
	for _, c := range s.cursors.all {
		if !c.hold || c.kept {
			continue
		}
		var err error
		if c.merged != nil {
			err = c.merged.Close()
		} else if m := s.gang.Member(c.backend); m != nil && !m.Broken() {
			_, err = m.ClosePortal(c.name)
		}
		if err != nil {
			s.srv.log.Debug("cursor_lost", "session", s.id, "error", err) // with its connection
		}
	}
}

func (s *Session) savepointCursors(name string) {
	s.cursors.marks = append(s.cursors.marks, cursorMark{name, s.cursors.born})
}

// releaseCursors is RELEASE: the cursors declared since belong to what is around the savepoint.
func (s *Session) releaseCursors(name string) {
	if i := s.markCursors(name); i >= 0 {
		s.cursors.marks = s.cursors.marks[:i]
	}
}

// rollbackToCursors is ROLLBACK TO: what was declared or bound since is gone.
func (s *Session) rollbackToCursors(name string) {
	i := s.markCursors(name)
	if i < 0 {
		return
	}
	born := s.cursors.marks[i].born
	s.cursors.marks = s.cursors.marks[:i+1]
	for name, c := range s.cursors.all {
		if c.born > born {
			delete(s.cursors.all, name)
		}
	}
	for name, p := range s.portals {
		if p.born > born {
			s.endPortal(p)
			delete(s.portals, name)
		}
	}
}

func (s *Session) markCursors(name string) int {
	for i := len(s.cursors.marks) - 1; i >= 0; i-- {
		if s.cursors.marks[i].name == name {
			return i
		}
	}
	return -1
}

// runCursor is DECLARE, FETCH, MOVE and CLOSE.
func (s *Session) runCursor(r *request) error {
	c := r.tmpl.Cursor
	switch {
	case c.Op == router.CursorDeclare:
		return s.declare(r, c)
	case c.All:
		return s.closeAllCursors(r)
	}
	if cur := s.cursors.all[c.Name]; cur != nil {
		return s.runOnCursor(r, c, cur)
	}
	p := s.portals[c.Name]
	switch {
	case p == nil:
		return s.forward(r, s.anyBackend()) // there is no such cursor
	case c.Op == router.CursorClose:
		s.endPortal(p)
		delete(s.portals, c.Name)
		if p.backend >= 0 {
			if err := s.closeOn(p.backend, p.name); err != nil || s.batch.failed {
				return err
			}
		}
		s.tag("CLOSE CURSOR")
		return nil
	case p.backend >= 0:
		return s.forward(r, p.backend)
	case c.Op == router.CursorMove && c.Move.Direction == router.FetchForward && c.Move.Count > 0 && p.st.plan.tmpl.Returns:
		return s.movePortal(p, c.Move.Count)
	}
	s.fail(pgerr.New(pgerr.FeatureNotSupported, "%s of a portal over several backends is not supported", r.tmpl.Command).
		WithHint("Execute the portal, or DECLARE a cursor."))
	return nil
}

// movePortal is MOVE of a portal that several backends have their parts of: as an Execute whose rows nobody sees.
func (s *Session) movePortal(p *portal, count int64) error {
	rows := count
	if rows == router.FetchAll {
		rows = 0
	}
	moved, client := int64(0), s.out
	err := s.tapped(func() error {
		switch {
		case p.scatter != nil:
			return s.fetchScatter(p, rows)
		case p.rest != nil:
			return s.giveRest(p.rest, rows)
		case p.done:
			return nil
		}
		return s.beginPortal(p, rows)
	}, func(typ byte, frame []byte) error {
		switch typ {
		case 'D':
			moved++
		case 'T', 'C', 's':
		default:
			_, err := client.Write(frame)
			return err
		}
		return nil
	})
	if err != nil || s.batch.failed {
		return err
	}
	s.tag("MOVE " + itoa(int(moved)))
	return nil
}

// runOnCursor is FETCH, MOVE and CLOSE of a cursor that there is.
func (s *Session) runOnCursor(r *request, c *router.Cursor, cur *cursor) error {
	switch {
	case c.Op == router.CursorClose:
		if err := s.closeCursor(cur); err != nil || s.batch.failed {
			return err
		}
		s.tag("CLOSE CURSOR")
		return nil
	case cur.merged == nil && cur.fields != nil && r.describe:
		return s.fetchAs(r, cur)
	case cur.merged == nil:
		return s.forward(r, cur.backend)
	case cur.failed:
		s.fail(pgerr.New(pgerr.ObjectNotInPrerequisiteState, "portal %q cannot be run", cur.name))
		return nil
	case c.Op == router.CursorMove:
		n, err := cur.merged.Move(s.ctx, c.Move, s.out)
		if err != nil {
			return s.cursorFailed(cur, err)
		}
		s.tag("MOVE " + itoa(int(n)))
		return nil
	}
	formats := r.formats
	if r.bind == nil && cur.binary {
		formats = []int16{1} // BINARY is for the simple protocol alone (exec_simple_query)
	}
	var head []byte
	if r.describe {
		head = withFormats(cur.merged.Fields(), formats)
	}
	n, _, err := cur.merged.Fetch(s.ctx, c.Move, formats, head, s.out)
	if err != nil {
		return s.cursorFailed(cur, err)
	}
	s.tag("FETCH " + itoa(int(n)))
	return nil
}

// fetchAs is FETCH whose columns are described as those of the client's query, which is not the one that the server has.
func (s *Session) fetchAs(r *request, c *cursor) error {
	client := s.out
	return s.tapped(func() error { return s.forward(r, c.backend) }, func(typ byte, frame []byte) error {
		if typ == 'T' {
			var formats []int16
			if c.binary {
				formats = []int16{1}
			}
			frame = withFormats(c.fields, formats)
		}
		_, err := client.Write(frame)
		return err
	})
}

// cursorFailed answers with the error of a FETCH.
func (s *Session) cursorFailed(c *cursor, err error) error {
	if s.out.Err() != nil {
		return s.out.Err()
	}
	c.failed = true
	var frame *executor.FrameError
	if errors.As(err, &frame) {
		s.failFrame(frame.Frame)
		return nil
	}
	s.fail(executor.ClientError(err))
	return nil
}

// closeCursor ends a cursor on its servers.
func (s *Session) closeCursor(c *cursor) error {
	delete(s.cursors.all, c.name)
	if c.merged != nil {
		if err := c.merged.Close(); err != nil {
			return s.lost(err)
		}
		return nil
	}
	return s.closeOn(c.backend, c.name)
}

// closeOn closes a portal of a server.
func (s *Session) closeOn(backend int, name string) error {
	m, err := s.gang.Join(s.ctx, backend)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	m.Out = wire.CloseMessage(m.Out, 'P', name)
	m.Extended = true
	m.Queue.Push(executor.Owed{Msg: 'C', Reply: executor.Quiet})
	m.SyncNow()
	return s.relay(m)
}

// closeAllCursors is CLOSE ALL, which ends portals too.
func (s *Session) closeAllCursors(r *request) error {
	s.dropPortals()
	for _, m := range s.gang.Members() {
		if !m.Began && s.gang.Txn.State != executor.TxnNone && !m.Pinned {
			continue
		}
		m.Internal("CLOSE ALL")
		if err := s.relay(m); err != nil || s.batch.failed {
			return err
		}
	}
	s.cursors.all = nil
	s.tag(r.tmpl.Command)
	return nil
}

// routeCurrentOf is where WHERE CURRENT OF is to run: where the cursor stands.
func (s *Session) routeCurrentOf(name string) (b backends, err error) {
	c := s.cursors.all[name]
	p := s.portals[name]
	switch {
	case c != nil && c.merged != nil:
		at, e := c.merged.Row()
		if e != nil {
			return b, e
		}
		b.add(at)
	case c != nil:
		b.add(c.backend)
	case p != nil && p.backend >= 0:
		b.add(p.backend)
	case p != nil:
		return b, pgerr.New(pgerr.FeatureNotSupported, "WHERE CURRENT OF a portal over several backends is not supported").
			WithHint("DECLARE a cursor, or name the row by its key.")
	default:
		b.add(s.db.home) // which says that there is none
	}
	return b, nil
}

// cursorFields is a cursor's RowDescription; nil without an error means that the statement failed.
func (s *Session) cursorFields(c *cursor) ([]byte, error) {
	if c.merged != nil {
		return c.merged.Fields(), nil
	}
	if c.fields != nil {
		return c.fields, nil
	}
	if err := s.leave(); err != nil || s.skip {
		return nil, err
	}
	m, err := s.member(c.backend)
	if err != nil {
		return nil, s.failBatch(executor.ClientError(err))
	}
	if err := executor.Settle(m); err != nil {
		return nil, s.lost(err)
	}
	errFrame, err := m.DescribePortal(c.name, func(f []byte) { c.fields = slices.Clone(f) })
	switch {
	case err != nil:
		return nil, s.lost(err)
	case errFrame != nil:
		s.failFrame(errFrame)
		s.skip = true
		return nil, nil
	}
	return c.fields, nil
}

// executeCursor is Execute of a cursor over several backends: it is a portal too.
func (s *Session) executeCursor(c *cursor, rows int64) error {
	if err := s.leave(); err != nil || s.skip {
		return err
	}
	if c.failed {
		return s.failBatch(pgerr.New(pgerr.ObjectNotInPrerequisiteState, "portal %q cannot be run", c.name))
	}
	mv := router.Move{Count: rows}
	if rows == 0 {
		mv.Count = router.FetchAll
	}
	n, end, err := c.merged.Fetch(s.ctx, mv, nil, nil, s.out)
	switch {
	case err != nil:
		err = s.cursorFailed(c, err)
		s.skip = true
		return err
	case end:
		s.tag("SELECT " + itoa(int(n)))
	default:
		s.out.Out = wire.Empty(s.out.Out, 's')
	}
	return s.out.Spill()
}
