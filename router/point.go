package router

import (
	"bytes"
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
	takes   kinds
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
	if p.t.NParams > 0 || p.fold != nil || p.a.fn&pointUnfit != 0 || p.env.operatorShadowed() || p.env.callsOwn(p.node) ||
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
		b.beside(s.WhereClause)
	case n.GetUpdateStmt() != nil:
		s := n.GetUpdateStmt()
		if !b.pinned(s.WhereClause) {
			return nil
		}
		b.assignments(s.TargetList)
		b.beside(s.WhereClause)
	case n.GetDeleteStmt() != nil:
		if !b.pinned(n.GetDeleteStmt().WhereClause) {
			return nil
		}
		b.beside(n.GetDeleteStmt().WhereClause)
	case n.GetInsertStmt() != nil:
		s := n.GetInsertStmt()
		rows := insertRows(s)
		if len(rows) != 1 {
			return nil
		}
		b.cells(s, rows[0])
		b.assignments(s.OnConflictClause.GetTargetList())
		b.beside(s.OnConflictClause.GetWhereClause())
	}
	if len(b.params) == 0 {
		return nil
	}
	slices.SortFunc(b.params, func(x, y pointParam) int { return x.literal - y.literal })
	return &Point{params: b.params}
}

// callsOwn reports whether a statement calls functions of users: what these say while PostgreSQL plans, it says once for a
// prepared statement.
func (e *Env) callsOwn(n sqlparse.Node) (calls bool) {
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		if f := sqlparse.Strings(n.GetFuncCall().GetFuncname()); len(f) > 0 {
			calls = calls || len(e.Schema.Functions[f[len(f)-1]]) > 0
		}
		return !calls
	})
	return calls
}

// pointBuilder collects literals. PostgreSQL computes what is constant when it plans, and so finds fault with 1/0 also where no
// row is looked at; with a parameter in it that would be left to the execution. So the literals are those that stand beside a
// column, where nothing is constant, or are stored as they are; and those of a row that is made in any case.
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
		column := -1
		if i < len(columns) && (len(s.Cols) == 0 || len(s.Cols[i].GetResTarget().GetIndirection()) == 0) {
			column = columns[i]
		}
		switch {
		case len(s.ReturningList) > 0: // behind a RowDescription it is too late for PostgreSQL's own error
			b.stored(column, n)
		case n.GetAConst().GetSval() == nil:
			b.made(n)
		case column >= 0 && slices.Contains(pointTypes, b.t.Columns[column].TypeOID):
			b.add(n.GetAConst(), allKinds)
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
		b.stored(column, target.GetVal())
	}
}

// stored is a value that a column is given, -1 being none of which the type is known. A literal counts where the column takes it as
// it is, or the server's reading of the parameter fails as PostgreSQL's of the literal.
func (b *pointBuilder) stored(column int, n sqlparse.Node) {
	c := n.GetAConst()
	if c == nil {
		b.beside(n)
		return
	}
	if column < 0 || b.t.Columns[column].Typmod != -1 {
		return
	}
	switch oid := b.t.Columns[column].TypeOID; {
	case c.GetSval() != nil:
		if slices.Contains(pointTypes, oid) {
			b.add(c, allKinds)
		}
	case oid == shardmap.Int4OID:
		b.add(c, kindInt4)
	case oid == shardmap.Int8OID:
		b.add(c, kindInt4|kindInt8)
	case oid == shardmap.NumericOID, oid == typeOIDs["float8"]:
		b.add(c, allKinds)
	}
}

// made takes the literals of a value that is computed in any case, once.
func (b *pointBuilder) made(n sqlparse.Node) {
	switch {
	case n.GetAConst() != nil:
		if c := n.GetAConst(); c.GetIval() != nil || c.GetFval() != nil {
			b.add(c, allKinds)
		}
	case n.GetTypeCast() != nil:
		if !b.read(n) && n.GetTypeCast().Arg.GetAConst().GetSval() == nil {
			b.made(n.GetTypeCast().Arg)
		}
	case n.GetFuncCall() != nil:
		for _, arg := range n.GetFuncCall().Args {
			b.made(arg)
		}
	case n.GetAExpr() != nil && n.GetAExpr().Kind == sqlparse.ExprOp:
		b.made(n.GetAExpr().Lexpr)
		b.made(n.GetAExpr().Rexpr)
	}
}

