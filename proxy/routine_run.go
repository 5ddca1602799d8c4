package proxy

import (
	"slices"
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// run evaluates the arguments and runs the code. failure is the ErrorResponse that ends it.
func (c *call) run(in *router.RoutineCall, oids []uint32) (failure []byte, err error) {
	if in.Args != "" {
		next := c.request(in.Args, oids, nil, c.r.bind)
		next.params = c.r.params
		if next.bind == nil {
			next.bind = []byte{0, 0, 0, 0}
		}
		failure, err = c.s.capture(next, func(values [][]byte) error {
			for i, v := range values {
				c.vars[i] = datumOf(v)
			}
			return nil
		})
		if failure != nil || err != nil {
			return executorPosition(failure), err
		}
	}
	return c.body(in)
}

// body runs the code with its arguments in the first variables.
func (c *call) body(in *router.RoutineCall) (failure []byte, err error) {
	if in.Fn != nil && in.Fn.Sig.Strict && slices.ContainsFunc(c.vars[:len(in.Fn.Sig.Args)-len(c.prog.Outs)], func(d datum) bool { return d.null }) {
		return nil, c.giveNone(in.Fn)
	}
	if !c.prog.PL {
		if failure, err = c.statements(in.Fn.RetSet); failure != nil || err != nil {
			return failure, err
		}
		return nil, c.giveNone(in.Fn)
	}
	if c.prog.Found >= 0 {
		c.vars[c.prog.Found] = datum{data: []byte{0}}
	}
	how, failure, err := c.steps(c.prog.Steps)
	if failure == nil && err == nil && c.prog.Rows && !in.Fn.RetSet && (how.kind == flowReturn || len(c.prog.Outs) > 0) {
		err = c.giveOwn(c.ret)
	}
	if failure == nil && err == nil && how.kind != flowReturn && !c.prog.Void && len(c.prog.Outs) == 0 && (in.Fn == nil || !in.Fn.RetSet) {
		failure, err = c.report("BEGIN RAISE EXCEPTION USING ERRCODE = '2F005', MESSAGE = 'control reached end of function without RETURN'; END",
			"PL/pgSQL function "+c.name)
	}
	c.ret.null = c.ret.null && !c.prog.Void
	return failure, err
}

func executorPosition(failure []byte) []byte {
	if failure == nil {
		return nil
	}
	return executor.WithoutPosition(failure)
}

// statements runs a function in SQL; set tells that it gives all rows of its last one.
func (c *call) statements(set bool) (failure []byte, err error) {
	for i := range c.prog.Steps {
		s := &c.prog.Steps[i]
		at := `SQL function "` + c.short + `" statement ` + strconv.Itoa(s.Line)
		var first *datum
		last := i == len(c.prog.Steps)-1
		_, failure, err = c.sql(s.SQL, []string{at}, func(values [][]byte) error {
			if last && c.prog.Rows && (set || len(c.rows) == 0) {
				return c.give(values)
			}
			if first == nil && len(values) > 0 {
				d := datumOf(values[0])
				first = &d
			}
			return nil
		})
		if failure != nil || err != nil {
			return failure, err
		}
		if last && !c.prog.Void && first != nil {
			if failure, err = c.convert(*first, c.types[s.SQL][0], c.ends, at, &c.ret); failure != nil || err != nil {
				return failure, err
			}
		}
	}
	return nil, nil
}

// at is a line of error contexts.
func (c *call) at(line int, what string) string {
	return "PL/pgSQL function " + c.name + " line " + strconv.Itoa(line) + " " + what
}

func (c *call) step(s *router.ProgramStep) (how flow, failure []byte, err error) {
	at := c.at(s.Line, "at "+s.Kind)
	switch s.Kind {
	case "SQL statement", "PERFORM":
		failure, err = c.query(s, at)
	case "EXECUTE":
		failure, err = c.dynamic(s, at)
	case "assignment":
		failure, err = c.value(s.SQL, c.oids[s.Target], at, &c.vars[s.Target])
	case "GET DIAGNOSTICS", "GET STACKED DIAGNOSTICS":
		failure, err = c.diagnose(s, at)
	case "RETURN":
		if s.SQL != nil {
			failure, err = c.value(s.SQL, c.ends, at, &c.ret)
		}
		return flow{kind: flowReturn}, failure, err
	case "EXIT", "CONTINUE":
		return c.jump(s, at)
	case "IF", "CASE":
		return c.choose(s, at)
	case "RETURN NEXT":
		failure, err = c.returnNext(s, at)
	case "RETURN QUERY":
		failure, err = c.returnQuery(s, at)
	case "RAISE":
		failure, err = c.raise(s, at)
	case "ASSERT":
		failure, err = c.assert(s, at)
	case "statement block":
		return c.block(s)
	default:
		return c.loop(s, at)
	}
	return flow{}, failure, err
}

// query runs an SQL statement of the code.
func (c *call) query(s *router.ProgramStep, at string) (failure []byte, err error) {
	if s.SQL.Schema {
		return c.change(c.bound(s.SQL), s.SQL.Text, at)
	}
	var got rowsOf
	count, failure, err := c.sql(s.SQL, []string{s.SQL.Source, at}, got.take)
	if failure != nil || err != nil {
		return failure, err
	}
	c.count = count
	if (s.Into != nil || s.Record != nil) && s.SQL.Reads {
		c.count = min(got.rows, 1)
	}
	c.vars[c.prog.Found] = datum{data: []byte{0}}
	if c.count > 0 {
		c.vars[c.prog.Found].data[0] = 1
	}
	return c.into(s, c.types[s.SQL], got.first, got.rows, at)
}

// rowsOf counts a statement's rows and keeps the first.
type rowsOf struct {
	first []datum
	rows  int64
}

func (r *rowsOf) take(values [][]byte) error {
	if r.rows++; r.rows == 1 {
		for _, v := range values {
			r.first = append(r.first, datumOf(v))
		}
	}
	return nil
}

// into puts the first row into variables. A statement that writes must give no other.
func (c *call) into(s *router.ProgramStep, types []uint32, first []datum, rows int64, at string) (failure []byte, err error) {
	if s.Into == nil && s.Record == nil {
		return nil, nil
	}
	if s.Strict && rows != 1 || rows > 1 && s.Kind != "EXECUTE" && !s.SQL.Reads {
		// PostgreSQL says it in its own words.
		return c.report("DECLARE x int; BEGIN SELECT 1 INTO STRICT x FROM pg_catalog.generate_series(1, "+strconv.FormatInt(min(rows, 2), 10)+"); END", at)
	}
	return c.put(s, types, first, at)
}

// put puts a row into variables or into a record; nil is no row.
func (c *call) put(s *router.ProgramStep, types []uint32, row []datum, at string) (failure []byte, err error) {
	for i, v := range s.Into {
		if i >= len(row) {
			c.vars[v] = datum{null: true}
			continue
		}
		if failure, err = c.convert(row[i], types[i], c.oids[v], at, &c.vars[v]); failure != nil || err != nil {
			return failure, err
		}
	}
	if s.Record != nil {
		c.whole[s.Record] = row
		for i, f := range s.Record.Fields {
			c.vars[f.Var] = datum{null: true}
			if row != nil {
				c.vars[f.Var] = row[c.columns[s.Record][i]]
			}
		}
	}
	return nil, nil
}

// dynamic is EXECUTE.
func (c *call) dynamic(s *router.ProgramStep, at string) (failure []byte, err error) {
	next, query, types, failure, err := c.composed(s, at)
	if failure != nil || err != nil {
		return failure, err
	}
	if next.tmpl.ChangesInside() {
		return c.change(next, query, at)
	}
	var got rowsOf
	count, failure, err := c.captured(next, []string{`SQL statement "` + query + `"`, at}, got.take)
	if failure != nil || err != nil {
		return failure, err
	}
	c.count = count
	return c.into(s, types, got.first, got.rows, at)
}

// composed is the statement that EXECUTE makes, and the types of its columns.
func (c *call) composed(s *router.ProgramStep, at string) (next *request, query string, types []uint32, failure []byte, err error) {
	var text datum
	if failure, err = c.value(s.SQL, textOID, at, &text); failure != nil || err != nil {
		return nil, "", nil, failure, err
	}
	var args []datum
	var oids []uint32
	if !text.null {
		for _, a := range s.Args {
			var v datum
			if failure, err = c.value(a, c.types[a][0], at, &v); failure != nil || err != nil {
				return nil, "", nil, failure, err
			}
			args, oids = append(args, v), append(oids, c.types[a][0])
		}
	} else {
		failure, err = c.report("BEGIN EXECUTE NULL; END", at)
		return nil, "", nil, failure, err
	}
	query = string(text.data)
	next = c.request(query, oids, args, nil)
	home, err := c.s.gang.Join(c.s.ctx, c.s.db.home)
	if err != nil {
		return nil, "", nil, nil, err
	}
	d, failure, err := home.DescribeText(query, oids)
	switch {
	case failure != nil:
		return nil, "", nil, withContext(failure, query, at), nil
	case err != nil:
		return nil, "", nil, nil, err
	case s.Kind == "EXECUTE" && s.Into == nil && c.prog.Settled && next.tmpl.ChangesInside():
	case !runsInside(next.tmpl) || len(d.Params) != len(oids) || !c.intoFits(d.Types, s.Into):
		return nil, "", nil, nil, refusalOfCode(c.r.tmpl)
	}
	return next, query, d.Types, nil, nil
}

// change runs a schema change. FOUND stays as it is.
func (c *call) change(r *request, text, at string) (failure []byte, err error) {
	in := func(f []byte, outer ...string) []byte {
		if wire.ErrorField(f, 'P') != "" {
			return withContext(f, text, append([]string{at}, outer...)...)
		}
		return withContext(f, "", append([]string{`SQL statement "` + text + `"`, at}, outer...)...)
	}
	_, failure, err = c.s.captureReports(r, func(f []byte) []byte { return in(f, c.outer...) }, func([][]byte) error { return nil })
	if c.count = 0; failure != nil {
		failure = in(failure)
	}
	return failure, err
}

// runsInside reports whether a statement that EXECUTE gives runs as one of the code's own.
func runsInside(t *router.Template) bool {
	switch t.Command {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE":
	default:
		return false
	}
	return t.Kind != router.KindRefuse && t.Kind != router.KindRoutine && t.Kind != router.KindDDL && t.Kind != router.KindSyntax &&
		len(t.SetConfig) == 0 && (t.Clock == nil || !t.Clock.Hidden)
}

// value evaluates an expression and converts it.
func (c *call) value(p *router.ProgramSQL, to uint32, at string, out *datum) (failure []byte, err error) {
	got := datum{null: true}
	source := p.Source
	simple := p.Call != nil && source == "" && !c.busy[p]
	switch {
	case simple:
		c.busy[p] = true
	case p.Call != nil:
		source = p.Long
	}
	context := []string{at}
	if source != "" {
		context = []string{source, at}
	}
	_, failure, err = c.sql(p, context, func(values [][]byte) error {
		got = datumOf(values[0])
		return nil
	})
	if failure != nil || err != nil {
		return failure, err
	}
	if simple {
		delete(c.busy, p)
	}
	if source != "" {
		c.count = 1 // what PostgreSQL evaluates by a query counts as one
	}
	return c.convert(got, c.types[p][0], to, at, out)
}

// convert assigns a value to a variable of another type.
func (c *call) convert(v datum, from, to uint32, at string, out *datum) (failure []byte, err error) {
	if from == to || v.null {
		*out = v
		return nil, nil
	}
	home, err := c.s.gang.Join(c.s.ctx, c.s.db.home)
	if err != nil {
		return nil, err
	}
	rows, failure, err := home.AskFormats("SELECT $1::"+typeNames[to]+arrays[to], []uint32{from}, bindOf([]datum{v}), []int16{1})
	if err != nil || failure != nil {
		if failure != nil {
			failure = withContext(failure, "", at)
		}
		return failure, err
	}
	*out = datumOf(rows[0][0])
	return nil, nil
}

// typeNames are those of types that values are converted to (converts).
var typeNames = map[uint32]string{
	boolOID: "bool", 17: "bytea", 20: "int8", 21: "int2", 23: "int4", 25: "text", 114: "json", 700: "float4", 701: "float8", 1043: "varchar",
	1082: "date", 1083: "time", 1114: "timestamp", 1184: "timestamptz", 1186: "interval", 1266: "timetz", 1700: "numeric", 2950: "uuid", 3802: "jsonb",
}

// sql runs a statement of the code with its variables.
func (c *call) sql(p *router.ProgramSQL, context []string, row func([][]byte) error) (count int64, failure []byte, err error) {
	if p.Call != nil {
		return c.invoke(p, context, row)
	}
	return c.captured(c.bound(p), context, row)
}

func (c *call) bound(p *router.ProgramSQL) *request { return c.with(p.Text, p) }

// with is a text with a statement's variables.
func (c *call) with(text string, p *router.ProgramSQL) *request {
	values := make([]datum, len(p.Vars))
	for i, v := range p.Vars {
		values[i] = c.vars[v]
	}
	return c.request(text, c.typesOf(p), values, nil)
}

// request is a statement with values, or with the client's parameters. Its rows come in binary format.
func (c *call) request(text string, oids []uint32, values []datum, bind []byte) *request {
	plan := c.s.planOwned([]byte(text))
	r := &request{text: []byte(text), tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds, oids: oids, bind: bind, formats: []int16{1}}
	if bind == nil {
		r.bind = bindOf(values)
		for i, v := range values {
			r.params = append(r.params, shardmap.Value{Data: v.data, Format: shardmap.Binary, Null: v.null, TypeOID: oids[i]})
		}
	}
	return r
}

// captured runs a request under a context.
func (c *call) captured(r *request, context []string, row func([][]byte) error) (count int64, failure []byte, err error) {
	in := func(f []byte) []byte { return withContext(f, "", append(slices.Clone(context), c.outer...)...) }
	count, failure, err = c.s.captureReports(r, in, row)
	if failure != nil {
		failure = withContext(failure, "", context...) // what calls this adds its own
	}
	return count, failure, err
}

func datumOf(v []byte) datum {
	if v == nil {
		return datum{null: true}
	}
	return datum{data: append([]byte{}, v...)}
}

// invoke runs a statement that is the call of another function.
func (c *call) invoke(p *router.ProgramSQL, context []string, row func([][]byte) error) (count int64, failure []byte, err error) {
	if c.depth >= maxDepth {
		return 0, nil, refusalOfCode(c.r.tmpl)
	}
	in := c.known[p.Call.Program].fresh()
	in.outer, in.depth = append(slices.Clone(context), c.outer...), c.depth+1
	if p.Call.Args != "" {
		_, failure, err = c.captured(c.with(p.Call.Args, p), context, func(values [][]byte) error {
			for i, v := range values {
				in.vars[i] = datumOf(v)
			}
			return nil
		})
		if failure != nil || err != nil {
			return 0, failure, err
		}
	}
	if failure, err = in.body(p.Call); failure != nil || err != nil {
		if failure != nil {
			failure = withContext(failure, "", context...)
		}
		return 0, failure, err
	}
	value := in.ret.data
	if in.ret.null {
		value = nil
	}
	return 1, nil, row([][]byte{value})
}
