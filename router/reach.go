package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// hidden are the facts of functions that matter where a call is not written as one.
const hidden = fnTables | fnSharded | fnDynamic | fnPins | fnNextval | fnCurrval | fnHome | fnClockInside | fnUnseenVol | fnReference

// unseen are the facts of a function that is called by what does not look like a call.
func (f fnFacts) unseen() fnFacts {
	if f&fnUserVol != 0 {
		f |= fnUnseenVol
	}
	return f & hidden
}

// unnamed is what a node's operator or type may call, and what a field selection may: x.f is f(x) where x has no
// field f (ParseFuncOrColumn in parse_func.c).
func (e *Env) unnamed(n sqlparse.Node) fnFacts {
	switch {
	case n.GetAExpr() != nil:
		return e.operatorFacts(n.GetAExpr().Name)
	case n.GetSubLink() != nil:
		return e.operatorFacts(n.GetSubLink().OperName)
	case n.GetSortBy() != nil:
		return e.operatorFacts(n.GetSortBy().UseOp)
	case n.GetTypeName() != nil:
		return e.typeFacts(n.GetTypeName().Names)
	case n.GetFuncCall() != nil:
		return e.typeFacts(n.GetFuncCall().Funcname) // t(x) is CAST(x AS t) where no function is called t
	case n.GetAIndirection() != nil:
		var f fnFacts
		for _, field := range sqlparse.Strings(n.GetAIndirection().Indirection) {
			if facts := e.functionFacts("", field); facts&fnUnknown == 0 {
				f |= facts.unseen()
			}
		}
		return f
	}
	return 0
}

// called is what a node calls, by name or without one.
func (e *Env) called(n sqlparse.Node) fnFacts {
	f := e.unnamed(n)
	switch {
	case n.GetFuncCall() != nil:
		schema, name := listName(n.GetFuncCall().Funcname)
		f |= e.functionFacts(schema, name)
	case n.GetColumnRef() != nil:
		parts := sqlparse.Strings(n.GetColumnRef().Fields)
		if len(parts) < 2 || len(parts) != len(n.GetColumnRef().Fields) {
			break
		}
		if facts := e.functionFacts("", parts[len(parts)-1]); facts&fnUnknown == 0 {
			f |= facts.unseen()
		}
	}
	return f
}

func (e *Env) operatorFacts(name []sqlparse.Node) fnFacts {
	if len(e.Schema.OperatorReach) == 0 || len(name) == 0 {
		return 0
	}
	parts := sqlparse.Strings(name)
	return e.reachFacts(e.Schema.OperatorReach[parts[len(parts)-1]])
}

func (e *Env) typeFacts(name []sqlparse.Node) fnFacts {
	if len(e.Schema.TypeReach) == 0 && len(e.TempCode) == 0 {
		return 0
	}
	parts := sqlparse.Strings(name)
	if len(parts) == 0 {
		return 0
	}
	last := parts[len(parts)-1]
	r := e.Schema.TypeReach[last]
	if e.TempCode[last] != "" {
		r |= e.tempReach(last)
	}
	return e.reachFacts(r)
}

// attribute is what a column reference calls when it is a function in disguise.
func (a *analysis) attribute(ref *sqlparse.ColumnRef, sc *scope) fnFacts {
	parts := sqlparse.Strings(ref.Fields)
	if len(parts) < 2 || len(parts) != len(ref.Fields) {
		return 0
	}
	facts := a.env.functionFacts("", parts[len(parts)-1])
	unseen := facts.unseen()
	if facts&fnUnknown != 0 || unseen == 0 {
		return 0
	}
	if _, at := sc.lookup(ref); at != nil {
		return 0
	}
	a.reached(unseen)
	return unseen
}

// reached notes facts of code that the statement does not name.
func (a *analysis) reached(f fnFacts) {
	a.fn |= f
	if f&fnSharded != 0 {
		a.refuse(refReach)
	}
}

// reads notes what reading a relation of the snapshot, or a temporary one, calls.
func (a *analysis) reads(t *Table, name string) {
	if t == nil {
		if a.env.TempCode[name] != "" {
			a.reached(a.env.reachFacts(a.env.tempReach(name)))
		}
		return
	}
	f := a.env.reachFacts(t.ReadReach)
	if t.Kind == TableSharded && f&(fnTables|fnNextval) != 0 {
		a.refuse(refReachLocal) // each backend evaluates it over its own rows
	}
	a.reached(f)
}

// rls refuses tables whose row level security reads other tables than reference tables.
func (a *analysis) rls(t *Table) {
	if !t.RLS || t.RLSExprs == "" {
		return
	}
	inner := &analysis{env: a.env, foreign: 1}
	q := &query{}
	sc := &scope{ns: &namespace{open: true}, level: q}
	q.scope = sc
	for _, e := range strings.Split(t.RLSExprs, RLSSeparator) {
		n, err := sqlparse.ParseExpr(e)
		if err != nil {
			a.refuse(refRLS)
			return
		}
		var f fnFacts
		inner.expr(q, n, sc, &f)
	}
	for _, r := range inner.rels {
		if r.table.Kind != TableReference {
			a.refuse(refRLS)
		}
	}
	if inner.fn&(fnClock|fnClockInside) != 0 {
		a.hiddenClock, a.policyClock = true, true
	}
	if inner.err != nil || inner.local || inner.system || len(inner.unknown) > 0 ||
		inner.fn&(fnTables|fnSharded|fnUnknown|fnDynamic|fnHome|fnNextval|fnCurrval) != 0 {
		a.refuse(refRLS)
	}
}

// TypedRefusal is why a planned statement cannot run with parameters of these types (oids are home's, types the list of a
// SQL-level PREPARE): reading a value of a user's type runs code of the type's. nil where nothing is wrong.
func (e *Env) TypedRefusal(t *Template, oids []uint32, types string) *pgerr.Error {
	if t.Kind == KindRefuse || e.Schema == nil || len(e.Schema.TypeReach) == 0 {
		return nil
	}
	var r Reach
	for _, oid := range oids {
		r |= e.Schema.TypeOIDReach[oid]
	}
	for w := range bodyWords(types) {
		r |= e.Schema.TypeReach[w]
	}
	switch {
	case r&ReachSharded != 0:
		return refReach
	case r&(ReachLocal|ReachSequence) != 0 && t.Kind != KindHome:
		return refReachLocal
	}
	return nil
}

// ShardSchema is true of the schemas that hold partitions, and of the catalog's.
func ShardSchema(name string) bool { return shardSchema(name) }

// inShard reports whether an unknown name may be a partition: nobody but pleiad reads or writes these.
func (e *Env) inShard(rv *sqlparse.RangeVar) bool {
	if rv.Schemaname != "" {
		return shardSchema(rv.Schemaname)
	}
	return slices.ContainsFunc(e.Path, func(p string) bool { return p != "pleiad" && shardSchema(p) })
}