// read takes the string of a cast that says what it is.
func (b *pointBuilder) read(n sqlparse.Node) bool {
	cast := n.GetTypeCast()
	c := cast.GetArg().GetAConst()
	if c.GetSval() == nil || !slices.Contains(pointTypes, builtinType(cast.TypeName)) {
		return false
	}
	b.add(c, allKinds)
	return true
}

// beside takes the literals of an expression that are one side of an operator whose other side has columns in it.
func (b *pointBuilder) beside(n sqlparse.Node) {
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		e := n.GetAExpr()
		if e == nil || e.Kind != sqlparse.ExprOp || e.Lexpr == nil {
			return true
		}
		for _, side := range [][2]sqlparse.Node{{e.Lexpr, e.Rexpr}, {e.Rexpr, e.Lexpr}} {
			literal, other := side[0], side[1]
			if !b.varies(other) {
				continue
			}
			switch c := literal.GetAConst(); {
			case c == nil:
				b.read(literal)
			case c.GetSval() == nil && b.column(other) < 0:
				b.add(c, kindInt4|kindNumeric) // an oid, as a function may give one, does not take every bigint
			case c.GetSval() == nil:
				b.add(c, allKinds)
			case isEquals(e) && b.column(other) >= 0:
				b.add(c, allKinds)
			}
		}
		return true
	})
}

// varies reports whether an expression has columns in it, and whether what stands beside it is of their types: all of these take
// numbers without checking them.
func (b *pointBuilder) varies(n sqlparse.Node) bool {
	columns, known := 0, true
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		switch {
		case n.GetTypeCast() != nil:
			known = known && slices.Contains(pointTypes, builtinType(n.GetTypeCast().TypeName))
		case n.GetColumnRef() != nil:
			i := b.column(n)
			columns++
			known = known && i >= 0 && slices.Contains(pointTypes, b.t.Columns[i].TypeOID)
		}
		return known
	})
	return known && columns > 0
}

// kinds are those of number literals.
type kinds uint8

const (
	kindInt4 kinds = 1 << iota
	kindInt8
	kindNumeric
	allKinds = kindInt4 | kindInt8 | kindNumeric
)

func (b *pointBuilder) add(c *sqlparse.AConst, takes kinds) {
	if c.Isnull || c.GetBoolval() != nil {
		return
	}
	if i, negated, ok := b.a.lifted(int(c.Location)); ok && !slices.ContainsFunc(b.params, func(p pointParam) bool { return p.literal == i }) {
		b.params = append(b.params, pointParam{i, negated, takes})
	}
}

// maxNumeric bounds the digits of numerics that become parameters: no type that takes a numeric overflows with as many.
const maxNumeric = 30

// AppendTypes appends the types of the parameters that v's literals become, 0 for strings. ok is false where one of them has to
// stay what it is.
func (pt *Point) AppendTypes(dst []uint32, v *Values) (types []uint32, ok bool) {
	for _, p := range pt.params {
		l := v.Lits[p.literal]
		typ, kind := uint32(0), allKinds
		switch l.Kind {
		case sqlparse.LiteralInt4:
			typ, kind = shardmap.Int4OID, kindInt4
		case sqlparse.LiteralInt8:
			typ, kind = shardmap.Int8OID, kindInt8
		case sqlparse.LiteralNumeric:
			typ, kind = shardmap.NumericOID, kindNumeric
			if l.End-l.Start > maxNumeric || bytes.ContainsAny(v.Text[l.Start:l.End], "eE") {
				return dst, false
			}
		}
		if p.takes&kind == 0 || p.negated && kind != kindInt4 { // -2147483648 is an integer, but 2147483648 is none
			return dst, false
		}
		dst = append(dst, typ)
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
