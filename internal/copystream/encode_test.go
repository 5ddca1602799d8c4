package copystream

import (
	"encoding/binary"
	"testing"

	"github.com/pleiad/pleiad/router"
)

// dataRow makes a DataRow's body; nil is NULL.
func dataRow(values ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		if v == nil {
			b = binary.BigEndian.AppendUint32(b, 0xffffffff)
			continue
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	return b
}

// TestEncoderRefuses gives the encoder rows cut short: each is an error and no panic. What it writes is compared with
// PostgreSQL's in integration/testdata/sessions/copy_query.txt.
func TestEncoderRefuses(t *testing.T) {
	row := dataRow([]byte("one"), nil, []byte("a\tb"))
	e := Encoder{Format: router.CopyFormat{Delimiter: '\t', Null: `\N`}}
	out, err := e.AppendRow(nil, row)
	if want := "one\t\\N\ta\\tb\n"; err != nil || string(out) != want {
		t.Fatalf("wrote %q, %v; want %q", out, err, want)
	}
	for n := range row {
		if out, err := e.AppendRow(nil, row[:n]); err == nil {
			t.Errorf("%d bytes of a row gave %q", n, out)
		}
	}
	if _, err := e.AppendRow(nil, append(row, 0)); err == nil {
		t.Error("a row with a byte too many was taken")
	}
}
