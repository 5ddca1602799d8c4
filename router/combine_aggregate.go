package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// partKinds are the aggregates that follow from their values over parts of the rows.
var partKinds = map[string]PartKind{
	"count": PartCount, "regr_count": PartCount, "sum": PartSum, "avg": PartMean,
	"min": PartSelf, "max": PartSelf, "bool_and": PartSelf, "bool_or": PartSelf, "every": PartSelf,
	"bit_and": PartSelf, "bit_or": PartSelf, "bit_xor": PartSelf,
	"stddev": PartSpread, "stddev_samp": PartSpread, "stddev_pop": PartSpread,
	"variance": PartSpread, "var_samp": PartSpread, "var_pop": PartSpread,
	"corr": PartRegress, "covar_pop": PartRegress, "covar_samp": PartRegress, "regr_avgx": PartRegress,
	"regr_avgy": PartRegress, "regr_intercept": PartRegress, "regr_r2": PartRegress, "regr_slope": PartRegress,
	"regr_sxx": PartRegress, "regr_sxy": PartRegress, "regr_syy": PartRegress,
}

// repeatable are the aggregates for which equal values count once or often alike.
var repeatable = map[string]bool{"min": true, "max": true, "bool_and": true, "bool_or": true, "every": true, "bit_and": true, "bit_or": true}

// aggregate replaces an aggregate of the level.
func (c *combiner) aggregate(n sqlparse.Node) sqlparse.Node {
	f := n.GetFuncCall()
	if f == nil || f.AggWithinGroup || f.FuncVariadic || !c.besides(f) {
		c.bad = true
		return n
	}
	name := sqlparse.Strings(f.Funcname)
	last := name[len(name)-1]
	own := len(c.a.env.Schema.Functions[last]) > 0 || len(name) == 2 && name[0] != "pg_catalog"
	if f.AggDistinct && (own || !repeatable[last]) {
		return c.distinctAggregate(n)
	}
	kind, ok := partKinds[last]
	if !ok || own || len(f.AggOrder) > 0 {
		c.bad = true
		return n
	}
	at := len(c.aggs)
	agg := PartAggregate{Kind: kind, Name: last}
	agg.SQL, agg.Args, agg.Filter = c.written(n)
	if len(f.Args) == 1 {
		arg := f.Args[0]
		id := c.a.column(arg, c.q.scope)
		agg.Collation = c.a.collationOf(arg, id, c.q.scope)
	}
	for i, known := range c.aggs {
		if known.SQL == agg.SQL {
			at = i
		}
	}
	if at == len(c.aggs) {
		c.aggs = append(c.aggs, agg)
	}
	return sqlparse.CallNode(nil, partPrefix+"_a"+itoa(at))
}

// besides proves what an aggregate evaluates on each row.
func (c *combiner) besides(f *sqlparse.FuncCall) bool {
	ok := true
	see := func(n sqlparse.Node) bool {
		switch {
		case n.GetSubLink() != nil:
			c.beside(n.GetSubLink())
			return false
		case n.GetSqlvalueFunction() != nil:
			ok = ok && c.a.valueFunction(n)&fnClock == 0
		case n.GetFuncCall() != nil:
			ok = ok && c.a.callFacts(n.GetFuncCall())&(fnClock|fnAggregate|fnWindow|fnSRF) == 0 && n.GetFuncCall().Over == nil
		}
		return ok
	}
	sqlparse.WalkList(f.Args, see)
	sqlparse.WalkList(f.AggOrder, see)
	sqlparse.Walk(f.AggFilter, see)
	return ok && !c.bad
}

// written gives an aggregate's SQL, and its parts.
func (c *combiner) written(n sqlparse.Node) (sql string, args []string, filter string) {
	write := func(n sqlparse.Node) string {
		text, ok := sqlparse.WrittenExpr(n)
		c.bad = c.bad || !ok
		return text
	}
	sql = write(n)
	for _, a := range n.GetFuncCall().Args {
		args = append(args, write(a))
	}
	if n.GetFuncCall().AggFilter != nil {
		filter = " FILTER (WHERE " + write(n.GetFuncCall().AggFilter) + ")"
	}
	return sql, args, filter
}

