package pleiad_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the documents")

// refused is one message of a golden file, with the first statement that gets it.
type refused struct{ family, code, message, hint, example string }

// firstFamily is the family of what stands ahead of a golden file's first heading.
const firstFamily = "aggregates, grouping, windows"

var refusalLine = regexp.MustCompile(`^\s*([0-9][0-9A-Z]{4}):? (.*)$`)

// readRefusals lists the distinct messages of the planner's golden files, in their order.
func readRefusals(t *testing.T) []refused {
	t.Helper()
	var all []refused
	known := map[string]bool{}
	add := func(r refused) {
		if !known[r.family+r.message] {
			known[r.family+r.message] = true
			all = append(all, r)
		}
	}
	readBlocks(t, "router/testdata/refusals.txt", func(family string, lines []string) {
		at := slices.Index(lines, "----")
		if at < 0 || at+2 >= len(lines) {
			t.Fatalf("refusals.txt: no message behind %q", lines)
		}
		m := refusalLine.FindStringSubmatch(lines[at+1])
		hint, ok := strings.CutPrefix(lines[at+2], "HINT:")
		if m == nil || !ok {
			t.Fatalf("refusals.txt: cannot read %q", lines[at:])
		}
		if hint != "" { // without one it is PostgreSQL's own error
			add(refused{family, m[1], m[2], strings.TrimSpace(hint), strings.Join(lines[:at], " ")})
		}
	})
	readBlocks(t, "router/testdata/ddl.txt", func(_ string, lines []string) {
		for i, l := range lines {
			if m := refusalLine.FindStringSubmatch(l); m != nil && m[1] == "0A000" {
				add(refused{"schema changes", m[1], m[2], "", strings.Join(lines[:i], " ")})
			}
		}
	})
	if len(all) < 40 {
		t.Fatalf("found %d refusals only", len(all))
	}
	return all
}

// readBlocks calls f with the blocks of a golden file, comment and command lines left out, and the heading above each.
func readBlocks(t *testing.T, path string, f func(family string, lines []string)) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	family := firstFamily
	for _, block := range strings.Split(string(data), "\n\n") {
		var lines []string
		for _, l := range strings.Split(strings.TrimSpace(block), "\n") {
			if h, ok := strings.CutPrefix(l, "# --- "); ok {
				family = h
			} else if !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, "! ") && l != "" {
				lines = append(lines, l)
			}
		}
		if len(lines) > 0 {
			f(family, lines)
		}
	}
}

func familiesOf(all []refused) []string {
	var out []string
	for _, r := range all {
		if !slices.Contains(out, r.family) {
			out = append(out, r.family)
		}
	}
	return out
}

// summaryOf is README's table: a row for each family, each message once.
func summaryOf(all []refused) string {
	var b strings.Builder
	shown := map[string]bool{}
	b.WriteString("| family | what the error says |\n| --- | --- |\n")
	for _, family := range familiesOf(all) {
		var messages []string
		for _, r := range all {
			if r.family == family && !shown[r.message] {
				shown[r.message] = true
				messages = append(messages, r.message)
			}
		}
		if len(messages) == 0 {
			messages = []string{"as above"}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", family, cell(strings.Join(messages, "; ")))
	}
	return b.String()
}

// listOf is docs/refusals.md's list: every message with its hint and a statement.
func listOf(all []refused) string {
	var b strings.Builder
	for _, family := range familiesOf(all) {
		fmt.Fprintf(&b, "\n## %s%s\n", strings.ToUpper(family[:1]), family[1:])
		for _, r := range all {
			if r.family != family {
				continue
			}
			fmt.Fprintf(&b, "\n- **%s** (`%s`)", r.message, r.code)
			if r.hint != "" {
				fmt.Fprintf(&b, "  \n  %s", r.hint)
			}
			if r.example != "" {
				fmt.Fprintf(&b, "  \n  `%s`", r.example)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// between compares, or with -update replaces, what stands between a document's marks for generated text.
func between(t *testing.T, path, name, want string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+": written by make golden -->\n", "<!-- /"+name+" -->\n"
	head, rest, ok := strings.Cut(string(data), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no part %q", path, name)
	}
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s: part %q is not what router/testdata says; run make golden%s", path, name, differing(got, want))
		return
	}
	if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// differing lists the lines that only one of two texts has.
func differing(got, want string) string {
	var b strings.Builder
	only := func(mark, a, other string) {
		in := strings.Split(other, "\n")
		for _, l := range strings.Split(a, "\n") {
			if !slices.Contains(in, l) {
				b.WriteString("\n" + mark + l)
			}
		}
	}
	only("- ", got, want)
	only("+ ", want, got)
	return b.String()
}

func TestDocumentsListWhatIsRefused(t *testing.T) {
	all := append(readRefusals(t), sourceRefusals(t)...)
	between(t, "README.md", "refused", summaryOf(all))
	between(t, "docs/refusals.md", "refusals", listOf(all))
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

func TestLinksOfDocumentsLead(t *testing.T) {
	links := 0
	walk(t, func(path string, data []byte) {
		if !strings.HasSuffix(path, ".md") {
			return
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", path, m[1])
			}
		}
	})
	if links == 0 {
		t.Error("the documents have no links")
	}
}

// Every package has its line in ARCHITECTURE.md, and every file that the documents name in backquotes exists.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	data, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range importTable {
		if name != "" && !strings.Contains(string(data), "| `"+name+"` |") {
			t.Errorf("ARCHITECTURE.md has no row for package %s", name)
		}
	}
	path := regexp.MustCompile("`((?:[a-z0-9_]+/)+[a-z0-9_]+\\.(?:go|sql|txt|sh|md))`")
	named := path.FindAllStringSubmatch(string(data), -1)
	if len(named) == 0 {
		t.Error("ARCHITECTURE.md names no file")
	}
	for _, m := range named {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", m[1])
		}
	}
}
