package executor

import (
	"bytes"
	"testing"
)

func TestOnlyRowsEqualInEverySortColumnAreTied(t *testing.T) {
	plain := comparator{order: bytes.Compare}
	s := &Scatter{Ties: true, cmp: []comparator{plain, plain}, streams: []*stream{{}}, heap: []int{0}}
	head := func(a, b string) []sortValue {
		keys := []sortValue{{[]byte(a)}, {[]byte(b)}}
		if b == "" {
			keys[1].value = nil
		}
		return keys
	}
	s.streams[0].keys = head("a", "")
	if s.tied() {
		t.Error("tied before the limit")
	}
	last := head("a", "")
	s.keepTie(last)
	last[0].value[0] = 'z' // rows' buffers are used anew
	for _, c := range []struct {
		a, b string
		tied bool
	}{{"a", "", true}, {"a", "x", false}, {"b", "", false}, {"z", "", false}} {
		s.streams[0].keys = head(c.a, c.b)
		if s.tied() != c.tied {
			t.Errorf("(%s, %s) tied is %v", c.a, c.b, !c.tied)
		}
	}
}
