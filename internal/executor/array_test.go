package executor

import (
	"bytes"
	"testing"
)

// TestFirstParams cuts Bind's body behind some of its parameters, whatever way their formats are given.
func TestFirstParams(t *testing.T) {
	values := func(n byte, sizes ...byte) []byte {
		out := []byte{0, n}
		for _, size := range sizes {
			if size == 255 {
				out = append(out, 255, 255, 255, 255) // NULL
				continue
			}
			out = append(append(out, 0, 0, 0, size), bytes.Repeat([]byte{'v'}, int(size))...)
		}
		return out
	}
	for name, c := range map[string]struct {
		formats []byte
		want    []byte
	}{
		"no formats":   {[]byte{0, 0}, []byte{0, 2, 0, 0, 0, 0}},
		"one for all":  {[]byte{0, 1, 0, 1}, []byte{0, 2, 0, 1, 0, 1}},
		"one for each": {[]byte{0, 3, 0, 0, 0, 1, 0, 0}, []byte{0, 2, 0, 0, 0, 1}},
	} {
		bind := append(bytes.Clone(c.formats), values(3, 4, 255, 7)...)
		want := append(bytes.Clone(c.want), values(2, 4, 255)...)
		if got := FirstParams(bind, 2); !bytes.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if got := FirstParams(bind, 3); !bytes.Equal(got, bind) {
			t.Errorf("%s: all parameters: %v, want %v", name, got, bind)
		}
	}
}
