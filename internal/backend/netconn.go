package backend

import "net"

// netConn finds the socket below a TLS connection or another that stands in front of one.
func netConn(c net.Conn) net.Conn {
	for {
		t, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = t.NetConn()
	}
}
