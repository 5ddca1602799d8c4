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
		"declare n int := 1; begin n := n + 1; raise notice '%', n; end":            true,
		"declare r record; begin select 1 into r; end":                              false,
		"declare r pg_class%rowtype; begin select * into r from pg_class; end":      true,
		"declare n pg_class.relname%type; begin n := 1; end":                        true,
		"declare c cursor (a int) for select a; begin open c(1); end":               false,
		"declare c refcursor; begin open c for select 1; end":                       false,
		"begin for i in 1..3 loop null; end loop; end":                              false,
		"declare i int; begin foreach i in array array[1] loop null; end loop; end": false,
		"begin perform 1; exception when others then null; end":                     false,
		"<<l>> begin null; end":                                                     false,
		"begin begin null; end; end":                                                false,
		"begin commit; end":                                                         false,
		"begin return query select 1; end":                                          false,
		"begin case 1 when 1 then null; end case; end":                              false,
		"begin get stacked diagnostics n = message_text; end":                       false,
		"begin selekt; end":                                                         false,
		"begin":                                                                     false,
		"":                                                                          false,
		"begin " + strings.Repeat("if true then ", 5000) + strings.Repeat("end if; ", 5000) + "end": false,
		"begin perform " + strings.Repeat("(", 50000) + "1" + strings.Repeat(")", 50000) + "; end":  false,
		"begin perform 1" + strings.Repeat("+1", 100000) + "; end":                                  false,
	} {
		if _, err := ParsePLpgSQL("DO $x$"+body+"$x$", body); (err == nil) != ok {
			t.Errorf("%.60s: error %v, want one: %v", body, err, !ok)
		}
	}
	f, err := ParsePLpgSQL("CREATE FUNCTION f(a int, b text) RETURNS int LANGUAGE plpgsql AS $x$\nbegin\n\n  update t set v = b;\n return a;\nend$x$", "")
	if err != nil || len(f.Vars) != 3 || len(f.Body) < 2 || f.Body[0].Line != 4 || f.Body[0].Query != "update t set v = b" || f.Body[1].Query != "a" {
		t.Errorf("read %+v, error %v", f, err)
	}
}
