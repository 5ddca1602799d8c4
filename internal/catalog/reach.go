package catalog

import (
	"strings"

	"github.com/pleiad/pleiad/router"
)

// node is a thing of the database that code is reached through, or that code uses.
type node struct {
	kind byte
	oid  uint32
	sub  int16
}

// The kinds of node.
const (
	nodeFunction = 'f'
	nodeType     = 't'
	nodeOperator = 'o'
	nodeClass    = 'c' // operator class
	nodeFamily   = 'y' // operator family
	nodeRead     = 'r' // what reading a relation runs
	nodeWrite    = 'w' // what writing a relation runs besides, its triggers and defaults left out
	nodeTriggers = 'g' // a relation's triggers
	nodeDefault  = 'd' // a column's default; sub is its number
	nodeName     = 'n' // a relation that code reads
	nodeChange   = 'm' // a relation that code writes
	nodeRefresh  = 'q' // a materialized view's query
	nodeAny      = '*' // what any statement may run
)

// reaches is a directed graph: what a node reaches is its own and that of every node it leads to.
type reaches struct {
	own map[node]router.Reach
	to  map[node][]node
}

func (g *reaches) edge(from, to node) { g.to[from] = append(g.to[from], to) }

// settle spreads reach against the edges until nothing changes. It can be called again after adding edges.
func (g *reaches) settle() {
	from := map[node][]node{}
	for n, list := range g.to {
		for _, to := range list {
			from[to] = append(from[to], n)
		}
	}
	todo := make([]node, 0, len(g.own))
	for n, r := range g.own {
		if r != 0 {
			todo = append(todo, n)
		}
	}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, f := range from[n] {
			if g.own[f]|g.own[n] != g.own[f] {
				g.own[f] |= g.own[n]
				todo = append(todo, f)
			}
		}
	}
}

// userOID is the first oid of objects that users made (FirstNormalObjectId in access/transam.h).
const userOID = 16384

// reach fills every Reach of the schema: which code is reached by naming a function, an operator, a type or a relation, also
// where no text names the code.
func (d *decoder) reach() error {
	g := &reaches{own: map[node]router.Reach{}, to: map[node][]node{}}
	d.looseTypes = map[uint32]bool{}
	d.reachOfBuiltins(g)
	d.reachOfCatalog(g)
	d.reachOfTypes(g)
	d.reachOfRelations(g)
	bodies, err := d.reachOfFunctions(g)
	if err != nil {
		return err
	}
	g.settle()
	// Names of types and symbols of operators stand in many bodies; only those that reach something matter.
	for d.reachInBodies(g, bodies) {
		g.settle()
	}
	d.tellReach(g)
	return nil
}

func (d *decoder) reachOfBuiltins(g *reaches) {
	for i, oid := range d.in.Unsafe.OID {
		g.own[node{nodeFunction, oid, 0}] = router.BuiltinReach(d.in.Unsafe.Name[i])
	}
}

// reachOfCatalog takes the edges that the server tells.
func (d *decoder) reachOfCatalog(g *reaches) {
	e := &d.in.Reach
	for i := range e.OID {
		g.edge(node{e.Kind[i][0], e.OID[i], e.Sub[i]}, node{e.RefKind[i][0], e.Ref[i], 0})
	}
	// A type brings the operators, classes and casts that belong to it. Built-in types stand in every statement, so what
	// is between them alone is reached by any.
	attach := func(to node, types ...uint32) {
		own := false
		for _, t := range types {
			if t >= userOID {
				g.edge(node{nodeType, t, 0}, to)
				own = true
			}
		}
		if !own && to.kind != nodeOperator {
			g.edge(node{kind: nodeAny}, to)
		}
	}
	o := &d.in.Operators
	for i, oid := range o.OID {
		n := node{nodeOperator, oid, 0}
		fns, _ := numbers[uint32](o.Fns[i])
		for _, fn := range fns {
			g.edge(n, node{nodeFunction, fn, 0})
		}
		attach(n, o.Left[i], o.Right[i])
	}
	c := &d.in.Opclasses
	for i, oid := range c.OID {
		n := node{nodeClass, oid, 0}
		g.edge(n, node{nodeFamily, c.Family[i], 0})
		if c.Type[i] >= userOID || c.Default[i] {
			attach(n, c.Type[i])
		}
	}
	casts := &d.in.Casts
	for i, fn := range casts.Func {
		attach(node{nodeFunction, fn, 0}, casts.From[i], casts.To[i])
		if casts.Implicit[i] {
			d.looseTypes[casts.To[i]] = true
		}
	}
}

