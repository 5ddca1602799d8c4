// Package pgerr holds what a client sees when pleiad itself refuses or fails: one table of SQLSTATE, severity,
// message, detail and hint. Codes are PostgreSQL's own (errcodes.txt) wherever one exists.
package pgerr

import "fmt"

// Error is one ErrorResponse that pleiad makes itself.
type Error struct {
	Severity string // ERROR or FATAL
	Code     string // SQLSTATE, five characters
	Message  string
	Detail   string
	Hint     string
	Context  string
	Position int // 1-based character position in the statement, 0 when there is none
	// Routine is the function of PostgreSQL that raises it, where drivers tell by that what to do; mostly "".
	Routine string
}

// Error implements error.
func (e *Error) Error() string {
	return e.Severity + ": " + e.Message + " (SQLSTATE " + e.Code + ")"
}

// New makes an ERROR with a formatted message.
func New(code, format string, args ...any) *Error {
	return &Error{Severity: "ERROR", Code: code, Message: fmt.Sprintf(format, args...)}
}

// Fatal makes a FATAL: the session ends after it.
func Fatal(code, format string, args ...any) *Error {
	return &Error{Severity: "FATAL", Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithHint returns a copy of e with a HINT.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// WithDetail returns a copy of e with a DETAIL.
func (e *Error) WithDetail(format string, args ...any) *Error {
	c := *e
	c.Detail = fmt.Sprintf(format, args...)
	return &c
}

// WithContext returns a copy of e with a CONTEXT.
func (e *Error) WithContext(format string, args ...any) *Error {
	c := *e
	c.Context = fmt.Sprintf(format, args...)
	return &c
}

// At returns a copy of e that points at a 1-based character position of the statement.
func (e *Error) At(position int) *Error {
	c := *e
	c.Position = position
	return &c
}
