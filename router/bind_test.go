package router

import (
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
)

func text(s string) shardmap.Value { return shardmap.Value{Data: []byte(s)} }

func typed(s string, oid uint32) shardmap.Value {
	return shardmap.Value{Data: []byte(s), TypeOID: oid}
}

func int4(n int32) shardmap.Value {
	return shardmap.Value{Data: binary.BigEndian.AppendUint32(nil, uint32(n)), Format: shardmap.Binary, TypeOID: shardmap.Int4OID}
}

// int4Array is array_send's form of one dimension.
func int4Array(vals ...int32) shardmap.Value {
	b := []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23}
	b = binary.BigEndian.AppendUint32(b, uint32(len(vals)))
	b = binary.BigEndian.AppendUint32(b, 1)
	for _, v := range vals {
		b = binary.BigEndian.AppendUint32(b, 4)
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return shardmap.Value{Data: b, Format: shardmap.Binary}
}

// Every way to give the key the same value must lead to the backend that a literal leads to.
func TestParametersRouteAsLiterals(t *testing.T) {
	env := fixture()
	for _, c := range []struct {
		text   string
		params []shardmap.Value
		as     string
	}{
		{"SELECT * FROM users WHERE id = $1", []shardmap.Value{text("7")}, "SELECT * FROM users WHERE id = 7"},
		{"SELECT * FROM users WHERE id = $1", []shardmap.Value{text(" 7 ")}, "SELECT * FROM users WHERE id = 7"},
		{"SELECT * FROM users WHERE id = $1", []shardmap.Value{int4(7)}, "SELECT * FROM users WHERE id = 7"},
		{"SELECT * FROM users WHERE id = $1", []shardmap.Value{typed("7", shardmap.Int8OID)}, "SELECT * FROM users WHERE id = 7"},
		{"SELECT * FROM users WHERE id = $1::int", []shardmap.Value{text("7")}, "SELECT * FROM users WHERE id = 7"},
		{"SELECT * FROM users WHERE id = ANY($1)", []shardmap.Value{text("{7,8}")}, "SELECT * FROM users WHERE id IN (7, 8)"},
		{"SELECT * FROM users WHERE id = ANY($1)", []shardmap.Value{int4Array(7, 8)}, "SELECT * FROM users WHERE id IN (7, 8)"},
		{"SELECT * FROM users WHERE id = ANY($1::bigint[])", []shardmap.Value{typed("{7,NULL}", 1016)}, "SELECT * FROM users WHERE id = 7"},
		{"SELECT * FROM users WHERE id = ANY($1)", []shardmap.Value{{Null: true}}, "SELECT * FROM users WHERE id = NULL"},
		{"SELECT * FROM users WHERE id = ANY($1)", []shardmap.Value{text("{}")}, "SELECT * FROM users WHERE id = NULL"},
		{"SELECT * FROM users WHERE id = $1", []shardmap.Value{{Null: true}}, "SELECT * FROM users WHERE id = NULL"},
		{"SELECT * FROM meetings WHERE room = ANY($1)", []shardmap.Value{text(`{"a b",c\,d,"x\"y"}`)}, `SELECT * FROM meetings WHERE room IN ('a b', 'c,d', 'x"y')`},
		{"SELECT * FROM pairs WHERE a = $1 AND b = ANY($2)", []shardmap.Value{int4(-3), text("{1,2}")}, "SELECT * FROM pairs WHERE a = -3 AND b IN (1, 2)"},
		// Not certain, so everywhere: another type, text that is no array, an undeclared type that may be another.
		{"SELECT * FROM users WHERE id = $1", []shardmap.Value{typed("7", shardmap.NumericOID)}, "SELECT * FROM users"},
		{"SELECT * FROM users WHERE id = ANY($1)", []shardmap.Value{text("[2:3]={7,8}")}, "SELECT * FROM users"},
		{"SELECT * FROM users WHERE id = ANY($1)", []shardmap.Value{typed("{7}", 1231)}, "SELECT * FROM users"},
		{"SELECT * FROM users WHERE id = $1 AND $1::numeric > 1", []shardmap.Value{text("7")}, "SELECT * FROM users"},
		{"SELECT * FROM users WHERE id = $1 AND $1::numeric > 1", []shardmap.Value{int4(7)}, "SELECT * FROM users WHERE id = 7"},
	} {
		p := Plan(c.text, env)
		got, err := p.Backends(env.Schema.Map, 0, &Values{Text: []byte(c.text), Params: c.params})
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		want, err := Plan(c.as, env).Backends(env.Schema.Map, 0, scanValues(c.as))
		if err != nil || !got.Equal(&want) {
			t.Errorf("%s with %v: %v, want %v (%v)", c.text, c.params, got, want, err)
		}
	}
}

