package devcluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below Linux's range for outgoing connections (32768…), so that a remembered
// port is rarely lost to one.
const firstPort, lastPort = 20000, 31999

func portFree(port int) bool {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// choosePort returns a free loopback port that is not in taken. Another process may grab it before
// the server binds; the server's launch then fails and another is chosen.
func choosePort(taken map[int]bool) (int, error) {
	for range 2000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if !taken[port] && portFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("choose port: no free loopback port found within %d..%d", firstPort, lastPort)
}
