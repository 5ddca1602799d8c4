package proxy

import (
	"slices"
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
	// known are the calls that have been looked at, by their code: each that runs is made from one.
	known map[*router.Program]*call
	// busy are the expressions under way that are calls: PostgreSQL evaluates one that is by a query meanwhile, also after it has
	// failed (expr_simple_in_use in pl_exec.c).
	busy map[*router.ProgramSQL]bool
}

// maxDepth is how deep functions call each other here. PostgreSQL's limit is its stack.
const maxDepth = 100

// call is one call that runs.
type call struct {
	*routine
	name  string   // as error contexts name it
	short string   // and those of a function in SQL
	outer []string // the error context of what calls it
	depth int
	prog  *router.Program
	oids  []uint32 // of the variables
	vars  []datum
	count int64 // ROW_COUNT
	// columns are where a record's fields stand in the rows that fill it, elements the types that FOREACH takes apart.
	columns  map[*router.ProgramRecord][]int
	elements map[*router.ProgramSQL]uint32
	// caught are the errors whose handlers run, the innermost last.
	caught [][]byte
	blocks int // with handlers, that run
	ret    datum
	ends   uint32 // the type of what it returns

	// Of a function in FROM: its columns' types, its rows so far and their bytes, and what the records are whose rows it gives.
	shape []uint32
	rows  [][]datum
	size  int64
	whole map[*router.ProgramRecord][]datum
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
	x := &routine{s: s, r: r, types: map[*router.ProgramSQL][]uint32{}, known: map[*router.Program]*call{}, busy: map[*router.ProgramSQL]bool{}}
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
		calls = append(calls, c.fresh())
	}
	for i, c := range calls {
		if failure, err := c.run(&r.tmpl.Routine.Calls[i], declared(r, told.Params)); err != nil || failure != nil {
			return s.answerFailure(failure, err)
		}
	}
	if r.tmpl.Routine.Answer == "" {
		s.tag(r.tmpl.Routine.Tag)
		return nil
	}
	if r.tmpl.Routine.Rows {
		return x.answerRows(calls[0], told)
	}
	return x.answer(calls, told)
}

// fresh is a call of the same code that has not run.
func (c *call) fresh() *call {
	out := *c
	out.vars, out.whole = slices.Repeat([]datum{{null: true}}, len(c.vars)), map[*router.ProgramRecord][]datum{}
	out.count, out.blocks, out.caught, out.rows, out.size, out.ret = 0, 0, nil, nil, 0, datum{null: true}
	return &out
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
	int8OID = 20
	int4OID = 23
	textOID = 25
)

// prepare learns the types of variables and statements. nil without a failure is for code that stays refused.
func (x *routine) prepare(home *executor.Member, in *router.RoutineCall) (c *call, failure []byte, err error) {
	p := in.Program
	if c = x.known[p]; c != nil {
		return c, nil, nil
	}
	c = &call{routine: x, prog: p, name: "inline_code_block", vars: make([]datum, len(p.Vars)),
		columns: map[*router.ProgramRecord][]int{}, elements: map[*router.ProgramSQL]uint32{}}
	sql := "SELECT 1"
	for i, v := range p.Vars {
		typ := v.Type
		if typ == "" {
			typ = "int" // it is never used, or learned later
		}
		sql += ", $" + strconv.Itoa(i+1) + "::" + typ
	}
	if in.Fn != nil {
		sql += ", " + strconv.FormatUint(uint64(in.Fn.OID), 10) + "::pg_catalog.regprocedure::text"
		switch {
		case p.Rows:
			for _, typ := range p.Columns {
				sql += ", NULL::" + typ
			}
		case !p.Void:
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
		if p.Vars[i].Learned {
			c.oids[i] = 0
		}
	}
	if in.Fn != nil && !p.Void && !p.Rows {
		if c.ends = d.Types[len(d.Types)-1]; !plainType(c.ends) {
			return nil, nil, nil
		}
	}
	if p.Rows {
		c.shape = d.Types[len(d.Types)-len(p.Columns):]
		for i, typ := range c.shape {
			if _, ok := executor.ArrayType(typ); !ok || !plainType(typ) || d.Typmods[len(d.Types)-len(p.Columns)+i] != -1 {
				return nil, nil, nil
			}
		}
		if len(c.shape) == 1 {
			c.ends = c.shape[0]
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
		c.name, c.short = string(rows[0][0]), in.Fn.Name
	}
	x.known[p] = c
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

// numbers are the types between which every assignment is a cast function of its own, the same for assignment and for ::.
var numbers = map[uint32]bool{20: true, 21: true, 23: true, 700: true, 701: true, 1700: true}

// converted are the types whose values text is read as, and written as text, in an assignment.
var converted = map[uint32]bool{boolOID: true, 17: true, 20: true, 21: true, 23: true, 114: true, 700: true, 701: true, 1082: true, 1083: true,
	1114: true, 1184: true, 1186: true, 1266: true, 1700: true, 2950: true, 3802: true}

// arrays are those of such types.
var arrays = map[uint32]string{
	1000: "bool[]", 1001: "bytea[]", 1005: "int2[]", 1007: "int4[]", 1009: "text[]", 1015: "varchar[]", 1016: "int8[]", 1021: "float4[]",
	1022: "float8[]", 1115: "timestamp[]", 1182: "date[]", 1183: "time[]", 1185: "timestamptz[]", 1187: "interval[]", 1231: "numeric[]",
	1270: "timetz[]", 199: "json[]", 2951: "uuid[]", 3807: "jsonb[]",
}

// converts reports whether PL/pgSQL assigns values of one type to another as a cast written with :: does.
func converts(from, to uint32) bool {
	const varchar = 1043
	switch {
	case from == to:
		return plainType(from)
	case numbers[from] && numbers[to]:
		return true
	case (from == textOID || from == varchar) && (to == textOID || to == varchar || converted[to] || arrays[to] != ""):
		return true
	}
	return (to == textOID || to == varchar) && (converted[from] || arrays[from] != "")
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
