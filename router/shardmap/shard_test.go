package shardmap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// hotCases are the key values of the routing path; none may allocate.
var hotCases = []struct {
	name string
	col  KeyColumn
	val  Value
}{
	{"int8 text", KeyColumn{Int8OID, FamilyPostgres}, Value{Data: []byte("1234567890123")}},
	{"int8 binary", KeyColumn{Int8OID, FamilyPostgres}, Value{Data: make([]byte, 8), Format: Binary, TypeOID: Int8OID}},
	{"int4 text", KeyColumn{Int4OID, FamilyPostgres}, Value{Data: []byte("-77")}},
	{"text", KeyColumn{TextOID, FamilyPostgres}, Value{Data: []byte("room-4711-of-the-house")}},
	{"uuid text", KeyColumn{UUIDOID, FamilyPostgres}, Value{Data: []byte("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")}},
	{"uuid binary", KeyColumn{UUIDOID, FamilyPostgres}, Value{Data: make([]byte, 16), Format: Binary}},
	{"bytea text", KeyColumn{ByteaOID, FamilyPostgres}, Value{Data: []byte(`\xdeadbeef`)}},
	{"numeric text", KeyColumn{NumericOID, FamilyPostgres}, Value{Data: []byte("12345.6789e3")}},
	{"numeric int", KeyColumn{NumericOID, FamilyPostgres}, Value{Data: []byte("12345"), TypeOID: Int4OID}},
	{"timestamptz text", KeyColumn{TimestamptzOID, FamilyPostgres}, Value{Data: []byte("2024-01-02 03:04:05.678+02")}},
	{"date text", KeyColumn{DateOID, FamilyPostgres}, Value{Data: []byte("2024-01-02")}},
	{"bool text", KeyColumn{BoolOID, FamilyPostgres}, Value{Data: []byte("true")}},
	{"murmur int8 text", KeyColumn{Int8OID, FamilyMurmur3}, Value{Data: []byte("1234567890123")}},
	{"murmur text", KeyColumn{TextOID, FamilyMurmur3}, Value{Data: []byte("room-4711-of-the-house")}},
	{"murmur uuid text", KeyColumn{UUIDOID, FamilyMurmur3}, Value{Data: []byte("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")}},
}

