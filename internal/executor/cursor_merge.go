package executor

import (
	"bytes"
	"slices"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// mergeState is where a cursor with sort keys stands.
type mergeState struct {
	on    *leg  // the current row's
	total int64 // rows taken of all legs
	past  bool  // behind the last row
	tie   []sortValue
	want  int64 // how many more rows the running FETCH may need
}

// firstChunk is how many rows are read from a server at first, and chunkBytes how much about, once it is known what a row
// weighs. No more are read than the client has asked for: what it does not ask for it must not see fail.
const (
	firstChunk = 64
	chunkBytes = 256 << 10
)

func (c *Cursor) chunk() int64 {
	switch {
	case c.Locks:
		return 1
	case c.seen == 0:
		return min(c.merge.want, firstChunk)
	}
	return max(min(c.merge.want, chunkBytes/max(c.weight/c.seen, 1)), 1)
}

// setFormats drops rows at hand that are not in the formats asked for.
func (c *Cursor) setFormats(formats []int16) error {
	if slices.Equal(formats, c.formats) {
		return nil
	}
	ahead := slices.ContainsFunc(c.legs, func(l *leg) bool { return l.at > l.taken && l.taken != l.size })
	if ahead {
		ok, err := c.scrollable()
		if err != nil {
			return err
		}
		if !ok {
			return pgerr.New(pgerr.FeatureNotSupported, "FETCH in other result formats than the one before is not supported for this cursor").
				WithHint("Declare the cursor with SCROLL, or fetch in one format.")
		}
	}
	for _, l := range c.legs {
		l.rows = nil
	}
	c.formats = slices.Clone(formats)
	return nil
}

func (l *leg) row(k int64) *cursorRow {
	if i := k - l.first - 1; i >= 0 && i < int64(len(l.rows)) {
		return &l.rows[i]
	}
	return nil
}

// ensure sees to it that each leg's next row (or with back, its last one taken) is at hand, as far as there is one. All
// servers are asked at once.
func (c *Cursor) ensure(back bool) error {
	type load struct {
		l        *leg
		m        *Member
		from, to int64
	}
	var loads []load
	for _, l := range c.legs {
		k := l.taken + 1
		if back {
			k--
		}
		if k == 0 || l.size >= 0 && k > l.size || l.row(k) != nil {
			continue
		}
		m, err := c.member(l)
		if err != nil {
			return err
		}
		n := c.chunk()
		from, to := k, k+n-1
		if back {
			from, to = max(k-n+1, 1), k
		}
		formats := appendCursorFormats(nil, c.formats, c.columns, len(c.Sort))
		if l.at != from-1 {
			c.compose(m, "MOVE ABSOLUTE", from-1, []byte{0, 0})
		}
		c.compose(m, "FETCH FORWARD", to-from+1, formats)
		m.synced()
		loads = append(loads, load{l, m, from, to})
	}
	for _, x := range loads {
		_ = x.m.Send() // one that is lost says so again below
	}
	var first error
	for _, x := range loads {
		if err := c.take(x.l, x.m, x.from, x.to); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// take reads rows from to to of a leg.
func (c *Cursor) take(l *leg, m *Member, from, to int64) error {
	clear(l.rows)
	l.rows, l.first = l.rows[:0], from-1
	bytesRead := 0
	_, err := c.readRows(m, m.Types.ToHome(ColumnTypes(c.fields), c.formats), func(typ byte, frame []byte) error {
		if typ != 'D' {
			return nil
		}
		if bytesRead += len(frame); bytesRead > heldBytes {
			return pgerr.New(pgerr.ConfigurationLimitExceeded, "the rows of one FETCH exceed %d MiB on one backend", heldBytes>>20).
				WithHint("Fetch fewer rows at once.")
		}
		row := cursorRow{frame: bytes.Clone(frame)}
		var err error
		if row.keys, row.cut, err = c.keysOf(row.frame); err != nil {
			return m.Lost(err)
		}
		l.rows = append(l.rows, row)
		return nil
	})
	if err != nil {
		return err
	}
	got := int64(len(l.rows))
	c.seen, c.weight = c.seen+got, c.weight+int64(bytesRead)
	if l.at = from - 1 + got; l.at < to {
		l.size = l.at
		l.at++ // behind the last row
	}
	return nil
}

func (c *Cursor) keysOf(row []byte) (keys []sortValue, cut int, err error) {
	if keys, cut, err = appendKeys(nil, row, c.columns); err != nil {
		return nil, 0, err
	}
	if len(keys) != len(c.cmp) {
		return nil, 0, errRow
	}
	for i, k := range keys {
		if k.value == nil {
			continue
		}
		if err := c.cmp[i].check(k.value); err != nil {
			return nil, 0, err
		}
	}
	return keys, cut, nil
}

func (c *Cursor) compare(a, b []sortValue) int {
	for i := range c.cmp {
		if d := c.cmp[i].compare(a[i].value, b[i].value); d != 0 {
			return d
		}
	}
	return 0
}

// next is the leg whose next row is the least; nil where no leg has one. Equal rows come in the order of the backends.
func (c *Cursor) next() (best *leg, row *cursorRow) {
	for _, l := range c.legs {
		if r := l.row(l.taken + 1); r != nil && (row == nil || c.compare(r.keys, row.keys) < 0) {
			best, row = l, r
		}
	}
	return best, row
}

// last is the leg whose last row taken is the greatest: the current row.
func (c *Cursor) last() (best *leg, row *cursorRow) {
	for _, l := range c.legs {
		if r := l.row(l.taken); r != nil && l.taken > 0 && (row == nil || c.compare(r.keys, row.keys) >= 0) {
			best, row = l, r
		}
	}
	return best, row
}

func (c *Cursor) mergeForward(count int64, show bool) (n int64, err error) {
	s := &c.merge
	for n < count && !s.past {
		s.want = count - n
		if err := c.ensure(false); err != nil {
			return n, err
		}
		l, row := c.next()
		if l == nil {
			s.past = true
			break
		}
		l.taken++
		s.total++
		s.on = l
		n++
		if c.Ties && s.tie == nil && s.total == c.Offset+c.Limit {
			for _, k := range row.keys {
				s.tie = append(s.tie, sortValue{bytes.Clone(k.value)})
			}
		}
		if err := c.emitMerged(row, show); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *Cursor) mergeBackward(count int64, show bool) (n int64, err error) {
	s := &c.merge
	for n < count && s.total > 0 {
		s.want = count - n
		if !s.past {
			if err := c.ensure(true); err != nil {
				return n, err
			}
			l, _ := c.last()
			l.taken--
			s.total--
		}
		s.past = false
		if s.total == 0 {
			s.on = nil
			break
		}
		if err := c.ensure(true); err != nil {
			return n, err
		}
		l, row := c.last()
		s.on = l
		n++
		if err := c.emitMerged(row, show); err != nil {
			return n, err
		}
	}
	if s.total == 0 {
		s.past = false
	}
	return n, nil
}

func (c *Cursor) emitMerged(row *cursorRow, show bool) error {
	if !show {
		return nil
	}
	c.showHead()
	c.run.out.Out = appendVisible(c.run.out.Out, row.frame, c.columns, row.cut)
	return c.run.out.Spill()
}

// tied tells whether the next row equals the last one within LIMIT.
func (c *Cursor) tied() (bool, error) {
	if c.merge.tie == nil {
		return false, nil
	}
	c.merge.want = 1
	if err := c.ensure(false); err != nil {
		return false, err
	}
	_, row := c.next()
	return row != nil && c.compare(c.merge.tie, row.keys) == 0, nil
}

func (c *Cursor) restartMerge() {
	for _, l := range c.legs {
		l.taken = 0
	}
	c.merge.on, c.merge.total, c.merge.past = nil, 0, false
}

// Close composes the end of the server cursors that are left. It works in a failed transaction too.
func (c *Cursor) Close() error {
	c.Gang.Members() // suspended statements free their connections
	for _, l := range c.legs {
		m := c.Gang.Member(l.backend)
		if m == nil || m.Conn != l.conn || m.Broken() {
			continue
		}
		if _, err := m.ClosePortal(c.Name); err != nil {
			return err
		}
	}
	return nil
}
