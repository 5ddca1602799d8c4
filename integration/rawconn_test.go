package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// rawConn is a connection whose every byte the test decides.
type rawConn struct {
	net.Conn
	addr      string
	out       []byte // what the next flush sends
	oneByOne  bool   // send each message by itself, for another rhythm on the wire
	cancelKey []byte // body of BackendKeyData
}

func dialRaw(t testing.TB, addr string) *rawConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return &rawConn{Conn: c, addr: addr}
}

// startupMessage makes a protocol 3.0 startup packet from name, value pairs.
func startupMessage(pairs ...string) []byte {
	return startupVersion(3<<16, pairs...)
}

func startupVersion(version uint32, pairs ...string) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), version)
	for _, p := range pairs {
		b = append(append(b, p...), 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

// frame makes one message.
func frame(kind byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(b, body...)
}

// queryMessage is a simple query.
func queryMessage(sql string) []byte { return frame('Q', append([]byte(sql), 0)) }

func (c *rawConn) queue(b []byte) error {
	c.out = append(c.out, b...)
	if c.oneByOne {
		return c.flush()
	}
	return nil
}

func (c *rawConn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(callLimit)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	_, err := c.Write(c.out)
	c.out = c.out[:0]
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receive reads one message; the limit is for the whole of it.
func (c *rawConn) receive(limit time.Duration) (kind byte, body []byte, err error) {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return 0, nil, fmt.Errorf("receive: %w", err)
	}
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0, nil, err
	}
	size := int32(binary.BigEndian.Uint32(head[1:]))
	if size < 4 {
		return 0, nil, fmt.Errorf("receive %q: length %d", head[0], size)
	}
	body = make([]byte, size-4)
	if _, err := io.ReadFull(c, body); err != nil {
		return 0, nil, fmt.Errorf("receive body of %q: %w", head[0], err)
	}
	return head[0], body, nil
}

// until sends what is queued and returns the printed messages up to the first whose line starts with one
// of the words.
func (c *rawConn) until(words ...string) ([]string, error) {
	if err := c.flush(); err != nil {
		return nil, err
	}
	var lines []string
	for {
		kind, body, err := c.receive(callLimit)
		if err != nil {
			return append(lines, "("+readable(err)+")"), err
		}
		if kind == 'K' {
			c.cancelKey = body
		}
		line, err := message(kind, body)
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
		name, _, _ := strings.Cut(line, " ")
		for _, w := range words {
			if w == name {
				return lines, nil
			}
		}
	}
}

// readable makes the ways a connection can end one word: whether a reset or an orderly end arrives
// depends on what the peer had not read.
func readable(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "nothing more came"
	default:
		return "closed"
	}
}

// start sends a startup packet and returns what came up to the first ReadyForQuery or error.
func (c *rawConn) start(pairs ...string) ([]string, error) {
	if err := c.queue(startupMessage(pairs...)); err != nil {
		return nil, err
	}
	lines, err := c.until("ReadyForQuery", "ErrorResponse")
	return greeting(lines), err
}

// mustStart is start for tests that need a session.
func (c *rawConn) mustStart(t testing.TB, pairs ...string) *rawConn {
	t.Helper()
	lines, err := c.start(pairs...)
	if err != nil || !strings.HasPrefix(lines[len(lines)-1], "ReadyForQuery") {
		t.Fatalf("start session: %v\n%s", err, strings.Join(lines, "\n"))
	}
	return c
}

// cancel sends a CancelRequest for this session on a connection of its own and waits until that is closed.
func (c *rawConn) cancel() error {
	k, err := net.DialTimeout("tcp", c.addr, 10*time.Second)
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	defer k.Close()
	if err := k.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(c.cancelKey)))
	b = binary.BigEndian.AppendUint32(b, 1234<<16|5678)
	if _, err := k.Write(append(b, c.cancelKey...)); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	if n, err := k.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("cancel: answered with %d bytes, %v", n, err)
	}
	return nil
}
