package proxy

import (
	"strconv"
	"strings"

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
		r.text = []byte(copyTableText(r.tmpl.Copy))
	}
	if b, one := set.single(); one {
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
	f := r.tmpl.Copy.Format
	merge := executor.CopyMerge{Header: f.Header, Binary: f.Binary}
	var members []*executor.Member
	for _, b := range set.list() {
		m, err := s.gang.Join(s.ctx, b)
		if err != nil {
			s.unjoin(members)
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(r.tmpl, m)
		s.compose(m, &request{text: r.text})
		members = append(members, m)
	}
	rows, failure, err := merge.Run(s.ctx, &s.gang, members, s.out)
	switch {
	case err != nil:
		return s.lost(err)
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

// copyTableText is COPY of a table as COPY of a query: PostgreSQL copies no partitioned table by its name.
func copyTableText(c *router.Copy) string {
	names := make([]string, len(c.Columns))
	for i, col := range c.Columns {
		names[i] = quoteIdent(c.Table.Columns[col].Name)
	}
	return "COPY (SELECT " + strings.Join(names, ", ") + " FROM " + quoteIdent(c.Table.Schema) + "." +
		quoteIdent(c.Table.Name) + ") " + c.Tail
}
