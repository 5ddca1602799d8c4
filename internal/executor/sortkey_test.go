package executor

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/router"
)

// sortType is a type whose order is reproduced: its oid, extreme values, and more values by chance.
type sortType struct {
	name   string
	oid    uint32
	fixed  []string
	random func(r *rand.Rand) string
}

var sortTypes = slices.Concat(scalarTypes, partedTypes)

var scalarTypes = []sortType{
	{"bool", oidBool, []string{"t", "f"}, func(r *rand.Rand) string { return []string{"t", "f"}[r.IntN(2)] }},
	{"bytea", oidBytea, []string{`\x`, `\x00`, `\x0000`, `\xff`, `\x7f`, `\x80`}, func(r *rand.Rand) string { return fmt.Sprintf(`\x%x`, randomBytes(r, 5, 256)) }},
	{`"char"`, oidChar, []string{"a", "z", "A", ""}, func(r *rand.Rand) string { return fmt.Sprintf(`\%o`, 128+r.IntN(128)) }},
	{"name", oidName, []string{"", "a", "B", "é", "~"}, randomText},
	{"int2", oidInt2, []string{"-32768", "32767", "0", "-1", "1"}, func(r *rand.Rand) string { return fmt.Sprint(int16(r.Uint32())) }},
	{"int4", oidInt4, []string{"-2147483648", "2147483647", "0", "-1"}, func(r *rand.Rand) string { return fmt.Sprint(int32(r.Uint32())) }},
	{"int8", oidInt8, []string{"-9223372036854775808", "9223372036854775807", "0", "-1"}, func(r *rand.Rand) string { return fmt.Sprint(int64(r.Uint64())) }},
	{"oid", oidOID, []string{"0", "4294967295", "2147483648", "2147483647"}, func(r *rand.Rand) string { return fmt.Sprint(r.Uint32()) }},
	{"float4", oidFloat4, []string{"NaN", "Infinity", "-Infinity", "0", "-0", "1e-45", "-1e-45", "3.4028235e38", "-3.4028235e38"},
		func(r *rand.Rand) string {
			return fmt.Sprint(float32(r.NormFloat64() * math.Pow(10, float64(r.IntN(70)-35))))
		}},
	{"float8", oidFloat8, []string{"NaN", "Infinity", "-Infinity", "0", "-0", "5e-324", "-5e-324", "1.7976931348623157e308", "-1.7976931348623157e308"},
		func(r *rand.Rand) string { return fmt.Sprint(r.NormFloat64() * math.Pow(10, float64(r.IntN(600)-300))) }},
	{"money", oidMoney, []string{"-92233720368547758.08", "92233720368547758.07", "0", "-0.01"},
		func(r *rand.Rand) string { return fmt.Sprintf("%d.%02d", r.IntN(2000)-1000, r.IntN(100)) }},
	{"numeric", oidNumeric, []string{"NaN", "Infinity", "-Infinity", "0", "0.000", "-0.0", "1", "1.0", "1.000000", "9999", "10000", "10001",
		"99999999", "100000000", "0.0001", "0.00001", "0.00010000", "-0.0001", "-10000", "-9999.9999", "1e1000", "-1e1000", "1e-1000",
		"12345678901234567890.123456789", "12345678901234567890.1234567890", "0.00009999", "10000.0001", "100000001"}, randomNumeric},
	{"date", oidDate, []string{"-infinity", "infinity", "4713-01-01 BC", "0001-12-31 BC", "0001-01-01", "2000-01-01", "1999-12-31", "5874897-12-31"},
		func(r *rand.Rand) string {
			return fmt.Sprintf("%04d-%02d-%02d%s", 1+r.IntN(4000), 1+r.IntN(12), 1+r.IntN(28), era(r))
		}},
	{"time", oidTime, []string{"00:00", "24:00", "23:59:59.999999"}, randomTime},
	{"timetz", oidTimetz, []string{"00:00+00", "24:00-15:59", "00:00+15:59", "12:00+01", "11:00+00", "13:00+02", "10:00-01"},
		func(r *rand.Rand) string { return fmt.Sprintf("%02d:00%+03d", r.IntN(24), r.IntN(24)-12) }},
	{"timestamp", oidTimestamp, []string{"-infinity", "infinity", "4713-01-01 00:00:00 BC", "0001-12-31 23:59:59.999999 BC", "294276-12-31 23:59:59.999999", "2000-01-01", "1999-12-31 23:59:59.999999"}, randomStamp},
	{"timestamptz", oidTimestamptz, []string{"-infinity", "infinity", "4713-01-01 00:00:00+00 BC", "2000-01-01 00:00+00", "2000-01-01 00:00+01"},
		func(r *rand.Rand) string { return randomStamp(r) }},
	{"interval", oidInterval, []string{"0", "1 mon", "30 days", "30 days 1 us", "29 days 24:00:00", "29 days 23:59:59.999999", "-1 mon", "-30 days",
		"1 mon -30 days", "1 mon -30 days -1 us", "178000000 years", "-178000000 years", "2147483647 days", "-2147483648 days",
		"9223372036854775807 us", "-9223372036854775807 us", "-1 us", "1 day -24:00:00"},
		func(r *rand.Rand) string {
			return fmt.Sprintf("%d mon %d days %d us", r.IntN(9)-4, r.IntN(200)-100, r.Int64N(8e12)-4e12)
		}},
	{"uuid", oidUUID, []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
		func(r *rand.Rand) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), r.Uint32()) }},
	{"pg_lsn", oidLSN, []string{"0/0", "FFFFFFFF/FFFFFFFF", "7FFFFFFF/FFFFFFFF", "80000000/0"},
		func(r *rand.Rand) string { return fmt.Sprintf("%X/%X", r.Uint32(), r.Uint32()) }},
	{"xid8", oidXid8, []string{"0", "18446744073709551615", "9223372036854775808"}, func(r *rand.Rand) string { return fmt.Sprint(r.Uint64()) }},
	{"macaddr", oidMacaddr, []string{"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "80:00:00:00:00:00"},
		func(r *rand.Rand) string { return fmt.Sprintf("%012x", r.Uint64()>>16) }},
	{"macaddr8", oidMacaddr8, []string{"00:00:00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff:ff:ff"},
		func(r *rand.Rand) string { return fmt.Sprintf("%016x", r.Uint64()) }},
	{`text COLLATE "C"`, oidText, []string{"", " ", "a", "A", "a ", "é", "e", "z", "中", "\U0001f600", "\uffff"}, randomText},
	{`varchar COLLATE "C"`, oidVarchar, []string{"", " ", "a", "a ", "a  "}, randomText},
	{`char(6) COLLATE "C"`, oidBpchar, []string{"", "a", "a b", "a\t", "a!", "é"}, randomText},
}

