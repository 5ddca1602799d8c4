package router

import (
	"slices"
	"unicode/utf8"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// Fill is the second half of a CREATE TABLE AS whose query reads sharded tables: home makes the table without rows, and an
// INSERT of the query, planned like any other from the schema with the new table, brings them.
type Fill struct {
	// Target is the table's name, and Query what it is made of.
	Target, Query string
	// Refresh, if not nil, is in place of both: the table is a materialized view, whose own query brings the rows.
	Refresh *Refresh
}

// fill plans CREATE TABLE AS and SELECT INTO over sharded tables. create is the statement that makes the empty table,
// query the client's. position translates a character position in create to one in the client's text.
func (d *ddl) fill(rel *sqlparse.RangeVar, query sqlparse.Node, create, text string, position func(int) int) *Template {
	schema := d.creationSchema(rel.Schemaname)
	temp := rel.Relpersistence == "t" || tempSchema(rel.Schemaname)
	if temp {
		schema = "pg_temp"
	}
	clash := false
	sqlparse.Walk(query, func(n sqlparse.Node) bool {
		// Parameters are not told to a schema change.
		clash = clash || n.GetParamRef() != nil || d.hides(schema, rel.Relname, n.GetRangeVar())
		return true
	})
	if clash {
		return d.refuse(refTableAsSharded)
	}
	steps := []Step{{Where: WhereHome, SQL: create, Position: position}}
	f := &Fill{Target: quoteName(schema, rel.Relname), Query: text}
	var t *Template
	if temp {
		t = d.template(&DDL{Steps: steps, InTxn: true, Fill: f})
		t.Effect = EffectPins
	} else {
		t = d.change(steps...)
		t.DDL.Fill = f
	}
	return t
}

// hides tells whether a new table may hide the relation that rv means, once it is there. A name with a schema means the same then:
// the new table itself only where making it is an error.
func (d *ddl) hides(schema, name string, rv *sqlparse.RangeVar) bool {
	if rv == nil || rv.Relname != name || rv.Schemaname != "" {
		return false
	}
	t, _ := d.resolve(rv)
	if t == nil || tempSchema(schema) {
		return true
	}
	new, old := slices.Index(d.env.Path, schema), slices.Index(d.env.Path, t.Schema)
	return new >= 0 && (old < 0 || new < old)
}

// tableAsFill cuts CREATE TABLE … AS query [WITH DATA].
func (d *ddl) tableAsFill(s *sqlparse.CreateTableAsStmt) *Template {
	toks := d.beforeWithData()
	for i, t := range toks {
		if t.Word == "as" && t.Depth == 0 && i+1 < len(toks) {
			end := toks[len(toks)-1].End
			return d.fill(s.Into.Rel, s.Query, d.text[:end]+"\nWITH NO DATA", d.text[toks[i+1].Start:end], nil)
		}
	}
	return d.refuse(refTableAsSharded)
}

// Prepared is the statement that a CREATE TABLE AS EXECUTE takes its query from: the session knows it. What it runs is Head, the
// query, and Tail.
type Prepared struct {
	Name, Head, Tail string
}

// tableOfPrepared plans CREATE TABLE … AS EXECUTE. IF NOT EXISTS may not need the statement, WITH NO DATA has a tag of its own then,
// and arguments are not told to a schema change.
func (d *ddl) tableOfPrepared(s *sqlparse.CreateTableAsStmt) *Template {
	e := s.Query.GetExecuteStmt()
	toks := trimmed(sqlparse.Tokens(d.text))
	for i, t := range toks {
		if t.Word != "execute" || t.Depth > 0 || i+1 >= len(toks) || toks[i-1].Word != "as" || s.IfNotExists || s.Into.SkipData || len(e.Params) > 0 {
			continue
		}
		from := &Prepared{Name: e.Name, Head: d.text[:t.Start], Tail: d.text[toks[i+1].End:toks[len(toks)-1].End]}
		return d.template(&DDL{InTxn: true, Prepared: from})
	}
	return d.refuse(refTableAsSharded)
}

// Text is the statement that runs, given the prepared one's text.
func (p *Prepared) Text(query string) string {
	end := 0
	if toks := trimmed(sqlparse.Tokens(query)); len(toks) > 0 {
		end = toks[len(toks)-1].End
	}
	return p.Head + query[:end] + p.Tail
}

// beforeWithData are the tokens of a CREATE … AS without WITH DATA at the end.
func (d *ddl) beforeWithData() []sqlparse.Token {
	toks := trimmed(sqlparse.Tokens(d.text))
	if n := len(toks); n > 2 && toks[n-1].Word == "data" && toks[n-2].Word == "with" {
		toks = toks[:n-2]
	}
	return toks
}

// selectFill cuts SELECT … INTO name ….
func (d *ddl) selectFill(rel *sqlparse.RangeVar, query sqlparse.Node) *Template {
	toks := trimmed(sqlparse.Tokens(d.text))
	into, name := -1, -1
	for i, t := range toks {
		switch {
		case t.Word == "into" && t.Depth == 0 && into < 0:
			into = i
		case t.Start == int(rel.Location):
			name = i
		}
	}
	if into < 0 || name < into {
		return d.refuse(refTableAsSharded)
	}
	last := name
	for last+2 < len(toks) && toks[last+1].Punct == '.' {
		last += 2
	}
	end := toks[len(toks)-1].End
	from, to := toks[into].Start, toks[last].End
	query1 := d.text[:from] + d.text[to:end]
	head := "CREATE TABLE "
	switch {
	case rel.Relpersistence == "t":
		head = "CREATE TEMPORARY TABLE "
	case rel.Relpersistence == "u":
		head = "CREATE UNLOGGED TABLE "
	}
	head += d.text[toks[name].Start:to] + " AS "
	ahead, before, cut := utf8.RuneCountInString(head), utf8.RuneCountInString(d.text[:from]), utf8.RuneCountInString(d.text[from:to])
	position := func(p int) int {
		if p <= ahead {
			return before + cut // the name
		}
		if p -= ahead; p > before {
			p += cut
		}
		return p
	}
	return d.fill(rel, query, head+query1+"\nWITH NO DATA", query1, position)
}

// trimmed leaves out the semicolons at the end.
func trimmed(toks []sqlparse.Token) []sqlparse.Token {
	for len(toks) > 0 && toks[len(toks)-1].Punct == ';' {
		toks = toks[:len(toks)-1]
	}
	return toks
}
