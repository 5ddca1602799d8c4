package router

import (
	"errors"

	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// Values are what one execution of a template brings: the statement's own text with its literals, and parameters.
// Not safe for concurrent use; reuse one to spare allocations.
type Values struct {
	Text []byte             // a text with the template's key
	Lits []sqlparse.Literal // as the Scanner found them in Text
	// Params are $1 and on. TypeOID is the type the client declared, 0 when it left it open.
	Params []shardmap.Value

	scratch []byte // decoded literals of the tuple at hand
	vals    [8]shardmap.Value
}

// Backends tells on which backends of m the statement must run, by their indexes. home is the home backend's index. The
// set is never empty: where no row can match, home answers. A set of several backends is only legal with Scatter (for
// KindShards) or for KindEverywhere and KindCopyOut; else NoScatter is the answer to the client.
//
// Errors: *pgerr.Error for the client; shardmap.ErrNotProvable for an INSERT whose key PostgreSQL must evaluate first
// (Insert is set: evaluate its key cells on home, then KeyBackend); shardmap's errors for a map of another epoch.
func (t *Template) Backends(m *shardmap.Map, home int, v *Values) (shardmap.ShardSet, error) {
	var out shardmap.ShardSet
	switch t.Kind {
	case KindEverywhere:
		if t.ReadsPresent(v) {
			return out, refClockWords
		}
		return m.Present(), nil
	case KindShards, KindCopyOut:
	default:
		out.Add(uint32(home))
		return out, nil
	}
	var union shardmap.ShardSet
	for i := range t.Prune {
		set, err := t.prunerBackends(m, &t.Prune[i], v)
		if err != nil {
			return out, err
		}
		union.Union(&set)
		if t.Together && i > 0 {
			out.Intersect(&set)
		} else {
			out.Union(&set)
		}
	}
	if out.Empty() {
		out.Add(uint32(home))
	}
	if t.Gather != nil || t.Copy != nil && t.Copy.Inner != nil && t.Copy.Inner.Gather != nil || t.InsertQuery != nil || t.Prelude != nil || t.LockRows != nil || t.LockPick != nil {
		return t.gatherBackends(m, home, &out, &union, v)
	}
	return out, t.checkBackends(m, home, &out, v)
}

// gatherBackends are the backends of a statement that can gather: one that can answer it alone, or all that have rows.
func (t *Template) gatherBackends(m *shardmap.Map, home int, set, union *shardmap.ShardSet, v *Values) (shardmap.ShardSet, error) {
	one, single := set.Single()
	if single && t.KeyTo != nil {
		to, err := t.prunerBackends(m, t.KeyTo, v)
		if err != nil && !errors.Is(err, shardmap.ErrNotProvable) {
			return *set, err
		}
		if err != nil || !to.Equal(set) {
			return m.Present(), nil // the row leaves its backend
		}
	}
	if single && (!t.NeedsHome || int(one) == home) {
		return *set, nil
	}
	if t.Scatter != nil && !t.NeedsHome {
		return *set, nil
	}
	if t.ReadsPresent(v) {
		return *set, refClockWords
	}
	union.Add(uint32(home))
	return *union, nil
}

// checkBackends applies what depends on which backends were found.
func (t *Template) checkBackends(m *shardmap.Map, home int, set *shardmap.ShardSet, v *Values) error {
	one, single := set.Single()
	if t.NeedsHome && (!single || int(one) != home) {
		return t.NoScatter
	}
	if t.KeyTo != nil {
		to, err := t.prunerBackends(m, t.KeyTo, v)
		if err != nil && !errors.Is(err, shardmap.ErrNotProvable) {
			return err
		}
		if err != nil || !single || !to.Equal(set) {
			return refKeyUpdate
		}
	}
	if !single && t.ReadsPresent(v) {
		return refClockWords
	}
	return nil
}

// GatherOwners are the backends that the final statement of a gather with a Target runs on.
func (t *Template) GatherOwners(m *shardmap.Map, home int, v *Values) (shardmap.ShardSet, error) {
	set, err := t.prunerBackends(m, t.Gather.Target, v)
	if err == nil && set.Empty() {
		set.Add(uint32(home))
	}
	return set, err
}

// certain is true where a shard that cannot be told must be evaluated by PostgreSQL first: no other backend may get the
// row.
func (t *Template) certain(p *Pruner) bool { return t.Insert != nil && p.Stores || p == t.KeyTo }

// prunerBackends is the backends of one sharded relation.
func (t *Template) prunerBackends(m *shardmap.Map, p *Pruner, v *Values) (shardmap.ShardSet, error) {
	group := shardmap.GroupID(p.Table.Group)
	var shards shardmap.ShardSet
	all := p.All
	for i := range p.Tuples {
		if all {
			break
		}
		err := v.addShards(p.Table, p.Tuples[i], p.Stores, &shards)
		switch {
		case err == nil:
		case errors.Is(err, shardmap.ErrNotProvable):
			if t.certain(p) {
				return shards, err
			}
			all = true
		case isInvalid(err):
			// PostgreSQL refuses the value wherever the statement runs.
		default:
			return shards, err
		}
	}
	if all {
		n, ok := m.Modulus(group)
		if !ok {
			return shards, shardmap.ErrUnknownGroup
		}
		shards = shardmap.AllShards(n)
	}
	return m.Backends(group, &shards)
}

func isInvalid(err error) bool {
	var text *shardmap.InvalidTextError
	var binary *shardmap.InvalidBinaryError
	return errors.As(err, &text) || errors.As(err, &binary)
}

// addShards adds the shards of one tuple. A NULL compared selects nothing; a NULL stored is a key like others.
func (v *Values) addShards(t *Table, tuple KeyTuple, stores bool, set *shardmap.ShardSet) error {
	if len(tuple) != len(t.KeyCols) || len(tuple) > len(v.vals) {
		return shardmap.ErrNotProvable
	}
	v.scratch = v.scratch[:0]
	for i := range tuple {
		if tuple[i].Array {
			return v.addArrays(t, tuple, set)
		}
		val, err := v.value(&tuple[i])
		if err != nil {
			return err
		}
		if val.Null && !stores {
			return nil
		}
		v.vals[i] = val
	}
	return v.addShard(t, v.vals[:len(tuple)], stores, set)
}

func (v *Values) addShard(t *Table, vals []shardmap.Value, stores bool, set *shardmap.ShardSet) error {
	if stores {
		for i := range vals {
			if !vals[i].Null && !shardmap.StoresUnchanged(t.KeyCols[i], t.Columns[t.Key[i]].Typmod, &vals[i]) {
				return shardmap.ErrNotProvable
			}
		}
	}
	n, err := shardmap.ShardOf(t.KeyCols, vals, t.Modulus)
	if err != nil {
		return err
	}
	set.Add(n)
	return nil
}

// value reads one key value. Data is borrowed from the parameters, the template or v.scratch.
func (v *Values) value(k *KeyValue) (shardmap.Value, error) {
	switch k.Source {
	case SourceNull:
		return shardmap.Value{Null: true}, nil
	case SourceConst:
		return shardmap.Value{Data: k.Const, TypeOID: k.TypeOID}, nil
	case SourceParam:
		if k.Index >= len(v.Params) {
			return shardmap.Value{}, shardmap.ErrNotProvable
		}
		p := v.Params[k.Index]
		if k.Declared && p.TypeOID == 0 && !p.Null {
			return p, shardmap.ErrNotProvable
		}
		switch {
		case k.TypeOID == 0 || p.TypeOID == k.TypeOID:
		case p.TypeOID == 0:
			p.TypeOID = k.TypeOID
		case isIntegerOID(p.TypeOID) && isIntegerOID(k.TypeOID):
			// A cast among integers keeps the value, or fails wherever it runs.
		default:
			return p, shardmap.ErrNotProvable
		}
		return p, nil
	}
	if k.Index >= len(v.Lits) {
		return shardmap.Value{}, shardmap.ErrNotProvable
	}
	start := len(v.scratch)
	if k.Negated {
		v.scratch = append(v.scratch, '-')
	}
	out, ok := sqlparse.LiteralValue(v.Text, v.Lits[k.Index], v.scratch)
	if !ok {
		return shardmap.Value{}, shardmap.ErrNotProvable
	}
	v.scratch = out
	return shardmap.Value{Data: out[start:len(out):len(out)], TypeOID: k.TypeOID}, nil
}

// RowBackend tells which backend of m takes row i. ErrNotProvable: a key cell must be evaluated on home first, then
// KeyBackend tells.
func (in *Insert) RowBackend(m *shardmap.Map, i int, v *Values) (uint16, error) {
	n := len(in.Table.Key)
	if n > len(v.vals) {
		return 0, shardmap.ErrNotProvable
	}
	for k := range n {
		v.vals[k] = shardmap.Value{Null: true}
	}
	for _, c := range in.Missing {
		for _, k := range in.Table.Key {
			if c == k {
				return 0, shardmap.ErrNotProvable
			}
		}
	}
	v.scratch = v.scratch[:0]
	for j := range in.Rows[i].Cells {
		c := &in.Rows[i].Cells[j]
		if c.Key < 0 {
			continue
		}
		if c.Value == nil || c.Eval {
			return 0, shardmap.ErrNotProvable
		}
		val, err := v.value(c.Value)
		if err != nil {
			return 0, err
		}
		v.vals[c.Key] = val
	}
	return in.Table.backendOf(m, v.vals[:n], false)
}

// KeyBackend tells which backend of m takes a row with these values, in the order of Table.Key, as PostgreSQL has
// cast them to their columns' types.
func (in *Insert) KeyBackend(m *shardmap.Map, vals []shardmap.Value) (uint16, error) {
	return in.Table.KeyBackend(m, vals)
}

// KeyBackend tells which backend of m takes a row with these key values, as they are stored. Errors as shardmap.ShardOf.
func (t *Table) KeyBackend(m *shardmap.Map, vals []shardmap.Value) (uint16, error) {
	return t.backendOf(m, vals, true)
}

// backendOf gives ErrNotProvable, too, when the values are not stored yet and the column would store another one (char(n),
// numeric scale).
func (t *Table) backendOf(m *shardmap.Map, vals []shardmap.Value, stored bool) (uint16, error) {
	var set shardmap.ShardSet
	var v Values
	if err := v.addShard(t, vals, !stored, &set); err != nil {
		return 0, err
	}
	shard, _ := set.Single()
	b, ok := m.Owner(shardmap.GroupID(t.Group), shard)
	if !ok {
		return 0, shardmap.ErrUnknownGroup
	}
	return b, nil
}
