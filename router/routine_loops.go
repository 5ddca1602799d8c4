package router

import (
	"github.com/pleiad/pleiad/router/sqlparse"
)

// compound reads blocks and loops.
func (b *routineBuilder) compound(s *ProgramStep, in *sqlparse.PLStatement, names *programNames) {
	if in.Label != "" {
		names.labels = append(names.labels, in.Label)
		defer func() { names.labels = names.labels[:len(names.labels)-1] }()
	}
	switch in.Kind {
	case "statement block":
		b.block(s, in, names)
	case "LOOP":
		s.Body = b.steps(in.Body, names)
	case "WHILE":
		s.SQL = b.expr(in.Query, names)
		s.Body = b.steps(in.Body, names)
	case "FOREACH over array":
		s.SQL = b.expr(in.Query, names)
		b.bad = b.bad || names.list[in.Target] == "" || names.record[in.Target]
		s.Body = b.steps(in.Body, names)
	case "FOR with integer loop variable":
		s.Bounds, s.Reverse = b.exprs(in.Bounds, names), in.Reverse // they see no variable of the loop's
		names.push(in.Target)
		s.Body = b.steps(in.Body, names)
		names.pop()
	case "FOR over SELECT rows":
		s.SQL = b.query(in.Query, names)
		b.bad = b.bad || s.SQL == nil || !s.SQL.gives || s.SQL.lazy || s.SQL.Call != nil
		b.loopOver(s, in, names)
	case "FOR over EXECUTE statement":
		s.SQL, s.Args = b.expr(in.Query, names), b.exprs(in.Args, names)
		b.bad = b.bad || in.Record >= 0 // its fields are known when it runs
		b.loopOver(s, in, names)
	default:
		b.bad = true
	}
}

// block reads BEGIN … END: a variable's default sees those before it.
func (b *routineBuilder) block(s *ProgramStep, in *sqlparse.PLStatement, names *programNames) {
	s.Declared = in.Declared
	names.push()
	for _, v := range in.Declared {
		if d := b.defaults[v]; d != "" {
			names.prog.Vars[v].Default = b.expr(d, names)
		}
		names.scopes[len(names.scopes)-1] = append(names.scopes[len(names.scopes)-1], v)
	}
	s.Body = b.steps(in.Body, names)
	for _, h := range in.Handlers {
		names.push(in.Target, in.Target+1)
		s.Handlers = append(s.Handlers, ProgramHandler{h.Conditions, b.steps(h.Body, names)})
		names.pop()
	}
	names.pop()
}

// fill notes that a statement fills a record. What it holds then is certain if nothing else ever fills it.
func (b *routineBuilder) fill(s *ProgramStep, in *sqlparse.PLStatement, names *programNames) {
	if in.Record < 0 {
		return
	}
	if rec := names.records[in.Record]; rec != nil && rec.Like != "" {
		s.Record = rec // it has the same fields whatever fills it
		return
	}
	s.Record = &ProgramRecord{}
	delete(names.records, in.Record)
	if names.fills[in.Record] == 1 {
		names.records[in.Record] = s.Record
	}
}

// loopOver reads the body of a loop over rows. In it a record holds a row of the loop's, unless the body fills it again.
func (b *routineBuilder) loopOver(s *ProgramStep, in *sqlparse.PLStatement, names *programNames) {
	if rec := names.records[in.Record]; rec != nil && rec.Like != "" {
		s.Record = rec
		s.Body = b.steps(in.Body, names)
		return
	}
	if in.Record >= 0 {
		s.Record = &ProgramRecord{}
		inside := map[int]int{}
		countFills(in.Body, inside)
		b.bad = b.bad || inside[in.Record] > 0
		names.records[in.Record] = s.Record
	}
	s.Body = b.steps(in.Body, names)
	if in.Record >= 0 && names.fills[in.Record] > 1 {
		delete(names.records, in.Record)
	}
}
