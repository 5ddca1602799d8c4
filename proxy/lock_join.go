package proxy

import (
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// lockingJoin is a query of several tables that locks rows: what it gives, and what it has locked.
type lockingJoin struct {
	*locking
	q      *router.LockJoin
	locked []map[string]bool
}

// runLockJoin runs the query, locks the rows that it is made of, and runs it again, until all of these are locked.
func (s *Session) runLockJoin(r *request) error {
	j := &lockingJoin{q: r.tmpl.LockJoin}
	var err error
	if j.locking, err = s.beginLocking(r); j.locking == nil {
		return err
	}
	for range j.q.Locks {
		j.locked = append(j.locked, map[string]bool{})
	}
	for {
		rows, count, keys, failure, err := j.query()
		if err == nil && failure == nil && keys != nil {
			if failure, err = j.lock(keys); failure != nil && r.describe {
				s.out.Out = append(s.out.Out, j.fields...) // it had begun to give rows
			}
		}
		if err != nil || failure != nil {
			return s.collectFailed(failure, err)
		}
		if keys != nil {
			continue
		}
		if r.describe {
			s.out.Out = append(s.out.Out, j.fields...)
		}
		if _, err := s.out.Write(rows); err != nil {
			return err
		}
		s.tag("SELECT " + strconv.Itoa(count))
		return nil
	}
}

// query runs the statement without its locks: its rows as the client gets them, and by lock the keys of the rows that are not
// locked yet, nil if there are none.
func (j *lockingJoin) query() (rows []byte, count int, keys [][]*executor.Array, failure []byte, err error) {
	s := j.s
	req := j.request(j.q.Query)
	for i := range j.columns {
		req.formats = append(req.formats, wire.FormatOf(j.r.formats, i))
	}
	for _, l := range j.q.Locks {
		for range l.Types {
			req.formats = append(req.formats, 1)
		}
	}
	var fresh [][]*executor.Array
	limit := int64(s.srv.config().Limits.GatherMaxBytes)
	held := int64(0)
	failure, err = s.capture(req, func(values [][]byte) error {
		count++
		at := j.columns
		for k, l := range j.q.Locks {
			key := values[at : at+len(l.Types)]
			at += len(l.Types)
			id := keyOf(key)
			if j.locked[k][id] {
				continue
			}
			j.locked[k][id] = true
			j.held += int64(len(id)) + 64
			if fresh == nil {
				fresh = j.arrays()
			}
			for i, v := range key {
				fresh[k][i].Append(v)
			}
		}
		before := len(rows)
		rows = wire.DataRow(rows, values[:j.columns])
		if held += int64(len(rows) - before); held+j.held > limit {
			return executor.TooMuchGathered(limit)
		}
		return nil
	})
	return rows, count, fresh, failure, err
}

func (j *lockingJoin) arrays() (out [][]*executor.Array) {
	for _, l := range j.q.Locks {
		out = append(out, keyArrays(l.Types))
	}
	return out
}

// lock locks rows by their keys.
func (j *lockingJoin) lock(keys [][]*executor.Array) (failure []byte, err error) {
	for k := range j.q.Locks {
		req, err := j.lockRequest(&j.q.Locks[k], keys[k])
		if err != nil {
			return nil, err
		}
		if failure, err := j.s.capture(req, func([][]byte) error { return nil }); err != nil || failure != nil {
			return failure, err
		}
	}
	return nil, nil
}
