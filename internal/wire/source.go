package wire

import (
	"io"
	"net"
	"syscall"
)

// NewSource reads from c. For a plain socket the buffer is taken from the pool only once there is something to
// read, so a connection that waits holds none.
func NewSource(c net.Conn) Source {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return c
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return c
	}
	s := &socketSource{Conn: c, rc: rc}
	s.try = s.tryRead
	return s
}

// lazySource reads into a pooled buffer that it takes once the socket is readable.
type lazySource interface {
	ReadLazy() (buf []byte, n int, err error)
}

type socketSource struct {
	net.Conn
	rc  syscall.RawConn
	try func(fd uintptr) bool
	buf []byte
	n   int
	err error
}

func (s *socketSource) tryRead(fd uintptr) bool {
	b := getBuffer()
	for {
		s.n, s.err = syscall.Read(int(fd), b)
		if s.err != syscall.EINTR {
			break
		}
	}
	if s.err == syscall.EAGAIN {
		putBuffer(b)
		return false
	}
	s.buf = b
	return true
}

// ReadLazy waits until the socket is readable and returns a pooled buffer with what was there.
func (s *socketSource) ReadLazy() ([]byte, int, error) {
	s.buf = nil
	if err := s.rc.Read(s.try); err != nil {
		if s.buf != nil {
			putBuffer(s.buf)
			s.buf = nil
		}
		return nil, 0, err
	}
	buf, n, err := s.buf, s.n, s.err
	s.buf = nil
	if err != nil || n <= 0 {
		putBuffer(buf)
		if err == nil {
			err = io.EOF
		}
		return nil, 0, err
	}
	return buf, n, nil
}
