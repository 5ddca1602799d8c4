package router

import (
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// ddl plans one schema statement. Its text is what runs wherever it can; what a backend must not get, because the
// object exists on home only, is left out or guarded there.
type ddl struct {
	env  *Env
	text string
	stmt sqlparse.Node
	tag  string
	only []Splice // ONLY before the names of sharded tables, to be taken out
	// numbers are for columns that are added with a sequence's values.
	numbers []Numbering
	// clocks are where the defaults of columns that are added read the time; defaults sets these anew at the end.
	clocks, defaults []ClockSplice
}

// planDDL plans stmt if it is a statement about schema, roles, databases or the upkeep of tables; nil if it is any
// other. text is the statement's own text, which stmt's locations refer to.
func planDDL(stmt sqlparse.Node, text string, env Env) *Template {
	kind := sqlparse.Kind(stmt)
	d := &ddl{env: &env, text: text, stmt: stmt}
	if t := d.temporary(); t != nil {
		return t
	}
	if e := d.evaluates(kind); e != nil {
		return d.refuse(e)
	}
	if tag, ok := ddlEverywhere[kind]; ok {
		d.tag = tag
		return d.everywhere()
	}
	if tag, ok := ddlHome[kind]; ok {
		d.tag = tag
		return d.home()
	}
	if plan, ok := ddlPlanners[kind]; ok {
		return plan(d)
	}
	if r, ok := ddlRefused[kind]; ok {
		return d.refuse(r)
	}
	return nil
}

// ddlEverywhere are statements about objects that every backend has.
var ddlEverywhere = map[string]string{
	"create_extension_stmt":         "CREATE EXTENSION",
	"alter_extension_stmt":          "ALTER EXTENSION",
	"alter_extension_contents_stmt": "ALTER EXTENSION",
	"alter_collation_stmt":          "ALTER COLLATION",
	"create_plang_stmt":             "CREATE LANGUAGE",
	"create_domain_stmt":            "CREATE DOMAIN",
	"alter_domain_stmt":             "ALTER DOMAIN",
	"create_op_class_stmt":          "CREATE OPERATOR CLASS",
	"create_op_family_stmt":         "CREATE OPERATOR FAMILY",
	"alter_op_family_stmt":          "ALTER OPERATOR FAMILY",
	"alter_operator_stmt":           "ALTER OPERATOR",
	"create_enum_stmt":              "CREATE TYPE",
	"create_range_stmt":             "CREATE TYPE",
	"alter_enum_stmt":               "ALTER TYPE",
	"alter_type_stmt":               "ALTER TYPE",
	"create_conversion_stmt":        "CREATE CONVERSION",
	"create_cast_stmt":              "CREATE CAST",
	"create_transform_stmt":         "CREATE TRANSFORM",
	"create_am_stmt":                "CREATE ACCESS METHOD",
	"alter_tsdictionary_stmt":       "ALTER TEXT SEARCH DICTIONARY",
	"alter_tsconfiguration_stmt":    "ALTER TEXT SEARCH CONFIGURATION",
	"alter_default_privileges_stmt": "ALTER DEFAULT PRIVILEGES",
	"grant_role_stmt":               "GRANT ROLE",
	"drop_role_stmt":                "DROP ROLE",
	"alter_role_set_stmt":           "ALTER ROLE",
	"alter_database_set_stmt":       "ALTER DATABASE",
	"drop_owned_stmt":               "DROP OWNED",
}

// ddlHome are statements about objects of home alone: foreign tables are local tables.
var ddlHome = map[string]string{
	"create_fdw_stmt":            "CREATE FOREIGN DATA WRAPPER",
	"alter_fdw_stmt":             "ALTER FOREIGN DATA WRAPPER",
	"create_foreign_server_stmt": "CREATE SERVER",
	"alter_foreign_server_stmt":  "ALTER SERVER",
	"create_user_mapping_stmt":   "CREATE USER MAPPING",
	"alter_user_mapping_stmt":    "ALTER USER MAPPING",
	"drop_user_mapping_stmt":     "DROP USER MAPPING",
	"import_foreign_schema_stmt": "IMPORT FOREIGN SCHEMA",
}

// ddlRefused are statements that no backend may run by itself.
var ddlRefused = map[string]*pgerr.Error{
	"create_table_space_stmt":        refTablespace,
	"drop_table_space_stmt":          refTablespace,
	"alter_table_space_options_stmt": refTablespace,
	"alter_table_move_all_stmt":      refTablespace,
	"create_event_trig_stmt":         refEventTrigger,
	"alter_event_trig_stmt":          refEventTrigger,
	"create_subscription_stmt":       refSubscription,
	"alter_subscription_stmt":        refSubscription,
	"drop_subscription_stmt":         refSubscription,
	"alter_database_refresh_coll_stmt": refusal("ALTER DATABASE … REFRESH COLLATION VERSION is not supported",
		"Run it on each server after checking its indexes there."),
}

// ddlPlanners decide by what the statement is about. It is filled by init because the functions plan
// statements inside statements.
var ddlPlanners map[string]func(*ddl) *Template

func init() {
	ddlPlanners = map[string]func(*ddl) *Template{
		"create_stmt":               (*ddl).createTable,
		"create_foreign_table_stmt": (*ddl).createForeignTable,
		"create_table_as_stmt":      (*ddl).createTableAs,
		"select_stmt":               (*ddl).selectInto,
		"view_stmt":                 (*ddl).createView,
		"refresh_mat_view_stmt":     (*ddl).refresh,
		"alter_table_stmt":          (*ddl).alterTable,
		"index_stmt":                (*ddl).createIndex,
		"drop_stmt":                 (*ddl).drop,
		"rename_stmt":               (*ddl).rename,
		"alter_object_schema_stmt":  (*ddl).setSchema,
		"alter_owner_stmt":          (*ddl).setOwner,
		"alter_object_depends_stmt": (*ddl).dependsOn,
		"comment_stmt":              (*ddl).comment,
		"sec_label_stmt":            (*ddl).securityLabel,
		"grant_stmt":                (*ddl).grant,
		"create_function_stmt":      (*ddl).createFunction,
		"alter_function_stmt":       (*ddl).alterFunction,
		"composite_type_stmt":       (*ddl).createComposite,
		"define_stmt":               (*ddl).define,
		"create_seq_stmt":           (*ddl).createSequence,
		"alter_seq_stmt":            (*ddl).alterSequence,
		"create_trig_stmt":          (*ddl).createTrigger,
		"rule_stmt":                 (*ddl).createRule,
		"create_policy_stmt":        (*ddl).createPolicy,
		"alter_policy_stmt":         (*ddl).alterPolicy,
		"create_stats_stmt":         (*ddl).createStatistics,
		"alter_stats_stmt":          (*ddl).alterStatistics,
		"create_schema_stmt":        (*ddl).createSchema,
		"create_publication_stmt":   (*ddl).createPublication,
		"alter_publication_stmt":    (*ddl).alterPublication,
		"reassign_owned_stmt":       (*ddl).reassignOwned,
		"create_role_stmt":          (*ddl).createRole,
		"alter_role_stmt":           (*ddl).alterRole,
		"createdb_stmt":             (*ddl).createDatabase,
		"dropdb_stmt":               (*ddl).dropDatabase,
		"alter_database_stmt":       (*ddl).alterDatabase,
		"truncate_stmt":             (*ddl).truncate,
		"lock_stmt":                 (*ddl).lockTable,
		"vacuum_stmt":               (*ddl).vacuum,
		"cluster_stmt":              (*ddl).cluster,
		"reindex_stmt":              (*ddl).reindex,
	}
}

// The steps of schema changes that are alike for all of them.
var (
	moveEpoch  = ownStep(WhereHome, "begin_ddl()")
	syncShards = ownStep(WhereAll, "sync_shards()")
)

// ownStep calls a function of schema pleiad.
func ownStep(where Where, call string) Step { return Step{Where: where, SQL: ownCall(call), Own: true} }

func ownCall(call string) string { return "SELECT pleiad." + call }

// lockStep is the first step of a schema change: one of the functions that take the DDL lock.
func lockStep(call string) Step {
	s := ownStep(WhereHome, call)
	s.Lock = true
	return s
}

// template is the plan of a statement that runs as these steps.
func (d *ddl) template(p *DDL) *Template {
	return &Template{Kind: KindDDL, Command: d.tag, Writes: true, Effect: EffectUnclean, DDL: p}
}

// change is a schema change: the DDL lock, then the steps, in one distributed transaction.
func (d *ddl) change(steps ...Step) *Template {
	lock := lockStep("begin_ddl(" + quoteLiteral(d.tag) + ")")
	return d.template(&DDL{Steps: append([]Step{lock}, steps...), InTxn: true, ChangesSchema: true, Numbers: d.numbers})
}

// answer is the step that the client sees: the statement itself.
func (d *ddl) answer(where Where) Step { return Step{Where: where, SQL: d.sql(), Answer: true} }

func (d *ddl) home() *Template       { return d.change(d.answer(WhereHome)) }
func (d *ddl) everywhere() *Template { return d.change(d.answer(WhereAll)) }

// nothing is a statement for which PostgreSQL on home has a notice or an error and that changes nothing: under the
// DDL lock, for that may have changed since.
func (d *ddl) nothing() *Template {
	return d.template(&DDL{Steps: []Step{lockStep("lock_ddl()"), {Where: WhereHome, SQL: d.text, Answer: true}}, InTxn: true})
}

// sameShape checks that all backends made of a relation the same.
func sameShape(schema, name string) Step {
	s := ownStep(WhereAll, "shape("+regclass(schema, name)+")")
	s.Same = true
	return s
}

// undoable is sql on each backend that where means, one after the other, with undo for those on which it came to
// pass: on a step behind it, for a step that failed may have found the object there before it.
func (d *ddl) undoable(where Where, sql, undo string, answer bool) []Step {
	if where == WhereHome {
		return []Step{{Where: WhereHome, SQL: sql, Answer: answer}, {Where: WhereHome, SQL: "SELECT", Undo: undo}}
	}
	var steps []Step
	present := d.env.Schema.Map.Present()
	for n := range present.All() {
		if b := int(n); b != d.env.Schema.Home {
			steps = append(steps, Step{Where: WhereOne, Backend: b, SQL: sql}, Step{Where: WhereOne, Backend: b, SQL: "SELECT", Undo: undo})
		}
	}
	return steps
}

// plainHome sends the text to home unchanged: what changes nothing that the snapshot shows, or is only about the
// session's own temporary relations.
func (d *ddl) plainHome(effect Effect) *Template {
	return &Template{Kind: KindHome, Command: d.tag, Writes: true, Effect: effect}
}

func (d *ddl) refuse(e *pgerr.Error) *Template {
	return &Template{Kind: KindRefuse, Command: d.tag, Refusal: e}
}

// sql is the statement's text, without ONLY before sharded tables: to the client they have no partitions.
func (d *ddl) sql() string { return splice(d.text, d.only) }

// splice replaces ranges of text; they are sorted and do not overlap.
func splice(text string, splices []Splice) string {
	if len(splices) == 0 {
		return text
	}
	var b strings.Builder
	at := 0
	for _, s := range splices {
		b.WriteString(text[at:s.Start])
		b.WriteString(s.With)
		at = s.End
	}
	b.WriteString(text[at:])
	return b.String()
}

// others is the statement as its changed tree says, for the backends besides home.
func (d *ddl) others(tree sqlparse.Node) (Step, *pgerr.Error) {
	sql, err := sqlparse.StatementSQL(tree)
	if err != nil {
		return Step{}, refCompose
	}
	return Step{Where: WhereOthers, SQL: sql}, nil
}