func (d *decoder) reachOfTypes(g *reaches) {
	ty := &d.in.Types
	for i, oid := range ty.OID {
		if ty.Elem[i] >= userOID {
			g.edge(node{nodeType, oid, 0}, node{nodeType, ty.Elem[i], 0})
		}
		if ty.Loose[i] {
			d.looseTypes[oid] = true
		}
		if ty.Rel[i] != 0 {
			g.edge(node{nodeType, oid, 0}, node{nodeRead, ty.Rel[i], 0})
		}
	}
}

// reachOfRelations tells what naming a relation means, and what writing one brings about in others.
func (d *decoder) reachOfRelations(g *reaches) {
	for oid, t := range d.out.ByOID {
		name, change := node{nodeName, oid, 0}, node{nodeChange, oid, 0}
		read, write := node{nodeRead, oid, 0}, node{nodeWrite, oid, 0}
		switch t.Kind {
		case router.TableSharded:
			g.own[name], g.own[change] = router.ReachSharded|router.ReachLocal, router.ReachSharded|router.ReachLocal
		case router.TableReference:
			g.own[name], g.own[change] = router.ReachReference, router.ReachSharded|router.ReachLocal
		case router.TableView:
			for _, r := range d.viewReads[oid] {
				g.edge(name, node{nodeName, r, 0})
				g.edge(change, node{nodeChange, r, 0})
			}
			g.own[name] = dynamicQuery(t.Definition)
			if !t.Everywhere {
				g.own[name] |= router.ReachLocal
			}
		default:
			g.own[name], g.own[change] = router.ReachLocal, router.ReachLocal
		}
		g.edge(name, read)
		g.edge(change, write)
		g.edge(change, node{nodeTriggers, oid, 0})
		g.edge(write, read)
		if t.HasRules {
			g.own[write] |= router.ReachClock // a rule may read the time
		}
		for _, c := range t.Columns {
			if c.TypeOID >= userOID {
				g.edge(read, node{nodeType, c.TypeOID, 0})
			}
			g.edge(change, node{nodeDefault, oid, c.Attnum})
		}
		if t.Relkind == 'm' {
			for _, r := range d.viewReads[oid] {
				g.edge(node{nodeRefresh, oid, 0}, node{nodeName, r, 0})
			}
			g.edge(node{nodeRefresh, oid, 0}, write)
		}
	}
	tr := &d.in.Triggers
	for i, rel := range tr.Rel {
		g.edge(node{nodeTriggers, rel, 0}, node{nodeFunction, tr.Func[i], 0})
	}
	k := &d.in.FKs
	for i, rel := range k.Rel {
		if k.Acts[i] {
			d.carries(g, k.Ref[i], rel)
		}
	}
	in := &d.in.Reach
	for i := range in.OID {
		if in.Kind[i][0] == nodeWrite && in.RefKind[i][0] == nodeWrite { // a table and its partition or child
			d.carries(g, in.OID[i], in.Ref[i])
		}
	}
}

// carries notes that writing a relation may write another, with its triggers and defaults.
func (d *decoder) carries(g *reaches, from, to uint32) {
	g.edge(node{nodeWrite, from, 0}, node{nodeWrite, to, 0})
	g.edge(node{nodeWrite, from, 0}, node{nodeTriggers, to, 0})
	if t := d.out.ByOID[to]; t != nil {
		for _, c := range t.Columns {
			g.edge(node{nodeWrite, from, 0}, node{nodeDefault, to, c.Attnum})
		}
	}
}

// dynamicQuery is the reach of built-in functions that a view's query calls: they stand in no dependency.
func dynamicQuery(definition string) router.Reach {
	var r router.Reach
	for _, w := range router.ReadBody(definition).Names {
		if strings.Contains(w, "_") { // as all of them have; columns have plain names such as comment
			r |= router.BuiltinReach(w)
		}
	}
	return r
}

