package router

import (
	"cmp"
	"slices"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// SessionViews are what a query reads of the session's own, which a server connection shows wrongly.
var SessionViews = map[string]bool{"pg_prepared_statements": true, "pg_listening_channels": true, "pg_cursors": true}

// sessionFunctions are what views of the session's own are made of on a server, and are nowhere put together.
var sessionFunctions = map[string]bool{"pg_cursor": true, "pg_prepared_statement": true}

// ShowsSession tells whether an identifier is the name of what shows the state of one connection.
func ShowsSession(word string) bool { return SessionViews[word] || sessionFunctions[word] }

// ReadsSession tells whether a statement reads such an object as it runs: not one that is kept for later, like a view's.
func ReadsSession(text string) bool {
	stmts, err := sqlparse.Parse(text)
	if err != nil || len(stmts) != 1 || stmts[0].Node.GetViewStmt() != nil || stmts[0].Node.GetPrepareStmt() != nil {
		return false
	}
	found := false
	sqlparse.Walk(stmts[0].Node, func(n sqlparse.Node) bool {
		name := n.GetRangeVar().GetRelname()
		if call := sqlparse.Strings(n.GetFuncCall().GetFuncname()); len(call) > 0 {
			name = call[len(call)-1]
		}
		found = found || ShowsSession(name)
		return !found
	})
	return found
}

// SessionView is one place where one of SessionViews stands.
type SessionView struct {
	Name       string
	Start, End int
	Alias      string // what it is called there, unless the text says so
}

// PlanSessionViews makes a plan of a query that reads SessionViews: each place where one stands is to be replaced by what
// the session has (Template.SessionViews). It returns nil where one stands elsewhere than rows of a query do.
func PlanSessionViews(text string) *Template {
	stmts, err := sqlparse.Parse(text)
	if err != nil || len(stmts) != 1 || stmts[0].Node.GetSelectStmt() == nil {
		return nil
	}
	t := &Template{Kind: KindSessionViews, Command: "SELECT", Returns: true}
	toks := sqlparse.Tokens(text)
	named, ok := 0, true
	for _, tok := range toks {
		if SessionViews[tok.Word] {
			named++
		}
		ok = ok && !sessionFunctions[tok.Word]
	}
	add := func(at int32, name []string, alias string) {
		last := name[len(name)-1]
		if !SessionViews[last] || len(name) > 2 || len(name) == 2 && name[0] != "pg_catalog" {
			return
		}
		i := slices.IndexFunc(toks, func(t sqlparse.Token) bool { return t.Start == int(at) })
		end := i + 2*(len(name)-1)
		if i >= 0 && last == "pg_listening_channels" { // its parentheses
			end += 2
		}
		if ok = ok && i >= 0 && end < len(toks); !ok {
			return
		}
		t.SessionViews = append(t.SessionViews, SessionView{Name: last, Start: toks[i].Start, End: toks[end].End, Alias: alias})
	}
	sqlparse.Walk(stmts[0].Node, func(n sqlparse.Node) bool {
		switch {
		case n.GetRangeVar() != nil:
			rv := n.GetRangeVar()
			name, alias := []string{rv.Relname}, ""
			if rv.Schemaname != "" {
				name = []string{rv.Schemaname, rv.Relname}
			}
			if rv.Alias == nil {
				alias = rv.Relname
			}
			add(rv.Location, name, alias)
		case n.GetRangeFunction() != nil:
			f := n.GetRangeFunction()
			if len(f.Functions) != 1 || f.IsRowsfrom || f.Alias != nil {
				return true
			}
			call := f.Functions[0].GetList().GetItems()[0].GetFuncCall()
			if name := sqlparse.Strings(call.GetFuncname()); len(name) > 0 && SessionViews[name[len(name)-1]] {
				add(call.Location, name, name[len(name)-1])
				return false
			}
		case n.GetColumnRef() != nil:
			for _, name := range sqlparse.Strings(n.GetColumnRef().Fields) {
				if SessionViews[name] {
					named-- // the name of what stands in its place
				}
			}
		case n.GetResTarget() != nil:
			r := n.GetResTarget()
			call := r.Val.GetFuncCall()
			if name := sqlparse.Strings(call.GetFuncname()); r.Name == "" && len(name) > 0 && SessionViews[name[len(name)-1]] {
				add(call.Location, name, name[len(name)-1])
				return false
			}
		case n.GetFuncCall() != nil:
			if name := sqlparse.Strings(n.GetFuncCall().Funcname); len(name) > 0 {
				add(n.GetFuncCall().Location, name, "")
			}
		}
		return ok
	})
	if !ok || len(t.SessionViews) == 0 || len(t.SessionViews) != named {
		return nil // a name in a string, a column, a statement that is not run
	}
	slices.SortFunc(t.SessionViews, func(a, b SessionView) int { return cmp.Compare(a.Start, b.Start) })
	return t
}
