package router

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
	"github.com/pleiad/pleiad/router/shardmap"
)

// typedColumns are the columns of the one sharded table of TestCombineExact.
var typedColumns = []struct {
	name, typ string
	oid       uint32
	coll      string
	value     func(r *rand.Rand) string
}{
	{"k", "int4", 23, "", func(r *rand.Rand) string { return strconv.Itoa(r.IntN(1000)) }},
	{"a", "int2", 21, "", func(r *rand.Rand) string { return strconv.Itoa(r.IntN(65536) - 32768) }},
	{"b", "int4", 23, "", func(r *rand.Rand) string { return strconv.Itoa(r.IntN(7)) }},
	{"c", "int8", 20, "", func(r *rand.Rand) string { return strconv.FormatInt(int64(r.Uint64()), 10) }},
	{"n", "numeric", 1700, "", randomNumeric},
	{"nn", "numeric(8,3)", 1700, "", func(r *rand.Rand) string { return strconv.Itoa(r.IntN(5)) + "." + strconv.Itoa(r.IntN(3)) }},
	{"f", "float8", 701, "", func(r *rand.Rand) string { return fmt.Sprint(float64(r.IntN(64)) / 4) }},
	{"f4", "float4", 700, "", func(r *rand.Rand) string { return fmt.Sprint(float64(r.IntN(64)) / 4) }},
	{"x", "text", 25, "default", randomText},
	{"y", `text COLLATE "C"`, 25, "C", randomText},
	{"v", "varchar(4)", 1043, "default", func(r *rand.Rand) string { return string("aBcÄ"[r.IntN(3)]) + strconv.Itoa(r.IntN(3)) }},
	{"ch", "char(3)", 1042, "default", func(r *rand.Rand) string { return string("pqr"[r.IntN(3)]) }},
	{"t", "bool", 16, "", func(r *rand.Rand) string { return strconv.FormatBool(r.IntN(2) == 0) }},
	{"d", "date", 1082, "", func(r *rand.Rand) string { return fmt.Sprintf("2024-01-%02d", 1+r.IntN(9)) }},
	{"at", "timestamptz", 1184, "", func(r *rand.Rand) string { return fmt.Sprintf("2024-03-01 0%d:00:00.123456+00", r.IntN(9)) }},
	{"iv", "interval", 1186, "", func(r *rand.Rand) string {
		return fmt.Sprintf("%d days %d.5 sec", r.IntN(20)-10, r.IntN(9)) // equal ones are written alike
	}},
	{"arr", "int4[]", 1007, "", func(r *rand.Rand) string { return fmt.Sprintf("{%d,NULL,%d}", r.IntN(3), r.IntN(2)) }},
	{"txt", "text[]", 1009, "default", func(r *rand.Rand) string { return `{"a\"b,",` + strconv.Itoa(r.IntN(3)) + "}" }},
	{"js", "jsonb", 3802, "", func(r *rand.Rand) string {
		return fmt.Sprintf(`{"a": %d, "s": "w%d", "in": {"x": [%d]}}`, r.IntN(4), r.IntN(4), r.IntN(3))
	}},
	{"u", "uuid", 2950, "", func(r *rand.Rand) string { return fmt.Sprintf("00000000-0000-0000-0000-00000000000%d", r.IntN(5)) }},
}

func randomNumeric(r *rand.Rand) string {
	switch r.IntN(60) {
	case 0:
		return []string{"NaN", "Infinity", "-Infinity"}[r.IntN(3)]
	case 1:
		return fmt.Sprintf("%de%d", r.IntN(100), r.IntN(60)-30)
	case 2, 3, 4:
		return "0"
	}
	return fmt.Sprintf("%.*f", r.IntN(12), r.NormFloat64()*float64(int64(1)<<r.IntN(40)))
}

