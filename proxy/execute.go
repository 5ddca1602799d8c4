package proxy

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// executeBound runs EXECUTE of a statement that no single server runs as it stands: its arguments become parameters.
func (s *Session) executeBound(r, inner *request, st *statement, p *router.Prepare) error {
	inner.params, inner.bind = nil, []byte{0, 0, 0, 0}
	if len(p.Args) > 0 {
		if ok, err := s.bindArguments(r, inner, st, p); !ok || err != nil {
			return err
		}
	}
	inner.describe = r.describe
	inner.formats, inner.maxRows = r.formats, r.maxRows
	return s.run(inner)
}

// arguments is the prepared statement that gives EXECUTE's arguments as values.
const arguments = "pleiad_arguments"

// bindArguments lets home compute EXECUTE's arguments, as the types of the prepared statement's parameters: an EXECUTE of a statement
// that gives nothing else takes the client's own text of them, so what is wrong with it is told as PostgreSQL tells it. ok is false
// when the client has been told.
func (s *Session) bindArguments(r, inner *request, st *statement, p *router.Prepare) (ok bool, err error) {
	if e := s.argumentsAtHome(p); e != nil {
		s.fail(e)
		return false, nil
	}
	s.openImplicit()
	m, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return false, nil
	}
	m.Touched, m.Unclean = true, true // an argument may call anything
	name, _ := s.ensureParsed(m, st, executor.Quiet)
	if m.Extended {
		m.SyncNow()
	}
	types, failure, err := m.Ask("SELECT t::oid, pg_catalog.format_type(t, NULL), " +
		"EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE name = '" + arguments + "') " +
		"FROM pg_catalog.pg_prepared_statements, pg_catalog.unnest(parameter_types) WITH ORDINALITY AS u (t, n) WHERE name = '" + name + "' ORDER BY n")
	if failure == nil && err == nil && len(types) > 0 && string(types[0][2]) == "t" {
		_, failure, err = m.Ask("DEALLOCATE " + arguments) // an argument was wrong the last time
	}
	if err != nil || failure != nil {
		return false, s.collectFailed(failure, err)
	}
	var list, outs []string
	var oids []uint32
	for i, t := range types {
		oid, err := strconv.ParseUint(string(t[0]), 10, 32)
		if err != nil {
			return false, err
		}
		oids = append(oids, uint32(oid))
		list, outs = append(list, string(t[1])), append(outs, "$"+strconv.Itoa(i+1))
	}
	if len(types) != len(p.Args) {
		s.fail(pgerr.New(pgerr.InternalError, "a prepared statement has %d parameters instead of %d", len(types), len(p.Args)))
		return false, nil
	}
	_, failure, err = m.Ask("PREPARE " + arguments + " (" + strings.Join(list, ", ") + ") AS SELECT " + strings.Join(outs, ", "))
	if err != nil || failure != nil {
		return false, s.collectFailed(failure, err)
	}
	rest, head := nameEnd(r.text), "EXECUTE "+arguments
	rows, failure, err := m.AskFormats(head+string(r.text[rest:]), nil, []byte{0, 0, 0, 0}, []int16{1})
	if failure == nil && err == nil {
		_, failure, err = m.Ask("DEALLOCATE " + arguments)
	}
	if err != nil || failure != nil {
		return false, s.combineFailed(failure, err, func(p int) int { return p + charsBefore(r, rest) - len(head) })
	}
	n := min(inner.tmpl.NParams, len(oids))
	bind := []byte{0, 1, 0, 1}
	bind = binary.BigEndian.AppendUint16(bind, uint16(n))
	for _, v := range rows[0][:n] {
		if v == nil {
			bind = binary.BigEndian.AppendUint32(bind, 0xffffffff)
			continue
		}
		bind = append(binary.BigEndian.AppendUint32(bind, uint32(len(v))), v...)
	}
	given := portal{st: &statement{oids: oids}}
	if _, e := given.decode(bind); e != nil {
		s.fail(e)
		return false, nil
	}
	inner.oids, inner.bind, inner.params = oids[:n], bind, given.params
	return true, nil
}

// argumentsAtHome says why home may not compute EXECUTE's arguments, nil when it may: what reads shards has no right answer there.
func (s *Session) argumentsAtHome(p *router.Prepare) *pgerr.Error {
	if anchor, ok := s.gang.Txn.Anchor(); ok && anchor != s.db.home {
		for _, v := range argumentValues(p) {
			if v.TypeOID == notConstant {
				return refuseArguments // the time might be another one there
			}
		}
	}
	switch t := s.planOwned([]byte("SELECT " + strings.Join(p.Args, ", "))).tmpl; t.Kind {
	case router.KindRefuse:
		return t.Refusal
	case router.KindInlined:
		return refuseArguments
	}
	return nil // PostgreSQL takes no subquery
}

var refuseArguments = pgerr.New(pgerr.FeatureNotSupported, "EXECUTE over several backends takes constants only here").
	WithHint("Write each argument as a literal.")
