package wire

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Writer collects frames for one peer and writes them in few, large writes. Pieces that are large themselves are
// not copied.
type Writer struct {
	dst io.Writer
	// Out is what has been composed and not yet written; append frames to it.
	Out []byte
	// Hold keeps Flush from writing: only what outgrows the buffer is.
	Hold bool
	// HoldTag keeps a CommandComplete that stands last from being written: in the simple protocol it says that the statement
	// has committed, which may yet fail.
	HoldTag bool
	err     error
	writes  uint64
}

// flushAt is the size at which collected frames are written without waiting for Flush.
const flushAt = 16 << 10

// NewWriter makes a Writer to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// Write passes b on. It keeps nothing of b.
func (w *Writer) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if len(w.Out)+len(b) <= flushAt {
		w.Out = append(w.Out, b...)
		return len(b), nil
	}
	if err := w.write(); err != nil {
		return 0, err
	}
	if len(b) < flushAt/2 {
		w.Out = append(w.Out, b...)
		return len(b), nil
	}
	w.writes++
	kept := len(b) - w.tag(b)
	if _, w.err = w.dst.Write(b[:kept]); w.err == nil {
		w.Out = append(w.Out, b[kept:]...)
	}
	return len(b), w.err
}

// longestTag bounds a CommandComplete frame.
const longestTag = 64

// tag is the length of the CommandComplete at the end of b if it is to be held, else 0. Data that looks like one is held as well,
// until something follows it.
func (w *Writer) tag(b []byte) int {
	if !w.HoldTag {
		return 0
	}
	for n := HeaderLen + 1; n <= min(longestTag, len(b)); n++ {
		if at := len(b) - n; b[at] == 'C' && binary.BigEndian.Uint32(b[at+1:]) == uint32(n-1) {
			return n
		}
	}
	return 0
}

// DropTag takes the held CommandComplete back.
func (w *Writer) DropTag() { w.Out = w.Out[:len(w.Out)-w.tag(w.Out)] }

// Flush writes what was collected, unless that is held. After an error every further call returns it.
func (w *Writer) Flush() error {
	if w.Hold && len(w.Out) < flushAt {
		return w.err
	}
	return w.write()
}

func (w *Writer) write() error {
	kept := len(w.Out) - w.tag(w.Out)
	if w.err != nil || kept == 0 {
		return w.err
	}
	w.writes++
	_, w.err = w.dst.Write(w.Out[:kept])
	rest := w.Out[kept:]
	if cap(w.Out) > 2*flushAt {
		w.Out = bytes.Clone(rest)
	} else {
		w.Out = append(w.Out[:0], rest...)
	}
	return w.err
}

// Spill writes what was collected once it is large, so that appending to Out stays bounded.
func (w *Writer) Spill() error {
	if len(w.Out) < flushAt {
		return w.err
	}
	return w.Flush()
}

// Release gives up the buffer of an idle peer.
func (w *Writer) Release() {
	if len(w.Out) == 0 && cap(w.Out) > 2048 {
		w.Out = nil
	}
}

// Break makes every further write fail with err: the peer has been sent a part of a frame whose rest is lost.
func (w *Writer) Break(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Writes counts the writes: while it stays the peer has seen nothing more.
func (w *Writer) Writes() uint64 { return w.writes }

// Err is the first write error.
func (w *Writer) Err() error { return w.err }
