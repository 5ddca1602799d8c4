package startup

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// bytesPending looks, without waiting, if the kernel holds bytes that nobody has read. A connection that is not
// a socket of the system has none.
func bytesPending(conn net.Conn) (bool, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false, fmt.Errorf("peek at socket: %w", err)
	}
	var n int
	var peekErr error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, peekErr = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	})
	if err == nil && !errors.Is(peekErr, unix.EAGAIN) && !errors.Is(peekErr, unix.EINTR) {
		err = peekErr
	}
	if err != nil {
		return false, fmt.Errorf("peek at socket: %w", err)
	}
	return n > 0, nil
}
