package router

import "github.com/pleiad/pleiad/router/sqlparse"

// A STABLE function's statements all see what the statement sees that calls it. Run one by one each takes a snapshot of its own, so
// that such a function runs only where there is one snapshot: at most one of its statements reads tables, and it runs once.

// several is more snapshots than one.
const several = 2

// readsTables notes what a statement does to tables, as far as its analysis tells.
func (s *ProgramSQL) readsTables(n sqlparse.Node, a *analysis) {
	s.changes = !s.Reads || a.writes || a.locking
	s.tables = s.changes || a.fn&(fnTables|fnSharded|fnDynamic|fnUnknown|fnUserVol) != 0 || len(a.unknown) > 0
	sqlparse.Walk(n, func(n sqlparse.Node) bool {
		s.tables = s.tables || n.GetRangeVar() != nil
		return !s.tables
	})
}

// snapshots is how many snapshots code takes in which it looks at tables, at most.
func (p *Program) snapshots() int {
	if p == nil {
		return several
	}
	return snapshotsOf(p, p.Steps)
}

func snapshotsOf(p *Program, steps []ProgramStep) (n int) {
	for i := range steps {
		s := &steps[i]
		n += s.SQL.snapshots() + sumOf(s.Args) + sumOf(s.Bounds)
		for _, o := range s.Options {
			n += o.Expr.snapshots()
		}
		for _, v := range s.Declared {
			n += p.Vars[v].Default.snapshots()
		}
		most := snapshotsOf(p, s.Else)
		for _, arm := range s.Arms {
			n += arm.Cond.snapshots()
			most = max(most, snapshotsOf(p, arm.Body))
		}
		n += most
		body := snapshotsOf(p, s.Body)
		switch s.Kind {
		case "EXECUTE", "FOR over EXECUTE statement":
			n += several
		case "RETURN QUERY":
			if s.Dynamic {
				n += several
			}
		case "WHILE":
			n += s.SQL.snapshots() // in each round
		}
		if s.Kind != "statement block" {
			body *= several
		}
		n += body
		for _, h := range s.Handlers {
			n += snapshotsOf(p, h.Body)
		}
	}
	return n
}

func sumOf(list []*ProgramSQL) (n int) {
	for _, s := range list {
		n += s.snapshots()
	}
	return n
}

func (s *ProgramSQL) snapshots() int {
	switch {
	case s == nil || !s.tables:
		return 0
	case s.changes || s.Call != nil:
		return several // PostgreSQL refuses it, or what is called takes its own
	}
	return 1
}

// severalSnapshots reports whether a STABLE function's statements would have to share one.
func (b *routineBuilder) severalSnapshots() bool {
	stable, n := false, 0
	for _, c := range b.out.Calls {
		stable = stable || c.Fn != nil && c.Fn.Volatility == 's'
		n += c.Program.snapshots()
	}
	for _, c := range b.stable {
		if c.Program.snapshots() > 1 {
			return true
		}
	}
	return stable && n > 1
}
