package proxy

import (
	"slices"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
)

// learnColumns asks for a portal's columns ahead of its Execute where oids of m's may stand in their values: the types tell
// where.
func (s *Session) learnColumns(p *portal, m *executor.Member) {
	if m.Types == nil || !slices.Contains(p.formats, 1) {
		return
	}
	if st := p.st; st.columnsScope != st.plan.scope {
		st.columns, st.columnsScope = executor.Columns{}, st.plan.scope
	}
	if p.st.columns.Nested() {
		m.Out = wire.Describe(m.Out, 'P', p.name)
		m.Queue.Push(executor.Owed{Msg: 'D', Reply: executor.Quiet, Columns: &p.st.columns})
	}
}
