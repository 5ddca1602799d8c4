package router

import (
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Refresh is how a materialized view over sharded tables is filled: its rows are gathered in a temporary table on home, and
// PostgreSQL's own REFRESH takes them from there (catalog/sql/refresh.sql).
type Refresh struct {
	Schema, Name string
	Concurrently bool
	// Create is true for the second half of CREATE MATERIALIZED VIEW.
	Create bool
}

// RefreshRows is the table that the rows are gathered in.
const RefreshRows = `pg_temp."pleiad refresh"`

// Literal is the view's name as a constant.
func (r *Refresh) Literal() string { return quoteLiteral(r.Relation()) }

// Relation is the view's name.
func (r *Refresh) Relation() string { return quoteName(r.Schema, r.Name) }

// StaleError is of a schema that changed where that could not be kept up with.
var StaleError = pgerr.New(pgerr.SerializationFailure, "the schema changed while the statement was planned")

// refresh plans REFRESH MATERIALIZED VIEW: it changes rows on home only.
func (d *ddl) refresh() *Template {
	d.tag = "REFRESH MATERIALIZED VIEW"
	s := d.stmt.GetRefreshMatViewStmt()
	t, temp := d.resolve(s.Relation)
	if temp || s.SkipData {
		return d.plainHome(EffectUnclean)
	}
	// What the view reads is a matter of the schema, whether there is one too.
	plan := &DDL{Steps: []Step{lockStep("share_ddl(" + quoteLiteral(d.tag) + ")")}, InTxn: true}
	switch {
	case t == nil || t.Relkind != 'm' || t.RefreshReach&ReachSharded == 0:
		plan.Steps = append(plan.Steps, d.answer(WhereHome))
		return d.template(plan)
	case t.WriteReach&ReachSharded != 0:
		return d.refuse(refReach) // in an index, which REFRESH builds anew on home
	}
	refresh := &Refresh{Schema: t.Schema, Name: t.Name, Concurrently: s.Concurrent}
	if e := refresh.Refusal(d.env.Schema); e != nil {
		return d.refuse(e)
	}
	plan.Fill = &Fill{Refresh: refresh}
	return d.template(plan)
}

// Refusal is why the view cannot be filled, nil where nothing is wrong: PostgreSQL runs its query as the view's owner and lets
// it change nothing of the session, its role in the first place.
func (r *Refresh) Refusal(s *Schema) *pgerr.Error {
	switch t := s.Resolve(r.Schema, r.Name, nil); {
	case t == nil || t.Relkind != 'm':
		return StaleError
	case t.RefreshReach&(ReachState|ReachRole) != 0:
		return refMatviewState
	}
	return nil
}

// matviewFill plans CREATE MATERIALIZED VIEW over sharded tables: home makes the view without rows.
func (d *ddl) matviewFill(s *sqlparse.CreateTableAsStmt) *Template {
	rel := s.Into.Rel
	schema := d.creationSchema(rel.Schemaname)
	if schema == "" {
		return d.nothing() // PostgreSQL's error
	}
	if tempSchema(schema) {
		return d.refuse(refTempEverywhere)
	}
	toks := d.beforeWithData()
	t := d.change(Step{Where: WhereHome, SQL: d.text[:toks[len(toks)-1].End] + "\nWITH NO DATA"})
	t.DDL.Fill = &Fill{Refresh: &Refresh{Schema: schema, Name: rel.Relname, Create: true}}
	return t
}

// hasParameter tells whether $1 or the like stands in a query.
func hasParameter(query sqlparse.Node) bool {
	found := false
	sqlparse.Walk(query, func(n sqlparse.Node) bool {
		found = found || n.GetParamRef() != nil
		return !found
	})
	return found
}
