package router

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// keyTypes are the names in pg_catalog of types that a key column may have.
var keyTypes = map[string]uint32{
	"bool": shardmap.BoolOID, "bytea": shardmap.ByteaOID, "int2": shardmap.Int2OID, "int4": shardmap.Int4OID,
	"int8": shardmap.Int8OID, "text": shardmap.TextOID, "varchar": shardmap.VarcharOID, "bpchar": shardmap.BpcharOID,
	"date": shardmap.DateOID, "timestamp": shardmap.TimestampOID, "timestamptz": shardmap.TimestamptzOID,
	"numeric": shardmap.NumericOID, "uuid": shardmap.UUIDOID,
}

// serialTypes are the pseudo-types of CREATE TABLE.
var serialTypes = map[string]uint32{
	"smallserial": shardmap.Int2OID, "serial2": shardmap.Int2OID, "serial": shardmap.Int4OID, "serial4": shardmap.Int4OID,
	"bigserial": shardmap.Int8OID, "serial8": shardmap.Int8OID,
}

// typeOID is the oid of a built-in type that a key column may have, 0 for every other type.
func (e *Env) typeOID(t *sqlparse.TypeName) uint32 {
	if t == nil || len(t.ArrayBounds) > 0 || t.Setof || t.PctType {
		return 0
	}
	schema, name := listName(t.Names)
	switch schema {
	case "pg_catalog":
		return keyTypes[name]
	case "":
	default:
		return 0
	}
	for _, p := range e.Path { // a user's type of that name hides it if the path says so
		if p == "pg_catalog" {
			break
		}
		if _, hidden := e.Schema.Types[p+"."+name]; hidden && slices.Contains(e.Path, "pg_catalog") {
			return 0
		}
	}
	if oid, ok := serialTypes[name]; ok {
		return oid
	}
	return keyTypes[name]
}

// isSerial is true of the pseudo-types, whose default is a new sequence.
func isSerial(t *sqlparse.TypeName) bool {
	schema, name := listName(t.GetNames())
	_, ok := serialTypes[name]
	return ok && schema == "" && len(t.GetArrayBounds()) == 0
}

// tableShape is what a table is or will be, for the rules about keys.
type tableShape struct {
	kind         TableKind
	schema, name string
	key          []string
	cols         []shardmap.KeyColumn
	modulus      uint32
	primKey      []string
}

// groupKey is a key's types as colocation compares them.
func groupKey(cols []shardmap.KeyColumn) []shardmap.KeyColumn {
	out := slices.Clone(cols)
	for i := range out {
		if out[i].TypeOID == shardmap.VarcharOID {
			out[i].TypeOID = shardmap.TextOID
		}
	}
	return out
}

func (s *tableShape) colocated(o *tableShape) bool {
	return s.modulus == o.modulus && slices.Equal(groupKey(s.cols), groupKey(o.cols))
}

func shapeOf(t *Table) *tableShape {
	s := &tableShape{kind: t.Kind, schema: t.Schema, name: t.Name, cols: t.KeyCols, modulus: t.Modulus}
	for _, i := range t.Key {
		s.key = append(s.key, t.Columns[i].Name)
	}
	for _, i := range t.PrimKey {
		s.primKey = append(s.primKey, t.Columns[i].Name)
	}
	return s
}

// shardSteps make the partitions of a new sharded table on their backends and register it on home.
func (d *ddl) shardSteps(s *tableShape, storage []*sqlparse.DefElem) ([]Step, *pgerr.Error) {
	schema := d.env.Schema
	group, owners, isNew, err := d.group(s)
	if err != nil {
		return nil, err
	}
	rel := regclass(s.schema, s.name)
	shards := make([][]string, schema.Map.NumBackends())
	for shard, b := range owners {
		shards[b] = append(shards[b], strconv.Itoa(shard))
	}
	var steps []Step
	modulus := strconv.FormatUint(uint64(s.modulus), 10)
	for b, list := range shards {
		if len(list) > 0 {
			create := ownStep(WhereOne, "create_shards("+rel+", "+modulus+", '{"+strings.Join(list, ",")+"}'"+storageArgs(storage)+")")
			create.Backend = b
			steps = append(steps, create)
		}
	}
	placement := "NULL"
	if isNew {
		list := make([]string, len(owners))
		for i, b := range owners {
			list[i] = strconv.Itoa(int(b))
		}
		placement = "'{" + strings.Join(list, ",") + "}'"
	}
	return append(steps, ownStep(WhereHome, "register_sharded("+rel+", "+strconv.Itoa(group)+", "+
		modulus+", "+placement+")")), nil
}

// group is the colocation group of a table of this shape: one that exists, or the next one and its placement.
func (d *ddl) group(s *tableShape) (id int, owners []uint16, isNew bool, _ *pgerr.Error) {
	schema := d.env.Schema
	want := groupKey(s.cols)
	next := 1
	for _, g := range schema.Groups {
		if g.Modulus == s.modulus && slices.Equal(g.Key, want) {
			owners, _ = schema.Map.Owners(shardmap.GroupID(g.ID))
			return g.ID, owners, false, nil
		}
		next = max(next, g.ID+1)
	}
	backends := make([]shardmap.BackendInfo, schema.Map.NumBackends())
	for i := range backends {
		backends[i] = schema.Map.Backend(uint16(i))
	}
	owners, err := shardmap.Place(strconv.Itoa(next), int(s.modulus), backends)
	if err != nil {
		return 0, nil, false, refPlacement.WithDetail("%s", err.Error())
	}
	return next, owners, true, nil
}

// storageArgs passes storage parameters to pleiad.create_shards, as arrays of names and values.
func storageArgs(storage []*sqlparse.DefElem) string {
	if len(storage) == 0 {
		return ""
	}
	names, values := make([]string, len(storage)), make([]string, len(storage))
	for i, def := range storage {
		name := def.Defname
		if def.Defnamespace != "" {
			name = def.Defnamespace + "." + name
		}
		value := optionValue(def)
		if value == "" {
			value = "true"
		}
		names[i], values[i] = quoteLiteral(name), quoteLiteral(value)
	}
	return ", ARRAY[" + strings.Join(names, ", ") + "], ARRAY[" + strings.Join(values, ", ") + "]"
}
