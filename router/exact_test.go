package router

import (
	"cmp"
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

// exactSchema has tables of small integers, so that random statements meet the same values often. s1 and s2 are
// co-located by k, pp has a two-column key, r1 and r2 are reference tables.
const exactModulus, exactBackends = 8, 3

var exactTables = []struct {
	name string
	cols []string
	key  []int
	rows int
}{
	{"s1", []string{"k", "v", "w"}, []int{0}, 40},
	{"s2", []string{"k", "x", "y"}, []int{0}, 30},
	{"pp", []string{"a", "b", "c"}, []int{0, 1}, 40},
	{"r1", []string{"id", "z"}, nil, 6},
	{"r2", []string{"id", "q"}, nil, 5},
}

// exactDB is one database holding everything and three that share it out, on one server.
type exactDB struct {
	whole *pgconn.PgConn
	parts [exactBackends]*pgconn.PgConn
	env   Env
}

func exactEnv() Env {
	s := &Schema{Epoch: 1, Relations: map[string]map[string]*Table{"public": {}}}
	groups := map[shardmap.GroupID][]uint16{0: {}, 1: {}}
	for i := range exactModulus {
		groups[0] = append(groups[0], uint16(i%exactBackends))
		groups[1] = append(groups[1], uint16(i%exactBackends))
	}
	for _, d := range exactTables {
		t := &Table{Schema: "public", Name: d.name, Kind: TableReference, Relkind: 'r', PrimKey: []int{0}, Everywhere: true}
		for _, c := range d.cols {
			t.Columns = append(t.Columns, Column{Name: c, TypeOID: shardmap.Int4OID, Typmod: -1})
		}
		if d.key != nil {
			t.Kind, t.Relkind, t.Key, t.PrimKey, t.Modulus = TableSharded, 'p', d.key, nil, exactModulus
			t.Group = len(d.key) - 1
			for range d.key {
				t.KeyCols = append(t.KeyCols, shardmap.KeyColumn{TypeOID: shardmap.Int4OID})
			}
		}
		s.Relations["public"][d.name] = t
	}
	s.Relations["public"]["vw"] = &Table{Schema: "public", Name: "vw", Kind: TableView, Relkind: 'v', Touches: true, Everywhere: true,
		Columns:    []Column{{Name: "k", TypeOID: 23}, {Name: "n", TypeOID: 23}},
		Definition: "SELECT s1.k, s1.v AS n FROM public.s1 WHERE (s1.v < 8)"}
	s.Map, _ = shardmap.New(1, []shardmap.BackendInfo{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}, {Name: "c", Weight: 1}}, groups)
	return Env{Schema: s, Path: []string{"public"}}
}

func openExact(t *testing.T) *exactDB {
	t.Helper()
	c := devcluster.ForTest(t, devcluster.Options{Backends: 1, Fast: true})
	ctx := t.Context()
	server := c.Primaries()[0]
	connect := func(db string) *pgconn.PgConn {
		conn, err := pgconn.Connect(ctx, server.DSN(db))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	admin := connect("postgres")
	db := &exactDB{env: exactEnv()}
	for i := range exactBackends + 1 {
		name := "exact" + strconv.Itoa(i)
		must(t, admin, "CREATE DATABASE "+name)
		conn := connect(name)
		if i == exactBackends {
			db.whole = conn
		} else {
			db.parts[i] = conn
		}
		must(t, conn, "SET plan_cache_mode = force_custom_plan; SET jit = off; SET statement_timeout = 2000; SET work_mem = '64MB'")
		for _, d := range exactTables {
			sql := "CREATE TABLE " + d.name + " (" + strings.Join(d.cols, " int, ") + " int"
			if d.key == nil {
				must(t, conn, sql+", PRIMARY KEY (id))")
				continue
			}
			keys := []string{}
			for _, k := range d.key {
				keys = append(keys, d.cols[k])
			}
			must(t, conn, sql+") PARTITION BY HASH ("+strings.Join(keys, ", ")+")")
			for shard := range exactModulus {
				if i == exactBackends || shard%exactBackends == i {
					must(t, conn, fmt.Sprintf("CREATE TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS %d, REMAINDER %d)", d.name, shard, d.name, exactModulus, shard))
				}
			}
		}
		must(t, conn, "CREATE VIEW vw AS SELECT k, v AS n FROM s1 WHERE v < 8")
	}
	db.fill(t)
	return db
}

func must(t *testing.T, conn *pgconn.PgConn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// fill inserts random rows into the whole and, by the router's own placement, into the parts.
func (db *exactDB) fill(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, d := range exactTables {
		table := db.env.Schema.Relations["public"][d.name]
		for row := range d.rows {
			vals := make([]string, len(d.cols))
			key := make([]shardmap.Value, len(d.key))
			for i := range vals {
				vals[i] = strconv.Itoa(r.IntN(8))
				if r.IntN(12) == 0 && d.key != nil {
					vals[i] = "NULL"
				}
				if d.key == nil && i == 0 {
					vals[i] = strconv.Itoa(row)
				}
				if k := slices.Index(d.key, i); k >= 0 {
					key[k] = shardmap.Value{Data: []byte(vals[i]), Null: vals[i] == "NULL"}
				}
			}
			sql := "INSERT INTO " + d.name + " VALUES (" + strings.Join(vals, ", ") + ")"
			must(t, db.whole, sql)
			owner := -1
			if d.key != nil {
				b, err := table.KeyBackend(db.env.Schema.Map, key)
				if err != nil {
					t.Fatal(err)
				}
				owner = int(b)
			}
			for i, part := range db.parts {
				if owner < 0 || owner == i {
					must(t, part, sql)
				}
			}
		}
	}
}

// rows runs a query and gives its rows as text, NULL as "~". An error comes as its SQLSTATE.
func rows(ctx context.Context, conn *pgconn.PgConn, sql string) ([][]string, string) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		var pg *pgconn.PgError
		if e, ok := err.(*pgconn.PgError); ok {
			pg = e
			return nil, pg.Code
		}
		return nil, err.Error()
	}
	var out [][]string
	for _, row := range results[len(results)-1].Rows {
		vals := make([]string, len(row))
		for i, v := range row {
			vals[i] = string(v)
			if v == nil {
				vals[i] = "~"
			}
		}
		out = append(out, vals)
	}
	return out, ""
}

