package proxy

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// tap stands where the client does and is shown, frame by frame, what a statement answers. It holds one frame at most.
type tap struct {
	frame func(typ byte, frame []byte) error
	part  []byte
}

func (t *tap) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(t.part) > 0 {
			take := min(t.missing(), len(b))
			t.part = append(t.part, b[:take]...)
			b = b[take:]
			if t.missing() > 0 {
				continue
			}
			frame := t.part
			t.part = t.part[:0]
			if err := t.frame(frame[0], frame); err != nil {
				return n, err
			}
			continue
		}
		if size := frameSize(b); size > 0 && size <= len(b) {
			if err := t.frame(b[0], b[:size]); err != nil {
				return n, err
			}
			b = b[size:]
			continue
		}
		take := min(len(b), wire.HeaderLen)
		t.part = append(t.part[:0], b[:take]...)
		b = b[take:]
	}
	return n, nil
}

// frameSize is the length of the frame that b begins with, 0 while that cannot be told.
func frameSize(b []byte) int {
	if len(b) < wire.HeaderLen {
		return 0
	}
	return int(binary.BigEndian.Uint32(b[1:])) + 1
}

// missing is how many bytes of the frame, or of its header, are still to come.
func (t *tap) missing() int {
	if size := frameSize(t.part); size > 0 {
		return size - len(t.part)
	}
	return wire.HeaderLen - len(t.part)
}

// tapped runs f with everything that it writes to the client shown to frame.
func (s *Session) tapped(f func() error, frame func(typ byte, frame []byte) error) error {
	client := s.out
	s.out = wire.NewWriter(&tap{frame: frame})
	err := f()
	if err == nil {
		err = s.out.Flush()
	}
	s.out = client
	return err
}

// captured is the answer of a portal that is given in pieces: what PostgreSQL keeps in a tuple store.
type captured struct {
	rows  [][]byte
	given int
	tag   string
	bytes int
}

// capturedBytes bounds it.
const capturedBytes = 64 << 20

// capturePortal runs a portal whose statement runs as a whole, and keeps its rows.
func (s *Session) capturePortal(p *portal, r *request) error {
	c, client := &captured{}, s.out
	r.portal, r.maxRows = nil, 0
	err := s.tapped(func() error { return s.run(r) }, func(typ byte, frame []byte) error {
		switch typ {
		case 'D':
			if c.bytes += len(frame); c.bytes <= capturedBytes {
				c.rows = append(c.rows, append([]byte(nil), frame...))
			}
			return nil
		case 'C':
			c.tag = strings.TrimRight(string(frame[wire.HeaderLen:]), "\x00")
			return nil
		}
		_, err := client.Write(frame)
		return err
	})
	switch {
	case err != nil || s.batch.failed:
		return err
	case c.bytes > capturedBytes:
		s.fail(pgerr.New(pgerr.ConfigurationLimitExceeded, "the rows of a portal exceed %d MiB", capturedBytes>>20).
			WithHint("Execute the portal without a row limit."))
		return nil
	}
	p.rest = c
	return nil
}

// countedTag is a command tag with the count of one Execute, if it is one that counts rows.
func countedTag(tag string, n int64) string {
	i := strings.LastIndexByte(tag, ' ')
	if _, err := strconv.ParseInt(tag[i+1:], 10, 64); err != nil {
		return tag
	}
	return tag[:i+1] + strconv.FormatInt(n, 10)
}

// giveRest gives more rows of a captured answer.
func (s *Session) giveRest(c *captured, rows int64) error {
	n := int64(0)
	for c.given < len(c.rows) && (rows == 0 || n < rows) {
		if _, err := s.out.Write(c.rows[c.given]); err != nil {
			return err
		}
		c.rows[c.given] = nil
		c.given++
		n++
	}
	if rows > 0 && n == rows {
		s.out.Out = wire.Empty(s.out.Out, 's')
	} else {
		s.tag(countedTag(c.tag, n))
	}
	return s.out.Spill()
}
