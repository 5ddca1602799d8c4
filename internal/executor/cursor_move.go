package executor

import (
	"math"

	"github.com/pleiad/pleiad/router"
)

// What stands here is DoPortalRunFetch, PortalRunSelect and DoPortalRewind of PostgreSQL's pquery.c, over a cursor whose
// rows come from several servers.

// fetch is DoPortalRunFetch.
func (c *Cursor) fetch(mv router.Move, show bool) (int64, error) {
	count, forward := mv.Count, mv.Direction == router.FetchForward
	switch mv.Direction {
	case router.FetchForward, router.FetchBackward:
		if count < 0 {
			count, forward = -count, !forward
		}
	case router.FetchAbsolute:
		return c.absolute(count, show)
	case router.FetchRelative:
		if count != 0 {
			return c.relative(count, show)
		}
		forward = true
	}
	if count == 0 {
		onRow := !c.atStart && !c.atEnd
		if !show {
			if onRow {
				return 1, nil
			}
			return 0, nil
		}
		if onRow {
			if _, err := c.pass(false, 1, false); err != nil {
				return 0, err
			}
			count, forward = 1, true
		}
	}
	if !forward && count == router.FetchAll && !show {
		result := c.pos
		if result > 0 && !c.atEnd {
			result--
		}
		return result, c.rewind()
	}
	return c.pass(forward, count, show)
}

// relative goes |count| - 1 rows and then shows one.
func (c *Cursor) relative(count int64, show bool) (int64, error) {
	forward := count > 0
	if !forward {
		count = -count
	}
	if count > 1 {
		if _, err := c.pass(forward, count-1, false); err != nil {
			return 0, err
		}
	}
	return c.pass(forward, 1, show)
}

func (c *Cursor) absolute(count int64, show bool) (int64, error) {
	var err error
	switch {
	case count > 0 && count-1 <= c.pos/2:
		if err = c.rewind(); err == nil && count > 1 {
			_, err = c.pass(true, count-1, false)
		}
	case count > 0:
		pos := c.pos
		if c.atEnd {
			pos++
		}
		if count <= pos {
			_, err = c.pass(false, pos-count+1, false)
		} else if count > pos+1 {
			_, err = c.pass(true, count-pos-1, false)
		}
	case count < 0:
		if _, err = c.pass(true, router.FetchAll, false); err == nil && count < -1 {
			_, err = c.pass(false, -count-1, false)
		}
		if err != nil {
			return 0, err
		}
		return c.pass(false, 1, show)
	default:
		return 0, c.rewind()
	}
	if err != nil {
		return 0, err
	}
	return c.pass(true, 1, show)
}

// rewind is DoPortalRewind.
func (c *Cursor) rewind() error {
	if c.atStart && !c.atEnd {
		return nil
	}
	if err := c.needScroll(); err != nil {
		return err
	}
	if err := c.restart(); err != nil {
		return err
	}
	c.atStart, c.atEnd, c.pos = true, false, 0
	return nil
}

// pass is PortalRunSelect: it goes over up to count rows and returns how many there were.
func (c *Cursor) pass(forward bool, count int64, show bool) (n int64, err error) {
	if forward {
		if c.atEnd || count <= 0 {
			return 0, nil
		}
		if n, err = c.forward(count, show); err != nil {
			return n, err
		}
		c.atStart = c.atStart && n == 0
		c.atEnd = count == router.FetchAll || n < count
		c.pos += n
		return n, nil
	}
	if err := c.needScroll(); err != nil {
		return 0, err
	}
	if c.atStart || count <= 0 {
		return 0, nil
	}
	if n, err = c.backward(count, show); err != nil {
		return n, err
	}
	if n > 0 && c.atEnd {
		c.atEnd = false
		c.pos++
	}
	if count == router.FetchAll || n < count {
		c.atStart, c.pos = true, 0
	} else {
		c.pos -= n
	}
	return n, nil
}