// run answers a query the way the executor does; ok is false when the plan refuses it.
func (db *exactDB) run(t *testing.T, text string) (out [][]string, how string, ok bool) {
	p := Plan(text, db.env)
	v := scanValues(text)
	switch p.Kind {
	case KindAny, KindHome:
		if p.Unknown {
			return nil, "", false
		}
		out, _ = rows(t.Context(), db.parts[0], text)
		return out, "unsharded", true
	case KindShards:
	default:
		return nil, "", false
	}
	set, err := p.Backends(db.env.Schema.Map, 0, v)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if one, single := set.Single(); single {
		out, code := rows(t.Context(), db.parts[one], text)
		if code != "" {
			t.Errorf("%s: backend answers %s", text, code)
		}
		return out, "one", true
	}
	if p.Scatter == nil {
		return nil, "", false
	}
	sql, err := p.AppendScatterText(nil, v)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if p.Scatter.Combine != nil {
		return db.combine(t, p.Scatter.Combine, set, string(sql)), "combine", true
	}
	for b := range set.All() {
		part, code := rows(t.Context(), db.parts[b], string(sql))
		if code != "" {
			t.Errorf("%s\nsent as %s: backend answers %s", text, sql, code)
		}
		out = append(out, part...)
	}
	return merge(t, p, v, out), "scatter", true
}

// merge sorts by the hidden columns, drops them, and applies LIMIT and OFFSET.
func merge(t *testing.T, p *Template, v *Values, in [][]string) [][]string {
	n := len(p.Scatter.Sort)
	slices.SortStableFunc(in, func(x, y []string) int {
		for i, key := range p.Scatter.Sort {
			a, b := x[len(x)-n+i], y[len(y)-n+i]
			if c := compareKey(key, a, b); c != 0 {
				return c
			}
		}
		return 0
	})
	var keys [][]string
	for i := range in {
		cut := len(in[i]) - n
		keys = append(keys, in[i][cut:])
		in[i] = in[i][:cut]
	}
	c, err := p.Scatter.Counts(v)
	if err != nil {
		t.Fatal(err)
	}
	in, keys = in[min(int(c.Offset), len(in)):], keys[min(int(c.Offset), len(in)):]
	if c.Limited {
		cut := min(int(c.Limit), len(in))
		for p.Scatter.Ties && cut > 0 && cut < len(in) && slices.Equal(keys[cut-1], keys[cut]) {
			cut++
		}
		in = in[:cut]
	}
	return in
}

func compareKey(k SortKey, a, b string) int {
	if k.Form == SortCollated {
		a, b = collatedValue(a), collatedValue(b)
	}
	switch {
	case a == b:
		return 0
	case a == "~" || b == "~":
		if (a == "~") == k.NullsFirst {
			return -1
		}
		return 1
	}
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	if k.Desc {
		x, y = y, x
	}
	return cmp.Compare(x, y)
}

// collatedValue takes the value out of a record of its collation and itself.
func collatedValue(s string) string {
	v := strings.TrimSuffix(s[strings.LastIndexByte(s, ',')+1:], ")")
	if v == "" {
		return "~"
	}
	return v
}

// TestExact runs random statements as planned and in one database, and compares. PLEIAD_SEED and PLEIAD_STATEMENTS
// choose others.
func TestExact(t *testing.T) {
	db := openExact(t)
	seed, count := uint64(1), 1500
	if s, err := strconv.ParseUint(os.Getenv("PLEIAD_SEED"), 10, 64); err == nil {
		seed = s
	}
	if n, err := strconv.Atoi(os.Getenv("PLEIAD_STATEMENTS")); err == nil {
		count = n
	} else if testing.Short() {
		count /= 10
	}
	g := &sqlGen{r: rand.New(rand.NewPCG(seed, 7))}
	how := map[string]int{}
	for range count {
		text, ordered := g.statement()
		want, code := rows(t.Context(), db.whole, text)
		if code != "" {
			how["invalid "+code]++
			if code == "42601" {
				t.Fatalf("the generator wrote %s", text)
			}
			continue
		}
		got, path, ok := db.run(t, text)
		if !ok {
			how["refused"]++
			continue
		}
		how[path]++
		if !ordered {
			sortRows(got)
			sortRows(want)
		}
		if !slices.EqualFunc(got, want, slices.Equal[[]string]) {
			t.Fatalf("seed %d: %s\nplan %s\ngot  %v\nwant %v", seed, text, summary(Plan(text, db.env), text), got, want)
		}
	}
	t.Logf("seed %d: %v", seed, how)
	if how["scatter"] < count/20 || how["one"] < count/20 {
		t.Errorf("too few statements prove anything: %v", how)
	}
}

func sortRows(r [][]string) { slices.SortFunc(r, slices.Compare[[]string]) }
