package shardmap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// check compares ShardOf with PostgreSQL and returns what ShardOf said. A shard must be the one PostgreSQL
// accepts, unless PostgreSQL refuses the value; an invalid value must be refused.
func check(t *testing.T, conn *pgconn.PgConn, stmt string, cols []KeyColumn, vals []Value) error {
	t.Helper()
	shard, err := ShardOf(cols, vals, testModulus)
	if errors.Is(err, ErrNotProvable) {
		return err
	}
	ok, pgErr := accepts(t, conn, stmt, shard, vals)
	var badText *InvalidTextError
	var badBinary *InvalidBinaryError
	switch {
	case errors.As(err, &badText) || errors.As(err, &badBinary):
		if pgErr == nil {
			t.Errorf("%s: %v for %q, but PostgreSQL accepts it", stmt, err, describe(vals))
		}
	case err != nil:
		t.Errorf("%s: %v for %q", stmt, err, describe(vals))
	case pgErr == nil && !ok:
		t.Errorf("%s: shard %d for %q is not PostgreSQL's", stmt, shard, describe(vals))
	case pgErr != nil:
		return pgErr
	}
	return err
}

func describe(vals []Value) string {
	var s []string
	for _, v := range vals {
		s = append(s, fmt.Sprintf("%.100q format %d type %d null %v", v.Data, v.Format, v.TypeOID, v.Null))
	}
	return strings.Join(s, "; ")
}

// TestHashIsPostgres compares random and edge values of every type in both formats.
func TestHashIsPostgres(t *testing.T) {
	conn := connect(t)
	// Text must mean the same under the settings that could bend it.
	exec1(t, conn, "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'America/St_Johns'")
	for _, kt := range keyTypes {
		t.Run(kt.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(kt.oid)))
			stmt := prepareKey(t, conn, "one_"+kt.name, []string{kt.name}, []string{""}, []uint32{kt.oid})
			cols := []KeyColumn{{TypeOID: kt.oid}}
			for range 400 {
				if err := check(t, conn, stmt, cols, []Value{{Data: []byte(kt.text(r))}}); err != nil {
					t.Errorf("valid text: %v", err)
				}
				b := kt.binary(r)
				err := check(t, conn, stmt, cols, []Value{{Data: b, Format: Binary, TypeOID: kt.oid}})
				if err != nil && !(kt.oid == NumericOID && errors.Is(err, ErrNotProvable)) {
					t.Errorf("valid binary %x: %v", b, err)
				}
			}
			for _, s := range kt.edges {
				_ = check(t, conn, stmt, cols, []Value{{Data: []byte(s)}})
			}
			if err := check(t, conn, stmt, cols, []Value{{Null: true}}); err != nil {
				t.Error(err)
			}
			for n := range 20 {
				_ = check(t, conn, stmt, cols, []Value{{Data: randBytes(r, n), Format: Binary}})
			}
		})
	}
}

// TestMutatedText bends valid spellings a byte at a time: whatever ShardOf then says must agree with
// PostgreSQL.
func TestMutatedText(t *testing.T) {
	conn := connect(t)
	const bytes = "0123456789 .-+eExXaftZT:{}\\_nN\t\n"
	for _, kt := range keyTypes {
		t.Run(kt.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(2, uint64(kt.oid)))
			stmt := prepareKey(t, conn, "mutated_"+kt.name, []string{kt.name}, []string{""}, []uint32{kt.oid})
			cols := []KeyColumn{{TypeOID: kt.oid}}
			provable := 0
			for range 1000 {
				s := []byte(kt.text(r))
				if r.IntN(4) == 0 {
					s = []byte(kt.edges[r.IntN(len(kt.edges))])
				}
				at, c := r.IntN(len(s)+1), bytes[r.IntN(len(bytes))]
				switch {
				case r.IntN(3) == 0 || at == len(s):
					s = append(s[:at:at], append([]byte{c}, s[at:]...)...)
				case r.IntN(2) == 0:
					s[at] = c
				default:
					s = append(s[:at:at], s[at+1:]...)
				}
				if check(t, conn, stmt, cols, []Value{{Data: s}}) == nil {
					provable++
				}
			}
			if provable == 0 {
				t.Error("no mutated spelling is provable: the mutations test nothing")
			}
		})
	}
}

