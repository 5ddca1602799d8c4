package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/copystream"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// copying is a COPY FROM STDIN whose rows go to several backends.
type copying struct {
	s      *Session
	r      *request
	c      *router.Copy
	reader *copystream.Reader
	sinks  []*executor.CopySink // by backend; nil where the table has no shard
	keyAt  []int                // for each key column: its place among the wanted fields, or -1-k for Missing[k]
	vals   []shardmap.Value

	// batch holds rows that wait for values from home (Missing).
	batch  []pendingRow
	aux    *backend.Conn // computes defaults while home's own connection is in COPY
	asked  bool          // it has computed some
	kept   int           // how many rows at the end home's own connection computes the defaults of
	last   bool          // it has
	failed *executor.CopyFailure

	skipped int64  // rows that the backends left out
	skips   []byte // the notice of one that did
}

type pendingRow struct {
	row copystream.Row
	raw []byte
}

func (s *Session) runCopyIn(r *request) error {
	s.openImplicit()
	c := &copying{s: s, r: r, c: r.tmpl.Copy}
	if e := c.prepare(); e != nil {
		s.fail(e)
		return nil
	}
	defer c.dropAux()
	frame, err := c.start()
	if err != nil || frame == nil {
		return err
	}
	s.out.Out = append(s.out.Out, frame...)
	if err := s.out.Flush(); err != nil {
		return err
	}
	if err := c.stream(); err != nil {
		return err
	}
	if err := c.finish(); err != nil || !c.asked || c.last {
		return err
	}
	return s.lost(s.gang.AdvancedElsewhere())
}

// prepare makes the reader that finds rows and their keys.
func (c *copying) prepare() *pgerr.Error {
	t := c.c.Table
	spec := copystream.Spec{Table: t.Name, Format: c.c.Format, MaxRow: int(c.s.srv.config().Limits.MaxMessage),
		ServerMajor: c.s.serverMajor()}
	for _, col := range c.c.Columns {
		spec.Columns = append(spec.Columns, t.Columns[col].Name)
	}
	if c.keepsLast() {
		c.kept = 1
	}
	c.vals = make([]shardmap.Value, len(t.Key))
	c.keyAt = make([]int, len(t.Key))
	format := shardmap.Text
	if c.c.Format.Binary {
		format = shardmap.Binary
	}
	for k, col := range t.Key {
		c.keyAt[k] = -1 - len(c.c.Missing) // absent and without a default: NULL
		c.vals[k] = shardmap.Value{Format: format, Null: true}
		for i, m := range c.c.Missing {
			if m == col {
				c.keyAt[k] = -1 - i
			}
		}
		for i, given := range c.c.Columns {
			if given == col {
				c.keyAt[k] = len(spec.Want)
				spec.Want = append(spec.Want, i)
			}
		}
	}
	sortWanted(&spec, c.keyAt)
	var err error
	if c.reader, err = copystream.NewReader(spec); err != nil {
		return executor.ClientError(err)
	}
	return nil
}

// sortWanted puts Want in ascending order and keyAt with it.
func sortWanted(spec *copystream.Spec, keyAt []int) {
	w := spec.Want
	for i := 1; i < len(w); i++ {
		for j := i; j > 0 && w[j] < w[j-1]; j-- {
			w[j], w[j-1] = w[j-1], w[j]
			for k := range keyAt {
				switch keyAt[k] {
				case j:
					keyAt[k] = j - 1
				case j - 1:
					keyAt[k] = j
				}
			}
		}
	}
}

// start sends COPY to every backend that may get rows. It returns the CopyInResponse for the client, nil when a
// backend refused.
func (c *copying) start() (frame []byte, err error) {
	s := c.s
	text := c.text()
	c.sinks = make([]*executor.CopySink, len(s.db.targets))
	var started []*executor.CopySink
	if err := s.enterOwners(c.c.Table); err != nil {
		s.fail(executor.ClientError(err))
		return nil, nil
	}
	list := c.backends()
	for _, b := range list {
		m, err := s.member(b)
		if err != nil {
			s.unjoin(membersOf(started))
			s.fail(executor.ClientError(err))
			return nil, nil
		}
		s.effect(r0(c.r), m)
		sink := executor.NewCopySink(m, text)
		sink.Values = c.translation(m)
		if c.c.Table.Kind != router.TableReference || b == s.db.home {
			sink.Notice = c.heard
		}
		c.sinks[b] = sink
		started = append(started, sink)
	}
	for _, sink := range started {
		f, refused, err := sink.Begin()
		switch {
		case err != nil:
			if e := s.lost(err); e != nil {
				return nil, e
			}
		case refused != nil && !s.batch.failed:
			s.failFrame(refused)
		case f != nil && (frame == nil || sink.Member.Backend == s.db.home):
			frame = f
		}
	}
	if s.batch.failed {
		for _, sink := range started {
			sink.Abort("COPY failed on another backend")
		}
		return nil, nil
	}
	if n := len(c.c.Missing); n > 0 {
		frame = fewerColumns(frame, n)
	}
	return frame, nil
}

