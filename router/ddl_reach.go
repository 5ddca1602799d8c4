package router

import (
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// evaluating are the kinds of statement that evaluate expressions, or put them where later statements do. Views and
// functions are not: their calls are judged where they are used.
var evaluating = map[string]bool{
	"create_stmt": true, "alter_table_stmt": true, "index_stmt": true, "create_domain_stmt": true, "alter_domain_stmt": true,
	"create_policy_stmt": true, "alter_policy_stmt": true, "create_trig_stmt": true, "create_stats_stmt": true,
	"create_foreign_table_stmt": true,
}

// evaluates says why a statement's expressions cannot be evaluated on one backend, or on each: nil if they can. What its
// table evaluates already counts where the statement may rewrite the table.
func (d *ddl) evaluates(kind string) *pgerr.Error {
	if !evaluating[kind] {
		return nil
	}
	var facts fnFacts
	sqlparse.Walk(d.stmt, func(n sqlparse.Node) bool {
		facts |= d.env.called(n)
		return true
	})
	if s := d.stmt.GetCreateTrigStmt(); s != nil {
		schema, name := listName(s.Funcname)
		facts |= d.env.functionFacts(schema, name)
		if t, _ := d.resolve(s.Relation); t != nil && (t.Kind == TableSharded || t.Kind == TableReference) && facts&(fnTables|fnNextval) != 0 && facts&fnSharded == 0 {
			return refTrigger
		}
		if facts&fnSharded != 0 {
			return refTriggerAny
		}
		if t, _ := d.resolve(s.Relation); t != nil && firedElsewhere(t, s.Row, facts) {
			return refTriggerName
		}
	}
	if kind == "create_policy_stmt" || kind == "alter_policy_stmt" {
		if e := d.policyReads(); e != nil {
			return e
		}
	}
	if s := d.stmt.GetAlterTableStmt(); s != nil {
		if t, _ := d.resolve(s.Relation); t != nil && t.WriteReach&ReachSharded != 0 && rewrites(s) {
			return refReach
		}
	}
	if facts&(fnSharded|fnDynamic) != 0 {
		return refReach
	}
	return nil
}

// policyReads refuses a policy over tables that its own table's backends do not all have whole.
func (d *ddl) policyReads() *pgerr.Error {
	own := d.stmt.GetCreatePolicyStmt().GetTable()
	exprs := []sqlparse.Node{d.stmt.GetCreatePolicyStmt().GetQual(), d.stmt.GetCreatePolicyStmt().GetWithCheck()}
	if s := d.stmt.GetAlterPolicyStmt(); s != nil {
		own, exprs = s.Table, []sqlparse.Node{s.Qual, s.WithCheck}
	}
	t, _ := d.resolve(own)
	for _, n := range exprs {
		if r := d.queryReads(n); r.sharded || t != nil && t.Everywhere && (r.somewhere || r.temp) {
			return refRLS
		}
	}
	return nil
}

// rewrites reports whether ALTER TABLE may evaluate expressions over the rows there are.
func rewrites(s *sqlparse.AlterTableStmt) bool {
	for _, n := range s.Cmds {
		switch n.GetAlterTableCmd().GetSubtype() {
		case sqlparse.AlterAddColumn, sqlparse.AlterColumnType, sqlparse.AlterAddConstraint, sqlparse.AlterValidate, sqlparse.AlterAttachPartition:
			return true
		}
	}
	return false
}
