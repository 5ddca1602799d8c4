package copystream

import "bytes"

// lineEnd is the newline style of a stream, which its first line sets.
type lineEnd uint8

const (
	endUnknown lineEnd = iota
	endLF
	endCR
	endCRLF
)

// lineState is where CopyReadLineText stands in the current line: pos is the next byte of the buffer, the others are its
// variables' namesakes.
type lineState struct {
	pos         int
	begun       bool // the line number counts this line already
	from        int64
	notFirst    bool // pos is behind the line's first character
	inQuote     bool
	lastWasEsc  bool
	end         lineEnd
	plain       bool // the line found has no backslash, carriage return or quote
	body        int  // of the line found: the buffer offset where its data ends
	reachedStop bool // the line ended at the end of the data or at \.
}

// scanned is the outcome of a look for the end of a line.
type scanned uint8

const (
	needMore scanned = iota
	gotLine
	keepOn // nothing special: go on with the next character
)

// header reads the first line if the format has a header; false when more data is needed.
func (r *Reader) header() (bool, error) {
	if !r.spec.Format.Header && !r.spec.Format.HeaderMatch {
		r.opened = true
		return true, nil
	}
	got, err := r.readLine()
	if err != nil || got == needMore {
		return false, err
	}
	line := r.buf[r.start:r.line.body]
	if r.spec.Format.HeaderMatch {
		if err := r.matchHeader(line); err != nil {
			return false, err
		}
	}
	r.prologue = bytes.Clone(r.buf[r.start:r.line.pos])
	r.opened = true
	r.consumeLine()
	return true, nil
}

// Reading is the line that is being read, as PostgreSQL counts: the next one where the data ends with a whole one that is not
// the end marker.
func (r *Reader) Reading() int64 {
	if r.line.begun || r.done {
		return r.lineno
	}
	return r.lineno + 1
}

// LineEnd is the newline of the rows read until now, which all have to have the same.
func (r *Reader) LineEnd() string {
	switch r.line.end {
	case endCR:
		return "\r"
	case endCRLF:
		return "\r\n"
	}
	return "\n"
}

// nextLine returns the next row of a text or CSV stream.
func (r *Reader) nextLine() (Row, bool, error) {
	if r.done {
		return Row{}, false, nil
	}
	got, err := r.readLine()
	if err != nil || got == needMore {
		return Row{}, false, err
	}
	line := r.buf[r.start:r.line.body]
	if r.line.reachedStop && len(line) == 0 {
		r.consumeLine()
		return Row{}, false, nil
	}
	short, err := r.readFields(line)
	if err != nil {
		return Row{}, false, err
	}
	row := Row{
		Raw: r.buf[r.start:r.line.pos], Body: len(line),
		Line: r.lineno, Lines: r.lineno - r.line.from, Fields: r.fields, Short: short,
	}
	if short {
		row.Fields = nil
	}
	r.consumeLine()
	return row, true, nil
}

// consumeLine moves behind the line just read.
func (r *Reader) consumeLine() {
	l := &r.line
	r.start = l.pos
	if l.reachedStop {
		r.done = true
		r.start = len(r.buf)
	}
	*l = lineState{pos: r.start, end: l.end}
}

// readLine looks for the end of the line that starts at r.start, going on where it stopped for want of data.
func (r *Reader) readLine() (scanned, error) {
	l := &r.line
	if !l.begun {
		if len(r.buf) == r.start && !r.eof {
			return needMore, nil
		}
		l.begun, l.from = true, r.lineno
		r.lineno++
		if r.readPlainLine() {
			return gotLine, r.checkLength()
		}
	}
	for {
		if l.pos >= len(r.buf) {
			if !r.eof {
				return needMore, nil
			}
			l.body, l.reachedStop = len(r.buf), true
			return gotLine, r.checkLength()
		}
		got, err := r.character()
		if err != nil {
			return needMore, err
		}
		if got == gotLine {
			return gotLine, r.checkLength()
		}
		if got == needMore {
			return needMore, nil
		}
	}
}

func (r *Reader) checkLength() error {
	if r.line.pos-r.start > r.spec.MaxRow {
		return r.rowTooLong()
	}
	return nil
}

// readPlainLine takes the common case at a line's start at once: a whole line with a bare newline and nothing in it that
// needs a look at each character.
func (r *Reader) readPlainLine() bool {
	l := &r.line
	if l.end != endLF && l.end != endUnknown {
		return false
	}
	rest := r.buf[r.start:]
	n := bytes.IndexByte(rest, '\n')
	if n < 0 {
		return false
	}
	line := rest[:n]
	if bytes.IndexByte(line, '\\') >= 0 || bytes.IndexByte(line, '\r') >= 0 ||
		r.spec.Format.CSV && (bytes.IndexByte(line, r.spec.Format.Quote) >= 0 || bytes.IndexByte(line, r.spec.Format.Escape) >= 0) {
		return false
	}
	l.end, l.plain = endLF, true
	l.body, l.pos = r.start+n, r.start+n+1
	return true
}

