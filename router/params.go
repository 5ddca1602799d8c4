package router

import (
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// arrayOf marks a type class as that of an array's elements.
const arrayOf uint32 = 1 << 31

// paramUses follows where parameters stand. A parameter without a declared type gets it from one of its places, in the
// order of PostgreSQL's analysis, so its text can be read as a key's type only if all places agree on that.
type paramUses struct {
	class    map[*sqlparse.ParamRef]uint32 // type class of each place, 0 where it is not known
	byNumber map[int]uint32                // the class that all places of a parameter share, else 0; nil: to be made
}

func (u *paramUses) see(p *sqlparse.ParamRef) {
	if u.class == nil {
		u.class = map[*sqlparse.ParamRef]uint32{}
	}
	if _, ok := u.class[p]; !ok {
		u.class[p] = 0
		u.byNumber = nil
	}
}

// place notes that n, if it is a bare parameter, stands where a value of this type is expected.
func (u *paramUses) place(n sqlparse.Node, typ uint32) {
	if p := n.GetParamRef(); p != nil && typ != 0 {
		u.see(p)
		u.class[p] = typ
		u.byNumber = nil
	}
}

// agree reports whether every place of parameter number (1 and on) has this type class.
func (u *paramUses) agree(number int, class uint32) bool {
	if u.byNumber == nil {
		u.byNumber = map[int]uint32{}
		for p, c := range u.class {
			if have, ok := u.byNumber[int(p.Number)]; ok && have != c {
				c = 0
			}
			u.byNumber[int(p.Number)] = c
		}
	}
	return u.byNumber[number] == class
}

// placeCast notes the type of "$n::type".
func (a *analysis) placeCast(n sqlparse.Node) {
	tc := n.GetTypeCast()
	if t := builtinType(tc.TypeName); t != 0 {
		a.params.place(tc.Arg, typeClass(t))
		return
	}
	names := sqlparse.Strings(tc.TypeName.GetNames())
	if len(tc.TypeName.GetArrayBounds()) == 1 && len(tc.TypeName.GetTypmods()) == 0 && len(names) > 0 {
		if t := typeOIDs[names[len(names)-1]]; t != 0 {
			a.params.place(tc.Arg, typeClass(t)|arrayOf)
		}
	}
}

// comparisons take both sides to one type when the types are the column's own.
var comparisons = map[string]bool{"=": true, "<>": true, "<": true, ">": true, "<=": true, ">=": true, "!=": true}

// placeComparison notes the types of parameters that are compared with columns.
func (a *analysis) placeComparison(e *sqlparse.AExpr, sc *scope) {
	name := sqlparse.Strings(e.Name)
	if len(name) != 1 || !comparisons[name[0]] {
		return
	}
	switch e.Kind {
	case sqlparse.ExprOp:
		for _, p := range rowPairs(e.Lexpr, e.Rexpr) {
			a.params.place(p[1], a.columnClass(p[0], sc))
			a.params.place(p[0], a.columnClass(p[1], sc))
		}
	case sqlparse.ExprIn:
		for _, it := range e.Rexpr.GetList().GetItems() {
			for _, p := range rowPairs(e.Lexpr, it) {
				a.params.place(p[1], a.columnClass(p[0], sc))
			}
		}
	case sqlparse.ExprOpAny:
		if c := a.columnClass(e.Lexpr, sc); c != 0 {
			a.params.place(e.Rexpr, c|arrayOf)
		}
	}
}

func (a *analysis) columnClass(n sqlparse.Node, sc *scope) uint32 {
	return typeClass(a.baseType(a.column(n, sc), 0))
}

// declare marks a key value whose parameter may have another type than the key's.
func (a *analysis) declare(v *KeyValue, key shardmap.KeyColumn) {
	if v.Source != SourceParam || v.TypeOID != 0 && !v.Array {
		return
	}
	class := typeClass(key.TypeOID)
	if v.Array {
		class |= arrayOf
	}
	v.Declared = !a.params.agree(v.Index+1, class)
}

// declareAll marks the values of a pruner.
func (a *analysis) declareAll(p *Pruner) {
	for _, t := range p.Tuples {
		for i := range t {
			a.declare(&t[i], p.Table.KeyCols[i])
		}
	}
}

// declareRows marks the key cells of an INSERT.
func (a *analysis) declareRows(in *Insert) {
	for i := range in.Rows {
		for j := range in.Rows[i].Cells {
			if c := &in.Rows[i].Cells[j]; c.Value != nil && c.Key >= 0 {
				a.declare(c.Value, in.Table.KeyCols[c.Key])
			}
		}
	}
}
