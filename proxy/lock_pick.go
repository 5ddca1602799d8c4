package proxy

import (
	"math"
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// picking is a query that locks the rows which its own are made of, as far as it gets.
type picking struct {
	s       *Session
	r       *request
	q       *router.LockPick
	types   []uint32 // of the client's parameters
	columns int      // of the client's
	tried   map[string]bool
	locked  []map[string]bool // by lock, the keys of rows
	held    int64
	left    int64 // rows still to lock; below zero all of them
	skip    int64 // of these not to give
	given   int64
}

// runLockPick asks for more and more of the rows in order, and locks what each is made of, until enough are locked or there are
// no more.
func (s *Session) runLockPick(r *request) error {
	if r.portal != nil && r.maxRows > 0 {
		s.fail(refuseLockLimit)
		return nil
	}
	s.openImplicit()
	r.kinds = append(literals(nil), r.kinds...) // planning the parts reuses them
	lock, skip, err := r.tmpl.LockPick.PickCounts(s.values(r))
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	_, d, ok, err := s.describeOwn(r)
	if !ok {
		return err
	}
	if r.describe {
		s.out.Out = append(s.out.Out, d.Fields...)
	}
	p := &picking{
		s: s, r: r, q: r.tmpl.LockPick, types: declared(r, d.Params), columns: len(d.Types), tried: map[string]bool{}, left: lock, skip: skip,
	}
	for range p.q.Locks {
		p.locked = append(p.locked, map[string]bool{})
	}
	failure, err := p.run()
	if err != nil || failure != nil {
		return s.collectFailed(failure, err)
	}
	s.tag("SELECT " + strconv.FormatInt(p.given, 10))
	return nil
}

// picked is a joined row by the keys of the rows that it is made of.
type picked struct {
	id   string
	keys [][]byte // nil is NULL
}

func (p *picking) run() (failure []byte, err error) {
	n := int64(math.MaxInt64)
	if p.left >= 0 {
		n = 2*p.left + firstCandidates
	}
	for p.left != 0 {
		rows, count, failure, err := p.candidates(n)
		if err != nil || failure != nil {
			return failure, err
		}
		for len(rows) > 0 && p.left != 0 {
			batch := rows
			if p.left > 0 {
				batch = rows[:min(p.left, int64(len(rows)))]
			}
			rows = rows[len(batch):]
			if failure, err := p.pick(batch); err != nil || failure != nil {
				return failure, err
			}
		}
		if count < n {
			break
		}
		n *= 2
	}
	return nil, nil
}

// candidates are those of the first n rows that have not been tried, in order; count is how many rows there are.
func (p *picking) candidates(n int64) (rows []picked, count int64, failure []byte, err error) {
	text := p.q.Query
	if n < math.MaxInt64 {
		text += " LIMIT " + strconv.FormatInt(n, 10)
	}
	req := p.request(text)
	req.oids = p.types
	failure, err = p.s.capture(req, func(values [][]byte) error {
		count++
		row := p.row(values)
		if p.tried[row.id] {
			return nil
		}
		p.tried[row.id] = true
		rows = append(rows, row)
		return p.hold(2*len(row.id) + 64)
	})
	return rows, count, failure, err
}

// row reads the keys behind the client's columns.
func (p *picking) row(values [][]byte) (out picked) {
	var id []byte
	for _, v := range values[p.columns:] {
		if v == nil {
			id, out.keys = append(id, '-'), append(out.keys, nil)
			continue
		}
		id = append(strconv.AppendInt(id, int64(len(v)), 10), ':')
		id = append(id, v...)
		out.keys = append(out.keys, append([]byte{}, v...))
	}
	out.id = string(id)
	return out
}

func (p *picking) hold(size int) error {
	limit := int64(p.s.srv.config().Limits.GatherMaxBytes)
	if p.held += int64(size); p.held > limit {
		return executor.TooMuchGathered(limit)
	}
	return nil
}

// pick locks what rows are made of, and gives those that are still there, in their order.
func (p *picking) pick(rows []picked) (failure []byte, err error) {
	for k := range p.q.Locks {
		if rows, failure, err = p.lock(k, rows); err != nil || failure != nil {
			return failure, err
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	var arrays []*executor.Array
	for _, l := range p.q.Locks {
		for i, t := range l.Types {
			a := executor.NewArray(false, t)
			for _, r := range rows {
				a.Append(r.keys[l.Key+i])
			}
			arrays = append(arrays, a)
		}
	}
	asked := map[string][]byte{}
	for _, r := range rows {
		asked[r.id] = nil
	}
	req := p.request(p.q.Again)
	if err := p.bindArrays(req, arrays, p.types, p.lockTypes()); err != nil {
		return nil, err
	}
	held := p.held
	failure, err = p.s.capture(req, func(values [][]byte) error {
		id := p.row(values).id
		if _, ok := asked[id]; !ok {
			return nil
		}
		asked[id] = wire.DataRow(nil, values[:p.columns])
		return p.hold(len(asked[id]))
	})
	p.held = held
	if err != nil || failure != nil {
		return failure, err
	}
	for _, r := range rows {
		row := asked[r.id]
		if row == nil {
			continue
		}
		p.left--
		if p.skip > 0 {
			p.skip--
			continue
		}
		p.given++
		if _, err := p.s.out.Write(row); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// lockTypes are the types of the key columns of all locks.
func (p *picking) lockTypes() (types []uint32) {
	for _, l := range p.q.Locks {
		types = append(types, l.Types...)
	}
	return types
}

// lock locks one table's rows of joined ones and gives the joined rows whose one is locked. Where it waits for others, it
// goes from row to row in their order.
func (p *picking) lock(k int, rows []picked) (left []picked, failure []byte, err error) {
	l, locked := p.q.Locks[k], p.locked[k]
	own := func(r picked) [][]byte { return r.keys[l.Key : l.Key+len(l.Types)] }
	id := func(key [][]byte) string { return keyString(key, indexes(len(key))) }
	step := len(rows)
	if !l.Skips {
		step = 1
	}
	for from := 0; from < len(rows); from += step {
		var arrays []*executor.Array
		for _, t := range l.Types {
			arrays = append(arrays, executor.NewArray(false, t))
		}
		for _, r := range rows[from : from+step] {
			if key := own(r); !locked[id(key)] {
				for i, v := range key {
					arrays[i].Append(v)
				}
			}
		}
		if arrays[0].Len() == 0 {
			continue
		}
		plan := p.s.planOwned([]byte(l.Text))
		req := &request{text: []byte(l.Text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds, bind: []byte{0, 0, 0, 0}, formats: []int16{1}}
		if err := p.bindArrays(req, arrays, nil, l.Types); err != nil {
			return nil, nil, err
		}
		failure, err = p.s.capture(req, func(values [][]byte) error {
			key := id(values)
			locked[key] = true
			return p.hold(len(key) + 64)
		})
		if err != nil || failure != nil {
			return nil, failure, err
		}
	}
	for _, r := range rows {
		if locked[id(own(r))] {
			left = append(left, r)
		}
	}
	return left, nil, nil
}

// bindArrays gives a request arrays of values of some types behind the client's parameters, whose types are given.
func (p *picking) bindArrays(req *request, arrays []*executor.Array, client, types []uint32) error {
	req.bind = executor.WithArrays(req.bind, arrays)
	var given portal
	if _, e := given.decode(req.bind); e != nil {
		return e
	}
	req.oids = append([]uint32(nil), client...)
	for _, t := range types {
		array, _ := executor.ArrayType(t)
		req.oids = append(req.oids, array)
	}
	for i := range given.params {
		given.params[i].TypeOID = req.oids[i]
	}
	req.params = given.params
	return nil
}

// request is a part's, with the client's parameters.
func (p *picking) request(text string) *request {
	plan := p.s.planOwned([]byte(text))
	params := append([]shardmap.Value(nil), p.r.params...)
	for i := range params {
		params[i].TypeOID = p.types[i]
	}
	bind := p.r.bind
	if bind == nil {
		bind = []byte{0, 0, 0, 0}
	}
	req := &request{text: []byte(text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds, bind: bind, params: params}
	for i := range p.columns {
		req.formats = append(req.formats, wire.FormatOf(p.r.formats, i))
	}
	for range p.q.Keys {
		req.formats = append(req.formats, 1)
	}
	return req
}
