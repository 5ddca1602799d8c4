package proxy

import (
	"encoding/binary"
	"math"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router"
)

// flow is where control goes behind a statement.
type flow struct {
	kind  flowKind
	label string // of EXIT and CONTINUE
}

type flowKind byte

const (
	flowNext flowKind = iota // to the next one
	flowExit
	flowContinue
	flowReturn
)

// steps runs statements until one goes elsewhere.
func (c *call) steps(list []router.ProgramStep) (how flow, failure []byte, err error) {
	for i := range list {
		if err = c.s.ctx.Err(); err != nil {
			return flow{}, nil, executor.ClientError(err)
		}
		how, failure, err = c.step(&list[i])
		if how.kind != flowNext || failure != nil || err != nil {
			return how, failure, err
		}
	}
	return flow{}, nil, nil
}

// holds evaluates a condition; NULL is false.
func (c *call) holds(p *router.ProgramSQL, at string) (yes bool, failure []byte, err error) {
	var v datum
	failure, err = c.value(p, boolOID, at, &v)
	return failure == nil && err == nil && !v.null && v.data[0] == 1, failure, err
}

// jump is EXIT and CONTINUE.
func (c *call) jump(s *router.ProgramStep, at string) (how flow, failure []byte, err error) {
	if s.SQL != nil {
		if yes, failure, err := c.holds(s.SQL, at); !yes || failure != nil || err != nil {
			return flow{}, failure, err
		}
	}
	if s.Kind == "EXIT" {
		return flow{flowExit, s.Label}, nil, nil
	}
	return flow{flowContinue, s.Label}, nil, nil
}

// choose is IF and CASE.
func (c *call) choose(s *router.ProgramStep, at string) (how flow, failure []byte, err error) {
	if s.SQL != nil {
		if failure, err = c.value(s.SQL, c.oids[s.Target], at, &c.vars[s.Target]); failure != nil || err != nil {
			return flow{}, failure, err
		}
	}
	for _, arm := range s.Arms {
		if yes, failure, err := c.holds(arm.Cond, at); failure != nil || err != nil {
			return flow{}, failure, err
		} else if yes {
			return c.steps(arm.Body)
		}
	}
	if s.Missing && len(s.Else) == 0 {
		failure, err = c.report("BEGIN CASE WHEN false THEN NULL; END CASE; END", at)
		return flow{}, failure, err
	}
	return c.steps(s.Else)
}

// round runs a loop's body once. over is true where the loop ends, and how is what that means for what is around it.
func (c *call) round(s *router.ProgramStep) (over bool, how flow, failure []byte, err error) {
	if err = c.s.ctx.Err(); err != nil {
		return true, flow{}, nil, executor.ClientError(err)
	}
	how, failure, err = c.steps(s.Body)
	own := how.label == "" || how.label == s.Label
	switch {
	case failure != nil || err != nil:
		return true, flow{}, failure, err
	case how.kind == flowNext || how.kind == flowContinue && own:
		return false, flow{}, nil, nil
	case how.kind == flowExit && own:
		return true, flow{}, nil, nil
	}
	return true, how, nil, nil
}

// loop is every loop. FOUND tells behind one that counts whether it had a round.
func (c *call) loop(s *router.ProgramStep, at string) (how flow, failure []byte, err error) {
	went := false
	switch s.Kind {
	case "LOOP":
		for over := false; !over; {
			over, how, failure, err = c.round(s)
		}
		return how, failure, err
	case "WHILE":
		for over := false; !over; {
			var yes bool
			if yes, failure, err = c.holds(s.SQL, at); !yes || failure != nil || err != nil {
				return flow{}, failure, err
			}
			over, how, failure, err = c.round(s)
		}
		return how, failure, err
	case "FOR with integer loop variable":
		went, how, failure, err = c.count32(s, at)
	case "FOREACH over array":
		went, how, failure, err = c.elementwise(s, at)
	default:
		went, how, failure, err = c.rowwise(s, at)
	}
	if failure == nil && err == nil {
		c.found(went)
	}
	return how, failure, err
}

func (c *call) found(yes bool) {
	c.vars[c.prog.Found] = datum{data: []byte{0}}
	if yes {
		c.vars[c.prog.Found].data[0] = 1
	}
}

