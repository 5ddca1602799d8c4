package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// pgoutput's messages, protocol version 1 (manual, "Logical Replication Message Formats").

var errShort = errors.New("logical replication message is cut short")

// reader reads a message's body; it remembers the first error.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.err, r.b = errShort, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() int {
	if b := r.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) text() string {
	for i, c := range r.b {
		if c == 0 {
			return string(r.take(i + 1)[:i])
		}
	}
	r.err, r.b = errShort, nil
	return ""
}

// relation is what a stream says of a table before the table's first change.
type relation struct {
	table   Table
	columns []column
	full    bool // REPLICA IDENTITY FULL: a row's columns together are its key
}

type column struct {
	name string
	key  bool
}

func readRelation(r *reader) (id uint32, rel *relation) {
	id = r.uint32()
	rel = &relation{table: Table{Schema: r.text(), Name: r.text()}}
	rel.full = r.byte() == 'f'
	for range r.uint16() {
		if r.err != nil {
			break
		}
		c := column{key: r.byte()&1 != 0, name: r.text()}
		r.take(8) // type, typmod
		rel.columns = append(rel.columns, c)
	}
	return id, rel
}

// value is one column of a row; data points into the message.
type value struct {
	data      []byte // text; nil is NULL
	unchanged bool   // a toasted value that an update left alone: not sent
}

func readRow(r *reader) ([]value, error) {
	n := r.uint16()
	if r.err != nil {
		return nil, r.err
	}
	row := make([]value, 0, min(n, len(r.b)))
	for range n {
		switch kind := r.byte(); kind {
		case 'n':
			row = append(row, value{})
		case 'u':
			row = append(row, value{unchanged: true})
		case 't':
			data := r.take(int(r.uint32()))
			if data == nil {
				data = []byte{}
			}
			row = append(row, value{data: data})
		default:
			if r.err == nil {
				r.err = fmt.Errorf("logical replication row has a value of kind %q", kind)
			}
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return row, nil
}
