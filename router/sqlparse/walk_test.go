package sqlparse

import "testing"

// Walk must reach every subquery, wherever PostgreSQL's grammar lets one stand.
func TestWalkReachesEverySubquery(t *testing.T) {
	for _, text := range []string{
		"SELECT (SELECT 1)",
		"SELECT ARRAY(SELECT 1)",
		"SELECT 1 WHERE EXISTS (SELECT 1)",
		"SELECT f(x => (SELECT 1))",
		"SELECT f(1 ORDER BY (SELECT 1))",
		"SELECT f(1) FILTER (WHERE (SELECT true))",
		"SELECT f(1) OVER (PARTITION BY (SELECT 1))",
		"SELECT f(1) OVER w WINDOW w AS (ORDER BY (SELECT 1))",
		"SELECT CASE (SELECT 1) WHEN 1 THEN 2 END",
		"SELECT CASE WHEN true THEN 1 ELSE (SELECT 1) END",
		"SELECT a[(SELECT 1)]",
		"SELECT (ROW(1, (SELECT 1))).f1",
		"SELECT 1 LIMIT (SELECT 1)",
		"SELECT 1 OFFSET (SELECT 1)",
		"SELECT 1 GROUP BY ROLLUP ((SELECT 1))",
		"SELECT 1 IN (SELECT 1)",
		"SELECT COALESCE(NULL, (SELECT 1))",
		"SELECT xmlelement(name a, (SELECT 1))",
		"SELECT JSON_OBJECT('a': (SELECT 1))",
		"SELECT (SELECT 1)::text COLLATE \"C\"",
		"SELECT * FROM t JOIN u ON (SELECT true)",
		"SELECT * FROM generate_series(1, (SELECT 3))",
		"SELECT * FROM xmltable('/r' PASSING (SELECT x) COLUMNS a int)",
		"SELECT * FROM json_table((SELECT '{}'), '$' COLUMNS (a int))",
		"SELECT * FROM t TABLESAMPLE system ((SELECT 1))",
		"VALUES ((SELECT 1))",
		"UPDATE t SET a = (SELECT 1)",
		"INSERT INTO t VALUES (1) RETURNING (SELECT 1)",
		"INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = (SELECT 1)",
		"DELETE FROM t WHERE (SELECT true)",
		"MERGE INTO t USING u ON true WHEN MATCHED AND (SELECT true) THEN DELETE",
	} {
		stmts, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		found := false
		Walk(stmts[0].Node, func(n Node) bool {
			if sl := n.GetSubLink(); sl != nil && sl.Subselect.GetSelectStmt() != nil {
				found = true
			}
			return true
		})
		if !found {
			t.Errorf("%s: subquery not seen", text)
		}
	}
}

func TestParse(t *testing.T) {
	if _, err := Parse("SELEC 1"); err == nil {
		t.Error("a syntax error passes")
	}
	if _, err := Parse("SELECT 'a\x00b'"); err == nil {
		t.Error("a zero byte passes")
	}
	stmts, err := Parse("SELECT 1; SELECT 2")
	if err != nil || len(stmts) != 2 || stmts[1].Start != 9 {
		t.Errorf("two statements: %+v %v", stmts, err)
	}
	for expr, ok := range map[string]bool{"now()": true, "'a'::text": true, "1) FROM t --": false, "": false} {
		if _, err := ParseExpr(expr); (err == nil) != ok {
			t.Errorf("expression %s: %v", expr, err)
		}
	}
}

// Depths and words of tokens are what clauses are found by.
func TestTokens(t *testing.T) {
	toks := Tokens(`Select "From", (a[1]) /* ( */ FROM t -- )`)
	want := []Token{
		{0, 6, "select", 0, 0}, {7, 13, "", 0, 0}, {13, 14, "", ',', 0}, {15, 16, "", '(', 0}, {16, 17, "a", 0, 1},
		{17, 18, "", '[', 1}, {18, 19, "", 0, 2}, {19, 20, "", ']', 1}, {20, 21, "", ')', 0}, {30, 34, "from", 0, 0}, {35, 36, "t", 0, 0},
	}
	if len(toks) != len(want) {
		t.Fatalf("%+v", toks)
	}
	for i := range want {
		if toks[i] != want[i] {
			t.Errorf("token %d is %+v, want %+v", i, toks[i], want[i])
		}
	}
}
