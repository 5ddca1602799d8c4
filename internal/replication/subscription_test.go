package replication

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestPosition(t *testing.T) {
	for _, text := range []string{"0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"} {
		p, err := ParsePosition(text)
		if err != nil || p.String() != text {
			t.Errorf("%s is read as %s (%v)", text, p, err)
		}
	}
	for _, text := range []string{"", "1", "1/", "/1", "1/G", "1/100000000", "x/1"} {
		if p, err := ParsePosition(text); err == nil {
			t.Errorf("%q is read as %s", text, p)
		}
	}
}

// wireRow is a row as pgoutput sends it; "" stands for an unchanged toasted value, nil for NULL.
func wireRow(values ...any) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case bool:
			b = append(b, 'u')
		case string:
			b = append(b, 't')
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
			b = append(b, v...)
		}
	}
	return b
}

func TestReadRow(t *testing.T) {
	row, err := readRow(&reader{b: wireRow("a", nil, true, "")})
	if err != nil {
		t.Fatal(err)
	}
	if len(row) != 4 || string(row[0].data) != "a" || row[1].data != nil || row[1].unchanged || !row[2].unchanged ||
		row[3].data == nil || len(row[3].data) != 0 {
		t.Errorf("%+v", row)
	}
	whole := wireRow("abc", nil, "x")
	for n := range whole {
		if _, err := readRow(&reader{b: whole[:n]}); !errors.Is(err, errShort) {
			t.Errorf("%d bytes of %d: %v", n, len(whole), err)
		}
	}
	if _, err := readRow(&reader{b: []byte{0, 1, 'b', 0, 0, 0, 0}}); err == nil {
		t.Error("a binary value was taken for text")
	}
}

func TestReadRelation(t *testing.T) {
	b := append([]byte{0, 0, 64, 1}, "pleiad_1\x00item\x00f\x00\x02\x01k\x00"...)
	b = append(b, make([]byte, 8)...)
	b = append(b, "\x00v\x00"...)
	b = append(b, make([]byte, 8)...)
	id, rel := readRelation(&reader{b: b})
	if id != 16385 || rel.table != (Table{"pleiad_1", "item"}) || !rel.full || len(rel.columns) != 2 ||
		rel.columns[0] != (column{"k", true}) || rel.columns[1] != (column{"v", false}) {
		t.Errorf("%d %+v", id, rel)
	}
}

// What finds a row: the key's operators, or the text of all columns where there is no key.
func TestWhere(t *testing.T) {
	keyed := &relation{table: Table{"s", "t"}, columns: []column{{"a", true}, {"b", false}, {"c", true}}}
	old := []value{{data: []byte("1")}, {data: []byte("2")}, {data: []byte("3")}}
	var b strings.Builder
	params := where(&b, keyed, Follow{Equal: map[string]string{"a": "OPERATOR(x.=)"}}, old, [][]byte{[]byte("new")})
	if got := b.String(); got != ` WHERE "a" OPERATOR(x.=) $2 AND "c" = $3` || len(params) != 3 {
		t.Errorf("%s with %q", got, params)
	}
	b.Reset()
	full := &relation{table: Table{"s", "t"}, full: true, columns: []column{{"a", true}, {"b", true}}}
	params = where(&b, full, Follow{}, []value{{data: []byte("1")}, {}}, nil)
	want := ` WHERE ctid = (SELECT ctid FROM ONLY "s"."t" WHERE "a"::text IS NOT DISTINCT FROM $1 AND "b"::text IS NOT DISTINCT FROM $2 LIMIT 1)`
	if got := b.String(); got != want || !bytes.Equal(params[0], []byte("1")) || params[1] != nil {
		t.Errorf("%s with %q", got, params)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(wireRow("a", nil, true))
	f.Add([]byte("\x00\x00\x40\x01s\x00t\x00d\x00\x01\x01k\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte{0xff, 0xff, 't', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		if row, err := readRow(&reader{b: data}); err == nil && len(row) > len(data) {
			t.Errorf("%d values of %d bytes", len(row), len(data))
		}
		r := &reader{b: data}
		if _, rel := readRelation(r); r.err == nil && len(rel.columns) > len(data) {
			t.Errorf("%d columns of %d bytes", len(rel.columns), len(data))
		}
	})
}
