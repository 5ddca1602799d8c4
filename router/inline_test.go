package router

import (
	"strings"
	"testing"
)

// callable adds a function over meetings to a schema, as the snapshot tells it.
func callable(s *Schema, name, body, returns string, args ...Argument) *Function {
	for i := range args {
		if args[i].Mode == 0 {
			args[i].Mode = 'i'
		}
	}
	f := &Function{
		Schema: "public", Name: name, Kind: 'f', Volatility: 's', Language: "sql", Reach: ReachSharded | ReachLocal, Body: body, NArgs: len(args),
		Sig: &Signature{Args: args, Returns: returns, ReturnsKind: 'b', Public: true, Owner: "owner"},
	}
	s.Functions[name] = append(s.Functions[name], f)
	return f
}

func inlineFixture() Env {
	env := fixture()
	env.User = "alice"
	s := env.Schema
	room := Argument{Name: "r", Type: "text"}
	count := "select count(*) from meetings where room = r"
	callable(s, "n_in", count, "bigint", room)
	callable(s, "first_id", "select id from meetings where room = r order by at", "integer", room)
	callable(s, "set_of", "select id from meetings where room = r", "integer", room).RetSet = true
	callable(s, "strict", count, "bigint", room).Sig.Strict = true
	callable(s, "noticed", count, "bigint", room).Volatility = 'v'
	callable(s, "definer", count, "bigint", room).Sig.Definer = true
	callable(s, "pathed", count, "bigint", room).Sig.Config = true
	callable(s, "private", count, "bigint", room).Sig.Public = false
	own := callable(s, "own", count, "bigint", room).Sig
	own.Public, own.Definer, own.Owner = false, true, "alice"
	callable(s, "chance", "select random() from meetings", "double precision")
	callable(s, "self", "select self(n - 1) from meetings", "bigint", Argument{Name: "n", Type: "integer"})
	callable(s, "two", count, "bigint", room)
	callable(s, "two", count, "bigint", Argument{Name: "r", Type: "bytea"})
	callable(s, "locks", "select id from meetings where room = r for update", "integer", room)
	callable(s, "writes", "delete from meetings where room = r returning id", "integer", room)
	callable(s, "many", count+"; "+count, "bigint", room)
	callable(s, "field", "select count(*) from meetings where room = r.name", "bigint", Argument{Name: "r", Type: "public.t"})
	callable(s, "any_of", "select count(*) from meetings", "bigint", Argument{Name: "x", Type: "anyelement"})
	callable(s, "counted", "select count(r) from meetings", "bigint", room)
	callable(s, "divides", "select sum(id * (10 / n)) from meetings", "bigint", Argument{Name: "n", Type: "integer"})
	callable(s, "sorted", "select id from meetings where room = r order by r", "integer", room)
	ordered := callable(s, "ordered", "select id, room from meetings where room <> r order by 2 desc, id", "record", room)
	ordered.RetSet, ordered.Sig.ReturnsKind = true, 'p'
	columns := s.Relations["public"]["meetings"].Columns
	columns[0].TypeName, columns[1].TypeName = "text", "integer"
	ordered.Sig.Args = append(ordered.Sig.Args, Argument{Name: "n", Type: "integer", Mode: 't'}, Argument{Name: "m", Type: "text", Mode: 't'})
	return env
}

func TestInline(t *testing.T) {
	env := inlineFixture()
	for sql, want := range map[string]string{
		`select n_in('a')`:                                  `SELECT (SELECT count(*)::bigint AS n_in FROM meetings WHERE room = 'a'::text)`,
		`select n_in(r => $1)`:                              `SELECT (SELECT count(*)::bigint AS n_in FROM meetings WHERE room = $1::text)`,
		`select first_id('a')`:                              `LIMIT 1`,
		`select own('a')`:                                   `FROM meetings`,
		`select n_in(lower('A'))`:                           `FROM LATERAL (SELECT lower('A')::text AS p1) "pleiad arguments"(p1) WHERE pg_catalog.num_nulls("pleiad arguments".p1) >= 0`,
		`select strict($1)`:                                 `CASE WHEN NOT pg_catalog.num_nulls($1::text) = 0 THEN NULL ELSE`,
		`select strict(lower('A'))`:                         `WHERE pg_catalog.num_nulls("pleiad arguments".p1) = 0`,
		`select i from set_of('a') i`:                       `FROM LATERAL (SELECT`,
		`select noticed('a')`:                               `FROM meetings`,
		`delete from users where id = noticed('a')`:         "",
		`select count(*) from notes where n_in('a') > 3`:    `FROM meetings`,
		`select definer('a')`:                               "",
		`select pathed('a')`:                                "",
		`select private('a')`:                               "",
		`select chance()`:                                   "",
		`select self(1)`:                                    "",
		`select two('a')`:                                   "",
		`select locks('a')`:                                 "",
		`select writes('a')`:                                "",
		`select many('a')`:                                  "",
		`select field(null)`:                                "",
		`select any_of(1)`:                                  "",
		`select counted('a')`:                               `count('a'::text)`,
		`select counted(room) from meetings`:                "",
		`select counted(lower('a'))`:                        "",
		`select divides(0)`:                                 `(SELECT 0::int AS p1 OFFSET 0)`,
		`select sorted('a')`:                                "",
		`select n_in(max(room)) from meetings`:              "",
		`select n_in(x) from set_of('a') with ordinality x`: "",
		`select set_of('a')`:                                "",
		`select n_in(distinct 'a')`:                         "",
		`select n_in(nextval('s')::text)`:                   `FROM LATERAL (SELECT`,
		`insert into notes (body) values (n_in(nextval('s')::text))`: `FROM LATERAL (SELECT`,
		`select n_in(nextval('s')::text) from notes`:                 "",
		`select (select n_in(random()::text))`:                       "",
		`select i from set_of(random()::text) i`:                     `FROM LATERAL (SELECT`,
		`select i from notes, set_of(random()::text) i`:              "",
		`select * from ordered('a') o (x, y)`:                        `o(x, y) ORDER BY o.y DESC, o.x`,
		`select * from ordered('a') limit 3`:                         `ORDER BY ordered.m DESC, ordered.n LIMIT 3`,
		`select * from ordered('a') order by n`:                      `id) ordered(n, m) ORDER BY n`,
		`select n, row_number() over () from ordered('a')`:           `id OFFSET 0`,
		`select * from notes, ordered('a')`:                          `id OFFSET 0`,
		`select count(*) from ordered('a')`:                          `id) ordered`,
	} {
		p := Plan(sql, env)
		switch {
		case want == "" && p.Kind != KindRefuse:
			t.Errorf("%s: kind %d, want a refusal: %s", sql, p.Kind, p.Inlined)
		case want != "" && (p.Kind != KindInlined || !strings.Contains(p.Inlined, want)):
			t.Errorf("%s: kind %d, refusal %v, text\n%s\nwant in it\n%s", sql, p.Kind, p.Refusal, p.Inlined, want)
		}
	}
}
