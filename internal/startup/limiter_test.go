package startup

import (
	"net"
	"sync"
	"testing"
)

func addr(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 5} }

func TestLimiterCapsPerAddressAndInTotal(t *testing.T) {
	l := NewLimiter(4, 2)
	admit := func(a net.Addr) func() {
		t.Helper()
		release, err := l.Admit(a)
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	refused := func(a net.Addr) {
		t.Helper()
		_, err := l.Admit(a)
		wantCode(t, err, "53300")
	}
	first := admit(addr("10.0.0.1"))
	admit(addr("::ffff:10.0.0.1"))
	refused(addr("10.0.0.1"))
	admit(addr("2001:db8::1"))
	leave := admit(addr("2001:db8::ffff"))
	refused(addr("10.0.0.2")) // total
	leave()
	admit(&net.UnixAddr{Name: "s"})
	refused(addr("10.0.0.2"))
	first()
	first() // no second effect
	admit(addr("10.0.0.1"))
	refused(addr("10.0.0.1"))
	l.SetLimits(0, 0)
	for range 10 {
		admit(addr("10.0.0.1"))
	}
	if l.Waiting() != 14 {
		t.Fatalf("got %d", l.Waiting())
	}
}

func TestLimiterForgetsWhoLeft(t *testing.T) {
	l := NewLimiter(0, 1)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			release, err := l.Admit(&net.TCPAddr{IP: net.IPv4(10, 0, 1, byte(i))})
			if err != nil {
				t.Error(err)
				return
			}
			release()
		})
	}
	wg.Wait()
	if l.Waiting() != 0 || len(l.perPeer) != 0 {
		t.Fatalf("%d waiting, %d addresses kept", l.Waiting(), len(l.perPeer))
	}
}
