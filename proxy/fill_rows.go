package proxy

import (
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router"
)

// fillRequest is the INSERT of a query's rows into a table of home's. What the backends can answer in parts is read like any
// SELECT first, so that no more than its rows is brought together; all else is planned as the INSERT that it is. nil where the
// client has been told what is wrong.
func (s *Session) fillRequest(home *executor.Member, target, query string) (*request, error) {
	text := []byte("INSERT INTO " + target + " " + query)
	sel := s.planOwned([]byte(query)).tmpl
	p := s.planOwned(text)
	r := &request{text: text, tmpl: p.tmpl, lits: p.lits, kinds: p.kinds}
	if sel.Kind != router.KindShards || sel.Scatter == nil {
		return r, nil
	}
	d, failure, err := home.DescribeText(query, nil)
	if err != nil || failure != nil {
		return nil, s.collectFailed(failure, err)
	}
	if len(d.Types) == 0 {
		return r, nil
	}
	r.tmpl = &router.Template{
		Kind: router.KindInsertQuery, Command: "INSERT", Writes: true, Effect: max(sel.Effect, router.EffectUnclean),
		InsertQuery: &router.InsertQuery{
			Table: &router.Table{Kind: router.TableLocal}, Source: query, Columns: len(d.Types),
			Text: "INSERT INTO " + target + " SELECT * FROM " + router.SourceRows + " AS pleiad_rows",
		},
	}
	return r, nil
}