// TestCompositeKeys mixes types, formats and NULLs in keys of two to four columns.
func TestCompositeKeys(t *testing.T) {
	conn := connect(t)
	r := rand.New(rand.NewPCG(3, 0))
	for n := range 24 {
		var cols []KeyColumn
		var kinds []keyType
		var names []string
		var oids []uint32
		for range 2 + r.IntN(3) {
			kt := keyTypes[r.IntN(len(keyTypes))]
			kinds = append(kinds, kt)
			names = append(names, kt.name)
			oids = append(oids, kt.oid)
			cols = append(cols, KeyColumn{TypeOID: kt.oid})
		}
		stmt := prepareKey(t, conn, fmt.Sprintf("composite_%d", n), names, make([]string, len(names)), oids)
		for range 40 {
			vals := make([]Value, len(cols))
			for i, kt := range kinds {
				switch r.IntN(5) {
				case 0:
					vals[i].Null = true
				case 1, 2:
					vals[i].Data = []byte(kt.text(r))
				default:
					vals[i] = Value{Data: kt.binary(r), Format: Binary, TypeOID: kt.oid}
				}
			}
			if err := check(t, conn, stmt, cols, vals); err != nil && !errors.Is(err, ErrNotProvable) {
				t.Error(err)
			}
		}
	}
}

// TestCrossType gives values of a type other than the column's; PostgreSQL casts them.
func TestCrossType(t *testing.T) {
	conn := connect(t)
	byOID := map[uint32]keyType{NameOID: {name: "name", oid: NameOID, text: func(r *rand.Rand) string { return fmt.Sprint(r.Int64()) }}}
	for _, kt := range keyTypes {
		byOID[kt.oid] = kt
	}
	for column, values := range map[uint32][]uint32{
		Int8OID:    {Int2OID, Int4OID, Int8OID},
		Int4OID:    {Int2OID, Int4OID},
		TextOID:    {TextOID, VarcharOID, NameOID},
		VarcharOID: {TextOID, VarcharOID, NameOID},
		NumericOID: {Int2OID, Int4OID, Int8OID},
	} {
		for _, typ := range values {
			c, v := byOID[column], byOID[typ]
			r := rand.New(rand.NewPCG(4, uint64(typ)))
			stmt := prepareKey(t, conn, "cross_"+c.name+"_"+v.name, []string{c.name}, []string{""}, []uint32{typ})
			for range 100 {
				val := Value{Data: []byte(v.text(r)), TypeOID: typ}
				if err := check(t, conn, stmt, []KeyColumn{{TypeOID: column}}, []Value{val}); err != nil {
					t.Errorf("%s as %s: %v", v.name, c.name, err)
				}
			}
		}
	}
}

func TestCrossTypeNotProvable(t *testing.T) {
	all := []uint32{NameOID, 114, 3802}
	for _, kt := range keyTypes {
		all = append(all, kt.oid)
	}
	for _, kt := range keyTypes {
		for _, typ := range all {
			if typ == kt.oid || (isInteger(kt.oid) && isInteger(typ)) || (isText(kt.oid) && isText(typ)) ||
				(kt.oid == NumericOID && isInteger(typ)) {
				continue
			}
			if _, err := ShardOf([]KeyColumn{{TypeOID: kt.oid}}, []Value{{Data: []byte("1"), TypeOID: typ}}, 8); err != ErrNotProvable {
				t.Errorf("type %d for column %s: %v", typ, kt.name, err)
			}
		}
	}
}