// forward goes over up to count rows between OFFSET and LIMIT. Where there are fewer it ends behind the last one.
func (c *Cursor) forward(count int64, show bool) (n int64, err error) {
	if !c.skipped {
		c.skipped = true
		if c.Offset > 0 {
			if over, err := c.over(true, c.Offset, false); err != nil || over < c.Offset {
				return 0, err
			}
		}
	}
	within := int64(math.MaxInt64)
	if c.Limit >= 0 {
		within = max(c.Limit-c.place, 0)
	}
	want := min(count, within)
	if want > 0 {
		if n, err = c.over(true, want, show); err != nil {
			return n, err
		}
		c.place += n
	}
	if n < want || want == router.FetchAll {
		c.place++
		return n, nil
	}
	for n < count && c.Ties {
		tied, err := c.tied()
		if err != nil {
			return n, err
		}
		if !tied {
			break
		}
		if _, err := c.over(true, 1, show); err != nil {
			return n, err
		}
		n++
		c.place++
	}
	if n < count { // LIMIT: leave the last row
		if _, err := c.over(true, 1, false); err != nil {
			return n, err
		}
		c.place++
	}
	return n, nil
}

// backward goes back over up to count rows. Where there are fewer it ends before the first one.
func (c *Cursor) backward(count int64, show bool) (n int64, err error) {
	want := min(count, max(c.place-1, 0))
	if want > 0 {
		if n, err = c.over(false, want, show); err != nil {
			return n, err
		}
		c.place -= n
	}
	if n < count {
		if _, err := c.over(false, 1, false); err != nil {
			return n, err
		}
		c.place = 0
	}
	return n, nil
}

// over goes over up to count of all the backends' rows, whatever OFFSET and LIMIT are.
func (c *Cursor) over(forward bool, count int64, show bool) (int64, error) {
	if len(c.Sort) > 0 {
		if forward {
			return c.mergeForward(count, show)
		}
		return c.mergeBackward(count, show)
	}
	return c.concat(forward, count, show)
}

// concat is over where the backends' rows stand one behind the other: the server cursors do the counting.
func (c *Cursor) concat(forward bool, count int64, show bool) (n int64, err error) {
	verb, words, step := "MOVE", "BACKWARD", -1
	if show {
		verb = "FETCH"
	}
	if forward {
		words, step = "FORWARD", 1
	}
	for {
		want := count
		if count != router.FetchAll {
			want = min(count-n, math.MaxInt32) // which is as far as the grammar counts
		}
		k, err := c.step(c.legs[c.current], verb+" "+words, want, show)
		n += k
		switch {
		case err != nil || n == count:
			return n, err
		case k == want:
			continue
		}
		next := c.current + step
		if next < 0 || next == len(c.legs) {
			return n, nil
		}
		c.current = next
	}
}

// step moves one server cursor.
func (c *Cursor) step(l *leg, words string, count int64, show bool) (int64, error) {
	m, err := c.member(l)
	if err != nil {
		return 0, err
	}
	var formats []int16
	if show {
		formats = c.formats
	}
	c.compose(m, words, count, appendCursorFormats(nil, formats, c.columns, 0))
	m.synced()
	if err := m.Send(); err != nil {
		return 0, err
	}
	return c.readRows(m, m.Types.ToHome(ColumnTypes(c.fields), formats), func(typ byte, frame []byte) error {
		if typ == 'D' && show {
			return c.emit(frame)
		}
		return nil
	})
}

// restart puts the cursor before the first row.
func (c *Cursor) restart() error {
	c.place, c.skipped = 0, false
	if len(c.Sort) > 0 {
		c.restartMerge()
		return nil
	}
	for c.current >= 0 {
		if _, err := c.step(c.legs[c.current], "MOVE ABSOLUTE", 0, false); err != nil {
			return err
		}
		c.current--
	}
	c.current = 0
	return nil
}
