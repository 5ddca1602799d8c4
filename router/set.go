package router

import (
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// set plans SET and RESET in all their forms.
func (p *planner) set(s *sqlparse.VariableSetStmt) {
	p.plain(KindSet, "SET")
	out := &Set{Name: strings.ToLower(s.Name), Local: s.IsLocal, Statement: p.whole()}
	p.t.Set = out
	switch s.Kind {
	case sqlparse.SetMulti:
		p.setTransaction(s, out)
		return
	case sqlparse.SetResetAll:
		p.t.Command = "RESET"
		out.ResetAll, out.Default = true, true
		return
	case sqlparse.SetReset:
		p.t.Command = "RESET"
		out.Default = true
	case sqlparse.SetDefault:
		out.Default = true
	case sqlparse.SetCurrent:
		p.refuse(refStatement) // only legal in CREATE FUNCTION
		return
	case sqlparse.SetValue:
		out.Value, out.Text = settingValue(s.Args)
		if len(s.Args) == 1 && s.Args[0].GetTypeCast() != nil {
			// SET TIME ZONE INTERVAL '…': only that spelling takes an interval.
			out.Value, out.Text = p.timeZone(), ""
		}
		if out.Value == "" {
			p.refuse(refStatement)
			return
		}
	}
	out.Pleiad = strings.HasPrefix(out.Name, "pleiad.")
	if e := refusedSetting(out); e != nil {
		p.refuse(e)
	}
}

// setTransaction reads SET TRANSACTION and SET SESSION CHARACTERISTICS.
func (p *planner) setTransaction(s *sqlparse.VariableSetStmt, out *Set) {
	switch s.Name {
	case "SESSION CHARACTERISTICS":
		out.SetSession = true
		out.Name = "session characteristics"
	case "TRANSACTION SNAPSHOT":
		p.refuse(refSnapshot)
		return
	default:
		out.Name = "transaction"
		out.Local = true
	}
	var deferred int8
	out.Isolation, out.ReadOnly, deferred = modes(s.Args)
	out.Deferred = deferred
}

// settingValue writes a value list so that it can stand behind SET name TO, and gives the value as PostgreSQL stores
// it when it is one constant (flatten_set_variable_args in guc_funcs.c).
func settingValue(args []sqlparse.Node) (value, text string) {
	var parts []string
	for _, n := range args {
		v, ok := settingPart(n)
		if !ok {
			return "", ""
		}
		parts = append(parts, v.sql)
		text = v.text
	}
	if len(args) != 1 {
		text = ""
	}
	return strings.Join(parts, ", "), text
}

type settingWord struct{ sql, text string }

func settingPart(n sqlparse.Node) (settingWord, bool) {
	c := n.GetAConst()
	switch {
	case c == nil || c.Isnull:
		return settingWord{}, false
	case c.GetIval() != nil:
		s := itoa(int(c.GetIval().Ival))
		return settingWord{s, s}, true
	case c.GetFval() != nil:
		return settingWord{c.GetFval().Fval, c.GetFval().Fval}, true
	case c.GetSval() != nil:
		s := c.GetSval().Sval
		return settingWord{settingLiteral(s), s}, true
	case c.GetBoolval() != nil:
		if c.GetBoolval().Boolval {
			return settingWord{"'true'", "true"}, true
		}
		return settingWord{"'false'", "false"}, true
	}
	return settingWord{}, false
}

// timeZone is what stands behind SET TIME ZONE.
func (p *planner) timeZone() string {
	text := p.whole()
	toks := sqlparse.Tokens(text)
	for i, t := range toks {
		if t.Word == "zone" && i+1 < len(toks) {
			return text[toks[i+1].Start:toks[len(toks)-1].End]
		}
	}
	return ""
}

// settingLiteral quotes a value whatever standard_conforming_strings says.
func settingLiteral(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// refusedSetting refuses settings that would change how pleiad itself reads text.
func refusedSetting(s *Set) *pgerr.Error {
	if s.Default {
		return nil
	}
	v := strings.ToLower(s.Text)
	switch s.Name {
	case "standard_conforming_strings":
		switch v {
		case "on", "true", "yes", "1", "t", "y", "tr", "tru", "ye":
			return nil
		}
		return refStdConform
	case "client_encoding":
		switch strings.NewReplacer("-", "", "_", "").Replace(v) {
		case "utf8", "unicode":
			return nil
		}
		return refEncoding
	}
	return nil
}
