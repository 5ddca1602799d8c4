package rebalancer

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pleiad/pleiad/internal/replication"
)

func TestAutoWindow(t *testing.T) {
	at := func(clock string) time.Time {
		when, err := time.Parse("15:04", clock)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	night := Auto{From: 22 * time.Hour, To: 4*time.Hour + 30*time.Minute}
	day := Auto{From: 9 * time.Hour, To: 17 * time.Hour}
	for _, c := range []struct {
		a     Auto
		clock string
		want  bool
	}{
		{Auto{}, "00:00", true}, {Auto{}, "12:00", true}, {day, "08:59", false}, {day, "09:00", true}, {day, "16:59", true},
		{day, "17:00", false}, {night, "21:59", false}, {night, "22:00", true}, {night, "04:29", true}, {night, "04:30", false},
	} {
		if got := c.a.within(at(c.clock)); got != c.want {
			t.Errorf("%s to %s at %s: %t", c.a.From, c.a.To, c.clock, got)
		}
	}
}

// Tables that refer to others are detached first; one that refers to itself is marked, and a circle refused.
func TestDetachOrder(t *testing.T) {
	table := func(name string) replication.Table { return replication.Table{Schema: "public", Name: name} }
	tables := func(names ...string) (out []shardTable) {
		for _, n := range names {
			out = append(out, shardTable{Parent: table(n)})
		}
		return out
	}
	for _, c := range []struct {
		tables []string
		refers map[string][]string
		want   []string
		selves []string
	}{
		{[]string{"a", "b"}, nil, []string{"a", "b"}, nil},
		{[]string{"a", "b", "c"}, map[string][]string{"b": {"a"}, "c": {"b", "a"}}, []string{"c", "b", "a"}, nil},
		{[]string{"a"}, map[string][]string{"a": {"a"}}, []string{"a"}, []string{"a"}},
		{[]string{"a", "b", "c"}, map[string][]string{"a": {"b"}, "b": {"a"}, "c": {"a"}}, nil, nil},
		{[]string{"a"}, map[string][]string{"a": {"reference"}}, []string{"a"}, nil},
	} {
		refers := map[replication.Table][]replication.Table{}
		for from, list := range c.refers {
			for _, to := range list {
				refers[table(from)] = append(refers[table(from)], table(to))
			}
		}
		order, selves, err := detachOrder(tables(c.tables...), refers)
		var got, marked []string
		for _, o := range order {
			got = append(got, o.Parent.Name)
			if selves[o.Parent] {
				marked = append(marked, o.Parent.Name)
			}
		}
		if errors.Is(err, errCircle) != (c.want == nil) {
			t.Errorf("%v: %v", c.refers, err)
		}
		if !slices.Equal(got, c.want) || !slices.Equal(marked, c.selves) {
			t.Errorf("%v: %v with %v of themselves, want %v with %v", c.refers, got, marked, c.want, c.selves)
		}
	}
}
