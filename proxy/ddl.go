package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// runDDL runs a schema change. In a transaction its steps are part of that; alone they form a distributed
// transaction of their own, or, for what PostgreSQL runs outside of transactions, are undone where one fails. The client is
// told of success when all backends have it.
func (s *Session) runDDL(r *request) error {
	out := s.out
	var held bytes.Buffer
	s.out = wire.NewWriter(&held)
	err := s.changeSchema(r)
	s.gang.Txn.ReadLocked = s.gang.Txn.ReadLocked || r.tmpl.DDL != nil && r.tmpl.DDL.ReadLock
	if e := s.out.Flush(); err == nil {
		err = e
	}
	s.out = out
	out.Out = appendOutcome(out.Out, held.Bytes(), s.batch.failed, r.tmpl.DDL)
	return err
}

// appendOutcome appends frames, without success where a later part has failed, and with the names that the client gave.
func appendOutcome(out, frames []byte, failed bool, d *router.DDL) []byte {
	for len(frames) >= 5 {
		n := 1 + int(binary.BigEndian.Uint32(frames[1:]))
		switch {
		case frames[0] == 'E' && d != nil && d.Part != "":
			out = append(out, executor.Renamed(frames[:n], d.Part, d.Whole)...)
		case frames[0] != 'C' || !failed:
			out = append(out, frames[:n]...)
		}
		frames = frames[n:]
	}
	return out
}

// changeSchema is runDDL, whose client is told of success as soon as home has its part.
func (s *Session) changeSchema(r *request) error {
	d := r.tmpl.DDL
	if d.Prepared != nil {
		return s.createOfPrepared(r, d.Prepared)
	}
	if err := s.enterEverything(); err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	if !d.InTxn {
		return s.runDDLAlone(r)
	}
	alone := s.gang.Txn.State == executor.TxnNone
	if !alone && d.NoBlock {
		return s.failInBlock(r)
	}
	if alone && d.NeedsBlock && !s.inPipeline(r) {
		s.fail(pgerr.New(pgerr.NoActiveSQLTransaction, "%s can only be used in transaction blocks", r.tmpl.Command))
		return nil
	}
	if err := s.vacate(r, d); err != nil {
		s.fail(err)
		return nil
	}
	if alone {
		s.beginImplicit()
	}
	d, err := s.runSteps(r, d)
	if err != nil || s.batch.failed || d == nil {
		return err
	}
	if err := s.runNumbers(d.Numbers); err != nil || s.batch.failed {
		return err
	}
	if d.Fill != nil {
		if err := s.runFill(r, d.Fill); err != nil || s.batch.failed {
			return err
		}
	}
	if d.ChangesSchema {
		s.planner.schemaChanged()
		s.db.forgetPaths()
		if alone && !s.batch.open {
			// The message has nothing else: it commits next, and the shared schema is read then.
			s.planner.reload = false
		}
	}
	return nil
}

// errStale says that the plan was made from an older schema than the one under the DDL lock.
var errStale = errors.New("plan is stale")

// runSteps runs the steps of a schema change one after the other, and gives the change that was made: another one where the
// schema was another one under the lock, nil where that was no matter of steps. A failure is told to the client and noted.
func (s *Session) runSteps(r *request, d *router.DDL) (*router.DDL, error) {
	for i := range d.Steps {
		err := s.runStep(r, &d.Steps[i])
		if errors.Is(err, errStale) {
			return s.replanDDL(r)
		}
		if err != nil || s.batch.failed {
			return d, err
		}
	}
	return d, nil
}

// replanDDL plans the statement anew from the schema as it is under the DDL lock, and runs what that takes.
func (s *Session) replanDDL(r *request) (*router.DDL, error) {
	s.planner.reload = true
	s.planner.fresh = false
	s.planner.current(s)
	if r.instant != nil {
		r.text, r.own, r.instant = r.client(), nil, nil // the times stand in it because of what the schema was
	}
	t := router.Plan(string(r.text), s.planner.env)
	if t.Kind != router.KindDDL || !t.DDL.InTxn || t.Clock != nil {
		r.tmpl = t
		next := *r
		return nil, s.run(&next)
	}
	r.tmpl = t
	for i := range t.DDL.Steps {
		if t.DDL.Steps[i].Lock {
			continue
		}
		if err := s.runStep(r, &t.DDL.Steps[i]); err != nil || s.batch.failed {
			return nil, err
		}
	}
	return t.DDL, nil
}

