package executor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/pleiad/pleiad/internal/wire"
)

// TestCollectParts holds rows of two kinds, which share a column, in the arrays of their own.
func TestCollectParts(t *testing.T) {
	// Columns behind the part's number: a binary one of both, a binary one of part 1, and one in text of part 0.
	collect := func() *Collect {
		c := &Collect{Parts: [][]int{{2, 0}, {0, 1}}, Formats: []int16{1, 1, 1, 0}, Types: make([]uint32, 4)}
		c.describeParts()
		return c
	}
	row := func(values ...[]byte) *wire.Body {
		out, at := wire.Begin(nil, 'D')
		for _, v := range values {
			if v == nil {
				out = append(out, 255, 255, 255, 255)
				continue
			}
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(v))), v...)
		}
		body := wire.BodyOf(wire.End(out, at))
		return &body
	}
	zero, one := []byte{0, 0}, []byte{0, 1}
	c := collect()
	for _, r := range []*wire.Body{row(zero, []byte("x"), nil, []byte("text")), row(one, []byte("y"), nil, nil), row(one, nil, []byte("z"), nil)} {
		if err := c.rowOfPart(r); err != nil {
			t.Fatal(err)
		}
	}
	null := "\xff\xff\xff\xff"
	for i, want := range []string{`"text",`, "\x00\x00\x00\x01x", "\x00\x00\x00\x01y" + null, null + "\x00\x00\x00\x01z"} {
		a := c.Array(i, 25)
		if got := bytes.Join(a.chunks, nil); string(got) != want {
			t.Errorf("array %d holds %q, want %q", i, got, want)
		}
		if a.text != (i == 0) {
			t.Errorf("array %d is text: %t", i, a.text)
		}
		if empty := (&Collect{Parts: c.Parts, Formats: c.Formats}).Array(i, 25); empty.text != a.text || empty.Len() != 0 {
			t.Errorf("array %d without rows is text: %t, has %d values", i, empty.text, empty.Len())
		}
	}
	for what, r := range map[string]*wire.Body{
		"a part that is none":       row([]byte{0, 2}, nil, nil, nil),
		"no part":                   row(nil, nil, nil, nil),
		"a part of another width":   row([]byte{0}, nil, nil, nil),
		"a value of the other part": row(zero, nil, []byte("z"), nil),
		"too few values":            row(zero, nil),
		"too many values":           row(zero, nil, nil, nil, nil),
	} {
		if err := collect().rowOfPart(r); !errors.Is(err, errRow) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
