package router

import (
	"fmt"
	"strings"
	"testing"
)

func TestSessionViews(t *testing.T) {
	for text, want := range map[string]string{
		"select * from pg_prepared_statements":                                           "select * from <pg_prepared_statements AS pg_prepared_statements>",
		"select p.name from pg_catalog.pg_prepared_statements p, pg_prepared_statements": "select p.name from <pg_prepared_statements> p, <pg_prepared_statements AS pg_prepared_statements>",
		"select pg_prepared_statements.name from pg_prepared_statements":                 "select pg_prepared_statements.name from <pg_prepared_statements AS pg_prepared_statements>",
		"select pg_listening_channels()":                                                 "select <pg_listening_channels AS pg_listening_channels>",
		"select pg_catalog.pg_listening_channels() as c":                                 "select <pg_listening_channels> as c",
		"select count(*) from pg_listening_channels() x":                                 "select count(*) from <pg_listening_channels> x",
		"select pg_listening_channels from pg_listening_channels()":                      "select pg_listening_channels from <pg_listening_channels AS pg_listening_channels>",
		"select upper(pg_listening_channels())":                                          "select upper(<pg_listening_channels>)",
		"select * from pg_cursors":                                                       "select * from <pg_cursors AS pg_cursors>",
		"select * from pg_cursors c, pg_prepared_statements":                             "select * from <pg_cursors> c, <pg_prepared_statements AS pg_prepared_statements>",
		"select * from pg_cursor()":                                                      "no",
		"select * from pg_cursors, pg_prepared_statement()":                              "no",
		"select * from mine.pg_prepared_statements":                                      "no",
		"select 1 as pg_prepared_statements":                                             "no",
		"create table x as select * from pg_prepared_statements":                         "no",
		"select * from pg_prepared_statements; select 1":                                 "no",
	} {
		got := "no"
		if p := PlanSessionViews(text); p != nil {
			var b strings.Builder
			from := 0
			for _, v := range p.SessionViews {
				as := ""
				if v.Alias != "" {
					as = " AS " + v.Alias
				}
				fmt.Fprintf(&b, "%s<%s%s>", text[from:v.Start], v.Name, as)
				from = v.End
			}
			got = b.String() + text[from:]
		}
		if got != want {
			t.Errorf("%s: %s, and not %s", text, got, want)
		}
	}
}
