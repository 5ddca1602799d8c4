package proxy

import (
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// runCopyRows writes home's copy of a reference table, and does to the others what that has done.
func (s *Session) runCopyRows(r *request) error {
	s.openImplicit()
	r.kinds = append(literals(nil), r.kinds...)
	c := r.tmpl.CopyRows
	if err := s.enterEverything(); err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	home, told, ok, err := s.describeOwn(r)
	if !ok {
		return err
	}
	oids := declared(r, told.Params)
	d, failure, err := home.DescribeText(c.Source, oids)
	if err != nil || failure != nil {
		return s.collectFailed(failure, err)
	}
	columns := c.Columns
	if c.Answered {
		columns = len(d.Types)
	}
	via, failure, err := s.transportOf(home, d, columns)
	if err != nil || failure != nil {
		return s.collectFailed(failure, err)
	}
	for i := c.Columns; i < columns; i++ {
		via.names[i] = "pleiad answer " + strconv.Itoa(i) // several may have one name, or a column's
	}
	if c.Answer != "" {
		failure, err = via.learnCollations(home, c.Shape, nil, nil)
		if err != nil || failure != nil {
			return s.collectFailed(failure, err)
		}
	}
	arrays := make([]*executor.Array, columns)
	for i := range arrays {
		arrays[i] = via.array(i)
	}
	var held, changed int64
	limit := int64(s.srv.config().Limits.GatherMaxBytes)
	failure, err = s.capture(s.homeRequest(r, c.Source, oids, via.formats), func(values [][]byte) error {
		changed++
		for i := range arrays {
			held += int64(arrays[i].Append(values[i]))
		}
		if held > limit {
			return executor.TooMuchGathered(limit)
		}
		return nil
	})
	if err != nil || failure != nil {
		return s.collectFailed(failure, err)
	}
	run := &executor.Scatter{
		Gang: &s.gang, OIDs: append(oids, via.oids...), Params: r.bind, Limit: -1, Command: r.tmpl.Command, Collations: s.db.collations(),
		Texts: []string{router.FillSource(c.Apply, via.rows(r.tmpl.NParams))}, Arrays: [][]*executor.Array{arrays},
	}
	if ok, err := s.applyCopies(r, run); !ok || err != nil {
		return err
	}
	if c.Answer == "" && !c.Answered {
		s.tag(r.tmpl.Command + " " + strconv.FormatInt(changed, 10))
		return nil
	}
	if r.describe {
		s.out.Out = append(s.out.Out, told.Fields...)
	}
	answer := *run
	answer.Members, answer.Formats = []*executor.Member{home}, r.formats
	answer.Texts = []string{router.FillSource(c.Answer, via.rows(r.tmpl.NParams))}
	if c.Answered {
		answer.Texts[0] = via.last(r.tmpl.NParams, columns-c.Columns)
	}
	answer.Position = s.positions(r, &answer)
	return s.finishScatter(r, &answer)
}

// homeRequest is the write of home's copy.
func (s *Session) homeRequest(r *request, text string, oids []uint32, formats []int16) *request {
	tmpl := router.PlanHome(text, s.planner.env)
	bind := r.bind
	if bind == nil {
		bind = []byte{0, 0, 0, 0}
	}
	scanned := s.scanner.Scan([]byte(text))
	return &request{
		text: []byte(text), tmpl: tmpl, kinds: append(literals(nil), scanned.Lits...), oids: oids, bind: bind, params: r.params, formats: formats,
	}
}

// applyCopies changes the other copies. ok is false when that failed and the client knows.
func (s *Session) applyCopies(r *request, run *executor.Scatter) (ok bool, err error) {
	for _, b := range s.allBackends() {
		if b == s.db.home {
			continue
		}
		m, err := s.member(b)
		if err != nil {
			s.unjoin(run.Members)
			s.fail(executor.ClientError(err))
			return false, nil
		}
		s.effect(r.tmpl, m)
		m.Wrote = true
		run.Members = append(run.Members, m)
	}
	if len(run.Members) == 0 {
		return true, nil
	}
	c := &capture{client: s.out, row: func([][]byte) error { return nil }, cancel: func() {}}
	quiet := wire.NewWriter(c)
	apply := *run
	failed, err := apply.Run(s.ctx, quiet, s)
	if err == nil {
		err = quiet.Flush()
	}
	if err != nil {
		return false, err
	}
	if failed {
		s.failFrame(executor.WithoutPosition(c.failure))
	}
	return !failed, nil
}
