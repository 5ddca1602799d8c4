package router

import "testing"

// TestRoutine is which bodies in PL/pgSQL run statement by statement.
func TestRoutine(t *testing.T) {
	env := fixture()
	for body, runs := range map[string]bool{
		"begin perform 1 from meetings; end":                                                                                    true,
		"begin for i in 1..3 loop perform i from meetings; end loop; end":                                                       true,
		"declare n int; begin while n < 3 loop select count(*) into n from meetings; end loop; end":                             true,
		"begin loop perform 1 from meetings; exit when found; end loop; end":                                                    true,
		"declare x int; begin foreach x in array array[1, 2] loop perform x from meetings; end loop; end":                       true,
		"declare n int; begin case n when 1 then perform 1 from meetings; else end case; end":                                   true,
		"begin perform 1 from meetings; exception when others then raise notice '%', sqlerrm; end":                              true,
		"declare r record; begin for r in select id from meetings loop raise notice '%', r.id; end loop; end":                   true,
		"declare r record; begin for r in select id from meetings loop raise notice '%', r; end loop; end":                      false,
		"declare r record; begin for r in select id from meetings loop perform r.id from users r; end loop; end":                false,
		"declare r record; begin for r in select id from meetings for update loop null; end loop; end":                          false,
		"declare r record; begin for r in select random() from meetings loop null; end loop; end":                               false,
		"declare r record; begin for r in delete from meetings returning id loop raise notice '%', r.id; end loop; end":         true,
		"declare r record; begin for r in execute 'select 1' loop perform r.a from meetings; end loop; end":                     false,
		"declare r record; begin select id into r from meetings; raise notice '%', r.id; end":                                   true,
		"declare r record; begin raise notice '%', r.id; select id into r from meetings; end":                                   false,
		"declare r record; begin if found then select id into r from meetings; end if; raise notice '%', r.id; end":             false,
		"declare r record; begin select id into r from meetings; select room into r from meetings; raise notice '%', r.id; end": false,
		"declare r record; begin select id into r from meetings; r.id := 3; end":                                                false,
		`declare r record; begin for r in select id from meetings loop perform r.id; end loop;
			for r in select room from meetings loop perform r.room; end loop; end`: true,
		`declare r record; begin for r in select id from meetings loop perform r.id; end loop;
			for r in select room from meetings loop perform r.room; end loop; perform r.room; end`: false,
		`declare r record; begin for r in select id from meetings loop
			select room into r from meetings; end loop; end`: false,
		"declare i int; begin declare i text; begin perform i from meetings; end; end":                            true,
		"declare id int; begin perform id from meetings; end":                                                     false,
		"begin declare id int; begin null; end; perform id from meetings; end":                                    true,
		"<<l>> declare i int; begin perform l.i from meetings; end":                                               false,
		"declare n meetings.id%type; begin perform n from meetings; end":                                          true,
		"declare n meetings.nothing%type; begin perform n from meetings; end":                                     false,
		"declare n meetings%rowtype; begin perform 1 from meetings; end":                                          true,
		"declare n meetings%rowtype; begin select * into n from meetings; raise notice '%', n.id; n.id := 3; end": false,
		"declare n meetings%rowtype; begin raise notice '%', n; perform 1 from meetings; end":                     false,
		"declare n int not null := 3; begin perform 1 from meetings; end":                                         false,
		"declare n varchar(3); begin perform 1 from meetings; end":                                                false,
		"begin perform 1 from meetings; commit; end":                                                              false,
		"declare c cursor for select 1 from meetings; begin open c; end":                                          false,
		"declare n text; begin perform 1 from meetings; get diagnostics n = pg_context; end":                      false,
		"begin perform 1 from meetings; raise unique_violation using message = 'x'; end":                          true,
		"begin perform 1 from meetings; assert found; end":                                                        true,
	} {
		columns := env.Schema.Relations["public"]["meetings"].Columns
		columns[1].TypeName = "integer"
		p := Plan("DO $x$"+body+"$x$", env)
		if got := p.Kind == KindRoutine; got != runs || !got && p.Kind != KindRefuse {
			t.Errorf("%s: kind %d, want one that runs: %v", body, p.Kind, runs)
		}
	}
}

// TestRoutineCalls is which calls of other functions a body may have.
func TestRoutineCalls(t *testing.T) {
	env := inlineFixture()
	s := env.Schema
	f := callable(s, "again", "declare m int; begin m := again(n - 1); perform 1 from meetings; return m; end", "integer", Argument{Name: "n", Type: "integer"})
	f.Language, f.Volatility = "plpgsql", 'v'
	stable := callable(s, "stable_one", "begin return (select count(*) from meetings); end", "bigint")
	stable.Language = "plpgsql"
	callable(s, "stable_two", "begin perform 1 from meetings; return (select count(*) from meetings); end", "bigint").Language = "plpgsql"
	for body, runs := range map[string]bool{
		"declare n int; begin n := again(3); end":                                   true,
		"declare n int; begin select again(3) into n; end":                          true,
		"begin perform again(3); end":                                               true,
		"begin if again(3) = 1 then null; end if; end":                              false, // the call is a part of an expression
		"begin raise notice '%', again(3); end":                                     false,
		"begin perform stable_one(); end":                                           true,
		"begin perform stable_two(); end":                                           false,
		"begin perform again(id) from meetings; end":                                false,
		"declare r record; begin for r in select again(3) loop null; end loop; end": false,
		"begin execute 'select $1' using again(3); end":                             false,
	} {
		p := Plan("DO $x$"+body+"$x$", env)
		if got := p.Kind == KindRoutine; got != runs || !got && p.Kind != KindRefuse {
			t.Errorf("%s: kind %d, want one that runs: %v", body, p.Kind, runs)
		}
	}
}

