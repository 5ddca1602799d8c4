package router

import (
	"slices"
	"strconv"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Point is how a statement with literals becomes one with parameters, which a server prepares once for all their values. It
// names one row by its table's whole primary key, or stores one: there is one way to run it, whatever the values are.
type Point struct {
	// params are the literals that become parameters, by their position in the text; the others stay as they are.
	params []pointParam
}

type pointParam struct {
	literal int
	negated bool // a number behind a minus sign
}

// pointUnfit are functions that should not be called again when a statement fails, or whose answer may depend on what a
// literal is.
const pointUnfit = fnWrites | fnHome | fnPins | fnNextval | fnCurrval | fnServer

// pointTypes are the types whose values PostgreSQL reads alike from a literal and from a parameter: not interval, which
// reads a literal by its column's fields.
var pointTypes = []uint32{
	shardmap.BoolOID, shardmap.ByteaOID, shardmap.Int8OID, shardmap.Int2OID, shardmap.Int4OID, shardmap.TextOID, shardmap.BpcharOID,
	shardmap.VarcharOID, shardmap.DateOID, shardmap.TimestampOID, shardmap.TimestamptzOID, shardmap.NumericOID, shardmap.UUIDOID,
	typeOIDs["float4"], typeOIDs["float8"], typeOIDs["time"], typeOIDs["timetz"], typeOIDs["json"], typeOIDs["jsonb"],
}

// point tells which literals of a statement that may name its shard can be parameters.
func (p *planner) point(t *Table) *Point {
	if p.t.NParams > 0 || p.fold != nil || p.a.fn&pointUnfit != 0 || p.env.operatorShadowed() ||
		slices.ContainsFunc(p.lits, func(l sqlparse.Literal) bool { return l.Kind == sqlparse.LiteralComment }) {
		return nil
	}
	b := pointBuilder{a: p.a, t: t}
	switch n := p.node; {
	case n.GetSelectStmt() != nil:
		s := n.GetSelectStmt()
		if len(s.GroupClause) > 0 || len(s.DistinctClause) > 0 || !b.pinned(s.WhereClause) {
			return nil
		}
		b.expr(s.WhereClause)
	case n.GetUpdateStmt() != nil:
		s := n.GetUpdateStmt()
		if !b.pinned(s.WhereClause) {
			return nil
		}
		b.assignments(s.TargetList)
		b.expr(s.WhereClause)
	case n.GetDeleteStmt() != nil:
		if !b.pinned(n.GetDeleteStmt().WhereClause) {
			return nil
		}
		b.expr(n.GetDeleteStmt().WhereClause)
	case n.GetInsertStmt() != nil:
		s := n.GetInsertStmt()
		rows := insertRows(s)
		if len(rows) != 1 {
			return nil
		}
		b.cells(s, rows[0])
		b.assignments(s.OnConflictClause.GetTargetList())
		b.expr(s.OnConflictClause.GetWhereClause())
	}
	if len(b.params) == 0 {
		return nil
	}
	slices.SortFunc(b.params, func(x, y pointParam) int { return x.literal - y.literal })
	return &Point{params: b.params}
}

type pointBuilder struct {
	a      *analysis
	t      *Table
	params []pointParam
}

// pinned reports whether a condition gives every column of the primary key a value.
func (b *pointBuilder) pinned(where sqlparse.Node) bool {
	if len(b.t.PrimKey) == 0 {
		return false
	}
	var given []int
	conjuncts := []sqlparse.Node{where}
	for len(conjuncts) > 0 {
		n := conjuncts[0]
		conjuncts = conjuncts[1:]
		if and := n.GetBoolExpr(); and != nil && and.Boolop == sqlparse.BoolAnd {
			conjuncts = append(conjuncts, and.Args...)
		}
		if column, value := b.equality(n); column >= 0 {
			if value.GetTypeCast() != nil {
				value = value.GetTypeCast().Arg
			}
			if value.GetAConst() != nil && !value.GetAConst().Isnull {
				given = append(given, column)
			}
		}
	}
	return !slices.ContainsFunc(b.t.PrimKey, func(c int) bool { return !slices.Contains(given, c) })
}

// equality reads a column = value, one way round or the other; -1 for everything else.
func (b *pointBuilder) equality(n sqlparse.Node) (column int, value sqlparse.Node) {
	e := n.GetAExpr()
	if e == nil || e.Kind != sqlparse.ExprOp || !isEquals(e) {
		return -1, nil
	}
	if c := b.column(e.Lexpr); c >= 0 {
		return c, e.Rexpr
	}
	return b.column(e.Rexpr), e.Lexpr
}

// column is the place of a column in the table; -1 for every other expression.
func (b *pointBuilder) column(n sqlparse.Node) int {
	words := sqlparse.Strings(n.GetColumnRef().GetFields())
	if len(words) == 0 {
		return -1
	}
	return slices.IndexFunc(b.t.Columns, func(c Column) bool { return c.Name == words[len(words)-1] })
}

// cells are the values of an INSERT's only row.
func (b *pointBuilder) cells(s *sqlparse.InsertStmt, row []sqlparse.Node) {
	columns := columnPositions(b.t, s.Cols)
	for i, n := range row {
		if i < len(columns) && (len(s.Cols) == 0 || len(s.Cols[i].GetResTarget().GetIndirection()) == 0) {
			b.assigned(columns[i], n)
		} else {
			b.expr(n)
		}
	}
}

// assignments are those of SET.
func (b *pointBuilder) assignments(list []sqlparse.Node) {
	for _, n := range list {
		target := n.GetResTarget()
		column := -1
		if len(target.GetIndirection()) == 0 {
			column = slices.IndexFunc(b.t.Columns, func(c Column) bool { return c.Name == target.GetName() })
		}
		b.assigned(column, target.GetVal())
	}
}

// assigned is a value that a column is given, -1 being none of which the type is known.
func (b *pointBuilder) assigned(column int, n sqlparse.Node) {
	if c := n.GetAConst(); c.GetSval() != nil {
		if column >= 0 && slices.Contains(pointTypes, b.t.Columns[column].TypeOID) {
			b.add(c)
		}
		return
	}
	b.expr(n)
}

// expr takes the literals of an expression whose types do not depend on what stands around them, or only on a column that they
// are compared with.
func (b *pointBuilder) expr(n sqlparse.Node) {
	if n == nil {
		return
	}
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetTypeName() != nil:
			return false // its numbers are modifiers
		case n.GetTypeCast() != nil:
			cast := n.GetTypeCast()
			if c := cast.Arg.GetAConst(); c.GetSval() != nil && slices.Contains(pointTypes, builtinType(cast.TypeName)) {
				b.add(c)
			}
		case n.GetAExpr() != nil:
			if column, value := b.equality(n); column >= 0 {
				if c := value.GetAConst(); c.GetSval() != nil && slices.Contains(pointTypes, b.t.Columns[column].TypeOID) {
					b.add(c)
				}
			}
		case n.GetAConst() != nil:
			if c := n.GetAConst(); c.GetIval() != nil || c.GetFval() != nil {
				b.add(c)
			}
		}
		return true
	})
}

