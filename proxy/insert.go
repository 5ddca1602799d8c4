package proxy

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
)

// inserting is an INSERT … VALUES on its way to the backends: some cells are computed on home first, then each row
// goes to the backend of its shard, one statement per backend.
type inserting struct {
	s  *Session
	r  *request
	in *router.Insert
	// computed are values made on home, by row and cell; those of missing columns come after the row's own cells.
	computed [][]evaluated
	owner    []int // backend of each row
}

type evaluated struct {
	set   bool
	value []byte // text; nil is NULL
	key   []byte // the same in binary, for cells of the partition key
}

func (s *Session) runInsert(r *request) error {
	w := &inserting{s: s, r: r, in: r.tmpl.Insert}
	if w.in.Everywhere || len(w.in.Rows) > 1 || w.in.Writes {
		s.openImplicit()
	}
	if r.bind != nil {
		if err := s.learnTypes(r); err != nil || s.batch.failed {
			return err
		}
	}
	if w.in.Unread {
		if _, _, ok, err := s.describeOwn(r); !ok {
			return err
		}
	}
	if ok, err := w.compute(nil, nil); !ok || err != nil {
		return err
	}
	if w.in.Everywhere {
		return s.everywhere(r, w.text(nil))
	}
	for again := true; again; {
		ok, err := w.place()
		if !ok || err != nil {
			return err
		}
		if again, err = s.enterTable(w.in.Table, w.owner); err != nil {
			s.fail(executor.ClientError(err))
			return nil
		}
	}
	return w.send()
}

// compute evaluates on home what must be, and whatever extra asks for; values in done are kept.
func (w *inserting) compute(extra func(row, cell int) bool, done [][]evaluated) (ok bool, err error) {
	w.computed = make([][]evaluated, len(w.in.Rows))
	cells := 0
	for i, row := range w.in.Rows {
		w.computed[i] = make([]evaluated, len(row.Cells)+len(w.in.Missing))
		if done != nil {
			for j := range row.Cells {
				w.computed[i][j].set = !done[i][j].set && extra(i, j)
				if w.computed[i][j].set {
					cells++
				}
			}
			continue
		}
		for j, c := range row.Cells {
			if c.Eval {
				w.computed[i][j].set = true
				cells++
			}
		}
		for k := range w.in.Missing {
			w.computed[i][len(row.Cells)+k].set = true
			cells++
		}
	}
	if cells > 0 {
		if ok, err := w.ask(); !ok || err != nil {
			return ok, err
		}
	}
	for i := range done {
		for j := range done[i] {
			if done[i][j].set {
				w.computed[i][j] = done[i][j]
			}
		}
	}
	return true, nil
}

// ask runs VALUES (…), (…) on home with the expressions to compute and takes the results. Rows need not have the
// same cells to compute, so each is asked for by itself where they differ.
func (w *inserting) ask() (ok bool, err error) {
	m, err := w.s.gang.Join(w.s.ctx, w.s.db.home)
	if err != nil {
		w.s.fail(executor.ClientError(err))
		return false, nil
	}
	m.Wrote = m.Wrote || w.in.Writes
	if w.r.tmpl.Effect != router.EffectNone {
		// Defaults leave currval and lastval here, also when none of the rows comes here.
		w.s.gang.MayAdvance(m)
		m.Unclean = true
	}
	for from := 0; from < len(w.in.Rows); {
		to := from + 1
		for to < len(w.in.Rows) && sameCells(w.computed[from], w.computed[to]) {
			to++
		}
		if ok, err := w.askRows(m, from, to); !ok || err != nil {
			return ok, err
		}
		from = to
	}
	return true, nil
}

func sameCells(a, b []evaluated) bool {
	for i := range a {
		if a[i].set != b[i].set {
			return false
		}
	}
	return true
}

