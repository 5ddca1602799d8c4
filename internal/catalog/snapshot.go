package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// SnapshotSQL reads the whole schema as one JSON text, for DecodeSnapshot. Any role may run it on home, also inside its
// own transaction, whose uncommitted changes it then shows.
const SnapshotSQL = "SELECT pleiad.snapshot()::text"

// Querier runs a statement that gives one value and returns it as text.
type Querier interface {
	QueryText(ctx context.Context, sql string) ([]byte, error)
}

// LoadSnapshot reads the schema in one round trip. The caller sets Epoch to 0 if the connection's transaction
// has changed the schema.
func LoadSnapshot(ctx context.Context, q Querier) (*router.Schema, error) {
	text, err := q.QueryText(ctx, SnapshotSQL)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return DecodeSnapshot(text)
}

// snapshot is what pleiad.snapshot() writes: objects of columns, each an array with an element a row, null
// where there is no row.
type snapshot struct {
	Epoch    uint64   `json:"epoch"`
	Database string   `json:"database"`
	Schemas  []string `json:"schemas"`
	Rels     struct {
		OID        []uint32 `json:"oid"`
		Nsp        []string `json:"nsp"`
		Name       []string `json:"name"`
		Owner      []string `json:"owner"`
		Kind       []string `json:"kind"`
		Rules      []bool   `json:"rules"`
		Nothing    []string `json:"nothing"` // pg_rewrite.ev_type of events whose every rule is DO INSTEAD NOTHING
		RLS        []bool   `json:"rls"`
		Group      []int    `json:"group"`
		Reference  []bool   `json:"reference"`
		Everywhere []bool   `json:"everywhere"`
		Partition  []bool   `json:"partition"`
		Children   []bool   `json:"children"`
		Unlogged   []bool   `json:"unlogged"`
		Ungranted  []bool   `json:"ungranted"`
		Found      []bool   `json:"found"` // everybody may use its schema
		Sync       []bool   `json:"sync"`
		Key        []string `json:"key"`
		Def        []string `json:"def"`
	} `json:"rels"`
	Cols struct {
		Rel       []uint32 `json:"rel"`
		Num       []int16  `json:"num"`
		Name      []string `json:"name"`
		Type      []uint32 `json:"type"`
		Typmod    []int32  `json:"typmod"`
		Typname   []string `json:"typname"`
		Coll      []string `json:"coll"`
		NotNull   []bool   `json:"notnull"`
		Def       []string `json:"def"`
		Vol       []string `json:"vol"`
		Identity  []string `json:"identity"`
		Generated []bool   `json:"generated"`
	} `json:"cols"`
	Indexes struct {
		Nsp     []string `json:"nsp"`
		Name    []string `json:"name"`
		Rel     []uint32 `json:"rel"`
		Primary []bool   `json:"primary"`
		Key     []string `json:"key"`
		Unique  []string `json:"unique"` // Key of unique and exclusion indexes; "0" where it depends on more than columns
	} `json:"indexes"`
	Triggers struct {
		Rel        []uint32 `json:"rel"`
		Name       []string `json:"name"`
		Func       []uint32 `json:"func"`
		Type       []int16  `json:"type"`
		Constraint []bool   `json:"constraint"`
	} `json:"triggers"`
	Policies struct {
		Rel  []uint32 `json:"rel"`
		Expr []string `json:"expr"`
	} `json:"policies"`
	FKs struct {
		Rel  []uint32 `json:"rel"`
		Ref  []uint32 `json:"ref"`
		Acts []bool   `json:"acts"` // a change of the referenced row changes the referencing one
		Dels []bool   `json:"dels"` // a DELETE of it does
		Key  []string `json:"key"`  // the referenced columns' attnums
	} `json:"fks"`
	Functions struct {
		OID   []uint32     `json:"oid"`
		Nsp   []string     `json:"nsp"`
		Name  []string     `json:"name"`
		Kind  []string     `json:"kind"`
		Vol   []string     `json:"vol"`
		Lang  []string     `json:"lang"`
		Set   []bool       `json:"set"`
		NArgs []int        `json:"nargs"`
		Body  []string     `json:"body"`
		Ext   []string     `json:"ext"`
		Sig   []*signature `json:"sig"`   // nil but for functions and procedures in SQL and PL/pgSQL
		Trans []string     `json:"trans"` // aggregates: oids of their support functions
	} `json:"functions"`
	Types struct {
		Nsp  []string `json:"nsp"`
		Name []string `json:"name"`
		OID  []uint32 `json:"oid"`
		Rel  []uint32 `json:"rel"` // row types: their relation
		Elem []uint32 `json:"elem"`
		// Loose types are those that values of other types, or literals, can become by themselves.
		Loose []bool `json:"loose"`
		// Unranked types are neither enums nor domains over built-in types.
		Unranked []bool `json:"unranked"`
	} `json:"types"`
	// Reach has the edges between what is named and what it runs: see reach.go.
	Reach struct {
		Kind    []string `json:"kind"`
		OID     []uint32 `json:"oid"`
		Sub     []int16  `json:"sub"`
		RefKind []string `json:"refkind"`
		Ref     []uint32 `json:"ref"`
	} `json:"reach"`
	Operators struct {
		OID    []uint32 `json:"oid"`
		Name   []string `json:"name"`
		Left   []uint32 `json:"left"`
		Right  []uint32 `json:"right"`
		Fns    []string `json:"fns"`    // oids of its functions
		Shared []bool   `json:"shared"` // a built-in operator has the same name
	} `json:"operators"`
	Opclasses struct {
		OID     []uint32 `json:"oid"`
		Type    []uint32 `json:"type"`
		Family  []uint32 `json:"family"`
		Default []bool   `json:"default"`
	} `json:"opclasses"`
	Casts struct {
		From     []uint32 `json:"from"`
		To       []uint32 `json:"to"`
		Func     []uint32 `json:"func"`
		Implicit []bool   `json:"implicit"`
	} `json:"casts"`
	Unsafe struct { // built-in functions that operators, casts and expressions may call
		OID  []uint32 `json:"oid"`
		Name []string `json:"name"`
	} `json:"unsafe"`
	Views struct {
		View []uint32 `json:"view"`
		Rels []string `json:"rels"` // oids of relations the view reads
	} `json:"views"`
	System struct {
		OID  []uint32 `json:"oid"`
		Nsp  []string `json:"nsp"`
		Name []string `json:"name"`
		Kind []string `json:"kind"`
	} `json:"system"`
	Groups struct {
		ID       []int    `json:"id"`
		Types    []string `json:"types"`
		Families []string `json:"families"`
		Owners   []string `json:"owners"`
	} `json:"groups"`
	Backends struct {
		ID     []int     `json:"id"`
		Name   []string  `json:"name"`
		Home   []bool    `json:"home"`
		Weight []float64 `json:"weight"`
		Absent []bool    `json:"absent"`
	} `json:"backends"`
}