func era(r *rand.Rand) string { return []string{"", " BC"}[r.IntN(2)] }

func randomBytes(r *rand.Rand, n, limit int) []byte {
	b := make([]byte, r.IntN(n))
	for i := range b {
		b[i] = byte(r.IntN(limit))
	}
	return b
}

func randomText(r *rand.Rand) string {
	letters := []rune("aAbBzZ éÉß-_.0中\U0001f600\t~")
	out := make([]rune, r.IntN(6))
	for i := range out {
		out[i] = letters[r.IntN(len(letters))]
	}
	return string(out)
}

func randomNumeric(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(2) == 0 {
		b.WriteByte('-')
	}
	digits := func(n int) {
		for range n {
			b.WriteByte("00000129"[r.IntN(8)])
		}
	}
	b.WriteByte('0')
	digits(r.IntN(14))
	b.WriteByte('.')
	b.WriteByte('0')
	digits(r.IntN(14))
	return b.String()
}

func randomTime(r *rand.Rand) string {
	return fmt.Sprintf("%02d:%02d:%02d.%06d", r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6))
}

func randomStamp(r *rand.Rand) string {
	return fmt.Sprintf("%04d-%02d-%02d %s%s", 1+r.IntN(3000), 1+r.IntN(12), 1+r.IntN(28), randomTime(r), era(r))
}

// byteCollations proves the collations that are byte order.
type byteCollations struct{}

func (byteCollations) Compare(string) (func(a, b []byte) int, bool) { return bytes.Compare, true }

// serverOrder gives binary values in the order of the server's ORDER BY.
func serverOrder(t *testing.T, conn *pgx.Conn, expr string, values []string, order string) [][]byte {
	t.Helper()
	list := make([]*string, len(values), len(values)+2)
	for i := range values {
		list[i] = &values[i]
	}
	list = append(list, nil, nil)
	cast, collate, _ := strings.Cut(expr, " COLLATE ")
	if collate != "" {
		collate = " COLLATE " + collate
	}
	sql := fmt.Sprintf("SELECT v FROM (SELECT x::%s%s AS v FROM unnest($1::text[]) x) s ORDER BY v %s", cast, collate, order)
	rows, err := conn.Query(t.Context(), sql, pgx.QueryResultFormats{1}, list)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out [][]byte
	for rows.Next() {
		if v := rows.RawValues()[0]; v == nil {
			out = append(out, nil)
		} else {
			out = append(out, append([]byte{}, v...))
		}
	}
	if rows.Err() != nil {
		t.Fatalf("%s: %v", sql, rows.Err())
	}
	return out
}

