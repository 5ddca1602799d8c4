package router

import (
	"bytes"
	"math/big"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

var integerNames = map[uint32]string{
	shardmap.Int2OID: "pg_catalog.int2", shardmap.Int4OID: "pg_catalog.int4", shardmap.Int8OID: "pg_catalog.int8",
}

// count reads LIMIT's or OFFSET's value.
func (p *planner) count(a *analysis, n sqlparse.Node) (CountValue, bool) {
	if n == nil {
		return CountValue{}, true
	}
	v, ok := a.constant(n)
	if !ok || v.TypeOID == shardmap.NumericOID {
		var i integer
		if ok {
			i, ok = a.rounded(v)
		} else {
			i, ok = a.constantCount(n)
		}
		p.t.Cacheable = p.t.Cacheable && !ok // the number is this text's
		return CountValue{Present: true, Source: SourceConst, Const: i.value}, ok
	}
	c := CountValue{Present: true, Source: v.Source, Index: v.Index, Negated: v.Negated, Cast: n.GetTypeCast() != nil}
	switch v.Source {
	case SourceNull:
		return CountValue{}, true
	case SourceParam:
		if c.Cast {
			c.CastTo = integerNames[v.TypeOID]
		}
		return c, v.TypeOID == 0 || isIntegerOID(v.TypeOID)
	case SourceConst:
		i, err := parseCount(v.Const)
		c.Const = i
		return c, err == nil && isIntegerOID(v.TypeOID)
	}
	return c, isIntegerOID(v.TypeOID)
}

// tiesKnown reports whether the backends can be told how many rows they need with their ties. A NULL count is an error of
// PostgreSQL's there, which a sum with a parameter would hide.
func (s *Scatter) tiesKnown() bool {
	return s.Limit.Present && (!s.Offset.Present || s.Limit.Source != SourceParam && s.Offset.Source != SourceParam)
}

// integer is a constant of type int4 or int8.
type integer struct {
	value int64
	long  bool
}

// fits is false where PostgreSQL reports an overflow.
func (i integer) fits() bool { return i.long || int64(int32(i.value)) == i.value }

// constantCount evaluates +, - and * of integers. It gives up on what overflows: that error is PostgreSQL's.
func (a *analysis) constantCount(n sqlparse.Node) (out integer, ok bool) {
	if v, ok := a.constant(n); ok {
		return a.constantInteger(v)
	}
	e := n.GetAExpr()
	name := sqlparse.Strings(e.GetName())
	if e == nil || e.Kind != sqlparse.ExprOp || len(name) != 1 || a.env.operatorShadowed() {
		return out, false
	}
	r, ok := a.constantCount(e.Rexpr)
	if !ok {
		return out, false
	}
	l := integer{long: r.long}
	if e.Lexpr != nil {
		if l, ok = a.constantCount(e.Lexpr); !ok {
			return out, false
		}
	}
	x, y := new(big.Int).SetInt64(l.value), new(big.Int).SetInt64(r.value)
	switch {
	case name[0] == "+":
		x.Add(x, y)
	case name[0] == "-":
		x.Sub(x, y)
	case name[0] == "*" && e.Lexpr != nil:
		x.Mul(x, y)
	default:
		return out, false
	}
	out = integer{x.Int64(), l.long || r.long}
	return out, x.IsInt64() && out.fits()
}

func (a *analysis) constantInteger(v KeyValue) (out integer, ok bool) {
	text, ok := a.constantText(v)
	if !ok || v.TypeOID != shardmap.Int4OID && v.TypeOID != shardmap.Int8OID {
		return out, false
	}
	i, err := parseCount(text)
	out = integer{i, v.TypeOID == shardmap.Int8OID}
	return out, err == nil && out.fits()
}

// rounded is a numeric as the cast to bigint gives it: halves go away from zero.
func (a *analysis) rounded(v KeyValue) (out integer, ok bool) {
	text, ok := a.constantText(v)
	if !ok || v.TypeOID != shardmap.NumericOID || len(text) > maxCountDigits || bytes.ContainsAny(text, "eExXoObB_") {
		return out, false
	}
	x, ok := new(big.Rat).SetString(string(text))
	if !ok {
		return out, false
	}
	i, ok := new(big.Int).SetString(x.FloatString(0), 10)
	if !ok || !i.IsInt64() {
		return out, false
	}
	return integer{i.Int64(), true}, true
}

// constantText is the text of a number in the statement at hand, which is not that of others with the same key.
func (a *analysis) constantText(v KeyValue) (text []byte, ok bool) {
	switch v.Source {
	case SourceConst:
		return v.Const, true
	case SourceLiteral:
		if v.Negated {
			text = []byte{'-'}
		}
		return sqlparse.LiteralValue([]byte(a.text), a.lits[v.Index], text)
	}
	return nil, false
}

// maxCountDigits bounds the numerics that are read as a row count.
const maxCountDigits = 40