// runStep runs one step on its backends: on home first where home takes part, so that what is wrong is said once
// and as one server would say it; then on the others in parallel.
func (s *Session) runStep(r *request, st *router.Step) error {
	if st.Lock {
		return s.lockDDL(st)
	}
	sql, err := stepSQL(st)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	if st.Same {
		return s.compareStep(sql)
	}
	home := st.Where == router.WhereAll || st.Where == router.WhereHome || st.Where == router.WhereOne && st.Backend == s.db.home
	if home {
		m, err := s.gang.Join(s.ctx, s.db.home)
		if err != nil {
			s.fail(executor.ClientError(err))
			return nil
		}
		m.Wrote, m.Unclean = true, true
		s.noteUse(m)
		switch {
		case st.Answer:
			m.Query([]byte(sql))
		case r != nil && r.tmpl.DDL.Fill != nil:
			m.BoundQuiet([]byte(sql), nil, []byte{0, 0, 0, 0}, nil) // what is wrong with it is the client's to see
		default:
			m.Internal(sql)
		}
		if st.Position != nil {
			m.Position = st.Position
		}
		if r != nil {
			m.Shift = utf8.RuneCount(r.before)
		}
		o, err := executor.Relay(m, s.out, s)
		switch {
		case o.Skipped == nil:
		case st.Own:
			o.Skipped = executor.WithoutPosition(o.Skipped)
		default:
			o.Skipped = executor.MovePosition(o.Skipped, func(p int) int { return p + m.Shift })
		}
		m.Position, m.Shift = nil, 0
		if err := s.relayed(m, &o, err); err != nil || s.batch.failed {
			return err
		}
	}
	return s.runStepElsewhere(st, sql, home)
}

// compareStep runs a query whose one value must be the same on every backend.
func (s *Session) compareStep(sql string) error {
	var first []byte
	for i, b := range s.allBackends() {
		m, err := s.gang.Join(s.ctx, b)
		if err != nil {
			s.fail(executor.ClientError(err))
			return nil
		}
		rows, errFrame, err := m.Ask(sql)
		switch {
		case err != nil:
			return s.lost(err)
		case errFrame != nil:
			s.failFrame(errFrame)
			return nil
		case len(rows) != 1 || len(rows[0]) != 1:
			s.fail(pgerr.New(pgerr.InternalError, "comparing backends gave %d rows", len(rows)))
			return nil
		case i == 0:
			first = rows[0][0]
		case !bytes.Equal(first, rows[0][0]):
			s.fail(router.DiffersError)
			return nil
		}
	}
	return nil
}

func (s *Session) runStepElsewhere(st *router.Step, sql string, home bool) error {
	var members []*executor.Member
	for _, b := range s.allBackends() {
		if b == s.db.home || st.Where == router.WhereHome || st.Where == router.WhereOne && b != st.Backend {
			continue
		}
		m, err := s.gang.Join(s.ctx, b)
		if err != nil {
			s.unjoin(members)
			s.fail(executor.ClientError(err))
			return nil
		}
		m.Wrote, m.Unclean = true, true
		s.noteUse(m)
		if st.Answer && !home && len(members) == 0 {
			m.Query([]byte(sql))
		} else {
			m.Internal(sql)
		}
		members = append(members, m)
	}
	return s.relayAll(members)
}

