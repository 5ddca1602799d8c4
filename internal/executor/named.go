package executor

import (
	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/wire"
)

// named is how a member's server knows the text that runs there: as a prepared statement, or as the unnamed one.
type named struct {
	id     uint64 // 0 is the unnamed one
	parses bool   // Parse was composed
}

// name is the statement's on the server.
func (n named) name() string {
	if n.id == 0 {
		return ""
	}
	return backend.StatementName(n.id)
}

// parseNamed composes Parse, where the server does not have prepared statement id. It is the unnamed one that is parsed for id
// 0, and where the server has limit statements, all of which have been used of late.
func (m *Member) parseNamed(id uint64, limit int, text string, oids []uint32) named {
	if id != 0 && m.Statements.Has(id) {
		return named{id: id}
	}
	if id != 0 && m.Statements.Len() >= limit {
		old, stale := m.Statements.Stale(limit)
		if stale {
			m.Out = wire.CloseMessage(m.Out, 'S', backend.StatementName(old))
		} else {
			id = 0
		}
	}
	if id == 0 {
		m.Unnamed = 0
	}
	n := named{id: id, parses: true}
	m.Out = wire.Parse(m.Out, n.name(), text, m.OIDs(oids))
	return n
}

// parsed notes that the server has said ParseComplete.
func (m *Member) parsed(n named) {
	if n.parses && n.id != 0 {
		m.Statements.Add(n.id, 0)
	}
}