// text is the COPY that the backends get.
func (c *copying) text() string {
	if len(c.c.Missing) > 0 {
		return c.c.Head + " (" + c.columnList() + ") " + c.c.Tail
	}
	return string(c.r.text)
}

func r0(r *request) *router.Template {
	t := *r.tmpl
	t.Writes = false // a backend that gets no row has written nothing
	return &t
}

func membersOf(sinks []*executor.CopySink) (out []*executor.Member) {
	for _, s := range sinks {
		out = append(out, s.Member)
	}
	return out
}

// backends are those that have shards of the table, or all of them for a reference table.
func (c *copying) backends() []int {
	set := backends{}
	if c.c.Table.Kind == router.TableReference {
		for _, b := range c.s.allBackends() {
			set.add(b)
		}
		return set.list()
	}
	owners, _ := c.s.planner.env.Schema.Map.Owners(shardmap.GroupID(c.c.Table.Group))
	for _, b := range owners {
		set.add(int(b))
	}
	return set.list()
}

func (c *copying) columnList() string {
	var names []string
	for _, list := range [][]int{c.c.Columns, c.c.Missing} {
		for _, col := range list {
			names = append(names, quoteIdent(c.c.Table.Columns[col].Name))
		}
	}
	return strings.Join(names, ", ")
}

// fewerColumns is a CopyInResponse without its last n columns.
func fewerColumns(frame []byte, n int) []byte {
	b := wire.BodyOf(frame)
	format := b.Byte()
	total := b.Uint16() - n
	out, at := wire.Begin(nil, 'G')
	out = append(out, format)
	out = binary.BigEndian.AppendUint16(out, uint16(max(total, 0)))
	for range total {
		out = binary.BigEndian.AppendUint16(out, uint16(b.Int16()))
	}
	return wire.End(out, at)
}

// stream takes the client's data until CopyDone or CopyFail. Errors of the data are kept in failed: the client's
// messages are read to the end all the same.
func (c *copying) stream() error {
	s := c.s
	for {
		typ, size, err := s.in.Peek()
		if err != nil {
			return err
		}
		if typ == 'd' && c.failed != nil {
			if err := s.in.Discard(size); err != nil {
				return err
			}
			continue
		}
		switch typ {
		case 'd':
			_, frame, err := s.in.Next()
			if err != nil {
				return err
			}
			c.reader.Feed(frame[wire.HeaderLen:])
			c.take(s.in.Buffered() == 0)
		case 'c':
			if err := s.in.Discard(size); err != nil {
				return err
			}
			c.reader.Finish()
			c.take(true)
			return nil
		case 'f':
			_, frame, err := s.in.Next()
			if err != nil {
				return err
			}
			b := wire.BodyOf(frame)
			c.fail(pgerr.New(pgerr.QueryCanceled, "COPY from stdin failed: %s", b.Text()).
				WithContext("COPY %s, line %d", c.c.Table.Name, c.reader.Reading()))
			return nil
		case 'H', 'S':
			if err := s.in.Discard(size); err != nil {
				return err
			}
		case 'X':
			return errTerminated
		default:
			for _, sink := range c.sinks {
				if sink != nil {
					sink.Abort("COPY failed")
				}
			}
			return s.copyViolation(typ)
		}
	}
}

// failRow notes a server's error about a row. It counts more than what else is wrong, which is with a later row or the client's
// CopyFail; of several the one that PostgreSQL comes to first.
func (c *copying) failRow(f *executor.CopyFailure) {
	if c.failed == nil || c.failed.Frame == nil || f.Row() < c.failed.Row() {
		c.failed = f
	}
}

