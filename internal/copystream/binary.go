package copystream

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// signature starts every binary COPY stream.
const signature = "PGCOPY\n\377\r\n\x00"

// maxBinaryHeader bounds the header's extension area, which PostgreSQL skips.
const maxBinaryHeader = 1 << 20

// binaryHeader reads the stream's header; false when more data is needed. PostgreSQL gives its errors no context.
func (r *Reader) binaryHeader() (bool, error) {
	b := r.buf[r.start:]
	n := len(signature)
	if known := min(n, len(b)); string(b[:known]) != signature[:known] || len(b) < n && r.eof {
		return false, headerError("COPY file signature not recognized")
	}
	if len(b) < n+4 {
		return false, r.cutHeader("invalid COPY file header (missing flags)")
	}
	flags := binary.BigEndian.Uint32(b[n:])
	switch {
	case flags&(1<<16) != 0:
		return false, headerError("invalid COPY file header (WITH OIDS)")
	case flags>>16 != 0:
		return false, headerError("unrecognized critical flags in COPY file header")
	}
	if len(b) < n+8 {
		return false, r.cutHeader("invalid COPY file header (missing length)")
	}
	extension := int32(binary.BigEndian.Uint32(b[n+4:]))
	switch {
	case extension < 0:
		return false, headerError("invalid COPY file header (missing length)")
	case extension > maxBinaryHeader:
		return false, &Error{Err: pgerr.New(pgerr.ProgramLimitExceeded, "COPY file header is too long")}
	}
	end := n + 8 + int(extension)
	if len(b) < end {
		return false, r.cutHeader("invalid COPY file header (wrong length)")
	}
	r.prologue = bytes.Clone(b[:end])
	r.start += end
	r.opened = true
	return true, nil
}

func headerError(message string) *Error {
	return &Error{Err: pgerr.New(pgerr.BadCopyFileFormat, "%s", message)}
}

// cutHeader is the error of a header that the end of the data cuts off, or nil when more may come.
func (r *Reader) cutHeader(message string) error {
	if !r.eof {
		return nil
	}
	return headerError(message)
}

// nextBinary returns the next row of a binary stream.
func (r *Reader) nextBinary() (Row, bool, error) {
	if !r.opened {
		if ok, err := r.binaryHeader(); !ok || err != nil {
			return Row{}, false, err
		}
	}
	b := r.buf[r.start:]
	if r.trailer {
		if len(b) > 0 {
			return Row{}, false, r.badRow("", "received copy data after EOF marker")
		}
		return Row{}, false, nil
	}
	if len(b) < 2 {
		return Row{}, false, nil // PostgreSQL takes an end here for the trailer, even behind one byte
	}
	count := int16(binary.BigEndian.Uint16(b))
	if count == -1 {
		r.trailer = true
		r.start += 2
		return r.nextBinary()
	}
	if int(count) != len(r.spec.Columns) {
		return Row{}, false, r.badRow("", "row field count is %d, expected %d", count, len(r.spec.Columns))
	}
	p, w := 2, 0
	for i, name := range r.spec.Columns {
		if len(b) < p+4 {
			return Row{}, false, r.cutRow(name)
		}
		size := int32(binary.BigEndian.Uint32(b[p:]))
		p += 4
		field := Field{Null: size == -1}
		switch {
		case size < -1:
			return Row{}, false, r.badRow(name, "invalid field size")
		case size >= 0 && int(size) > r.spec.MaxRow-p:
			r.lineno++
			return Row{}, false, r.rowTooLong()
		case size >= 0 && len(b) < p+int(size):
			return Row{}, false, r.cutRow(name)
		case size >= 0:
			field.Value = b[p : p+int(size)]
			p += int(size)
		}
		if w < len(r.spec.Want) && r.spec.Want[w] == i {
			r.fields[w] = field
			w++
		}
	}
	r.start += p
	r.lineno++
	return Row{Raw: b[:p], Body: p, Line: r.lineno, Lines: 1, Fields: r.fields}, true, nil
}

// cutRow is the error of a row that the end of the data cuts off in a column, or nil when more may come.
func (r *Reader) cutRow(column string) error {
	if !r.eof {
		return nil
	}
	return r.badRow(column, "unexpected EOF in COPY data")
}

// badRow is a 22P04 in the row that is being read; column may be "".
func (r *Reader) badRow(column, format string, args ...any) *Error {
	r.lineno++
	e := r.badFormat(format, args...)
	if column != "" {
		e.Context = fmt.Sprintf("%s, column %s", e.Context, column)
	}
	return e
}
