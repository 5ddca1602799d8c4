package proxy

import (
	"strings"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// runSetConfig is a SELECT that calls set_config: what it sets follows the session as SET does. The server is asked for
// the new values, since it may have changed their spelling.
func (s *Session) runSetConfig(r *request) error {
	s.openPipeline()
	failed := s.batch.failed
	s.batch.failed = false
	err := s.forward(r, s.db.home)
	ok := !s.batch.failed
	s.batch.failed = s.batch.failed || failed
	if err != nil || !ok {
		return err
	}
	for i := range r.tmpl.SetConfig {
		if err := s.followSetConfig(r, &r.tmpl.SetConfig[i]); err != nil {
			return err
		}
	}
	s.planner.stale()
	return nil
}

func (s *Session) followSetConfig(r *request, c *router.SetConfig) error {
	name, okName := constantText(r, c.Name)
	local, okLocal := constantText(r, c.Local)
	inTxn := s.gang.Txn.State != executor.TxnNone
	isLocal := isOn(local) || local == "\x01"
	m := s.gang.Member(s.db.home)
	if !okName || !okLocal || m == nil || isLocal && !inTxn {
		return nil
	}
	name = strings.ToLower(name)
	rows, errFrame, err := m.Ask("SELECT pg_catalog.current_setting(" + quoteLiteral(name) + ")")
	switch {
	case err != nil:
		return s.lost(err)
	case errFrame != nil:
		s.failFrame(errFrame)
		return nil
	case len(rows) != 1 || rows[0][0] == nil:
		return nil
	}
	value := settingValue(name, string(rows[0][0]))
	if inTxn {
		if err := s.followInTransaction(m, name, value, isLocal); err != nil || s.batch.failed {
			return err
		}
	}
	if !isLocal {
		s.gang.Settings = s.gang.Settings.With(name, value)
		if !inTxn {
			m.Conn.Settings = s.gang.Settings.ID
		}
	}
	return nil
}

// followInTransaction sets it on the backends that have joined the transaction, and on those that will.
func (s *Session) followInTransaction(first *executor.Member, name, value string, local bool) error {
	word := "SET "
	if local {
		word = "SET LOCAL "
	}
	sql := word + quoteSetting(name) + " TO " + value
	for _, m := range s.gang.Members() {
		if m == first || !m.Began {
			continue
		}
		m.Internal(sql)
		if err := s.relay(m); err != nil || s.batch.failed {
			return err
		}
	}
	s.gang.Txn.NoteSetting(sql)
	return nil
}

// quoteSetting quotes each part of a setting's name.
func quoteSetting(name string) string {
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = quoteIdent(parts[i])
	}
	return strings.Join(parts, ".")
}

// constantText reads a constant argument; false when it is none.
func constantText(r *request, v router.KeyValue) (string, bool) {
	switch v.Source {
	case router.SourceConst:
		return string(v.Const), true
	case router.SourceLiteral:
		if v.Index >= len(r.kinds) {
			return "", false
		}
		b, ok := sqlparse.LiteralValue(r.text, r.kinds[v.Index], nil)
		return string(b), ok
	case router.SourceParam:
		if v.Index >= len(r.params) || r.params[v.Index].Null {
			return "", false
		}
		p := r.params[v.Index]
		if p.Format == shardmap.Binary && len(p.Data) == 1 && p.Data[0] == 0 {
			return "off", true // a boolean
		}
		return string(p.Data), true
	}
	return "", false
}
