package router

import (
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// utility plans everything that is no query: sessions, transactions, cursors, and by planDDL the schema.
func (p *planner) utility(n sqlparse.Node) {
	switch {
	case n.GetTransactionStmt() != nil:
		p.transaction(n.GetTransactionStmt())
	case n.GetVariableSetStmt() != nil:
		p.set(n.GetVariableSetStmt())
	case n.GetVariableShowStmt() != nil:
		p.plain(KindShow, "SHOW")
		p.t.Name = strings.ToLower(n.GetVariableShowStmt().Name)
		p.t.Returns = true
	case n.GetDiscardStmt() != nil:
		p.discard(n)
	case n.GetListenStmt() != nil:
		p.plain(KindListen, "LISTEN")
		p.t.Name, p.t.Effect = n.GetListenStmt().Conditionname, EffectPins
	case n.GetUnlistenStmt() != nil:
		p.plain(KindUnlisten, "UNLISTEN")
		if p.t.Name = n.GetUnlistenStmt().Conditionname; p.t.Name == "" {
			p.t.Name = "*"
		}
	case n.GetNotifyStmt() != nil:
		p.plain(KindNotify, "NOTIFY")
		p.t.Writes = true
		p.t.Name = n.GetNotifyStmt().Conditionname
	case n.GetConstraintsSetStmt() != nil:
		// Deferral lasts for the transaction and must hold wherever it writes.
		p.plain(KindSet, "SET CONSTRAINTS")
		p.t.Set = &Set{Name: "constraints", Local: true, Statement: p.whole()}
	case n.GetCheckPointStmt() != nil:
		p.plain(KindDDL, "CHECKPOINT")
		p.t.DDL = &DDL{Steps: []Step{{Where: WhereAll, SQL: p.whole(), Answer: true}}}
	case n.GetDoStmt() != nil, n.GetCallStmt() != nil:
		p.code(n)
	case n.GetLoadStmt() != nil:
		p.refuse(forbidden(refLoad))
	case n.GetAlterSystemStmt() != nil:
		p.refuse(forbidden(refAlterSystem))
	default:
		if p.prepared(n) || p.cursor(n) {
			return
		}
		if t := planDDL(n, p.text, *p.env); t != nil {
			t.NParams = p.t.NParams
			p.t = t
			return
		}
		p.refuse(refStatement)
	}
}

// forbidden gives a refusal the SQLSTATE of a missing right.
func forbidden(e *pgerr.Error) *pgerr.Error {
	c := *e
	c.Code = pgerr.InsufficientPrivilege
	return &c
}

func (p *planner) plain(k Kind, command string) { p.t.Kind, p.t.Command = k, command }

// whole is the statement's text without white space around it and the semicolon behind it.
func (p *planner) whole() string {
	return strings.TrimRight(strings.TrimSpace(p.text), "; \t\r\n")
}

func (p *planner) discard(n sqlparse.Node) {
	p.plain(KindDiscard, "DISCARD")
	switch n.GetDiscardStmt().Target {
	case sqlparse.DiscardAll:
		p.t.Name = "all"
	case sqlparse.DiscardPlans:
		p.t.Name = "plans"
	case sqlparse.DiscardSequences:
		p.t.Name = "sequences"
	case sqlparse.DiscardTemp:
		p.t.Name = "temp"
	}
	p.t.Command = "DISCARD " + strings.ToUpper(p.t.Name)
}

var transactionOps = map[any]struct {
	op      TxnOp
	command string
}{
	sqlparse.TransBegin:            {TxnBegin, "BEGIN"},
	sqlparse.TransStart:            {TxnBegin, "START TRANSACTION"},
	sqlparse.TransCommit:           {TxnCommit, "COMMIT"},
	sqlparse.TransRollback:         {TxnRollback, "ROLLBACK"},
	sqlparse.TransSavepoint:        {TxnSavepoint, "SAVEPOINT"},
	sqlparse.TransRelease:          {TxnRelease, "RELEASE"},
	sqlparse.TransRollbackTo:       {TxnRollbackTo, "ROLLBACK"},
	sqlparse.TransPrepare:          {TxnPrepare, "PREPARE TRANSACTION"},
	sqlparse.TransCommitPrepared:   {TxnCommitPrepared, "COMMIT PREPARED"},
	sqlparse.TransRollbackPrepared: {TxnRollbackPrepared, "ROLLBACK PREPARED"},
}

func (p *planner) transaction(s *sqlparse.TransactionStmt) {
	op, ok := transactionOps[s.Kind]
	if !ok {
		p.refuse(refStatement)
		return
	}
	p.plain(KindTxn, op.command)
	p.t.Txn = &Txn{Op: op.op, Name: s.SavepointName, Chain: s.Chain}
	if s.Gid != "" {
		p.t.Txn.Name = s.Gid
	}
	p.t.Txn.Isolation, p.t.Txn.ReadOnly, p.t.Txn.Deferred = modes(s.Options)
}

// modes reads transaction modes: isolation level, READ ONLY or WRITE, [NOT] DEFERRABLE.
func modes(options []sqlparse.Node) (isolation string, readOnly, deferred int8) {
	for _, n := range options {
		d := n.GetDefElem()
		if d == nil {
			continue
		}
		c := d.Arg.GetAConst()
		sign := int8(-1)
		if c.GetIval().GetIval() != 0 {
			sign = 1
		}
		switch d.Defname {
		case "transaction_isolation":
			isolation = strings.ToLower(c.GetSval().GetSval())
		case "transaction_read_only":
			readOnly = sign
		case "transaction_deferrable":
			deferred = sign
		}
	}
	return isolation, readOnly, deferred
}

// prepared plans SQL-level PREPARE, EXECUTE and DEALLOCATE.
func (p *planner) prepared(n sqlparse.Node) bool {
	switch {
	case n.GetPrepareStmt() != nil:
		s := n.GetPrepareStmt()
		p.plain(KindPrepare, "PREPARE")
		p.t.Prepare = &Prepare{Name: s.Name}
		p.prepareBody()
	case n.GetExecuteStmt() != nil:
		s := n.GetExecuteStmt()
		p.plain(KindExecute, "EXECUTE")
		p.t.Prepare = &Prepare{Name: s.Name}
		p.executeArgs(len(s.Params))
	case n.GetDeallocateStmt() != nil:
		s := n.GetDeallocateStmt()
		p.plain(KindDeallocate, "DEALLOCATE")
		if s.Isall {
			p.t.Command = "DEALLOCATE ALL"
		}
		p.t.Prepare = &Prepare{Name: s.Name, All: s.Isall}
	default:
		return false
	}
	return true
}

// prepareBody cuts PREPARE name [(types)] AS body.
func (p *planner) prepareBody() {
	toks := sqlparse.Tokens(p.text)
	if len(toks) < 4 {
		return
	}
	i := 2
	if toks[i].Punct == '(' {
		from := toks[i].End
		for i++; i < len(toks) && toks[i].Depth > 0; i++ {
		}
		p.t.Prepare.Types = strings.TrimSpace(p.text[from:toks[i].Start])
		i++
	}
	end := len(toks)
	for end > 0 && toks[end-1].Punct == ';' {
		end--
	}
	p.t.Prepare.Body = p.text[toks[i+1].Start:toks[end-1].End]
	p.t.NParams = 0 // the parameters are the prepared statement's own
}

// executeArgs cuts the arguments of EXECUTE name (a, b).
func (p *planner) executeArgs(n int) {
	if n == 0 {
		return
	}
	toks := sqlparse.Tokens(p.text)
	c := clauses{depth: 1}
	for _, t := range toks[2:] {
		if t.Depth > 0 {
			c.toks = append(c.toks, t)
		}
	}
	for _, item := range c.split(Span{0, len(p.text)}) {
		p.t.Prepare.Args = append(p.t.Prepare.Args, p.span(rangeOf(item)))
	}
}

// after is the byte where the token behind the first keyword w stands.
func (p *planner) after(w string) int {
	toks := sqlparse.Tokens(p.text)
	for i, t := range toks {
		if t.Word == w && t.Depth == 0 && i+1 < len(toks) {
			return toks[i+1].Start
		}
	}
	return 0
}

// inner plans a statement inside another, over the same text.
func (p *planner) inner(n sqlparse.Node, from int) *Template {
	return p.innerUpTo(n, from, len(p.text))
}

// innerUpTo is inner for a statement that ends at byte to.
func (p *planner) innerUpTo(n sqlparse.Node, from, to int) *Template {
	in := &planner{env: p.env, text: p.text[:to], from: from, lits: p.lits, t: &Template{NParams: p.t.NParams}}
	in.statement(n)
	in.t.Cacheable = false
	return in.t
}

// code plans DO and CALL: home runs them unless they may reach sharded or reference tables.
func (p *planner) code(n sqlparse.Node) {
	p.plain(KindHome, "DO")
	p.t.Writes, p.t.Effect = true, EffectUnclean
	if n.GetDoStmt() != nil {
		r := p.env.sourceReach(n.GetDoStmt().Args)
		if r&ReachState != 0 {
			p.t.Effect = EffectPins
		}
		if r&ReachClock != 0 {
			p.t.Clock = &Clock{Hidden: true}
		}
		if r&ReachSharded != 0 {
			p.refuse(refDo)
		}
		return
	}
	p.t.Command = "CALL"
	p.t.Returns = true
	a := p.analysis()
	q := &query{}
	sc := &scope{ns: &namespace{}, level: q}
	q.scope = sc
	call := n.GetCallStmt().Funccall
	a.call(q, sqlparse.FuncCallNode(call), sc)
	var f fnFacts
	for _, arg := range call.Args {
		a.expr(q, arg, sc, &f)
	}
	p.t.Effect = max(p.t.Effect, a.effect())
	if a.fn&(fnClock|fnClockInside) != 0 {
		p.t.Clock = &Clock{Hidden: true}
	}
	sharded := false
	for _, s := range q.subs {
		sharded = sharded || s.q.hasSharded()
	}
	p.t.Unknown = a.fn&fnUnknown != 0
	if sharded || a.fn&(fnSharded|fnDynamic) != 0 {
		p.refuse(refDo)
	}
}
