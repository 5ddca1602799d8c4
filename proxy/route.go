package proxy

import (
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// backends is a set of backends by index.
type backends struct{ set shardmap.ShardSet }

func (b *backends) add(i int) { b.set.Add(uint32(i)) }

// single returns the only member.
func (b *backends) single() (int, bool) {
	n, ok := b.set.Single()
	return int(n), ok
}

func (b *backends) list() []int {
	var out []int
	for n := range b.set.All() {
		out = append(out, int(n))
	}
	return out
}

// values are what a request brings for its template.
func (s *Session) values(r *request) *router.Values {
	s.vals.Text, s.vals.Lits, s.vals.Params = r.text, r.kinds, r.params
	return &s.vals
}

// route finds the backends a statement runs on.
func (s *Session) route(r *request) (backends, error) {
	if r.tmpl.NeedsSequenceState {
		if e := s.gang.ReadsSequences(); e != nil {
			return backends{}, e
		}
	}
	if r.tmpl.CurrentOf != "" {
		return s.routeCurrentOf(r.tmpl.CurrentOf)
	}
	switch r.tmpl.Kind {
	case router.KindHome, router.KindNotify, router.KindSyntax:
		var b backends
		b.add(s.db.home)
		return b, nil
	case router.KindAny:
		var b backends
		b.add(s.anyBackend())
		return b, nil
	}
	for {
		schema := s.planner.env.Schema
		set, err := r.tmpl.Backends(schema.Map, schema.Home, s.values(r))
		if err != nil {
			return backends{set}, err
		}
		again, err := s.enter(r.tmpl, &set)
		if !again || err != nil {
			return backends{set}, err
		}
	}
}

// routeBound routes a Bind.
func (s *Session) routeBound(plan *planned, p *portal) (backends, error) {
	r := request{text: []byte(nil), tmpl: plan.tmpl, kinds: plan.kinds, params: p.params}
	if len(plan.kinds) > 0 {
		r.text = []byte(p.st.text)
	}
	return s.route(&r)
}

// scatterText is the text that several backends get, and fills in how run merges their rows.
func (s *Session) scatterText(r *request, run *executor.Scatter) (string, error) {
	v := s.values(r)
	counts, err := r.tmpl.Scatter.Counts(v)
	if err != nil {
		return "", err
	}
	run.Offset, run.Ties = counts.Offset, r.tmpl.Scatter.Ties
	if counts.Limited {
		run.Limit = counts.Limit
	}
	text, err := r.tmpl.AppendScatterText(nil, v)
	return string(text), err
}
