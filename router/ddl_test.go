package router

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

func init() {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "rewrite the golden files")
	}
}

const ddlGolden = "testdata/ddl.txt"

// ddlColumn is a column of ddlSchema: name and type.
type ddlColumn struct {
	name string
	oid  uint32
}

// ddlSchema is the schema that testdata/ddl.txt describes at its head.
func ddlSchema(t *testing.T) *Schema {
	t.Helper()
	m, err := shardmap.New(7, []shardmap.BackendInfo{{Name: "b1", Weight: 1}, {Name: "b2", Weight: 1}},
		map[shardmap.GroupID][]uint16{1: {0, 1, 0, 1}, 2: {0, 0, 1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	text, integer := shardmap.KeyColumn{TypeOID: shardmap.TextOID}, shardmap.KeyColumn{TypeOID: shardmap.Int4OID}
	s := &Schema{Epoch: 7, Database: "test", Map: m,
		Relations: map[string]map[string]*Table{"public": {}, "app": {}}, ByOID: map[uint32]*Table{},
		Indexes:   map[string]map[string]uint32{"public": {}, "app": {}},
		Functions: map[string][]*Function{}, Types: map[string]uint32{"public.mood": 900, "public.notes": 901},
		Groups: []Group{{ID: 1, Key: []shardmap.KeyColumn{integer}, Modulus: 4}, {ID: 2, Key: []shardmap.KeyColumn{text}, Modulus: 4}},
	}
	add := func(kind TableKind, relkind byte, schema, name string, group int, key []int, pk []int, cols ...ddlColumn) *Table {
		tb := &Table{OID: uint32(1000 + len(s.ByOID)), Schema: schema, Name: name, Owner: "ann", Kind: kind, Relkind: relkind, Key: key, PrimKey: pk,
			Group: group, Everywhere: kind == TableSharded || kind == TableReference}
		for i, c := range cols {
			tb.Columns = append(tb.Columns, Column{Name: c.name, Attnum: int16(i + 1), TypeOID: c.oid})
		}
		for _, k := range key {
			tb.KeyCols = append(tb.KeyCols, shardmap.KeyColumn{TypeOID: tb.Columns[k].TypeOID})
			tb.Modulus = 4
		}
		s.Relations[schema][name], s.ByOID[tb.OID] = tb, tb
		if pk != nil {
			s.Indexes[schema][name+"_pkey"] = tb.OID
		}
		return tb
	}
	room, id, n := ddlColumn{"room", shardmap.TextOID}, ddlColumn{"id", shardmap.TextOID}, ddlColumn{"id", shardmap.Int4OID}
	meetings := add(TableSharded, 'p', "public", "meetings", 2, []int{0}, []int{0, 1}, room, id, ddlColumn{"doc", 3802})
	s.Indexes["public"]["meetings_doc_idx"] = meetings.OID
	add(TableSharded, 'p', "public", "minutes", 2, []int{0}, nil, ddlColumn{"room", shardmap.VarcharOID}, ddlColumn{"line", 23})
	add(TableSharded, 'p', "public", "users", 1, []int{0}, []int{0}, n, ddlColumn{"name", 25})
	add(TableSharded, 'p', "app", "Odd.name", 1, []int{0}, []int{0}, n)
	add(TableReference, 'r', "public", "countries", 0, nil, []int{0}, ddlColumn{"code", 25})
	add(TableReference, 'r', "public", "watched", 0, nil, []int{0}, n).Triggers = []Trigger{{Name: "t", OnTrunc: true}}
	add(TableLocal, 'r', "public", "notes", 0, nil, []int{0}, n)
	add(TableLocal, 'r', "app", "things", 0, nil, nil, n)
	for name, reach := range map[string]Reach{"noted": ReachLocal, "totals": ReachSharded | ReachLocal, "restless": ReachSharded | ReachState} {
		add(TableLocal, 'm', "app", name, 0, nil, nil, n)
		s.Relations["app"][name].RefreshReach = reach
	}
	add(TableView, 'v', "public", "v_rooms", 0, nil, nil, room).Everywhere = true
	s.Relations["public"]["v_rooms"].Touches = true
	add(TableView, 'v', "public", "v_notes", 0, nil, nil, n)
	add(TableSequence, 'S', "public", "counter", 0, nil, nil)
	s.Functions["shout"] = []*Function{{Schema: "public", Name: "shout", Kind: 'f', Volatility: 'i', Language: "sql"}}
	s.Functions["twice"] = []*Function{{Schema: "public", Name: "twice", Kind: 'f'}, {Schema: "app", Name: "twice", Kind: 'f'}}
	for _, t := range s.ByOID {
		t.reachByKind()
	}
	return s
}

// TestDDLPlans compares every statement of testdata/ddl.txt with the plan beneath it.
func TestDDLPlans(t *testing.T) {
	raw, err := os.ReadFile(ddlGolden)
	if err != nil {
		t.Fatal(err)
	}
	env := Env{Schema: ddlSchema(t), Path: []string{"public"}, User: "ann", Temp: map[string]bool{"scratch": true},
		DefaultDistribution: "local", ShardCount: 4}
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(string(raw), "\n"), "\n\n") {
		var stmt []string
		for line := range strings.Lines(block + "\n") {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case strings.HasPrefix(line, "#"):
				out.WriteString(line + "\n")
			case strings.HasPrefix(line, "!"):
				out.WriteString(line + "\n")
				setDDLEnv(t, &env, strings.Fields(line[1:]))
			case !strings.HasPrefix(line, "    "):
				stmt = append(stmt, line)
			}
		}
		if len(stmt) > 0 {
			sql := strings.Join(stmt, "\n")
			out.WriteString(sql + "\n" + describeDDL(t, sql, env))
		}
		out.WriteString("\n")
	}
	got := strings.TrimRight(out.String(), "\n") + "\n"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(ddlGolden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(raw) {
		for i, g := range strings.Split(got, "\n") {
			if w := strings.Split(string(raw), "\n"); i >= len(w) || g != w[i] {
				t.Fatalf("%s:%d differs; now:\n%s", ddlGolden, i+1, g)
			}
		}
		t.Fatalf("%s has lines that are not printed any more", ddlGolden)
	}
}

func setDDLEnv(t *testing.T, env *Env, words []string) {
	t.Helper()
	switch words[0] {
	case "distribution":
		env.DefaultDistribution = strings.Join(words[1:], " ")
	case "hash":
		env.Family = shardmap.FamilyPostgres
		if words[1] == "murmur3" {
			env.Family = shardmap.FamilyMurmur3
		}
	case "path":
		env.Path = words[1:]
	case "shards":
		if _, err := fmt.Sscan(words[1], &env.ShardCount); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("unknown setting %q", words[0])
	}
}

// describeDDL prints a plan, one line a step, indented.
func describeDDL(t *testing.T, sql string, env Env) string {
	t.Helper()
	stmts, err := sqlparse.Parse(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	p := planDDL(stmts[0].Node, sql, env)
	var b strings.Builder
	switch {
	case p == nil:
		b.WriteString("    not a schema change\n")
	case p.Kind == KindRefuse:
		fmt.Fprintf(&b, "    %s %s\n", p.Refusal.Code, p.Refusal.Message)
		if p.Refusal.Hint == "" {
			t.Errorf("%s: refusal without a hint", sql)
		}
	case p.Kind == KindHome:
		fmt.Fprintf(&b, "    unchanged on home, effect %d\n", p.Effect)
	case p.Kind == KindDDL && p.Clock != nil:
		fixed, _ := fixedPlan(p, sql)
		fmt.Fprintf(&b, "    at one instant: %s\n", fixed)
		if again := describeDDL(t, fixed, env); strings.Contains(again, "at one instant") {
			t.Errorf("%s: %s", sql, again)
		}
	case p.Kind == KindDDL:
		describeSteps(t, &b, sql, p)
	default:
		t.Errorf("%s: kind %d", sql, p.Kind)
	}
	return b.String()
}

func describeSteps(t *testing.T, b *strings.Builder, sql string, p *Template) {
	t.Helper()
	fmt.Fprintf(b, "    %s:", p.Command)
	for _, f := range []struct {
		on   bool
		name string
	}{{p.DDL.InTxn, "txn"}, {!p.DDL.InTxn, "no txn"}, {p.DDL.ChangesSchema, "schema"}, {p.DDL.NeedsBlock, "block"}, {p.DDL.Database != "", "closes " + p.DDL.Database}, {p.DDL.Force, "by force"}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	b.WriteString("\n")
	answers := 0
	for _, s := range p.DDL.Steps {
		where := []string{"home", "all", "others", fmt.Sprintf("b%d", s.Backend+1)}[s.Where]
		text := strings.ReplaceAll(s.SQL, "\n", " ")
		if s.Answer {
			answers++
			where += " *"
		}
		if s.SQL == sql {
			text = "(the statement)"
		}
		fmt.Fprintf(b, "    %s: %s\n", where, text)
		if s.Undo != "" {
			fmt.Fprintf(b, "        undo: %s\n", s.Undo)
		}
		if s.Password != nil {
			fmt.Fprintf(b, "        verifier of %q for %s\n", s.Password.Plain, s.SQL[s.Password.Start:s.Password.End])
		}
		if locks := strings.Contains(text, "pleiad.begin_ddl(") || strings.Contains(text, "pleiad.lock_ddl(") || strings.Contains(text, "pleiad.share_ddl("); locks != s.Lock && p.DDL.InTxn {
			t.Errorf("%s: lock step is marked %t", sql, s.Lock)
		}
		if strings.HasPrefix(s.SQL, "SELECT pleiad.") != s.Own {
			t.Errorf("%s: step %s is marked as own: %t", sql, s.SQL, s.Own)
		}
		if _, err := sqlparse.Parse(s.SQL); err != nil {
			t.Errorf("%s: step %s does not parse: %v", sql, s.SQL, err)
		}
	}
	for _, n := range p.DDL.Numbers {
		fmt.Fprintf(b, "    then: %s, %d and each %d up to %d, after %s\n", n.Sequence, n.Start, n.Increment, n.Max, n.Count)
		shift := n.ShiftBy(-7)
		fmt.Fprintf(b, "    others: %s\n", shift)
		if _, err := sqlparse.Parse(shift); err != nil {
			t.Errorf("%s: step %s does not parse: %v", sql, shift, err)
		}
	}
	if f := p.DDL.Prepared; f != nil {
		answers++
		fmt.Fprintf(b, "    *: %s\n", f.Text("(what is prepared as "+f.Name+")"))
	}
	if f := p.DDL.Fill; f != nil {
		answers++
		if r := f.Refresh; r != nil {
			fmt.Fprintf(b, "    then *: fill %s, concurrently: %t, new: %t\n", r.Relation(), r.Concurrently, r.Create)
		} else {
			fmt.Fprintf(b, "    then *: INSERT INTO %s %s\n", f.Target, strings.ReplaceAll(f.Query, "\n", " "))
		}
		if _, err := sqlparse.Parse(f.Query); err != nil {
			t.Errorf("%s: %s does not parse: %v", sql, f.Query, err)
		}
	}
	if answers != 1 {
		t.Errorf("%s: %d steps answer", sql, answers)
	}
}

func TestShardRelation(t *testing.T) {
	for _, c := range []struct{ schema, name, want string }{
		{"public", "meetings", "meetings"},
		{"app", "meetings", "app.meetings"},
		{"app", strings.Repeat("é", 31), "app." + strings.Repeat("é", 24) + "_"},
		{"public", "a.b", "a.b_"},
		{"a", "b", "a.b"},
	} {
		got := ShardRelation(c.schema, c.name)
		if strings.HasSuffix(c.want, "_") && len(got) == len(c.want)+10 {
			got = got[:len(got)-10]
		}
		if got != c.want || len(got) > 63 {
			t.Errorf("ShardRelation(%q, %q) = %q, want %q", c.schema, c.name, got, c.want)
		}
	}
}

func TestDistributedBy(t *testing.T) {
	for value, want := range map[string]bool{
		"HASH (a)": true, `hash (a, "B c" COLLATE "C" pleiad.murmur3_text_ops)`: true, "hash (a) -- x": true, "hash ((a + 1))": true,
		"": false, "local": false, "primary_key": false, "hash": false, "list (a)": false, "hash (a) with (fillfactor = 50)": false,
		"hash (a) using heap": false, "hash (a) tablespace x": false, "hash (a); drop table t": false, "hash (a) on commit drop": false,
	} {
		if got := DistributedBy(value); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
