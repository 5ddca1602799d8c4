package shardmap

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// connectMurmur gives a connection to a database with the operator family; the SQL runs twice each time.
func connectMurmur(t testing.TB) *pgconn.PgConn {
	t.Helper()
	conn := connect(t)
	exec1(t, conn, Murmur3SQL())
	exec1(t, conn, Murmur3SQL())
	return conn
}

func murmurTypes() []keyType {
	var types []keyType
	for _, kt := range keyTypes {
		if Supported(kt.oid, FamilyMurmur3) {
			types = append(types, kt)
		}
	}
	return types
}

// TestMurmurFunctions compares the SQL functions with the library's, over lengths and seeds that exercise
// each carry and tail.
func TestMurmurFunctions(t *testing.T) {
	conn := connectMurmur(t)
	r := rand.New(rand.NewPCG(5, 0))
	call := func(sql string, arg []byte, seed int64) int64 {
		t.Helper()
		res := conn.ExecParams(t.Context(), sql, [][]byte{arg, []byte(strconv.FormatInt(seed, 10))}, nil, []int16{1, 0}, nil).Read()
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		n, err := strconv.ParseInt(string(res.Rows[0][0]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	seeds := []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 0x7A5B22367996DCFD, 0xffffffff, 1 << 31, 1 << 32}
	for n := range 400 {
		b := randBytes(r, n%70)
		if n%5 == 0 {
			for i := range b {
				b[i] = []byte{0, 0xff, 0x80, 0x7f}[r.IntN(4)]
			}
		}
		seed := seeds[n%len(seeds)]
		if got, want := call("SELECT pleiad.murmur3_bytes($1::bytea, $2::bigint)", b, seed), int64(murmurBytes(b, uint64(seed))); got != want {
			t.Errorf("murmur3_bytes(%x, %d) is %d, library says %d", b, seed, got, want)
		}
	}
	edges := []int64{0, 1, -1, 255, 256, math.MaxInt16, math.MinInt32, math.MaxInt32, math.MaxInt64, math.MinInt64, 1 << 32, -1 << 32}
	for n := range 400 {
		v := int64(r.Uint64())
		if n < len(edges) {
			v = edges[n]
		}
		seed := seeds[n%len(seeds)]
		text := []byte(strconv.FormatInt(v, 10))
		want, err := hashMurmur3(Int8OID, Int8OID, Text, text, uint64(seed))
		if err != nil {
			t.Fatal(err)
		}
		res := conn.ExecParams(t.Context(), "SELECT pleiad.murmur3_int8_extended($1, $2)", [][]byte{text, []byte(strconv.FormatInt(seed, 10))}, nil, nil, nil).Read()
		if res.Err != nil || string(res.Rows[0][0]) != strconv.FormatInt(int64(want), 10) {
			t.Errorf("murmur3_int8_extended(%d, %d) is %s (%v), library says %d", v, seed, res.Rows, res.Err, int64(want))
		}
	}
}

func TestMurmurHashIsPostgres(t *testing.T) {
	conn := connectMurmur(t)
	for _, kt := range murmurTypes() {
		r := rand.New(rand.NewPCG(6, uint64(kt.oid)))
		class, _ := Murmur3Opclass(kt.oid)
		stmt := prepareKey(t, conn, "murmur_"+kt.name, []string{kt.name}, []string{class}, []uint32{kt.oid})
		cols := []KeyColumn{{TypeOID: kt.oid, Family: FamilyMurmur3}}
		for range 200 {
			for _, v := range []Value{{Data: []byte(kt.text(r))}, {Data: kt.binary(r), Format: Binary}} {
				if err := check(t, conn, stmt, cols, []Value{v}); err != nil {
					t.Errorf("%s: %v", kt.name, err)
				}
			}
		}
		for _, s := range kt.edges {
			_ = check(t, conn, stmt, cols, []Value{{Data: []byte(s)}})
		}
	}
}

// TestMurmurMixedWithPostgres has a key with one column of each family.
func TestMurmurMixedWithPostgres(t *testing.T) {
	conn := connectMurmur(t)
	r := rand.New(rand.NewPCG(7, 0))
	stmt := prepareKey(t, conn, "murmur_mixed", []string{"text", "int8", "int4"},
		[]string{"pleiad.murmur3_text_ops", "", "pleiad.murmur3_int4_ops"}, []uint32{TextOID, Int8OID, Int4OID})
	cols := []KeyColumn{{TextOID, FamilyMurmur3}, {Int8OID, FamilyPostgres}, {Int4OID, FamilyMurmur3}}
	for range 200 {
		vals := []Value{{Data: []byte(randText(r))}, {Data: []byte(intText(64)(r))}, {Null: r.IntN(2) == 0, Data: []byte(intText(32)(r))}}
		if err := check(t, conn, stmt, cols, vals); err != nil {
			t.Error(err)
		}
	}
}

// TestMurmurRouting puts rows through PostgreSQL's own routing and reads with its own pruning.
func TestMurmurRouting(t *testing.T) {
	conn := connectMurmur(t)
	const modulus = 8
	for _, kt := range murmurTypes() {
		class, _ := Murmur3Opclass(kt.oid)
		table := "routed_" + kt.name
		exec1(t, conn, fmt.Sprintf("CREATE TEMP TABLE %s (k %s PRIMARY KEY) PARTITION BY HASH (k %s)", table, kt.name, class))
		for i := range modulus {
			exec1(t, conn, fmt.Sprintf("CREATE TEMP TABLE %[1]s_%[2]d PARTITION OF %[1]s FOR VALUES WITH (MODULUS %[3]d, REMAINDER %[2]d)", table, i, modulus))
		}
		r := rand.New(rand.NewPCG(8, uint64(kt.oid)))
		insert := fmt.Sprintf("INSERT INTO %s VALUES ($1) ON CONFLICT DO NOTHING", table)
		find := fmt.Sprintf("SELECT tableoid::regclass FROM %s WHERE k = $1", table)
		used := map[uint32]bool{}
		for range 60 {
			v := Value{Data: []byte(kt.text(r))}
			shard, err := ShardOf([]KeyColumn{{kt.oid, FamilyMurmur3}}, []Value{v}, modulus)
			if err != nil {
				t.Fatal(err)
			}
			used[shard] = true
			if res := conn.ExecParams(t.Context(), insert, [][]byte{v.Data}, nil, nil, nil).Read(); res.Err != nil {
				t.Fatal(res.Err)
			}
			res := conn.ExecParams(t.Context(), find, [][]byte{v.Data}, nil, nil, nil).Read()
			if want := fmt.Sprintf("%s_%d", table, shard); res.Err != nil || len(res.Rows) != 1 || string(res.Rows[0][0]) != want {
				t.Errorf("%s %q is in %s (%v), expected %s", kt.name, v.Data, res.Rows, res.Err, want)
			}
		}
		if len(used) != modulus {
			t.Errorf("%s: 60 rows fell on %d of %d shards", kt.name, len(used), modulus)
		}
	}
	// A comparison with another width prunes to the one partition that Go names.
	shard, err := ShardOf([]KeyColumn{{Int4OID, FamilyMurmur3}}, []Value{{Data: []byte("42"), TypeOID: Int8OID}}, modulus)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"int2", "int4", "int8"} {
		plan := explain(t, conn, fmt.Sprintf("SELECT FROM routed_int4 WHERE k = 42::%s", typ))
		if !strings.Contains(plan, fmt.Sprintf("routed_int4_%d", shard)) || strings.Count(plan, " on routed_int4_") != 1 {
			t.Errorf("plan for %s does not prune to shard %d:\n%s", typ, shard, plan)
		}
	}
}

// TestMurmurNotForJoins holds the family's reason to lack support function 1.
func TestMurmurNotForJoins(t *testing.T) {
	conn := connectMurmur(t)
	exec1(t, conn, "CREATE TEMP TABLE joined AS SELECT i::int4 AS i FROM generate_series(1, 1000) i; ANALYZE joined")
	plan := explain(t, conn, "SELECT count(*) FROM joined a JOIN joined b USING (i)")
	if !strings.Contains(plan, "Hash Join") {
		t.Errorf("hash joins no longer work beside the family:\n%s", plan)
	}
	res := conn.ExecParams(t.Context(), "SELECT count(*) FROM joined a JOIN joined b USING (i)", nil, nil, nil, nil).Read()
	if res.Err != nil || string(res.Rows[0][0]) != "1000" {
		t.Errorf("join gives %s (%v)", res.Rows, res.Err)
	}
}

// TestMurmurSearchPath has an operator of the user's own stand before pg_catalog's.
func TestMurmurSearchPath(t *testing.T) {
	conn := connectMurmur(t)
	exec1(t, conn, `BEGIN; CREATE SCHEMA evil;
		CREATE FUNCTION evil.wrong(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7::bigint';
		CREATE OPERATOR evil.+ (FUNCTION = evil.wrong, LEFTARG = bigint, RIGHTARG = bigint);
		CREATE OPERATOR evil.# (FUNCTION = evil.wrong, LEFTARG = bigint, RIGHTARG = bigint);
		SET LOCAL search_path = evil, pg_catalog`)
	want, _ := hashMurmur3(Int4OID, Int4OID, Text, []byte("5"), 9)
	for _, sql := range []string{"SELECT pleiad.murmur3_int4_extended(5, 9)", "SELECT pleiad.murmur3_int2_extended(5::int2, 9)"} {
		res := conn.ExecParams(t.Context(), sql, nil, nil, nil, nil).Read()
		if res.Err != nil || string(res.Rows[0][0]) != strconv.FormatInt(int64(want), 10) {
			t.Errorf("%s gives %s (%v), want %d", sql, res.Rows, res.Err, int64(want))
		}
	}
	exec1(t, conn, "ROLLBACK")
}

func explain(t *testing.T, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	res := conn.ExecParams(t.Context(), "EXPLAIN (COSTS OFF) "+sql, nil, nil, nil, nil).Read()
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	var lines []string
	for _, row := range res.Rows {
		lines = append(lines, string(row[0]))
	}
	return strings.Join(lines, "\n")
}

func BenchmarkMurmurSQL(b *testing.B) {
	conn := connectMurmur(b)
	for _, expr := range []string{"hashint8extended(i, 1)", "pleiad.murmur3_int8_extended(i, 1)", "pleiad.murmur3_int4_extended(i::int4, 1)",
		"pleiad.murmur3_text_extended('room-' || i, 1)", "pleiad.murmur3_text_extended(repeat('x', 100), i)"} {
		b.Run(expr, func(b *testing.B) {
			res := conn.ExecParams(b.Context(), fmt.Sprintf("SELECT count(%s) FROM generate_series(1::int8, %d) i", expr, b.N), nil, nil, nil, nil).Read()
			if res.Err != nil {
				b.Fatal(res.Err)
			}
		})
	}
}
