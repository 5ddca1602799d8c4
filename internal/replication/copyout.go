package replication

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// CopyOut is the data of a COPY … TO STDOUT as one stream of bytes, however long a row is: a message is never held as a whole.
type CopyOut struct {
	r      *bufio.Reader
	left   int // of the CopyData message at hand
	err    error
	ended  atomic.Pointer[error] // err, for others than the reader
	forget func() bool
}

const (
	copyBuffer = 256 << 10
	// longestError bounds what a server may say instead of data.
	longestError = 1 << 20
)

// Incoming makes connections of a configuration keep what they read from. That is not their socket: after a slow write a
// goroutine of pgconn's reads ahead of everybody.
func Incoming(cfg *pgconn.Config) (of func() io.Reader) {
	var in io.Reader
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		in = r
		return pgproto3.NewFrontend(r, w)
	}
	return func() io.Reader { return in }
}

// StartCopyOut sends the statement and reads from in, which is Incoming's. The connection is good for nothing else afterwards;
// when ctx ends, reading does.
func StartCopyOut(ctx context.Context, conn *pgconn.PgConn, in io.Reader, sql string) (*CopyOut, error) {
	conn.Frontend().Send(&pgproto3.Query{String: sql})
	if err := conn.Frontend().Flush(); err != nil {
		return nil, fmt.Errorf("start copy: %w", err)
	}
	// The connection itself has nothing left: the server had answered everything.
	c := &CopyOut{r: bufio.NewReaderSize(in, copyBuffer)}
	c.forget = context.AfterFunc(ctx, func() { _ = conn.Conn().SetReadDeadline(time.Unix(1, 0)) })
	return c, nil
}

// Close lets go of the context.
func (c *CopyOut) Close() { c.forget() }

// Err is why the stream ended before the data did; nil else. The reader may be at work still: pgconn does not wait for it
// where a copy breaks off.
func (c *CopyOut) Err() error {
	if err := c.ended.Load(); err != nil && !errors.Is(*err, io.EOF) {
		return *err
	}
	return nil
}

// Read fills p unless the data ends; io.EOF after the last row. A server sends few rows at a time, and each piece that is passed
// on costs a message.
func (c *CopyOut) Read(p []byte) (n int, err error) {
	for n < len(p) && c.err == nil {
		if c.left == 0 {
			c.err = c.next()
			continue
		}
		var got int
		got, c.err = c.r.Read(p[n:min(len(p), n+c.left)])
		n += got
		c.left -= got
		c.err = cut(c.err)
	}
	if err := c.err; err != nil {
		c.ended.Store(&err)
	}
	if n > 0 || c.err == nil {
		return n, nil
	}
	return 0, c.err
}

// cut makes an end of the connection none of the data.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read copy: %w", err)
	}
	return nil
}

// next reads as far as the body of the next CopyData message.
func (c *CopyOut) next() error {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return cut(err)
	}
	size := int(binary.BigEndian.Uint32(head[1:])) - 4
	if size < 0 || size > 1<<31-5 {
		return fmt.Errorf("read copy: message of %d bytes", size)
	}
	switch head[0] {
	case 'd':
		c.left = size
		return nil
	case 'E':
		if size > longestError {
			return fmt.Errorf("read copy: error of %d bytes", size)
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return cut(err)
		}
		var msg pgproto3.ErrorResponse
		if err := msg.Decode(body); err != nil {
			return fmt.Errorf("read copy: %w", err)
		}
		return pgconn.ErrorResponseToPgError(&msg)
	case 'Z':
		return io.EOF
	case 'H', 'c', 'C', 'N', 'S':
		_, err := c.r.Discard(size)
		return cut(err)
	}
	return fmt.Errorf("read copy: message of kind %q", head[0])
}
