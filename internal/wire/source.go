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
	s := &socketSource{rc: rc}
	s.try, s.tryInto = s.tryRead, s.tryReadInto
	return s
}

// lazySource reads into a pooled buffer that it takes once the socket is readable.
type lazySource interface {
	ReadLazy() (buf []byte, n int, err error)
}

// socketSource reads as socketSink writes.
type socketSource struct {
	rc           syscall.RawConn
	try, tryInto func(fd uintptr) bool
	buf          []byte
	n            int
	err          error
}

// Read fills b or a part of it.
func (s *socketSource) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.buf = b
	err := s.rc.Read(s.tryInto)
	s.buf = nil
	switch {
	case err != nil:
		return 0, err
	case s.err != nil:
		return 0, s.err
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

func (s *socketSource) tryReadInto(fd uintptr) bool { return s.read(fd, s.buf) }

// read reads once; false waits until there is something.
func (s *socketSource) read(fd uintptr, b []byte) bool {
	for {
		n, errno := rawIO(syscall.SYS_READ, fd, b)
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case 0:
			s.n, s.err = n, nil
		default:
			s.n, s.err = 0, errno
		}
		return true
	}
}

func (s *socketSource) tryRead(fd uintptr) bool {
	b := getBuffer()
	if !s.read(fd, b) {
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