func TestBackendsRefuse(t *testing.T) {
	env := fixture()
	m := env.Schema.Map
	for _, c := range []struct {
		text   string
		params []shardmap.Value
		want   error
	}{
		{"UPDATE meetings SET room = $1 WHERE room = $2", []shardmap.Value{text("b"), text("a")}, refKeyUpdate},
		{"UPDATE meetings SET room = $1 WHERE room = $2", []shardmap.Value{text("a"), text("a")}, nil},
		{"SELECT * FROM meetings, notes WHERE room = $1", []shardmap.Value{text("a")}, nil},
		{"SELECT * FROM meetings, notes WHERE room = $1", []shardmap.Value{text("b")}, nil},
		{"UPDATE meetings SET id = nextval('notes_id_seq') WHERE room = $1", []shardmap.Value{text("b")}, refMixedSeq},
		{"UPDATE codes SET seen = $1", []shardmap.Value{text("now")}, refClockWords},
		{"UPDATE codes SET seen = $1", []shardmap.Value{text("2024-01-01")}, nil},
		{"UPDATE codes SET seen = ' Today '", nil, refClockWords},
		{"UPDATE meetings SET at = 'tomorrow' WHERE id = 1", nil, refClockWords},
		{"UPDATE meetings SET at = 'tomorrow' WHERE room = 'a'", nil, nil},
		{"INSERT INTO users (id) VALUES ($1)", []shardmap.Value{typed("7.5", shardmap.NumericOID)}, shardmap.ErrNotProvable},
		{"INSERT INTO users (id) VALUES ($1)", []shardmap.Value{text("7")}, nil},
	} {
		v := scanValues(c.text)
		v.Params = c.params
		if _, err := Plan(c.text, env).Backends(m, 0, v); !errors.Is(err, c.want) {
			t.Errorf("%s with %v: %v, want %v", c.text, c.params, err, c.want)
		}
	}
}

func TestCounts(t *testing.T) {
	env := fixture()
	const text1 = "SELECT * FROM meetings LIMIT $1 OFFSET $2"
	p := Plan(text1, env)
	for _, c := range []struct {
		limit, offset shardmap.Value
		want          Counts
		code          string
	}{
		{text("5"), text("2"), Counts{5, 2, true}, ""},
		{int4(5), shardmap.Value{Null: true}, Counts{5, 0, true}, ""},
		{shardmap.Value{Null: true}, text("3"), Counts{0, 3, false}, ""},
		{text("-1"), text("0"), Counts{}, pgerr.InvalidRowCountInLimit},
		{text("1"), int4(-1), Counts{}, pgerr.InvalidRowCountInOffset},
	} {
		got, err := p.Scatter.Counts(&Values{Text: []byte(text1), Params: []shardmap.Value{c.limit, c.offset}})
		var e *pgerr.Error
		if errors.As(err, &e) {
			if e.Code != c.code {
				t.Errorf("%v %v: %v", c.limit, c.offset, err)
			}
			continue
		}
		if err != nil || c.code != "" || got != c.want {
			t.Errorf("%v %v: %v %v", c.limit, c.offset, got, err)
		}
	}
}

func TestTextArray(t *testing.T) {
	for in, want := range map[string][]string{
		"{}":                   {},
		"{1,2}":                {"1", "2"},
		" { 1 , 2 } ":          {"1", "2"},
		`{"a,b","c\"d","\\"}`:  {"a,b", `c"d`, `\`},
		`{a b , c\ }`:          {"a b", "c "},
		`{{1,2},{3,4}}`:        {"1", "2", "3", "4"},
		`{NULL,"NULL",nUll,x}`: {"~", "NULL", "~", "x"},
		`{""}`:                 {""},
	} {
		vals, ok := textArray([]byte(in))
		got := []string{}
		for _, v := range vals {
			if v.Null {
				got = append(got, "~")
				continue
			}
			got = append(got, string(v.Data))
		}
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "1", "{1", "1}", "[1:1]={1}", `{"a}`, `{a"b}`, "{{1}"} {
		if _, ok := textArray([]byte(in)); ok {
			t.Errorf("%q: read", in)
		}
	}
}

// FuzzArrays: decoders of what clients send never panic nor read past the end.
func FuzzArrays(f *testing.F) {
	f.Add([]byte("{1,2}"))
	f.Add(int4Array(1, 2).Data)
	f.Fuzz(func(t *testing.T, b []byte) {
		textArray(b)
		binaryArray(b)
	})
}

// Where a row goes is where its key cells lead, and only that.
func TestRowBackend(t *testing.T) {
	env := fixture()
	const text1 = "INSERT INTO members (age, room) VALUES (1, 'a'), (2, $1), (3, lower('A')), (4, NULL)"
	p := Plan(text1, env)
	v := scanValues(text1)
	v.Params = []shardmap.Value{text("a")}
	first, err := p.Insert.RowBackend(env.Schema.Map, 0, v)
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.Insert.RowBackend(env.Schema.Map, 1, v)
	if err != nil || second != first {
		t.Errorf("parameter: %d %v, literal %d", second, err, first)
	}
	if _, err := p.Insert.RowBackend(env.Schema.Map, 2, v); !errors.Is(err, shardmap.ErrNotProvable) {
		t.Errorf("expression: %v", err)
	}
	if b, err := p.Insert.KeyBackend(env.Schema.Map, []shardmap.Value{text("a")}); err != nil || b != first {
		t.Errorf("evaluated: %d %v", b, err)
	}
	if b, err := p.Insert.RowBackend(env.Schema.Map, 3, v); err != nil || b != 0 {
		t.Errorf("null: %d %v", b, err)
	}
}