// DecodeSnapshot turns SnapshotSQL's answer into a Schema.
func DecodeSnapshot(text []byte) (*router.Schema, error) {
	var in snapshot
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("decode schema: %w", err)
	}
	d := &decoder{in: &in, out: &router.Schema{
		Epoch: in.Epoch, Database: in.Database, Home: -1,
		Relations: map[string]map[string]*router.Table{},
		Indexes:   map[string]map[string]uint32{},
		ByOID:     map[uint32]*router.Table{},
		Functions: map[string][]*router.Function{},
		Types:     map[string]uint32{},
		Unranked:  map[uint32]bool{},
	}, groups: map[int][]shardmap.KeyColumn{}}
	for _, step := range []func() error{d.shardMap, d.relations, d.columns, d.indexes, d.functions, d.views, d.rest, d.reach} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("decode schema: %w", err)
		}
	}
	return d.out, nil
}

type decoder struct {
	in             *snapshot
	out            *router.Schema
	groups         map[int][]shardmap.KeyColumn
	functionsByOID map[uint32]*router.Function
	viewReads      map[uint32][]uint32 // view → relations
	looseTypes     map[uint32]bool     // see byName
}

func (d *decoder) shardMap() error {
	b, g := &d.in.Backends, &d.in.Groups
	infos := make([]shardmap.BackendInfo, len(b.ID))
	for i, id := range b.ID {
		if id != i {
			return fmt.Errorf("backend %q has id %d where %d was expected", b.Name[i], id, i)
		}
		infos[i] = shardmap.BackendInfo{Name: b.Name[i], Weight: b.Weight[i], Absent: i < len(b.Absent) && b.Absent[i]}
		if b.Home[i] {
			d.out.Home = i
		}
	}
	if d.out.Home < 0 {
		return fmt.Errorf("no backend is home")
	}
	owners := map[shardmap.GroupID][]uint16{}
	for i, id := range g.ID {
		o, err := numbers[uint16](g.Owners[i])
		if err != nil {
			return err
		}
		types, err := numbers[uint32](g.Types[i])
		if err != nil {
			return err
		}
		families, err := numbers[uint8](g.Families[i])
		if err != nil {
			return err
		}
		key := make([]shardmap.KeyColumn, len(types))
		for k := range types {
			key[k] = shardmap.KeyColumn{TypeOID: types[k], Family: shardmap.Family(families[k])}
		}
		owners[shardmap.GroupID(id)], d.groups[id] = o, key
		d.out.Groups = append(d.out.Groups, router.Group{ID: id, Key: key, Modulus: uint32(len(o))})
	}
	m, err := shardmap.New(d.in.Epoch, infos, owners)
	d.out.Map = m
	return err
}

