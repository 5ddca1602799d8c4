package proxy

import (
	"errors"
	"slices"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// runGather runs a statement that one backend finishes: the others' rows of its sharded relations are fetched first, and
// given to it as parameters.
func (s *Session) runGather(r *request, set backends) error {
	g := r.tmpl.Gather
	if e := s.freezeGather(r.tmpl); e != nil {
		s.fail(e)
		return nil
	}
	if g.Target != nil {
		s.openImplicit()
	}
	worker, sources, err := s.joinGather(r, set)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	// The server that finishes looks at the client's own text first: what is wrong with it is said in the client's terms,
	// and its parameters' types are known to the fetch.
	told, failure, err := worker.DescribeText(string(r.text), r.oids)
	if err != nil || failure != nil {
		return s.combineFailed(failure, err, r.position())
	}
	types := told.Params
	if r.describe && told.Fields != nil {
		s.out.Out = append(s.out.Out, told.Fields...) // the final statement's columns are not the tables'
	}
	if slices.ContainsFunc(g.Columns, func(c router.GatherColumn) bool { return c.Text }) {
		if failure, err := checkTextStyle(worker); err != nil || failure != nil {
			return s.collectFailed(failure, err)
		}
	}
	collect := &executor.Collect{
		Gang: &s.gang, Members: sources, Texts: []string{g.Fetch}, OIDs: types, Params: r.bind, Parts: g.Parts,
		Limit: int64(s.srv.config().Limits.GatherMaxBytes), Formats: gatherFormats(g),
	}
	collect.Statement = s.kept(r, g.Fetch, types).id()
	failure, err = collect.Run(s.ctx)
	if err != nil || failure != nil {
		return s.collectFailed(failure, err)
	}
	text, err := r.tmpl.AppendGatherText(nil, s.values(r))
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	if g.Target == nil {
		s.effect(r.tmpl, worker)
	}
	run := &executor.Scatter{
		Gang: &s.gang, Members: []*executor.Member{worker}, Texts: []string{string(text)}, OIDs: types, Params: r.bind,
		Formats: r.formats, Limit: -1, Command: r.tmpl.Command, Collations: s.db.collations(),
	}
	if r.take != nil {
		run.Columns = told.Fields // a cursor's FETCH describes them
	}
	if g.Target != nil {
		if run.Members, err = s.joinOwners(r); err != nil {
			s.fail(executor.ClientError(err))
			return nil
		}
	}
	for _, m := range run.Members {
		run.Arrays = append(run.Arrays, s.gatherArrays(g, collect, m))
	}
	run.Position = s.positions(r, run)
	return s.finishScatter(r, run)
}

// describeOwn lets home look at the client's own text: what is wrong with it is said in the client's terms, and its parameters
// and columns are known. ok is false when the client has been told.
func (s *Session) describeOwn(r *request) (home *executor.Member, d executor.Description, ok bool, err error) {
	home, err = s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil, d, false, nil
	}
	d, failure, err := home.DescribeText(string(r.text), r.oids)
	if err != nil || failure != nil {
		return nil, d, false, s.combineFailed(failure, err, r.position())
	}
	return home, d, true, nil
}

// joinGather makes the backends part of the statement: those that have rows, and the one that finishes.
func (s *Session) joinGather(r *request, set backends) (worker *executor.Member, sources []*executor.Member, err error) {
	list := set.list()
	finish := list[int(s.gang.ID%uint64(len(list)))]
	if anchor, ok := s.gang.Txn.Anchor(); ok && r.tmpl.Clock != nil {
		finish = anchor // the time is read there
	}
	if r.tmpl.Gather.Home {
		finish = s.db.home
	}
	if r.tmpl.Clock != nil {
		if _, err := s.member(finish); err != nil {
			return nil, nil, err
		}
	}
	for _, b := range list {
		m, err := s.member(b)
		if err != nil {
			s.unjoin(sources)
			return nil, nil, err
		}
		m.Touched = true
		s.noteUse(m)
		sources = append(sources, m)
		if b == finish {
			worker = m
		}
	}
	if worker == nil {
		if worker, err = s.member(finish); err != nil {
			s.unjoin(sources)
			return nil, nil, err
		}
	}
	return worker, sources, nil
}

// joinOwners makes the backends part of the statement that hold what it writes.
func (s *Session) joinOwners(r *request) (members []*executor.Member, err error) {
	schema := s.planner.env.Schema
	set, err := r.tmpl.GatherOwners(schema.Map, schema.Home, s.values(r))
	if err != nil {
		return nil, err
	}
	for b := range set.All() {
		m, err := s.member(int(b))
		if err != nil {
			s.unjoin(members)
			return nil, err
		}
		s.effect(r.tmpl, m)
		members = append(members, m)
	}
	return members, nil
}

// gatherFormats are the formats of the fetch's columns, which the arrays have, too.
func gatherFormats(g *router.Gather) (out []int16) {
	if len(g.Parts) > 1 {
		out = append(out, 1)
	}
	for _, c := range g.Columns {
		if c.Text {
			out = append(out, 0)
		} else {
			out = append(out, 1)
		}
	}
	return out
}

// gatherArrays are the array parameters that a member gets.
func (s *Session) gatherArrays(g *router.Gather, collect *executor.Collect, m *executor.Member) (arrays []*executor.Array) {
	for _, part := range g.Parts {
		for _, column := range part {
			elem := g.Columns[column].OID
			if row := g.Columns[column].Row; row != "" {
				elem = m.OIDs([]uint32{s.planner.env.Schema.Types[row]})[0]
			}
			arrays = append(arrays, collect.Array(len(arrays), elem))
		}
	}
	return arrays
}

// collectFailed answers with what went wrong in a statement that the client did not write: positions in it mean nothing.
func (s *Session) collectFailed(failure []byte, err error) error {
	if failure != nil {
		failure = executor.WithoutPosition(failure)
	}
	return s.answerFailure(failure, err)
}

// answerFailure answers with a server's error, or with what is not a server's own.
func (s *Session) answerFailure(failure []byte, err error) error {
	var own *pgerr.Error
	var frame *executor.FrameError
	switch {
	case failure != nil:
		s.failFrame(failure)
		return nil
	case errors.As(err, &frame):
		s.failFrame(frame.Frame)
		return nil
	case errors.As(err, &own):
		s.fail(own)
		return nil
	}
	return s.lost(err)
}
