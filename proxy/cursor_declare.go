package proxy

import (
	"errors"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// declare is DECLARE: on the one backend that has all rows, on the one that finishes the query's plan, or on all that
// the query is scattered over.
func (s *Session) declare(r *request, c *router.Cursor) error {
	inner := *r
	inner.tmpl = c.Inner
	if c.Inner.Kind == router.KindRefuse {
		s.fail(c.Inner.Refusal)
		return nil
	}
	set, err := s.route(&inner)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	b, one := set.single()
	if done, err := s.cannotDeclare(r, c, b, one); done || err != nil {
		return err
	}
	if s.inPipeline(r) {
		s.openImplicit()
	}
	cur := &cursor{name: c.Name, backend: -1, hold: c.Hold, binary: c.Binary, source: s.sourceOf(r), made: time.Now()}
	if s.cursors.all == nil {
		s.cursors.all = map[string]*cursor{}
	}
	s.cursors.born++
	cur.born = s.cursors.born
	failed := s.batch.failed
	s.batch.failed = false
	switch {
	case one:
		cur.backend = b
		if err = s.forward(r, b); c.Hold {
			s.holds(s.gang.Member(b))
		}
	case c.Inner.Scatter != nil && c.Inner.Scatter.Combine == nil:
		err = s.declareScattered(r, &inner, set, cur)
	case c.Inner.Scatter != nil || c.Inner.Gather != nil:
		err = s.declareFinal(r, set, cur)
	default:
		s.fail(refusal(c.Inner))
	}
	if err != nil || s.batch.failed {
		return err
	}
	s.batch.failed = failed
	cur.kept = c.Hold && s.gang.Txn.State == executor.TxnNone
	s.cursors.all[c.Name] = cur
	return nil
}

// holds notes that a connection may have a cursor WITH HOLD, which stays with its session.
func (s *Session) holds(m *executor.Member) {
	if m != nil {
		m.Unclean, m.Pinned = true, true
		m.Holds = s.gang.Txn.State != executor.TxnNone
	}
}

// inPipeline tells whether a statement stands in what PostgreSQL takes for a transaction block since version 18: behind the first
// Execute of a pipeline (start_xact_command of postgres.c).
func (s *Session) inPipeline(r *request) bool {
	return r.bind != nil && s.batch.ran && s.serverMajor() >= 18
}

// cannotDeclare answers a DECLARE that PostgreSQL refuses whatever the rows are: where there is no transaction block,
// and where the name is taken, which only the session knows. What is wrong with the query itself comes first.
func (s *Session) cannotDeclare(r *request, c *router.Cursor, b int, one bool) (done bool, err error) {
	block := s.gang.Txn.State == executor.TxnExplicit || s.gang.Txn.State == executor.TxnImplicit && r.bind == nil || s.inPipeline(r)
	var e *pgerr.Error
	switch {
	case !c.Hold && !block:
		e = pgerr.New(pgerr.NoActiveSQLTransaction, "DECLARE CURSOR can only be used in transaction blocks")
	case s.cursors.all[c.Name] != nil || s.portals[c.Name] != nil:
		e = pgerr.New(pgerr.DuplicateCursor, "cursor %q already exists", c.Name)
	default:
		return false, nil
	}
	if !one {
		b = s.knowing(c.Inner)
	}
	m, err := s.member(b)
	if err != nil {
		s.fail(executor.ClientError(err))
		return true, nil
	}
	_, failure, err := m.DescribeTexts(r.oids, string(r.text))
	if err != nil || failure != nil {
		return true, s.combineFailed(failure, err, r.position())
	}
	s.fail(e)
	return true, nil
}

// declareScattered declares a cursor on each backend that has rows of it.
func (s *Session) declareScattered(r, inner *request, set backends, cur *cursor) error {
	sc := inner.tmpl.Scatter
	if e := s.freezeStatement(r.tmpl.Command); e != nil {
		s.fail(e)
		return nil
	}
	run := &executor.Scatter{Limit: -1}
	text, err := s.scatterText(inner, run)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	c := r.tmpl.Cursor
	if ask := sc.SortProbe(text[c.InnerFrom:]); ask != "" && !c.Locks {
		why, err := s.unsortable(r, sc, ask)
		if err != nil || s.batch.failed {
			return err
		}
		if why != nil {
			return s.declareUnmerged(r, set, cur, why)
		}
	}
	alone := s.gang.Txn.State == executor.TxnNone && r.bind == nil
	s.openImplicit() // WITH HOLD by itself: on all backends or on none
	cur.merged = &executor.Cursor{
		Name: c.Name, Gang: &s.gang, Sort: sc.Sort, Limit: run.Limit, Offset: run.Offset, Ties: run.Ties, Locks: c.Locks,
		Scroll: c.Scroll, Collations: s.db.collations(),
	}
	var members []*executor.Member
	for _, b := range set.list() {
		m, err := s.member(b)
		if err != nil {
			s.unjoin(members)
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(r.tmpl, m)
		if c.Hold {
			s.holds(m)
		}
		members = append(members, m)
	}
	run.Texts = []string{text}
	position := s.positions(r, run)
	err = cur.merged.Open(s.ctx, members, text, r.oids, r.bind, func(p int) int { return position(0, p) }, s.out)
	var frame *executor.FrameError
	switch {
	case errors.As(err, &frame):
		s.failFrame(frame.Frame)
	case err != nil:
		return s.declareUnmerged(r, set, cur, err)
	}
	if alone { // the query runs when the transaction ends, and its error takes the place of the tag
		s.cursors.all[c.Name] = cur
		s.endImplicit()
	}
	if !s.batch.failed {
		s.tag(r.tmpl.Command)
	}
	return nil
}

// unsortable gives the reason why the rows of a cursor cannot be merged here, nil for none. They may be fetched when no other
// plan can be made any more, so a server is asked.
func (s *Session) unsortable(r *request, sc *router.Scatter, ask string) (why, err error) {
	m, err := s.member(s.knowing(r.tmpl.Cursor.Inner))
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil, nil
	}
	_, failure, err := m.DescribeText(string(r.text), r.oids)
	if err != nil || failure != nil {
		return nil, s.combineFailed(failure, err, r.position())
	}
	rows, failure, err := m.AskBound(ask, r.oids, r.bind)
	switch {
	case err != nil:
		return nil, s.lost(err)
	case failure != nil:
		s.failFrame(executor.WithoutPosition(failure))
		return nil, nil
	case len(rows) != 1:
		return pgerr.New(pgerr.InternalError, "a server tells %d times how a cursor is sorted", len(rows)), nil
	}
	told := rows[0]
	for _, k := range sc.Sort {
		if k.Form != router.SortCollated {
			continue
		}
		oid, err := strconv.ParseUint(string(told[0]), 10, 32)
		if err != nil {
			return pgerr.New(pgerr.InternalError, "a server tells the type of a sort column as %q", told[0]), nil
		}
		if why := executor.Sortable(k, uint32(oid), string(told[1]), s.db.collations()); why != nil {
			return why, nil
		}
		told = told[2:]
	}
	return nil, nil
}

// declareUnmerged declares the cursor of a query whose rows cannot be merged here, as in an order of a collation that only
// PostgreSQL knows, on one backend that sorts them all. Locks have to stay where the rows are.
func (s *Session) declareUnmerged(r *request, set backends, cur *cursor, why error) error {
	var own *pgerr.Error
	opened := cur.merged != nil
	if !errors.As(why, &own) || own.Code != pgerr.FeatureNotSupported || cur.hold && opened || r.tmpl.Cursor.Locks {
		return s.lostOr(why)
	}
	if opened {
		if err := cur.merged.Close(); err != nil {
			return s.lost(err)
		}
		cur.merged = nil
	}
	env := s.planner.env
	env.NoMerge = true
	text := r.text[r.tmpl.Cursor.InnerFrom:]
	t := router.Plan(string(text), env)
	if t.Kind != router.KindShards || t.Gather == nil && (t.Scatter == nil || t.Scatter.Combine == nil) {
		s.fail(own)
		return nil
	}
	return s.declareTemplate(r, t, slices.Clone(s.scanner.Scan(text).Lits), set, cur)
}

// lostOr is lost for errors that may be pleiad's own too.
func (s *Session) lostOr(err error) error {
	var own *pgerr.Error
	if errors.As(err, &own) {
		s.fail(own)
		return nil
	}
	return s.lost(err)
}

// declareFinal declares a cursor on the backend that computes the answer from the others' parts, which are those of this
// moment. The query is planned by itself, since DECLARE is no part of what the others run.
func (s *Session) declareFinal(r *request, set backends, cur *cursor) error {
	plan := s.planText(r.text[r.tmpl.Cursor.InnerFrom:])
	return s.declareTemplate(r, plan.tmpl, plan.kinds, set, cur)
}

// declareTemplate is declareFinal with the query's plan.
func (s *Session) declareTemplate(r *request, t *router.Template, kinds literals, set backends, cur *cursor) error {
	at := r.tmpl.Cursor.InnerFrom
	inner := *r
	inner.before = append(slices.Clone(r.before), r.text[:at]...)
	inner.text = r.text[at:]
	inner.tmpl, inner.kinds, inner.lits = t, kinds, nil
	inner.describe, inner.formats = false, nil
	inner.take = func(run *executor.Scatter) error { return s.declareTaken(r, &inner, run, cur) }
	if inner.tmpl.Scatter != nil {
		return s.runScatter(&inner, set)
	}
	return s.runGather(&inner, set)
}

// declareTaken declares a cursor with the statement that finishes inner.
func (s *Session) declareTaken(r, inner *request, run *executor.Scatter, cur *cursor) error {
	head, text := string(r.text[:r.tmpl.Cursor.InnerFrom]), run.Texts[0]
	run.Texts, run.Command = []string{head + text}, r.tmpl.Command
	if run.Position != nil {
		own, before := string(inner.text), utf8.RuneCount(inner.before)
		run.Position = func(_, p int) int { return before + mapPosition(own, text, p-utf8.RuneCountInString(head)) }
	}
	cur.fields, run.Columns = run.Columns, nil
	m := run.Members[0]
	cur.backend = m.Backend
	s.effect(r.tmpl, m)
	if cur.hold {
		s.holds(m)
	}
	client := s.out
	err := s.tapped(func() error {
		failed, err := run.Run(s.ctx, s.out, s)
		if failed && err == nil {
			s.failed()
		}
		return err
	}, func(typ byte, frame []byte) error {
		if typ == 'C' {
			return nil // its tag is a count of rows
		}
		_, err := client.Write(frame)
		return err
	})
	if err == nil && !s.batch.failed {
		s.tag(r.tmpl.Command)
	}
	return err
}
