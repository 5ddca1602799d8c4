package proxy

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// runCopyOut is COPY … TO STDOUT of rows that lie on several backends.
func (s *Session) runCopyOut(r *request) error {
	set, err := s.route(r)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	if !r.tmpl.Copy.Query {
		r.text, r.composed = []byte(copyTableText(r.tmpl.Copy)), true
	}
	f := r.tmpl.Copy.Format
	if b, one := set.single(); one && (!f.Binary || b == s.db.home) {
		return s.forward(r, b)
	}
	if r.tmpl.Copy.Query && r.tmpl.Scatter == nil && r.tmpl.Copy.Inner.Gather == nil {
		s.fail(refusal(r.tmpl))
		return nil
	}
	if r.tmpl.Copy.Whole {
		return s.runCopyQuery(r)
	}
	if e := s.freezeStatement("COPY"); e != nil {
		s.fail(e)
		return nil
	}
	merge := executor.CopyMerge{Header: f.Header, Binary: f.Binary}
	var members []*executor.Member
	for _, b := range set.list() {
		m, err := s.member(b)
		if err != nil {
			s.unjoin(members)
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(r.tmpl, m)
		members = append(members, m)
	}
	if f.Binary {
		if merge.Types, err = s.copiedTypes(r, members[0]); err != nil || s.batch.failed {
			return err
		}
	}
	for _, m := range members {
		s.compose(m, &request{text: r.text})
	}
	rows, failure, err := merge.Run(s.ctx, &s.gang, members, s.out)
	switch {
	case err != nil:
		return s.lost(err)
	case failure != nil && r.composed:
		s.failFrame(executor.WithoutPosition(failure))
		return nil
	case failure != nil:
		s.failFrame(failure)
		return nil
	case rows < 0:
		s.fail(pgerr.New(pgerr.InternalError, "COPY gave no row count"))
		return nil
	}
	s.tag("COPY " + strconv.FormatInt(rows, 10))
	return nil
}

// copiedTypes asks for the types of the columns that COPY (query) copies: its binary data holds oids and does not tell them.
func (s *Session) copiedTypes(r *request, m *executor.Member) ([]uint32, error) {
	text := string(r.text)
	from, to, ok := copyParentheses(text)
	if !ok {
		s.fail(pgerr.New(pgerr.InternalError, "COPY without a query"))
		return nil, nil
	}
	d, failure, err := m.DescribeText(text[from:to], nil)
	if failure != nil {
		before := utf8.RuneCount(r.before) + utf8.RuneCountInString(text[:from])
		failure = executor.MovePosition(failure, func(p int) int { return before + p })
	}
	if err != nil || failure != nil {
		return nil, s.answerFailure(failure, err)
	}
	return d.Types, nil
}

// copyTableText is COPY of a table as COPY of a query: PostgreSQL copies no partitioned table by its name.
func copyTableText(c *router.Copy) string {
	names := make([]string, len(c.Columns))
	for i, col := range c.Columns {
		names[i] = quoteIdent(c.Table.Columns[col].Name)
	}
	return "COPY (SELECT " + strings.Join(names, ", ") + " FROM " + quoteIdent(c.Table.Schema) + "." +
		quoteIdent(c.Table.Name) + ") " + c.Tail
}
