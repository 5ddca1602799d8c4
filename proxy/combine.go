package proxy

import "github.com/pleiad/pleiad/internal/executor"

// runCombine runs a query of plain aggregates: each backend aggregates its rows, and PostgreSQL makes the answer of
// the backends' values.
func (s *Session) runCombine(r *request, set backends) error {
	var members []*executor.Member
	for _, b := range set.list() {
		m, err := s.gang.Join(s.ctx, b)
		if err != nil {
			s.unjoin(members)
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(r.tmpl, m)
		members = append(members, m)
	}
	parts, failure, err := executor.AskPartials(s.ctx, &s.gang, members, string(r.text), r.oids, r.bind)
	switch {
	case err != nil:
		return s.lost(err)
	case failure != nil:
		s.failFrame(failure)
		return nil
	}
	sql, e := parts.CombineSQL(r.tmpl.Scatter.Combine)
	if e != nil {
		s.fail(e)
		return nil
	}
	m := members[0]
	if r.bind != nil {
		m.Bound([]byte(sql), nil, []byte{0, 0, 0, 0}, r.formats, r.maxRows)
	} else {
		m.Query([]byte(sql))
	}
	return s.relay(m)
}
