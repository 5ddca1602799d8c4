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

// functions fills Schema.Functions; what they reach is told by reach.
func (d *decoder) functions() error {
	f := &d.in.Functions
	d.functionsByOID = make(map[uint32]*router.Function, len(f.OID))
	for i, oid := range f.OID {
		fn := &router.Function{
			Schema: f.Nsp[i], Name: f.Name[i], Kind: first(f.Kind[i]), Volatility: first(f.Vol[i]), Language: f.Lang[i],
			OID: oid, Aggregate: f.Kind[i] == "a", RetSet: f.Set[i], NArgs: f.NArgs[i],
		}
		if g := f.Sig[i]; g != nil {
			fn.Body, fn.Sig = f.Body[i], g.signature()
		}
		d.functionsByOID[oid] = fn
		d.out.Functions[fn.Name] = append(d.out.Functions[fn.Name], fn)
	}
	return nil
}

// views reads what each view and materialized view reads, and sets Touches of views over sharded tables.
func (d *decoder) views() error {
	v := &d.in.Views
	d.viewReads = make(map[uint32][]uint32, len(v.View))
	for i, view := range v.View {
		rels, err := numbers[uint32](v.Rels[i])
		if err != nil {
			return err
		}
		d.viewReads[view] = rels
	}
	for changed := true; changed; {
		changed = false
		for view, rels := range d.viewReads {
			t := d.out.ByOID[view]
			for _, oid := range rels {
				r := d.out.ByOID[oid]
				if t.Kind == router.TableView && !t.Touches && r != nil && (r.Kind == router.TableSharded || r.Touches) {
					t.Touches, changed = true, true
				}
			}
		}
	}
	return nil
}

// signature is how a function is called and what it gives, as snapshot.sql tells it.
type signature struct {
	Names    []string `json:"names"`
	Modes    []string `json:"modes"`    // nil: all of them IN
	Types    []string `json:"types"`    // of all arguments, OUT ones among them
	Defaults []string `json:"defaults"` // of all arguments; nil where none has one
	Ret      string   `json:"ret"`
	RetType  string   `json:"rettype"` // pg_type.typtype
	RetRel   uint32   `json:"retrel"`
	Strict   bool     `json:"strict"`
	Definer  bool     `json:"definer"`
	Config   bool     `json:"config"`
	Role     bool     `json:"role"` // Config sets the role
	SQLBody  bool     `json:"sqlbody"`
	Owner    string   `json:"owner"`
	Public   bool     `json:"public"`
}

func (g *signature) signature() *router.Signature {
	out := &router.Signature{
		Returns: g.Ret, ReturnsKind: first(g.RetType), ReturnsRow: g.RetRel, Strict: g.Strict, Definer: g.Definer,
		Config: g.Config, SQLBody: g.SQLBody, Owner: g.Owner, Public: g.Public,
	}
	for i, t := range g.Types {
		a := router.Argument{Type: t, Mode: 'i'}
		if i < len(g.Names) {
			a.Name = g.Names[i]
		}
		if i < len(g.Modes) {
			a.Mode = first(g.Modes[i])
		}
		if i < len(g.Defaults) {
			a.Default = g.Defaults[i]
		}
		out.Args = append(out.Args, a)
	}
	return out
}
