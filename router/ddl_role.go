package router

import (
	"strings"

	"github.com/pleiad/pleiad/router/sqlparse"
)

func (d *ddl) createRole() *Template {
	d.tag = "CREATE ROLE"
	return d.withPassword(d.stmt.GetCreateRoleStmt().Options)
}

func (d *ddl) alterRole() *Template {
	d.tag = "ALTER ROLE"
	return d.withPassword(d.stmt.GetAlterRoleStmt().Options)
}

// withPassword plans a statement about a role. Servers would each salt a cleartext password by themselves, so the
// executor puts one verifier in its place. What is a verifier already stays, and so does the
// empty password, which PostgreSQL takes for none.
func (d *ddl) withPassword(options []sqlparse.Node) *Template {
	step := d.answer(WhereAll)
	for _, n := range options {
		def := n.GetDefElem()
		plain := def.GetArg().GetString_()
		if def.GetDefname() != "password" || plain.GetSval() == "" || isVerifier(plain.Sval) {
			continue
		}
		for i, t := range sqlparse.Tokens(d.text) {
			if t.Start == int(def.Location) {
				step.Password = d.passwordAt(i, plain.Sval)
			}
		}
		if step.Password == nil {
			return d.refuse(refCompose)
		}
	}
	return d.change(step)
}

// passwordAt finds the literal behind [ENCRYPTED] PASSWORD, whose first word is token i.
func (d *ddl) passwordAt(i int, plain string) *Password {
	toks := sqlparse.Tokens(d.text)
	for ; i < len(toks); i++ {
		if w := toks[i].Word; w != "encrypted" && w != "password" {
			return &Password{Start: toks[i].Start, End: toks[i].End, Plain: plain}
		}
	}
	return nil
}

// isVerifier is true of texts that PostgreSQL stores as they are (get_password_type in crypt.c).
func isVerifier(password string) bool {
	if len(password) == 35 && strings.HasPrefix(password, "md5") {
		return strings.Trim(password[3:], "0123456789abcdef") == ""
	}
	rest, ok := strings.CutPrefix(password, "SCRAM-SHA-256$")
	return ok && strings.Count(rest, ":") == 2 && strings.Count(rest, "$") == 1
}

// databaseOption finds an option of CREATE or ALTER DATABASE.
func databaseOption(options []sqlparse.Node, name string) bool {
	for _, n := range options {
		if n.GetDefElem().GetDefname() == name {
			return true
		}
	}
	return false
}

// createDatabase plans CREATE DATABASE, which no transaction can hold: home first, for its errors.
func (d *ddl) createDatabase() *Template {
	d.tag = "CREATE DATABASE"
	s := d.stmt.GetCreatedbStmt()
	if databaseOption(s.Options, "tablespace") {
		return d.refuse(refTablespace)
	}
	undo := "DROP DATABASE IF EXISTS " + quoteIdent(s.Dbname)
	t := d.template(&DDL{Steps: append(d.undoable(WhereHome, d.text, undo, true), d.undoable(WhereOthers, d.text, undo, false)...)})
	t.DDL.Database = templateOf(s.Options)
	return t
}

// templateOf is the database that a new one is copied from: nobody may be connected to it.
func templateOf(options []sqlparse.Node) string {
	for _, n := range options {
		if def := n.GetDefElem(); def.GetDefname() == "template" {
			if name := def.GetArg().GetString_().GetSval(); name != "" {
				return name
			}
		}
	}
	return "template1"
}

// dropDatabase plans DROP DATABASE: home first, for its errors; what is missing on the others is as it should be,
// so that the statement can be given again with IF EXISTS after a failure between them.
func (d *ddl) dropDatabase() *Template {
	d.tag = "DROP DATABASE"
	s := d.stmt.GetDropdbStmt()
	tree := sqlparse.Clone(d.stmt)
	tree.GetDropdbStmt().MissingOk = true
	others, err := d.others(tree)
	if err != nil {
		return d.refuse(err)
	}
	t := d.template(&DDL{Steps: []Step{d.answer(WhereHome), others}})
	t.DDL.Database, t.DDL.Force = s.Dbname, databaseOption(s.Options, "force")
	return t
}

func (d *ddl) alterDatabase() *Template {
	d.tag = "ALTER DATABASE"
	if databaseOption(d.stmt.GetAlterDatabaseStmt().Options, "tablespace") {
		return d.refuse(refTablespace)
	}
	return d.everywhere()
}
