package integration

import "fmt"

// kind is a type of expressions that the generator makes. Values of one kind compare without conversion, have one
// scale, and are equal only if they print alike: whatever order rows come in, the answer is determined.
type kind int

const (
	kInt kind = iota
	kText
	kBool
	kNumeric // scale 2
	kDate
	kStamp
	kJSON
	kFloat   // multiples of 1/8
	kNatural // text in a collation that is not C
	kUUID
	kMood  // an enum
	kArray // of int
	kPoint // a composite type
	kinds
)

func (k kind) sqlType() string {
	return [...]string{"int", "text", "bool", "numeric", "date", "timestamptz", "jsonb", "float8", "text", "uuid", "g_mood", "int[]", "g_point"}[k]
}

// randomTable is a table that statements are made about. All have the columns of randomColumns beside their key, and
// id, which is unique in the table.
type randomTable struct {
	name    string
	key     string // its type; "" when the table is not sharded
	keyKind kind   // of k in expressions; kinds if it takes part in none
	keyCast string // what makes k one of its kind
	rows    string // k of row number i
	write   bool
}

var randomColumns = []struct {
	name string
	kind kind
	ddl  string
	rows string // of row number i
}{
	{"id", kInt, "int", "i"},
	{"i", kInt, "int", "case when i % 7 = 0 then null else i % 5 end"},
	{"s", kText, `text collate "C"`, "case when i % 6 = 0 then null else (array['a', 'b', 'B', 'ab', '', 'z'])[i % 6 + 1] end"},
	{"u", kNatural, `text collate "en-x-icu"`, "case when i % 8 = 0 then null else (array['a', 'Ä', 'b', 'A', 'ä', 'z-y', 'zy'])[i % 7 + 1] end"},
	{"n", kNumeric, "numeric(12,2)", "case when i % 9 = 0 then null else (i % 6) * 1.25 end"},
	{"f", kFloat, "float8", "case when i % 10 = 0 then null else (i % 4) * 0.125 end"},
	{"d", kDate, "date", "case when i % 11 = 0 then null else date '2024-01-30' + i % 4 end"},
	{"t", kStamp, "timestamptz", "case when i % 5 = 4 then null else timestamptz '2024-03-30 22:00+00' + (i % 6) * interval '3 hours' end"},
	{"b", kBool, "bool", "case i % 3 when 0 then null when 1 then true else false end"},
	{"j", kJSON, "jsonb", `case i % 6 when 0 then null when 1 then jsonb_build_object('a', i % 3, 'l', jsonb_build_array(i % 2, 'x')) when 2 then jsonb_build_object('a', (i % 3)::text) when 3 then '[1, {"a": 2}]' when 4 then '{"o": {"a": 1}, "a": null}' else '"s"' end`},
	{"m", kMood, "g_mood", "case when i % 5 = 2 then null else (array['low', 'mid', 'high'])[i % 3 + 1]::g_mood end"},
	{"ar", kArray, "int[]", "case when i % 6 = 1 then null when i % 6 = 2 then '{}' when i % 6 = 3 then array[i % 3, null] else array[i % 4, 2] end"},
	{"p", kPoint, "g_point", "case when i % 7 = 3 then null else row(i % 3, case when i % 4 > 0 then 'y' || i % 2 end)::g_point end"},
}

// randomTypes are made before the tables; the second to last aggregate says how its parts combine.
var randomTypes = []string{
	"create type g_mood as enum ('low', 'mid', 'high')",
	"create type g_point as (x int, y text)",
	"create function g_twice(x int) returns int language sql immutable as 'select x * 2'",
	"create aggregate g_total(int) (sfunc = int4pl, stype = int, initcond = '0', combinefunc = int4pl)",
	"create aggregate g_plain(int) (sfunc = int4larger, stype = int)",
}

// randomRoutines read the tables.
var randomRoutines = []string{
	"create function g_name(x int) returns text language sql stable as 'select min(r.s) from g_ref r where r.i = x'",
	"create function g_count(x int) returns int language sql stable as 'select count(*)::int from g_int4 q where q.i = x'",
	"create function g_found(x int) returns setof int language sql stable as 'select q.id from g_int8 q where q.i = x'",
}

var randomTables = []randomTable{
	{"g_int4", "int", kInt, "", "i", true},
	{"g_int4b", "int", kInt, "", "i + i % 2", true},
	{"g_int8", "bigint", kInt, "", "i * 3", true},
	{"g_int2", "smallint", kInt, "", "i % 12", false},
	{"g_text", `text collate "C"`, kText, "", "'k' || i", true},
	{"g_varchar", `varchar(20) collate "C"`, kText, "", "'k' || i % 9", false},
	{"g_bpchar", `char(5) collate "C"`, kText, "::text", "'k' || i", false},
	{"g_icu", `text collate "en-x-icu"`, kNatural, "", "chr(96 + i) || i % 2", true},
	{"g_uuid", "uuid", kUUID, "", "('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid", true},
	{"g_date", "date", kDate, "", "date '2024-01-01' + i", true},
	{"g_ts", "timestamp", kinds, "", "timestamp '2024-01-01' + i * interval '1 hour'", false},
	{"g_tstz", "timestamptz", kStamp, "", "timestamptz '2024-03-30 22:00+00' + i * interval '1 hour'", true},
	{"g_bool", "bool", kBool, "", "i % 2 = 0", false},
	{"g_bytea", "bytea", kinds, "", "('x' || i)::bytea", false},
	{"g_numeric", "numeric(12,2)", kNumeric, "", "i * 0.50", true},
	{"g_pair", "int", kInt, "", "i % 6", true},
	{"g_ref", "", kInt, "", "i", true},
	{"g_local", "", kInt, "", "i", true},
}

// randomViews have the columns k, id, i and s.
var randomViews = []string{
	"create view g_view as select k, id, i, s from g_int4 where i > 0",
	"create view g_joined as select a.k, b.id, a.i, b.s from g_int4 a join g_int8 b on b.id = a.id",
	"create view g_sums as select i as k, max(id) as id, count(*)::int as i, min(s) as s from g_text group by i",
}

func (t randomTable) ddl() string {
	sql := "create table " + t.name + " (k " + t.key
	if t.key == "" {
		sql = "create table " + t.name + " (k int"
	}
	for _, c := range randomColumns {
		sql += ", " + c.name + " " + c.ddl
	}
	switch {
	case t.name == "g_ref":
		return sql + ", primary key (id)) with (pleiad.reference)"
	case t.key == "":
		return sql + ")"
	case t.name == "g_pair":
		return sql + ", primary key (k, id)) partition by hash (k, id)"
	case t.unique():
		return sql + ", primary key (k)) partition by hash (k)"
	}
	return sql + ") partition by hash (k)"
}

// unique tells whether k is the table's primary key.
func (t randomTable) unique() bool {
	return t.write && t.key != "" && t.name != "g_int4b" && t.name != "g_pair"
}

// load gives the table its first rows: between 8 and 14, so that few queries take long.
func (t randomTable) load() string {
	sql := "insert into " + t.name + " select " + t.rows
	for _, c := range randomColumns {
		sql += ", " + c.rows
	}
	return sql + fmt.Sprintf(" from generate_series(1, %d) i", 8+len(t.name)%4*2)
}
