package proxy

import (
	"math"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// A statement that falls on one shard names that shard on the server. PostgreSQL plans it with less effort, and keeps the plan
// of a prepared one that is executed again and again, where it would plan one over the partitioned table for every
// execution: each shard makes another statement of it, which all clients share.

// nameShardBytes bounds the texts that are copied to name a shard in them.
const nameShardBytes = 4 << 10

// mayNameShard tells whether a statement can name its shard now. In a transaction that goes on it would hold a lock on the
// partition without one on the table, which schema changes take in the other order.
func (s *Session) mayNameShard(t *router.Template) bool {
	return t.Direct != nil && s.gang.Txn.State == executor.TxnNone && s.planner.private == nil
}

// nameShard makes a simple query that falls on one shard name it.
func (s *Session) nameShard(r *request) {
	t := r.tmpl
	if !s.mayNameShard(t) || r.bind != nil || r.own != nil || r.inside || len(r.text) > nameShardBytes {
		return
	}
	v := s.values(r)
	shard, ok := t.DirectShard(v)
	if !ok {
		return
	}
	n := &s.named
	n.text = t.AppendDirect(n.text[:0], shard, v)
	if n.position == nil {
		n.position = func(p int) int { return mapPosition(string(n.own), string(n.text), p) }
	}
	n.own = r.text
	r.text, r.own, r.table = n.text, n.own, t.Direct.Table.OID
}

// naming is the last simple query that named its shard.
type naming struct {
	own, text []byte
	position  func(int) int // translates an error's position in text into one in own
}

// directAfter is how many executions of a prepared statement name the table itself. PostgreSQL makes five plans for values
// before it considers one for all, too.
const directAfter = 5

// directAfter is how many that is for the session.
func (s *Session) directAfter() int {
	switch mode, _ := s.gang.Settings.Get("plan_cache_mode"); unquoteSetting(mode) {
	case "force_custom_plan":
		return math.MaxInt
	case "force_generic_plan":
		return 0
	}
	return directAfter
}

// directStatements are the statements by shard that a client's has become under one plan.
type directStatements struct {
	of      *router.Template
	byShard []*statement
	uses    int
}

// forget gives them up.
func (d *directStatements) forget() {
	for _, st := range d.byShard {
		if st != nil {
			forgetStatement(st)
		}
	}
	*d = directStatements{}
}

// directly gives the statement that stands for the portal's on m's server: it names the shard that the values fall on. nil
// where the client's own has to be used.
func (s *Session) directly(m *executor.Member, p *portal) *statement {
	st := p.st
	t := st.plan.tmpl
	if !s.mayNameShard(t) || st.name == "" || st.sql || p.name != "" || st.epoch == 0 || s.batch.parse == st {
		return nil
	}
	if !s.readsAlike(st) {
		return nil
	}
	d := &st.direct
	if d.of != t {
		d.forget()
		d.of = t
	}
	if d.uses < s.directAfter() {
		d.uses++
		return nil
	}
	v := &s.vals
	v.Text, v.Lits, v.Params = nil, st.plan.kinds, p.params
	if len(v.Lits) > 0 {
		v.Text = []byte(st.text)
	}
	shard, ok := t.DirectShard(v)
	if !ok {
		return nil
	}
	if d.byShard == nil {
		d.byShard = make([]*statement, t.Direct.Table.Modulus)
	}
	direct := d.byShard[shard]
	if direct == nil {
		v.Text = []byte(st.text)
		direct = internDirect(&statement{name: st.name, text: string(t.AppendDirect(nil, shard, v)), oids: st.oids, epoch: s.planner.env.Schema.Epoch, reading: st.reading})
		d.byShard[shard] = direct
	}
	if !m.Statements.Has(direct.id) && !s.makesRoom(m) {
		return nil
	}
	return direct
}

// makesRoom tells whether m's server may keep one more statement that names a shard. No other one leaves it for that, unless
// it has not been used for long.
func (s *Session) makesRoom(m *executor.Member) bool {
	limit := s.srv.config().Limits.MaxPreparedPerServer
	if m.Statements.Len() < limit {
		return true
	}
	old, stale := m.Statements.Stale(limit)
	if stale {
		s.evict(m, old)
	}
	return stale
}

// ensureDirect is ensureParsed for what directly gave.
func (s *Session) ensureDirect(m *executor.Member, direct *statement, own string) (name string) {
	if !m.Statements.Has(direct.id) {
		s.prepareDirect(m, direct, executor.Owed{Position: func(at int) int { return mapPosition(own, direct.text, at) }})
	}
	return backend.StatementName(direct.id)
}

// prepareDirect composes the Parse of a statement that names a shard; owed says how errors about it are treated.
func (s *Session) prepareDirect(m *executor.Member, direct *statement, owed executor.Owed) {
	m.Out = wire.Parse(m.Out, backend.StatementName(direct.id), direct.text, m.OIDs(direct.oids))
	m.Extended = true
	owed.Msg, owed.Reply, owed.Statement = 'P', executor.Quiet, direct.id
	m.Queue.Push(owed)
	m.Statements.Add(direct.id, 0)
}
