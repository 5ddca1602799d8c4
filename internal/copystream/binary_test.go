package copystream

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
)

func binarySpec(columns ...string) Spec {
	s := text(columns...)
	s.Format.Binary = true
	return s
}

func binaryStart() []byte {
	return append([]byte(signature), 0, 0, 0, 0, 0, 0, 0, 0)
}

// binaryRow encodes values; "\x00null" stands for NULL.
func binaryRow(values ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		if v == "\x00null" {
			b = append(b, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return b
}

func TestBinaryRows(t *testing.T) {
	data := append(binaryStart(), binaryRow("x", "\x00null")...)
	data = append(data, binaryRow("", "yy")...)
	data = append(data, 0xff, 0xff)
	got := read(t, binarySpec("a", "b"), data, nil)
	if got.err != "" || len(got.rows) != 2 || !strings.HasSuffix(got.rows[0], `line 1 (+1) "x" null `) ||
		!strings.HasSuffix(got.rows[1], `line 2 (+1) "" "yy" `) || got.prologue != string(binaryStart()) || got.epilogue != "\xff\xff" {
		t.Errorf("got %+v", got)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		cut := read(t, binarySpec("a", "b"), data, randomCuts(r, len(data)))
		if strings.Join(cut.rows, "") != strings.Join(got.rows, "") || cut.err != "" || cut.epilogue != got.epilogue {
			t.Fatalf("cut: %+v", cut)
		}
	}
}

// TestBinaryErrors has the messages of copyfromparse.c.
func TestBinaryErrors(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"PGCOPY\n\377\r\n\x01", "COPY file signature not recognized"},
		{"PGC", "COPY file signature not recognized"},
		{"", "COPY file signature not recognized"},
		{signature + "\x00", "invalid COPY file header (missing flags)"},
		{signature + "\x00\x01\x00\x00", "invalid COPY file header (WITH OIDS)"},
		{signature + "\x00\x02\x00\x00", "unrecognized critical flags in COPY file header"},
		{signature + "\x00\x00\x00\x00\x00", "invalid COPY file header (missing length)"},
		{signature + "\x00\x00\x00\x00\xff\x00\x00\x00", "invalid COPY file header (missing length)"},
		{signature + "\x00\x00\x00\x00\x00\x00\x00\x09x", "invalid COPY file header (wrong length)"},
		{string(binaryStart()) + "\x00\x03", "row field count is 3, expected 2"},
		{string(binaryStart()) + "\x00\x02\x00\x00", "unexpected EOF in COPY data"},
		{string(binaryStart()) + "\x00\x02\x00\x00\x00\x05x", "unexpected EOF in COPY data"},
		{string(binaryStart()) + "\x00\x02\xff\x00\x00\x05x", "invalid field size"},
		{string(binaryStart()) + "\xff\xffx", "received copy data after EOF marker"},
	} {
		if got := read(t, binarySpec("a", "b"), []byte(c.data), nil); !strings.Contains(got.err, c.want) {
			t.Errorf("%q: got %q, want %q", c.data, got.err, c.want)
		}
	}
}
