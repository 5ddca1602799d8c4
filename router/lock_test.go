package router

import "testing"

// A policy for UPDATE keeps rows from being locked that a query gives, and a key tells no rows apart of which other tables have
// some: what runs the query again until all of its rows are locked cannot be used then.
func TestLocksByKey(t *testing.T) {
	const text = "SELECT m.id, c.name FROM meetings m JOIN users c ON c.id < m.id ORDER BY m.id FOR UPDATE OF m"
	plan := func(change func(*Table)) *Template {
		env := fixture()
		m := env.Schema.Relations["public"]["meetings"]
		m.PrimKey = []int{0, 1}
		env.Schema.Relations["public"]["users"].PrimKey = []int{0}
		change(m)
		return Plan(text, env)
	}
	if got := plan(func(*Table) {}); got.LockJoin == nil {
		t.Errorf("plain: %+v", got)
	}
	if got := plan(func(m *Table) { m.RLS = true }); got.LockJoin != nil || got.LockPick == nil {
		t.Errorf("with policies: %+v", got)
	}
	if got := plan(func(m *Table) { m.Children = true }); got.LockJoin != nil || got.LockPick != nil {
		t.Errorf("with children: %+v", got)
	}
}
