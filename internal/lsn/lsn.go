// Package lsn holds positions in PostgreSQL's write-ahead log as values: an LSN, the timeline it is on, where timelines
// fork, and the token that tells what a session has seen of each backend.
package lsn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// LSN is a byte position in the log; 0 is none.
type LSN uint64

// ErrSyntax says that a text is no position, token or timeline history.
var ErrSyntax = errors.New("not a log position")

// Parse reads PostgreSQL's form, as 16/B374D848.
func Parse(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	if !ok {
		return 0, fmt.Errorf("%w: %q", ErrSyntax, s)
	}
	h, err := strconv.ParseUint(high, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrSyntax, s)
	}
	l, err := strconv.ParseUint(low, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrSyntax, s)
	}
	return LSN(h<<32 | l), nil
}

func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint32(l)) }

const (
	pageBytes = 8192 // XLOG_BLCKSZ
	// A page begins with a header, the first one of a segment with a longer one (xlog_internal.h).
	shortHeader, longHeader = 24, 40
	// segmentUnit divides every segment size.
	segmentUnit = 1 << 20
)

// Settled is the end of the last record before an insert position. Where that record ended exactly with its page, the
// insert position stands behind the next page's header, where a standby that has replayed everything never gets.
func (l LSN) Settled() LSN {
	if l%segmentUnit == longHeader {
		return l - longHeader
	}
	if l%pageBytes == shortHeader {
		return l - shortHeader
	}
	return l
}

// Position is a place in the log of one timeline.
type Position struct {
	Timeline uint32
	LSN      LSN
}

func (p Position) String() string { return fmt.Sprintf("%d:%s", p.Timeline, p.LSN) }

// ParsePosition reads timeline:LSN.
func ParsePosition(s string) (Position, error) {
	line, at, ok := strings.Cut(s, ":")
	if !ok {
		return Position{}, fmt.Errorf("%w: %q", ErrSyntax, s)
	}
	n, err := strconv.ParseUint(line, 10, 32)
	if err != nil || n == 0 {
		return Position{}, fmt.Errorf("%w: %q", ErrSyntax, s)
	}
	l, err := Parse(at)
	return Position{Timeline: uint32(n), LSN: l}, err
}

// History is where each earlier timeline of a server was left, oldest first, as in a timeline history file.
type History []Position

// ParseHistory reads the text of a timeline history file (timeline.c: timeline, position, reason).
func ParseHistory(text string) (History, error) {
	var out History
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("%w: %q", ErrSyntax, line)
		}
		p, err := ParsePosition(fields[0] + ":" + fields[1])
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// Holds tells whether a server on timeline current with this history has everything up to p. known is false for a
// timeline that is not in the history: it is a later one, or a branch that was given up.
func (h History) Holds(current uint32, p Position) (holds, known bool) {
	if p.Timeline == current {
		return true, true
	}
	for _, left := range h {
		if left.Timeline == p.Timeline {
			return p.LSN <= left.LSN, true
		}
	}
	return false, false
}
