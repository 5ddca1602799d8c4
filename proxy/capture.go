package proxy

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/wire"
)

// capture is in the client's place while a statement runs whose rows the session itself needs. Notices and the like still
// go to the client.
type capture struct {
	client  *wire.Writer
	row     func(values [][]byte) error
	cancel  func()
	partial []byte
	values  [][]byte
	failure []byte // the first ErrorResponse
	changed int64  // the row count of the last CommandComplete
	err     error  // row's, or of a malformed row
	report  func(frame []byte) []byte
	pass    bool // rows and tags go to the client all the same
}

// capture runs a request and gives its rows to row, one after the other; the values are valid during the call. failure is
// the ErrorResponse of a statement that failed. An error is row's own, or means that the session is over.
func (s *Session) capture(r *request, row func(values [][]byte) error) (failure []byte, err error) {
	_, failure, err = s.captureCount(r, row)
	return failure, err
}

// captureCount is capture, and gives the row count of the command tag.
func (s *Session) captureCount(r *request, row func(values [][]byte) error) (changed int64, failure []byte, err error) {
	c := &capture{row: row}
	failure, err = s.captureInto(c, r)
	return c.changed, failure, err
}

// captureReports is captureCount for a statement of the session's own: notices reach the client as report makes them.
func (s *Session) captureReports(r *request, report func([]byte) []byte, row func(values [][]byte) error) (changed int64, failure []byte, err error) {
	c := &capture{row: row, report: report}
	failure, err = s.captureInto(c, r)
	return c.changed, failure, err
}

func (s *Session) captureInto(c *capture, r *request) (failure []byte, err error) {
	c.client, c.cancel = s.out, func() { s.gang.Cancel(s.ctx) }
	failed := s.batch.failed
	s.batch.failed = false
	s.out = wire.NewWriter(c)
	err = s.run(r)
	if err == nil {
		err = s.out.Flush()
	}
	s.out = c.client
	s.batch.failed = failed
	switch {
	case err != nil:
		return nil, err
	case c.err != nil:
		return nil, c.err
	}
	return c.failure, nil
}

// Write takes the frames that a client would get.
func (c *capture) Write(p []byte) (int, error) {
	n := len(p)
	if len(c.partial) > 0 {
		c.partial = append(c.partial, p...)
		p = c.partial
	}
	for len(p) >= wire.HeaderLen {
		size := int(binary.BigEndian.Uint32(p[1:])) + 1
		if size > len(p) {
			break
		}
		c.frame(p[:size])
		p = p[size:]
	}
	c.partial = append(c.partial[:0:0], p...)
	return n, nil
}

func (c *capture) frame(f []byte) {
	if c.pass && f[0] != 'E' {
		c.client.Out = append(c.client.Out, f...)
		return
	}
	switch f[0] {
	case 'D':
		if c.err == nil && c.failure == nil {
			if c.err = c.take(f); c.err != nil {
				c.cancel() // the rest is not wanted
			}
		}
	case 'E':
		if c.failure == nil {
			c.failure = append([]byte(nil), f...)
		}
	case 'C':
		tag := strings.TrimRight(string(f[wire.HeaderLen:]), "\x00")
		c.changed, _ = strconv.ParseInt(tag[strings.LastIndexByte(tag, ' ')+1:], 10, 64) // 0 where the tag has none
	case 'N', 'S', 'A':
		if f[0] == 'N' && c.report != nil {
			f = c.report(f)
		}
		c.client.Out = append(c.client.Out, f...)
	}
}

func (c *capture) take(f []byte) error {
	d := wire.BodyOf(f)
	c.values = c.values[:0]
	for range d.Uint16() {
		var v []byte
		if size := d.Int32(); size >= 0 {
			v = d.Bytes(int(size))
			if v == nil {
				v = []byte{} // not NULL
			}
		}
		c.values = append(c.values, v)
	}
	if err := d.End(); err != nil {
		return err
	}
	return c.row(c.values)
}
