package proxy

import (
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// locking is a query that locks its rows one after the other.
type locking struct {
	s     *Session
	r     *request
	q     *router.LockRows
	oids  []uint32 // of the parameters: the client's, and the primary key's
	tried map[string]bool
	held  int64
	locks int64 // rows still to lock
	skip  int64 // of these not to give
	given int64
}

var refuseLockLimit = pgerr.New(pgerr.FeatureNotSupported, "a row limit on a locking query with LIMIT or a join over several backends is not supported").
	WithHint("Execute the portal without a limit.")

// runLockRows asks for more and more of the rows in order, and tries each once, until enough are locked or there are no more.
func (s *Session) runLockRows(r *request) error {
	if r.portal != nil && r.maxRows > 0 {
		s.fail(refuseLockLimit)
		return nil
	}
	s.openImplicit()
	r.kinds = append(literals(nil), r.kinds...) // planning the parts reuses them
	lock, skip, err := r.tmpl.LockRows.LockCounts(s.values(r))
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
	l := &locking{
		s: s, r: r, q: r.tmpl.LockRows, oids: append(declared(r, d.Params), r.tmpl.LockRows.Types...),
		tried: map[string]bool{}, locks: lock, skip: skip,
	}
	failure, err := l.run()
	if err != nil || failure != nil {
		return s.collectFailed(failure, err)
	}
	s.out.Out = wire.CommandComplete(s.out.Out, "SELECT "+strconv.FormatInt(l.given, 10))
	return nil
}

// firstCandidates is how many rows are looked at first, beyond those asked for: with many workers on one queue, the first
// ones are locked.
const firstCandidates = 16

func (l *locking) run() (failure []byte, err error) {
	for n := 2*l.locks + firstCandidates; l.locks > 0; n *= 2 {
		keys, failure, err := l.candidates(n)
		if err != nil || failure != nil {
			return failure, err
		}
		for _, key := range keys {
			if l.locks == 0 {
				break
			}
			if id := keyString(key, indexes(len(key))); !l.tried[id] {
				l.tried[id] = true
				if failure, err := l.lock(key); err != nil || failure != nil {
					return failure, err
				}
			}
		}
		if int64(len(keys)) < n {
			break
		}
	}
	return nil, nil
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// candidates are the primary keys of the first n rows.
func (l *locking) candidates(n int64) (keys [][][]byte, failure []byte, err error) {
	req := l.request(l.q.Candidates + " LIMIT " + strconv.FormatInt(n, 10))
	req.oids = l.oids[:len(l.oids)-len(l.q.Types)]
	req.formats = []int16{1}
	limit := int64(l.s.srv.config().Limits.GatherMaxBytes)
	failure, err = l.s.capture(req, func(values [][]byte) error {
		key := make([][]byte, len(values))
		for i, v := range values {
			key[i] = append([]byte{}, v...)
			l.held += int64(len(v)) + 48
		}
		keys = append(keys, key)
		if l.held > limit {
			return executor.TooMuchGathered(limit)
		}
		return nil
	})
	return keys, failure, err
}

// request is a part's, with the client's parameters.
func (l *locking) request(text string) *request {
	plan := l.s.planOwned([]byte(text))
	params := append([]shardmap.Value(nil), l.r.params...)
	for i := range params {
		params[i].TypeOID = l.oids[i]
	}
	bind := l.r.bind
	if bind == nil {
		bind = []byte{0, 0, 0, 0}
	}
	return &request{text: []byte(text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds, oids: l.oids, bind: bind, params: params}
}

// lock locks one row and gives it, unless it has gone or is passed over.
func (l *locking) lock(key [][]byte) (failure []byte, err error) {
	req := l.request(l.q.Row)
	req.formats = l.r.formats
	req.bind = executor.WithValues(req.bind, key)
	for i, v := range key {
		req.params = append(req.params, shardmap.Value{Data: v, TypeOID: l.q.Types[i], Format: shardmap.Binary})
	}
	var row []byte
	failure, err = l.s.capture(req, func(values [][]byte) error {
		l.locks--
		if l.skip > 0 {
			l.skip--
			return nil
		}
		l.given++
		row = wire.DataRow(nil, values)
		return nil
	})
	if err != nil || failure != nil || row == nil {
		return failure, err
	}
	_, err = l.s.out.Write(row)
	return nil, err
}
