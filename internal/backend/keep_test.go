package backend

import "testing"

// TestKeptConnectionsAreLentLast has one session keep a connection while others come and go.
func TestKeptConnectionsAreLentLast(t *testing.T) {
	l := listen(t)
	p := pools(t, l, &Limits{Size: 2}).Pool(Key{Database: "d", Role: "r"})
	get := func() *Conn {
		t.Helper()
		c := get(t, p)
		c.Status = 'I'
		return c
	}
	kept := get()
	kept.Keep(7)
	kept.Put()
	other := get()
	if other == kept {
		t.Fatal("a kept connection was lent while another could be opened")
	}
	if kept.Regain(8) {
		t.Fatal("another session regained the connection")
	}
	if !kept.Regain(7) {
		t.Fatal("the session could not regain its connection")
	}
	if kept.Regain(7) {
		t.Fatal("a lent connection was lent again")
	}
	kept.Put()
	other.Put()
	if c := get(); c != other {
		t.Fatal("the kept connection was lent while another was free")
	}
	if c := get(); c != kept {
		t.Fatal("the kept connection was not lent though there was no other")
	}
	if kept.Put(); kept.Regain(7) {
		t.Fatal("the session regained what another had had")
	}
	kept = get()
	kept.Keep(7)
	kept.Put()
	kept.Unkeep(7)
	if kept.Regain(7) {
		t.Fatal("the session regained what it had given up")
	}
	get().Put()
	other.Put()
	p.Flush()
	if kept.Keep(7); kept.Regain(7) {
		t.Fatal("a closed connection was lent")
	}
}
