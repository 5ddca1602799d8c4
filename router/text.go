package router

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Counts are LIMIT and OFFSET of one execution.
type Counts struct {
	Limit, Offset int64
	Limited       bool // false: no LIMIT
}

var (
	errNegativeLimit  = pgerr.New(pgerr.InvalidRowCountInLimit, "LIMIT must not be negative")
	errNegativeOffset = pgerr.New(pgerr.InvalidRowCountInOffset, "OFFSET must not be negative")
)

// Counts reads the LIMIT and OFFSET that the merge applies. Errors are PostgreSQL's own for negative values, and
// ErrNotProvable for a parameter that is not readable as a bigint.
func (s *Scatter) Counts(v *Values) (Counts, error) {
	var c Counts
	offset, ok, err := v.count(s.Offset)
	if err != nil {
		return c, err
	}
	if ok {
		if offset < 0 {
			return c, errNegativeOffset
		}
		c.Offset = offset
	}
	limit, ok, err := v.count(s.Limit)
	if err != nil {
		return c, err
	}
	if ok {
		if limit < 0 {
			return c, errNegativeLimit
		}
		c.Limit, c.Limited = limit, true
	}
	return c, nil
}

// count reads one value; ok is false when it is absent or NULL.
func (v *Values) count(c CountValue) (n int64, ok bool, err error) {
	if !c.Present {
		return 0, false, nil
	}
	switch c.Source {
	case SourceConst:
		return c.Const, true, nil
	case SourceLiteral:
		if c.Index >= len(v.Lits) {
			return 0, false, shardmap.ErrNotProvable
		}
		b, good := sqlparse.LiteralValue(v.Text, v.Lits[c.Index], nil)
		n, err = parseCount(b)
		if !good || err != nil {
			return 0, false, shardmap.ErrNotProvable
		}
		if c.Negated {
			n = -n
		}
		return n, true, nil
	case SourceParam:
		if c.Index >= len(v.Params) {
			return 0, false, shardmap.ErrNotProvable
		}
		return countParam(&v.Params[c.Index])
	}
	return 0, false, nil
}

func countParam(p *shardmap.Value) (n int64, ok bool, err error) {
	switch {
	case p.Null:
		return 0, false, nil
	case p.Format == shardmap.Text:
		n, err = parseCount([]byte(strings.TrimSpace(string(p.Data))))
		if err != nil {
			return 0, false, shardmap.ErrNotProvable
		}
		return n, true, nil
	case len(p.Data) == 8:
		return int64(binary.BigEndian.Uint64(p.Data)), true, nil
	case len(p.Data) == 4:
		return int64(int32(binary.BigEndian.Uint32(p.Data))), true, nil
	case len(p.Data) == 2:
		return int64(int16(binary.BigEndian.Uint16(p.Data))), true, nil
	}
	return 0, false, shardmap.ErrNotProvable
}

// AppendScatterText appends to dst the text that several backends get: v's text with the template's splices. It depends
// on v's literals only, not on its parameters, so that a prepared statement's text stays the same.
func (t *Template) AppendScatterText(dst []byte, v *Values) ([]byte, error) {
	return t.appendSpliced(dst, t.Scatter.Splices, v)
}

// AppendGatherText appends to dst the statement that finishes a gather.
func (t *Template) AppendGatherText(dst []byte, v *Values) ([]byte, error) {
	return t.appendSpliced(dst, t.Gather.Splices, v)
}

func (t *Template) appendSpliced(dst []byte, splices []Splice, v *Values) ([]byte, error) {
	lits := v.spans()
	from := 0
	for _, s := range splices {
		start, end := s.Start, s.End
		if len(t.Spans) > 0 {
			start, end = t.Shift(s.Start, lits), t.Shift(s.End, lits)
		}
		dst = append(dst, v.Text[from:start]...)
		from = end
		if !s.Limit {
			dst = append(dst, s.With...)
			continue
		}
		with, err := t.Scatter.limitClause(v)
		if err != nil {
			return dst, err
		}
		if n, ok := strings.CutPrefix(with, "LIMIT "); ok && t.Scatter.Ties {
			with = "FETCH FIRST (" + n + ") ROWS WITH TIES"
		}
		dst = append(dst, with...)
	}
	return append(dst, v.Text[from:]...), nil
}

func (v *Values) spans() []Span {
	return sqlparse.AppendSpans(make([]Span, 0, len(v.Lits)), v.Lits)
}

// limitClause is LIMIT limit+offset. Parameters stay parameters: their types must be as in the client's text, and
// NULL means no limit.
func (s *Scatter) limitClause(v *Values) (string, error) {
	limitParam := s.Limit.Present && s.Limit.Source == SourceParam
	offsetParam := s.Offset.Present && s.Offset.Source == SourceParam
	switch {
	case !s.Limit.Present && !offsetParam:
		return "", nil
	case !s.Limit.Present:
		o := s.Offset.param()
		return "LIMIT NULLIF(" + o + ", " + o + ")", nil
	case limitParam || offsetParam:
		limit, err := s.Limit.sql(v)
		if err != nil {
			return "", err
		}
		if !s.Offset.Present {
			return "LIMIT " + limit, nil
		}
		offset, err := s.Offset.sql(v)
		if err != nil {
			return "", err
		}
		return "LIMIT LEAST(" + limit + "::pg_catalog.numeric + COALESCE(" + offset + ", 0), " +
			strconv.FormatInt(math.MaxInt64, 10) + ")::pg_catalog.int8", nil
	}
	c, err := s.Counts(v)
	if err != nil {
		return "", err
	}
	if c.Limit > math.MaxInt64-c.Offset {
		return "", nil
	}
	return "LIMIT " + strconv.FormatInt(c.Limit+c.Offset, 10), nil
}

// param is the SQL of a parameter that keeps the type it has in the client's text.
func (c CountValue) param() string {
	p := "$" + itoa(c.Index+1)
	if c.CastTo != "" {
		p += "::" + c.CastTo
	}
	return "(" + p + "::pg_catalog.int8)"
}

func (c CountValue) sql(v *Values) (string, error) {
	if c.Source == SourceParam {
		return c.param(), nil
	}
	n, _, err := v.count(c)
	return "(" + strconv.FormatInt(n, 10) + "::pg_catalog.int8)", err
}