// checkOrder holds the comparator against the server's order: no pair is out of order, and what the comparator calls
// equal is equal there.
func checkOrder(t *testing.T, c comparator, got [][]byte) {
	t.Helper()
	for i := range got {
		if got[i] != nil {
			if err := c.check(got[i]); err != nil {
				t.Fatalf("value %x: %v", got[i], err)
			}
		}
		for j := range got[:i] {
			if c.compare(got[j], got[i]) > 0 || c.compare(got[i], got[j]) < 0 {
				t.Fatalf("the server puts %x before %x", got[j], got[i])
			}
		}
	}
	if !slices.IsSortedFunc(got, c.compare) {
		t.Fatal("not sorted")
	}
}

func TestOrderIsTheServers(t *testing.T) {
	conn := postgres(t)
	r := random(20)
	for _, typ := range sortTypes {
		values := slices.Clone(typ.fixed)
		for range 300 {
			values = append(values, typ.random(r))
		}
		for _, key := range []router.SortKey{{}, {NullsFirst: true}, {Desc: true}, {Desc: true, NullsFirst: true}} {
			order := "ASC"
			if key.Desc {
				order = "DESC"
			}
			if key.NullsFirst {
				order += " NULLS FIRST"
			} else {
				order += " NULLS LAST"
			}
			c, err := newComparator(typ.oid, key, byteCollations{})
			if err != nil {
				t.Fatal(err)
			}
			t.Run(typ.name+" "+order, func(t *testing.T) {
				checkOrder(t, c, serverOrder(t, conn, typ.name, values, order))
			})
		}
	}
}

// TestEqualityIsTheServers: ties go on to the next sort column, so they must be the server's.
func TestEqualityIsTheServers(t *testing.T) {
	conn := postgres(t)
	r := random(21)
	for _, typ := range sortTypes {
		values := slices.Clone(typ.fixed)
		for range 40 {
			values = append(values, typ.random(r))
		}
		c, err := newComparator(typ.oid, router.SortKey{}, byteCollations{})
		if err != nil {
			t.Fatal(err)
		}
		cast, collate, _ := strings.Cut(typ.name, " COLLATE ")
		if collate != "" {
			collate = " COLLATE " + collate
		}
		sql := fmt.Sprintf(`SELECT a::%[1]s, b::%[1]s, a::%[1]s%[2]s = b::%[1]s FROM unnest($1::text[]) a, unnest($1::text[]) b`, cast, collate)
		rows, err := conn.Query(t.Context(), sql, pgx.QueryResultFormats{1}, values)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			v := rows.RawValues()
			if equal := v[2][0] == 1; equal != (c.compare(v[0], v[1]) == 0) {
				t.Errorf("%s: %x = %x is %v on the server", typ.name, v[0], v[1], equal)
			}
		}
		if rows.Err() != nil {
			t.Fatalf("%s: %v", typ.name, rows.Err())
		}
	}
}

// TestProvenCollationsOrderAsTheServer takes every collation of the server that is proved here.
func TestProvenCollationsOrderAsTheServer(t *testing.T) {
	conn := postgres(t)
	rows, err := conn.Query(t.Context(), `SELECT collname, collprovider::text, coalesce(collcollate, ''), coalesce(pg_collation_actual_version(oid), ''), collisdeterministic
		FROM pg_collation WHERE collencoding IN (-1, pg_char_to_encoding('UTF8'))`)
	if err != nil {
		t.Fatal(err)
	}
	type collation struct {
		Name, Provider, Locale, Version string
		Deterministic                   bool
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[collation])
	if err != nil {
		t.Fatal(err)
	}
	r := random(22)
	proved := map[string]bool{}
	for _, c := range list {
		order := ProveCollation(c.Provider, c.Locale, c.Version, c.Deterministic)
		if order == nil {
			continue
		}
		proved[c.Name] = true
		var values []string
		for range 300 {
			values = append(values, randomText(r))
		}
		got := serverOrder(t, conn, `text COLLATE "`+c.Name+`"`, values, "")
		checkOrder(t, comparator{order: order}, got)
	}
	if !proved["C"] || !proved["POSIX"] {
		t.Errorf("proved %v", proved)
	}
}

