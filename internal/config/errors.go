package config

import (
	"fmt"
	"strings"
)

// FieldError is one thing wrong with one field.
type FieldError struct {
	// File and Line are where it stands; File "" and Line 0 when the value
	// did not come from a file, Line 0 also when the key is absent.
	File string
	Line int
	// Path is the field as in backends[1].primary.port; "" is the whole file.
	Path string
	// Value is what was found, as text; "" when it is absent or must not show.
	Value string
	// Allowed says what would be right.
	Allowed string
}

func (e FieldError) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path)
		if e.Value != "" {
			b.WriteString(" = " + e.Value)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Allowed)
	return b.String()
}

// Errors is everything wrong with a configuration, in the order of the file.
type Errors []FieldError

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}