// relayAll sends to all members at once and then passes on what each owes. Every member is read to the end even if
// one fails; the first error is the client's.
func (s *Session) relayAll(members []*executor.Member) error {
	for _, m := range members {
		if err := m.Send(); err != nil {
			return s.lost(err)
		}
	}
	failed := s.batch.failed
	for _, m := range members {
		out := s.out
		if failed {
			out = wire.NewWriter(discard{})
		}
		o, err := executor.Relay(m, out, s)
		if err != nil {
			if err := s.lost(err); err != nil {
				return err
			}
			failed = true
			continue
		}
		if failed {
			continue
		}
		if o.Skipped != nil {
			s.failFrame(o.Skipped)
			failed = true
		} else if o.Failed {
			s.failed()
			failed = true
		}
	}
	return nil
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// lockDDL takes the cluster's DDL lock on home and learns the epoch the change starts from.
func (s *Session) lockDDL(st *router.Step) error {
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	m.Wrote = true
	s.noteUse(m)
	rows, errFrame, err := m.Ask(st.SQL)
	switch {
	case err != nil:
		return s.lost(err)
	case errFrame != nil:
		e := executor.FrameToError(errFrame)
		e.Context = "" // a function's
		s.fail(e)
		return nil
	case len(rows) != 1:
		s.fail(pgerr.New(pgerr.InternalError, "the DDL lock gave %d rows", len(rows)))
		return nil
	}
	epoch, err := strconv.ParseUint(string(rows[0][0]), 10, 64)
	if err != nil {
		s.fail(pgerr.New(pgerr.InternalError, "the DDL lock: %v", err))
		return nil
	}
	if have := s.planner.env.Schema.Epoch; have != 0 && have != epoch {
		return errStale
	}
	return nil
}

// stepSQL is a step's text, with a cleartext password replaced by a verifier: every server must store the same one.
func stepSQL(st *router.Step) (string, error) {
	if st.Password == nil {
		return st.SQL, nil
	}
	v, err := auth.NewScramVerifier(st.Password.Plain)
	if err != nil {
		return "", pgerr.New(pgerr.InternalError, "make password verifier: %v", err)
	}
	return st.SQL[:st.Password.Start] + quoteLiteral(v) + st.SQL[st.Password.End:], nil
}

// runDDLAlone runs what PostgreSQL runs outside of transactions.
func (s *Session) runDDLAlone(r *request) error {
	if s.gang.Txn.State != executor.TxnNone {
		return s.failInBlock(r)
	}
	d := r.tmpl.DDL
	if err := s.vacate(r, d); err != nil {
		s.fail(err)
		return nil
	}
	for i := range d.Steps {
		if err := s.runStep(r, &d.Steps[i]); err != nil {
			return err
		}
		if s.batch.failed {
			s.undoSteps(d.Steps[:i+1])
			break
		}
	}
	if d.ChangesSchema {
		s.db.refresh(s.ctx)
		s.planner.fresh = false
	}
	return nil
}

// failInBlock says of a statement what PreventInTransactionBlock says. VACUUM looks at its options before that.
func (s *Session) failInBlock(r *request) error {
	if r.tmpl.Command == "VACUUM" {
		return s.forward(r, s.db.home)
	}
	command := r.tmpl.Command
	for _, t := range sqlparse.Tokens(string(r.text)) {
		if t.Word == "concurrently" {
			command += " CONCURRENTLY"
			break
		}
	}
	s.fail(pgerr.New(pgerr.ActiveSQLTransaction, "%s cannot run inside a transaction block", command))
	return nil
}

// undoSteps repairs what the steps before a failure did, the last one first. What it says is not the client's.
func (s *Session) undoSteps(steps []router.Step) {
	out := s.out
	s.out = wire.NewWriter(discard{})
	defer func() {
		s.out = out
		s.batch.failed = true
	}()
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Undo == "" {
			continue
		}
		undo := router.Step{Where: steps[i].Where, Backend: steps[i].Backend, SQL: steps[i].Undo}
		s.batch.failed = false
		if err := s.runStep(nil, &undo); err != nil || s.batch.failed {
			s.srv.log.Error("ddl_not_undone", "database", s.db.name, "step", i, "error", err)
		}
	}
}

func lower(name string) string { return strings.ToLower(name) }

func isOwn(name string) bool { return strings.HasPrefix(name, "pleiad.") }

// quoteLiteral writes v as a string constant for servers with standard_conforming_strings on.
func quoteLiteral(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }

// settingValue writes a startup setting's value behind SET name TO. Lists of names are not one string to SET.
func settingValue(name, v string) string {
	switch name {
	case "search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries", "datestyle":
		parts := splitIdentifiers(v)
		for i, p := range parts {
			parts[i] = quoteLiteral(p)
		}
		if len(parts) == 0 {
			return "''"
		}
		return strings.Join(parts, ", ")
	}
	return quoteLiteral(v)
}
