package proxy

import "testing"

func TestReadsPresent(t *testing.T) {
	for literal, want := range map[string]bool{
		"'now'": true, "'Tomorrow '": true, "'2024-01-01'": false, `E'n\x6fw'`: true, `U&'n\006fw'`: true, `e'a\tb'`: true, `'C:\temp'`: false, "E'plain'": false,
	} {
		if got := readsPresent([]byte(literal)); got != want {
			t.Errorf("%s: %t", literal, got)
		}
	}
}