func (d *decoder) relations() error {
	for _, s := range d.in.Schemas {
		d.out.Relations[s] = map[string]*router.Table{}
	}
	r := &d.in.Rels
	for i, oid := range r.OID {
		t := &router.Table{
			OID: oid, Schema: r.Nsp[i], Name: r.Name[i], Owner: r.Owner[i], Relkind: r.Kind[i][0],
			HasRules: r.Rules[i], Nothing: r.Nothing[i], RLS: r.RLS[i], Unlogged: r.Unlogged[i], Sync: r.Sync[i], Definition: r.Def[i], Everywhere: r.Everywhere[i],
			Partition: r.Partition[i], Children: r.Children[i], Ungranted: r.Ungranted[i], Found: r.Found[i],
		}
		t.Kind = relationKind(t.Relkind, r.Group[i], r.Reference[i])
		if t.Kind == router.TableSharded {
			t.Group = r.Group[i]
			t.Modulus, _ = d.out.Map.Modulus(shardmap.GroupID(t.Group))
		}
		d.out.Relations[t.Schema][t.Name] = t
		d.out.ByOID[oid] = t
	}
	s := &d.in.System
	for i, oid := range s.OID {
		t := &router.Table{OID: oid, Schema: s.Nsp[i], Name: s.Name[i], Kind: router.TableSystem, Relkind: s.Kind[i][0]}
		if d.out.Relations[t.Schema] == nil {
			d.out.Relations[t.Schema] = map[string]*router.Table{}
		}
		d.out.Relations[t.Schema][t.Name] = t
		d.out.ByOID[oid] = t
	}
	return nil
}

func relationKind(relkind byte, group int, reference bool) router.TableKind {
	switch {
	case group != 0:
		return router.TableSharded
	case reference:
		return router.TableReference
	case relkind == 'v':
		return router.TableView
	case relkind == 'S':
		return router.TableSequence
	}
	return router.TableLocal
}

func (d *decoder) columns() error {
	c := &d.in.Cols
	for i, rel := range c.Rel {
		t := d.out.ByOID[rel]
		t.Columns = append(t.Columns, router.Column{
			Name: c.Name[i], Attnum: c.Num[i], TypeOID: c.Type[i], Typmod: c.Typmod[i], TypeName: c.Typname[i],
			Collation: c.Coll[i], NotNull: c.NotNull[i], Default: c.Def[i], DefaultVol: volatility(c.Vol[i], c.Def[i]),
			Identity: first(c.Identity[i]), Generated: c.Generated[i],
		})
	}
	for i, oid := range d.in.Rels.OID {
		t := d.out.ByOID[oid]
		if t.Kind != router.TableSharded {
			continue
		}
		key, err := positions(t, d.in.Rels.Key[i])
		if err != nil {
			return err
		}
		t.Key, t.KeyCols = key, make([]shardmap.KeyColumn, len(key))
		for k, pos := range key {
			t.KeyCols[k] = shardmap.KeyColumn{TypeOID: t.Columns[pos].TypeOID, Family: d.groups[t.Group][k].Family}
		}
	}
	return nil
}