func TestShardOfAllocatesNothing(t *testing.T) {
	for _, c := range hotCases {
		cols, vals := []KeyColumn{c.col}, []Value{c.val}
		if n := testing.AllocsPerRun(100, func() {
			if _, err := ShardOf(cols, vals, 32); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func BenchmarkShardOf(b *testing.B) {
	for _, c := range hotCases {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			cols, vals := []KeyColumn{c.col}, []Value{c.val}
			for b.Loop() {
				if _, err := ShardOf(cols, vals, 32); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestShardOfRefusesWrongCalls(t *testing.T) {
	one := []Value{{Data: []byte("1")}}
	for name, call := range map[string]func() (uint32, error){
		"modulus 0":        func() (uint32, error) { return ShardOf([]KeyColumn{{TypeOID: Int4OID}}, one, 0) },
		"no columns":       func() (uint32, error) { return ShardOf(nil, nil, 8) },
		"counts":           func() (uint32, error) { return ShardOf([]KeyColumn{{TypeOID: Int4OID}, {TypeOID: Int4OID}}, one, 8) },
		"unsupported type": func() (uint32, error) { return ShardOf([]KeyColumn{{TypeOID: 3802}}, one, 8) },
		"unsupported murmur": func() (uint32, error) {
			return ShardOf([]KeyColumn{{TypeOID: NumericOID, Family: FamilyMurmur3}}, one, 8)
		},
		"family": func() (uint32, error) { return ShardOf([]KeyColumn{{TypeOID: Int4OID, Family: 2}}, one, 8) },
		"format": func() (uint32, error) {
			return ShardOf([]KeyColumn{{TypeOID: Int4OID}}, []Value{{Data: []byte("1"), Format: 2}}, 8)
		},
	} {
		_, err := call()
		var text *InvalidTextError
		var bin *InvalidBinaryError
		if err == nil || errors.Is(err, ErrNotProvable) || errors.As(err, &text) || errors.As(err, &bin) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProvable fixes which spellings must be answered here, as ErrNotProvable everywhere would pass the
// comparisons with PostgreSQL too.
func TestProvable(t *testing.T) {
	const invalid, unsure = "invalid", "not provable"
	for _, c := range []struct {
		oid  uint32
		text string
		want string // "" is a shard
	}{
		{Int4OID, " -42 ", ""}, {Int4OID, "2147483648", invalid}, {Int4OID, "0x10", unsure}, {Int4OID, "1_0", unsure}, {Int4OID, "x", invalid},
		{Int8OID, "-9223372036854775808", ""}, {Int8OID, "9223372036854775808", invalid},
		{BoolOID, " YES ", ""}, {BoolOID, "o", invalid}, {UUIDOID, "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", ""}, {UUIDOID, "a0", invalid},
		{ByteaOID, `\x 0A`, ""}, {ByteaOID, `a\\\101`, ""}, {ByteaOID, `\9`, invalid},
		{NumericOID, "-1.50e-3", ""}, {NumericOID, "NaN", ""}, {NumericOID, "-Infinity", ""}, {NumericOID, "1e 5", unsure},
		{NumericOID, "1e-16383", ""}, {NumericOID, "1e-16384", unsure}, {NumericOID, "1..", invalid}, {NumericOID, "-nan", invalid},
		{DateOID, "2024-02-29", ""}, {DateOID, "infinity", ""}, {DateOID, "epoch", ""}, {DateOID, "2023-02-29", unsure},
		{DateOID, "1/2/2003", unsure}, {DateOID, "today", unsure}, {DateOID, "2024-01-02 03:04:05", unsure},
		{TimestampOID, "2024-01-02", ""}, {TimestampOID, "2024-01-02T03:04:05.123456", ""}, {TimestampOID, "2024-01-02 03:04:05.1234567", unsure},
		{TimestampOID, "2024-01-02 03:04:05+02", ""}, {TimestampOID, "now", unsure}, {TimestampOID, "-infinity", ""},
		{TimestamptzOID, "2024-01-02 03:04:05", unsure}, {TimestamptzOID, "2024-01-02", unsure}, {TimestamptzOID, "2024-01-02 03:04:05Z", ""},
		{TimestamptzOID, "2024-01-02T03:04:05.5-08:30", ""}, {TimestamptzOID, "2024-01-02 03:04:05 UTC", unsure}, {TimestamptzOID, "epoch", ""},
	} {
		_, err := ShardOf([]KeyColumn{{TypeOID: c.oid}}, []Value{{Data: []byte(c.text)}}, 32)
		got := ""
		var text *InvalidTextError
		switch {
		case errors.Is(err, ErrNotProvable):
			got = unsure
		case errors.As(err, &text) && text.TypeOID == c.oid:
			got = invalid
		case err != nil:
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("type %d %q: %q, want %q", c.oid, c.text, got, c.want)
		}
	}
}

// TestEqualValuesHashAlike: spellings of one value, and scale and sign where they do not count.
func TestEqualValuesHashAlike(t *testing.T) {
	for oid, groups := range map[uint32][][]string{
		NumericOID: {{"0", "-0", "0.000", "0e50", ".0"}, {"1", "1.0", "1.000000", "10e-1", "0.1e1", "+1", "0001"}, {"12000", "1.2e4", "12000.00"}, {"nan", "NaN"}},
		BpcharOID:  {{"a", "a ", "a    "}, {"", "   "}},
		UUIDOID:    {{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"}},
		BoolOID:    {{"t", "on", "1", "YES"}, {"f", "of", "0", "no"}},
		ByteaOID:   {{`\x41`, `A`, `\101`}},
		TimestamptzOID: {{"2024-01-02 03:04:05Z", "2024-01-02T05:04:05.000+02", "2024-01-01 23:04:05-04:00"},
			{"epoch", "1970-01-01 00:00:00Z"}},
	} {
		for _, group := range groups {
			var first uint64
			for i, s := range group {
				h, err := Hash([]KeyColumn{{TypeOID: oid}}, []Value{{Data: []byte(s)}})
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					first = h
				} else if h != first {
					t.Errorf("type %d: %q hashes unlike %q", oid, s, group[0])
				}
			}
		}
	}
}

// TestStoresUnchanged lets PostgreSQL store values in columns with modifiers: where StoresUnchanged says
// yes, the stored value's shard is that of the value given.
func TestStoresUnchanged(t *testing.T) {
	conn := connect(t)
	r := rand.New(rand.NewPCG(17, 0))
	byName := map[string]keyType{}
	for _, kt := range keyTypes {
		byName[kt.name] = kt
	}
	for n, typ := range []string{"varchar(5)", "bpchar(5)", "numeric(20,3)", "numeric(40,0)", "numeric(5,-2)", "timestamp(0)", "timestamptz(3)", "timestamp(6)", "int4", "text"} {
		kt := byName[strings.Split(typ, "(")[0]]
		table := fmt.Sprintf("stored_%d", n)
		exec1(t, conn, fmt.Sprintf("CREATE TEMP TABLE %s (k %s) PARTITION BY HASH (k)", table, typ))
		read := func(sql string, args ...[]byte) (string, error) {
			res := conn.ExecParams(t.Context(), sql, args, nil, nil, nil).Read()
			if res.Err != nil || len(res.Rows) != 1 {
				return "", res.Err
			}
			return string(res.Rows[0][0]), nil
		}
		mod, err := read("SELECT atttypmod FROM pg_attribute WHERE attname = 'k' AND attrelid = '" + table + "'::regclass")
		if err != nil {
			t.Fatal(err)
		}
		typmod, err := strconv.Atoi(mod)
		if err != nil {
			t.Fatal(err)
		}
		exec1(t, conn, fmt.Sprintf("CREATE TEMP TABLE %[1]s_in (k %[2]s)", table, typ))
		yes := 0
		for range 400 {
			v := Value{Data: []byte(kt.text(r))}
			switch r.IntN(4) {
			case 0:
				v.Data = []byte([]string{"ab", "abcde", "abcde ", "ab   ", "éééééé", "ééééé"}[r.IntN(6)])
			case 1:
				v.Data = []byte([]string{"1.5", "1.2345", "100", "150", "12.1230", "2024-01-02 03:04:05.5Z", "2024-01-02 03:04:05.0001Z"}[r.IntN(7)])
			}
			col := KeyColumn{TypeOID: kt.oid}
			if !StoresUnchanged(col, int32(typmod), &v) {
				continue
			}
			shard, err := ShardOf([]KeyColumn{col}, []Value{v}, testModulus)
			if err != nil {
				continue
			}
			exec1(t, conn, "TRUNCATE "+table+"_in")
			if _, err := read("INSERT INTO "+table+"_in VALUES ($1)", v.Data); err != nil {
				continue // PostgreSQL refuses the value: too many digits
			}
			yes++
			ok, err := read(fmt.Sprintf("SELECT satisfies_hash_partition('%[1]s'::regclass, %[2]d, %[3]d, k) FROM %[1]s_in", table, testModulus, shard))
			if err != nil || ok != "t" {
				t.Errorf("%s: stored %q is not on shard %d: %v", typ, v.Data, shard, err)
			}
		}
		if wantNone := typ == "numeric(5,-2)"; (yes == 0) != wantNone {
			t.Errorf("%s: %d values provably stored unchanged", typ, yes)
		}
	}
}