func (b *pointBuilder) add(c *sqlparse.AConst) {
	if i, negated, ok := b.a.lifted(int(c.Location)); ok && !slices.ContainsFunc(b.params, func(p pointParam) bool { return p.literal == i }) {
		b.params = append(b.params, pointParam{i, negated})
	}
}

// AppendTypes appends the types of the parameters that v's literals become, 0 for strings. ok is false where one of them has to
// stay what it is.
func (pt *Point) AppendTypes(dst []uint32, v *Values) (types []uint32, ok bool) {
	for _, p := range pt.params {
		switch v.Lits[p.literal].Kind {
		case sqlparse.LiteralInt4:
			dst = append(dst, shardmap.Int4OID)
			continue
		case sqlparse.LiteralInt8:
			dst = append(dst, shardmap.Int8OID)
		case sqlparse.LiteralNumeric:
			dst = append(dst, shardmap.NumericOID)
		default:
			dst = append(dst, 0)
		}
		if p.negated {
			return dst, false // -2147483648 is an integer, but 2147483648 is none
		}
	}
	return dst, true
}

// AppendValue appends the value of parameter i in text format; ok is false where PostgreSQL has to read it.
func (pt *Point) AppendValue(dst []byte, i int, v *Values) (value []byte, ok bool) {
	return sqlparse.LiteralValue(v.Text, v.Lits[pt.params[i].literal], dst)
}

// AppendFixed appends what stays of v's literals.
func (pt *Point) AppendFixed(dst []byte, v *Values) []byte {
	next := 0
	for i, l := range v.Lits {
		if next < len(pt.params) && pt.params[next].literal == i {
			next++
			continue
		}
		dst = append(append(dst, v.Text[l.Start:l.End]...), 0)
	}
	return dst
}

// AppendPoint is AppendDirect with parameters in the places of literals.
func (t *Template) AppendPoint(dst []byte, shard uint32, v *Values) []byte {
	from, named := 0, false
	start, end := t.placeIn(v, t.Direct.name.Start), t.placeIn(v, t.Direct.name.End)
	name := func() {
		dst = t.Direct.appendShard(append(dst, v.Text[from:start]...), shard)
		from, named = end, true
	}
	for i, p := range t.Direct.Point.params {
		l := v.Lits[p.literal]
		if !named && start < l.Start {
			name()
		}
		dst = append(append(dst, v.Text[from:l.Start]...), '$')
		dst = strconv.AppendInt(dst, int64(i+1), 10)
		from = l.End
	}
	if !named {
		name()
	}
	return append(dst, v.Text[from:]...)
}
