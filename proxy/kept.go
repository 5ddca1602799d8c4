package proxy

import (
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router"
)

// The parts of a prepared statement that runs on several backends are other texts there than the client's. The servers keep
// those as prepared statements of their own, which all clients share: PostgreSQL parses them once, and finds one plan for all
// values good enough or not, as it does with the client's.

// keptText is the text that a prepared statement's parts have, for as long as it stays the same: values that stand in it, such
// as those of LIMIT, make it another one.
type keptText struct {
	of   *router.Template
	uses int
	text string
	st   *statement
	sort *executor.SortColumns // of the text's result, once known
}

// forget gives it up.
func (k *keptText) forget() {
	if k.st != nil {
		forgetStatement(k.st)
	}
	*k = keptText{}
}

// kept is what is remembered of the text that r's parts have, oids being its parameters' types; nil where r is not what a client
// has prepared, or would be read in another way now.
func (s *Session) kept(r *request, text string, oids []uint32) *keptText {
	st := r.prepared()
	if st == nil || st.epoch == 0 || r.take != nil || s.planner.private != nil || !s.readsAlike(st) {
		return nil
	}
	k := &st.kept
	if k.of != r.tmpl || k.text != text {
		k.forget()
		k.of, k.text = r.tmpl, text
	}
	if k.uses < s.directAfter() {
		k.uses++
		return k
	}
	if k.st == nil {
		k.st = internDirect(&statement{name: st.name, text: text, oids: oids, epoch: s.planner.env.Schema.Epoch, reading: st.reading})
	}
	return k
}

// id is the statement's that servers keep, 0 for none so far.
func (k *keptText) id() uint64 {
	if k == nil || k.st == nil {
		return 0
	}
	return k.st.id
}
