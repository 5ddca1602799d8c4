package proxy

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/copystream"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// copyQuery is COPY (query) TO STDOUT of a query whose rows pass through the proxy: it runs by whatever plan it has,
// and its rows are encoded here.
type copyQuery struct {
	s      *Session
	client *wire.Writer
	enc    copystream.Encoder
	begin  []byte   // CopyOutResponse
	data   [][]byte // what PostgreSQL writes where there are no rows: the header, and a binary stream's trailer
	begun  bool
	rows   int64
	row    []byte
}

// copyHeader is the length of a binary stream's header (copyto.c), and copyTrailer its end.
const copyHeader = 19

var copyTrailer = []byte{0xff, 0xff}

// runCopyQuery is COPY of a query over several backends that has an order, a limit or parts to put together.
func (s *Session) runCopyQuery(r *request) error {
	from, to, ok := copyParentheses(string(r.text))
	if !ok {
		s.fail(refusal(r.tmpl))
		return nil
	}
	c := &copyQuery{s: s, client: s.out, enc: copystream.Encoder{Format: r.tmpl.Copy.Format}}
	if err := c.check(r, from, to); err != nil || s.batch.failed {
		return err
	}
	if c.enc.Format.UnknownOptions {
		s.fail(refusal(r.tmpl))
		return nil
	}
	before := append(slices.Clone(r.before), r.text[:from]...)
	inner := r.text[from:to]
	plan := s.planText(inner)
	q := request{text: inner, before: before, tmpl: plan.tmpl, kinds: plan.kinds, describe: true}
	if c.enc.Format.Binary {
		q.bind, q.formats, q.describe = noParameterValues, []int16{1}, false
	}
	if q.tmpl.Kind != router.KindShards || q.tmpl.Writes && q.tmpl.Command != "SELECT" {
		s.fail(refusal(r.tmpl))
		return nil
	}
	return s.tapped(func() error { return s.run(&q) }, c.frame)
}

// noParameterValues is Bind's body up to the last value, where there is none.
var noParameterValues = []byte{0, 0, 0, 0}

// copyParentheses finds what stands in the parentheses behind COPY.
func copyParentheses(text string) (from, to int, ok bool) {
	toks := sqlparse.Tokens(text)
	if len(toks) < 3 || toks[1].Punct != '(' {
		return 0, 0, false
	}
	for _, t := range toks[2:] {
		if t.Punct == ')' && t.Depth == toks[1].Depth {
			return toks[1].End, t.Start, true
		}
	}
	return 0, 0, false
}

// check lets PostgreSQL judge the statement, options included, by running it without a row, and keeps how it begins.
func (c *copyQuery) check(r *request, from, to int) error {
	s := c.s
	own := string(r.text)
	const head, tail = "SELECT * FROM (", "\n) AS pleiad_copy WHERE false"
	text := own[:from] + head + own[from:to] + tail + own[to:]
	m, err := s.gang.Join(s.ctx, s.knowing(r.tmpl.Copy.Inner))
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	s.effect(r.tmpl, m)
	m.Query([]byte(text))
	before := len([]rune(string(r.before)))
	client := string(r.client())
	m.Position = func(p int) int {
		if p > utf8.RuneCountInString(own[:from]) {
			p -= len(head)
		}
		if p > utf8.RuneCountInString(own[:to]) {
			p -= len(tail)
		}
		if client != own { // the time is written into it
			p = mapPosition(client, own, p)
		}
		return before + p
	}
	err = s.tapped(func() error { return s.relay(m) }, func(typ byte, frame []byte) error {
		switch typ {
		case 'H':
			c.begin = slices.Clone(frame)
		case 'd':
			c.data = append(c.data, slices.Clone(frame[wire.HeaderLen:]))
		case 'E', 'N', 'S':
			_, err := c.client.Write(frame)
			return err
		}
		return nil
	})
	m.Position = nil
	if err == nil && !s.batch.failed && c.begin == nil {
		s.fail(pgerr.New(pgerr.InternalError, "COPY did not begin"))
	}
	return err
}

// frame turns a frame of the query's answer into COPY's.
func (c *copyQuery) frame(typ byte, frame []byte) error {
	switch typ {
	case 'T':
		c.force(frame)
		return nil
	case 'D':
		return c.rowFrame(frame)
	case 'C':
		c.start()
		if c.enc.Format.Binary {
			c.row = append(c.row, copyTrailer...)
			c.send()
		}
		c.client.Out = wire.Empty(c.client.Out, 'c')
		c.client.Out = wire.CommandComplete(c.client.Out, "COPY "+strconv.FormatInt(c.rows, 10))
		return c.client.Spill()
	case 'E':
		// What fails in PostgreSQL fails once COPY has begun; what pleiad refuses never begins.
		if wire.ErrorField(frame, 'C') != pgerr.FeatureNotSupported {
			c.start()
		}
	}
	_, err := c.client.Write(frame)
	return err
}

// start sends what comes ahead of the rows.
func (c *copyQuery) start() {
	if c.begun {
		return
	}
	c.begun = true
	c.client.Out = append(c.client.Out, c.begin...)
	for _, d := range c.data {
		if c.enc.Format.Binary { // the header goes with the first row, as copyto.c has it
			c.row = append(c.row, d[:min(len(d), copyHeader)]...)
			return
		}
		c.client.Out = wire.CopyData(c.client.Out, d)
	}
}

func (c *copyQuery) rowFrame(frame []byte) (err error) {
	c.start()
	if c.row, err = c.enc.AppendRow(c.row, frame[wire.HeaderLen:]); err != nil {
		return err
	}
	c.rows++
	c.send()
	return c.client.Spill()
}

func (c *copyQuery) send() {
	c.client.Out = wire.CopyData(c.client.Out, c.row)
	c.row = c.row[:0]
}

// force finds the columns of FORCE_QUOTE.
func (c *copyQuery) force(frame []byte) {
	f := &c.enc.Format
	if !f.ForceQuoteAll && len(f.ForceQuote) == 0 {
		return
	}
	seen := map[string]bool{}
	d := wire.BodyOf(frame)
	for range d.Uint16() {
		name := string(d.Text())
		d.Bytes(18)
		// Of columns with one name, the first is meant (CopyGetAttnums).
		c.enc.Force = append(c.enc.Force, f.ForceQuoteAll || slices.Contains(f.ForceQuote, name) && !seen[name])
		seen[name] = true
	}
}
