package integration

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// step adds to a transaction: a write, a query, or several statements that belong together.
func (g *author) step(u *randomUnit, number int) {
	switch pick := g.below(100); {
	case pick < 60:
		sql, tables := g.write()
		u.add(g, sql)
		for _, t := range tables {
			if !slices.Contains(u.tables, t) {
				u.tables = append(u.tables, t)
			}
		}
	case pick < 75:
		u.add(g, g.selection())
	case pick < 82:
		u.add(g, g.locking())
	case pick < 88:
		g.prepared(u, fmt.Sprint("p", number))
	case u.alone || pick < 94:
		g.cursor(u, fmt.Sprint("c", number))
	default:
		name := fmt.Sprint("s", number)
		u.add(g, "savepoint "+name)
		for range 1 + g.below(2) {
			g.step(u, number*10+1)
		}
		u.add(g, g.pick("rollback to ", "rollback to ", "release ")+name)
	}
}

func (u *randomUnit) add(g *author, sql string) {
	st := statement{sql: sql}
	st.sql, st.params, st.again = g.bindings(sql)
	st.bound = len(st.params) > 0
	if !st.bound || !st.reads() || g.in(50) {
		st.again = nil
	}
	u.statements = append(u.statements, st)
	g.ctes, g.nesting, g.params = nil, 0, nil
}

var parameter = regexp.MustCompile(`\$\d+`)

// bindings numbers the parameters anew: what was made and not used had some too.
func (g *author) bindings(sql string) (bound string, params, others []*string) {
	places := map[string]string{}
	sql = parameter.ReplaceAllStringFunc(sql, func(p string) string {
		if places[p] == "" {
			var n int
			if _, err := fmt.Sscanf(p, "$%d", &n); err != nil || n < 1 || n > len(g.params) {
				return p
			}
			params, others = append(params, g.params[n-1][0]), append(others, g.params[n-1][1])
			places[p] = fmt.Sprintf("$%d", len(params))
		}
		return places[p]
	})
	return sql, params, others
}

// unbound makes a statement without parameters of the protocol's.
func (g *author) unbound(of func() string) string {
	binds := g.binds
	g.binds = false
	defer func() { g.binds = binds }()
	return of()
}

// locking is a query that locks its rows.
func (g *author) locking() string {
	first, text := g.stored()
	sc := &scope{relations: []*relation{first}}
	if g.in(35) {
		second, item := g.stored()
		text += " join " + item + " on " + g.equality(sc.relations, second)
		sc.relations = append(sc.relations, second)
	}
	var cols []string
	for _, k := range g.kinds(3) {
		cols = append(cols, g.expr(sc, k, 0))
	}
	sql := "select " + strings.Join(cols, ", ") + " from " + text + g.where(sc, 1)
	if g.in(50) {
		sql += g.order(sc)
		if g.in(50) {
			sql += " limit " + g.number(6)
		}
	}
	return sql + g.pick(" for update", " for share", " for no key update", " for key share") +
		g.pick("", " of "+strings.TrimSuffix(first.identity[0], ".id")) + g.pick("", "", " nowait", " skip locked")
}

// prepared is PREPARE and some EXECUTE with values that fall on different shards.
func (g *author) prepared(u *randomUnit, name string) {
	var args func() string
	sql := g.unbound(func() string {
		t := randomTables[g.below(len(randomTables))]
		if t.keyKind == kinds || t.keyCast != "" {
			t = randomTables[0]
		}
		r := t.relation("t0")
		sc := &scope{relations: []*relation{r}}
		k := t.keyKind
		args = func() string { return "(" + g.literal(k) + ", " + g.literal(kInt) + ")" }
		where := " where t0.k = $1 or " + g.columnOr(sc, kInt) + " = $2"
		switch g.below(4) {
		case 0:
			where = " where t0.k = $1 and t0.id > $2"
		case 1:
			where = " where t0.k in ($1, " + g.literal(k) + ") and $2 is not null"
		}
		var cols []string
		for _, k := range g.kinds(3) {
			cols = append(cols, g.expr(sc, k, 1))
		}
		rest := " from " + t.name + " t0" + where
		query := "select " + strings.Join(cols, ", ") + rest + g.order(sc) + g.pick("", " limit $2")
		switch g.below(3) {
		case 1:
			query = "select " + g.aggregate(sc, kInt, 1) + ", " + g.aggregate(sc, k, 1) + ", $2 + 1" + rest
		case 2:
			query = "select " + cols[0] + ", count(*)" + rest + " group by 1"
		}
		kt := k.sqlType()
		if t.key != "" {
			kt, _, _ = strings.Cut(t.key, " collate")
		}
		return "prepare " + name + " (" + kt + ", int) as " + query
	})
	u.add(g, sql)
	for range 1 + g.below(3) {
		u.add(g, "execute "+name+g.unbound(args))
	}
	u.add(g, "deallocate "+name)
}

// cursor is DECLARE, what moves it, and CLOSE.
func (g *author) cursor(u *randomUnit, name string) {
	hold := ""
	if u.alone { // in a transaction that writes on several backends COMMIT would refuse it
		hold = "with hold "
	}
	if hold == "" && g.in(30) {
		t := g.target()
		u.add(g, "declare "+name+" cursor for select t0.id, t0.s from "+t.name+" t0"+g.unbound(func() string { return g.where(&scope{relations: []*relation{t.relation("t0")}}, 1) })+
			" order by t0.id"+g.pick("", " desc")+" for update")
		for range 1 + g.below(2) {
			u.add(g, "fetch "+g.pick("next", "2", "3")+" from "+name)
			u.add(g, g.pick("update "+t.name+" set s = 'cur', i = 5", "delete from "+t.name)+" where current of "+name)
		}
		u.add(g, "close "+name)
		if !slices.Contains(u.tables, t.name) {
			u.tables = append(u.tables, t.name)
		}
		return
	}
	scroll := g.pick("scroll ", "insensitive scroll ", "", "no scroll ")
	u.add(g, "declare "+name+" "+scroll+"cursor "+hold+"for "+g.unbound(g.flat))
	for range 1 + g.below(4) {
		where := g.pick("next", "3", "all", "relative 2", "0", "forward 2")
		if strings.Contains(scroll, "scroll") && scroll != "no scroll " && g.in(60) { // else it depends on PostgreSQL's plan whether it may
			where = g.pick("backward 2", "first", "absolute 4", "prior", "backward all", "last", "absolute -2", "relative -1")
		}
		u.add(g, g.pick("fetch ", "fetch ", "move ")+where+" from "+name)
	}
	u.add(g, "close "+name)
}
