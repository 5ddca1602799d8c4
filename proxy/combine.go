package proxy

import (
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/executor"
)

// runCombine runs a query of plain aggregates: each backend aggregates its rows, and PostgreSQL makes the answer of
// the backends' values.
func (s *Session) runCombine(r *request, set backends) error {
	run := &executor.Scatter{}
	text, err := s.scatterText(r, run)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	run.Texts = []string{text}
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
	if own := string(r.text); own != text {
		failure, err := executor.CheckText(members[0], own, r.oids)
		if err != nil || failure != nil {
			before := utf8.RuneCount(r.before)
			return s.combineFailed(failure, err, func(p int) int { return before + p })
		}
	}
	position := s.positions(r, run)
	parts, failure, err := executor.AskPartials(s.ctx, &s.gang, members, text, r.oids, r.bind)
	if err != nil || failure != nil {
		return s.combineFailed(failure, err, func(p int) int { return position(0, p) })
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

// combineFailed answers with a server's error, its position translated into the client's message.
func (s *Session) combineFailed(failure []byte, err error, position func(int) int) error {
	if err != nil {
		return s.lost(err)
	}
	s.failFrame(executor.MovePosition(failure, position))
	return nil
}
