package executor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// partedTypes are those whose values have parts.
var partedTypes = []sortType{
	{"jsonb", oidJSONB, []string{"null", "true", "false", "0", "-0", "0.0", "1", "1.0", "1.50", "-1.5", "1e3", "1e-7", "123456789012345678901234567890",
		`""`, `"a"`, `"A"`, `"ab"`, `"\u00e9\n\t\"\\\u0001/"`, "[]", "[[]]", "[{}]", "{}", "[null]", "[1]", "[1, 2]", "[[1], 2]", `["a"]`, `[{"a": 1}]`,
		`{"a": 1}`, `{"b": 1}`, `{"aa": 1}`, `{"a": []}`, `{"a": {}}`, `{"a": 1, "b": 2}`, `{"a": 1, "c": 2}`, `{"a": 2, "b": 1}`, `{"": null}`}, randomJSON3},
	{"inet", oidInet, []string{"0.0.0.0", "0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/8", "10.0.0.0", "10.0.0.0/31", "255.255.255.255", "::", "::/0", "::1", "ff::/8", "::ffff:1.2.3.4"},
		func(r *rand.Rand) string {
			if r.IntN(2) == 0 {
				return fmt.Sprintf("10.%d.%d.%d/%d", r.IntN(3), r.IntN(256), r.IntN(256), r.IntN(33))
			}
			return fmt.Sprintf("fe80:%x::%x/%d", r.IntN(5), r.IntN(65536), r.IntN(129))
		}},
	{"cidr", oidCIDR, []string{"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/32", "::/0", "::1/128"}, func(r *rand.Rand) string { return fmt.Sprintf("10.%d.%d", r.IntN(9), r.IntN(256)) }},
	{"varbit", oidVarbit, []string{"", "0", "1", "00", "01", "10000000", "100000000", "1000000000000000"}, randomBits},
	{"bit(11)", oidBit, []string{"0", "1", "11111111111"}, randomBits},
	{"tid", oidTID, []string{"(0,0)", "(0,1)", "(4294967295,65535)", "(1,0)"}, func(r *rand.Rand) string { return fmt.Sprintf("(%d,%d)", r.IntN(300), r.IntN(300)) }},
	{"int4[]", 1007, []string{"{}", "{NULL}", "{1}", "{1,NULL}", "{1,2}", "{{1,2}}", "{{1},{2}}", "[0:1]={1,2}", "[2:3]={1,2}", "{-1}", "{{{1,2}}}"}, randomInts},
	{`text[] COLLATE "C"`, 1009, []string{"{}", "{NULL}", `{""}`, "{a}", "{A,b}", "{a,b}", "{é}"}, randomInts},
	{"numeric[]", 1231, []string{"{}", "{1.0}", "{1}", "{NaN}", "{-1}"}, randomInts},
	{"bool[]", 1000, []string{"{}", "{t}", "{f}", "{f,t}", "{NULL,f}"}, func(r *rand.Rand) string { return []string{"{t,t}", "{f,NULL}"}[r.IntN(2)] }},
	{"jsonb[]", 3807, []string{"{}", `{"1"}`, `{"[]","null"}`}, func(r *rand.Rand) string { return fmt.Sprintf(`{"[%d]","%d"}`, r.IntN(3), r.IntN(3)) }},
}

func randomBits(r *rand.Rand) string { return fmt.Sprintf("%b", r.IntN(1<<11)) }

func randomInts(r *rand.Rand) string {
	list := make([]string, r.IntN(4))
	for i := range list {
		list[i] = fmt.Sprint(r.IntN(4))
		if r.IntN(6) == 0 {
			list[i] = "NULL"
		}
	}
	return "{" + strings.Join(list, ",") + "}"
}

func randomJSON3(r *rand.Rand) string { return randomJSON(r, 3) }