// TestRoutineStable is which STABLE functions run: where all they see is of one snapshot.
func TestRoutineStable(t *testing.T) {
	env := inlineFixture()
	f := callable(env.Schema, "steady", "", "bigint", Argument{Name: "n", Type: "integer"})
	f.Language = "plpgsql"
	for body, runs := range map[string]bool{
		"begin return (select count(*) from meetings); end":                                                                               true,
		"declare m int := n * 2; begin m := m + 1; return (select count(*) + m from meetings); end":                                       true,
		"declare m int; begin if n = 1 then select count(*) into m from meetings; else select 1 into m from users; end if; return m; end": true,
		"declare m int; begin select id into m from meetings; if not found then select id into m from users; end if; return m; end":       false,
		"declare m int; begin for i in 1..n loop m := (select count(*) from meetings); end loop; return m; end":                           false,
		"declare m int; begin for m in select id from meetings loop n := n + m; end loop; return n; end":                                  true,
		"declare m int; begin for m in select id from meetings loop n := (select max(id) from notes); end loop; return n; end":            false,
		"begin while (select count(*) from meetings) > n loop n := n + 1; end loop; return n; end":                                        false,
		"begin delete from meetings; return 1; end":                                                                                       false,
		"begin perform 1 from meetings for update; return 1; end":                                                                         false,
		"begin execute 'select 1'; return 1; end":                                                                                         false,
		"declare m int := (select count(*) from meetings); begin return (select count(*) from users); end":                                false,
		"begin return (select count(*) from meetings); exception when others then return (select count(*) from meetings); end":            false,
	} {
		f.Body = body
		p := Plan("select steady(3)", env)
		if got := p.Kind == KindRoutine; got != runs || !got && p.Kind != KindRefuse {
			t.Errorf("%s: kind %d, want one that runs: %v", body, p.Kind, runs)
		}
	}
	f.Body = "begin return (select count(*) from meetings); end"
	for sql, runs := range map[string]bool{"select steady(1), steady(2)": false, "select * from steady(1)": true} {
		if p := Plan(sql, env); (p.Kind == KindRoutine) != runs {
			t.Errorf("%s: kind %d, want one that runs: %v", sql, p.Kind, runs)
		}
	}
}

// TestRoutineRows is which SELECTs from a function have its rows made first.
func TestRoutineRows(t *testing.T) {
	env := inlineFixture()
	s := env.Schema
	set := callable(s, "rows_of", "begin return query select id from meetings where room = r; end", "integer", Argument{Name: "r", Type: "text"})
	set.Language, set.Volatility, set.RetSet = "plpgsql", 'v', true
	one := callable(s, "one_of", "begin return 1; perform 1 from meetings; end", "integer")
	one.Language, one.Volatility = "plpgsql", 'v'
	for sql, runs := range map[string]bool{
		"select * from rows_of('a')":                                         true,
		"select * from rows_of($1) x(i) where i > 3 order by 1 desc limit 2": true,
		"select count(*) from rows_of('a') where rows_of is not null":        true,
		"select * from one_of()":                                             true,
		"select * from rows_of('a') limit 0":                                 false, // PostgreSQL does not call it
		"select * from rows_of('a') limit $1":                                false,
		"select * from rows_of('a') where false":                             false,
		"select * from rows_of('a') where rows_of = 1 and false":             false,
		"select * from rows_of('a') where rows_of = null":                    false,
		"select * from rows_of('a') where rows_of = $1":                      false,
		"select * from rows_of('a') where rows_of > nullif(1, 1)":            false,
		"select * from rows_of('a') having false":                            false,
		"select * from rows_of('a') with ordinality":                         false,
		"select * from rows_of('a'), notes":                                  false,
		"select (select count(*) from meetings) from rows_of('a')":           false,
		"select * from rows_of('a') for update":                              false,
		"with w as (select 1) select * from rows_of('a')":                    false,
		"select rows_of('a')":                                                false,
		"insert into notes (id) select * from rows_of('a')":                  false,
	} {
		p := Plan(sql, env)
		if got := p.Kind == KindRoutine; got != runs || !got && p.Kind != KindRefuse {
			t.Errorf("%s: kind %d, want one that runs: %v", sql, p.Kind, runs)
		}
	}
}
