package copystream

import (
	"fmt"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// Error is what PostgreSQL would say about the data. Context is for the ErrorResponse's context field ("" when
// PostgreSQL gives none).
type Error struct {
	Err     *pgerr.Error
	Context string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Context == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + " (" + e.Context + ")"
}

// Unwrap gives the *pgerr.Error.
func (e *Error) Unwrap() error { return e.Err }

// badFormat is a 22P04 in the current line, whose text is not known yet.
func (r *Reader) badFormat(format string, args ...any) *Error {
	return &Error{Err: pgerr.New(pgerr.BadCopyFileFormat, format, args...), Context: r.context()}
}

// badLine is a 22P04 in a line that has been read.
func (r *Reader) badLine(line []byte, format string, args ...any) *Error {
	return &Error{
		Err:     pgerr.New(pgerr.BadCopyFileFormat, format, args...),
		Context: fmt.Sprintf("%s: \"%s\"", r.context(), shown(line)),
	}
}

func (r *Reader) rowTooLong() *Error {
	return &Error{
		Err: pgerr.New(pgerr.ProgramLimitExceeded, "row is too long for COPY").
			WithDetail("The limit is %d bytes.", r.spec.MaxRow),
		Context: r.context(),
	}
}

func (r *Reader) context() string {
	return fmt.Sprintf("COPY %s, line %d", r.spec.Table, r.lineno)
}

// maxShown is copyfrom.c's MAX_COPY_DATA_DISPLAY.
const maxShown = 100

// shown shortens data for a context as limit_printout_length does.
func shown(line []byte) string {
	for i, c := range line {
		if c == 0 {
			line = line[:i] // the server prints a C string
			break
		}
	}
	if len(line) <= maxShown {
		return string(line)
	}
	n := 0
	for n < maxShown {
		_, size := utf8.DecodeRune(line[n:])
		if n+size > maxShown {
			break
		}
		n += size
	}
	return string(line[:n]) + "..."
}
