package router

import (
	"math"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Numbering gives the rows of a sharded table the values of a sequence in a column that the steps have added. Each backend has
// numbered its own rows from the sequence's start; all but the first backend's numbers are moved on, and home's sequence is
// brought to where one that had given all of them would be.
type Numbering struct {
	// Count counts a backend's rows.
	Count string
	// Shift moves a backend's numbers on, by a number that stands between its parts.
	Shift [2]string
	// Sequence is an expression of the sequence's name, as text.
	Sequence string
	// Start, Increment and Max are the sequence's.
	Start, Increment, Max int64
}

// ShiftBy is the statement that moves a backend's numbers on.
func (n *Numbering) ShiftBy(by int64) string {
	return n.Shift[0] + strconv.FormatInt(by, 10) + n.Shift[1]
}

// integerTypes are those that a sequence's values are stored as.
var integerTypes = map[uint32]struct {
	name string
	max  int64
}{
	shardmap.Int2OID: {"pg_catalog.int2", math.MaxInt16}, shardmap.Int4OID: {"pg_catalog.int4", math.MaxInt32},
	shardmap.Int8OID: {"pg_catalog.int8", math.MaxInt64},
}

func numbering(t *Table, column string, typ uint32, start, increment int64) Numbering {
	table, integer := quoteName(t.Schema, t.Name), integerTypes[typ]
	col := quoteIdent(column)
	return Numbering{
		Count: "SELECT pg_catalog.count(*) FROM " + table,
		Shift: [2]string{
			"ALTER TABLE " + table + " ALTER COLUMN " + col + " TYPE " + integer.name + " USING (" + col + " OPERATOR(pg_catalog.+) (",
			")::pg_catalog.int8)::" + integer.name,
		},
		Sequence: "pg_catalog.pg_get_serial_sequence(" + quoteLiteral(table) + ", " + quoteLiteral(column) + ")",
		Start:    start, Increment: increment, Max: integer.max,
	}
}

// numbered reports whether a column that is added to a sharded table gets a sequence's values in a way that numbering knows.
// Constraints are checked on the way, so none but simple ones may be there.
func numbered(t *Table, cmd *sqlparse.AlterTableCmd) bool {
	if t == nil || t.Kind != TableSharded || t.RLS || cmd.Subtype != sqlparse.AlterAddColumn || cmd.MissingOk {
		return false
	}
	for _, n := range cmd.Def.GetColumnDef().GetConstraints() {
		switch n.GetConstraint().GetContype() {
		case sqlparse.ConstraintNotNull, sqlparse.ConstraintIdentity, sqlparse.ConstraintPrimary, sqlparse.ConstraintUnique:
		default:
			return false
		}
	}
	return true
}

// addNumbered plans a serial or identity column for a sharded table; false where it cannot.
func (d *ddl) addNumbered(t *Table, cmd *sqlparse.AlterTableCmd) bool {
	if !numbered(t, cmd) {
		return false
	}
	col := cmd.Def.GetColumnDef()
	if isSerial(col.GetTypeName()) {
		_, name := listName(col.TypeName.Names)
		d.numbers = append(d.numbers, numbering(t, col.Colname, serialTypes[name], 1, 1))
		return true
	}
	var identity *sqlparse.Constraint
	for _, n := range col.Constraints {
		if k := n.GetConstraint(); k.GetContype() == sqlparse.ConstraintIdentity {
			identity = k
		}
	}
	typ, integer := plainType(col.TypeName)
	start, increment, ok := sequenceOptions(identity.GetOptions())
	if identity == nil || !integer || !ok {
		return false
	}
	d.numbers = append(d.numbers, numbering(t, col.Colname, typ, start, increment))
	return true
}

// plainType is the oid of an integer type by one of its names.
func plainType(tn *sqlparse.TypeName) (uint32, bool) {
	schema, name := listName(tn.GetNames())
	oid := typeOIDs[name]
	_, integer := integerTypes[oid]
	return oid, integer && schema == "pg_catalog" && len(tn.ArrayBounds) == 0 && !tn.Setof
}

// sequenceOptions reads START and INCREMENT; other options change more.
func sequenceOptions(options []sqlparse.Node) (start, increment int64, ok bool) {
	start, increment = 1, 1
	for _, n := range options {
		o := n.GetDefElem()
		v := o.GetArg().GetInteger()
		if v == nil || v.Ival <= 0 {
			return 0, 0, false
		}
		switch strings.ToLower(o.Defname) {
		case "start":
			start = int64(v.Ival)
		case "increment":
			increment = int64(v.Ival)
		default:
			return 0, 0, false
		}
	}
	return start, increment, true
}
