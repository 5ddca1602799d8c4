package config

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const badFile = "testdata/bad.txt"

// badCase is one entry of testdata/bad.txt.
type badCase struct {
	comment    string // lines before the entry
	name       string
	yaml, want string
}

func readBad(t *testing.T) []badCase {
	text, err := os.ReadFile(badFile)
	if err != nil {
		t.Fatal(err)
	}
	var cases []badCase
	parts := strings.Split("\n"+string(text), "\n== ")
	comment := parts[0]
	for _, part := range parts[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		yaml, want, found := strings.Cut("\n"+rest, "\n----\n")
		if !found {
			t.Fatalf("%s: case %q has no ----", badFile, name)
		}
		want, _, _ = strings.Cut(want+"\n\n", "\n\n")
		cases = append(cases, badCase{comment, name, strings.TrimPrefix(yaml, "\n"), strings.TrimSpace(want)})
		comment = ""
	}
	return cases
}

func TestBad(t *testing.T) {
	cases := readBad(t)
	var golden strings.Builder
	for _, c := range cases {
		_, err := Parse([]byte(c.yaml), "f")
		var errs Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Errorf("%s: got error %v, want Errors", c.name, err)
			continue
		}
		if got := errs.Error(); got != c.want && !*update {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", c.name, got, c.want)
		}
		if strings.Contains(errs.Error(), "hunter2") {
			t.Errorf("%s: the error shows a password", c.name)
		}
		golden.WriteString(strings.TrimPrefix(c.comment, "\n"))
		if c.comment != "" {
			golden.WriteString("\n")
		}
		golden.WriteString("== " + c.name + "\n")
		if c.yaml != "" {
			golden.WriteString(c.yaml + "\n")
		}
		golden.WriteString("----\n" + errs.Error() + "\n\n")
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(badFile, []byte(golden.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
