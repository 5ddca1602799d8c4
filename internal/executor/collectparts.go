package executor

import "github.com/pleiad/pleiad/internal/wire"

// markers is the number of columns that tell a row's part.
func (c *Collect) markers() int {
	if len(c.Parts) > 1 {
		return 1
	}
	return 0
}

// columnOf is the column whose values array i has.
func (c *Collect) columnOf(i int) int {
	if c.Parts == nil {
		return i
	}
	for _, part := range c.Parts {
		if i < len(part) {
			return part[i] + c.markers()
		}
		i -= len(part)
	}
	return len(c.Formats)
}

// describeParts makes the arrays of rows of several kinds.
func (c *Collect) describeParts() {
	for _, part := range c.Parts {
		places := make([]int, max(0, len(c.Types)-c.markers()))
		for i := range places {
			places[i] = -1
		}
		for _, column := range part {
			if column < len(places) {
				places[column] = len(c.columns)
			}
			c.columns = append(c.columns, Array{text: c.isText(column + c.markers())})
		}
		c.places = append(c.places, places)
	}
}

// rowOfPart holds a row's values in the arrays of its part.
func (c *Collect) rowOfPart(d *wire.Body) error {
	part := 0
	if c.markers() > 0 {
		if d.Int32() != 2 {
			return errRow
		}
		part = d.Uint16()
	}
	if part >= len(c.places) {
		return errRow
	}
	for _, place := range c.places[part] {
		size := d.Int32()
		switch {
		case size < 0 && place < 0:
		case size < 0:
			c.columns[place].appendNull()
			c.held += 4
		case place < 0:
			return errRow
		default:
			v := d.Bytes(int(size))
			if d.Err() != nil {
				return errRow
			}
			c.held += int64(c.columns[place].append(v))
		}
	}
	if d.End() != nil {
		return errRow
	}
	return nil
}
