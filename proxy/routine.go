package proxy

import (
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// firstUserOID is FirstNormalObjectId of PostgreSQL's access/transam.h: types below it are the same on every server.
const firstUserOID = 16384

// datum is a value in binary format.
type datum struct {
	data []byte
	null bool
}

// routine runs code statement by statement, in the client's place.
type routine struct {
	s *Session
	r *request
	// types are the columns' types of every statement of the code, asked for before any of it runs.
	types map[*router.ProgramSQL][]uint32
}

// call is one call that runs.
type call struct {
	*routine
	name  string // as error contexts name it
	prog  *router.Program
	oids  []uint32 // of the variables
	vars  []datum
	count int64 // ROW_COUNT
	ret   datum
	ends  uint32 // the type of what it returns
}

// runRoutine runs DO, CALL or a SELECT of calls. Everything is looked at before any of it runs: what is not known to go as
// PostgreSQL has it is refused then.
func (s *Session) runRoutine(r *request) error {
	s.openImplicit()
	r.kinds = append(literals(nil), r.kinds...)
	home, told, ok, err := s.describeOwn(r)
	if !ok {
		return err
	}
	x := &routine{s: s, r: r, types: map[*router.ProgramSQL][]uint32{}}
	var calls []*call
	for i := range r.tmpl.Routine.Calls {
		c, failure, err := x.prepare(home, &r.tmpl.Routine.Calls[i])
		if err != nil || failure != nil {
			return s.collectFailed(failure, err)
		}
		if c == nil {
			s.fail(refusalOfCode(r.tmpl))
			return nil
		}
		calls = append(calls, c)
	}
	for i, c := range calls {
		if failure, err := c.whole(&r.tmpl.Routine.Calls[i], declared(r, told.Params)); err != nil || failure != nil {
			return s.answerFailure(failure, err)
		}
	}
	if r.tmpl.Routine.Answer == "" {
		s.tag(r.tmpl.Routine.Tag)
		return nil
	}
	return x.answer(calls, told)
}

func refusalOfCode(t *router.Template) *pgerr.Error {
	if t.Routine.Tag != "" {
		return router.RefuseCode()
	}
	return router.RefuseFunction()
}

// answer gives the row of a SELECT.
func (x *routine) answer(calls []*call, told executor.Description) error {
	next := request{
		text: []byte(x.r.tmpl.Routine.Answer), own: x.r.client(), before: x.r.before, formats: x.r.formats, maxRows: x.r.maxRows,
		portal: x.r.portal, tmpl: &router.Template{Kind: router.KindHome, Command: "SELECT", Returns: true, NParams: len(calls)},
	}
	var values []datum
	for _, c := range calls {
		oid, v := c.ends, c.ret
		if c.prog.Void {
			oid = int4OID
			v.data = []byte{0, 0, 0, 1}
		}
		next.oids, values = append(next.oids, oid), append(values, v)
	}
	next.bind = bindOf(values)
	if x.r.describe {
		x.s.out.Out = append(x.s.out.Out, told.Fields...)
	}
	return x.s.forward(&next, x.s.db.home)
}

const (
	boolOID = 16
	int4OID = 23
	textOID = 25
)

// prepare learns the types of variables and statements. nil without a failure is for code that stays refused.
func (x *routine) prepare(home *executor.Member, in *router.RoutineCall) (c *call, failure []byte, err error) {
	p := in.Program
	c = &call{routine: x, prog: p, name: "inline_code_block", vars: make([]datum, len(p.Vars))}
	for i := range c.vars {
		c.vars[i].null = true
	}
	sql := "SELECT 1"
	for i, v := range p.Vars {
		if v.Type != "" {
			sql += ", $" + strconv.Itoa(i+1) + "::" + v.Type
		} else {
			sql += ", $" + strconv.Itoa(i+1) + "::int"
		}
	}
	if in.Fn != nil {
		sql += ", " + strconv.FormatUint(uint64(in.Fn.OID), 10) + "::pg_catalog.regprocedure::text"
		if !p.Void {
			sql += ", NULL::" + in.Fn.Sig.Returns
		}
	}
	d, failure, err := home.DescribeText(sql, nil)
	if err != nil {
		return nil, nil, err
	}
	if failure != nil || len(d.Params) != len(p.Vars) {
		return nil, nil, nil
	}
	c.oids = d.Params
	for i, o := range c.oids {
		if !plainType(o) || d.Typmods[i+1] != -1 {
			return nil, nil, nil
		}
	}
	if in.Fn != nil && !p.Void {
		if c.ends = d.Types[len(d.Types)-1]; !plainType(c.ends) {
			return nil, nil, nil
		}
	}
	if in.Fn != nil {
		rows, failure, err := home.Ask("SELECT " + strconv.FormatUint(uint64(in.Fn.OID), 10) + "::pg_catalog.regprocedure")
		if err != nil || failure != nil {
			return nil, failure, err
		}
		if len(rows) != 1 {
			return nil, nil, nil
		}
		c.name = string(rows[0][0])
	}
	ok, err := c.learn(home)
	if !ok || err != nil {
		return nil, nil, err
	}
	return c, nil, nil
}

// plainType reports whether values of a type are the same bytes on every server, and have no length of their own.
func plainType(oid uint32) bool {
	const bpchar, bit, record = 1042, 1560, 2249
	return oid > 0 && oid < firstUserOID && oid != bpchar && oid != bit && oid != record
}

// learn asks for the types of every statement of the code, and whether its values can go where it puts them.
func (c *call) learn(home *executor.Member) (bool, error) {
	for i := range c.prog.Vars {
		if v := &c.prog.Vars[i]; v.Default != nil {
			if ok, err := c.fits(home, v.Default, c.oids[i]); !ok || err != nil {
				return false, err
			}
		}
	}
	return c.learnSteps(home, c.prog.Steps)
}

func (c *call) learnSteps(home *executor.Member, steps []router.ProgramStep) (bool, error) {
	for i := range steps {
		if ok, err := c.learnStep(home, &steps[i], i == len(steps)-1); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (c *call) learnStep(home *executor.Member, s *router.ProgramStep, last bool) (ok bool, err error) {
	switch s.Kind {
	case "assignment":
		return c.fits(home, s.SQL, c.oids[s.Target])
	case "RETURN":
		if s.SQL == nil || c.prog.Void {
			return s.SQL == nil, nil
		}
		return c.fits(home, s.SQL, c.ends)
	case "EXECUTE":
		ok, err = c.fits(home, s.SQL, textOID)
	case "GET DIAGNOSTICS":
		return converts(20, c.oids[s.Target]), nil
	case "IF":
		for _, arm := range s.Arms {
			if ok, err := c.fits(home, arm.Cond, boolOID); !ok || err != nil || c.types[arm.Cond][0] != boolOID {
				return false, err
			}
			if ok, err := c.learnSteps(home, arm.Body); !ok || err != nil {
				return false, err
			}
		}
		return c.learnSteps(home, s.Else)
	default:
		ok = true
		if s.SQL != nil {
			ok, err = c.describe(home, s.SQL)
		}
		if ok && err == nil && !c.prog.PL && last && !c.prog.Void {
			types := c.types[s.SQL]
			ok = len(types) == 1 && converts(types[0], c.ends)
		}
		if ok && err == nil {
			ok = c.intoFits(c.types[s.SQL], s.Into)
		}
	}
	for _, a := range s.Args {
		if ok && err == nil {
			ok, err = c.describe(home, a)
			ok = ok && len(c.types[a]) == 1 && plainType(c.types[a][0])
		}
	}
	for _, o := range s.Options {
		if ok && err == nil {
			ok, err = c.fits(home, o.Expr, textOID)
		}
	}
	return ok, err
}

// intoFits reports whether columns can go into variables.
func (c *call) intoFits(types []uint32, into []int) bool {
	for i, v := range into {
		if i < len(types) && !converts(types[i], c.oids[v]) {
			return false
		}
	}
	return true
}

// fits reports whether a statement's only column can go where a type is wanted.
func (c *call) fits(home *executor.Member, p *router.ProgramSQL, to uint32) (bool, error) {
	ok, err := c.describe(home, p)
	return ok && len(c.types[p]) == 1 && converts(c.types[p][0], to), err
}

// describe asks home for a statement's columns.
func (c *call) describe(home *executor.Member, p *router.ProgramSQL) (bool, error) {
	oids := c.typesOf(p)
	d, failure, err := home.DescribeText(p.Text, oids)
	if err != nil || failure != nil {
		return false, err
	}
	c.types[p] = d.Types
	return len(d.Params) == len(oids), nil
}

func (c *call) typesOf(p *router.ProgramSQL) []uint32 {
	oids := make([]uint32, len(p.Vars))
	for i, v := range p.Vars {
		oids[i] = c.oids[v]
	}
	return oids
}

// numbers are the types between which every assignment is a cast function of its own, the same for assignment and for ::.
var numbers = map[uint32]bool{20: true, 21: true, 23: true, 700: true, 701: true, 1700: true}

// converted are the types whose values text is read as, and written as text, in an assignment.
var converted = map[uint32]bool{boolOID: true, 17: true, 20: true, 21: true, 23: true, 114: true, 700: true, 701: true, 1082: true, 1083: true,
	1114: true, 1184: true, 1186: true, 1266: true, 1700: true, 2950: true, 3802: true}

// converts reports whether PL/pgSQL assigns values of one type to another as a cast written with :: does.
func converts(from, to uint32) bool {
	const varchar = 1043
	switch {
	case from == to:
		return plainType(from)
	case numbers[from] && numbers[to]:
		return true
	case (from == textOID || from == varchar) && (to == textOID || to == varchar || converted[to]):
		return true
	}
	return (to == textOID || to == varchar) && converted[from]
}

// bindOf is Bind's body from the formats on, for values in binary format.
func bindOf(values []datum) []byte {
	out := []byte{0, 1, 0, 1, byte(len(values) >> 8), byte(len(values))}
	for _, v := range values {
		if v.null {
			out = append(out, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		n := len(v.data)
		out = append(append(out, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), v.data...)
	}
	return out
}

// withContext adds lines to a report's context, innermost first. A position in a statement of the code's own is one in
// the query that the report names then.
func withContext(frame []byte, query string, lines ...string) []byte {
	out, at := wire.Begin(nil, frame[0])
	b := wire.BodyOf(frame)
	context, position := "", ""
	for k := b.Byte(); k != 0; k = b.Byte() {
		v := b.Text()
		switch {
		case k == 'W':
			context = string(v) + "\n"
		case k == 'P':
			position = string(v)
		default:
			out = append(append(append(out, k), v...), 0)
		}
	}
	if position != "" && query != "" {
		out = append(append(append(out, 'p'), position...), 0)
		out = append(append(append(out, 'q'), query...), 0)
	}
	context += strings.Join(lines, "\n")
	out = append(append(append(out, 'W'), context...), 0)
	return wire.End(append(out, 0), at)
}

// replaceContext puts another context into a report.
func replaceContext(frame []byte, context string) []byte {
	out, at := wire.Begin(nil, frame[0])
	b := wire.BodyOf(frame)
	for k := b.Byte(); k != 0; k = b.Byte() {
		if v := b.Text(); k != 'W' {
			out = append(append(append(out, k), v...), 0)
		}
	}
	out = append(append(append(out, 'W'), context...), 0)
	return wire.End(append(out, 0), at)
}
