package integration

import (
	"net"
	"strings"
	"testing"
)

// backendServers returns the primaries behind pleiad, to be asked directly, as pleiad.backends tells them.
func backendServers(t testing.TB, s *side, db string) []*side {
	t.Helper()
	var servers []*side
	for _, row := range s.text(t, s.conn(t, db), "select name, host, port from pleiad.backends where role = 'primary' order by name") {
		f := strings.Split(row, "|")
		server := &side{name: f[0], user: s.user, database: s.database}
		if strings.HasPrefix(f[1], "/") {
			server.socket, server.addr = f[1], "socket:"+f[2]
		} else {
			server.addr = net.JoinHostPort(f[1], f[2])
		}
		servers = append(servers, server)
	}
	if len(servers) == 0 {
		t.Fatal("pleiad.backends names no primary")
	}
	return servers
}
