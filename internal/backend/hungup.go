package backend

import (
	"net"
	"syscall"
)

// hungUp tells whether the server has closed the connection, or said something unasked (a FATAL before it
// closes).
func (c *Conn) hungUp() bool { return HungUp(c.Conn) }

// HungUp tells whether the other side of an idle connection has closed it or said something, without blocking and without
// consuming anything.
func HungUp(nc net.Conn) bool {
	sc, ok := netConn(nc).(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	var gone bool
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = err != syscall.EAGAIN
	})
	return err != nil || gone
}
