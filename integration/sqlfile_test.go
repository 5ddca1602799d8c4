package integration

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// statement is one entry of a file in testdata/sql; the README there describes the notation.
type statement struct {
	line     int
	sql      string
	copyData string // what follows COPY … FROM STDIN
	params   []*string
	again    []*string // other params, with which it is executed once more where not nil
	bound    bool      // params is meant, even if empty
	load     bool      // fill a table: see loadRows
	refused  bool      // listed as refused
	since    int       // from this major version of PostgreSQL on; before, both sides say the same error
	setup    bool      // prepares what follows: must succeed, and is not counted
	shared   bool      // its file only reads, so that it may share a database with others
	multiset bool      // ORDER BY leaves the order of some rows open
	sorted   bool      // the rows have an order although no ORDER BY stands outside of parentheses
	compare  comparison
}

// comparison says how much of an answer two servers must share.
type comparison int

const (
	compareAll   comparison = iota
	compareShape            // columns, number of rows, tag
	compareOK               // that it succeeds
	compareCode             // all of an answer, of an error the SQLSTATE: which of several rows at fault it names is chance
)

// readStatements reads a file of SQL.
func readStatements(path string) ([]statement, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read statements: %w", err)
	}
	var all []statement
	var now statement
	var text []string
	inCopy := false
	quote := "" // the dollar quote that is open
	number := 0
	for line := range strings.Lines(string(raw)) {
		number++
		line = strings.TrimRight(line, "\n")
		switch {
		case inCopy:
			if line == `\.` {
				inCopy = false
				all = append(all, now)
				now = statement{}
				continue
			}
			now.copyData += line + "\n"
			continue
		case len(text) == 0 && strings.HasPrefix(line, "--! "):
			if err := now.directive(line[4:]); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, number, err)
			}
			continue
		case len(text) == 0 && (line == "" || strings.HasPrefix(line, "--")):
			continue
		}
		if len(text) == 0 {
			now.line = number
		}
		text = append(text, line)
		quote = openDollar(line, quote)
		if quote != "" || !strings.HasSuffix(strings.TrimSpace(line), ";") {
			continue
		}
		now.sql = strings.TrimSuffix(strings.TrimSpace(strings.Join(text, "\n")), ";")
		text = nil
		if copyFromStdin.MatchString(now.sql) {
			inCopy = true
			continue
		}
		all = append(all, now)
		now = statement{}
	}
	if len(text) > 0 || inCopy {
		return nil, fmt.Errorf("%s: the last statement has no end", path)
	}
	return all, nil
}

var (
	copyFromStdin = regexp.MustCompile(`(?is)^copy\b.*\bfrom\s+stdin\b`)
	copyToStdout  = regexp.MustCompile(`(?is)^copy\b.*\bto\s+stdout\b`)
	dollarTag     = regexp.MustCompile(`\$(?:[A-Za-z_]\w*)?\$`)
)

// openDollar returns the dollar quote that is open at the end of the line.
func openDollar(line, open string) string {
	for _, tag := range dollarTag.FindAllString(line, -1) {
		switch {
		case open == "":
			open = tag
		case open == tag:
			open = ""
		}
	}
	return open
}

func (s *statement) directive(text string) error {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "load":
		s.load = true
	case "refused":
		s.refused = true
		if rest != "" {
			if _, err := fmt.Sscanf(rest, "since %d", &s.since); err != nil {
				return fmt.Errorf("refused %q is not refused since VERSION", rest)
			}
		}
	case "multiset":
		s.multiset = true
	case "sorted":
		s.sorted = true
	case "setup":
		s.setup = true
	case "shared":
		s.shared = true
	case "shape":
		s.compare = compareShape
	case "ok":
		s.compare = compareOK
	case "code":
		s.compare = compareCode
	case "params":
		s.bound = true
		for v := range strings.SplitSeq(rest, " | ") {
			if v == "null" {
				s.params = append(s.params, nil)
			} else {
				s.params = append(s.params, &v)
			}
		}
	default:
		return fmt.Errorf("unknown directive %q", word)
	}
	return nil
}

// verb is the first word in lower case.
func (s *statement) verb() string {
	text := strings.TrimLeft(s.sql, " \n\t(")
	return strings.ToLower(text[:len(text)-len(strings.TrimLeft(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz"))])
}

// reads tells statements that may run again without harm; modifies those that are tried in a
// transaction first.
func (s *statement) reads() bool {
	switch s.verb() {
	case "select", "values", "table", "show", "explain":
		return true
	case "with":
		return !dataModifying.MatchString(s.sql)
	}
	return false
}

func (s *statement) modifies() bool {
	switch s.verb() {
	case "insert", "update", "delete", "merge":
		return true
	case "with":
		return dataModifying.MatchString(s.sql)
	}
	return false
}

var dataModifying = regexp.MustCompile(`(?i)\b(insert\s+into|update\s+\w+\s+set|delete\s+from)\b`)

// ordered tells whether the order of the answer's rows is said: ORDER BY outside of any parentheses.
func (s *statement) ordered() bool {
	if s.sorted {
		return true
	}
	if s.multiset {
		return false
	}
	depth := 0
	lower := strings.ToLower(s.sql)
	if copyToStdout.MatchString(s.sql) {
		return strings.Contains(lower, "order by")
	}
	for i := range lower {
		switch lower[i] {
		case '(':
			depth++
		case ')':
			depth--
		case 'o':
			if depth == 0 && strings.HasPrefix(lower[i:], "order by") {
				return true
			}
		}
	}
	return s.verb() == "show" || s.verb() == "fetch"
}

// rewriteRefusals puts `--! refused` in front of the statements at these lines and removes it elsewhere.
func rewriteRefusals(path string, refused map[int]bool) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	var out strings.Builder
	number := 0
	for line := range strings.Lines(string(raw)) {
		number++
		if refused[number] {
			out.WriteString("--! refused\n")
		}
		if strings.TrimSpace(line) != "--! refused" {
			out.WriteString(line)
		}
	}
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		return fmt.Errorf("write statements: %w", err)
	}
	return nil
}
