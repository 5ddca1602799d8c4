package backend

import (
	"container/list"
	"strconv"
)

// Statements is the set of named prepared statements on one server session, bounded by use.
type Statements struct {
	byID map[uint64]*list.Element
	lru  list.List
}

// StatementName is the name that statement id has on every server.
func StatementName(id uint64) string { return "pleiad_" + strconv.FormatUint(id, 10) }

// Has tells whether the server session has statement id, and marks it as used.
func (s *Statements) Has(id uint64) bool {
	e, ok := s.byID[id]
	if ok {
		s.lru.MoveToFront(e)
	}
	return ok
}

// Add notes that statement id is prepared now. When more than limit are, it returns the one to close.
func (s *Statements) Add(id uint64, limit int) (evict uint64, full bool) {
	if s.byID == nil {
		s.byID = make(map[uint64]*list.Element)
	}
	if e, ok := s.byID[id]; ok {
		s.lru.MoveToFront(e)
		return 0, false
	}
	s.byID[id] = s.lru.PushFront(id)
	if limit <= 0 || s.lru.Len() <= limit {
		return 0, false
	}
	last := s.lru.Back()
	old := last.Value.(uint64)
	s.lru.Remove(last)
	delete(s.byID, old)
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
