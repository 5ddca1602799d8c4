package proxy

import (
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// lockingRows is a query of one table that locks its rows one after the other.
type lockingRows struct {
	*locking
	q *router.LockRows
}

// runLockRows asks for more and more of the rows in order, and tries each once, until enough are locked or there are no more.
func (s *Session) runLockRows(r *request) error {
	q := r.tmpl.LockRows
	l, err := s.beginPicking(r, &q.Counts)
	if l == nil {
		return err
	}
	return l.endPicking((&lockingRows{l, q}).run())
}

func (l *lockingRows) run() (failure []byte, err error) {
	for n := l.firstCandidates(); l.left > 0; n *= 2 {
		keys, count, failure, err := l.candidates(n)
		if err != nil || failure != nil {
			return failure, err
		}
		for _, key := range keys {
			if l.left == 0 {
				break
			}
			if failure, err := l.lock(key); err != nil || failure != nil {
				return failure, err
			}
		}
		if count < n {
			break
		}
	}
	return nil, nil
}

// candidates are the primary keys of those of the first n rows that have not been tried; count is how many rows there are.
func (l *lockingRows) candidates(n int64) (keys [][][]byte, count int64, failure []byte, err error) {
	req := l.request(limited(l.q.Candidates, n))
	req.formats = []int16{1}
	failure, err = l.s.capture(req, func(values [][]byte) error {
		count++
		id := keyOf(values)
		if l.tried[id] {
			return nil
		}
		l.tried[id] = true
		key := make([][]byte, len(values))
		for i, v := range values {
			key[i] = append([]byte{}, v...)
		}
		keys = append(keys, key)
		return l.hold(2*len(id) + 64)
	})
	return keys, count, failure, err
}

// lock locks one row and gives it, unless it has gone or is passed over.
func (l *lockingRows) lock(key [][]byte) (failure []byte, err error) {
	req := l.request(l.q.Row)
	req.formats = l.r.formats
	req.bind = executor.WithValues(req.bind, key)
	req.oids = append(req.oids[:len(l.types):len(l.types)], l.q.Types...)
	for i, v := range key {
		req.params = append(req.params, shardmap.Value{Data: v, TypeOID: l.q.Types[i], Format: shardmap.Binary})
	}
	var row []byte
	failure, err = l.s.capture(req, func(values [][]byte) error {
		if !l.passesOver() {
			row = wire.DataRow(nil, values)
		}
		return nil
	})
	if err != nil || failure != nil || row == nil {
		return failure, err
	}
	_, err = l.s.out.Write(row)
	return nil, err
}
