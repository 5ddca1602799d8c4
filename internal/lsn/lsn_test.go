package lsn

import (
	"errors"
	"testing"
)

func TestParse(t *testing.T) {
	for _, s := range []string{"0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"} {
		l, err := Parse(s)
		if err != nil || l.String() != s {
			t.Errorf("%s became %s, %v", s, l, err)
		}
	}
	for _, s := range []string{"", "1", "/", "1/", "G/0", "1/123456789", "-1/0", "1/0/0"} {
		if _, err := Parse(s); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v, want a syntax error", s, err)
		}
	}
}

func TestSettled(t *testing.T) {
	for in, want := range map[LSN]LSN{
		0x3000028: 0x3000000, // behind the long header of a segment
		0x3002018: 0x3002000, // behind a page's header
		0x3002020: 0x3002020,
		0x3000018: 0x3000000,
		0x3002028: 0x3002028,
	} {
		if got := in.Settled(); got != want {
			t.Errorf("%s settles to %s, want %s", in, got, want)
		}
	}
}

func TestToken(t *testing.T) {
	const text = "b1=1:0/3000060,b2=12:5/1"
	token, err := ParseToken(" b2=12:5/1 , b1=1:0/3000060")
	if err != nil || token.String() != text {
		t.Errorf("%v, %v", token, err)
	}
	if token, err := ParseToken(" "); err != nil || len(token) != 0 {
		t.Errorf("%v, %v", token, err)
	}
	for _, s := range []string{"b1", "b1=", "=1:0/1", "b1=0/1", "b1=0:0/1", "b1=1:0/1,b1=1:0/2", "b1=1:0/1,"} {
		if _, err := ParseToken(s); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v, want a syntax error", s, err)
		}
	}
}

func TestHistory(t *testing.T) {
	h, err := ParseHistory("1\t0/3000148\tno recovery target specified\n\n2\t0/5000000\tno recovery target specified\n")
	if err != nil || len(h) != 2 {
		t.Fatalf("%v, %v", h, err)
	}
	for _, c := range []struct {
		p            string
		holds, known bool
	}{
		{"3:0/9000000", true, true}, {"2:0/5000000", true, true}, {"2:0/5000001", false, true},
		{"1:0/3000100", true, true}, {"1:0/4000000", false, true}, {"4:0/1", false, false},
	} {
		p, err := ParsePosition(c.p)
		if err != nil {
			t.Fatal(err)
		}
		if holds, known := h.Holds(3, p); holds != c.holds || known != c.known {
			t.Errorf("%s: holds %t, known %t", c.p, holds, known)
		}
	}
	if _, err := ParseHistory("x"); !errors.Is(err, ErrSyntax) {
		t.Errorf("%v, want a syntax error", err)
	}
}
