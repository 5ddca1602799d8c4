package copystream

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/pleiad/pleiad/router"
)

// Encoder writes rows as COPY TO STDOUT does (copyto.c). Their values are what the types' output functions gave: text for
// the text formats, binary for the binary one.
type Encoder struct {
	Format router.CopyFormat
	// Force says of each column whether its values are quoted in CSV in any case; columns behind its end are not.
	Force []bool
}

// ErrRow is a DataRow that has not the form of one.
var ErrRow = errors.New("malformed DataRow")

// AppendRow appends the row of a DataRow's body.
func (e *Encoder) AppendRow(dst, body []byte) ([]byte, error) {
	if len(body) < 2 {
		return dst, ErrRow
	}
	if e.Format.Binary {
		return append(dst, body...), nil // the same form: a count, and lengths with values
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	for i := range n {
		if len(body) < 4 {
			return dst, ErrRow
		}
		size := int32(binary.BigEndian.Uint32(body))
		body = body[4:]
		if size < -1 || int(size) > len(body) {
			return dst, ErrRow
		}
		if i > 0 {
			dst = append(dst, e.Format.Delimiter)
		}
		switch {
		case size < 0:
			dst = append(dst, e.Format.Null...)
			continue
		case e.Format.CSV:
			dst = e.appendCSV(dst, body[:size], i < len(e.Force) && e.Force[i], n == 1)
		default:
			dst = e.appendText(dst, body[:size])
		}
		body = body[size:]
	}
	if len(body) != 0 {
		return dst, ErrRow
	}
	return append(dst, '\n'), nil
}

// escapes are the control characters that have letters in CopyAttributeOutText.
var escapes = [256]byte{'\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v'}

// appendText is CopyAttributeOutText, for an encoding whose bytes above 127 are never part of an ASCII character.
func (e *Encoder) appendText(dst, v []byte) []byte {
	for _, c := range v {
		switch {
		case escapes[c] != 0:
			dst = append(dst, '\\', escapes[c])
		case c == '\\' || c == e.Format.Delimiter:
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendCSV is CopyAttributeOutCSV. A value that is the NULL string is quoted, and so is one that would end the data: \.
// alone in its line.
func (e *Encoder) appendCSV(dst, v []byte, force, alone bool) []byte {
	f := &e.Format
	quote := force || string(v) == f.Null || alone && string(v) == `\.` ||
		bytes.IndexByte(v, f.Delimiter) >= 0 || bytes.IndexByte(v, f.Quote) >= 0 || bytes.ContainsAny(v, "\r\n")
	if !quote {
		return append(dst, v...)
	}
	dst = append(dst, f.Quote)
	for _, c := range v {
		if c == f.Quote || c == f.Escape {
			dst = append(dst, f.Escape)
		}
		dst = append(dst, c)
	}
	return append(dst, f.Quote)
}
