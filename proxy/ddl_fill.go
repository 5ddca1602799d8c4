package proxy

import (
	"bytes"
	"encoding/binary"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// runFill brings the rows into the table that a CREATE TABLE AS over sharded tables has just made: an INSERT, planned from
// the schema as this transaction has changed it. What it answers is the statement's answer, but for the tag's first word.
func (s *Session) runFill(r *request, f *router.Fill) error {
	if f.Refresh != nil {
		return s.runRefresh(r, f.Refresh)
	}
	home, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	s.effect(r.tmpl, home)
	if r.tmpl.DDL.ChangesSchema {
		s.planner.schemaChanged()
	}
	fill, err := s.fillRequest(home, f.Target, f.Query)
	if fill == nil {
		return err
	}
	out := s.out
	var held bytes.Buffer
	s.out = wire.NewWriter(&held)
	err = s.run(fill)
	if e := s.out.Flush(); err == nil {
		err = e
	}
	s.out = out
	out.Out = appendSelected(out.Out, held.Bytes())
	return err
}

// createOfPrepared runs CREATE TABLE AS EXECUTE: with the prepared statement's query in its place.
func (s *Session) createOfPrepared(r *request, p *router.Prepared) error {
	st := s.stmts[p.Name]
	if st == nil {
		s.fail(noStatement(p.Name))
		return nil
	}
	switch t := s.replan(st).tmpl; {
	case t.Kind == router.KindRefuse:
		s.fail(t.Refusal)
		return nil
	case max(t.NParams, st.typeCount()) > 0:
		s.fail(wrongParameters(st, max(t.NParams, st.typeCount()), 0))
		return nil
	case t.Command != "SELECT":
		s.fail(pgerr.New(pgerr.WrongObjectType, "prepared statement is not a SELECT"))
		return nil
	}
	next := *r
	next.text = []byte(p.Text(st.text))
	plan := s.planOwned(next.text)
	next.tmpl, next.lits, next.kinds = plan.tmpl, plan.lits, plan.kinds
	return s.run(&next)
}

// appendSelected appends frames with the tag of an INSERT written as that of a SELECT.
func appendSelected(out, frames []byte) []byte {
	for len(frames) >= 5 {
		n := 1 + int(binary.BigEndian.Uint32(frames[1:]))
		frame := frames[:n]
		frames = frames[n:]
		if count, ok := bytes.CutPrefix(frame[5:], []byte("INSERT 0 ")); ok && frame[0] == 'C' {
			out = wire.CommandComplete(out, "SELECT "+string(bytes.TrimSuffix(count, []byte{0})))
			continue
		}
		out = append(out, frame...)
	}
	return out
}
