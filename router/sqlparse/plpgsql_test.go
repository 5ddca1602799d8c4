package sqlparse

import (
	"strings"
	"testing"
)

// TestPLpgSQL gives the parser, which is C and would end the process, bodies that are not read.
func TestPLpgSQL(t *testing.T) {
	for body, ok := range map[string]bool{
		"begin null; end":   true,
		"begin return; end": true,
		"declare n int := 1; begin n := n + 1; raise notice '%', n; end":                      true,
		"declare r record; begin select 1 into r; end":                                        true,
		"declare r pg_class%rowtype; begin select * into r from pg_class; end":                true,
		"declare n pg_class.relname%type; begin n := 1; end":                                  true,
		"declare c cursor (a int) for select a; begin open c(1); end":                         false,
		"declare c refcursor; begin open c for select 1; end":                                 false,
		"begin for i in 1..3 loop null; end loop; end":                                        true,
		"declare i int; begin foreach i in array array[1] loop null; end loop; end":           true,
		"declare i int[]; begin foreach i slice 1 in array array[1] loop null; end loop; end": false,
		"begin perform 1; exception when others then null; end":                               true,
		"begin perform 1; exception when no_such_condition then null; end":                    false,
		"<<l>> begin null; end":                                     true,
		"declare a alias for b; begin null; end":                    false,
		"declare \"A\" int; begin null; end":                        false,
		"begin begin null; end; end":                                true,
		"begin commit; end":                                         false,
		"begin return query select 1; end":                          false, // in DO
		"declare \"n next\" int; begin return next \"n next\"; end": false,
		"begin case 1 when 1 then null; end case; end":              true,
		"begin get stacked diagnostics n = message_text; end":       false,
		"begin perform 1 as begin; end":                             false,
		"begin selekt; end":                                         false,
		"begin":                                                     false,
		"":                                                          false,
		"begin " + strings.Repeat("if true then ", 5000) + strings.Repeat("end if; ", 5000) + "end": false,
		"begin perform " + strings.Repeat("(", 50000) + "1" + strings.Repeat(")", 50000) + "; end":  false,
		"begin perform 1" + strings.Repeat("+1", 100000) + "; end":                                  false,
	} {
		if _, err := ParsePLpgSQL("DO $x$"+body+"$x$", body); (err == nil) != ok {
			t.Errorf("%.60s: error %v, want one: %v", body, err, !ok)
		}
	}
	body := "\nbegin\n\n  update t set v = b;\n return a;\nend"
	f, err := ParsePLpgSQL("CREATE FUNCTION f(a int, b text) RETURNS int LANGUAGE plpgsql AS $x$"+body+"$x$", body)
	if err != nil {
		t.Fatal(err)
	}
	if b := f.Block.Body; len(f.Vars) != 3 || len(b) < 2 || b[0].Line != 4 || b[0].Query != "update t set v = b" || b[1].Query != "a" {
		t.Errorf("read %+v", f)
	}
}

// TestPLpgSQLRows is what RETURN NEXT gives, which the parser does not tell of a variable.
func TestPLpgSQLRows(t *testing.T) {
	body := "declare n int; r record; begin return next n; return\n next n + 1; return query select 'return next x'; return query execute 'x' using n; end"
	f, err := ParsePLpgSQL("CREATE FUNCTION f() RETURNS SETOF int LANGUAGE plpgsql AS $x$"+body+"$x$", body)
	if err != nil {
		t.Fatal(err)
	}
	b := f.Block.Body
	if b[0].Kind != "RETURN NEXT" || b[0].Name != "n" || b[1].Query != "n + 1" || b[2].Dynamic || !b[3].Dynamic || b[3].Query != "'x'" {
		t.Errorf("read %+v", b)
	}
}

// TestPLpgSQLScopes is whose variable a name is, where blocks and loops declare it again.
func TestPLpgSQLScopes(t *testing.T) {
	body := `<<outer>>
declare i int := 1; r record; n int;
begin
  for i in 1..3 loop
    declare i int; j text; begin i := 8; exit outer when i = 3;
    exception when unique_violation or sqlstate '22012' then n := 2; end;
  end loop;
  for i in reverse 10..n by 2 loop continue; end loop;
  for r in select 1 as x loop raise notice '%', r.x; end loop;
  for n, i in select 1, 2 loop null; end loop;
  begin select 1 into i; exception when others then raise; end;
  case n when 1, 2 then i := 1; else i := 2; end case;
end`
	f, err := ParsePLpgSQL("DO $x$"+body+"$x$", body)
	if err != nil {
		t.Fatal(err)
	}
	name := func(i int) string { return f.Vars[i].Name }
	b := f.Block
	if b.Line == 0 { // one around it, for its label
		b = b.Body[0]
	}
	inner, second, rows := b.Body[0].Body[0], b.Body[1], b.Body[2]
	switch {
	case b.Label != "outer" || len(b.Declared) != 3 || name(b.Declared[0]) != "i" || f.Vars[b.Declared[0]].Default != "1",
		name(b.Body[0].Target) != "i" || b.Body[0].Target == b.Declared[0] || len(b.Body[0].Bounds) != 2,
		len(inner.Declared) != 2 || name(inner.Declared[1]) != "j" || inner.Declared[0] == b.Body[0].Target,
		inner.Body[0].Target != inner.Declared[0] || inner.Body[1].Kind != "EXIT" || inner.Body[1].Label != "outer",
		len(inner.Handlers) != 1 || strings.Join(inner.Handlers[0].Conditions, " ") != "unique_violation 22012" || name(inner.Target) != "sqlstate",
		second.Target == b.Body[0].Target || !second.Reverse || len(second.Bounds) != 3 || second.Body[0].Kind != "CONTINUE",
		rows.Record != b.Declared[1] || rows.Query != "select 1 as x" || b.Body[3].Record >= 0 || b.Body[3].Into[0] != b.Declared[2],
		b.Body[4].Target <= inner.Target || b.Body[4].Handlers[0].Body[0].Kind != "RAISE",
		b.Body[5].Missing || len(b.Body[5].Arms) != 1 || len(b.Body[5].Else) != 1 || !strings.HasPrefix(name(b.Body[5].Target), "__Case"):
		t.Errorf("read %+v", f)
	}
}
