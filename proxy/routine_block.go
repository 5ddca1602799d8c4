package proxy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// block is BEGIN … END. With EXCEPTION it is a savepoint on every server that takes part.
func (c *call) block(s *router.ProgramStep) (how flow, failure []byte, err error) {
	for _, i := range s.Declared {
		c.vars[i] = datum{null: true}
		if rec := c.prog.Held[i]; rec != nil {
			delete(c.whole, rec)
			for _, f := range rec.Fields {
				c.vars[f.Var] = datum{null: true}
			}
		}
		if v := &c.prog.Vars[i]; v.Default != nil {
			at := c.at(v.Line, "during statement block local variable initialization")
			if failure, err = c.value(v.Default, c.oids[i], at, &c.vars[i]); failure != nil || err != nil {
				return flow{}, failure, err
			}
		}
	}
	if len(s.Handlers) == 0 {
		how, failure, err = c.steps(s.Body)
	} else {
		how, failure, err = c.guarded(s)
	}
	if how.kind == flowExit && how.label != "" && how.label == s.Label {
		how = flow{}
	}
	return how, failure, err
}

// guarded runs a block with handlers, and the one that an error is for.
func (c *call) guarded(s *router.ProgramStep) (how flow, failure []byte, err error) {
	c.blocks++
	defer func() { c.blocks-- }()
	name := "pleiad block " + strconv.Itoa(c.blocks)
	if failure, err = c.savepoint(router.TxnSavepoint, name); failure != nil || err != nil {
		return flow{}, failure, err
	}
	how, failure, err = c.steps(s.Body)
	if err != nil {
		return flow{}, nil, err
	}
	if failure == nil {
		failure, err = c.savepoint(router.TxnRelease, name)
		return how, failure, err
	}
	if wire.ErrorField(failure, 'R') == "" {
		return flow{}, failure, c.uncaught(failure)
	}
	for _, op := range []router.TxnOp{router.TxnRollbackTo, router.TxnRelease} {
		if lost, err := c.savepoint(op, name); lost != nil || err != nil {
			return flow{}, lost, err
		}
	}
	h, lost, err := c.handler(s, failure)
	if lost != nil || err != nil {
		return flow{}, lost, err
	}
	if h == nil {
		return flow{}, failure, nil
	}
	c.vars[s.Target] = datum{data: []byte(wire.ErrorField(failure, 'C'))}
	c.vars[s.Target+1] = datum{data: []byte(wire.ErrorField(failure, 'M'))}
	c.caught = append(c.caught, failure)
	how, failure, err = c.steps(h.Body)
	c.caught = c.caught[:len(c.caught)-1]
	return how, failure, err
}

// uncaught is for an error that no PostgreSQL server has made: what pleiad refuses, a limit, a server that is lost. No handler
// is run for these, and for one that stands for PostgreSQL's own the code is refused.
func (c *call) uncaught(failure []byte) error {
	code := wire.ErrorField(failure, 'C')
	if len(code) == 5 && slices.Contains([]string{"08", "0A", "25", "40", "53", "57", "58", "XX"}, code[:2]) {
		return nil
	}
	return refusalOfCode(c.r.tmpl)
}

// savepoint runs SAVEPOINT, RELEASE or ROLLBACK TO.
func (c *call) savepoint(op router.TxnOp, name string) (failure []byte, err error) {
	text := map[router.TxnOp]string{
		router.TxnSavepoint: "SAVEPOINT ", router.TxnRelease: "RELEASE SAVEPOINT ", router.TxnRollbackTo: "ROLLBACK TO SAVEPOINT ",
	}[op] + quoteIdent(name)
	t := &router.Template{Kind: router.KindTxn, Command: "SAVEPOINT", Txn: &router.Txn{Op: op, Name: name}}
	return c.s.capture(&request{text: []byte(text), tmpl: t, inside: true}, func([][]byte) error { return nil })
}

// handler is the first that is for an error, nil for none. PostgreSQL knows the names of conditions.
func (c *call) handler(s *router.ProgramStep, failure []byte) (h *router.ProgramHandler, lost []byte, err error) {
	code := wire.ErrorField(failure, 'C')
	var whens strings.Builder
	for i := range s.Handlers {
		var list []string
		for _, name := range s.Handlers[i].Conditions {
			list = append(list, condition(name))
		}
		whens.WriteString(" WHEN " + strings.Join(list, " OR ") + " THEN RAISE INFO '" + strconv.Itoa(i) + "';")
	}
	block := "BEGIN BEGIN RAISE SQLSTATE '" + code + "'; EXCEPTION" + whens.String() +
		" END; EXCEPTION WHEN others OR query_canceled OR assert_failure THEN NULL; END"
	at := -1
	read := func(f []byte) []byte {
		if n, e := strconv.Atoi(wire.ErrorField(f, 'M')); e == nil && wire.ErrorField(f, 'V') == "INFO" {
			at = n
			return nil
		}
		return f
	}
	next := &request{text: []byte("DO $report$" + block + "$report$"), tmpl: &router.Template{Kind: router.KindHome, Command: "DO"}}
	_, lost, err = c.s.captureReports(next, read, func([][]byte) error { return nil })
	if at < 0 || lost != nil || err != nil {
		return nil, lost, err
	}
	return &s.Handlers[at], nil, nil
}
