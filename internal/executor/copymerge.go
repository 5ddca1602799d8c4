package executor

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/wire"
)

// CopyMerge joins the streams of COPY TO STDOUT of several backends into one.
type CopyMerge struct {
	Header bool // each stream begins with a header line
	Binary bool // each stream begins with a header and ends with a trailer
	// Types are the columns' (home's oids), for Binary.
	Types []uint32
	head  []byte // the binary header: it goes with the first row, or with the trailer where there is none

	values *Values // of the member that is read
}

// binaryHeader is the length of a binary stream's signature, flags and extension length (copyto.c).
const binaryHeader = 19

var binaryTrailer = []byte{0xff, 0xff}

// Run reads the members, on which COPY has been composed, one after the other; all of them work at once. It returns
// the number of rows, or the ErrorResponse of the first that failed.
func (c *CopyMerge) Run(ctx context.Context, g *Gang, members []*Member, out *wire.Writer) (rows int64, failure []byte, err error) {
	for i, m := range members {
		if err := m.Send(); err != nil {
			c.giveUp(ctx, g, members[:i])
			return 0, nil, err
		}
	}
	for i, m := range members {
		n, failed, err := c.one(m, i == 0, i == len(members)-1, failure != nil, out)
		if err != nil {
			c.giveUp(ctx, g, members[i+1:])
			return 0, nil, err
		}
		rows += n
		if failed != nil && failure == nil {
			failure = failed
			g.Cancel(ctx)
		}
	}
	if failure == nil {
		out.Out = wire.Empty(out.Out, 'c')
	}
	return rows, failure, out.Err()
}

// giveUp ends COPY on members that nobody wants rows of any more.
func (c *CopyMerge) giveUp(ctx context.Context, g *Gang, members []*Member) {
	g.Cancel(ctx)
	for _, m := range members {
		_ = m.drainQueue()
	}
}

// one reads one member to its end.
func (c *CopyMerge) one(m *Member, first, last, muted bool, out *wire.Writer) (rows int64, failure []byte, err error) {
	data := 0
	c.values = m.Types.ToHome(c.Types, []int16{1})
	if err := m.settled(1); err != nil { // all but the COPY itself
		return 0, nil, err
	}
	for m.Queue.Len() > 0 {
		typ, frame, err := m.Next()
		if err != nil {
			return 0, nil, err
		}
		skipped := m.Queue.Head().Reply == Skip
		switch typ {
		case 'Z':
			if err = m.Ready(frame); err == nil {
				m.Queue.Pop()
			}
		case 'E':
			if failure == nil {
				failure = m.clientTerms(bytes.Clone(frame), 0)
			}
		case 'S':
			m.NoteParameter(frame)
		case 'N':
			if !skipped {
				_, err = out.Write(m.clientTerms(frame, 0))
			}
		case 'C':
			if !skipped {
				tag := strings.TrimRight(string(frame[wire.HeaderLen:]), "\x00")
				rows, _ = strconv.ParseInt(tag[strings.LastIndexByte(tag, ' ')+1:], 10, 64)
			}
		case 'H':
			if first && !muted {
				_, err = out.Write(frame)
			}
		case 'd':
			if !muted && failure == nil {
				err = c.data(m, frame, data, first, last, out)
			}
			data++
		}
		if err != nil {
			_ = m.drainQueue()
			return 0, nil, err
		}
	}
	return rows, failure, nil
}

// data passes on one CopyData without what only one stream may have.
func (c *CopyMerge) data(m *Member, frame []byte, n int, first, last bool, out *wire.Writer) error {
	body := frame[wire.HeaderLen:]
	switch {
	case c.Header && n == 0 && !first:
		return nil
	case c.Binary:
		header := body[:0]
		if n == 0 {
			if len(body) < binaryHeader {
				return m.Lost(fmt.Errorf("binary COPY begins with %d bytes", len(body)))
			}
			header, body = body[:binaryHeader], body[binaryHeader:]
		}
		c.values.Tuple(body)
		if !last && bytes.Equal(body, binaryTrailer) {
			body = body[:0]
		}
		if first && n == 0 {
			c.head = bytes.Clone(header)
		}
		if len(body) == 0 {
			return nil
		}
		out.Out = wire.CopyData(out.Out, append(c.head, body...))
		c.head = nil
		return out.Spill()
	}
	_, err := out.Write(frame)
	return err
}

// drainQueue reads what the member owes without passing it on.
func (m *Member) drainQueue() error {
	_, err := m.drainInto(nil)
	return err
}
