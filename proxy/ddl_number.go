package proxy

import (
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// runNumbers gives the columns that a schema change has added the values of their sequences.
func (s *Session) runNumbers(all []router.Numbering) error {
	for i := range all {
		if err := s.number(&all[i]); err != nil || s.batch.failed {
			return err
		}
	}
	return nil
}

// number makes the numbers of all backends' rows differ, and home's sequence go on behind them.
func (s *Session) number(n *router.Numbering) error {
	var members []*executor.Member
	var counts []int64
	var total int64
	for _, b := range s.allBackends() { // home is first
		m, err := s.gang.Join(s.ctx, b)
		if err != nil {
			s.fail(executor.ClientError(err))
			return nil
		}
		count, ok, err := s.askNumber(m, n.Count)
		if !ok {
			return err
		}
		members, counts = append(members, m), append(counts, count)
		total += count
	}
	if total == 0 {
		return nil
	}
	if ok, err := s.advance(members[0], n, total); !ok {
		return err
	}
	var moved []*executor.Member
	before := int64(0)
	for i, m := range members {
		if before > 0 && counts[i] > 0 {
			m.Internal(n.ShiftBy(before * n.Increment))
			moved = append(moved, m)
		}
		before += counts[i]
	}
	return s.relayAll(moved)
}

// advance brings home's sequence to its total-th value, as the last one that this session has taken: what is wrong with that is
// PostgreSQL's to say.
func (s *Session) advance(home *executor.Member, n *router.Numbering, total int64) (ok bool, err error) {
	s.gang.MayAdvance(home)
	last, called := n.Start+n.Increment*(total-1), "false"
	if last > n.Max {
		last, called = n.Max, "true"
	}
	set := "SELECT pg_catalog.setval(" + n.Sequence + ", " + strconv.FormatInt(last, 10) + ", " + called + ")"
	if _, ok, err = s.askNumber(home, set); !ok {
		return false, err
	}
	_, ok, err = s.askNumber(home, "SELECT pg_catalog.nextval("+n.Sequence+")")
	return ok, err
}

// askNumber runs a query of one integer. ok is false when the client has been told what is wrong.
func (s *Session) askNumber(m *executor.Member, sql string) (v int64, ok bool, err error) {
	rows, failure, err := m.Ask(sql)
	switch {
	case err != nil || failure != nil:
		return 0, false, s.collectFailed(failure, err)
	case len(rows) != 1 || len(rows[0]) != 1:
		s.fail(pgerr.New(pgerr.InternalError, "counting rows gave %d", len(rows)))
		return 0, false, nil
	}
	if v, err = strconv.ParseInt(string(rows[0][0]), 10, 64); err != nil {
		s.fail(pgerr.New(pgerr.InternalError, "counting rows: %v", err))
		return 0, false, nil
	}
	return v, true, nil
}
