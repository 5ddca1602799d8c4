package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// pg_rewrite.ev_type of writes.
const (
	ruleUpdate = "2"
	ruleInsert = "3"
	ruleDelete = "4"
)

// doesNothing plans a write that rules replace by nothing. PostgreSQL drops the whole statement when it rewrites it, its
// subqueries and defaults with it, and says INSERT 0 0; home, which has the rule too, says that as well as any error.
func (p *planner) doesNothing(rv *sqlparse.RangeVar, with *sqlparse.WithClause, event string) bool {
	t, _ := p.env.resolve(rv)
	if t == nil || !t.HasRules || with != nil || p.from > 0 || t.Kind != TableSharded && t.Kind != TableView || !strings.Contains(t.Nothing, event) {
		return false
	}
	p.t.Kind, p.t.Cacheable = KindHome, true
	return true
}