// distinctAggregate keeps an aggregate of distinct values in the final statement: what it takes are groups of the partial
// rows, so that each of its values is there.
func (c *combiner) distinctAggregate(n sqlparse.Node) sqlparse.Node {
	f := n.GetFuncCall()
	places := slices.Clone(f.Args)
	for _, s := range f.AggOrder {
		places = append(places, s.GetSortBy().Node)
	}
	if f.AggFilter != nil {
		places = append(places, f.AggFilter)
	}
	grouped := false
	for i, e := range places {
		constant := true
		sqlparse.Walk(e, func(n sqlparse.Node) bool {
			constant = constant && n.GetColumnRef() == nil && n.GetSubLink() == nil && n.GetFuncCall() == nil
			return constant
		})
		if constant {
			continue
		}
		if !c.partial(e) {
			c.bad = true
			return n
		}
		places[i], grouped = partNode(c.column(e, c.q.scope)), true
	}
	// Without groups each backend gives a row, though it has none that the constants could be taken of.
	c.bad = c.bad || !grouped
	copy(f.Args, places)
	for i, s := range f.AggOrder {
		s.GetSortBy().Node = places[len(f.Args)+i]
	}
	if f.AggFilter != nil {
		f.AggFilter = places[len(places)-1]
	}
	return n
}

// parts are the partial columns of an aggregate, of a type that PostgreSQL describes the aggregate as, with the types
// that they have themselves, and its SQL over them. column names the partial column i. ok is false where the type is
// not one that combines.
func (g *PartAggregate) parts(typ uint32, column func(i int) string) (sql []string, types []uint32, final string, ok bool) {
	const (
		int8OID, float4OID, float8OID, moneyOID, intervalOID, numericOID = 20, 700, 701, 790, 1186, 1700
	)
	call := func(name, args string) string { return name + "(" + args + ")" + g.Filter }
	args := strings.Join(g.Args, ", ")
	switch g.Kind {
	case PartCount:
		return []string{g.SQL}, []uint32{int8OID}, "COALESCE(pg_catalog.sum(" + column(0) + "), 0)::pg_catalog.int8", true
	case PartSum:
		name := partTypes[typ].name
		ok = slices.Contains([]uint32{int8OID, numericOID, moneyOID, intervalOID, float4OID, float8OID}, typ)
		return []string{g.SQL}, []uint32{typ}, "pg_catalog.sum(" + column(0) + ")::pg_catalog." + name, ok
	case PartSelf:
		return []string{g.SQL}, []uint32{typ}, "pg_catalog." + quoteIdent(g.Name) + "(" + column(0) + ")", true
	case PartRegress:
		return g.states("pleiad.regr", args, 6, column)
	}
	switch {
	case typ == float8OID:
		return g.states("pleiad.float8", args, 3, column)
	case g.Kind == PartMean && typ == intervalOID:
		return []string{call("pg_catalog.sum", args), call("pg_catalog.count", args)}, []uint32{intervalOID, int8OID},
			"pg_catalog.sum(" + column(0) + ") OPERATOR(pg_catalog./) pg_catalog.sum(" + column(1) + ")::pg_catalog.float8", true
	case typ != numericOID:
		return nil, nil, "", false
	case g.Kind == PartMean:
		return []string{"(" + call("pg_catalog.sum", args) + ")::pg_catalog.numeric", call("pg_catalog.count", args)}, []uint32{numericOID, int8OID},
			"pg_catalog.sum(" + column(0) + ") OPERATOR(pg_catalog./) pg_catalog.sum(" + column(1) + ")", true
	}
	x := "(" + args + ")::pg_catalog.numeric"
	return []string{call("pg_catalog.sum", x), call("pg_catalog.sum", x+" OPERATOR(pg_catalog.*) "+x), call("pg_catalog.count", args)},
		[]uint32{numericOID, numericOID, int8OID}, g.spread(column), true
}

// states are the partial columns of an aggregate of float8: the transition state that parallel query combines.
func (g *PartAggregate) states(family, args string, n int, column func(i int) string) (sql []string, types []uint32, final string, ok bool) {
	state := "(" + family + "_state(" + args + ")" + g.Filter + ")"
	var cols []string
	for i := range n {
		sql = append(sql, state+"["+itoa(i+1)+"]")
		types = append(types, 701)
		cols = append(cols, column(i))
	}
	name := map[string]string{"stddev": "stddev_samp", "variance": "var_samp"}[g.Name]
	if name == "" {
		name = g.Name
	}
	return sql, types, "pg_catalog.float8_" + name + "(" + family + "_merge(ARRAY[" + strings.Join(cols, ", ") + "]))", true
}

// spread is variance or standard deviation of numerics from sum, sum of squares and count, as numeric_stddev_internal
// (numeric.c) computes them.
func (g *PartAggregate) spread(column func(i int) string) string {
	fn := "pleiad.numeric_variance"
	if strings.HasPrefix(g.Name, "stddev") {
		fn = "pleiad.numeric_stddev"
	}
	sample := "true"
	if strings.HasSuffix(g.Name, "_pop") {
		sample = "false"
	}
	return fn + "(pg_catalog.sum(" + column(0) + "), pg_catalog.sum(" + column(1) + "), pg_catalog.sum(" + column(2) + "), " + sample + ")"
}
