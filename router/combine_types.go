package router

import (
	_ "embed"
	"strconv"
	"strings"
)

//go:embed data/types.txt
var typesData string

// partType is a built-in type as a column of partial rows.
type partType struct {
	name       string // in pg_catalog
	collatable bool
	array      bool // an array of name: its values travel as text
}

var partTypes, partTypeNames = readPartTypes(typesData)

func readPartTypes(data string) (byOID map[uint32]partType, names map[string]bool) {
	byOID, names = map[uint32]partType{}, map[string]bool{}
	for line := range strings.Lines(data) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" {
			continue
		}
		oid, err1 := strconv.ParseUint(f[0], 10, 32)
		array, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 != nil || err2 != nil {
			continue // words of the head
		}
		byOID[uint32(oid)] = partType{name: f[1], collatable: len(f) > 3}
		byOID[uint32(array)] = partType{name: f[1], collatable: len(f) > 3, array: true}
		names[f[1]] = true
	}
	return byOID, names
}

// steadyText are the types whose text is read back exactly whatever the session's settings are.
var steadyText = map[string]bool{
	"bool": true, "bytea": true, "name": true, "int8": true, "int2": true, "int4": true, "text": true, "oid": true,
	"json": true, "cidr": true, "macaddr8": true, "macaddr": true, "inet": true, "bpchar": true, "varchar": true,
	"bit": true, "varbit": true, "numeric": true, "uuid": true, "pg_lsn": true, "jsonb": true, "int4range": true,
	"int8range": true, "numrange": true, "xid8": true, "tid": true,
}

// notGrouped are built-in types without equality as GROUP BY needs it.
var notGrouped = map[string]bool{
	"json": true, "xml": true, "point": true, "lseg": true, "path": true, "box": true, "polygon": true, "line": true,
	"circle": true, "jsonpath": true, "cid": true, "xid": true,
}

// partColumn is how a column of a described type travels.
type partColumn struct {
	elem     uint32 // the array parameter's element type, where it travels binary; 0 for text
	declared string // the array parameter's element type
	cast     string // to the column's own type, "" where it has it
	unsteady bool   // its text depends on settings
	collated bool   // it may have a collation
}

// travels says how values of a type travel; ok is false where they cannot. names are the names of user types by home's oid.
func travels(oid uint32, names map[uint32]string) (c partColumn, ok bool) {
	t, builtin := partTypes[oid]
	switch {
	case builtin && t.array:
		return partColumn{
			declared: "pg_catalog.text", cast: "pg_catalog." + quoteIdent(t.name) + "[]",
			unsteady: !steadyText[t.name], collated: t.collatable,
		}, true
	case builtin:
		return partColumn{elem: oid, declared: "pg_catalog." + quoteIdent(t.name), collated: t.collatable}, true
	case oid < firstUserOID || names[oid] == "":
		return c, false
	case strings.Contains(names[oid], `."_`): // an array's type: there is no array of arrays
		return partColumn{declared: "pg_catalog.text", cast: names[oid], unsteady: true, collated: true}, true
	}
	return partColumn{declared: names[oid], unsteady: true, collated: true}, true
}

// userTypes lists the names of user types, quoted, by home's oid.
func (s *Schema) userTypes() map[uint32]string {
	out := make(map[uint32]string, len(s.Types))
	for name, oid := range s.Types {
		schema, typ, ok := strings.Cut(name, ".")
		if ok {
			out[oid] = quoteIdent(schema) + "." + quoteIdent(typ)
		}
	}
	return out
}