func (w *inserting) askRows(m *executor.Member, from, to int) (ok bool, err error) {
	var cells []int // the cells to compute; the same in all these rows
	var formats []int16
	for j := range w.computed[from] {
		if w.computed[from][j].set {
			cells = append(cells, j)
			formats = append(formats, 0)
		}
	}
	if len(cells) == 0 {
		return true, nil
	}
	if len(w.in.Rows) == 1 {
		// PostgreSQL evaluates a single row by the table's columns, several as they are written, defaults behind them.
		slices.SortStableFunc(cells, func(a, b int) int { return w.columnOf(from, a) - w.columnOf(from, b) })
	}
	var b strings.Builder
	b.WriteString("SELECT v.*")
	for k, j := range cells {
		if w.keyOf(from, j) >= 0 {
			// Once more in binary, which can be hashed whatever DateStyle is.
			b.WriteString(", v.c" + strconv.Itoa(k) + "::" + w.in.Table.Columns[w.columnOf(from, j)].TypeName)
			formats = append(formats, 1)
		}
	}
	b.WriteString(" FROM (VALUES ")
	for i := from; i < to; i++ {
		if i > from {
			b.WriteString(", ")
		}
		for k, j := range cells {
			b.WriteString([]string{", ", "("}[btoi(k == 0)])
			b.WriteString(w.expression(i, j))
		}
		b.WriteByte(')')
	}
	b.WriteString(") AS v (")
	for k := range cells {
		b.WriteString([]string{", ", ""}[btoi(k == 0)] + "c" + strconv.Itoa(k))
	}
	b.WriteByte(')')
	rows, errFrame, err := m.AskFormats(b.String(), w.r.oids, w.r.bind, formats)
	switch {
	case err != nil:
		return false, w.s.lost(err)
	case errFrame != nil:
		own, asked := string(w.r.client()), b.String()
		before := utf8.RuneCount(w.r.before)
		w.s.failFrame(executor.MovePosition(errFrame, func(p int) int { return before + mapPosition(own, asked, p) }))
		return false, nil
	case len(rows) != to-from:
		w.s.fail(pgerr.New(pgerr.InternalError, "computing %d rows gave %d", to-from, len(rows)))
		return false, nil
	}
	for i := from; i < to; i++ {
		next := len(cells)
		for k, j := range cells {
			e := &w.computed[i][j]
			e.value = rows[i-from][k]
			if w.keyOf(i, j) >= 0 {
				e.key = rows[i-from][next]
				next++
			}
		}
	}
	return true, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// expression is the SQL of cell j of row i, with its column's type but for the modifier: a cast to varchar(3) would cut what
// storing refuses.
func (w *inserting) expression(i, j int) string {
	row := w.in.Rows[i]
	if j >= len(row.Cells) {
		c := &w.in.Table.Columns[w.in.Missing[j-len(row.Cells)]]
		return "(" + c.Default + ")::" + c.BaseType()
	}
	c := &w.in.Table.Columns[w.in.Columns[j]]
	value := c.Default
	if value == "" {
		value = "NULL" // beside another key column that is computed
	}
	switch def := "(" + value + ")::" + c.BaseType(); {
	case row.Cells[j].Beside:
		return "CASE WHEN (" + w.cellText(row.Cells[j]) + "\n)::" + c.BaseType() + " IS NULL THEN " + def + " ELSE " + def + " END"
	case row.Cells[j].Default:
		return def
	}
	return "(" + w.cellText(row.Cells[j]) + "\n)::" + c.BaseType()
}

func (w *inserting) at(p int) int { return w.r.tmpl.Shift(p, w.r.spansOf()) }

func (w *inserting) cellText(c router.Cell) string {
	return string(w.r.text[w.at(c.Start):w.at(c.End)])
}

// place finds each row's backend. Key values that cannot be hashed here are computed on home, once more.
func (w *inserting) place() (ok bool, err error) {
	w.owner = make([]int, len(w.in.Rows))
	again := map[int]bool{}
	for i := range w.in.Rows {
		b, err := w.owning(i)
		switch {
		case errors.Is(err, shardmap.ErrNotProvable):
			again[i] = true
		case err != nil:
			w.s.fail(executor.ClientError(err))
			return false, nil
		}
		w.owner[i] = b
	}
	if len(again) == 0 {
		return true, nil
	}
	before := w.computed
	ok, err = w.compute(func(i, j int) bool {
		return again[i] && w.in.Rows[i].Cells[j].Key >= 0
	}, before)
	if !ok || err != nil {
		return ok, err
	}
	for i := range again {
		b, err := w.owning(i)
		if err != nil {
			w.s.fail(executor.ClientError(err))
			return false, nil
		}
		w.owner[i] = b
	}
	return true, nil
}

// owning is the backend of row i; shardmap.ErrNotProvable says that its key has to be computed first.
func (w *inserting) owning(i int) (int, error) {
	m := w.s.planner.env.Schema.Map
	made := 0
	for j := range w.computed[i] {
		if w.computed[i][j].set && w.keyOf(i, j) >= 0 {
			made++
		}
	}
	if made == 0 {
		b, err := w.in.RowBackend(m, i, w.s.values(w.r))
		return w.orHome(int(b), err)
	}
	t := w.in.Table
	vals := make([]shardmap.Value, len(t.Key))
	for k := range vals {
		vals[k] = shardmap.Value{Null: true}
	}
	for j := range w.computed[i] {
		k := w.keyOf(i, j)
		if k < 0 {
			continue
		}
		if !w.computed[i][j].set {
			return 0, shardmap.ErrNotProvable
		}
		v := w.computed[i][j].key
		vals[k] = shardmap.Value{Data: v, Null: v == nil, TypeOID: t.KeyCols[k].TypeOID, Format: shardmap.Binary}
	}
	b, err := w.in.KeyBackend(m, vals)
	return w.orHome(int(b), err)
}

// orHome sends a row whose key PostgreSQL will reject to home, which says what is wrong with it.
func (w *inserting) orHome(b int, err error) (int, error) {
	var bad *shardmap.InvalidTextError
	var badBinary *shardmap.InvalidBinaryError
	if errors.As(err, &bad) || errors.As(err, &badBinary) {
		return w.s.db.home, nil
	}
	return b, err
}

// keyOf is the place of cell j of row i in the partition key, or -1.
func (w *inserting) keyOf(i, j int) int {
	col := w.columnOf(i, j)
	for k, c := range w.in.Table.Key {
		if c == col {
			return k
		}
	}
	return -1
}

// columnOf is the table column of cell j of row i.
func (w *inserting) columnOf(i, j int) int {
	if n := len(w.in.Rows[i].Cells); j >= n {
		return w.in.Missing[j-n]
	}
	return w.in.Columns[j]
}

// text is the statement with the rows for which want is true, or all of them.
func (w *inserting) text(want func(row int) bool) string {
	var b strings.Builder
	at := 0
	w.head(&b, &at)
	rows := w.in.Rows
	b.Write(w.r.text[at:w.at(rows[0].Start)])
	if w.in.DefaultValues && len(w.in.Missing) > 0 {
		b.WriteString("VALUES ")
	}
	first := true
	for i := range rows {
		if want != nil && !want(i) {
			continue
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		w.row(&b, i)
	}
	b.Write(w.r.text[w.at(rows[len(rows)-1].End):])
	return b.String()
}

// head writes the statement up to the place of OVERRIDING, with the columns that are added.
func (w *inserting) head(b *strings.Builder, at *int) {
	in := w.in
	if len(in.Missing) > 0 {
		b.Write(w.r.text[:w.at(in.ColumnsStart)])
		b.WriteString(" (")
		for k, col := range in.Columns {
			if k > 0 {
				b.WriteString(", ")
			}
			if in.Named != nil {
				b.Write(w.r.text[w.at(in.Named[k].Start):w.at(in.Named[k].End)])
				continue
			}
			b.WriteString(quoteIdent(in.Table.Columns[col].Name))
		}
		for k, col := range in.Missing {
			if k > 0 || len(in.Columns) > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quoteIdent(in.Table.Columns[col].Name))
		}
		b.WriteString(") ")
		*at = w.at(in.ColumnsEnd)
	}
	if in.OverridingSystem {
		b.Write(w.r.text[*at:w.at(in.OverridingAt)])
		b.WriteString(" OVERRIDING SYSTEM VALUE ")
		*at = w.at(in.OverridingEnd)
	}
}

func (w *inserting) row(b *strings.Builder, i int) {
	row := w.in.Rows[i]
	if w.in.DefaultValues && len(w.in.Missing) == 0 {
		b.Write(w.r.text[w.at(row.Start):w.at(row.End)])
		return
	}
	b.WriteByte('(')
	for j := range w.computed[i] {
		if j > 0 {
			b.WriteString(", ")
		}
		if e := w.computed[i][j]; e.set {
			b.WriteString(w.constant(i, j, e.value))
		} else {
			b.WriteString(w.cellText(row.Cells[j]))
			b.WriteByte('\n') // ends a comment
		}
	}
	b.WriteByte(')')
}

func (w *inserting) constant(i, j int, v []byte) string {
	typ := w.in.Table.Columns[w.columnOf(i, j)].BaseType()
	if v == nil {
		return "NULL::" + typ
	}
	return quoteLiteral(string(v)) + "::" + typ
}

// send runs the statement on each backend with its rows.
func (w *inserting) send() error {
	s := w.s
	set := backends{}
	for _, b := range w.owner {
		set.add(b)
	}
	if b, one := set.single(); one {
		next := *w.r
		next.own, next.text = w.r.client(), []byte(w.text(nil))
		return s.forward(&next, b)
	}
	if e := w.r.tmpl.NoScatter; e != nil {
		s.fail(e)
		return nil
	}
	s.openImplicit()
	run := &executor.Scatter{
		Gang: &s.gang, OIDs: w.r.oids, Params: w.r.bind, Formats: w.r.formats, Limit: -1,
		Describe: w.r.describe, Command: w.r.tmpl.Command, Collations: s.db.collations(),
	}
	for _, b := range set.list() {
		m, err := s.member(b)
		if err != nil {
			s.unjoin(run.Members)
			s.fail(executor.ClientError(err))
			return nil
		}
		s.effect(w.r.tmpl, m)
		m.Wrote = true
		run.Members = append(run.Members, m)
		run.Texts = append(run.Texts, w.text(func(row int) bool { return w.owner[row] == b }))
	}
	run.Position = s.positions(w.r, run)
	if w.in.Returning {
		run.Turns = w.turns(set.list())
	}
	return s.finishScatter(w.r, run)
}

// turns is the order in which RETURNING's rows come from the backends: that of the VALUES list.
func (w *inserting) turns(list []int) []int {
	index := map[int]int{}
	for i, b := range list {
		index[b] = i
	}
	turns := make([]int, len(w.owner))
	for i, b := range w.owner {
		turns[i] = index[b]
	}
	return turns
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// runEverywhere runs the same statement on every backend; the client sees home's answer.
func (s *Session) runEverywhere(r *request) error {
	s.openImplicit()
	return s.everywhere(r, string(r.text))
}

func (s *Session) everywhere(r *request, text string) error {
	if err := s.enterEverything(); err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	if r.describe && r.bind != nil {
		next := *r
		next.text = []byte(text)
		return s.forwardBound(&next, s.allBackends())
	}
	next := *r
	next.text = []byte(text)
	members, err := s.joinAll()
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	for _, m := range members { // home is first: its rows and its errors are the ones to show
		s.effect(r.tmpl, m)
		m.Wrote = true
		switch {
		case m.Backend == s.db.home:
			s.compose(m, &next)
		case r.bind != nil:
			m.BoundQuiet(next.text, r.oids, r.bind, r.formats)
		default:
			m.Internal(text)
		}
	}
	return s.relayAll(members)
}

// joinAll joins all backends, before anything is composed for one: to join may mean to ask the others.
func (s *Session) joinAll() (members []*executor.Member, err error) {
	for _, b := range s.allBackends() {
		m, err := s.member(b)
		if err != nil {
			s.unjoin(members)
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

// learnTypes fills in the parameter types that the client left open: split statements do not use every parameter, and
// PostgreSQL infers types from use.
func (s *Session) learnTypes(r *request) error {
	open := len(r.oids) < len(r.params)
	for _, o := range r.oids {
		open = open || o == 0
	}
	if !open {
		return nil
	}
	m, err := s.member(s.knowing(r.tmpl))
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	types, errFrame, err := m.ParameterTypes(string(r.text), r.oids)
	switch {
	case err != nil:
		return s.lost(err)
	case errFrame != nil:
		s.failFrame(errFrame)
		return nil
	}
	r.oids = types
	return nil
}
