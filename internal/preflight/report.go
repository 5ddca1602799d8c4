package preflight

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Severity of a finding.
type Severity int

const (
	// Warning: pleiad works, something will be worse than it need be.
	Warning Severity = iota
	// Error: something will be refused or fail.
	Error
)

func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// Finding is one thing that a server lacks.
type Finding struct {
	Severity Severity
	// Check is a constant name, as wal_level or clock.
	Check string
	// Problem says what is and what is needed; Fix the SQL, line or step that
	// gives it.
	Problem, Fix string
}

// Server is the result for one server.
type Server struct {
	Name, Backend, Address string
	// Role is what the configuration says: primary or replica.
	Role string
	// Version is as in 15.4, "" when the server did not answer.
	Version  string
	Findings []Finding
}

// Report is in the order of the configuration, a primary before its replicas.
type Report struct{ Servers []Server }

// ExitStatus is 0 when there are no errors (there may be warnings), else 1.
func (r Report) ExitStatus() int {
	for _, s := range r.Servers {
		if s.count(Error) > 0 {
			return 1
		}
	}
	return 0
}

func (s *Server) count(severity Severity) (n int) {
	for _, f := range s.Findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

// Write prints a table of the servers, then each finding with its fix.
func (r Report) Write(w io.Writer) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tROLE\tADDRESS\tVERSION\tRESULT")
	for _, s := range r.Servers {
		version := s.Version
		if version == "" {
			version = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.Name, s.Role, s.Address, version, s.result())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, s := range r.Servers {
		for _, f := range s.Findings {
			fmt.Fprintf(&text, "\n%s: %s: %s: %s\n", s.Name, f.Severity, f.Check, f.Problem)
			if f.Fix != "" {
				fmt.Fprintf(&text, "    %s\n", strings.ReplaceAll(f.Fix, "\n", "\n    "))
			}
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (s *Server) result() string {
	var parts []string
	for _, severity := range []Severity{Error, Warning} {
		switch n := s.count(severity); n {
		case 0:
		case 1:
			parts = append(parts, "1 "+severity.String())
		default:
			parts = append(parts, fmt.Sprintf("%d %ss", n, severity))
		}
	}
	if len(parts) == 0 {
		return "ok"
	}
	return strings.Join(parts, ", ")
}
