package router

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/router/sqlparse"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden checks a file of blocks: comment lines (#), a statement, "----", what summary says of it. Blocks are
// separated by an empty line.
func golden(t *testing.T, path string, summary func(text string) string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		head, want, _ := strings.Cut(block+"\n", "----\n")
		var comments, text []string
		for _, line := range strings.Split(strings.TrimRight(head, "\n"), "\n") {
			if strings.HasPrefix(line, "#") && len(text) == 0 {
				comments = append(comments, line)
				continue
			}
			text = append(text, line)
		}
		if len(text) == 0 {
			out = append(out, strings.Join(comments, "\n")+"\n")
			continue
		}
		got := summary(strings.Join(text, "\n")) + "\n"
		if !*update && got != want {
			t.Errorf("%s\ngot:\n%swant:\n%s", strings.Join(text, "\n"), got, want)
		}
		out = append(out, strings.Join(append(comments, text...), "\n")+"\n----\n"+got)
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(out, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlans(t *testing.T) {
	golden(t, "testdata/plans.txt", func(text string) string { return summary(Plan(text, fixture()), text) })
}

func TestRefusals(t *testing.T) {
	golden(t, "testdata/refusals.txt", func(text string) string {
		p := Plan(text, fixture())
		if p.Clock != nil && !p.Clock.Hidden {
			text, p = fixedPlan(p, text)
		}
		e := p.Refusal
		if e == nil {
			e = p.NoScatter
		}
		lits := new(sqlparse.Scanner).Scan([]byte(text)).Lits
		if v := (&Values{Text: []byte(text), Lits: lits}); !p.WordsFixable(v) {
			e, p.Scatter, p.Gather = refClockWords, nil, nil
		}
		if e == nil || p.Scatter != nil || p.Gather != nil {
			return "NOT REFUSED: " + summary(p, text)
		}
		return fmt.Sprintf("%s: %s\nHINT: %s", e.Code, e.Message, e.Hint)
	})
}

var kindNames = map[Kind]string{
	KindEmpty: "empty", KindHome: "home", KindAny: "any", KindShards: "shards", KindInsert: "insert",
	KindEverywhere: "everywhere", KindCopyIn: "copy in", KindCopyOut: "copy out", KindDDL: "ddl", KindTxn: "txn",
	KindSet: "set", KindShow: "show", KindPrepare: "prepare", KindExecute: "execute", KindDeallocate: "deallocate",
	KindDiscard: "discard", KindListen: "listen", KindUnlisten: "unlisten", KindNotify: "notify",
	KindCursor: "cursor", KindExplain: "explain", KindRefuse: "refuse", KindSyntax: "syntax",
}

// summary writes a plan for readers: what decides where the statement runs, and nothing else.
func summary(p *Template, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", kindNames[p.Kind], p.Command)
	for _, f := range []struct {
		on   bool
		name string
	}{
		{p.Writes, "writes"}, {p.Returns, "returns"}, {p.Effect == EffectUnclean, "unclean"}, {p.Effect == EffectPins, "pins"},
		{p.NeedsHome, "needs-home"}, {p.NeedsSequenceState, "needs-sequence-state"}, {p.Unknown, "unknown"},
		{!p.Cacheable, "uncacheable"}, {p.CurrentOf != "", "where-the-cursor-is"}, {p.ClockWords != nil, "clock-words"},
	} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	if p.Refusal != nil {
		b.WriteString("\n" + p.Refusal.Code + ": " + p.Refusal.Message)
	}
	for i := range p.Prune {
		b.WriteString("\n" + prunerText(&p.Prune[i]))
	}
	if p.KeyTo != nil {
		b.WriteString("\nbecomes " + prunerText(p.KeyTo))
	}
	if p.Kind == KindShards && p.NParams == 0 {
		b.WriteString("\nruns on " + backendsText(p, text))
	}
	if p.NoScatter != nil {
		b.WriteString("\none backend: " + p.NoScatter.Message)
	}
	if p.Scatter != nil {
		b.WriteString("\n" + scatterText(p, text))
	}
	if p.Gather != nil {
		b.WriteString("\n" + gatherText(p, text))
	}
	if p.Insert != nil {
		b.WriteString("\n" + insertText(p.Insert, text))
	}
	b.WriteString(descriptors(p, text))
	lits := new(sqlparse.Scanner).Scan([]byte(text)).Lits
	if v := (&Values{Text: []byte(text), Lits: lits}); p.Clock != nil || p.ReadsPresent(v) && p.WordsFixable(v) {
		b.WriteString("\n" + clockText(p, text))
	}
	return b.String()
}

func gatherText(p *Template, text string) string {
	final, err := p.AppendGatherText(nil, scanValues(text))
	if err != nil {
		return "gather: " + err.Error()
	}
	where := ""
	if p.Gather.Home {
		where = " on home"
	}
	return "fetch " + p.Gather.Fetch + "\ngather" + where + ": " + string(final)
}

// clockText shows what is sent where the time is not the backend's own, and how that is planned.
func clockText(p *Template, text string) string {
	if p.Clock != nil && p.Clock.Hidden {
		return "reads the time out of sight"
	}
	if p.Clock != nil && len(p.Clock.Splices) == 0 {
		return "reads the time in defaults"
	}
	fixed, plan := fixedPlan(p, text)
	return "at one instant: " + fixed + "\n  " + strings.ReplaceAll(summary(plan, fixed), "\n", "\n  ")
}

// fixedPlan is the plan of a statement once the times are constants.
func fixedPlan(p *Template, text string) (string, *Template) {
	lits := new(sqlparse.Scanner).Scan([]byte(text)).Lits
	at := Instant{Transaction: "2001-02-03 04:05:06.000007+00", Statement: "2001-02-03 04:05:07+00",
		Local: "2001-02-03 05:05:06.000007+01:00", Today: "2001-02-03", Tomorrow: "2001-02-04", Yesterday: "2001-02-02"}
	fixed := string(p.AppendFixed(nil, &Values{Text: []byte(text), Lits: lits}, at))
	return fixed, Plan(fixed, fixture())
}

func prunerText(p *Pruner) string {
	if p.All {
		return p.Table.Name + ": all"
	}
	var alts []string
	for _, tuple := range p.Tuples {
		var cols []string
		for i, v := range tuple {
			cols = append(cols, p.Table.Columns[p.Table.Key[i]].Name+"="+valueText(v))
		}
		alts = append(alts, strings.Join(cols, ","))
	}
	if len(alts) == 0 {
		return p.Table.Name + ": none"
	}
	return p.Table.Name + ": " + strings.Join(alts, " | ")
}

func valueText(v KeyValue) string {
	s := ""
	switch v.Source {
	case SourceLiteral:
		s = fmt.Sprintf("lit%d", v.Index)
	case SourceParam:
		s = fmt.Sprintf("$%d", v.Index+1)
	case SourceConst:
		s = "'" + string(v.Const) + "'"
	case SourceNull:
		return "null"
	}
	if v.Negated {
		s = "-" + s
	}
	if v.TypeOID != 0 {
		s += fmt.Sprintf("::%d", v.TypeOID)
	}
	if v.Array {
		s = "any(" + s + ")"
	}
	if v.Declared {
		s += " if declared"
	}
	return s
}

// scanValues scans a text as a session does.
func scanValues(text string) *Values {
	var sc sqlparse.Scanner
	s := sc.Scan([]byte(text))
	return &Values{Text: []byte(text), Lits: s.Lits}
}

func backendsText(p *Template, text string) string {
	m := fixture().Schema.Map
	set, err := p.Backends(m, 0, scanValues(text))
	if err != nil {
		return "ERROR " + err.Error()
	}
	var names []string
	for b := range set.All() {
		names = append(names, m.Backend(uint16(b)).Name)
	}
	return strings.Join(names, " ")
}

func scatterText(p *Template, text string) string {
	var b strings.Builder
	b.WriteString("scatter")
	if p.Scatter.Modifies {
		b.WriteString(" modifies")
	}
	for _, k := range p.Scatter.Sort {
		fmt.Fprintf(&b, "; sort (%s)", k.Expr)
		if k.Desc {
			b.WriteString(" desc")
		}
		if k.NullsFirst {
			b.WriteString(" nulls first")
		}
		if k.Collation != "" {
			b.WriteString(" collate " + k.Collation)
		}
	}
	if c := p.Scatter.Combine; c != nil {
		b.WriteString(combineSummary(c))
	}
	if len(p.Scatter.Splices) > 0 {
		s, err := p.AppendScatterText(nil, scanValues(text))
		if err != nil {
			return b.String() + "\nERROR " + err.Error()
		}
		b.WriteString("\nsends " + string(s))
	}
	return b.String()
}

// combineSummary writes what backends compute, as far as it does not depend on types, and what is made of it.
func combineSummary(c *Combine) string {
	if c.Same != nil {
		return "; combine outputs by " + strings.Join(c.Same, ", ")
	}
	var b strings.Builder
	for _, col := range c.Columns {
		fmt.Fprintf(&b, "; column %s", col.SQL)
		if col.Type != "" {
			b.WriteString(" of " + col.Type)
		}
		if col.Collation != "" && col.Collation != "default" {
			b.WriteString(" collate " + col.Collation)
		}
	}
	b.WriteString("\nparts " + c.Probe() + "\nanswer ")
	for _, piece := range c.Final {
		switch {
		case piece.Rows:
			b.WriteString("parts")
		case piece.Text == "":
			fmt.Fprintf(&b, "[%s]", c.Aggregates[piece.Aggregate].SQL)
		default:
			b.WriteString(piece.Text)
		}
	}
	return b.String()
}

func insertText(in *Insert, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "columns %q", text[in.ColumnsStart:in.ColumnsEnd])
	for _, m := range in.Missing {
		b.WriteString(" +" + in.Table.Columns[m].Name)
	}
	if in.OverridingSystem {
		b.WriteString(" overriding")
	}
	for _, r := range in.Rows {
		fmt.Fprintf(&b, "\nrow %s:", text[r.Start:r.End])
		for _, c := range r.Cells {
			b.WriteString(" " + text[c.Start:c.End])
			switch {
			case c.Eval:
				b.WriteString("=eval")
			case c.Value != nil:
				b.WriteString("=" + valueText(*c.Value))
			}
		}
	}
	return b.String()
}

func descriptors(p *Template, text string) string {
	var b strings.Builder
	if p.Name != "" {
		fmt.Fprintf(&b, "\nname %s", p.Name)
	}
	for _, c := range p.SetConfig {
		fmt.Fprintf(&b, "\ncolumn %d sets %s, local %s", c.Column, valueText(c.Name), valueText(c.Local))
	}
	if p.Txn != nil {
		fmt.Fprintf(&b, "\n%+v", *p.Txn)
	}
	if p.Set != nil {
		fmt.Fprintf(&b, "\n%+v", *p.Set)
	}
	if p.Prepare != nil {
		fmt.Fprintf(&b, "\n%+v", *p.Prepare)
	}
	if c := p.Cursor; c != nil {
		fmt.Fprintf(&b, "\ncursor %q op %d all %v hold %v", c.Name, c.Op, c.All, c.Hold)
		if c.Inner != nil {
			fmt.Fprintf(&b, "\nof %s\n%s", text[c.InnerFrom:], summary(c.Inner, text))
		}
	}
	if e := p.Explain; e != nil {
		fmt.Fprintf(&b, "\nprefix %q analyze %v format %s\n%s", e.Prefix, e.Analyze, e.Format, summary(e.Inner, text))
	}
	if c := p.Copy; c != nil {
		fmt.Fprintf(&b, "\nhead %q tail %q", c.Head, c.Tail)
		for _, i := range c.Columns {
			b.WriteString(" " + c.Table.Columns[i].Name)
		}
		for _, i := range c.Missing {
			b.WriteString(" +" + c.Table.Columns[i].Name)
		}
		fmt.Fprintf(&b, "\n%+v", c.Format)
	}
	return b.String()
}
