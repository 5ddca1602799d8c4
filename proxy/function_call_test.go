package proxy

import (
	"encoding/binary"
	"testing"
)

// FuzzFunctionCall reads bodies of FunctionCall messages: never past their end, nor for ever.
func FuzzFunctionCall(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\xb1\x00\x00\x00\x02\x00\x00\x00\x011\x00\x00\x00\x012\x00\x00"))
	f.Add([]byte("\x00\x00\x00\xb1\x00\x01\x00\x01"))
	f.Add([]byte("\x00\x00\x00\xb1\xff\xff\x00\x01"))
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		c := readFunctionCall(body)
		if len(body) >= 4 && c.function != binary.BigEndian.Uint32(body) || len(body) < 4 && c.function != 0 {
			t.Fatalf("%q calls %d", body, c.function)
		}
		binaryOnly := len(body) >= 6 && binary.BigEndian.Uint16(body[4:]) > 0
		for i := 6; binaryOnly && i < 6+2*int(binary.BigEndian.Uint16(body[4:])); i += 2 {
			binaryOnly = i+2 <= len(body) && binary.BigEndian.Uint16(body[i:]) != 0
		}
		if c.untyped == binaryOnly {
			t.Fatalf("%q: untyped is %v", body, c.untyped)
		}
	})
}
