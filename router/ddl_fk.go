package router

import (
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// foreignKey checks one constraint of table from, on its columns cols. PostgreSQL checks a foreign key with what is
// on the same backend, so both rows must always be there.
func (d *ddl) foreignKey(from *tableShape, k *sqlparse.Constraint, cols []string) *pgerr.Error {
	if k.GetContype() != sqlparse.ConstraintForeign || k.Pktable == nil {
		return nil
	}
	to := d.referenced(from, k.Pktable)
	if to == nil {
		return nil // PostgreSQL's error
	}
	switch {
	case from.kind == TableLocal && to.kind == TableSharded:
		return refFKFromLocal
	case from.kind == TableLocal:
		return nil
	case to.kind != TableSharded && to.kind != TableReference:
		return refFKLocal
	case from.kind == TableReference && to.kind == TableSharded:
		return refFKFromRef
	case from.kind == TableReference:
		return nil
	}
	if to.kind == TableSharded {
		pk := nameList(k.PkAttrs)
		if len(pk) == 0 {
			pk = to.primKey
		}
		if !from.colocated(to) || !pairsKeys(from, to, cols, pk) {
			return refFKColocation
		}
	}
	return keyAction(from, to, k, cols)
}

func (d *ddl) referenced(from *tableShape, rv *sqlparse.RangeVar) *tableShape {
	if rv.Relname == from.name && d.selfReference(from, rv) {
		return from
	}
	t, _ := d.resolve(rv)
	if t == nil {
		return nil
	}
	return shapeOf(t)
}

// selfReference is true if rv means the table that is being made, or altered.
func (d *ddl) selfReference(from *tableShape, rv *sqlparse.RangeVar) bool {
	if rv.Schemaname != "" {
		return rv.Schemaname == from.schema
	}
	for _, p := range d.env.Path {
		if p == from.schema {
			return true
		}
		if d.env.Schema.Relations[p][rv.Relname] != nil {
			return false
		}
	}
	return false
}

// pairsKeys is true if the constraint compares each key column of from with the same key column of to.
func pairsKeys(from, to *tableShape, cols, refs []string) bool {
	if len(cols) != len(refs) {
		return false
	}
	for i, key := range from.key {
		paired := false
		for j, c := range cols {
			paired = paired || c == key && refs[j] == to.key[i]
		}
		if !paired {
			return false
		}
	}
	return true
}

// keyAction refuses actions that write key columns: the row would have to move to another backend. CASCADE from
// another sharded table writes the key that the row has already, for that table's key never changes.
func keyAction(from, to *tableShape, k *sqlparse.Constraint, cols []string) *pgerr.Error {
	writes := func(cols []string) bool {
		return slices.ContainsFunc(cols, func(c string) bool { return slices.Contains(from.key, c) })
	}
	set := cols
	if len(k.FkDelSetCols) > 0 {
		set = nameList(k.FkDelSetCols)
	}
	switch k.FkDelAction {
	case "n", "d":
		if writes(set) {
			return refFKAction
		}
	}
	switch k.FkUpdAction {
	case "n", "d", "c":
		if writes(cols) && (k.FkUpdAction != "c" || to.kind == TableReference) {
			return refFKAction
		}
	}
	return nil
}
