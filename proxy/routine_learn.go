package proxy

import (
	"slices"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router"
)

// learn asks for the types of every statement of the code, and whether its values can go where it puts them.
func (c *call) learn(home *executor.Member) (bool, error) { return c.learnSteps(home, c.prog.Steps) }

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
	case "RETURN NEXT", "RETURN QUERY":
		ok, err = c.learnRows(home, s)
	case "EXECUTE", "FOR over EXECUTE statement":
		ok, err = c.fits(home, s.SQL, textOID)
	case "GET DIAGNOSTICS", "GET STACKED DIAGNOSTICS":
		for _, item := range s.Items {
			from := uint32(int8OID)
			if item.Kind != "ROW_COUNT" {
				from = textOID
			}
			if !converts(from, c.oids[item.Target]) {
				return false, nil
			}
		}
		return true, nil
	case "IF", "CASE":
		return c.learnArms(home, s)
	case "EXIT", "CONTINUE", "WHILE", "ASSERT":
		ok, err = s.SQL == nil, nil
		if s.SQL != nil {
			ok, err = c.condition(home, s.SQL)
		}
	case "FOREACH over array":
		ok, err = c.learnElements(home, s)
	case "FOR with integer loop variable":
		ok = true
		for _, p := range s.Bounds {
			if ok && err == nil {
				ok, err = c.fits(home, p, int4OID)
			}
		}
	case "statement block":
		return c.learnBlock(home, s)
	default:
		ok, err = c.learnQuery(home, s, last)
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
	if ok && err == nil {
		ok, err = c.learnSteps(home, s.Body)
	}
	return ok, err
}

// learnQuery is for statements whose rows go somewhere.
func (c *call) learnQuery(home *executor.Member, s *router.ProgramStep, last bool) (ok bool, err error) {
	if s.SQL == nil {
		return true, nil
	}
	d, ok, err := c.described(home, s.SQL)
	names := d.Names
	if ok && err == nil && !c.prog.PL && last && !c.prog.Void {
		types := c.types[s.SQL]
		if c.prog.Rows {
			ok = slices.Equal(types, c.shape)
		} else {
			ok = len(types) == 1 && converts(types[0], c.ends)
		}
	}
	if !ok || err != nil {
		return false, err
	}
	if s.Record != nil {
		if s.Record.Whole && !slices.Equal(c.types[s.SQL], c.shape) {
			return false, nil
		}
		if s.Record.Like != "" {
			like, failure, err := home.DescribeText(s.Record.Like, nil)
			if failure != nil || err != nil || !slices.Equal(like.Names, names) || !slices.Equal(like.Types, d.Types) || !slices.Equal(like.Typmods, d.Typmods) {
				return false, err
			}
			delete(c.columns, s.Record)
		}
		for _, f := range s.Record.Fields {
			at := slices.Index(names, f.Name)
			if at < 0 || !plainType(c.types[s.SQL][at]) {
				return false, nil
			}
			c.oids[f.Var] = c.types[s.SQL][at]
			c.columns[s.Record] = append(c.columns[s.Record], at)
		}
	}
	return c.intoFits(c.types[s.SQL], s.Into), nil
}

func (c *call) learnArms(home *executor.Member, s *router.ProgramStep) (bool, error) {
	if s.SQL != nil {
		ok, err := c.describe(home, s.SQL)
		if !ok || err != nil || len(c.types[s.SQL]) != 1 || !plainType(c.types[s.SQL][0]) {
			return false, err
		}
		c.oids[s.Target] = c.types[s.SQL][0]
	}
	for _, arm := range s.Arms {
		if ok, err := c.condition(home, arm.Cond); !ok || err != nil {
			return false, err
		}
		if ok, err := c.learnSteps(home, arm.Body); !ok || err != nil {
			return false, err
		}
	}
	return c.learnSteps(home, s.Else)
}

func (c *call) learnBlock(home *executor.Member, s *router.ProgramStep) (bool, error) {
	for _, i := range s.Declared {
		if v := &c.prog.Vars[i]; v.Default != nil {
			if ok, err := c.fits(home, v.Default, c.oids[i]); !ok || err != nil {
				return false, err
			}
		}
	}
	if ok, err := c.learnSteps(home, s.Body); !ok || err != nil {
		return false, err
	}
	for _, h := range s.Handlers {
		if ok, err := c.learnSteps(home, h.Body); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// learnElements is for FOREACH: PostgreSQL says what an array's elements are.
func (c *call) learnElements(home *executor.Member, s *router.ProgramStep) (bool, error) {
	ok, err := c.describe(home, s.SQL)
	if !ok || err != nil || len(c.types[s.SQL]) != 1 || !plainType(c.types[s.SQL][0]) {
		return false, err
	}
	d, failure, err := home.DescribeText(elementsOf, c.types[s.SQL])
	if err != nil || failure != nil || len(d.Types) != 1 {
		return false, err
	}
	c.elements[s.SQL] = d.Types[0]
	return converts(d.Types[0], c.oids[s.Target]), nil
}

// elementsOf lists an array's elements in the order in which they are stored.
const elementsOf = "SELECT pg_catalog.unnest($1)"

// condition reports whether an expression is a boolean.
func (c *call) condition(home *executor.Member, p *router.ProgramSQL) (bool, error) {
	ok, err := c.fits(home, p, boolOID)
	return ok && c.types[p][0] == boolOID, err
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

// describe asks home for the types of a statement's columns.
func (c *call) describe(home *executor.Member, p *router.ProgramSQL) (bool, error) {
	_, ok, err := c.described(home, p)
	return ok, err
}

// described is describe, and gives all that home tells.
func (c *call) described(home *executor.Member, p *router.ProgramSQL) (d executor.Description, ok bool, err error) {
	oids := c.typesOf(p)
	if slices.Contains(oids, 0) {
		return d, false, nil // it is used ahead of what fills it
	}
	d, failure, err := home.DescribeText(p.Text, oids)
	if err != nil || failure != nil {
		return d, false, err
	}
	c.types[p] = d.Types
	if p.Call != nil {
		ok, err = c.learnCall(home, p)
		return d, ok && len(d.Params) == len(oids), err
	}
	return d, len(d.Params) == len(oids), nil
}

// learnCall looks at a function that the code calls, and at what it gives it.
func (c *call) learnCall(home *executor.Member, p *router.ProgramSQL) (bool, error) {
	if p.Call.Args != "" {
		if _, failure, err := home.DescribeText(p.Call.Args, c.typesOf(p)); failure != nil || err != nil {
			return false, err
		}
	}
	in, failure, err := c.prepare(home, p.Call)
	if in == nil || failure != nil || err != nil {
		return false, err
	}
	return len(c.types[p]) == 1 && (in.prog.Void || c.types[p][0] == in.ends), nil
}

func (c *call) typesOf(p *router.ProgramSQL) []uint32 {
	oids := make([]uint32, len(p.Vars))
	for i, v := range p.Vars {
		oids[i] = c.oids[v]
	}
	return oids
}
