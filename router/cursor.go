package router

import (
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Options of DECLARE, as parsenodes.h has them.
const (
	cursorBinary   = 0x0001
	cursorScroll   = 0x0002
	cursorNoScroll = 0x0004
	cursorHold     = 0x0020
)

var directions = map[any]Direction{
	sqlparse.FetchForward: FetchForward, sqlparse.FetchBackward: FetchBackward,
	sqlparse.FetchAbsolute: FetchAbsolute, sqlparse.FetchRelative: FetchRelative,
}

// cursor plans DECLARE, FETCH, MOVE and CLOSE.
func (p *planner) cursor(n sqlparse.Node) bool {
	switch {
	case n.GetDeclareCursorStmt() != nil:
		p.declare(n.GetDeclareCursorStmt())
	case n.GetFetchStmt() != nil:
		s := n.GetFetchStmt()
		p.plain(KindCursor, "FETCH")
		p.t.Cursor = &Cursor{Name: s.Portalname, Op: CursorFetch, Move: Move{directions[s.Direction], s.HowMany}}
		p.t.Returns = true
		if s.Ismove {
			p.t.Command, p.t.Cursor.Op, p.t.Returns = "MOVE", CursorMove, false
		}
	case n.GetClosePortalStmt() != nil:
		name := n.GetClosePortalStmt().Portalname
		p.plain(KindCursor, "CLOSE CURSOR")
		if name == "" {
			p.t.Command = "CLOSE CURSOR ALL"
		}
		p.t.Cursor = &Cursor{Name: name, Op: CursorClose, All: name == ""}
	default:
		return false
	}
	return true
}

// declare plans DECLARE: its query has a plan of its own, and runs a piece at a time.
func (p *planner) declare(s *sqlparse.DeclareStmt) {
	p.plain(KindCursor, "DECLARE CURSOR")
	has := func(option int32) bool { return s.Options&option != 0 }
	c := &Cursor{Name: s.Portalname, Op: CursorDeclare, Hold: has(cursorHold), Binary: has(cursorBinary)}
	switch {
	case has(cursorScroll):
		c.Scroll = ScrollYes
	case has(cursorNoScroll):
		c.Scroll = ScrollNo
	}
	p.t.Cursor = c
	c.InnerFrom = p.after("for")
	if sel := s.Query.GetSelectStmt(); sel != nil {
		c.Locks = len(sel.LockingClause) > 0
	}
	in := &planner{env: p.env, text: p.text, from: c.InnerFrom, lits: p.lits, t: &Template{NParams: p.t.NParams}}
	in.statement(s.Query)
	in.t.Cacheable = false
	c.Inner = in.t
	p.t.Writes, p.t.Effect, p.t.Unknown, p.t.Clock = in.t.Writes, in.t.Effect, in.t.Unknown, in.t.Clock
	if c.Hold {
		p.t.Effect = EffectPins
	}
	if in.t.Kind == KindRefuse {
		p.refuse(in.t.Refusal)
	}
}