func randomJSON(r *rand.Rand, depth int) string {
	n := 7
	if depth == 0 {
		n = 5
	}
	switch r.IntN(n) {
	case 0:
		return []string{"null", "true", "false"}[r.IntN(3)]
	case 1, 2:
		return fmt.Sprint(r.IntN(3)-1) + []string{"", ".0", ".5", "e2"}[r.IntN(4)]
	case 3, 4:
		return []string{`""`, `"a"`, `"b"`, `"aa"`, `"é"`, `"\\n"`}[r.IntN(6)]
	case 5:
		list := make([]string, r.IntN(3))
		for i := range list {
			list[i] = randomJSON(r, depth-1)
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	var list []string
	for range r.IntN(3) {
		list = append(list, []string{`"a"`, `"b"`, `"ab"`}[r.IntN(3)]+":"+randomJSON(r, depth-1))
	}
	return "{" + strings.Join(list, ",") + "}"
}

// TestCollatedValuesOrderAsTheServer holds records of a collation and a value against the value's own order.
func TestCollatedValuesOrderAsTheServer(t *testing.T) {
	conn := postgres(t)
	r := random(23)
	for _, c := range []struct{ cast, order string }{
		{`text`, "DESC NULLS LAST"}, {`text COLLATE "C"`, "NULLS FIRST"}, {"int4", ""}, {"name", "DESC"},
	} {
		var values []string
		for range 200 {
			if values = append(values, randomText(r)); c.cast == "int4" {
				values[len(values)-1] = fmt.Sprint(r.IntN(9))
			}
		}
		key := router.SortKey{Form: router.SortCollated, Desc: strings.Contains(c.order, "DESC"), NullsFirst: c.order == "NULLS FIRST" || c.order == "DESC"}
		cmp, err := newComparator(oidRecord, key, byteCollations{})
		if err != nil {
			t.Fatal(err)
		}
		typ, collate, _ := strings.Cut(c.cast, " ")
		rows, err := conn.Query(t.Context(), fmt.Sprintf(`SELECT ROW(pg_collation_for((v %[1]s)::text), v %[1]s) FROM
			(SELECT nullif(x, 'a')::%[2]s AS v FROM unnest($1::text[]) x) s ORDER BY v %[1]s %[3]s`, collate, typ, c.order),
			pgx.QueryResultFormats{1}, values)
		if err != nil {
			t.Fatal(err)
		}
		var got [][]byte
		for rows.Next() {
			got = append(got, slices.Clone(rows.RawValues()[0]))
		}
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
		checkOrder(t, cmp, got)
	}
}

// onlyC proves no collation but C.
type onlyC struct{}

func (onlyC) Compare(name string) (func(a, b []byte) int, bool) { return bytes.Compare, name == "C" }

func TestCollatedValuesAreRefusedWhereTheOrderIsNotKnown(t *testing.T) {
	for collation, typ := range map[string]uint32{`"en_US"`: oidText, "": oidText, `"default"`: oidVarchar, `"C"`: 16999} {
		v := binary.BigEndian.AppendUint32(nil, 2)
		v = binary.BigEndian.AppendUint32(v, oidText)
		v = binary.BigEndian.AppendUint32(v, uint32(len(collation)))
		v = append(v, collation...)
		v = binary.BigEndian.AppendUint32(v, typ)
		v = binary.BigEndian.AppendUint32(v, 1)
		v = append(v, 'x')
		c, err := newComparator(oidRecord, router.SortKey{Form: router.SortCollated}, onlyC{})
		if err != nil {
			t.Fatal(err)
		}
		var refused *pgerr.Error
		if err := c.check(v); !errors.As(err, &refused) || refused.Code != pgerr.FeatureNotSupported {
			t.Errorf("collation %s of type %d: %v", collation, typ, err)
		}
		if c.check(v[:len(v)-1]) == nil || c.check(nil) == nil {
			t.Error("a cut record is taken")
		}
	}
}

func TestRanksDecideBehindUserTypes(t *testing.T) {
	value, err := newComparator(16999, router.SortKey{Form: router.SortRanked}, nil)
	if err != nil || value.compare([]byte("sad"), []byte("happy")) != 0 || value.compare(nil, []byte("sad")) == 0 {
		t.Errorf("an enum's labels are ordered by themselves: %v", err)
	}
	rank, err := newComparator(oidInt8, router.SortKey{Form: router.SortRank, Desc: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	of := func(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	if rank.compare(of(2), of(1)) >= 0 || rank.check(of(-1)) != nil || rank.check(of(-2)) == nil || rank.check([]byte{1}) == nil {
		t.Error("ranks")
	}
}
