package proxy

import (
	"slices"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// runCalls runs a statement that calls functions over sharded or reference tables.
func (s *Session) runCalls(r *request) error {
	if r.tmpl.Kind == router.KindRoutine {
		return s.runRoutine(r)
	}
	return s.runInlined(r)
}

// runInlined runs a statement with the bodies of the functions that it calls in their places. PostgreSQL judges the client's
// own text first, and whether the other has the same columns and parameters.
func (s *Session) runInlined(r *request) error {
	home, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	told, failure, err := home.DescribeTexts(r.oids, string(r.text), r.tmpl.Inlined)
	switch {
	case err != nil:
		return s.lost(err)
	case len(told) == 0 && failure != nil:
		return s.combineFailed(failure, nil, r.position())
	case len(told) != 2 || !sameShape(told[0], told[1]):
		s.fail(router.RefuseFunction())
		return nil
	}
	next := *r
	next.own, next.text = r.client(), []byte(r.tmpl.Inlined)
	plan := s.planOwned(next.text)
	next.tmpl, next.kinds, next.lits = plan.tmpl, plan.kinds, plan.lits
	next.oids = declared(r, told[0].Params)
	next.params = append([]shardmap.Value(nil), r.params...)
	for i := range next.params {
		next.params[i].TypeOID = next.oids[i]
	}
	if next.bind == nil {
		next.bind = []byte{0, 0, 0, 0}
	}
	if next.tmpl.Kind == router.KindInlined || next.tmpl.Kind == router.KindRefuse {
		s.fail(router.RefuseFunction()) // the schema has changed since
		return nil
	}
	if r.describe && told[0].Fields != nil {
		s.out.Out = append(s.out.Out, told[0].Fields...) // a function's columns are of no table
		next.describe = false
	}
	if r.tmpl.InlinedCall == "" {
		return s.run(&next)
	}
	c := &capture{pass: true}
	if failure, err = s.captureInto(c, &next); failure != nil {
		failure = withContext(failure, "", `SQL function "`+r.tmpl.InlinedCall+`" statement 1`)
	}
	if failure != nil || err != nil {
		return s.answerFailure(failure, err)
	}
	return nil
}

// sameShape tells whether two texts take the same parameters and give columns of the same names and types.
func sameShape(a, b executor.Description) bool {
	return slices.Equal(a.Params, b.Params) && slices.Equal(a.Types, b.Types) && slices.Equal(a.Typmods, b.Typmods) &&
		slices.Equal(a.Names, b.Names)
}
