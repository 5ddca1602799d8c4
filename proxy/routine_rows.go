package proxy

import (
	"slices"
	"strconv"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// learnRows is for RETURN NEXT and RETURN QUERY: a row has the types of the function's columns.
func (c *call) learnRows(home *executor.Member, s *router.ProgramStep) (ok bool, err error) {
	switch {
	case s.Kind == "RETURN QUERY" && s.Dynamic:
		return c.fits(home, s.SQL, textOID)
	case s.Kind == "RETURN QUERY":
		ok, err = c.describe(home, s.SQL)
		return ok && slices.Equal(c.types[s.SQL], c.shape), err
	case s.SQL != nil:
		ok = len(c.shape) == 1
		if ok {
			ok, err = c.fits(home, s.SQL, c.shape[0])
		}
		return ok, err
	case s.Record == nil:
		for i, v := range c.prog.Outs {
			if i >= len(c.shape) || c.oids[v] != c.shape[i] {
				return false, nil
			}
		}
		return len(c.prog.Outs) == len(c.shape), nil
	}
	return true, nil // the statement that fills the record has been looked at
}

// give adds a row to what the function gives; the values are copied.
func (c *call) give(values [][]byte) error {
	row := make([]datum, len(values))
	for i, v := range values {
		row[i] = datumOf(v)
	}
	return c.giveRow(row)
}

func (c *call) giveRow(row []datum) error {
	for _, v := range row {
		c.size += int64(len(v.data)) + 32
	}
	if limit := int64(c.s.srv.config().Limits.GatherMaxBytes); c.size > limit {
		return executor.TooMuchGathered(limit)
	}
	c.rows = append(c.rows, row)
	return nil
}

// giveOwn adds the row of the function's own columns, or of its value where it has none.
func (c *call) giveOwn(value datum) error {
	if len(c.prog.Outs) == 0 {
		return c.giveRow([]datum{value})
	}
	var row []datum
	for _, v := range c.prog.Outs {
		row = append(row, c.vars[v])
	}
	return c.giveRow(row)
}

// giveNone adds the row that a function in FROM has which gives no set and has given nothing.
func (c *call) giveNone(fn *router.Function) error {
	if !c.prog.Rows || fn.RetSet || len(c.rows) > 0 {
		return nil
	}
	return c.giveRow(slices.Repeat([]datum{{null: true}}, len(c.shape)))
}

func (c *call) returnNext(s *router.ProgramStep, at string) (failure []byte, err error) {
	switch {
	case s.SQL != nil:
		var v datum
		if failure, err = c.value(s.SQL, c.ends, at, &v); failure != nil || err != nil {
			return failure, err
		}
		return nil, c.giveRow([]datum{v})
	case s.Record == nil:
		return nil, c.giveOwn(datum{null: true})
	}
	row := c.whole[s.Record]
	if row == nil { // the query had none
		row = slices.Repeat([]datum{{null: true}}, len(c.shape))
	}
	return nil, c.giveRow(row)
}

func (c *call) returnQuery(s *router.ProgramStep, at string) (failure []byte, err error) {
	var next *request
	var context []string
	if s.Dynamic {
		var types []uint32
		var query string
		if next, query, types, failure, err = c.composed(s, at); failure != nil || err != nil {
			return failure, err
		}
		if !slices.Equal(types, c.shape) {
			return nil, refusalOfCode(c.r.tmpl)
		}
		context = []string{`SQL statement "` + query + `"`, at}
	} else {
		next, context = c.bound(s.SQL), []string{s.SQL.Source, at}
	}
	before := len(c.rows)
	_, failure, err = c.captured(next, context, c.give)
	if failure != nil || err != nil {
		return failure, err
	}
	c.count = int64(len(c.rows) - before)
	c.found(c.count > 0)
	return nil, nil
}

// answerRows runs what is left of a SELECT from a function on home, with the function's rows as array parameters.
func (x *routine) answerRows(c *call, told executor.Description) error {
	t := &transport{names: make([]string, len(c.shape)), casts: make([]string, len(c.shape)), collations: make([]string, len(c.shape))}
	arrays := make([]*executor.Array, len(c.shape))
	oids := declared(x.r, told.Params)
	for i, typ := range c.shape {
		array, _ := executor.ArrayType(typ)
		t.names[i], t.oids, t.elems, t.formats = "c"+strconv.Itoa(i), append(t.oids, array), append(t.elems, typ), append(t.formats, 1)
		arrays[i] = t.array(i)
		for _, row := range c.rows {
			v := row[i].data
			if row[i].null {
				v = nil
			} else if v == nil {
				v = []byte{}
			}
			arrays[i].Append(v)
		}
	}
	text := router.FillRows(x.r.tmpl.Routine.Answer, []string{t.rows(len(oids))})
	bind := x.r.bind
	if bind == nil {
		bind = []byte{0, 0, 0, 0}
	}
	plan := x.s.planOwned([]byte(text))
	next := request{
		text: []byte(text), own: x.r.client(), before: x.r.before, formats: x.r.formats, maxRows: x.r.maxRows, portal: x.r.portal,
		tmpl: plan.tmpl, lits: plan.lits, kinds: plan.kinds, oids: append(slices.Clone(oids), t.oids...), bind: executor.WithArrays(bind, arrays),
		params: append([]shardmap.Value(nil), x.r.params...),
	}
	for i := range next.params {
		next.params[i].TypeOID = oids[i]
	}
	if next.tmpl.Kind != router.KindHome && next.tmpl.Kind != router.KindAny {
		x.s.fail(refusalOfCode(x.r.tmpl))
		return nil
	}
	home, err := x.s.gang.Join(x.s.ctx, x.s.db.home)
	if err != nil {
		x.s.fail(executor.ClientError(err))
		return nil
	}
	d, failure, err := home.DescribeText(text, next.oids)
	switch {
	case failure != nil || err != nil:
		return x.s.collectFailed(failure, err)
	case !slices.Equal(d.Types, told.Types) || !slices.Equal(d.Names, told.Names):
		x.s.fail(refusalOfCode(x.r.tmpl))
		return nil
	}
	if x.r.describe {
		x.s.out.Out = append(x.s.out.Out, told.Fields...)
	}
	return x.s.forward(&next, x.s.db.home)
}