func volatility(vol, def string) byte {
	if def == "" {
		return 0
	}
	return first(vol)
}

// positions turns a list of attribute numbers as PostgreSQL prints int2vector into positions in Columns.
func positions(t *router.Table, attnums string) ([]int, error) {
	nums, err := numbers[int16](attnums)
	if err != nil {
		return nil, err
	}
	out := make([]int, 0, len(nums))
	for _, n := range nums {
		found := false
		for i := range t.Columns {
			if t.Columns[i].Attnum == n {
				out, found = append(out, i), true
			}
		}
		if !found {
			return nil, fmt.Errorf("%s.%s has no column number %d", t.Schema, t.Name, n)
		}
	}
	return out, nil
}

func (d *decoder) indexes() error {
	x := &d.in.Indexes
	for i, rel := range x.Rel {
		if d.out.Indexes[x.Nsp[i]] == nil {
			d.out.Indexes[x.Nsp[i]] = map[string]uint32{}
		}
		d.out.Indexes[x.Nsp[i]][x.Name[i]] = rel
		t := d.out.ByOID[rel]
		switch unique := x.Unique[i]; unique {
		case "":
		case "0":
			t.UniqueBy = append(t.UniqueBy, -1)
		default:
			columns, err := positions(t, unique)
			if err != nil {
				return err
			}
			t.UniqueBy = append(t.UniqueBy, columns...)
		}
		if x.Primary[i] {
			key, err := positions(t, x.Key[i])
			if err != nil {
				return err
			}
			t.PrimKey = key
		}
	}
	return nil
}

// rest fills what hangs on relations: triggers, policies, foreign keys; and the types.
func (d *decoder) rest() error {
	p := &d.in.Policies
	for i, rel := range p.Rel {
		t := d.out.ByOID[rel]
		if t.RLSExprs != "" {
			t.RLSExprs += router.RLSSeparator
		}
		t.RLSExprs += p.Expr[i]
	}
	tr := &d.in.Triggers
	for i, rel := range tr.Rel {
		t, bits := d.out.ByOID[rel], tr.Type[i] // the bits are pg_trigger.h's TRIGGER_TYPE_…
		t.Triggers = append(t.Triggers, router.Trigger{
			Name: tr.Name[i], Function: d.functionsByOID[tr.Func[i]], Row: bits&1 != 0, OnInsert: bits&4 != 0,
			OnDelete: bits&8 != 0, OnUpdate: bits&16 != 0, OnTrunc: bits&32 != 0, Constrain: tr.Constraint[i],
		})
	}
	k := &d.in.FKs
	for i, rel := range k.Rel {
		from, to := d.out.ByOID[rel], d.out.ByOID[k.Ref[i]]
		from.ReferencesOut = append(from.ReferencesOut, k.Ref[i])
		if to != nil {
			to.ReferencedBy = append(to.ReferencedBy, rel)
			for _, n := range strings.Fields(k.Key[i]) {
				at := slices.IndexFunc(to.Columns, func(c router.Column) bool { return strconv.Itoa(int(c.Attnum)) == n })
				if at >= 0 && !slices.Contains(to.Referenced, at) {
					to.Referenced = append(to.Referenced, at)
				}
			}
			if k.Dels[i] {
				to.ActsOn = append(to.ActsOn, rel)
			}
		}
	}
	ty := &d.in.Types
	for i, oid := range ty.OID {
		d.out.Types[ty.Nsp[i]+"."+ty.Name[i]] = oid
		if ty.Unranked[i] {
			d.out.Unranked[oid] = true
		}
	}
	return nil
}

func first(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

// numbers reads a list separated by blanks.
func numbers[T uint8 | uint16 | uint32 | int16](list string) ([]T, error) {
	fields := strings.Fields(list)
	out := make([]T, len(fields))
	for i, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || int64(T(n)) != n {
			return nil, fmt.Errorf("read number list: %q is out of range", f)
		}
		out[i] = T(n)
	}
	return out, nil
}