func randomText(r *rand.Rand) string {
	return []string{"a", "A", "b", "ä", "a b", "", "Z", `"q\`, "_x"}[r.IntN(9)]
}

func typedEnv() Env {
	s := &Schema{Epoch: 1, Relations: map[string]map[string]*Table{"public": {}}}
	t := &Table{Schema: "public", Name: "s", Kind: TableSharded, Relkind: 'p', Everywhere: true, Key: []int{0}, Modulus: 4,
		KeyCols: []shardmap.KeyColumn{{TypeOID: shardmap.Int4OID}}}
	for _, c := range typedColumns {
		t.Columns = append(t.Columns, Column{Name: c.name, TypeOID: c.oid, Typmod: -1, TypeName: c.typ, Collation: c.coll})
	}
	r := &Table{Schema: "public", Name: "r", Kind: TableReference, Relkind: 'r', Everywhere: true, PrimKey: []int{0},
		Columns: []Column{{Name: "id", TypeOID: 23, Typmod: -1}, {Name: "label", TypeOID: 25, Typmod: -1, Collation: "default"}}}
	s.Relations["public"]["s"], s.Relations["public"]["r"] = t, r
	s.Map, _ = shardmap.New(1, []shardmap.BackendInfo{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}, {Name: "c", Weight: 1}},
		map[shardmap.GroupID][]uint16{0: {0, 1, 2, 0}})
	return Env{Schema: s, Path: []string{"public"}}
}

// typedDB is one schema with all rows of s and three that share them out, each with a connection.
type typedDB struct {
	whole *pgconn.PgConn
	parts []*pgconn.PgConn
}

func openTyped(t *testing.T) *typedDB {
	t.Helper()
	c := devcluster.ForTest(t, devcluster.Options{Backends: 1, Fast: true})
	dsn := c.Primaries()[0].DSN("postgres")
	connect := func(path string) *pgconn.PgConn {
		conn, err := pgconn.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		must(t, conn, "SET search_path = "+path+"; SET jit = off; SET timezone = 'Europe/Vienna'")
		return conn
	}
	db := &typedDB{whole: connect("whole, public")}
	must(t, db.whole, "CREATE SCHEMA pleiad")
	for _, file := range []string{"aggregates.sql"} {
		sql, err := os.ReadFile("../internal/catalog/sql/" + file)
		if err != nil {
			t.Fatal(err)
		}
		must(t, db.whole, string(sql))
	}
	must(t, db.whole, "CREATE TABLE public.r (id int PRIMARY KEY, label text); INSERT INTO public.r SELECT g, 'l' || g % 3 FROM generate_series(0, 5) g")
	var cols []string
	for _, c := range typedColumns {
		cols = append(cols, c.name+" "+c.typ)
	}
	must(t, db.whole, "CREATE SCHEMA whole; CREATE TABLE whole.s ("+strings.Join(cols, ", ")+")")
	for i := range 3 {
		name := "part" + strconv.Itoa(i)
		must(t, db.whole, "CREATE SCHEMA "+name+"; CREATE TABLE "+name+".s (LIKE whole.s)")
		db.parts = append(db.parts, connect(name+", public"))
	}
	return db
}

// fill gives the parts new rows, some of them none.
func (db *typedDB) fill(t *testing.T, r *rand.Rand) {
	var all []string
	for i := range db.parts {
		var rows []string
		for range r.IntN(3) * r.IntN(12) {
			var row []string
			for n, c := range typedColumns {
				v := quoteLiteral(c.value(r))
				if n > 0 && r.IntN(7) == 0 {
					v = "NULL"
				}
				row = append(row, v)
			}
			rows = append(rows, "("+strings.Join(row, ", ")+")")
		}
		sql := "TRUNCATE part" + strconv.Itoa(i) + ".s;"
		if len(rows) > 0 {
			sql += "INSERT INTO part" + strconv.Itoa(i) + ".s VALUES " + strings.Join(rows, ", ")
		}
		must(t, db.whole, sql)
		all = append(all, "INSERT INTO whole.s SELECT * FROM part"+strconv.Itoa(i)+".s")
	}
	must(t, db.whole, "TRUNCATE whole.s;"+strings.Join(all, ";"))
}

// TestCombineExact compares random grouped, distinct and windowed queries, combined from three parts, with PostgreSQL's
// own answer over all rows: values, types, and errors. PLEIAD_SEED and PLEIAD_STATEMENTS choose others.
func TestCombineExact(t *testing.T) {
	db := openTyped(t)
	env := typedEnv()
	seed, count := uint64(1), 500
	if s, err := strconv.ParseUint(os.Getenv("PLEIAD_SEED"), 10, 64); err == nil {
		seed = s
	}
	if n, err := strconv.Atoi(os.Getenv("PLEIAD_STATEMENTS")); err == nil {
		count = n
	} else if testing.Short() {
		count /= 10
	}
	r := rand.New(rand.NewPCG(seed, 11))
	g := &combineGen{r: r}
	how := map[string]int{}
	for i := range count {
		if i%20 == 0 {
			db.fill(t, r)
		}
		text, ordered := g.statement()
		want := db.whole.ExecParams(t.Context(), text, nil, nil, nil, nil).Read()
		if code := sqlState(want.Err); strings.HasPrefix(code, "42") {
			how[code]++
			if code == "42601" {
				t.Fatalf("the generator wrote %s: %v", text, want.Err)
			}
			continue
		}
		p := Plan(text, env)
		if p.Scatter == nil || p.Scatter.Combine == nil {
			how["other"]++
			continue
		}
		c := p.Scatter.Combine
		got, err := combineOn(t, c, db.parts, text, env.Schema)
		kind := "combined"
		switch {
		case c.Same != nil:
			kind = "same"
		case len(c.Aggregates) == 0 && !c.Grouped:
			kind = "rows"
		}
		if sqlState(err) != sqlState(want.Err) {
			t.Fatalf("seed %d: %s\n%s\ngot %v, want %v", seed, text, combineSummary(c), err, want.Err)
		}
		if err != nil {
			how["error "+sqlState(err)]++
			continue
		}
		how[kind]++
		x, y := textRows(got), textRows(want)
		if !ordered {
			sortRows(x)
			sortRows(y)
		}
		if !slices.EqualFunc(x, y, slices.Equal[[]string]) {
			t.Fatalf("seed %d: %s\n%s\ngot  %v\nwant %v", seed, text, combineSummary(c), x, y)
		}
		for i := range got.FieldDescriptions {
			if f, w := got.FieldDescriptions[i], want.FieldDescriptions[i]; f.DataTypeOID != w.DataTypeOID || f.Name != w.Name && c.Same != nil {
				t.Fatalf("seed %d: %s\ncolumn %d is %s of type %d, not %s of type %d", seed, text, i, f.Name, f.DataTypeOID, w.Name, w.DataTypeOID)
			}
		}
	}
	t.Logf("seed %d: %v", seed, how)
	if how["combined"] < count/3 || how["rows"] < count/20 || how["same"] < count/100 {
		t.Errorf("too few statements prove anything: %v", how)
	}
}
