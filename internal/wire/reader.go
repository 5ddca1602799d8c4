// Package wire frames PostgreSQL protocol messages: it reads them from a socket without decoding what is only
// passed on, and appends the ones pleiad writes itself. Numbers are big endian; a frame is a type byte, an
// int32 length that counts itself, and a body (PostgreSQL manual, chapter "Frontend/Backend Protocol").
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// HeaderLen is a frame's type byte and length word.
const HeaderLen = 5

// ErrTooLarge is a frame longer than the reader's limit.
var ErrTooLarge = errors.New("message exceeds the size limit")

// ErrBadLength is a frame whose length word is below 4.
var ErrBadLength = errors.New("invalid message length")

// Source is what a Reader reads from. Read blocks until there is something; it fills b or a part of it.
type Source interface {
	Read(b []byte) (int, error)
}

// Reader reads frames. Its buffer comes from a shared pool and goes back there by Release, so that an idle
// connection holds none. Slices that it returns are valid until the next call of a method that reads.
type Reader struct {
	src   Source
	buf   []byte
	r, w  int
	limit int // longest accepted frame, header included
}

// NewReader makes a Reader whose frames are at most limit bytes long, header included.
func NewReader(src Source, limit int) *Reader {
	return &Reader{src: src, limit: limit}
}

// SetLimit changes the longest accepted frame.
func (r *Reader) SetLimit(limit int) { r.limit = limit }

// Buffered is the number of bytes read from the source and not yet consumed.
func (r *Reader) Buffered() int { return r.w - r.r }

// Release gives an empty buffer back to the pool; with bytes pending it does nothing.
func (r *Reader) Release() {
	if r.r == r.w && r.buf != nil {
		putBuffer(r.buf)
		r.buf, r.r, r.w = nil, 0, 0
	}
}

// Drop gives the buffer back whatever it holds: the connection is closed.
func (r *Reader) Drop() {
	r.r, r.w = 0, 0
	r.Release()
}

// fill reads once from the source, making room for at least need bytes behind r.r first.
func (r *Reader) fill(need int) error {
	if r.buf == nil {
		if lazy, ok := r.src.(lazySource); ok && need <= BufferSize {
			buf, n, err := lazy.ReadLazy()
			if err != nil {
				return err
			}
			r.buf, r.r, r.w = buf, 0, n
			return nil
		}
		r.buf = getBuffer()
	}
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.r+need > len(r.buf) && r.r > 0 {
		copy(r.buf, r.buf[r.r:r.w])
		r.w -= r.r
		r.r = 0
	}
	if r.w == len(r.buf) {
		// Grow with what has come, never with what a length word promises.
		grown := make([]byte, min(2*len(r.buf), need))
		copy(grown, r.buf)
		putBuffer(r.buf)
		r.buf = grown
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// Peek returns the type and whole length (header included) of the next frame without consuming it. io.EOF
// means that the stream ended between frames, io.ErrUnexpectedEOF inside one.
func (r *Reader) Peek() (typ byte, size int, err error) {
	for r.w-r.r < HeaderLen {
		if err := r.fill(HeaderLen); err != nil {
			if err == io.EOF && r.w > r.r {
				err = io.ErrUnexpectedEOF
			}
			return 0, 0, err
		}
	}
	n := int32(binary.BigEndian.Uint32(r.buf[r.r+1:]))
	if n < 4 {
		return 0, 0, fmt.Errorf("%w %d of message %q", ErrBadLength, n, r.buf[r.r])
	}
	if int64(n)+1 > int64(r.limit) {
		return 0, 0, fmt.Errorf("%w: message %q of %d bytes", ErrTooLarge, r.buf[r.r], n)
	}
	return r.buf[r.r], int(n) + 1, nil
}

// Next consumes one whole frame and returns its type and the frame, header included.
func (r *Reader) Next() (typ byte, frame []byte, err error) {
	typ, size, err := r.Peek()
	if err != nil {
		return 0, nil, err
	}
	if frame, err = r.Need(size); err != nil {
		return 0, nil, err
	}
	r.r += size
	return typ, frame, nil
}

// Need waits until size bytes are buffered and returns them without consuming them.
func (r *Reader) Need(size int) ([]byte, error) {
	for r.w-r.r < size {
		if err := r.fill(size); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return r.buf[r.r : r.r+size], nil
}

// Whole tells whether a complete frame is buffered, and its type and size.
func (r *Reader) Whole() (typ byte, size int, ok bool) {
	if r.w-r.r < HeaderLen {
		return 0, 0, false
	}
	n := int(int32(binary.BigEndian.Uint32(r.buf[r.r+1:])))
	if n < 4 || r.w-r.r < n+1 {
		return r.buf[r.r], 0, false
	}
	return r.buf[r.r], n + 1, true
}

// Take consumes n buffered bytes and returns them. n must not exceed Buffered.
func (r *Reader) Take(n int) []byte {
	b := r.buf[r.r : r.r+n]
	r.r += n
	return b
}

// Bytes returns what is buffered, without consuming it.
func (r *Reader) Bytes() []byte { return r.buf[r.r:r.w] }

// Copy streams the next size bytes (a frame longer than the buffer) to w without holding them all.
func (r *Reader) Copy(w io.Writer, size int) error {
	for size > 0 {
		if r.r == r.w {
			if err := r.fill(1); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		n := min(size, r.w-r.r)
		if _, err := w.Write(r.Take(n)); err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// Discard consumes the next size bytes.
func (r *Reader) Discard(size int) error { return r.Copy(io.Discard, size) }

// BufferSize is the length of a pooled buffer: frames up to it are forwarded whole.
const BufferSize = 16 << 10
