package pgdump

import (
	"strings"
	"testing"
)

func TestBody(t *testing.T) {
	const head = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n-- Dumped by\n\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\n" +
		"SELECT pg_catalog.set_config('search_path', '', false);\nSET row_security = off;\n"
	const entry = "\n-- Name: f\nCREATE FUNCTION f() AS '\nSET row_security = off;\n--\n-- PostgreSQL database dump complete\n--\n';\n"
	const end = "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n"
	text, key, err := body(head+entry+end, false, 16)
	if text != entry || key != "abc" || err != nil {
		t.Errorf("%q, %q, %v", text, key, err)
	}
	text, _, err = body(head+entry+end, true, 16)
	if want := "SET lock_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\nSET row_security = off;\n" + entry; text != want || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if text, _, _ = body(head+end, true, 17); !strings.Contains(text, "transaction_timeout") {
		t.Errorf("for 17: %q", text)
	}
	if _, key, err = body(strings.Replace(head, "\\restrict abc\n", "", 1)+end, true, 17); key != "" || err != nil {
		t.Errorf("an older one: %q, %v", key, err)
	}
	for _, bad := range []string{"", head, end} {
		if _, _, err := body(bad, true, 17); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestPlainTable(t *testing.T) {
	r := relation{Name: "t", Key: "HASH (a)", Storage: "fillfactor = '50'"}
	const text = "CREATE TABLE t (\n    a text DEFAULT '\n)\nPARTITION BY HASH (a);\n'\n)\nPARTITION BY HASH (a);\n\n\nALTER TABLE t OWNER TO x;\n"
	got, err := r.plainTable(text)
	if want := "CREATE TABLE t (\n    a text DEFAULT '\n)\nPARTITION BY HASH (a);\n'\n)\nWITH (fillfactor = '50');\n\n\nALTER TABLE t OWNER TO x;\n"; got != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := r.plainTable("CREATE TABLE t (\n    a text\n)\nPARTITION BY HASH (b);\n"); err == nil {
		t.Error("another key is taken")
	}
}

// TestSpoil ends scripts so that psql ends with an error too.
func TestSpoil(t *testing.T) {
	var out strings.Builder
	s := &script{w: &out}
	if err := s.spoil(); err != nil || out.String() != "" {
		t.Errorf("before anything was written: %q, %v", out.String(), err)
	}
	if err := s.text("COPY t FROM stdin;\n", "1\tha"); err != nil {
		t.Fatal(err)
	}
	s.copying = true
	if err := s.spoil(); err != nil || !strings.HasPrefix(out.String(), "COPY t FROM stdin;\n1\tha\n\\.\n\nTHIS DUMP IS NOT COMPLETE") || !strings.HasSuffix(out.String(), ";\n") {
		t.Errorf("in COPY: %q, %v", out.String(), err)
	}
}

func TestTables(t *testing.T) {
	var out strings.Builder
	s := &script{w: &out}
	for _, x := range []struct {
		distribution string
		shards       int
	}{{"local", 0}, {`HASH ("it's")`, 7}, {`HASH ("it's")`, 7}, {"reference", 0}, {`HASH ("a\b")`, 7}} {
		if err := s.tables(x.distribution, x.shards); err != nil {
			t.Fatal(err)
		}
	}
	const want = "SET pleiad.default_distribution = 'local';\nSET pleiad.default_distribution = 'HASH (\"it''s\")';\nSET pleiad.shard_count = 7;\n" +
		"SET pleiad.default_distribution = 'reference';\nSET pleiad.default_distribution =  E'HASH (\"a\\\\b\")';\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}

func TestOwnPublication(t *testing.T) {
	for line, want := range map[string]bool{
		"31; 6104 99 PUBLICATION - pleiad_move_12_0a1b2c3d postgres": true, "31; 6104 99 PUBLICATION - pleiad_join_1_0a1b2c3d x": true,
		"31; 6104 99 PUBLICATION - pleiad_mine postgres": false, "31; 1259 99 TABLE public pleiad_move_12_0a1b2c3d x": false,
	} {
		if got := ownPublication.MatchString(line); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}
