package backend

import "syscall"

// hungUp tells whether the server has closed the connection, or said something unasked (a FATAL before it
// closes), without blocking and without consuming anything.
func (c *Conn) hungUp() bool {
	sc, ok := netConn(c.Conn).(syscall.Conn)
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
