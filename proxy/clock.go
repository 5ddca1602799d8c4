package proxy

import (
	"errors"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// A transaction's time is that of the first backend that has begun it (executor.Txn.Anchor). A statement that runs on
// that backend alone reads it there, text unchanged. Every other statement of the transaction, and one over several
// backends, gets it as constants.

// instantSQL gives the transaction's time and the statement's own, in UTC.
const instantSQL = "SELECT pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.now()), 'YYYY-MM-DD HH24:MI:SS.US')," +
	" pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.statement_timestamp()), 'YYYY-MM-DD HH24:MI:SS.US')"

// wordsSQL gives what 'now', 'today', 'tomorrow' and 'yesterday' are in the session's time zone.
const wordsSQL = ", pg_catalog.to_char(pg_catalog.now(), 'YYYY-MM-DD HH24:MI:SS.USTZH:TZM')," +
	" pg_catalog.to_char(CURRENT_DATE, 'YYYY-MM-DD'), pg_catalog.to_char(CURRENT_DATE + 1, 'YYYY-MM-DD')," +
	" pg_catalog.to_char(CURRENT_DATE - 1, 'YYYY-MM-DD')"

var refuseHiddenClock = pgerr.New(pgerr.FeatureNotSupported,
	"a view, function, trigger or default reads the time, and the statement's server is not the transaction's first").
	WithHint("Write now() in the statement itself, or run the statement in a transaction of its own.")

// atOneInstant returns the request to run in place of one that reads the time: itself where the time is right as it
// stands. nil without an error says that the statement failed.
func (s *Session) atOneInstant(r *request) (*request, error) {
	b, needed := s.otherClock(r)
	if !needed {
		return r, nil
	}
	if !r.tmpl.WordsFixable(s.values(r)) {
		s.fail(router.RefuseClockWords())
		return nil, nil
	}
	if r.tmpl.Clock != nil && r.tmpl.Clock.Hidden {
		if s.finishesInTime(r.tmpl) {
			return r, nil
		}
		s.fail(refuseHiddenClock)
		return nil, nil
	}
	if r.tmpl.Clock != nil && r.tmpl.Clock.Defaults && r.tmpl.InsertQuery == nil && r.tmpl.Prelude == nil {
		if r.tmpl.NoScatter != nil { // which says more
			return nil, s.refuse(r, r.tmpl.NoScatter)
		}
		s.fail(refuseHiddenClock)
		return nil, nil
	}
	at, err := s.instant(r, b)
	if at == nil || err != nil {
		return nil, err
	}
	next := *r
	next.instant = at
	if !r.tmpl.ReadsPresent(s.values(r)) && len(r.tmpl.Clock.Splices) == 0 {
		return &next, nil
	}
	next.own, next.text = r.client(), r.tmpl.AppendFixed(nil, s.values(r), *at)
	plan := s.planOwned(next.text)
	next.tmpl, next.kinds, next.lits = plan.tmpl, plan.kinds, nil
	return &next, nil
}

// finishesInTime tells whether a statement over several backends reads the time on one of them alone, which may be the
// transaction's first: a gather reads it where it is finished (joinGather). The plan of a statement without
// a transaction says in words of its own why there is none.
func (s *Session) finishesInTime(t *router.Template) bool {
	alone := s.gang.Txn.State == executor.TxnNone
	switch {
	case t.Kind != router.KindShards || t.Scatter != nil:
		return false
	case t.Gather == nil:
		return alone
	case t.Gather.Target != nil || t.Clock.Policies:
		return false
	}
	anchor, ok := s.gang.Txn.Anchor()
	return alone || !ok || !t.Gather.Home || anchor == s.db.home
}

// readsTime tells whether the statement reads the transaction's time or its own, in its text or its values.
func (s *Session) readsTime(r *request) bool {
	return r.tmpl.Clock != nil || r.tmpl.ClockWords != nil && r.tmpl.ReadsPresent(s.values(r))
}

// client is the text that the client sent.
func (r *request) client() []byte {
	if r.own != nil {
		return r.own
	}
	return r.text
}

// otherClock tells whether the statement would read other times than the transaction's, and a backend to ask where the
// transaction has none yet.
func (s *Session) otherClock(r *request) (b int, needed bool) {
	inner := *r
	switch r.tmpl.Kind {
	case router.KindCursor:
		inner.tmpl = r.tmpl.Cursor.Inner
	case router.KindExplain:
		inner.tmpl = r.tmpl.Explain.Inner
	}
	home := s.db.home
	t := inner.tmpl
	switch t.Kind {
	case router.KindCopyIn, router.KindEverywhere, router.KindInsertQuery, router.KindDDL:
		return home, true
	case router.KindInsert:
		return home, len(t.Insert.Rows) > 1 || t.Clock == nil || t.Clock.Evaluated || s.gang.Txn.State != executor.TxnNone || s.batch.executed
	case router.KindHome, router.KindAny, router.KindShards, router.KindCopyOut:
	default:
		return home, false
	}
	set, err := s.route(&inner)
	if err != nil && !errors.Is(err, router.RefuseClockWords()) {
		// A row that home places: it is evaluated there. Any other error is the statement's own to give.
		return home, errors.Is(err, shardmap.ErrNotProvable) && t.Insert != nil
	}
	one, single := set.single()
	if !single {
		return set.list()[0], true
	}
	if s.gang.Txn.State != executor.TxnNone {
		anchor, ok := s.gang.Txn.Anchor()
		return one, ok && anchor != one
	}
	m := s.batch.member
	return one, s.batch.executed && m != nil && m.Backend != one
}

// readsOtherClock is otherClock for a Bind.
func (s *Session) readsOtherClock(plan *planned, p *portal) bool {
	if plan.tmpl.Clock == nil && plan.tmpl.ClockWords == nil {
		return false
	}
	return s.readsOtherTime(&request{text: []byte(p.st.text), tmpl: plan.tmpl, kinds: plan.kinds, params: p.params})
}

func (s *Session) readsOtherTime(r *request) bool {
	if !s.readsTime(r) {
		return false
	}
	_, needed := s.otherClock(r)
	return needed
}

// instant is the transaction's time, asked of the backend whose it is. nil without an error says that the statement
// failed.
func (s *Session) instant(r *request, b int) (*router.Instant, error) {
	alone := s.gang.Txn.State == executor.TxnNone
	if alone && (r.tmpl.Writes || s.batch.open) {
		s.openImplicit() // what follows in it has the same time
	}
	if anchor, ok := s.gang.Txn.Anchor(); ok {
		b = anchor
	}
	own := r.tmpl.Clock.ReadsStatement() && !alone
	words := r.tmpl.ReadsPresent(s.values(r))
	if at := s.gang.Txn.Time; at != "" && !own && !words {
		return &router.Instant{Transaction: at, Statement: at}, nil
	}
	m, err := s.gang.Join(s.ctx, b)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil, nil
	}
	m.Touched = true
	sql := instantSQL
	if words {
		sql += wordsSQL
	}
	rows, errFrame, err := m.Ask(sql)
	switch {
	case err != nil:
		return nil, s.lost(err)
	case errFrame != nil:
		s.failFrame(errFrame)
		return nil, nil
	case len(rows) != 1 || len(rows[0]) < 2:
		s.fail(pgerr.New(pgerr.InternalError, "backend %q does not tell the time", s.db.targets[b].Name))
		return nil, nil
	}
	at := router.Instant{Transaction: string(rows[0][0]) + "+00"}
	if at.Statement = at.Transaction; own {
		at.Statement = string(rows[0][1]) + "+00"
	}
	if words {
		at.Local, at.Today = string(rows[0][2]), string(rows[0][3])
		at.Tomorrow, at.Yesterday = string(rows[0][4]), string(rows[0][5])
	}
	if s.gang.Txn.State != executor.TxnNone {
		s.gang.Txn.Time = at.Transaction
	}
	return &at, nil
}

// defaultSQL is a column's default as home evaluates it.
func (s *Session) defaultSQL(r *request, c *router.Column) (string, *pgerr.Error) {
	sql := c.Default
	if r.instant != nil {
		fixed, ok := s.planner.env.FixDefault(c, *r.instant)
		if !ok {
			return "", refuseHiddenClock
		}
		sql = fixed
	}
	return "(" + sql + ")::" + c.TypeName, nil
}
