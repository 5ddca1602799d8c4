package copystream

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ErrUnwritable means that a text-format value cannot be told from the null marker: the empty string under NULL of no characters.
var ErrUnwritable = errors.New("append COPY field: the value equals the null marker")

// AppendRow appends a row with more columns at its end to dst, in the stream's format. In binary format extra holds binary
// values.
func (r *Reader) AppendRow(dst []byte, row Row, extra []Field) ([]byte, error) {
	if r.spec.Format.Binary {
		at := len(dst)
		dst = append(dst, row.Raw...)
		binary.BigEndian.PutUint16(dst[at:], uint16(len(r.spec.Columns)+len(extra)))
		for _, f := range extra {
			if f.Null {
				dst = binary.BigEndian.AppendUint32(dst, 0xffffffff)
				continue
			}
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Value)))
			dst = append(dst, f.Value...)
		}
		return dst, nil
	}
	dst = append(dst, row.Raw[:row.Body]...)
	for i, f := range extra {
		if len(r.spec.Columns)+i > 0 {
			dst = append(dst, r.spec.Format.Delimiter)
		}
		var err error
		if dst, err = r.appendField(dst, f); err != nil {
			return dst, err
		}
	}
	return append(dst, row.Raw[row.Body:]...), nil
}

// AppendHeader appends the prologue for rows that have more columns of these names at their end.
func (r *Reader) AppendHeader(dst []byte, extra []string) ([]byte, error) {
	if r.spec.Format.Binary || !r.spec.Format.HeaderMatch {
		return append(dst, r.prologue...), nil
	}
	body := bytes.TrimRight(r.prologue, "\r\n")
	head := Row{Raw: r.prologue, Body: len(body)}
	fields := make([]Field, len(extra))
	for i, name := range extra {
		fields[i].Value = []byte(name)
	}
	return r.AppendRow(dst, head, fields)
}

func (r *Reader) appendField(dst []byte, f Field) ([]byte, error) {
	format := &r.spec.Format
	if f.Null {
		return append(dst, format.Null...), nil
	}
	if format.CSV {
		dst = append(dst, format.Quote)
		for _, c := range f.Value {
			if c == format.Quote || c == format.Escape {
				dst = append(dst, format.Escape)
			}
			dst = append(dst, c)
		}
		return append(dst, format.Quote), nil
	}
	at := len(dst)
	for _, c := range f.Value {
		dst = r.appendEscaped(dst, c)
	}
	if string(dst[at:]) != format.Null && !(format.HasDefault && string(dst[at:]) == format.Default) {
		return dst, nil
	}
	if len(f.Value) == 0 {
		return dst[:at], ErrUnwritable
	}
	c := f.Value[0]
	dst = append(dst[:at], '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
	for _, c := range f.Value[1:] {
		dst = r.appendEscaped(dst, c)
	}
	return dst, nil
}

func (r *Reader) appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case '\v':
		return append(dst, `\v`...)
	case '\\', r.spec.Format.Delimiter:
		return append(dst, '\\', c)
	}
	return append(dst, c)
}