func TestUnprovedCollationsAreRefused(t *testing.T) {
	for _, c := range []struct {
		provider, locale, version string
		deterministic             bool
	}{
		{"i", "en", "1", true}, {"d", "", "", true}, {"c", "C", "", false}, {"c", "en_US.UTF-8", "", true},
		{"c", "en_US.UTF-8", "1.0", true}, {"c", "no_SUCH", libcVersion(), true},
	} {
		if ProveCollation(c.provider, c.locale, c.version, c.deterministic) != nil {
			t.Errorf("%+v is taken for proved", c)
		}
	}
}

func TestTypesWithoutAKnownOrderAreRefused(t *testing.T) {
	for _, oid := range []uint32{114, 600, 2249, 3614, 199, 16385, 0} {
		if _, err := newComparator(oid, router.SortKey{}, byteCollations{}); err == nil {
			t.Errorf("type %d sorts", oid)
		}
	}
}

func TestMalformedSortValuesAreErrors(t *testing.T) {
	for _, typ := range sortTypes {
		c, err := newComparator(typ.oid, router.SortKey{}, byteCollations{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 24 {
			v := make([]byte, n)
			if c.check(v) == nil {
				_ = c.compare(v, v) // must not panic
			}
		}
	}
	c, err := newComparator(oidNumeric, router.SortKey{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range [][]byte{{}, {0, 1, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 1}, {0, 1, 0, 0, 0x12, 0x34, 0, 0, 0, 1}} {
		if c.check(v) == nil {
			t.Errorf("numeric %x is taken", v)
		}
	}
}

// TestAServerSkipsAQueryBehindAFailedBegin holds the fake's rule of ignore_till_sync against PostgreSQL.
func TestAServerSkipsAQueryBehindAFailedBegin(t *testing.T) {
	conn := postgres(t)
	if _, err := conn.Exec(t.Context(), "CREATE TEMP TABLE begun (a int)"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ begin, status string }{{"BEGIN", "T"}, {"BEGIN ISOLATION LEVEL SERIALISABLE", "I"}} {
		nc := conn.PgConn().Conn()
		m := member(nc)
		g := &Gang{}
		g.Begin(TxnExplicit, c.begin)
		if err := g.begin(m); err != nil {
			t.Fatal(err)
		}
		m.Query([]byte("INSERT INTO begun VALUES (1)"))
		o, err := Relay(m, newDiscard(), &watcher{})
		if err != nil || (o.Skipped != nil) != (c.status == "I") || string(m.Status) != c.status || m.Owed != 0 {
			t.Fatalf("%s: %+v, status %c, owed %d, %v", c.begin, o, m.Status, m.Owed, err)
		}
		m.Finishing("ROLLBACK")
		if _, err := Relay(m, newDiscard(), &watcher{}); err != nil || m.Status != 'I' {
			t.Fatal(err, m.Status)
		}
		rows, errFrame, err := m.Ask("SELECT count(*) FROM begun")
		if err != nil || errFrame != nil || string(rows[0][0]) != "0" {
			t.Fatalf("%s: %s rows, %v", c.begin, rows, err)
		}
	}
}

// TestAResetRoleDoesNotComeBack: RESET ALL and DISCARD ALL alone leave a role that a ROLLBACK may bring back.
func TestAResetRoleDoesNotComeBack(t *testing.T) {
	conn := postgres(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec("DROP ROLE IF EXISTS reset_a; CREATE ROLE reset_a; DROP ROLE IF EXISTS reset_b; CREATE ROLE reset_b")
	for _, reset := range [][]string{{"RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"}, {"DISCARD ALL", "RESET ROLE"}} {
		exec("SET ROLE reset_a")
		for _, sql := range reset {
			exec(sql)
		}
		exec("BEGIN; SET ROLE reset_b")
		exec("ROLLBACK")
		var user, role string
		if err := conn.QueryRow(t.Context(), "SELECT current_user::text, current_setting('role')", pgx.QueryExecModeSimpleProtocol).Scan(&user, &role); err != nil {
			t.Fatal(err)
		}
		if user != "postgres" || role != "none" {
			t.Errorf("after %v: user %s, role %s", reset, user, role)
		}
	}
}
