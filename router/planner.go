package router

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// planner turns one statement into its template.
type planner struct {
	env  *Env
	text string
	// from is where the planned statement starts in text: 0, or behind EXPLAIN, DECLARE … FOR.
	from int
	lits []sqlparse.Literal
	node sqlparse.Node // the statement
	// gatherOnly leaves out the plans that merge in the proxy.
	gatherOnly bool
	// homeCopy treats the reference table that is written as a local one.
	homeCopy bool
	// oneMatch says that relations beside the reference table that is written have at most one row for each of its.
	oneMatch bool
	inlined  int // how often the text was rewritten by tryInline
	fold     *folding
	t        *Template
	a        *analysis // of the statement, once there is one
}

// Plan decides where one statement runs, for all values of its literals and parameters. It never returns nil and
// never panics: what it cannot prove is refused.
func Plan(text string, env Env) (t *Template) { return plan(text, env, planner{}) }

// PlanGather is Plan for a SELECT over several backends whose rows cannot be merged after all: its Scatter is nil.
func PlanGather(text string, env Env) (t *Template) {
	return plan(text, env, planner{gatherOnly: true})
}

// PlanHome is Plan for a write of a reference table that concerns home's copy alone.
func PlanHome(text string, env Env) (t *Template) { return plan(text, env, planner{homeCopy: true}) }

// PlanOneMatch is Plan for a write of a reference table that Prelude.OneMatch holds for.
func PlanOneMatch(text string, env Env) (t *Template) {
	return plan(text, env, planner{oneMatch: true})
}

func plan(text string, env Env, how planner) (t *Template) {
	if env.Schema == nil {
		env.Schema = &Schema{}
	}
	p := &how
	p.env, p.text, p.t = &env, text, &Template{}
	defer func() {
		if r := recover(); r != nil {
			t = &Template{
				Kind:    KindRefuse,
				Effect:  EffectUnclean,
				NParams: p.t.NParams,
				Refusal: pgerr.New(pgerr.InternalError, "plan statement: %v", r).WithHint("This is a bug in pleiad: please report it with the statement."),
			}
		}
	}()
	var sc sqlparse.Scanner
	s := sc.Scan([]byte(text))
	p.lits = s.Lits
	p.t.NParams = s.MaxParam
	p.t.Literals = len(s.Lits)
	p.t.Spans = sqlparse.AppendSpans([]Span(nil), s.Lits)
	p.t.Cacheable = s.Cacheable
	if s.Empty {
		p.t.Kind = KindEmpty
		return p.t
	}
	stmts, err := sqlparse.Parse(text)
	if err != nil {
		return p.rejected(err)
	}
	switch len(stmts) {
	case 0:
		p.t.Kind = KindEmpty
		return p.t
	case 1:
	default:
		p.t.Kind = KindRefuse
		p.t.Refusal = pgerr.New(pgerr.SyntaxError, "cannot insert multiple commands into a prepared statement")
		return p.t
	}
	p.statement(stmts[0].Node)
	p.tryPrelude()
	p.tryInline()
	p.tryRoutine()
	p.t.Direct = p.direct()
	p.t.DumpsRows = p.t.Kind == KindHome && strings.HasPrefix(text, dumpsRows)
	if e := p.t.Refusal; p.t.Kind == KindRefuse && (e == refViewWrite || e.Code == pgerr.UndefinedTable) {
		p.t.Kind = KindSyntax // PostgreSQL may have an error of its own
	}
	return p.t
}

// dumpsRows begins the query by which pg_dump, of every version since 9.3, puts materialized views in order
// (pg_dump.c, buildMatViewRefreshDependencies), which it does if it takes rows.
const dumpsRows = "WITH RECURSIVE w AS ( SELECT d1.objid, d2.refobjid, c2.relkind AS refrelkind FROM pg_depend d1 "

// rejected plans a text that could not be parsed.
func (p *planner) rejected(err error) *Template {
	var refused *pgerr.Error
	p.t.Cacheable = false
	if errors.As(err, &refused) {
		p.t.Kind, p.t.Refusal = KindRefuse, refused
		return p.t
	}
	p.t.Kind = KindSyntax
	return p.t
}

// statement plans a parsed statement into p.t.
func (p *planner) statement(n sqlparse.Node) {
	p.node = n
	switch {
	case n.GetSelectStmt() != nil:
		p.selects(n.GetSelectStmt())
	case n.GetInsertStmt() != nil:
		p.insert(n.GetInsertStmt())
	case n.GetUpdateStmt() != nil:
		p.update(n.GetUpdateStmt())
	case n.GetDeleteStmt() != nil:
		p.delete(n.GetDeleteStmt())
	case n.GetMergeStmt() != nil:
		p.mergeInto(n.GetMergeStmt())
	case n.GetCopyStmt() != nil:
		p.t.Cacheable = false
		p.copy(n.GetCopyStmt())
		return
	case n.GetExplainStmt() != nil:
		p.t.Cacheable = false
		p.explain(n.GetExplainStmt())
		return
	default:
		p.t.Cacheable = false
		p.utility(n)
		return
	}
	p.clock(p.node)
}

