package proxy

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// runCombine runs a query that each backend computes a part of: one backend makes the answer of the partial rows.
func (s *Session) runCombine(r *request, set backends) error {
	c := r.tmpl.Scatter.Combine
	if c.Reads {
		if e := s.freezeStatement(r.tmpl.Command); e != nil {
			s.fail(e)
			return nil
		}
	}
	var members []*executor.Member
	for _, b := range set.list() {
		m, err := s.join(r.tmpl, b)
		if err != nil {
			s.unjoin(members)
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(r.tmpl, m)
		members = append(members, m)
	}
	if c.Same != nil {
		return s.combineSame(r, members)
	}
	return s.combineParts(r, set, members)
}

// finisher picks the backend that makes the answer, another one for each session.
func (s *Session) finisher(members []*executor.Member) *executor.Member {
	return members[int(s.gang.ID%uint64(len(members)))]
}

func (s *Session) collect(r *request, members []*executor.Member, text string, oids []uint32, formats []int16) *executor.Collect {
	return &executor.Collect{
		Gang: &s.gang, Members: members, Texts: []string{text}, OIDs: oids, Params: r.bind,
		Limit: int64(s.srv.config().Limits.GatherMaxBytes), Formats: formats,
	}
}

// combineSame runs the client's own text on every member: its one row of plain aggregates is made of theirs.
func (s *Session) combineSame(r *request, members []*executor.Member) error {
	c := r.tmpl.Scatter.Combine
	collect := s.collect(r, members, string(r.text), r.oids, nil)
	position := r.position()
	collect.Position = func(_, p int) int { return position(p) }
	var total counts
	if c.Counts() && r.maxRows == 0 && r.take == nil {
		total = make(counts, len(c.Same))
		collect.Value = total.add
	}
	collect.Statement = s.kept(r, collect.Texts[0], r.oids).id()
	failure, err := collect.Run(s.ctx)
	switch {
	case err != nil || failure != nil:
		return s.combineFailed(failure, err, func(p int) int { return p })
	case total != nil:
		return s.answerCounts(r, collect.Names, total)
	}
	sql, elems, e := c.SameFinal(collect.Names, collect.Types)
	if e != nil {
		s.fail(e)
		return nil
	}
	m := s.finisher(members)
	run := &executor.Scatter{
		Gang: &s.gang, Members: []*executor.Member{m}, Texts: []string{sql}, Formats: r.formats,
		Limit: -1, Describe: r.describe, Command: r.tmpl.Command, Collations: s.db.collations(),
	}
	run.Arrays = [][]*executor.Array{arraysOf(collect, elems)}
	return s.finishScatter(r, run)
}

// prepared is the named prepared statement that a request runs, nil for none. A text that was made of its, with a time in it
// for instance, is another one.
func (r *request) prepared() *statement {
	if r.portal == nil || r.portal.st == nil || r.portal.st.name == "" || r.portal.st.sql || string(r.text) != r.portal.st.text {
		return nil
	}
	return r.portal.st
}

// arraysOf are the collected columns as parameters, with their elements' types.
func arraysOf(collect *executor.Collect, elems []uint32) (out []*executor.Array) {
	for i, elem := range elems {
		out = append(out, collect.Array(i, elem))
	}
	return out
}

// counts are the sums of the members' counts.
type counts []int64

var errCountRange = pgerr.New(pgerr.NumericValueOutOfRange, "bigint out of range")

func (c counts) add(_ *executor.Member, column int, value []byte) error {
	if column >= len(c) || len(value) != 8 {
		return pgerr.New(pgerr.InternalError, "count has %d bytes", len(value))
	}
	n := int64(binary.BigEndian.Uint64(value))
	if n < 0 || c[column] > math.MaxInt64-n {
		return errCountRange
	}
	c[column] += n
	return nil
}

// answerCounts gives the one row of a query of counts.
func (s *Session) answerCounts(r *request, names []string, total counts) error {
	if len(names) != len(total) {
		s.fail(pgerr.New(pgerr.InternalError, "aggregate query has %d columns instead of %d", len(names), len(total)))
		return nil
	}
	if r.describe {
		out, at := wire.Begin(s.out.Out, 'T')
		out = binary.BigEndian.AppendUint16(out, uint16(len(names)))
		for _, name := range names {
			out = append(wire.String(out, name), 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 8, 0xff, 0xff, 0xff, 0xff, 0, 0)
		}
		s.out.Out = wire.End(out, at)
	}
	out, at := wire.Begin(s.out.Out, 'D')
	out = binary.BigEndian.AppendUint16(out, uint16(len(total)))
	for i, n := range total {
		if len(r.formats) == 1 && r.formats[0] == 1 || len(r.formats) > 1 && r.formats[min(i, len(r.formats)-1)] == 1 {
			out = append(out, 0, 0, 0, 8)
			out = binary.BigEndian.AppendUint64(out, uint64(n))
			continue
		}
		text := strconv.FormatInt(n, 10)
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(text))), text...)
	}
	s.out.Out = wire.End(out, at)
	s.tag(r.tmpl.Command + " 1")
	return nil
}

