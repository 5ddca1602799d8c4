package pgdump

import (
	"errors"
	"strings"
	"testing"
)

func TestPick(t *testing.T) {
	all := []program{{"/a", 15}, {"/b", 18}, {"/c", 17}}
	for major, want := range map[int]string{15: "/a", 16: "/c", 17: "/c", 18: "/b"} {
		if got, err := pick(all, major); got != want || err != nil {
			t.Errorf("for %d: %q, %v, want %q", major, got, err, want)
		}
	}
	if _, err := pick(all, 19); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "/b is of PostgreSQL 18") {
		t.Errorf("all too old: %v", err)
	}
	if _, err := pick(nil, 15); !errors.Is(err, ErrNone) {
		t.Errorf("none: %v", err)
	}
}
