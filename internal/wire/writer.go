package wire

import "io"

// Writer collects frames for one peer and writes them in few, large writes. Pieces that are large themselves are
// not copied.
type Writer struct {
	dst io.Writer
	// Out is what has been composed and not yet written; append frames to it.
	Out []byte
	// Hold keeps Flush from writing: only what outgrows the buffer is.
	Hold   bool
	err    error
	writes uint64
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
	_, w.err = w.dst.Write(b)
	return len(b), w.err
}

// Flush writes what was collected, unless that is held. After an error every further call returns it.
func (w *Writer) Flush() error {
	if w.Hold && len(w.Out) < flushAt {
		return w.err
	}
	return w.write()
}

func (w *Writer) write() error {
	if w.err != nil || len(w.Out) == 0 {
		return w.err
	}
	w.writes++
	_, w.err = w.dst.Write(w.Out)
	if cap(w.Out) > 2*flushAt {
		w.Out = nil
	} else {
		w.Out = w.Out[:0]
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
