package proxy

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router"
)

// A text of the simple protocol that reads or writes one row by its primary key, and that comes again and again with other
// values, becomes a prepared statement of its shard: the server neither parses nor plans it any longer. Where that goes wrong in
// a way that has to do with the text, the client's own runs as if nothing had been.

// points are the prepared statements that texts with one plan have become. All sessions use them.
type points struct {
	off      atomic.Bool // the texts differ in more than what can be a parameter
	mu       sync.Mutex  // held to add to variants
	variants atomic.Pointer[[]*pointVariant]
}

// maxVariants bounds the variants of one plan.
const maxVariants = 8

// pointVariant is the texts that are alike but for the values of their parameters.
type pointVariant struct {
	fixed   []byte   // how constants are read, and what stays of their literals
	types   []uint32 // of the parameters
	uses    atomic.Uint32
	off     atomic.Bool // the server does not take it, or a constant of it is not the same at all times
	byShard []atomic.Pointer[statement]
}

// variant is the one that a text belongs to.
func (p *points) variant(modulus uint32, types []uint32, fixed []byte) *pointVariant {
	if v := find(p.variants.Load(), types, fixed); v != nil {
		return v
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.variants.Load()
	if v := find(known, types, fixed); v != nil {
		return v
	}
	var all []*pointVariant
	if known != nil {
		all = *known
	}
	if len(all) == maxVariants {
		p.off.Store(true)
		p.variants.Store(nil)
		return nil
	}
	v := &pointVariant{fixed: bytes.Clone(fixed), types: slices.Clone(types), byShard: make([]atomic.Pointer[statement], modulus)}
	v.off.Store(readsPresent(fixed))
	all = append(slices.Clone(all), v)
	p.variants.Store(&all)
	return v
}

func find(all *[]*pointVariant, types []uint32, fixed []byte) *pointVariant {
	if all == nil {
		return nil
	}
	for _, v := range *all {
		if bytes.Equal(v.fixed, fixed) && slices.Equal(v.types, types) {
			return v
		}
	}
	return nil
}

// often counts a use, and tells whether there have been more than so many.
func (v *pointVariant) often(after int) bool {
	n := int64(v.uses.Load())
	if n <= directAfter {
		n = int64(v.uses.Add(1))
	}
	return n > int64(after)
}

// pointing is what a session needs to run texts so.
type pointing struct {
	types []uint32
	bytes []byte
}

// point is the prepared statement that a simple query is an execution of; nil where it is none.
func (s *Session) point(r *request) (*pointVariant, *statement) {
	t := r.tmpl
	if r.points == nil || r.points.off.Load() || !s.mayNameShard(t) || r.own != nil || r.inside || len(r.text) > nameShardBytes {
		return nil, nil
	}
	v, at := s.values(r), t.Direct.Point
	var ok bool
	if s.pointing.types, ok = at.AppendTypes(s.pointing.types[:0], v); !ok {
		return nil, nil
	}
	reading, _ := s.reading() // that of all constants but the parameters
	s.pointing.bytes = at.AppendFixed(binary.AppendUvarint(s.pointing.bytes[:0], reading.ID), v)
	variant := r.points.variant(t.Direct.Table.Modulus, s.pointing.types, s.pointing.bytes)
	if variant == nil || variant.off.Load() || !variant.often(s.directAfter()) {
		return nil, nil
	}
	shard, ok := t.DirectShard(v)
	if !ok {
		return nil, nil
	}
	st := variant.byShard[shard].Load()
	if st == nil {
		made := &statement{id: statementIDs.next.Add(1), text: string(t.AppendPoint(nil, shard, v)), oids: variant.types}
		if !variant.byShard[shard].CompareAndSwap(nil, made) {
			made = variant.byShard[shard].Load()
		}
		st = made
	}
	return variant, st
}

// appendParams appends the parameters of a Bind, in text, and that of its results.
func appendParams(dst []byte, t *router.Template, v *router.Values, n int) (tail []byte, ok bool) {
	dst = binary.BigEndian.AppendUint16(append(dst, 0, 0), uint16(n))
	for i := range n {
		length := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		if dst, ok = t.Direct.Point.AppendValue(dst, i, v); !ok {
			return dst, false
		}
		binary.BigEndian.PutUint32(dst[length:], uint32(len(dst)-length-4))
	}
	return append(dst, 0, 0), true
}

// runPoint runs a simple query on backend b as the prepared statement that it is an execution of. done is false where the text
// itself has to run; nothing has happened then.
func (s *Session) runPoint(r *request, b int) (done bool, err error) {
	variant, st := s.point(r)
	if st == nil {
		return false, nil
	}
	tail, ok := appendParams(s.pointing.bytes[:0], r.tmpl, s.values(r), len(variant.types))
	s.pointing.bytes = tail
	if !ok {
		return false, nil
	}
	m, err := s.join(r.tmpl, b)
	if err != nil || !m.Statements.Has(st.id) && !s.makesRoom(m) {
		return false, nil
	}
	s.effect(r.tmpl, m)
	name := backend.StatementName(st.id)
	if !m.Statements.Has(st.id) {
		s.prepareDirect(m, st, executor.Owed{Again: true})
	}
	m.RunPrepared(name, tail, r.tmpl.Returns, r.tmpl.Direct.Table.OID)
	m.Shift, m.Unseen = utf8.RuneCount(r.before), true
	o, err := executor.Relay(m, s.out, s)
	m.Shift, m.Unseen = 0, false
	if err != nil || o.Again == 0 {
		return true, s.relayed(m, &o, err)
	}
	switch {
	case o.Again == 'P':
		variant.off.Store(true)
	case string(o.Code[:2]) == "26": // the server has dropped it
		m.Statements.Remove(st.id)
	}
	return false, nil
}
