package proxy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// prelude is a statement whose parts run first, each with the rows of those before it as parameters.
type prelude struct {
	s      *Session
	r      *request
	oids   []uint32 // of all parameters so far, the client's first
	arrays []*executor.Array
	rows   []string // by step: the subquery that gives its rows
	held   int64
	fields []byte // the RowDescription of the client's own text; nil without rows
	types  []uint32
	// changed counts the rows that steps have written.
	changed int64
}

// runPrelude runs what a statement needs to have run ahead of it, and then the statement, all in one transaction.
func (s *Session) runPrelude(r *request) error {
	s.openImplicit()
	r.kinds = append(literals(nil), r.kinds...) // planning the parts reuses them
	_, told, ok, err := s.describeOwn(r)
	if !ok {
		return err
	}
	if v := s.values(r); slices.ContainsFunc(r.tmpl.Prelude.Apart, func(o router.OtherKeys) bool { return !o.Holds(v) }) {
		s.fail(router.RefuseParts())
		return nil
	}
	p := &prelude{s: s, r: r, oids: declared(r, told.Params), fields: told.Fields, types: told.Types}
	for k, text := range r.tmpl.Prelude.Steps {
		shape := r.tmpl.Prelude.Shapes[k]
		if shape == "" {
			shape = text
		}
		failure, err := p.step(p.filled(text), p.filled(shape))
		if e := stepFailure(r.tmpl.Prelude, k, failure); e != nil {
			s.fail(e)
			return nil
		}
		if isReadOnly(failure) {
			s.fail(readOnly(r.tmpl.Command))
			return nil
		}
		if err != nil || failure != nil {
			return s.collectFailed(failure, err)
		}
	}
	return p.finish()
}

// stepFailure is what an error of a step that is not the client's own statement means; nil where it is the statement's error.
func stepFailure(p *router.Prelude, k int, failure []byte) *pgerr.Error {
	if failure == nil {
		return nil
	}
	if wire.ErrorField(failure, 'C') == pgerr.ForeignKeyViolation && slices.Contains(p.Fulfils, k) {
		return refuseFulfilled
	}
	if p.Command == "" {
		return nil
	}
	switch wire.ErrorField(failure, 'C') {
	case pgerr.InsufficientPrivilege:
		return p.Denied
	case pgerr.ReadOnlyTransaction:
		return readOnly(p.Command)
	}
	return nil
}

var refuseFulfilled = pgerr.New(pgerr.FeatureNotSupported, "a WITH query over several backends that writes rows ahead of those which they refer to is not supported").
	WithHint("Write the rows that others refer to in the first WITH query.")

// isReadOnly tells the error of a part that writes in a READ ONLY transaction; that of a function's own statement has a context.
func isReadOnly(failure []byte) bool {
	return failure != nil && wire.ErrorField(failure, 'C') == pgerr.ReadOnlyTransaction && wire.ErrorField(failure, 'W') == ""
}

// readOnly is PostgreSQL's error for a statement that writes in a READ ONLY transaction: it names the client's own, of which
// others may be made.
func readOnly(command string) *pgerr.Error {
	return pgerr.New(pgerr.ReadOnlyTransaction, "cannot execute %s in a read-only transaction", command)
}

// filled is a text with the rows of the steps so far in their places.
func (p *prelude) filled(text string) string { return router.FillRows(text, p.rows) }

// step runs one part and keeps its rows. shape is a query with the same columns.
func (p *prelude) step(text, shape string) (failure []byte, err error) {
	s := p.s
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		return nil, err
	}
	d, failure, err := m.DescribeText(text, p.oids)
	if err != nil || failure != nil {
		return p.unlike(failure), err
	}
	via, failure, err := s.transportOf(m, d, len(d.Types))
	if err != nil || failure != nil {
		return failure, err
	}
	step := p.request(text)
	if len(d.Types) > 0 {
		if failure, err := via.learnCollations(m, shape, step.oids, step.bind); err != nil || failure != nil {
			return failure, err
		}
	}
	step.formats = via.formats
	arrays := make([]*executor.Array, len(d.Types))
	for i := range arrays {
		arrays[i] = via.array(i)
	}
	limit := int64(s.srv.config().Limits.GatherMaxBytes)
	changed, failure, err := s.captureCount(step, func(values [][]byte) error {
		for i, v := range values[:min(len(values), len(arrays))] {
			p.held += int64(arrays[i].Append(v))
		}
		if p.held > limit {
			return executor.TooMuchGathered(limit)
		}
		return nil
	})
	if step.tmpl.Writes {
		p.changed += changed
	}
	p.rows = append(p.rows, via.rows(len(p.oids)))
	p.oids = append(p.oids, via.oids...)
	p.arrays = append(p.arrays, arrays...)
	return failure, err
}