// reread parses the text again, for those who look at the tree later.
func (p *planner) reread() {
	if stmts, err := sqlparse.Parse(p.text); err == nil && len(stmts) == 1 {
		p.node = stmts[0].Node
	}
}

func (p *planner) refuse(e *pgerr.Error) {
	p.t.Kind, p.t.Refusal = KindRefuse, e
}

func (p *planner) span(s Span) string { return p.text[s.Start:s.End] }

// hasLiterals reports whether a lifted literal stands in the range.
func (p *planner) hasLiterals(s Span) bool {
	for _, l := range p.lits {
		if l.Start >= s.Start && l.End <= s.End && l.Kind != sqlparse.LiteralComment {
			return true
		}
	}
	return false
}

func (p *planner) analysis() *analysis {
	p.a = &analysis{env: p.env, text: p.text, lits: p.lits, fold: p.fold, unit: &unit{text: p.text, tree: p.node}}
	p.a.reached(p.env.reachFacts(p.env.Schema.AnyReach))
	return p.a
}

// selects plans SELECT, VALUES and TABLE.
func (p *planner) selects(s *sqlparse.SelectStmt) {
	into := false
	for arm := s; arm != nil; arm = arm.Larg { // in a set operation INTO stands in the first SELECT
		into = into || arm.IntoClause != nil
	}
	p.t.Command, p.t.Returns = "SELECT", !into
	if into {
		p.t.Cacheable = false
		if t := planDDL(sqlparse.SelectNode(s), p.text, *p.env); t != nil {
			t.NParams = p.t.NParams
			p.t = t
			return
		}
		p.refuse(refSelectInto)
		return
	}
	a := p.analysis()
	q := a.query(s, nil)
	a.solve()
	if a.setConfig > 0 {
		p.t.SetConfig = a.configCalls(s)
		if len(p.t.SetConfig) != a.setConfig && !a.system {
			a.refuse(refSetConfig)
		}
	}
	if p.decide(a, nil) && !p.gatherOnly {
		p.t.Scatter, p.t.NoScatter = p.scatterSelect(a, q)
	}
	if p.t.Kind == KindShards && p.t.Scatter == nil && !p.t.onOne() {
		if p.t.LockRows = p.lockRows(a, q); p.t.LockRows != nil {
			p.t.NoScatter = nil
			return
		}
		if p.t.LockJoin = p.lockJoin(a, q); p.t.LockJoin != nil {
			p.t.NoScatter = nil
			return
		}
		if p.t.LockPick = p.lockPick(a, q); p.t.LockPick != nil {
			p.t.NoScatter = nil
			return
		}
	}
	switch sc := p.t.Scatter; {
	case p.t.Kind != KindShards || p.t.onOne():
	case sc == nil:
		p.gatherOr(a)
	case sc.Combine != nil && sc.Combine.Same == nil:
		p.t.Gather, _ = p.gather(a) // for types whose values do not travel
	}
	p.t.ReadOnly = a.readsOnly() && !p.t.Writes && p.t.Effect == EffectNone && !p.t.NeedsSequenceState && len(p.t.SetConfig) == 0
}

// fnPrimary are the facts of functions that are called on a primary alone: they write, may write, or tell of the server.
const fnPrimary = fnServer | fnPerRow | fnVolatile | fnHome | fnPins | fnNextval | fnCurrval | fnDynamic | fnUnknown | fnUserVol | fnUnseenVol

// readsOnly tells whether a standby can answer a SELECT. System catalogs are left to the primary: they tell of the
// server, and of changes that every session has to see.
func (a *analysis) readsOnly() bool {
	return !a.primary && !a.writes && !a.locking && !a.system && !a.sequence && len(a.unknown) == 0 && a.fn&fnPrimary == 0
}

// onOne reports whether the statement's rows are all beside one another whatever its values are: then what it would take
// over several backends is never asked for, and need not keep the plan out of the cache.
func (t *Template) onOne() bool {
	var first KeyTuple
	for i, r := range t.Prune {
		if r.All || len(r.Tuples) != 1 || r.Stores {
			return false
		}
		key := r.Tuples[0]
		if i == 0 {
			first = key
		}
		if len(key) != len(first) || r.Table.Group != t.Prune[0].Table.Group {
			return false
		}
		for k, v := range key {
			f := first[k]
			if !v.alone() || v.Source == SourceNull || v.Source != f.Source || v.Index != f.Index || v.Negated != f.Negated || !bytes.Equal(v.Const, f.Const) {
				return false
			}
		}
	}
	return len(t.Prune) > 0 && !t.NeedsHome
}