// combineParts describes the client's text and what the members compute, collects that, and finishes.
func (s *Session) combineParts(r *request, set backends, members []*executor.Member) error {
	worker := s.finisher(members)
	known, failure, err := s.takeApart(r, worker)
	var refused *pgerr.Error
	switch {
	case errors.As(err, &refused) && refused.Code == pgerr.FeatureNotSupported && r.tmpl.Gather != nil:
		return s.runGather(r, set)
	case err != nil || failure != nil:
		return s.answerFailure(failure, err)
	}
	own, parts := known.own, known.parts
	collect := s.collect(r, members, parts.Partial, own.Params, parts.Formats)
	collect.Statement = s.kept(r, parts.Partial, own.Params).id()
	failure, err = collect.Run(s.ctx)
	if err != nil || failure != nil {
		return s.collectFailed(failure, err)
	}
	if !slices.Equal(collect.Types, parts.Types) {
		s.fail(pgerr.New(pgerr.InternalError, "partial rows have columns of types %v instead of %v", collect.Types, parts.Types))
		return nil
	}
	run := &executor.Scatter{
		Gang: &s.gang, Members: []*executor.Member{worker}, Texts: []string{parts.Final(len(own.Params))}, OIDs: own.Params, Params: r.bind,
		Formats: r.formats, Limit: -1, Describe: r.describe, Command: r.tmpl.Command, Collations: s.db.collations(),
		Columns: own.Fields,
	}
	run.Arrays = [][]*executor.Array{arraysOf(collect, parts.Elems)}
	return s.finishScatter(r, run)
}

// combined is how a statement was taken apart.
type combined struct {
	tmpl  *router.Template
	own   executor.Description
	parts *router.Parts
}

// takeApart makes the partial and the final statement, or finds them where the prepared statement has run before. A failure
// is of the client's text, its position translated.
func (s *Session) takeApart(r *request, m *executor.Member) (known *combined, failure []byte, err error) {
	st := r.prepared()
	if st != nil && st.combined != nil && st.combined.tmpl == r.tmpl {
		if known = st.combined; known.parts.Unsteady {
			err = s.steady(m)
		}
		return known, nil, err
	}
	own, probe, failure, err := s.describeParts(r, m)
	if failure != nil {
		failure = executor.MovePosition(failure, r.position())
	}
	if err != nil || failure != nil {
		return nil, failure, err
	}
	parts, e := r.tmpl.Scatter.Combine.Compose(probe.Types, s.planner.env.Schema)
	if e != nil {
		return nil, nil, e
	}
	if parts.Unsteady {
		if err := s.steady(m); err != nil {
			return nil, nil, err
		}
	}
	if ask := parts.Collations(); ask != "" {
		rows, failure, err := m.AskBound(ask, own.Params, r.bind)
		switch {
		case failure != nil:
			return nil, executor.WithoutPosition(failure), err
		case err == nil && len(rows) != 1:
			err = pgerr.New(pgerr.InternalError, "a server tells %d times which collations there are", len(rows))
		}
		if err != nil {
			return nil, nil, err
		}
		parts.Collated(rows[0])
	}
	known = &combined{tmpl: r.tmpl, own: own, parts: parts}
	if st != nil && s.planner.private == nil {
		st.combined = known
	}
	return known, nil, nil
}

// describeParts describes the client's own text, whose errors and columns are the answer's, and the statement whose types
// decide how it is taken apart. A failure is one of the client's text.
func (s *Session) describeParts(r *request, m *executor.Member) (own, probe executor.Description, failure []byte, err error) {
	text, oids := string(r.text), r.oids
	texts := []string{text, r.tmpl.Scatter.Combine.Probe()}
	if r.tmpl.NParams > 0 && (len(oids) < r.tmpl.NParams || slices.Contains(oids, 0)) {
		texts = texts[:1] // the types of its parameters are wanted first
	}
	out, failure, err := m.DescribeTexts(oids, texts...)
	if err == nil && failure == nil && len(texts) == 1 && len(out) == 1 {
		var rest []executor.Description
		rest, failure, err = m.DescribeTexts(out[0].Params, r.tmpl.Scatter.Combine.Probe())
		out = append(out, rest...)
	}
	switch {
	case err != nil || failure != nil && len(out) == 0:
		return own, probe, failure, err
	case failure != nil:
		return own, probe, nil, pgerr.New(pgerr.InternalError, "partial statement is wrong: %s", wire.ErrorField(failure, 'M'))
	case len(out) != 2 || out[0].Fields == nil || out[1].Fields == nil:
		return own, probe, nil, pgerr.New(pgerr.InternalError, "a server described %d of two statements", len(out))
	}
	return out[0], out[1], nil, nil
}

// steady makes sure that values which travel as text are read back as they were.
func (s *Session) steady(m *executor.Member) error {
	rows, failure, err := m.Ask("SELECT pg_catalog.current_setting('extra_float_digits')::int > 0 AND pg_catalog.current_setting('DateStyle') LIKE 'ISO%'" +
		" AND pg_catalog.current_setting('IntervalStyle') <> 'sql_standard'")
	switch {
	case err != nil:
		return err
	case failure != nil:
		return &executor.FrameError{Frame: failure}
	case len(rows) == 1 && string(rows[0][0]) == "t":
		return nil
	}
	return router.ErrUnsteady
}

// combineFailed answers with a server's error, its position translated into the client's message.
func (s *Session) combineFailed(failure []byte, err error, position func(int) int) error {
	if failure != nil {
		failure = executor.MovePosition(failure, position)
	}
	return s.answerFailure(failure, err)
}