// request is one part's, with the parameters there are so far, up to the last that it names: what is planned for it counts from
// there.
func (p *prelude) request(text string) *request {
	plan := p.s.planOwned([]byte(text))
	params := append([]shardmap.Value(nil), p.r.params...)
	for i := range params {
		params[i].TypeOID = p.oids[i]
	}
	bind := p.r.bind
	if bind == nil {
		bind = []byte{0, 0, 0, 0}
	}
	n := min(plan.tmpl.NParams, len(p.oids))
	arrays := p.arrays[:max(0, n-(len(p.oids)-len(p.arrays)))]
	return &request{
		text: []byte(text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds,
		oids: p.oids[:n:n], bind: executor.FirstParams(executor.WithArrays(bind, arrays), n), params: params[:min(n, len(params))],
	}
}

// unlike is the answer to an error that PostgreSQL finds in a text that the client did not write: it took the client's own
// without one, so rows do not do for what stood in their place.
func (p *prelude) unlike(failure []byte) []byte {
	if failure == nil {
		return nil
	}
	if code := wire.ErrorField(failure, 'C'); strings.HasPrefix(code, "42") && code != pgerr.InsufficientPrivilege {
		return wire.Error(nil, refusal(p.r.tmpl))
	}
	return failure
}

// check lets home look at what is left of the statement.
func (p *prelude) check(text []byte) (failure []byte, err error) {
	m, err := p.s.gang.Join(p.s.ctx, p.s.db.home)
	if err != nil {
		return nil, err
	}
	d, failure, err := m.DescribeText(string(text), p.oids)
	if err == nil && failure == nil && !slices.Equal(d.Types, p.types) {
		return wire.Error(nil, refusal(p.r.tmpl)), nil
	}
	return p.unlike(failure), err
}

// finish runs the statement itself.
func (p *prelude) finish() error {
	next := p.request(p.filled(p.r.tmpl.Prelude.Text))
	if p.r.tmpl.Prelude.OneMatch {
		next.tmpl = router.PlanOneMatch(string(next.text), p.s.planner.env)
	}
	next.before, next.own = p.r.before, p.r.text
	next.formats, next.maxRows, next.portal, next.describe = p.r.formats, p.r.maxRows, p.r.portal, p.r.describe
	if next.tmpl.Prelude != nil {
		p.s.fail(refusal(next.tmpl)) // it was taken apart already
		return nil
	}
	if failure, err := p.check(next.text); err != nil || failure != nil {
		return p.s.collectFailed(failure, err)
	}
	if p.r.tmpl.Prelude.Merges {
		next.describe, next.portal = false, nil
		changed, failure, err := p.s.captureCount(next, func([][]byte) error { return nil })
		if err != nil || failure != nil {
			return p.s.collectFailed(failure, err)
		}
		p.s.tag("MERGE " + strconv.FormatInt(p.changed+changed, 10))
		return nil
	}
	if p.r.describe && p.fields != nil {
		p.s.out.Out = append(p.s.out.Out, p.fields...) // the columns of what is left are not the tables'
		next.describe = false
	}
	if p.r.tmpl.Prelude.Answer {
		return p.answer(next)
	}
	return p.s.run(next)
}

// answer lets home make the RETURNING of rows that a step has written.
func (p *prelude) answer(final *request) error {
	s, t := p.s, final.tmpl
	if t.Kind != router.KindHome && t.Kind != router.KindAny {
		return s.refuse(p.r, refusal(t))
	}
	if t.NeedsSequenceState {
		if e := s.gang.ReadsSequences(); e != nil {
			s.fail(e)
			return nil
		}
	}
	home, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	s.effect(t, home)
	run := &executor.Scatter{
		Gang: &s.gang, Members: []*executor.Member{home}, Texts: []string{string(final.text)}, OIDs: final.oids, Params: final.bind,
		Formats: p.r.formats, Limit: -1, Command: p.r.tmpl.Prelude.Command, Collations: s.db.collations(),
	}
	run.Position = s.positions(p.r, run)
	return s.finishScatter(p.r, run)
}
