package executor

import (
	"encoding/binary"

	"github.com/pleiad/pleiad/internal/wire"
)

// arrayChunk is the size of the pieces that an array is held in, so that a growing one is never copied.
const arrayChunk = 64 << 10

// Array is a one-dimensional array in the making: elements as array_recv and array_in read them.
type Array struct {
	elem   uint32
	text   bool
	n      int
	nulls  bool
	size   int
	chunks [][]byte
}

// Len is the number of elements.
func (a *Array) Len() int { return a.n }

// NewArray makes an empty array, its elements text or binary. elem is the element type's oid on the backend that gets it.
func NewArray(text bool, elem uint32) *Array { return &Array{text: text, elem: elem} }

// Append adds a copy of a value, nil for NULL, and tells how many bytes it takes.
func (a *Array) Append(v []byte) int {
	if v == nil {
		a.appendNull()
		return 4
	}
	return a.append(v)
}

func (a *Array) room(size int) []byte {
	last := len(a.chunks) - 1
	if last < 0 || cap(a.chunks[last])-len(a.chunks[last]) < size {
		a.chunks = append(a.chunks, make([]byte, 0, max(size, min(arrayChunk, 1024+a.size))))
		last++
	}
	a.size += size
	chunk := a.chunks[last]
	a.chunks[last] = chunk[:len(chunk)+size]
	return a.chunks[last][len(chunk):]
}

// append adds a copy of a value and tells how many bytes it takes.
func (a *Array) append(v []byte) int {
	a.n++
	if a.text {
		return a.appendText(v)
	}
	b := a.room(4 + len(v))
	binary.BigEndian.PutUint32(b, uint32(len(v)))
	copy(b[4:], v)
	return len(b)
}

// appendText quotes a value for array_in.
func (a *Array) appendText(v []byte) int {
	size := len(v) + 3
	for _, c := range v {
		if c == '"' || c == '\\' {
			size++
		}
	}
	b := a.room(size)
	b[0] = '"'
	at := 1
	for _, c := range v {
		if c == '"' || c == '\\' {
			b[at] = '\\'
			at++
		}
		b[at] = c
		at++
	}
	b[at], b[at+1] = '"', ','
	return size
}

func (a *Array) appendNull() {
	a.n++
	a.nulls = true
	if a.text {
		copy(a.room(5), "NULL,")
		return
	}
	copy(a.room(4), "\xff\xff\xff\xff")
}

// format is the Bind format code of the parameter.
func (a *Array) format() uint16 {
	if a.text {
		return 0
	}
	return 1
}

// length is how many bytes the parameter's value takes.
func (a *Array) length() int {
	switch {
	case a.text && a.n == 0:
		return 2
	case a.text:
		return a.size + 1 // the last comma is the closing brace
	case a.n == 0:
		return 12
	}
	return 20 + a.size
}

// compose appends the parameter's value to out. flush may send what is there and returns an emptied buffer.
func (a *Array) compose(out []byte, flush func([]byte) ([]byte, error)) ([]byte, error) {
	if a.text {
		out = append(out, '{')
		if a.n == 0 {
			return append(out, '}'), nil
		}
	} else {
		dims := uint32(1)
		if a.n == 0 {
			dims = 0
		}
		out = binary.BigEndian.AppendUint32(out, dims)
		out = append(out, 0, 0, 0, nullFlag(a.nulls))
		out = binary.BigEndian.AppendUint32(out, a.elem)
		if a.n == 0 {
			return out, nil
		}
		out = binary.BigEndian.AppendUint32(out, uint32(a.n))
		out = binary.BigEndian.AppendUint32(out, 1)
	}
	for i, chunk := range a.chunks {
		if a.text && i == len(a.chunks)-1 {
			chunk = append(chunk[:len(chunk)-1], '}')
		}
		out = append(out, chunk...)
		var err error
		if out, err = flush(out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// bind composes Bind of the unnamed statement and portal with the client's parameters (Bind's body from their formats to the
// last value), the arrays behind them, and the result formats (their count first). What it composes may go to the server in
// pieces, so that large arrays are not copied as a whole.
func (m *Member) bind(client []byte, arrays []*Array, formats []byte) (err error) {
	m.Out, err = composeBind(m.Out, client, arrays, formats, func(b []byte) ([]byte, error) {
		m.Out = b
		if len(b) < arrayChunk {
			return b, nil
		}
		err := m.Send()
		return m.Out, err
	})
	return err
}

// WithArrays is Bind's body, from the parameter formats to the last value, with arrays behind the client's parameters.
func WithArrays(client []byte, arrays []*Array) []byte {
	out, _ := composeBind(nil, client, arrays, nil, func(b []byte) ([]byte, error) { return b, nil })
	return out[wire.HeaderLen+2:]
}

// WithValues is Bind's body with binary values behind the client's parameters.
func WithValues(client []byte, values [][]byte) []byte {
	d := wire.Of(client)
	given := make([]uint16, d.Uint16())
	for i := range given {
		given[i] = uint16(d.Uint16())
	}
	n := d.Uint16()
	rest := client[len(client)-d.Left():]
	out := binary.BigEndian.AppendUint16(nil, uint16(n+len(values)))
	for i := range n {
		out = binary.BigEndian.AppendUint16(out, wire.FormatOf(given, i))
	}
	for range values {
		out = append(out, 0, 1)
	}
	out = append(binary.BigEndian.AppendUint16(out, uint16(n+len(values))), rest...)
	for _, v := range values {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(v))), v...)
	}
	return out
}

// FirstParams is Bind's body with the first parameters alone, n at most.
func FirstParams(bind []byte, n int) []byte {
	d := wire.Of(bind)
	given := make([]uint16, d.Uint16())
	for i := range given {
		given[i] = uint16(d.Uint16())
	}
	if have := int(d.Uint16()); have <= n {
		return bind
	}
	out := binary.BigEndian.AppendUint16(nil, uint16(n))
	for i := range n {
		out = binary.BigEndian.AppendUint16(out, wire.FormatOf(given, i))
	}
	out = binary.BigEndian.AppendUint16(out, uint16(n))
	from := len(bind) - d.Left()
	for range n {
		if size := d.Int32(); size > 0 {
			d.Bytes(int(size))
		}
	}
	return append(out, bind[from:len(bind)-d.Left()]...)
}

func composeBind(out, client []byte, arrays []*Array, formats []byte, flush func([]byte) ([]byte, error)) ([]byte, error) {
	d := wire.Of(client)
	given := make([]uint16, d.Uint16())
	for i := range given {
		given[i] = uint16(d.Uint16())
	}
	n := d.Uint16()
	values := client[len(client)-d.Left():]
	size := 4 + 2 + 2 + 2*(n+len(arrays)) + 2 + len(values) + len(formats)
	for _, a := range arrays {
		size += 4 + a.length()
	}
	out = append(out, 'B')
	out = binary.BigEndian.AppendUint32(out, uint32(size))
	out = append(out, 0, 0)
	out = binary.BigEndian.AppendUint16(out, uint16(n+len(arrays)))
	for i := range n {
		out = binary.BigEndian.AppendUint16(out, wire.FormatOf(given, i))
	}
	for _, a := range arrays {
		out = binary.BigEndian.AppendUint16(out, a.format())
	}
	out = binary.BigEndian.AppendUint16(out, uint16(n+len(arrays)))
	out = append(out, values...)
	for _, a := range arrays {
		out = binary.BigEndian.AppendUint32(out, uint32(a.length()))
		var err error
		if out, err = a.compose(out, flush); err != nil {
			return out, err
		}
	}
	return append(out, formats...), nil
}

func nullFlag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
