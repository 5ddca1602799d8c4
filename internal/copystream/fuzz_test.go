package copystream

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/pleiad/pleiad/router"
)

// FuzzReader cuts arbitrary data at two places: the outcome must be that of the whole, and text rows must add up to the
// data.
func FuzzReader(f *testing.F) {
	f.Add([]byte("1\tx\n\\N\t\\.\n\\.\n"), uint8(0), uint16(3), uint16(7))
	f.Add([]byte("1,\"x\n\"\"\"\r\n2,\\.\r\n"), uint8(1), uint16(3), uint16(7))
	f.Add(append(binaryStart(), binaryRow("x", "\x00null")...), uint8(2), uint16(3), uint16(20))
	f.Add([]byte("a|b\n'x'|'\\''\n"), uint8(7), uint16(1), uint16(9))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8, a, b uint16) {
		spec := text("a", "b")
		switch {
		case kind&3 == 1:
			spec.Format = router.CopyFormat{CSV: true}
		case kind&3 == 2:
			spec.Format = router.CopyFormat{Binary: true}
		case kind&3 == 3:
			spec.Format = router.CopyFormat{CSV: true, Quote: '\'', Escape: '\\', Delimiter: '|'}
		}
		spec.Format.Header = kind&4 != 0
		spec.Format.HeaderMatch = kind&8 != 0
		spec.MaxRow = 1 << 20
		whole := read(t, spec, data, nil)
		i, j := int(a)%(len(data)+1), int(b)%(len(data)+1)
		if got := read(t, spec, data, []int{min(i, j), max(i, j)}); fmt.Sprint(got) != fmt.Sprint(whole) {
			t.Fatalf("%q cut at %d and %d:\n%v\n%v", data, i, j, got, whole)
		}
		all := append([]byte(whole.prologue), bytes.Join(whole.raw, nil)...)
		if whole.err == "" && !bytes.HasPrefix(data, all) {
			t.Fatalf("%q: the rows are %q", data, all)
		}
	})
}
