package startup

import (
	"net"
	"net/netip"
	"sync"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// Limiter counts sockets that have not authenticated yet. Safe for concurrent use.
type Limiter struct {
	mu         sync.Mutex
	maxTotal   int // 0: no limit
	maxPerPeer int // 0: no limit
	total      int
	perPeer    map[netip.Addr]int // no zero values
}

// NewLimiter caps such sockets in total and for one address; 0 is no cap. One IPv6 network of 64 bits is one
// address: whoever has one address of it has all. Unix sockets count for the total alone.
func NewLimiter(total, perAddress int) *Limiter {
	return &Limiter{maxTotal: total, maxPerPeer: perAddress, perPeer: make(map[netip.Addr]int)}
}

// SetLimits changes the caps for sockets to come.
func (l *Limiter) SetLimits(total, perAddress int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxTotal, l.maxPerPeer = total, perAddress
}

// Admit counts a fresh socket. Release is to be called once it has authenticated or is closed; calling it again
// does nothing. The error is a *pgerr.Error; the socket is then to be closed at once, without reading from it.
func (l *Limiter) Admit(peer net.Addr) (release func(), err error) {
	addr := peerOf(peer)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.maxTotal > 0 && l.total >= l.maxTotal {
		return nil, pgerr.Fatal(pgerr.TooManyConnections, "too many connections that have not authenticated yet")
	}
	if addr.IsValid() {
		if l.maxPerPeer > 0 && l.perPeer[addr] >= l.maxPerPeer {
			return nil, pgerr.Fatal(pgerr.TooManyConnections,
				"too many connections from one address that have not authenticated yet")
		}
		l.perPeer[addr]++
	}
	l.total++
	return sync.OnceFunc(func() { l.leave(addr) }), nil
}

func (l *Limiter) leave(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if !addr.IsValid() {
		return
	}
	if l.perPeer[addr]--; l.perPeer[addr] == 0 {
		delete(l.perPeer, addr)
	}
}

// Waiting is how many sockets are counted now.
func (l *Limiter) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// peerOf is the address that counts; not valid for what has no IP address.
func peerOf(peer net.Addr) netip.Addr {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return netip.Addr{}
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr
	}
	net64, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return netip.Addr{}
	}
	return net64.Addr()
}
