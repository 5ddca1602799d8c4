package proxy

import (
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// lockingJoin is a query of several tables that locks rows: what it gives, and what it has locked.
type lockingJoin struct {
	s       *Session
	r       *request
	q       *router.LockJoin
	types   []uint32 // of the client's parameters
	columns int      // of the client's
	locked  []map[string]bool
	held    int64
}

// runLockJoin runs the query, locks the rows that it is made of, and runs it again, until all of these are locked.
func (s *Session) runLockJoin(r *request) error {
	if r.portal != nil && r.maxRows > 0 {
		s.fail(refuseLockLimit)
		return nil
	}
	s.openImplicit()
	r.kinds = append(literals(nil), r.kinds...) // planning the parts reuses them
	_, d, ok, err := s.describeOwn(r)
	if !ok {
		return err
	}
	j := &lockingJoin{s: s, r: r, q: r.tmpl.LockJoin, types: declared(r, d.Params), columns: len(d.Types)}
	for range j.q.Locks {
		j.locked = append(j.locked, map[string]bool{})
	}
	for {
		rows, count, keys, failure, err := j.query()
		if err == nil && failure == nil && keys != nil {
			if failure, err = j.lock(keys); failure != nil && r.describe {
				s.out.Out = append(s.out.Out, d.Fields...) // it had begun to give rows
			}
		}
		if err != nil || failure != nil {
			return s.collectFailed(failure, err)
		}
		if keys != nil {
			continue
		}
		if r.describe {
			s.out.Out = append(s.out.Out, d.Fields...)
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
			id := keyString(key, indexes(len(key)))
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
		var a []*executor.Array
		for _, t := range l.Types {
			a = append(a, executor.NewArray(false, t))
		}
		out = append(out, a)
	}
	return out
}

// lock locks rows by their keys.
func (j *lockingJoin) lock(keys [][]*executor.Array) (failure []byte, err error) {
	for k, l := range j.q.Locks {
		plan := j.s.planOwned([]byte(l.Text))
		req := &request{text: []byte(l.Text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds, bind: executor.WithArrays([]byte{0, 0, 0, 0}, keys[k])}
		var given portal
		if _, e := given.decode(req.bind); e != nil {
			return nil, e
		}
		for i, t := range l.Types {
			array, _ := executor.ArrayType(t)
			req.oids = append(req.oids, array)
			given.params[i].TypeOID = array
		}
		req.params = given.params
		if failure, err := j.s.capture(req, func([][]byte) error { return nil }); err != nil || failure != nil {
			return failure, err
		}
	}
	return nil, nil
}

// request is a part's, with the client's parameters.
func (j *lockingJoin) request(text string) *request {
	plan := j.s.planOwned([]byte(text))
	params := append([]shardmap.Value(nil), j.r.params...)
	for i := range params {
		params[i].TypeOID = j.types[i]
	}
	bind := j.r.bind
	if bind == nil {
		bind = []byte{0, 0, 0, 0}
	}
	return &request{text: []byte(text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds, oids: j.types, bind: bind, params: params}
}
