package backend

import (
	"container/list"
	"strconv"
)

// Statements is the set of named prepared statements on one server session, bounded by use.
type Statements struct {
	byID map[uint64]*list.Element
	lru  list.List // of *kept, the last used first
	uses uint64
}

type kept struct{ id, used uint64 }

// use notes that a statement is used now.
func (s *Statements) use(e *list.Element) {
	s.uses++
	e.Value.(*kept).used = s.uses
	s.lru.MoveToFront(e)
}

// staleUses is how many uses of statements, for each that a server may have, make one old that is not among them.
const staleUses = 10

// Stale forgets the statement that has not been used for longest, and returns it to be closed, if that is long ago.
func (s *Statements) Stale(limit int) (id uint64, ok bool) {
	last := s.lru.Back()
	if last == nil || s.uses-last.Value.(*kept).used < staleUses*uint64(limit) {
		return 0, false
	}
	id = last.Value.(*kept).id
	s.Remove(id)
	return id, true
}

// StatementName is the name that statement id has on every server.
func StatementName(id uint64) string { return "pleiad_" + strconv.FormatUint(id, 10) }

// Has tells whether the server session has statement id, and marks it as used.
func (s *Statements) Has(id uint64) bool {
	e, ok := s.byID[id]
	if ok {
		s.use(e)
	}
	return ok
}

// Add notes that statement id is prepared now. When more than limit are, it returns the one to close.
func (s *Statements) Add(id uint64, limit int) (evict uint64, full bool) {
	if s.byID == nil {
		s.byID = make(map[uint64]*list.Element)
	}
	if e, ok := s.byID[id]; ok {
		s.use(e)
		return 0, false
	}
	e := s.lru.PushFront(&kept{id: id})
	s.use(e)
	s.byID[id] = e
	if limit <= 0 || s.lru.Len() <= limit {
		return 0, false
	}
	last := s.lru.Back()
	old := last.Value.(*kept).id
	s.Remove(old)
	return old, true
}

// Remove forgets statement id.
func (s *Statements) Remove(id uint64) {
	if e, ok := s.byID[id]; ok {
		s.lru.Remove(e)
		delete(s.byID, id)
	}
}

// Clear forgets all: DISCARD ALL or DEALLOCATE ALL ran.
func (s *Statements) Clear() {
	s.byID = nil
	s.lru.Init()
}

// Len is the number of prepared statements.
func (s *Statements) Len() int { return s.lru.Len() }
