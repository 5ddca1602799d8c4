package catalog

import (
	"strings"

	"github.com/pleiad/pleiad/router"
)

// extensionsWithoutTables are contrib modules none of whose functions reads or writes a table or leaves anything in the
// session. Any other function in C counts as doing all of it.
var extensionsWithoutTables = words(`bloom btree_gin btree_gist citext cube dict_int dict_xsyn earthdistance
	fuzzystrmatch hstore intarray isn ltree pg_trgm pgcrypto seg tcn tsm_system_rows tsm_system_time unaccent
	uuid-ossp vector`)

func words(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

// functions fills Schema.Functions and their body facts, which spread from callee to caller.
func (d *decoder) functions() error {
	f := &d.in.Functions
	names := d.relationNames()
	byOID := make(map[uint32]*router.Function, len(f.OID))
	callees := make([][]*router.Function, len(f.OID))
	all := make([]*router.Function, len(f.OID))
	for i, oid := range f.OID {
		fn := &router.Function{
			Schema: f.Nsp[i], Name: f.Name[i], Kind: first(f.Kind[i]), Volatility: first(f.Vol[i]), Language: f.Lang[i],
			Aggregate: f.Kind[i] == "a", RetSet: f.Set[i], NArgs: f.NArgs[i],
		}
		all[i], byOID[oid] = fn, fn
		d.out.Functions[fn.Name] = append(d.out.Functions[fn.Name], fn)
	}
	for i, fn := range all {
		switch {
		case fn.Kind == 'a':
			oids, err := numbers[uint32](f.Trans[i])
			if err != nil {
				return err
			}
			for _, oid := range oids {
				if c := byOID[oid]; c != nil {
					callees[i] = append(callees[i], c)
				}
			}
		case fn.Language == "sql" || fn.Language == "plpgsql":
			b := readBody(f.Body[i], names)
			fn.TouchesSharded, fn.TouchesTables, fn.LeavesState = b.touchesSharded, b.touchesTables, b.leavesState
			for _, c := range b.names {
				callees[i] = append(callees[i], d.out.Functions[c]...)
			}
		case fn.Language == "internal":
			// A second name for a built-in function: its body names it.
			if unsafeBuiltin(f.Body[i]) {
				fn.TouchesSharded, fn.TouchesTables, fn.LeavesState = true, true, true
			}
		case fn.Language == "c" && extensionsWithoutTables[f.Ext[i]]:
		default:
			fn.TouchesSharded, fn.TouchesTables, fn.LeavesState = true, true, true
		}
	}
	d.functionsByOID = byOID
	spread(all, callees)
	return nil
}

// spread gives each function the facts of those it may call, until nothing changes.
func spread(all []*router.Function, callees [][]*router.Function) {
	for changed := true; changed; {
		changed = false
		for i, fn := range all {
			for _, c := range callees[i] {
				before := *fn
				fn.TouchesSharded = fn.TouchesSharded || c.TouchesSharded
				fn.TouchesTables = fn.TouchesTables || c.TouchesTables
				fn.LeavesState = fn.LeavesState || c.LeavesState
				changed = changed || before != *fn
			}
		}
	}
}

// relationNames maps each relation's bare name to whether one of that name is sharded, a reference table, or a view, which
// may read one.
func (d *decoder) relationNames() map[string]bool {
	names := map[string]bool{}
	for _, rels := range d.out.Relations {
		for name, t := range rels {
			switch t.Kind {
			case router.TableSharded, router.TableReference, router.TableView:
				names[name] = true
			default:
				if _, known := names[name]; !known {
					names[name] = false
				}
			}
		}
	}
	return names
}

// views sets Touches: a view reads what it names, what views it names read, and what functions it calls
// may read.
func (d *decoder) views() error {
	v := &d.in.Views
	reads := make(map[uint32][]uint32, len(v.View))
	for i, view := range v.View {
		rels, err := numbers[uint32](v.Rels[i])
		if err != nil {
			return err
		}
		funs, err := numbers[uint32](v.Funs[i])
		if err != nil {
			return err
		}
		reads[view] = rels
		for _, oid := range funs {
			if f := d.functionsByOID[oid]; f != nil && f.TouchesSharded {
				d.out.ByOID[view].Touches = true
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for view, rels := range reads {
			t := d.out.ByOID[view]
			for _, oid := range rels {
				r := d.out.ByOID[oid]
				if !t.Touches && r != nil && (r.Kind == router.TableSharded || r.Touches) {
					t.Touches, changed = true, true
				}
			}
		}
	}
	return nil
}
