package router

import (
	"strconv"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// alterReplication plans ALTER TABLE … SET (pleiad.replication = …) and RESET (pleiad.replication): what CREATE TABLE's
// WITH gave. It is nil for any other command.
func (d *ddl) alterReplication(s *sqlparse.AlterTableStmt, p presence) *Template {
	if len(s.Cmds) != 1 || p.table == nil {
		return nil
	}
	cmd := s.Cmds[0].GetAlterTableCmd()
	reset := cmd.GetSubtype() == sqlparse.AlterResetOptions
	if !reset && cmd.GetSubtype() != sqlparse.AlterSetOptions {
		return nil
	}
	items := cmd.Def.GetList().GetItems()
	if len(items) != 1 {
		return nil
	}
	def := items[0].GetDefElem()
	if def.GetDefnamespace() != "pleiad" || def.GetDefname() != "replication" {
		return nil
	}
	mode := "async"
	if !reset {
		mode = optionValue(def)
	}
	if mode != "sync" && mode != "async" {
		return d.refuse(pgerr.New(pgerr.InvalidParameterValue, "invalid value for option \"pleiad.replication\": %s", mode).
			WithHint("Write sync or async."))
	}
	name := quoteIdent(p.table.Schema) + "." + quoteIdent(p.table.Name)
	// The catalog has it, so that the table's own part is to say who may change it, and to answer.
	same := Step{Where: WhereHome, SQL: "ALTER TABLE " + name + " OWNER TO " + quoteIdent(p.table.Owner), Answer: true}
	return d.change(ownStep(WhereHome, "register_replication("+regclass(p.table.Schema, p.table.Name)+
		", "+strconv.FormatBool(mode == "sync")+")"), same)
}
