package proxy

import (
	"math"
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// locking is a query whose rows are locked by statements of pleiad's own.
type locking struct {
	s       *Session
	r       *request
	types   []uint32 // of the client's parameters
	columns int      // of the client's
	fields  []byte   // their RowDescription
	held    int64
	// Of a query that locks one row after the other:
	tried map[string]bool // by the keys of what a row is made of
	left  int64           // rows still to lock, math.MaxInt64 for all of them
	skip  int64           // of these not to give
	given int64
}

var refuseLockLimit = pgerr.New(pgerr.FeatureNotSupported, "a row limit on a locking query with LIMIT or a join over several backends is not supported").
	WithHint("Execute the portal without a limit.")

// beginLocking lets home look at the client's text. It gives nil where the client has been told what is wrong.
func (s *Session) beginLocking(r *request) (*locking, error) {
	if r.portal != nil && r.maxRows > 0 {
		s.fail(refuseLockLimit)
		return nil, nil
	}
	s.openImplicit()
	r.kinds = append(literals(nil), r.kinds...) // planning the parts reuses them
	_, d, ok, err := s.describeOwn(r)
	if !ok {
		return nil, err
	}
	return &locking{s: s, r: r, types: declared(r, d.Params), columns: len(d.Types), fields: d.Fields, tried: map[string]bool{}}, nil
}

// beginPicking is beginLocking of a query that locks one row after the other, and gives them as it goes.
func (s *Session) beginPicking(r *request, counts *router.LockCounts) (*locking, error) {
	l, err := s.beginLocking(r)
	if l == nil {
		return nil, err
	}
	if l.left, l.skip, err = counts.Read(s.values(r)); err != nil {
		s.fail(executor.ClientError(err))
		return nil, nil
	}
	if r.describe {
		s.out.Out = append(s.out.Out, l.fields...)
	}
	return l, nil
}

// endPicking tells the client how many rows it has.
func (l *locking) endPicking(failure []byte, err error) error {
	if err != nil || failure != nil {
		return l.s.collectFailed(failure, err)
	}
	l.s.tag("SELECT " + strconv.FormatInt(l.given, 10))
	return nil
}

// passesOver counts a row that is locked, and tells whether OFFSET is for it.
func (l *locking) passesOver() bool {
	l.left--
	if l.skip > 0 {
		l.skip--
		return true
	}
	l.given++
	return false
}

// moreCandidates is how many rows are looked at first, beyond those asked for: with many workers on one queue, the first ones
// are locked.
const moreCandidates = 16

// firstCandidates is how many rows to look at first, math.MaxInt64 for all of them.
func (l *locking) firstCandidates() int64 {
	if l.left > (math.MaxInt64-moreCandidates)/2 {
		return math.MaxInt64
	}
	return 2*l.left + moreCandidates
}

// limited is a query for its first n rows.
func limited(query string, n int64) string {
	if n == math.MaxInt64 {
		return query
	}
	return query + " LIMIT " + strconv.FormatInt(n, 10)
}

// hold notes memory that is in use until the statement ends.
func (l *locking) hold(size int) error {
	limit := int64(l.s.srv.config().Limits.GatherMaxBytes)
	if l.held += int64(size); l.held > limit {
		return executor.TooMuchGathered(limit)
	}
	return nil
}

// request is a part's, with the client's parameters.
func (l *locking) request(text string) *request {
	plan := l.s.planOwned([]byte(text))
	params := append([]shardmap.Value(nil), l.r.params...)
	for i := range params {
		params[i].TypeOID = l.types[i]
	}
	bind := l.r.bind
	if bind == nil {
		bind = []byte{0, 0, 0, 0}
	}
	return &request{text: []byte(text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds, oids: l.types, bind: bind, params: params}
}

// lockRequest is that of a statement which locks rows by their keys.
func (l *locking) lockRequest(lock *router.RowLock, keys []*executor.Array) (*request, error) {
	plan := l.s.planOwned([]byte(lock.Text))
	req := &request{text: []byte(lock.Text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds, bind: []byte{0, 0, 0, 0}}
	return req, bindArrays(req, keys, nil, lock.Types)
}

// bindArrays gives a request arrays of values of some types behind the client's parameters, whose types are given.
func bindArrays(req *request, arrays []*executor.Array, client, types []uint32) error {
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

// keyArrays are empty arrays for key columns of some types.
func keyArrays(types []uint32) (arrays []*executor.Array) {
	for _, t := range types {
		arrays = append(arrays, executor.NewArray(false, t))
	}
	return arrays
}

// keyOf names a row by its key.
func keyOf(key [][]byte) string { return keyString(key, indexes(len(key))) }

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
