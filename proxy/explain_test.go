package proxy

import (
	"strings"
	"testing"

	"github.com/pleiad/pleiad/router"
)

func TestExplainSaysHowRowsAreGathered(t *testing.T) {
	for _, c := range []struct {
		sc   router.Scatter
		want string
	}{
		{router.Scatter{}, "concatenate"},
		{router.Scatter{Sort: []router.SortKey{{}}}, "merge by the sort key"},
		{router.Scatter{Combine: &router.Combine{}}, "combine: each backend computes a part of the rows, and one of them the answer"},
	} {
		head := explainText([]string{"b1", "b2"}, [][]string{{"Seq Scan"}, {"Seq Scan"}}, gathering(&c.sc))[0]
		if !strings.HasSuffix(head, ": b1, b2 ("+c.want+")") {
			t.Errorf("%q, want (%s)", head, c.want)
		}
	}
}
