package shardmap

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const goldenFile = "testdata/hashes.golden"

const goldenHeader = `# Frozen hashes of key values: family, column type, format, value, hash before the modulus, shard of 32.
# Rows on disk lie where these numbers say. A difference here is lost data, never a file to update; new lines
# may be added.
`

// TestGolden freezes what rows are stored by.
func TestGolden(t *testing.T) {
	var s strings.Builder
	s.WriteString(goldenHeader)
	for _, kt := range keyTypes {
		r := rand.New(rand.NewPCG(9, uint64(kt.oid)))
		texts := append([]string(nil), kt.edges...)
		for range 8 {
			texts = append(texts, kt.text(r))
		}
		for f, family := range []string{"postgres", "murmur3"} {
			if !Supported(kt.oid, Family(f)) {
				continue
			}
			col := KeyColumn{kt.oid, Family(f)}
			for _, text := range texts {
				if len(text) < 80 {
					fmt.Fprintf(&s, "%s %s text %q %s\n", family, kt.name, text, goldenHash(col, Value{Data: []byte(text)}))
				}
			}
			rb := rand.New(rand.NewPCG(10, uint64(kt.oid)))
			for range 8 {
				b := kt.binary(rb)
				fmt.Fprintf(&s, "%s %s binary %x %s\n", family, kt.name, b, goldenHash(col, Value{Data: b, Format: Binary}))
			}
		}
	}
	compareGolden(t, goldenFile, s.String())
}

func goldenHash(col KeyColumn, v Value) string {
	h, err := Hash([]KeyColumn{col}, []Value{v})
	switch {
	case errors.Is(err, ErrNotProvable):
		return "not provable"
	case err != nil:
		return "invalid"
	}
	return fmt.Sprintf("%016x %d", h, h%32)
}

// TestGoldenPlacement freezes first placements, so that every release of the proxy chooses alike.
func TestGoldenPlacement(t *testing.T) {
	var s strings.Builder
	s.WriteString("# First placements: group, modulus, backends with weights, then the backend index of each shard.\n")
	for _, group := range []string{"", "text/32"} {
		for _, backends := range [][]BackendInfo{equalBackends(1), equalBackends(3), {{Name: "a", Weight: 1}, {Name: "b", Weight: 2.5}, {Name: "c"}}} {
			for _, modulus := range []int{1, 8, 32, 100} {
				placed, err := Place(group, modulus, backends)
				if err != nil {
					t.Fatal(err)
				}
				var list []string
				for _, b := range backends {
					list = append(list, fmt.Sprintf("{%s %v}", b.Name, b.Weight))
				}
				fmt.Fprintf(&s, "%q %d %v %v\n", group, modulus, list, placed)
			}
		}
	}
	compareGolden(t, "testdata/placements.golden", s.String())
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d\n got %s\nwant %s", file, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s has %d lines, got %d", file, len(w), len(g))
}
