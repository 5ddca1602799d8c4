// Package copystream finds the rows in the data of COPY … FROM STDIN while it streams, and reads some columns of each,
// the way PostgreSQL's copyfromparse.c does, so that every row can be relayed unchanged to the backend it belongs to.
package copystream

import (
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// Spec says what the stream holds.
type Spec struct {
	Table   string // unqualified name, for error contexts
	Columns []string
	Format  router.CopyFormat
	// Want are the columns whose values the caller needs, as ascending positions in Columns.
	Want []int
	// ServerMajor is the backends' major version. Before 18, \. ends CSV data too, and text data in the middle of a line.
	ServerMajor int
	// MaxRow bounds a row in bytes; over it Next fails with 54000.
	MaxRow int
}

// Field is one column's value in a row: decoded text, or the raw bytes in binary format.
type Field struct {
	Value   []byte
	Null    bool
	Default bool // PostgreSQL 16's DEFAULT marker stands there
}

// Row is one row of the stream. Its bytes are valid until the next call of Next or Feed.
type Row struct {
	// Raw is the row as it came, with its line end; the last row of a stream may lack one.
	Raw []byte
	// Body is how many bytes of Raw stand before the line end, or before the end marker \. behind the row.
	Body int
	// Line is the row's line number as PostgreSQL counts (the last line of a row of several lines; in binary format the
	// row's number).
	Line int64
	// Lines is how much the row adds to the line number.
	Lines  int64
	Fields []Field // of Spec.Want, in that order; none where Short
	// Short says that columns are missing. PostgreSQL reads the values ahead of them first, and says what is wrong there: it
	// has to see the row.
	Short bool
}

// Reader splits one stream. Call Feed with each CopyData and then Next until it returns false; Finish at CopyDone, and
// Next again. Not safe for concurrent use.
type Reader struct {
	spec  Spec
	buf   []byte // unconsumed data is buf[start:]
	start int    // of the current row
	eof   bool   // Finish was called
	done  bool   // \. or the trailer was seen, or the data is used up: nothing follows
	err   error  // sticky

	line     lineState
	lineno   int64
	prologue []byte // header line, or binary header
	opened   bool   // the prologue has been read
	trailer  bool   // binary: the trailer was seen

	fields       []Field // one per wanted column
	scratch      []byte  // decoded values
	forceNull    []bool  // by position in Want
	forceNotNull []bool
}

// defaultMaxRow is PostgreSQL's own limit on a row's text.
const defaultMaxRow = 1<<30 - 1

// NewReader makes a Reader. Errors: *pgerr.Error 0A000 for encodings whose bytes cannot be split as they are.
func NewReader(spec Spec) (*Reader, error) {
	if !plainEncoding(spec.Format.Encoding) {
		return nil, pgerr.New(pgerr.FeatureNotSupported, "COPY with encoding %q is not supported for this table", spec.Format.Encoding).
			WithHint("Send the data in UTF8.")
	}
	spec.Format = withDefaults(spec.Format)
	if spec.MaxRow <= 0 {
		spec.MaxRow = defaultMaxRow
	}
	r := &Reader{
		spec:         spec,
		fields:       make([]Field, len(spec.Want)),
		forceNull:    make([]bool, len(spec.Want)),
		forceNotNull: make([]bool, len(spec.Want)),
	}
	for i, c := range spec.Want {
		r.forceNull[i] = contains(spec.Format.ForceNull, spec.Columns[c])
		r.forceNotNull[i] = contains(spec.Format.ForceNotNull, spec.Columns[c])
	}
	return r, nil
}

// plainEncoding reports whether data in a COPY encoding can be split and hashed as it is.
func plainEncoding(name string) bool {
	fold := strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))
	return fold == "" || fold == "utf8" || fold == "unicode"
}

// withDefaults fills in the characters COPY takes where an option is not given. A Null of "" is left alone: it is a
// legal choice.
func withDefaults(f router.CopyFormat) router.CopyFormat {
	if f.Delimiter == 0 {
		f.Delimiter = '\t'
		if f.CSV {
			f.Delimiter = ','
		}
	}
	if f.Quote == 0 {
		f.Quote = '"'
	}
	if f.Escape == 0 {
		f.Escape = f.Quote
	}
	return f
}

// contains reports whether a FORCE list names the column; "*" stands for all.
func contains(list []string, name string) bool {
	for _, s := range list {
		if s == name || s == "*" {
			return true
		}
	}
	return false
}

// Feed appends the bytes of one CopyData, which it copies. Rows returned before are invalid from now on.
func (r *Reader) Feed(chunk []byte) {
	if r.done && !r.spec.Format.Binary || r.err != nil {
		return // text behind \. is ignored, as PostgreSQL does
	}
	if r.start > 0 {
		n := copy(r.buf, r.buf[r.start:])
		r.buf = r.buf[:n]
		r.line.pos -= r.start
		r.start = 0
	}
	r.buf = append(r.buf, chunk...)
}

// Finish says that no more data comes.
func (r *Reader) Finish() { r.eof = true }

// Prologue is what every backend needs ahead of its rows so that the statement's options hold for its part of the
// stream: the header line, or the binary header. It is complete once Next has returned a row or, after Finish, false.
func (r *Reader) Prologue() []byte { return r.prologue }

// Epilogue is what every backend needs behind its rows: the binary trailer if the stream has one.
func (r *Reader) Epilogue() []byte {
	if r.trailer {
		return []byte{0xff, 0xff}
	}
	return nil
}

// Buffered is how many bytes wait for the rest of their row.
func (r *Reader) Buffered() int { return len(r.buf) - r.start }

// Next returns the next row; false when more data is needed, or after Finish when there is none. Errors are *Error and
// stay.
func (r *Reader) Next() (Row, bool, error) {
	if r.err != nil {
		return Row{}, false, r.err
	}
	row, ok, err := r.next()
	if err == nil && !ok && r.Buffered() > r.spec.MaxRow {
		err = r.rowTooLong()
	}
	if err != nil {
		r.err = err
		return Row{}, false, err
	}
	return row, ok, nil
}

func (r *Reader) next() (Row, bool, error) {
	if r.spec.Format.Binary {
		return r.nextBinary()
	}
	if !r.opened {
		if ok, err := r.header(); !ok || err != nil {
			return Row{}, false, err
		}
	}
	return r.nextLine()
}