// configCalls finds the calls of set_config among the outputs of a SELECT that has nothing but outputs.
func (a *analysis) configCalls(s *sqlparse.SelectStmt) []SetConfig {
	if len(s.FromClause) > 0 || s.WhereClause != nil || s.LimitCount != nil || s.LimitOffset != nil || s.Op != sqlparse.SetNone ||
		s.HavingClause != nil || len(s.GroupClause) > 0 {
		return nil
	}
	var out []SetConfig
	for i, n := range s.TargetList {
		f := n.GetResTarget().GetVal().GetFuncCall()
		name := sqlparse.Strings(f.GetFuncname())
		if len(name) == 0 || name[len(name)-1] != "set_config" || len(f.Args) != 3 {
			continue
		}
		setting, ok1 := a.constant(f.Args[0])
		local, ok2 := a.constant(f.Args[2])
		if ok1 && ok2 {
			out = append(out, SetConfig{Column: i, Name: setting, Local: local})
		}
	}
	return out
}

// decide fills in what every planned statement shares. It returns true when sharded tables are touched: the caller
// then plans for several backends. The kind is KindHome, KindAny, KindShards or KindRefuse. target is the
// table that the statement writes, nil for none.
func (p *planner) decide(a *analysis, target *Table) bool {
	t := p.t
	t.Writes = t.Writes || a.writes || a.locking || a.fn&fnWrites != 0
	t.Effect = max(t.Effect, a.effect())
	if a.setConfig > 0 {
		t.Cacheable = false
	}
	a.unused()
	var sharded, reference bool
	for _, r := range a.rels {
		if r.sharded() {
			sharded = true
			a.declareAll(&r.prune)
			t.Prune = append(t.Prune, r.prune)
		}
		reference = reference || r.table.Kind == TableReference
	}
	t.Sync = t.Sync || target != nil && target.Sync || a.writes && a.anySync()
	t.Unknown = len(a.unknown) > 0 || a.fn&fnUnknown != 0
	t.NeedsSequenceState = a.fn&fnCurrval != 0
	switch {
	case a.err != nil:
		p.refuse(a.err)
	case a.setConfig > 0 && len(t.SetConfig) == 0 && !a.system:
		p.refuse(refSetConfig)
	case a.fn&(fnSharded|fnDynamic) != 0:
		p.refuse(refFuncSharded)
	case !sharded && target != nil:
		t.Kind = KindHome
	case !sharded:
		t.Kind = a.unshardedKind()
	case len(a.unknown) > 0:
		t.Kind, t.Refusal = KindRefuse, pgerr.New(pgerr.UndefinedTable, "relation %q does not exist", a.unknown[0])
	case a.lockedReference:
		p.refuse(refLockRef)
	default:
		t.Kind = KindShards
		if why := a.needsHome(); why != nil {
			t.NeedsHome, t.NoScatter = true, why
			return false
		}
		return true
	}
	return false
}

// anySync tells whether a relation of the statement is one whose writes wait for standbys.
func (a *analysis) anySync() bool {
	for _, r := range a.rels {
		if r.table.Sync {
			return true
		}
	}
	return false
}

// unshardedKind tells whether every backend gives the same answer, or only home the right one.
func (a *analysis) unshardedKind() Kind {
	if a.local || a.system || a.sequence || a.byName || a.locking || a.writes || len(a.unknown) > 0 || a.fn&fnImpure&^fnClock != 0 {
		return KindHome
	}
	return KindAny
}

// needsHome says why a statement over sharded tables can only run on home, nil when it need not.
func (a *analysis) needsHome() *pgerr.Error {
	switch {
	case a.local:
		return refMixed
	case a.system:
		return refMixedCatalog
	case a.sequence || a.fn&(fnNextval|fnCurrval) != 0:
		return refMixedSeq
	case a.fn&fnHome != 0, a.fn&fnPins != 0 && !a.triggerPins:
		return refHomeFunc
	case a.fn&fnTables != 0:
		return refFuncTables
	}
	return nil
}

func (a *analysis) effect() Effect {
	switch {
	case a.fn&fnPins != 0:
		return EffectPins
	case a.fn&(fnUnknown|fnVolatile|fnNextval|fnDynamic) != 0:
		return EffectUnclean
	}
	return EffectNone
}

var errCount = errors.New("not a row count")

func parseCount(b []byte) (int64, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %q: %w", b, errCount)
	}
	return n, nil
}

func isIntegerOID(oid uint32) bool { return typeClass(oid) == shardmap.Int8OID }
