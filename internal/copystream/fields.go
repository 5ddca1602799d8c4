package copystream

import "bytes"

// readFields finds the wanted columns in a line and tells whether the line has fewer fields than there are columns.
func (r *Reader) readFields(line []byte) (short bool, err error) {
	want := len(r.spec.Columns)
	if want == 0 {
		if len(line) != 0 {
			return false, r.badLine(line, "extra data after last expected column")
		}
		return false, nil
	}
	r.scratch = r.scratch[:0]
	var n int
	if r.line.plain {
		n = r.plainFields(line)
	} else {
		n, err = r.splitFields(line)
	}
	switch {
	case err != nil:
		return false, err
	case n > want:
		return false, r.badLine(line, "extra data after last expected column")
	}
	return n < want, nil
}

// plainFields splits a line without escapes and quotes, and returns how many fields it has.
func (r *Reader) plainFields(line []byte) int {
	n, w := 0, 0
	for {
		if w == len(r.spec.Want) {
			return n + 1 + bytes.Count(line, []byte{r.spec.Format.Delimiter})
		}
		i := bytes.IndexByte(line, r.spec.Format.Delimiter)
		field := line
		if i >= 0 {
			field = line[:i]
		}
		if n == r.spec.Want[w] {
			r.setField(w, field, field, false)
			w++
		}
		n++
		if i < 0 {
			return n
		}
		line = line[i+1:]
	}
}

// splitFields splits any line and returns how many fields it has.
func (r *Reader) splitFields(line []byte) (int, error) {
	next := r.textField
	if r.spec.Format.CSV {
		next = r.csvField
	}
	w := 0
	for n, p := 0, 0; ; n++ {
		from := len(r.scratch)
		keep := w < len(r.spec.Want) && r.spec.Want[w] == n
		f, err := next(line, p, keep)
		if err != nil {
			return n, err
		}
		if keep {
			r.setField(w, r.scratch[from:len(r.scratch):len(r.scratch)], line[p:f.end], f.quoted)
			w++
		}
		if !f.delimited {
			return n + 1, nil
		}
		p = f.next
	}
}

// setField stores the w-th wanted column's value; raw is the field as it stands in the line, which is what is compared
// with the null and default markers.
func (r *Reader) setField(w int, value, raw []byte, quoted bool) {
	f := &r.spec.Format
	out := Field{Value: value}
	switch {
	case !quoted && string(raw) == f.Null:
		out = Field{Null: true}
	case !quoted && f.HasDefault && string(raw) == f.Default:
		out = Field{Default: true}
	}
	if f.CSV {
		switch {
		case out.Null && r.forceNotNull[w]:
			out = Field{Value: raw}
		case !out.Null && !out.Default && r.forceNull[w] && string(value) == f.Null:
			out = Field{Null: true}
		}
	}
	r.fields[w] = out
}

// foundField is where a field ends: its raw text stands before end, the next field starts at next if a delimiter
// follows.
type foundField struct {
	end, next int
	delimited bool
	quoted    bool
}

// textField reads the field at p in text format, as CopyReadAttributesText, and appends its value to scratch if keep.
func (r *Reader) textField(line []byte, p int, keep bool) (foundField, error) {
	delim := r.spec.Format.Delimiter
	for {
		end := p
		if p >= len(line) {
			return foundField{end: end}, nil
		}
		c := line[p]
		p++
		if c == delim {
			return foundField{end: end, next: p, delimited: true}, nil
		}
		if c == '\\' {
			if p >= len(line) {
				return foundField{end: end}, nil
			}
			c, p = unescape(line, p)
		}
		if keep {
			r.scratch = append(r.scratch, c)
		}
	}
}

// unescape reads the escape whose character behind the backslash is line[p].
func unescape(line []byte, p int) (byte, int) {
	c := line[p]
	p++
	switch c {
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v := c - '0'
		for i := 0; i < 2 && p < len(line) && line[p] >= '0' && line[p] <= '7'; i++ {
			v = v<<3 + line[p] - '0'
			p++
		}
		return v, p
	case 'x':
		v, n := byte(0), 0
		for n < 2 && p < len(line) && hexValue(line[p]) < 16 {
			v = v<<4 + hexValue(line[p])
			p++
			n++
		}
		if n > 0 {
			return v, p
		}
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'v':
		c = '\v'
	}
	return c, p
}

// hexValue is the value of a hexadecimal digit, or 255.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// csvField reads the field at p in CSV format, as CopyReadAttributesCSV, and appends its value to scratch if keep.
func (r *Reader) csvField(line []byte, p int, keep bool) (foundField, error) {
	f := &r.spec.Format
	out := foundField{}
	inQuote := false
	for {
		out.end = p
		if p >= len(line) {
			if inQuote {
				return out, r.badLine(line, "unterminated CSV quoted field")
			}
			return out, nil
		}
		c := line[p]
		p++
		switch {
		case !inQuote && c == f.Delimiter:
			out.next, out.delimited = p, true
			return out, nil
		case !inQuote && c == f.Quote:
			out.quoted, inQuote = true, true
			continue
		case inQuote && c == f.Escape && p < len(line) && (line[p] == f.Escape || line[p] == f.Quote):
			c = line[p]
			p++
		case inQuote && c == f.Quote:
			inQuote = false
			continue
		}
		if keep {
			r.scratch = append(r.scratch, c)
		}
	}
}

// matchHeader checks the names in a header line for HEADER MATCH.
func (r *Reader) matchHeader(line []byte) error {
	f := r.spec.Format
	all := Reader{spec: r.spec, lineno: r.lineno}
	all.spec.Want = make([]int, 0, len(r.spec.Columns)+1)
	for i := range len(r.spec.Columns) + 1 {
		all.spec.Want = append(all.spec.Want, i)
	}
	all.fields = make([]Field, len(all.spec.Want))
	all.forceNull = make([]bool, len(all.spec.Want))
	all.forceNotNull = make([]bool, len(all.spec.Want))
	n, err := all.splitFields(line)
	if err != nil {
		return err
	}
	if n != len(r.spec.Columns) {
		return r.badLine(line, "wrong number of fields in header line: got %d, expected %d", n, len(r.spec.Columns))
	}
	for i, name := range r.spec.Columns {
		got := all.fields[i]
		if got.Null {
			return r.badLine(line, "column name mismatch in header line field %d: got null value (\"%s\"), expected \"%s\"", i+1, f.Null, name)
		}
		if string(got.Value) != name {
			return r.badLine(line, "column name mismatch in header line field %d: got \"%s\", expected \"%s\"", i+1, got.Value, name)
		}
	}
	return nil
}
