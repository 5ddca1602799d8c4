package wire

import "sync"

type block [BufferSize]byte

var blocks = sync.Pool{New: func() any { return new(block) }}

func getBuffer() []byte { return blocks.Get().(*block)[:] }

// putBuffer takes back a pooled buffer; a grown one is left to the collector.
func putBuffer(b []byte) {
	if cap(b) == BufferSize {
		blocks.Put((*block)(b[:BufferSize]))
	}
}
