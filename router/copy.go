package router

import (
	"slices"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// copy plans COPY.
func (p *planner) copy(s *sqlparse.CopyStmt) {
	p.t.Command = "COPY"
	p.t.Writes = s.IsFrom
	if s.IsProgram || s.Filename != "" {
		p.refuse(forbidden(refCopyProgram))
		return
	}
	if s.Query != nil {
		p.copyQuery(s)
		return
	}
	t, known := p.env.resolve(s.Relation)
	p.t.Unknown = !known
	switch {
	case t == nil || t.Kind == TableLocal || t.Kind == TableSystem || t.Kind == TableSequence:
		p.t.Kind, p.t.Effect = KindHome, EffectUnclean
		a := p.analysis()
		if t == nil && a.env.inShard(s.Relation) {
			a.refuse(refShardSchema)
		}
		a.reads(t, s.Relation.Relname)
		if s.IsFrom {
			a.targetTable(t, opInsert)
			if a.hiddenClock || a.defaultClock(t) {
				p.t.Clock = &Clock{Hidden: true}
			}
		}
		if s.WhereClause != nil {
			a.reached(a.exprFacts(s.WhereClause))
		}
		p.t.Effect = max(p.t.Effect, a.effect())
		if a.err != nil {
			p.refuse(a.err)
		}
		return
	case t.Kind == TableView && s.IsFrom && len(t.Triggers) > 0 && (t.Touches || t.ChangeReach&ReachSharded != 0):
		p.refuse(refCopyView)
		return
	case t.Kind == TableView:
		// Without a trigger PostgreSQL copies neither to a view nor from one; with one it is the trigger that writes.
		p.t.Kind, p.t.Effect = KindHome, EffectUnclean
		if a := p.analysis(); s.IsFrom {
			a.targetTable(t, opInsert)
			p.t.Effect = max(p.t.Effect, a.effect())
			if a.err != nil {
				p.refuse(a.err)
			}
		}
		return
	}
	p.copyTable(s, t)
}

// copyTable plans COPY of a sharded or reference table.
func (p *planner) copyTable(s *sqlparse.CopyStmt, t *Table) {
	a := p.analysis()
	a.rls(t)
	a.reads(t, t.Name)
	c := &Copy{Table: t, In: s.IsFrom, Format: copyFormat(s.Options)}
	p.t.Copy = c
	if len(s.Attlist) == 0 {
		for i := range t.Columns {
			if !t.Columns[i].Generated {
				c.Columns = append(c.Columns, i)
			}
		}
	}
	for _, name := range sqlparse.Strings(s.Attlist) {
		i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
		if i < 0 {
			p.t.Kind, p.t.Unknown = KindHome, true // PostgreSQL's own error
			return
		}
		c.Columns = append(c.Columns, i)
	}
	c.Head, c.Tail = p.copyParts()
	if !s.IsFrom {
		p.t.Kind = KindHome
		if t.Kind == TableSharded {
			p.t.Kind = KindCopyOut
			p.t.Prune = []Pruner{{Table: t, All: true}}
			if a.fn&(fnTables|fnNextval) != 0 {
				a.refuse(refReachLocal)
			}
		}
		if a.err != nil {
			p.refuse(a.err)
		}
		return
	}
	a.targetTable(t, opInsert)
	c.Missing = a.missing(t, c.Columns, 2)
	p.copyClock(a, t, c.Columns)
	if s.WhereClause != nil {
		if err := a.copyWhere(s, t); err != nil {
			p.refuse(err)
			return
		}
	}
	p.t.Kind = KindCopyIn
	p.t.Effect = a.effect()
	switch {
	case a.err != nil:
		p.refuse(a.err)
	case a.statementTrigger && t.Kind == TableSharded:
		p.refuse(refTriggerMulti)
	case c.Format.UnknownOptions && t.Kind == TableReference:
		p.refuse(refCopyOption)
	case c.Format.Counts && t.Kind == TableSharded:
		p.refuse(refCopySkip) // each backend would count and number its own rows
	case c.Format.OnErrorIgnore && t.Kind == TableSharded && len(c.Missing) > 0:
		p.refuse(refCopySkip) // a row that is skipped takes no value of a sequence
	case c.Format.UnknownOptions:
		// PostgreSQL's own error; should it know the option, home's partitions refuse rows that belong elsewhere.
		p.t.Kind, p.t.Effect = KindHome, EffectUnclean
	case t.Kind == TableSharded && slices.ContainsFunc(t.Key, func(k int) bool { return t.Columns[k].Generated }):
		p.refuse(refCopyOption)
	}
}

// copyWhere checks COPY … FROM … WHERE, which every backend evaluates on its rows.
func (a *analysis) copyWhere(s *sqlparse.CopyStmt, t *Table) *pgerr.Error {
	f := a.exprFacts(s.WhereClause)
	if t.Kind == TableReference && f&fnImpure&^fnStable != 0 {
		return refRefWrite
	}
	if f&(fnTables|fnSharded|fnDynamic|fnNextval|fnCurrval|fnHome|fnPins) != 0 {
		return refHomeFunc
	}
	if f&(fnClock|fnClockInside) != 0 {
		return refClock
	}
	return nil
}

// copyParts cuts COPY name [(columns)] FROM …: a new column list can stand between the parts.
func (p *planner) copyParts() (head, tail string) {
	text := p.whole()
	toks := sqlparse.Tokens(text)
	i := 1
	if i < len(toks) && toks[i].Word == "binary" && i+1 < len(toks) && toks[i+1].Word != "from" && toks[i+1].Word != "to" && toks[i+1].Punct == 0 {
		i++ // COPY BINARY name, before PostgreSQL 7.3
	}
	for i++; i+1 < len(toks) && toks[i].Punct == '.'; i += 2 {
	}
	if i >= len(toks) {
		return text, ""
	}
	head = strings.TrimSpace(text[:toks[i].Start])
	if toks[i].Punct == '(' {
		for i++; i < len(toks) && toks[i].Depth > 0; i++ {
		}
		i++
	}
	if i < len(toks) {
		tail = text[toks[i].Start:]
	}
	return head, tail
}

// copyQuery plans COPY (query) TO STDOUT.
func (p *planner) copyQuery(s *sqlparse.CopyStmt) {
	toks := sqlparse.Tokens(p.text)
	if len(toks) < 3 || toks[1].Punct != '(' {
		p.refuse(refStatement)
		return
	}
	end := slices.IndexFunc(toks[2:], func(t sqlparse.Token) bool { return t.Punct == ')' && t.Depth == toks[1].Depth })
	if end < 0 {
		p.refuse(refStatement)
		return
	}
	in := p.innerUpTo(s.Query, toks[2].Start, toks[2+end].Start)
	p.t.Writes, p.t.Effect = in.Writes, in.Effect
	p.t.Unknown = in.Unknown
	p.t.Clock = in.Clock
	switch in.Kind {
	case KindRefuse:
		p.refuse(in.Refusal)
		return
	case KindHome, KindAny:
		p.t.Kind = in.Kind
		if copyFormat(s.Options).Binary {
			p.t.Kind = KindHome // the data holds the server's oids
		}
		return
	case KindShards:
	default:
		p.refuse(refCopyWrite)
		return
	}
	if in.Scatter != nil && in.Scatter.Modifies {
		p.refuse(refCopyWrite)
		return
	}
	p.t.Kind = KindCopyOut
	p.t.Prune, p.t.Scatter, p.t.NoScatter = in.Prune, in.Scatter, in.NoScatter
	p.t.NeedsHome = in.NeedsHome
	p.t.Copy = &Copy{Query: true, Inner: in, Format: copyFormat(s.Options)}
	f := &p.t.Copy.Format
	p.t.Copy.Whole = f.UnknownOptions || in.Gather != nil || in.Scatter != nil && (len(in.Scatter.Splices) > 0 || in.Scatter.Combine != nil)
	if f.UnknownOptions {
		p.t.NoScatter = refCopyOption // unless PostgreSQL knows it no better
	}
}

// copyFormat reads COPY's options, new and old syntax alike: the parser brings both to one shape. Defaults are
// ProcessCopyOptions' (copy.c).
func copyFormat(options []sqlparse.Node) CopyFormat {
	f := CopyFormat{}
	seen := map[string]bool{}
	for _, n := range options {
		d := n.GetDefElem()
		if d == nil {
			f.UnknownOptions = true
			continue
		}
		f.UnknownOptions = f.UnknownOptions || seen[d.Defname]
		seen[d.Defname] = true
		f.option(d.Defname, d.Arg)
	}
	if f.Delimiter == 0 {
		f.Delimiter = '\t'
		if f.CSV {
			f.Delimiter = ','
		}
	}
	if !seen["null"] && !f.CSV {
		f.Null = `\N`
	}
	if f.CSV {
		if f.Quote == 0 {
			f.Quote = '"'
		}
		if f.Escape == 0 {
			f.Escape = f.Quote
		}
	}
	return f
}

func (f *CopyFormat) option(name string, arg sqlparse.Node) {
	s := optionText(arg)
	switch name {
	case "format":
		switch s {
		case "text":
		case "csv":
			f.CSV = true
		case "binary":
			f.Binary = true
		default:
			f.UnknownOptions = true
		}
	case "delimiter":
		f.Delimiter = f.oneByte(s)
	case "quote":
		f.Quote = f.oneByte(s)
	case "escape":
		f.Escape = f.oneByte(s)
	case "null":
		f.Null = s
	case "default":
		f.Default, f.HasDefault = s, true
	case "header":
		f.HeaderMatch = strings.EqualFold(s, "match")
		f.Header = f.HeaderMatch || optionTrue(s)
		f.UnknownOptions = f.UnknownOptions || !f.Header && !optionFalse(s)
	case "freeze":
		f.Freeze = optionTrue(s)
	case "encoding":
		f.Encoding = s
	case "force_not_null":
		f.ForceNotNull = f.columns(arg)
	case "force_null":
		f.ForceNull = f.columns(arg)
	case "force_quote":
		if arg.GetAStar() != nil {
			f.ForceQuoteAll = true
			return
		}
		f.ForceQuote = f.columns(arg)
	case "on_error":
		f.OnErrorIgnore = strings.EqualFold(s, "ignore")
		f.UnknownOptions = f.UnknownOptions || !f.OnErrorIgnore && !strings.EqualFold(s, "stop")
	case "log_verbosity":
		f.Counts = f.Counts || strings.EqualFold(s, "verbose")
		silent := strings.EqualFold(s, "silent")
		f.UnknownOptions = f.UnknownOptions || !f.Counts && !silent && !strings.EqualFold(s, "default")
	case "reject_limit":
		f.Counts = true
	default:
		f.UnknownOptions = true
	}
}

// oneByte reads an option of exactly one byte; PostgreSQL refuses others, and so the statement is not planned.
func (f *CopyFormat) oneByte(s string) byte {
	if len(s) != 1 {
		f.UnknownOptions = true
		return 0
	}
	return s[0]
}

func (f *CopyFormat) columns(arg sqlparse.Node) []string {
	if arg.GetAStar() != nil {
		return []string{"*"} // FORCE_NULL * of PostgreSQL 17
	}
	if arg.GetList() == nil {
		f.UnknownOptions = true
		return nil
	}
	return sqlparse.Strings(arg.GetList().Items)
}

// optionText is an option's value as text, as defGetString gives it; "true" when it stands alone.
func optionText(n sqlparse.Node) string {
	switch {
	case n == nil:
		return "true"
	case n.GetString_() != nil:
		return n.GetString_().Sval
	case n.GetInteger() != nil:
		return itoa(int(n.GetInteger().Ival))
	case n.GetBoolean() != nil:
		if n.GetBoolean().Boolval {
			return "true"
		}
		return "false"
	case n.GetFloat() != nil:
		return n.GetFloat().Fval
	case n.GetTypeName() != nil:
		return strings.Join(sqlparse.Strings(n.GetTypeName().Names), ".")
	case n.GetAConst().GetSval() != nil:
		return n.GetAConst().GetSval().Sval
	}
	return ""
}

func optionTrue(s string) bool {
	switch strings.ToLower(s) {
	case "true", "on", "1":
		return true
	}
	return false
}

func optionFalse(s string) bool {
	switch strings.ToLower(s) {
	case "false", "off", "0":
		return true
	}
	return false
}

// copyClock notes that defaults of the columns which the data does not give read the time.
func (p *planner) copyClock(a *analysis, t *Table, given []int) {
	c := Clock{Hidden: a.hiddenClock}
	reads := c.Hidden
	for i := range t.Columns {
		if slices.Contains(given, i) {
			continue
		}
		f := a.defaultFacts(t.Columns[i])
		reads = reads || f&(fnClock|fnClockInside) != 0
		c.Hidden = c.Hidden || f&fnClockInside != 0
	}
	if reads {
		p.t.Clock = &c
	}
}
