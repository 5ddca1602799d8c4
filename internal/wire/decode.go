package wire

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// ErrMalformed is a body that does not have the form its type demands.
var ErrMalformed = errors.New("malformed message")

// Body is the rest of a frame that is being decoded.
type Body struct {
	b     []byte
	bad   bool
	fault string // what is wrong, in PostgreSQL's words
}

// BodyOf starts decoding behind a frame's header.
func BodyOf(frame []byte) Body { return Body{b: frame[HeaderLen:]} }

// Of starts decoding b, which has no header.
func Of(b []byte) Body { return Body{b: b} }

// Bytes returns the next n bytes, nil and a broken body when there are fewer.
func (d *Body) Bytes(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail("insufficient data left in message")
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *Body) fail(fault string) {
	if !d.bad {
		d.bad, d.fault = true, fault
	}
	d.b = nil
}

// Fault is what is wrong with the body, as pqformat.c says it: the first thing that was not there, or else bytes that
// are left over.
func (d *Body) Fault() string {
	if d.bad {
		return d.fault
	}
	return "invalid message format"
}

// Done notes that nothing should be left.
func (d *Body) Done() {
	if len(d.b) != 0 {
		d.fail("invalid message format")
	}
}

// Violation is the error of a body that is not well formed, nil for one that is.
func (d *Body) Violation() *pgerr.Error {
	if !d.bad {
		return nil
	}
	return pgerr.New(pgerr.ProtocolViolation, "%s", d.fault)
}

// Byte returns one byte.
func (d *Body) Byte() byte {
	if v := d.Bytes(1); v != nil {
		return v[0]
	}
	return 0
}

// Int16 returns a signed 16-bit number.
func (d *Body) Int16() int16 {
	if v := d.Bytes(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

// Uint16 returns an unsigned 16-bit number.
func (d *Body) Uint16() int { return int(uint16(d.Int16())) }

// Int32 returns a signed 32-bit number.
func (d *Body) Int32() int32 {
	if v := d.Bytes(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

// Text returns the bytes up to the next NUL, without it.
func (d *Body) Text() []byte {
	i := bytes.IndexByte(d.b, 0)
	if i < 0 {
		d.fail("invalid string in message")
		return nil
	}
	v := d.b[:i]
	d.b = d.b[i+1:]
	return v
}

// Rest returns all that is left.
func (d *Body) Rest() []byte {
	v := d.b
	d.b = nil
	return v
}

// Left is the number of bytes not decoded yet.
func (d *Body) Left() int { return len(d.b) }

// End returns ErrMalformed unless the body was well formed and is consumed exactly.
func (d *Body) End() error {
	if d.bad || len(d.b) != 0 {
		return ErrMalformed
	}
	return nil
}

// Err returns ErrMalformed if anything decoded so far was not there.
func (d *Body) Err() error {
	if d.bad {
		return ErrMalformed
	}
	return nil
}

// ErrorField returns one field of an ErrorResponse or NoticeResponse frame, "" when absent.
func ErrorField(frame []byte, code byte) string {
	d := BodyOf(frame)
	for {
		c := d.Byte()
		if c == 0 || d.bad {
			return ""
		}
		v := d.Text()
		if c == code {
			return string(v)
		}
	}
}
