package wire

import (
	"io"
	"net"
	"syscall"
	"unsafe"
)

// NewSink writes to c. For a plain socket it does so without telling Go's scheduler of the system call: the socket never
// blocks, and announcing two calls for each statement costs more than the calls' own work (the runtime's monitor thread
// wakes up for them).
func NewSink(c net.Conn) io.Writer {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return c
	}
	rc, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return c
	}
	s := &socketSink{rc: rc}
	s.try = s.tryWrite
	return s
}

type socketSink struct {
	rc  syscall.RawConn
	try func(fd uintptr) bool
	buf []byte // what is left to write
	err error
}

func (s *socketSink) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.buf, s.err = b, nil
	err := s.rc.Write(s.try)
	if err == nil {
		err = s.err
	}
	n := len(b) - len(s.buf)
	s.buf = nil
	return n, err
}

// tryWrite writes until all is written or the socket is full; false waits for room.
func (s *socketSink) tryWrite(fd uintptr) bool {
	for len(s.buf) > 0 {
		n, err := rawIO(syscall.SYS_WRITE, fd, s.buf)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		case err != 0:
			s.err = err
			return true
		default:
			s.buf = s.buf[n:]
		}
	}
	return true
}

// rawIO is read or write on a non-blocking descriptor, unknown to the scheduler. b is not empty.
func rawIO(call, fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}
