package proxy

import (
	"bytes"
	"testing"

	"github.com/pleiad/pleiad/internal/wire"
)

// TestTap cuts a stream of frames at every place: each frame is shown whole and once.
func TestTap(t *testing.T) {
	stream := wire.CommandComplete(nil, "SELECT 1")
	stream = wire.CopyData(stream, bytes.Repeat([]byte("x"), 300))
	stream = wire.Empty(stream, 'c')
	stream = wire.ReadyForQuery(stream, 'I')
	for size := 1; size <= len(stream); size++ {
		var types, all []byte
		tap := &tap{frame: func(typ byte, frame []byte) error {
			if len(frame) != frameSize(frame) {
				t.Fatalf("pieces of %d bytes: frame %q of %d bytes says %d", size, typ, len(frame), frameSize(frame))
			}
			types, all = append(types, typ), append(all, frame...)
			return nil
		}}
		for b := stream; len(b) > 0; {
			n := min(size, len(b))
			if w, err := tap.Write(b[:n]); w != n || err != nil {
				t.Fatalf("Write: %d, %v", w, err)
			}
			b = b[n:]
		}
		if string(types) != "CdcZ" || !bytes.Equal(all, stream) {
			t.Fatalf("pieces of %d bytes: frames %q", size, types)
		}
	}
}
