package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const documentCount = 100_000

// documents makes COPY text of documents of mixed shape; the same seed makes the same ones.
func documents(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields("alpha beta gamma delta épsilon zeta eta théta iota kappa 日本 λ")
	word := func() string { return words[r.IntN(len(words))] }
	var out bytes.Buffer
	for i := range documentCount {
		doc := map[string]any{"n": i, "kind": word()}
		switch r.IntN(5) {
		case 0:
			doc["score"] = r.IntN(1_000_000)
			doc["tags"] = []string{word(), word()}
		case 1:
			doc["score"] = float64(r.IntN(1000)) / 8
			doc["nested"] = map[string]any{"a": map[string]any{"b": []any{r.IntN(9), word(), nil, true}}}
		case 2:
			doc["score"] = nil
			doc["text"] = strings.Repeat(word()+" \"quoted\"\t\\ ", 1+r.IntN(8))
		case 3:
			doc["score"] = word() // a string where others have numbers
			doc["items"] = []map[string]any{{"sku": word(), "qty": r.IntN(5)}, {"sku": word(), "qty": r.IntN(5)}}
		default:
			doc["flag"] = r.IntN(2) == 0
			doc["big"] = fmt.Sprintf("%0*d", 1+r.IntN(60), i)
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			panic(err) // maps of plain values always encode
		}
		fmt.Fprintf(&out, "doc-%06d\t%s\n", i, strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`).Replace(string(raw)))
	}
	return out.Bytes()
}

// documentQueries are asked of both sides; every answer must be the same.
var documentQueries = []string{
	`select doc from docs where id = 'doc-000000'`,
	`select doc from docs where id in ('doc-000001', 'doc-050000', 'doc-099999', 'nosuch') order by id`,
	`select doc ->> 'kind', doc -> 'score' from docs where id = any('{doc-000007,doc-000008,doc-000009}') order by id`,
	`select id from docs where doc @> '{"kind": "gamma", "flag": true}' order by id limit 50`,
	`select id from docs where doc @> '{"tags": ["alpha", "beta"]}' order by id limit 50 offset 10`,
	`select id from docs where doc @> '{"nested": {"a": {"b": [3]}}}' order by id desc limit 20`,
	`select id, doc ->> 'big' from docs where doc ->> 'kind' = '日本' and doc ? 'big' order by id limit 30`,
	`select id, doc -> 'score' from docs order by (doc -> 'score')::text collate "C" desc, id limit 25`,
	`select id, doc ->> 'score' from docs where jsonb_typeof(doc -> 'score') = 'number' order by (doc ->> 'score')::numeric desc, id limit 40`,
	`select id, doc ->> 'score' from docs where jsonb_typeof(doc -> 'score') = 'number' order by (doc ->> 'score')::float8, id limit 40`,
	`select id from docs order by (doc ->> 'kind') collate "C", (doc ->> 'score') collate "C" nulls first, id limit 40`,
	`select id, jsonb_path_query_array(doc, '$.items[*] ? (@.qty > 3).sku') from docs where doc @? '$.items[*] ? (@.qty > 3)' order by id limit 30`,
	`select id, jsonb_path_query(doc, '$.nested.a.b[*] ? (@ == true)') from docs where id between 'doc-000100' and 'doc-000160' order by id`,
	`select id, jsonb_path_query_first(doc, '$.nested.a.b[1]') from docs where doc @@ '$.nested.a.b[0] == 4' order by id limit 20`,
	`select id, length(doc ->> 'text') from docs where doc ? 'text' order by length(doc ->> 'text') desc, id limit 15`,
	`select id from docs where (doc ->> 'n')::int % 10007 = 5 order by id`,
	`select x from docs, jsonb_array_elements_text(doc -> 'tags') x where id = 'doc-000012'`,
	`select id, md5(doc::text) from docs order by id`,
}

// TestDocuments holds 100,000 documents of mixed shape to one PostgreSQL with the same.
func TestDocuments(t *testing.T) {
	t.Parallel()
	data := documents(20240506)
	var conns [2]*actor
	for i, s := range both() {
		db := s.newDatabase(t)
		a := &actor{side: s, types: map[uint32]serverType{}, tables: map[uint32]string{}}
		a.conn, a.names = s.low(t, db, a.heard), s.low(t, db, nil)
		conns[i] = a
		c := s.conn(t, db)
		s.exec(t, c, "create table docs (id text collate \"C\" primary key, doc jsonb not null) partition by hash (id)")
		s.exec(t, c, "create index on docs using gin (doc jsonb_path_ops)")
		tag, err := a.conn.CopyFrom(ctxFor(t), bytes.NewReader(data), "copy docs from stdin")
		if err != nil || tag.RowsAffected() != documentCount {
			t.Fatalf("%s: copy: %s, %v", s.name, tag, err)
		}
	}
	same := func(sql string, m mode, params ...string) {
		t.Helper()
		st := &statement{sql: sql, bound: len(params) > 0}
		for _, p := range params {
			st.params = append(st.params, &p)
		}
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		want, got := conns[0].run(ctx, st, m), conns[1].run(ctx, st, m)
		if what := want.differs(got, st.ordered(), compareAll); what != "" {
			t.Errorf("%s, %s %q: %s differs:\nPostgreSQL: %s\n%s: %s", sql, m, params, what, want, conns[1].side.name, got)
		}
		if want.err != nil || want.broken != nil {
			t.Errorf("%s: %s", sql, want)
		}
	}
	for i, q := range documentQueries {
		same(q, modes[i%len(modes)])
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		id := fmt.Sprintf("doc-%06d", r.IntN(documentCount+1000))
		same("select doc from docs where id = $1", modes[1+i%2], id)
		switch i % 4 {
		case 0:
			same(`insert into docs values ($1, $2) on conflict (id) do update set doc = docs.doc || excluded.doc returning doc`,
				viaText, id, fmt.Sprintf(`{"upserted": %d}`, i))
		case 1:
			same(`update docs set doc = jsonb_set(doc, '{score}', $2) where id = $1 returning id, doc -> 'score'`, viaBinary, id, fmt.Sprint(i))
		case 2:
			same(`delete from docs where id = $1 returning id`, viaText, id)
		case 3:
			same(fmt.Sprintf(`insert into docs values ('new-%d', '{"n": %d}'), ('new-%d-b', '[]'), ('new-%d-c', '"x"') returning id`, i, i, i, i), viaSimple)
		}
	}
	same(`update docs set doc = doc || '{"touched": true}' where doc @> '{"kind": "zeta", "flag": false}' returning id`, viaText)
	same(`delete from docs where doc @> '{"kind": "eta"}' and id < 'doc-020000'`, viaSimple)
	for i, q := range documentQueries {
		same(q, modes[(i+1)%len(modes)])
	}
	same("copy (select id, doc from docs where id < 'doc-000300') to stdout", viaSimple)
	same("copy docs to stdout", viaSimple)
}