// reachOfFunctions reads the functions' bodies. It returns those in SQL and PL/pgSQL, by node.
func (d *decoder) reachOfFunctions(g *reaches) (map[node]string, error) {
	f := &d.in.Functions
	relations := map[string][]uint32{}
	for oid, t := range d.out.ByOID {
		relations[t.Name] = append(relations[t.Name], oid)
	}
	oids := map[string][]uint32{}
	for i, oid := range f.OID {
		oids[f.Name[i]] = append(oids[f.Name[i]], oid)
	}
	bodies := map[node]string{}
	for i, oid := range f.OID {
		n := node{nodeFunction, oid, 0}
		if f.Vol[i] == "v" && oid >= userOID {
			g.own[n] |= router.ReachVolatile
		}
		if f.Sig[i] != nil && f.Sig[i].Role {
			g.own[n] |= router.ReachRole
		}
		switch {
		case f.Kind[i] == "a":
			trans, err := numbers[uint32](f.Trans[i])
			if err != nil {
				return nil, err
			}
			for _, fn := range trans {
				g.edge(n, node{nodeFunction, fn, 0})
			}
		case f.Lang[i] == "sql" || f.Lang[i] == "plpgsql":
			b := router.ReadBody(f.Body[i])
			g.own[n] |= b.Own()
			if b.Advances {
				g.own[n] |= router.ReachState // currval is to find what it advanced
			}
			bodies[n] = f.Body[i]
			for _, w := range b.Names {
				for _, c := range oids[w] {
					g.edge(n, node{nodeFunction, c, 0})
				}
				for _, rel := range relations[w] {
					if b.Tables {
						g.edge(n, node{nodeName, rel, 0})
					}
					if b.Writes {
						g.edge(n, node{nodeChange, rel, 0})
					}
					if b.Refreshes {
						g.edge(n, node{nodeRefresh, rel, 0})
					}
				}
			}
		case f.Lang[i] == "internal":
			g.own[n] |= router.BuiltinReach(f.Body[i]) // a second name for a built-in function: its body names it
		case f.Lang[i] == "c" && extensionsWithoutTables[f.Ext[i]]:
		default:
			g.own[n] |= router.ReachAnything
		}
	}
	return bodies, nil
}

// reachInBodies adds edges from bodies to the types and operators in them that reach something. It reports whether there
// are new ones.
func (d *decoder) reachInBodies(g *reaches, bodies map[node]string) bool {
	added := false
	add := func(from, to node) {
		if g.own[from]|g.own[to] != g.own[from] {
			g.edge(from, to)
			added = true
		}
	}
	ty, o := &d.in.Types, &d.in.Operators
	types := map[string][]node{}
	for i, oid := range ty.OID {
		if n := (node{nodeType, oid, 0}); g.own[n] != 0 {
			types[ty.Name[i]] = append(types[ty.Name[i]], n)
		}
	}
	for n, src := range bodies {
		for i, oid := range o.OID {
			if op := (node{nodeOperator, oid, 0}); g.own[op] != 0 && strings.Contains(src, o.Name[i]) && d.byName(i) {
				add(n, op)
			}
		}
		if len(types) > 0 {
			for _, w := range router.ReadBody(src).Names {
				for _, t := range types[w] {
					add(n, t)
				}
			}
		}
		add(n, node{kind: nodeAny})
	}
	return added
}

// byName reports whether operator i can be meant by statements that hold nothing of its types: where no built-in operator
// has its name, or where other values become its operands by themselves.
func (d *decoder) byName(i int) bool {
	o := &d.in.Operators
	if !o.Shared[i] {
		return true
	}
	own := false
	for _, t := range []uint32{o.Left[i], o.Right[i]} {
		own = own || t >= userOID
		if d.looseTypes[t] {
			return true
		}
	}
	return !own
}

// tellReach writes what was found into the schema.
func (d *decoder) tellReach(g *reaches) {
	s := d.out
	s.OperatorReach, s.TypeReach, s.TypeOIDReach = map[string]router.Reach{}, map[string]router.Reach{}, map[uint32]router.Reach{}
	for oid, fn := range d.functionsByOID {
		fn.Reach = g.own[node{nodeFunction, oid, 0}]
	}
	for oid, t := range s.ByOID {
		t.ReadReach, t.WriteReach = g.own[node{nodeRead, oid, 0}], g.own[node{nodeWrite, oid, 0}]
		t.NameReach, t.ChangeReach = g.own[node{nodeName, oid, 0}], g.own[node{nodeChange, oid, 0}]
		for i := range t.Columns {
			t.Columns[i].DefaultReach = g.own[node{nodeDefault, oid, t.Columns[i].Attnum}]
		}
		if t.Relkind == 'm' {
			t.RefreshReach = g.own[node{nodeRefresh, oid, 0}]
		}
		t.Touches = t.Touches || t.Kind == router.TableView && t.NameReach&router.ReachSharded != 0
	}
	ty := &d.in.Types
	for i, oid := range ty.OID {
		if r := g.own[node{nodeType, oid, 0}]; r != 0 {
			s.TypeOIDReach[oid] = r
			s.TypeReach[ty.Name[i]] |= r
		}
	}
	o := &d.in.Operators
	for i, oid := range o.OID {
		if r := g.own[node{nodeOperator, oid, 0}]; r != 0 && d.byName(i) {
			s.OperatorReach[o.Name[i]] |= r
		}
	}
	s.AnyReach = g.own[node{kind: nodeAny}]
}
