package proxy

import (
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// picking is a query that locks the rows which its own are made of, as far as it gets.
type picking struct {
	*locking
	q      *router.LockPick
	locked []map[string]bool // by lock, the keys of rows
}

// runLockPick asks for more and more of the rows in order, and locks what each is made of, until enough are locked or there are
// no more.
func (s *Session) runLockPick(r *request) error {
	p := &picking{q: r.tmpl.LockPick}
	var err error
	if p.locking, err = s.beginPicking(r, &p.q.Counts); p.locking == nil {
		return err
	}
	for range p.q.Locks {
		p.locked = append(p.locked, map[string]bool{})
	}
	return p.endPicking(p.run())
}

// picked is a joined row by the keys of the rows that it is made of.
type picked struct {
	id   string
	keys [][]byte // nil is NULL
}

func (p *picking) run() (failure []byte, err error) {
	for n := p.firstCandidates(); p.left > 0; n *= 2 {
		rows, count, failure, err := p.candidates(n)
		if err != nil || failure != nil {
			return failure, err
		}
		for len(rows) > 0 && p.left > 0 {
			batch := rows[:min(p.left, int64(len(rows)))]
			rows = rows[len(batch):]
			if failure, err := p.pick(batch); err != nil || failure != nil {
				return failure, err
			}
		}
		if count < n {
			break
		}
	}
	return nil, nil
}

// candidates are those of the first n rows that have not been tried, in order; count is how many rows there are.
func (p *picking) candidates(n int64) (rows []picked, count int64, failure []byte, err error) {
	req := p.keyedRequest(limited(p.q.Query, n))
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

// keyedRequest is that of a query with the client's columns and the keys behind them.
func (p *picking) keyedRequest(text string) *request {
	req := p.request(text)
	for i := range p.columns {
		req.formats = append(req.formats, wire.FormatOf(p.r.formats, i))
	}
	for range p.q.Keys {
		req.formats = append(req.formats, 1)
	}
	return req
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
	held := p.held
	again, failure, err := p.again(rows)
	p.held = held
	if err != nil || failure != nil {
		return failure, err
	}
	for _, r := range rows {
		if row := again[r.id]; row != nil && !p.passesOver() {
			if _, err := p.s.out.Write(row); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// again reads rows once more, now that they are locked: by id, nil for those that are no longer what was asked for.
func (p *picking) again(rows []picked) (given map[string][]byte, failure []byte, err error) {
	var arrays []*executor.Array
	var types []uint32
	for _, l := range p.q.Locks {
		own := keyArrays(l.Types)
		for i, a := range own {
			for _, r := range rows {
				a.Append(r.keys[l.Key+i])
			}
		}
		arrays, types = append(arrays, own...), append(types, l.Types...)
	}
	given = map[string][]byte{}
	for _, r := range rows {
		given[r.id] = nil
	}
	req := p.keyedRequest(p.q.Again)
	if err := bindArrays(req, arrays, p.types, types); err != nil {
		return nil, nil, err
	}
	failure, err = p.s.capture(req, func(values [][]byte) error {
		id := p.row(values).id
		if _, ok := given[id]; !ok {
			return nil
		}
		given[id] = wire.DataRow(nil, values[:p.columns])
		return p.hold(len(given[id]))
	})
	return given, failure, err
}

// lock locks one table's rows of joined ones and gives the joined rows whose one is locked. Where it waits for others, it
// goes from row to row in their order.
func (p *picking) lock(k int, rows []picked) (left []picked, failure []byte, err error) {
	l, locked := &p.q.Locks[k], p.locked[k]
	own := func(r picked) [][]byte { return r.keys[l.Key : l.Key+len(l.Types)] }
	step := len(rows)
	if !l.Skips {
		step = 1
	}
	for from := 0; from < len(rows); from += step {
		arrays := keyArrays(l.Types)
		for _, r := range rows[from : from+step] {
			if key := own(r); !locked[keyOf(key)] {
				for i, v := range key {
					arrays[i].Append(v)
				}
			}
		}
		if arrays[0].Len() == 0 {
			continue
		}
		req, err := p.lockRequest(&l.RowLock, arrays)
		if err != nil {
			return nil, nil, err
		}
		req.formats = []int16{1}
		failure, err = p.s.capture(req, func(values [][]byte) error {
			key := keyOf(values)
			locked[key] = true
			return p.hold(len(key) + 64)
		})
		if err != nil || failure != nil {
			return nil, failure, err
		}
	}
	for _, r := range rows {
		if locked[keyOf(own(r))] {
			left = append(left, r)
		}
	}
	return left, nil, nil
}
