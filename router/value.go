package router

import (
	"sort"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

func itoa(i int) string { return strconv.Itoa(i) }

// typeOIDs are the built-in types a key value may be cast to, by the names the parser gives them.
var typeOIDs = map[string]uint32{
	"bool": shardmap.BoolOID, "bytea": shardmap.ByteaOID, "name": shardmap.NameOID, "int8": shardmap.Int8OID,
	"int2": shardmap.Int2OID, "int4": shardmap.Int4OID, "text": shardmap.TextOID, "varchar": shardmap.VarcharOID,
	"bpchar": shardmap.BpcharOID, "date": shardmap.DateOID, "timestamp": shardmap.TimestampOID,
	"timestamptz": shardmap.TimestamptzOID, "numeric": shardmap.NumericOID, "uuid": shardmap.UUIDOID,
	"float4": 700, "float8": 701, "interval": 1186, "time": 1083, "timetz": 1266, "json": 114, "jsonb": 3802,
}

// alone reports whether it is one value, and not the alternatives of an array or a list.
func (v *KeyValue) alone() bool { return !v.Array && v.List == 0 }

// typeClass groups types whose values are equal, and hash alike, across the group.
func typeClass(oid uint32) uint32 {
	switch oid {
	case shardmap.Int2OID, shardmap.Int4OID, shardmap.Int8OID:
		return shardmap.Int8OID
	case shardmap.TextOID, shardmap.VarcharOID, shardmap.NameOID:
		return shardmap.TextOID
	}
	return oid
}

// builtinType is the OID of a built-in type without modifiers or array bounds; 0 for every other.
func builtinType(t *sqlparse.TypeName) uint32 {
	if t == nil || len(t.ArrayBounds) > 0 || len(t.Typmods) > 0 || t.Setof || t.PctType {
		return 0
	}
	names := sqlparse.Strings(t.Names)
	if len(names) == 2 && names[0] == "pg_catalog" {
		names = names[1:]
	}
	if len(names) != 1 {
		return 0
	}
	return typeOIDs[names[0]]
}

// typeOf is the type of a column; 0 when unknown. Key columns of domain types count as their base type.
func (c colID) typeOf() uint32 {
	if c.r == nil || c.r.table == nil || c.i >= len(c.r.table.Columns) {
		return 0
	}
	t := c.r.table
	for i, k := range t.Key {
		if k == c.i && i < len(t.KeyCols) {
			return t.KeyCols[i].TypeOID
		}
	}
	return t.Columns[c.i].TypeOID
}

// column resolves an expression that is a plain column; zero for everything else. A cast between text and varchar
// does not change the value.
func (a *analysis) column(n sqlparse.Node, sc *scope) colID {
	if ref := n.GetColumnRef(); ref != nil {
		id, _ := sc.lookup(ref)
		return id
	}
	if tc := n.GetTypeCast(); tc != nil {
		if to := builtinType(tc.TypeName); to == shardmap.TextOID || to == shardmap.VarcharOID {
			id := a.column(tc.Arg, sc)
			if from := id.typeOf(); from == shardmap.TextOID || from == shardmap.VarcharOID {
				return id
			}
		}
	}
	return colID{}
}

// constant reads a literal, a parameter or NULL, with at most one cast whose effect on the value is known.
func (a *analysis) constant(n sqlparse.Node) (KeyValue, bool) {
	switch {
	case n.GetAConst() != nil:
		return a.literal(n.GetAConst())
	case n.GetParamRef() != nil:
		if p := n.GetParamRef(); a.foreign == 0 && p.Number > 0 {
			return KeyValue{Source: SourceParam, Index: int(p.Number) - 1}, true
		}
	case n.GetTypeCast() != nil:
		tc := n.GetTypeCast()
		to := builtinType(tc.TypeName)
		if to == 0 || tc.Arg.GetTypeCast() != nil {
			return KeyValue{}, false
		}
		v, ok := a.constant(tc.Arg)
		if !ok || v.Source == SourceNull {
			return v, ok
		}
		return castConstant(v, to)
	}
	return KeyValue{}, false
}

// castConstant gives a constant the type of a cast. Untyped strings and parameters are read as that type; a number
// keeps its digits only among integers and numeric.
func castConstant(v KeyValue, to uint32) (KeyValue, bool) {
	switch {
	case v.TypeOID == 0:
	case typeClass(v.TypeOID) == shardmap.Int8OID:
		if typeClass(to) != shardmap.Int8OID && to != shardmap.NumericOID {
			return KeyValue{}, false
		}
	case v.TypeOID != to:
		return KeyValue{}, false
	}
	v.TypeOID = to
	return v, true
}

// literal reads a constant of the statement's text: as a literal that other texts with the same key replace where the
// scanner lifted it, else as it stands.
func (a *analysis) literal(c *sqlparse.AConst) (KeyValue, bool) {
	if c.Isnull {
		return KeyValue{Source: SourceNull}, true
	}
	v := KeyValue{Source: SourceConst}
	switch {
	case c.GetIval() != nil:
		v.TypeOID, v.Const = shardmap.Int4OID, strconv.AppendInt(nil, int64(c.GetIval().Ival), 10)
	case c.GetFval() != nil:
		v.TypeOID, v.Const = numberType(c.GetFval().Fval), []byte(c.GetFval().Fval)
	case c.GetSval() != nil:
		v.Const = []byte(c.GetSval().Sval)
	case c.GetBoolval() != nil:
		v.TypeOID, v.Const = shardmap.BoolOID, []byte("f")
		if c.GetBoolval().Boolval {
			v.Const = []byte("t")
		}
		return v, true
	default:
		return KeyValue{}, false
	}
	if i, negated, ok := a.lifted(int(c.Location)); ok {
		return KeyValue{Source: SourceLiteral, Index: i, Negated: negated, TypeOID: v.TypeOID}, true
	}
	return v, true
}

// numberType is the type make_const (parse_node.c) gives a number too large or too fine for int4.
func numberType(s string) uint32 {
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0o") || strings.HasPrefix(s, "0b") {
		return 0
	}
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return shardmap.Int8OID
	}
	return shardmap.NumericOID
}