func (c *copying) fail(e *pgerr.Error) {
	if c.failed == nil {
		c.failed = &executor.CopyFailure{Err: e}
	}
}

// take passes on the rows that are complete. flush says that no more data is at hand.
func (c *copying) take(flush bool) {
	for c.failed == nil {
		row, ok, err := c.reader.Next()
		if err != nil {
			c.failData(err)
			return
		}
		if !ok {
			break
		}
		if row.Short {
			c.deliver(c.any(), row, nil) // and its server says what is missing, or wrong ahead of that
			continue
		}
		if len(c.c.Missing) > 0 {
			c.hold(row)
			continue
		}
		c.send(row, nil)
	}
	if n := len(c.batch) - c.kept; c.failed == nil && n > 0 && (flush || n >= copyBatch) {
		c.sendHeld(n)
	}
}

// copyBatch is how many rows wait for values from home at the most.
const copyBatch = 1000

func (c *copying) failData(err error) {
	var bad *copystream.Error
	if errors.As(err, &bad) {
		e := *bad.Err
		e.Context = bad.Context
		c.fail(&e)
		return
	}
	c.fail(executor.ClientError(err))
}

// send passes one row on to the backends that get it.
func (c *copying) send(row copystream.Row, extra []copystream.Field) {
	if c.c.Table.Kind == router.TableReference {
		for _, sink := range c.sinks {
			if sink != nil {
				c.deliver(sink, row, extra)
			}
		}
		return
	}
	b, e := c.owner(row, extra)
	if e != nil {
		c.fail(e)
		return
	}
	c.deliver(c.sinks[b], row, extra)
}

// any is the sink of some backend: what every backend would say of a row.
func (c *copying) any() *executor.CopySink {
	return c.sinks[slices.IndexFunc(c.sinks, func(sink *executor.CopySink) bool { return sink != nil })]
}

func (c *copying) deliver(sink *executor.CopySink, row copystream.Row, extra []copystream.Field) {
	if c.open(sink); c.failed != nil {
		return
	}
	sink.Member.Wrote = true
	c.s.noteUse(sink.Member)
	var err error
	if len(extra) > 0 {
		err = sink.Row(row.Line, func(dst []byte) ([]byte, error) { return c.reader.AppendRow(dst, row, extra) })
	} else {
		err = sink.Row(row.Line, func(dst []byte) ([]byte, error) {
			dst = append(dst, row.Raw...)
			if n := len(row.Raw); !c.c.Format.Binary && (n == 0 || row.Raw[n-1] != '\n' && row.Raw[n-1] != '\r') {
				dst = append(dst[:len(dst)-(n-row.Body)], c.reader.LineEnd()...)
			}
			return dst, nil
		})
	}
	if err != nil && c.failed == nil {
		var f *executor.CopyFailure
		if errors.As(err, &f) {
			c.failRow(f)
			return
		}
		c.failData(err)
	}
}

// open sends what stands ahead of the rows, once.
func (c *copying) open(sink *executor.CopySink) {
	if sink.Opened {
		return
	}
	sink.Opened = true
	head, err := c.reader.AppendHeader(nil, c.missingNames())
	if err != nil {
		c.failData(err)
		return
	}
	sink.Raw(head)
	if c.c.Format.Header {
		sink.Line++
	}
}

func (c *copying) missingNames() (names []string) {
	for _, col := range c.c.Missing {
		names = append(names, c.c.Table.Columns[col].Name)
	}
	return names
}