// character follows one character of a line, as one turn of CopyReadLineText's loop.
func (r *Reader) character() (scanned, error) {
	l := &r.line
	c := r.buf[l.pos]
	ahead := l.pos+1 < len(r.buf) || r.eof
	if (c == '\\' || c == '\r') && !ahead {
		return needMore, nil
	}
	if r.spec.Format.CSV {
		r.quotes(c)
	}
	if !l.inQuote || !r.spec.Format.CSV {
		switch {
		case c == '\r':
			return r.carriageReturn()
		case c == '\n':
			return r.newline()
		}
	}
	marker := !r.spec.Format.CSV || !l.notFirst && r.spec.ServerMajor < strictMarker
	if c == '\\' && marker && l.pos+1 < len(r.buf) {
		if r.buf[l.pos+1] == '.' {
			return r.endMarker()
		}
		if !r.spec.Format.CSV {
			l.pos++ // the character behind a backslash is data
		}
	}
	l.notFirst = true
	l.pos++
	return keepOn, nil
}

// quotes follows CSV quoting, and counts the lines within quotes.
func (r *Reader) quotes(c byte) {
	l, f := &r.line, &r.spec.Format
	separate := f.Quote != f.Escape
	if l.inQuote && separate && c == f.Escape {
		l.lastWasEsc = !l.lastWasEsc
	}
	if c == f.Quote && !l.lastWasEsc {
		l.inQuote = !l.inQuote
	}
	if !separate || c != f.Escape {
		l.lastWasEsc = false
	}
	inner := byte('\r')
	if l.end == endLF {
		inner = '\n'
	}
	if l.inQuote && c == inner {
		r.lineno++
	}
}

func (r *Reader) carriageReturn() (scanned, error) {
	l := &r.line
	l.body = l.pos
	l.pos++
	switch l.end {
	case endUnknown, endCRLF:
		if l.pos < len(r.buf) && r.buf[l.pos] == '\n' {
			l.pos++
			l.end = endCRLF
			return gotLine, nil
		}
		if l.end == endCRLF {
			return needMore, r.strayReturn()
		}
		l.end = endCR
	case endLF:
		return needMore, r.strayReturn()
	}
	return gotLine, nil
}

func (r *Reader) strayReturn() error {
	if r.spec.Format.CSV {
		return r.badFormat("unquoted carriage return found in data").hint("Use quoted CSV field to represent carriage return.")
	}
	return r.badFormat("literal carriage return found in data").hint(`Use "\r" to represent carriage return.`)
}

func (r *Reader) newline() (scanned, error) {
	l := &r.line
	if l.end == endCR || l.end == endCRLF {
		if r.spec.Format.CSV {
			return needMore, r.badFormat("unquoted newline found in data").hint("Use quoted CSV field to represent newline.")
		}
		return needMore, r.badFormat("literal newline found in data").hint(`Use "\n" to represent newline.`)
	}
	l.end = endLF
	l.body = l.pos
	l.pos++
	return gotLine, nil
}

// strictMarker is the first version that wants \. alone on its line, and takes it for data in CSV.
const strictMarker = 18

// endMarker looks at \. and what follows it. In CSV it only counts when it is the whole line.
func (r *Reader) endMarker() (scanned, error) {
	l := &r.line
	p := l.pos + 2
	// at is the character at offset i, 0 at the end of the data as in PostgreSQL's buffer.
	at := func(i int) byte {
		if i < len(r.buf) {
			return r.buf[i]
		}
		return 0
	}
	if !r.eof && (p >= len(r.buf) || l.end == endCRLF && p+1 >= len(r.buf)) {
		return needMore, nil
	}
	wrong, corrupt := "", "end-of-copy marker corrupt"
	if r.spec.ServerMajor >= strictMarker {
		corrupt = "end-of-copy marker is not alone on its line"
	}
	if l.end == endCRLF {
		switch c := at(p); {
		case c == '\n':
			wrong = "end-of-copy marker does not match previous newline style"
		case c != '\r':
			wrong = corrupt
		}
		p++
	}
	c := at(p)
	if wrong == "" && c != '\r' && c != '\n' {
		wrong = corrupt
	}
	if wrong != "" {
		if !r.spec.Format.CSV {
			return needMore, r.badFormat("%s", wrong)
		}
		l.notFirst = true
		l.pos++
		return keepOn, nil
	}
	if (l.end == endLF || l.end == endCRLF) && c != '\n' || l.end == endCR && c != '\r' {
		return needMore, r.badFormat("end-of-copy marker does not match previous newline style")
	}
	if r.spec.ServerMajor >= strictMarker && l.pos > r.start {
		return needMore, r.badFormat("%s", corrupt)
	}
	l.body, l.pos, l.reachedStop = l.pos, p+1, true
	return gotLine, nil
}

func (e *Error) hint(h string) *Error {
	e.Err = e.Err.WithHint("%s", h)
	return e
}
