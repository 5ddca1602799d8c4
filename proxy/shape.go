package proxy

import (
	"slices"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
)

// oids are the parameters' types: those that Parse gave, or all of them where they had to be known.
func (p *portal) oids() []uint32 {
	if p.types != nil {
		return p.types
	}
	return p.st.oids
}

// typesBound makes the types of a portal's parameters known where binary ones may hold oids, which differ between backends.
// backend is where it will be bound, -1 if not known. ready is false if the batch failed or the client is gone.
func (s *Session) typesBound(backend int, p *portal, tail []byte) (ready bool, err error) {
	if backend == s.db.home || len(s.db.targets) == 1 || !executor.MayCarry(tail) {
		return true, nil
	}
	n := len(p.params)
	if given := p.st.oids; len(given) == n && !slices.Contains(given, 0) {
		p.types = given
		return true, nil
	}
	if shape := p.st.shaped(); shape.ParamsKnown && len(shape.Params) == n {
		p.types = shape.Params
		return true, nil
	}
	if p.st.plan.tmpl.NParams == 0 {
		return true, nil // EXECUTE and the like, which fail
	}
	if err := s.sendParse(); err != nil || s.skip {
		return false, err
	}
	if err := s.leave(); err != nil || s.skip {
		return false, err
	}
	m, err := s.member(s.knowing(p.st.plan.tmpl))
	if err != nil {
		return false, s.failBatch(executor.ClientError(err))
	}
	types, failure, err := m.ParameterTypes(p.st.text, p.st.oids)
	switch {
	case err != nil:
		return false, s.lost(err)
	case failure != nil:
		s.failFrame(failure)
		s.skip = true
		return false, nil
	}
	if len(types) == n {
		p.types = types
		shape := p.st.shaped()
		shape.Params, shape.ParamsKnown = types, true
	}
	return true, nil
}

// shapeBound makes the columns known of a statement that was bound on a backend under a name, where its rows may hold that
// backend's oids.
func (s *Session) shapeBound(m *executor.Member, p *portal, name string) {
	if m.Types == nil || !slices.Contains(p.formats, 1) {
		return
	}
	p.shape = p.st.shaped()
	if p.shape.Known {
		return
	}
	m.Out = wire.Describe(m.Out, 'S', name)
	m.Queue.Push(executor.Owed{Msg: 'D', Reply: executor.Quiet, Shape: p.shape})
}

// translation is what makes m's rows of the client's, nil where these are alike.
func (c *copying) translation(m *executor.Member) *executor.Values {
	if !c.c.Format.Binary || m.Types == nil {
		return nil
	}
	var types []uint32
	for _, list := range [][]int{c.c.Columns, c.c.Missing} {
		for _, col := range list {
			types = append(types, c.c.Table.Columns[col].TypeOID)
		}
	}
	return m.Types.FromHome(types, []int16{1})
}