// owner is the backend of a row.
func (c *copying) owner(row copystream.Row, extra []copystream.Field) (int, *pgerr.Error) {
	t := c.c.Table
	sure := true
	for k, at := range c.keyAt {
		var f copystream.Field
		switch {
		case at >= 0:
			f = row.Fields[at]
		case -1-at < len(extra):
			f = extra[-1-at]
		default:
			f = copystream.Field{Null: true}
		}
		c.vals[k].Data, c.vals[k].Null = f.Value, f.Null
		sure = sure && !f.Default && (f.Null || shardmap.StoresUnchanged(t.KeyCols[k], t.Columns[t.Key[k]].Typmod, &c.vals[k]))
	}
	shard, err := shardmap.ShardOf(t.KeyCols, c.vals, t.Modulus)
	if !sure && err == nil {
		err = shardmap.ErrNotProvable
	}
	var bad *shardmap.InvalidTextError
	var badBinary *shardmap.InvalidBinaryError
	switch {
	case errors.As(err, &bad), errors.As(err, &badBinary):
		shard = 0 // any backend says what is wrong with the value
	case errors.Is(err, shardmap.ErrNotProvable):
		var e *pgerr.Error
		if shard, e = c.askShard(); e != nil {
			return 0, e
		}
	case err != nil:
		return 0, executor.ClientError(err)
	}
	b, ok := c.s.planner.env.Schema.Map.Owner(shardmap.GroupID(t.Group), shard)
	if !ok || c.sinks[b] == nil {
		return 0, pgerr.New(pgerr.InternalError, "shard %d of table %q has no backend", shard, t.Name)
	}
	return int(b), nil
}

// askShard has home read the key's values as they would be stored, and places those.
func (c *copying) askShard() (uint32, *pgerr.Error) {
	t := c.c.Table
	if c.c.Format.Binary {
		return 0, pgerr.New(pgerr.FeatureNotSupported, "the partition key of a binary COPY row cannot be placed").
			WithHint("Copy in text format.")
	}
	if _, e := c.connect(); e != nil {
		return 0, e
	}
	var list []string
	for k, col := range t.Key {
		v := "NULL"
		if !c.vals[k].Null {
			v = quoteLiteral(string(c.vals[k].Data))
		}
		list = append(list, v+"::"+t.Columns[col].TypeName)
	}
	m := &executor.Member{Conn: c.aux}
	rows, errFrame, err := m.AskFormat("SELECT "+strings.Join(list, ", "), true)
	switch {
	case err != nil:
		return 0, executor.ClientError(err)
	case errFrame != nil && c.c.Format.OnErrorIgnore && strings.HasPrefix(wire.ErrorField(errFrame, 'C'), "22"):
		return 0, nil // any backend skips the row
	case errFrame != nil:
		return 0, executor.FrameToError(errFrame)
	}
	vals := make([]shardmap.Value, len(t.Key))
	for k, v := range rows[0] {
		vals[k] = shardmap.Value{Data: v, Null: v == nil, Format: shardmap.Binary}
	}
	shard, err := shardmap.ShardOf(t.KeyCols, vals, t.Modulus)
	if err != nil {
		return 0, executor.ClientError(err)
	}
	return shard, nil
}

// heard passes a server's notice on. How many rows were skipped is said once, of all.
func (c *copying) heard(notice []byte) {
	if n, ok := executor.SkippedRows(notice); ok && c.c.Format.OnErrorIgnore {
		if c.skipped += n; c.skips == nil {
			c.skips = bytes.Clone(notice)
		}
		return
	}
	c.s.out.Out = append(c.s.out.Out, notice...)
	_ = c.s.out.Spill() // its error comes again
}

// finish ends the COPY on every backend and answers the client.
func (c *copying) finish() error {
	s := c.s
	var total int64
	if c.failed == nil && len(c.batch) > 0 {
		var err error
		if total, err = c.sendLast(); err != nil {
			return err
		}
	}
	for _, sink := range c.sinks {
		if c.failed == nil && sink != nil {
			c.open(sink)
			sink.Raw(c.reader.Epilogue())
		}
	}
	for b, sink := range c.sinks {
		if sink == nil {
			continue
		}
		if c.failed != nil {
			if f := sink.Abort("COPY failed"); f != nil {
				c.failRow(&executor.CopyFailure{Frame: f})
			}
			continue
		}
		n, err := sink.End()
		if err == nil && (c.c.Table.Kind != router.TableReference || b == s.db.home) {
			total += n
		}
		if err != nil {
			c.failEnd(err)
		}
	}
	if c.failed == nil && c.skipped > 0 {
		s.out.Out = append(s.out.Out, executor.SumOfSkipped(c.skips, c.skipped)...)
	}
	if c.failed != nil {
		if c.failed.Frame != nil {
			s.failFrame(c.failed.Frame)
		} else {
			s.fail(c.failed.Err)
		}
		if m := c.any().Member; !m.Broken() {
			s.tell(m) // an error takes back what was SET LOCAL, or in the transaction
		}
		return nil
	}
	s.tag("COPY " + strconv.FormatInt(total, 10))
	return nil
}