// lifted finds the literal the scanner lifted at a constant's location. A number's location is its minus sign's when
// it has one; parentheses and blanks may stand between.
func (a *analysis) lifted(loc int) (index int, negated, ok bool) {
	if a.foreign > 0 || loc < 0 || loc >= len(a.text) {
		return 0, false, false
	}
	p := loc
	first := sort.Search(len(a.lits), func(i int) bool { return a.lits[i].End > loc })
	for i := first; i < len(a.lits); i++ {
		l := a.lits[i]
		for ; p < l.Start; p++ {
			switch a.text[p] {
			case '-':
				negated = !negated
			case '(', ' ', '\t', '\n', '\r', '\f', '\v':
			default:
				return 0, false, false
			}
		}
		if l.Kind != sqlparse.LiteralComment {
			a.fold.looksAt(i)
			return i, negated, true
		}
		p = l.End
	}
	return 0, false, false
}

// arrayValues reads the right side of = ANY (…): nil when it is no constant array.
func (a *analysis) arrayValues(n sqlparse.Node) []KeyValue {
	if arr := n.GetAArrayExpr(); arr != nil {
		if vals, ok := a.foldedValues(arr.Elements); ok {
			return vals
		}
		vals := make([]KeyValue, 0, len(arr.Elements))
		for _, e := range arr.Elements {
			v, ok := a.constant(e)
			if !ok || len(vals) >= maxAlternatives {
				return nil
			}
			vals = append(vals, v)
		}
		return vals
	}
	if tc := n.GetTypeCast(); tc != nil {
		return a.castArray(tc.TypeName, tc.Arg)
	}
	v, ok := a.constant(n)
	switch {
	case !ok:
		return nil
	case v.Source == SourceNull:
		return []KeyValue{v}
	case v.TypeOID != 0:
		return nil
	}
	v.Array = true
	return []KeyValue{v}
}

func (a *analysis) castArray(t *sqlparse.TypeName, arg sqlparse.Node) []KeyValue {
	if t == nil || len(t.ArrayBounds) != 1 || len(t.Typmods) > 0 {
		return nil
	}
	names := sqlparse.Strings(t.Names)
	elem := typeOIDs[names[len(names)-1]]
	if elem == 0 || len(names) > 2 || len(names) == 2 && names[0] != "pg_catalog" {
		return nil
	}
	vals := a.arrayValues(arg)
	for i := range vals {
		if vals[i].Source == SourceNull {
			continue
		}
		v, ok := castConstant(vals[i], elem)
		if !ok {
			return nil
		}
		vals[i] = v
	}
	return vals
}
