package proxy

import (
	"errors"
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// readRows are the rows of an INSERT's query, sorted by the backends that they go to.
type readRows struct {
	s     *Session
	q     *router.InsertQuery
	via   *transport
	parts map[int][]*executor.Array
	turns []int // the backend of each row
	held  int64
	// old and next are the primary keys that rows lose and get.
	old, next map[string]bool
}

// runInsertQuery reads an INSERT's rows, whatever their query takes, and inserts each on the backend of its shard.
func (s *Session) runInsertQuery(r *request) error {
	if err := s.enterOwners(r.tmpl.InsertQuery.Table); err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	s.openImplicit()
	r.kinds = append(literals(nil), r.kinds...) // planning the query reuses them
	r.spansOf()
	rows := &readRows{s: s, q: r.tmpl.InsertQuery, parts: map[int][]*executor.Array{}}
	types, ok, err := rows.describe(r)
	if !ok || err != nil {
		return err
	}
	source := rows.request(r, types)
	failure, err := s.capture(source, rows.take)
	if isReadOnly(failure) {
		s.fail(readOnly(r.tmpl.Command))
		return nil
	}
	if err != nil || failure != nil {
		return s.collectFailed(failure, err)
	}
	if rows.passesKey() {
		s.fail(refuseKeyPassed)
		return nil
	}
	return rows.send(r, types)
}

// describe lets home look at the client's text, which says what is wrong with it and what its parameters are, and at the
// query, to know how its columns travel.
func (w *readRows) describe(r *request) (types []uint32, ok bool, err error) {
	s := w.s
	m, told, ok, err := s.describeOwn(r)
	if !ok {
		return nil, false, err
	}
	types = told.Params
	d, failure, err := m.DescribeText(w.q.Source, types)
	if err != nil || failure != nil {
		return nil, false, s.collectFailed(failure, err)
	}
	if len(d.Types) < w.q.Columns {
		s.fail(pgerr.New(pgerr.InternalError, "the query of an INSERT has %d columns instead of %d", len(d.Types), w.q.Columns))
		return nil, false, nil
	}
	w.via, failure, err = s.transportOf(m, d, w.q.Columns)
	if err == nil && failure == nil && r.tmpl.Command == "MERGE" {
		failure, err = w.via.learnCollations(m, w.q.Source, types, r.bind)
	}
	if err != nil || failure != nil {
		return nil, false, s.collectFailed(failure, err)
	}
	return types, true, nil
}

// request is the query's own.
func (w *readRows) request(r *request, types []uint32) *request {
	plan := w.s.planOwned([]byte(w.q.Source))
	params := r.params
	for i := range params {
		if i < len(types) {
			params[i].TypeOID = types[i]
		}
	}
	bind := r.bind
	if bind == nil {
		bind = []byte{0, 0, 0, 0}
	}
	return &request{
		text: []byte(w.q.Source), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds,
		oids: types, bind: bind, params: params, formats: w.via.formats,
	}
}

// take keeps one row for its backend.
func (w *readRows) take(values [][]byte) error {
	b, err := w.owner(values)
	if err != nil {
		return executor.ClientError(err)
	}
	w.noteKeys(values)
	part := w.part(b)
	for i := range w.q.Columns {
		w.held += int64(part[i].Append(values[i]))
	}
	if w.q.Returning && !w.q.Everywhere && !w.q.Broadcast {
		w.turns = append(w.turns, b)
		w.held += 8
	}
	if limit := int64(w.s.srv.config().Limits.GatherMaxBytes); w.held > limit {
		return executor.TooMuchGathered(limit)
	}
	return nil
}

// noteKeys keeps the primary keys that an UPDATE changes.
func (w *readRows) noteKeys(values [][]byte) {
	if len(w.q.Old) == 0 {
		return
	}
	old, next := keyString(values, w.q.Old), keyString(values, w.q.New)
	if old == next {
		return
	}
	if w.old == nil {
		w.old, w.next = map[string]bool{}, map[string]bool{}
	}
	w.old[old], w.next[next] = true, true
	w.held += int64(len(old) + len(next) + 64)
}

func keyString(values [][]byte, columns []int) string {
	var b []byte
	for _, i := range columns {
		b = append(strconv.AppendInt(b, int64(len(values[i])), 10), ':')
		b = append(b, values[i]...)
	}
	return string(b)
}

var refuseKeyPassed = pgerr.New(pgerr.FeatureNotSupported, "an UPDATE that passes a key from one row to another is not supported over several backends").
	WithHint("PostgreSQL's own answer depends on the order of the rows: update them one after the other.")

// passesKey tells whether a row gets the key of another one.
func (w *readRows) passesKey() bool {
	for k := range w.next {
		if w.old[k] {
			return true
		}
	}
	return false
}

// part is where the rows of a backend are kept; all rows of a reference table are in home's.
func (w *readRows) part(b int) []*executor.Array {
	part := w.parts[b]
	if part == nil {
		for i := range w.q.Columns {
			part = append(part, w.via.array(i))
		}
		w.parts[b] = part
	}
	return part
}

func (w *readRows) owner(values [][]byte) (int, error) {
	home := w.s.db.home
	if w.q.Everywhere || w.q.Broadcast || w.q.Table.Kind == router.TableLocal {
		return home, nil // all in one place
	}
	vals := make([]shardmap.Value, len(w.q.Keys))
	for k, i := range w.q.Keys {
		if i < 0 || values[i] == nil {
			vals[k] = shardmap.Value{Null: true}
			continue
		}
		vals[k] = shardmap.Value{Data: values[i], TypeOID: w.q.Table.KeyCols[k].TypeOID, Format: shardmap.Binary}
	}
	b, err := w.q.Table.KeyBackend(w.s.planner.env.Schema.Map, vals)
	var bad *shardmap.InvalidBinaryError
	if errors.As(err, &bad) {
		return home, nil // PostgreSQL says what is wrong with it
	}
	return int(b), err
}

// send runs the INSERT on each backend with its rows; without any, on home.
func (w *readRows) send(r *request, types []uint32) error {
	s := w.s
	home := s.db.home
	if len(w.parts) == 0 {
		w.part(home)
	}
	if w.q.Broadcast {
		owners, _ := s.planner.env.Schema.Map.Owners(shardmap.GroupID(w.q.Table.Group))
		all := w.parts[home]
		w.parts = map[int][]*executor.Array{}
		for _, b := range owners {
			w.parts[int(b)] = all
		}
	}
	if e := r.tmpl.NoScatter; e != nil && len(w.parts) > 1 {
		s.fail(e)
		return nil
	}
	run := &executor.Scatter{
		Gang: &s.gang, Texts: []string{w.text(r)}, OIDs: append(declared(r, types), w.via.oids...), Params: r.bind,
		Formats: r.formats, Limit: -1, Describe: r.describe, Command: r.tmpl.Command, Collations: s.db.collations(),
	}
	index := map[int]int{}
	for _, b := range s.allBackends() { // home is first: its answer is the client's
		part := w.parts[b]
		if w.q.Everywhere {
			part = w.parts[home]
		}
		if part == nil {
			continue
		}
		m, err := s.member(b)
		if err != nil {
			s.unjoin(run.Members)
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(r.tmpl, m)
		m.Wrote = true
		index[b] = len(run.Members)
		run.Members = append(run.Members, m)
		run.Arrays = append(run.Arrays, part)
	}
	run.Position = s.positions(r, run)
	if w.q.Everywhere {
		return s.finishCopies(r, run)
	}
	for _, b := range w.turns {
		run.Turns = append(run.Turns, index[b])
	}
	return s.finishScatter(r, run)
}

// declared are the types of the client's parameters, as many as the text has.
func declared(r *request, types []uint32) []uint32 {
	out := make([]uint32, r.tmpl.NParams)
	copy(out, types)
	return out
}

// text is the write with its rows in the query's place.
func (w *readRows) text(r *request) string {
	return router.FillSource(w.q.Text, w.via.rows(r.tmpl.NParams))
}

// finishCopies runs a write of a reference table on every backend. The client sees the first one's answer, once the others
// have done the same.
func (s *Session) finishCopies(r *request, run *executor.Scatter) error {
	first, others := *run, *run
	first.Members, others.Members = run.Members[:1], run.Members[1:]
	if len(run.Arrays) > 1 {
		first.Arrays, others.Arrays = run.Arrays[:1], run.Arrays[1:]
	}
	others.Describe, others.Formats = false, nil
	if len(others.Members) > 0 {
		c := &capture{client: s.out, row: func([][]byte) error { return nil }}
		quiet := wire.NewWriter(c)
		failed, err := others.Run(s.ctx, quiet, s)
		if err == nil {
			err = quiet.Flush()
		}
		if err != nil {
			return err
		}
		if failed {
			s.unjoin(first.Members)
			s.failFrame(c.failure)
			return nil
		}
	}
	first.Position = s.positions(r, &first)
	return s.finishScatter(r, &first)
}