// bounds evaluates from, to and step. What is wrong with one is said by PostgreSQL.
func (c *call) bounds(s *router.ProgramStep, at string) (out [3]int32, failure []byte, err error) {
	out[2] = 1
	for i, p := range s.Bounds {
		var v datum
		if failure, err = c.value(p, int4OID, at, &v); failure != nil || err != nil {
			return out, failure, err
		}
		if !v.null {
			out[i] = int32(binary.BigEndian.Uint32(v.data))
		}
		if v.null || i == 2 && out[i] <= 0 {
			loop := [][]string{{"NULL..1", "NULL..1"}, {"1..NULL", "1..NULL"}, {"1..1 BY 0", "1..1 BY NULL"}}[i]
			text := loop[0]
			if v.null {
				text = loop[1]
			}
			failure, err = c.report("BEGIN FOR i IN "+text+" LOOP NULL; END LOOP; END", at)
			return out, failure, err
		}
	}
	return out, nil, nil
}

// count32 is FOR over integers, which counts as exec_stmt_fori does.
func (c *call) count32(s *router.ProgramStep, at string) (went bool, how flow, failure []byte, err error) {
	b, failure, err := c.bounds(s, at)
	if failure != nil || err != nil {
		return false, flow{}, failure, err
	}
	from, to, step := int64(b[0]), int64(b[1]), int64(b[2])
	if s.Reverse {
		step = -step
	}
	for over := false; !over && from >= math.MinInt32 && from <= math.MaxInt32 && (step > 0 && from <= to || step < 0 && from >= to); from += step {
		went = true
		c.vars[s.Target] = datum{data: binary.BigEndian.AppendUint32(nil, uint32(int32(from)))}
		over, how, failure, err = c.round(s)
	}
	return went, how, failure, err
}

// elementwise is FOREACH.
func (c *call) elementwise(s *router.ProgramStep, at string) (went bool, how flow, failure []byte, err error) {
	var array datum
	if failure, err = c.value(s.SQL, c.types[s.SQL][0], at, &array); failure != nil || err != nil {
		return false, flow{}, failure, err
	}
	if array.null {
		failure, err = c.report("DECLARE i int; a int[]; BEGIN FOREACH i IN ARRAY a LOOP NULL; END LOOP; END", at)
		return false, flow{}, failure, err
	}
	home, err := c.s.gang.Join(c.s.ctx, c.s.db.home)
	if err != nil {
		return false, flow{}, nil, err
	}
	rows, failure, err := home.AskFormats(elementsOf, c.types[s.SQL], bindOf([]datum{array}), []int16{1})
	if failure != nil || err != nil {
		return false, flow{}, failure, err
	}
	for _, row := range rows {
		if failure, err = c.convert(datumOf(row[0]), c.elements[s.SQL], c.oids[s.Target], at, &c.vars[s.Target]); failure != nil || err != nil {
			return true, flow{}, failure, err
		}
		over := false
		if over, how, failure, err = c.round(s); over {
			return true, how, failure, err
		}
	}
	return len(rows) > 0, flow{}, nil, nil
}

// rowwise is FOR over the rows of a query, which are all read first: they are those of its snapshot.
func (c *call) rowwise(s *router.ProgramStep, at string) (went bool, how flow, failure []byte, err error) {
	var next *request
	types := c.types[s.SQL]
	if s.Kind == "FOR over SELECT rows" {
		next = c.bound(s.SQL)
	} else if next, _, types, failure, err = c.composed(s, at); failure != nil || err != nil {
		return false, flow{}, failure, err
	}
	if s.Kind != "FOR over SELECT rows" && !next.tmpl.Returns {
		return false, flow{}, nil, refusalOfCode(c.r.tmpl)
	}
	rows, failure, err := c.held(next, at)
	if failure != nil || err != nil {
		return false, flow{}, failure, err
	}
	if len(rows) == 0 {
		failure, err = c.put(s, types, nil, at)
		return false, flow{}, failure, err
	}
	for i := range rows {
		if failure, err = c.put(s, types, rows[i], at); failure != nil || err != nil {
			return true, flow{}, failure, err
		}
		rows[i] = nil
		over := false
		if over, how, failure, err = c.round(s); over {
			return true, how, failure, err
		}
	}
	return true, flow{}, nil, nil
}

// held runs a loop's query. PostgreSQL runs the loop for the rows ahead of an error, so that one with rows ahead of it
// cannot be told.
func (c *call) held(r *request, at string) (rows [][]datum, failure []byte, err error) {
	limit, size := int64(c.s.srv.config().Limits.GatherMaxBytes), int64(0)
	_, failure, err = c.captured(r, []string{at}, func(values [][]byte) error {
		row := make([]datum, len(values))
		for i, v := range values {
			row[i] = datumOf(v)
			size += int64(len(v)) + 32
		}
		if size > limit {
			return executor.TooMuchGathered(limit)
		}
		rows = append(rows, row)
		return nil
	})
	if failure != nil && len(rows) > 0 {
		return nil, nil, router.RefuseLoopQuery()
	}
	return rows, failure, err
}
