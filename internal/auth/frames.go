package auth

import (
	"encoding/binary"
	"fmt"
	"io"
)

// maxFrame bounds a message body before authentication, in both directions.
const maxFrame = 64 << 10

const frameHeader = 5

// frameReader gives pgproto3, which reads ahead as far as it can, no byte behind the message it is reading: what
// follows the last message of the login stays in the connection for its next owner.
type frameReader struct {
	r io.Reader
	// only is the one message type that is let through; 0: any.
	only byte
	// keep says that body is to be filled, for checks that pgproto3 does not make.
	keep bool

	head [frameHeader]byte
	have int    // bytes of head that were read
	left int    // bytes of the body still to be read
	body []byte // of the current message
	err  error  // the last error of r
}

// unexpectedTypeError is a message whose type is not the one allowed.
type unexpectedTypeError struct{ got byte }

func (e *unexpectedTypeError) Error() string { return fmt.Sprintf("unexpected message type %q", e.got) }

func (f *frameReader) Read(p []byte) (int, error) {
	if f.have == frameHeader && f.left == 0 {
		f.have, f.body = 0, nil
	}
	if f.have < frameHeader {
		return f.readHead(p)
	}
	n, err := f.read(p[:min(len(p), f.left)])
	f.left -= n
	if f.keep {
		f.body = append(f.body, p[:n]...)
	}
	return n, err
}

func (f *frameReader) readHead(p []byte) (int, error) {
	n, err := f.read(p[:min(len(p), frameHeader-f.have)])
	copy(f.head[f.have:], p[:n])
	f.have += n
	if f.have > 0 && f.only != 0 && f.head[0] != f.only {
		return 0, &unexpectedTypeError{got: f.head[0]}
	}
	if f.have == frameHeader {
		f.left = max(0, int(int32(binary.BigEndian.Uint32(f.head[1:])))-4)
	}
	return n, err
}

func (f *frameReader) read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil {
		f.err = err
	}
	return n, err
}
