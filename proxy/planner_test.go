package proxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/plancache"
	"github.com/pleiad/pleiad/router"
)

func TestSplitIdentifiers(t *testing.T) {
	for list, want := range map[string][]string{
		``:                         nil,
		`  `:                       nil,
		`public`:                   {"public"},
		`"$user", public`:          {"$user", "public"},
		`Public,APP`:               {"public", "app"},
		`"Public" ,"a b", c`:       {"Public", "a b", "c"},
		`"a,b"`:                    {"a,b"},
		`"a""b", ""`:               {`a"b`, ""},
		"a,\tb,\n c":               {"a", "b", "c"},
		`"unclosed`:                {"unclosed"},
		`"unclosed""`:              {`unclosed"`},
		`pg_catalog, "pg_catalog"`: {"pg_catalog", "pg_catalog"},
	} {
		if got := splitIdentifiers(list); !slices.Equal(got, want) {
			t.Errorf("splitIdentifiers(%q) = %q, want %q", list, got, want)
		}
	}
}

// Whatever is quoted comes back, and no text is read for ever.
func FuzzSplitIdentifiers(f *testing.F) {
	for _, list := range []string{`"$user", public`, `a,b`, `"`, `""""`, `,`, `, ,`, `a b`, "\t"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := splitIdentifiers(quoteIdent(text) + ", x"); len(got) != 2 || got[0] != text || got[1] != "x" {
			t.Errorf("%q comes back as %q", text, got)
		}
		if n := len(splitIdentifiers(text)); n > len(text)+1 {
			t.Errorf("%q has %d names", text, n)
		}
	})
}

func TestUnquoteSetting(t *testing.T) {
	for v, want := range map[string]string{
		`'bob'`: "bob", `'O''Neil'`: "O'Neil", `"Bob"`: "Bob", `"a""b"`: `a"b`, `Bob`: "bob", ` none `: "none", `'None'`: "None",
		`''`: "", `'`: "'", ``: "",
	} {
		if got := unquoteSetting(v); got != want {
			t.Errorf("unquoteSetting(%q) = %q, want %q", v, got, want)
		}
	}
}

func TestActingRole(t *testing.T) {
	s := testSession(t)
	want := func(role string) {
		t.Helper()
		if got := s.actingRole(); got != role {
			t.Errorf("acts as %q, want %q", got, role)
		}
	}
	note := func(set router.Set) { s.noteSet(&set) }
	want("ann")
	note(router.Set{Name: "session_authorization", Value: "'bob'"})
	want("bob")
	note(router.Set{Name: "role", Value: `"Cid"`})
	want("Cid")
	note(router.Set{Name: "role", Value: "'none'"})
	want("bob")
	note(router.Set{Name: "session_authorization", Default: true})
	want("ann")
}

// testDatabase has a schema with these schemas in it, and knows the search path that servers show.
func testDatabase(s *Session, raw string, schemas ...string) *router.Schema {
	s.srv.plans = plancache.New[cachedPlan](1 << 20)
	schema := &router.Schema{Relations: map[string]map[string]*router.Table{}}
	for _, n := range schemas {
		schema.Relations[n] = map[string]*router.Table{}
	}
	s.db = &Database{srv: s.srv, paths: map[pathKey]string{}, scopes: map[scopeKey]uint64{}}
	s.db.schema.Store(schema)
	s.db.rememberPath(pathKey{user: s.user, role: s.actingRole()}, raw)
	return schema
}

func TestSearchPath(t *testing.T) {
	for _, c := range []struct {
		raw     string
		schemas string
		want    string
	}{
		{`"$user", public`, "public", "public"},
		{`"$user", public`, "ann public", "ann public"},
		{`public, "$user"`, "ann public", "public ann"},
		{`nosuch, app, public`, "app public", "app public"},
		{`pg_catalog, public`, "public", "pg_catalog public"},
		{`"App"`, "app", ""},
		{``, "public", ""},
	} {
		s := testSession(t)
		schema := testDatabase(s, c.raw, strings.Fields(c.schemas)...)
		path, _ := s.searchPath(schema)
		if got := strings.Join(path, " "); got != c.want {
			t.Errorf("path %q over %q is %q, want %q", c.raw, c.schemas, got, c.want)
		}
	}
}

func TestPlansAreSharedByScope(t *testing.T) {
	s := testSession(t)
	testDatabase(s, "public", "public", "app")
	first := s.planner.current(s)
	if again := s.planner.current(s); again != first {
		t.Errorf("the scope is %d and then %d", first, again)
	}
	other := testSession(t)
	other.srv, other.db = s.srv, s.db
	if got := other.planner.current(other); got != first {
		t.Errorf("another session of the same role has scope %d, not %d", got, first)
	}

	other.user = "bob"
	s.db.rememberPath(pathKey{user: "bob", role: "bob"}, "public")
	other.planner.stale()
	bob := other.planner.current(other)
	if bob == first {
		t.Error("another role has the same scope")
	}

	set := router.Set{Name: "search_path", Value: "app"}
	s.noteSet(&set)
	s.db.rememberPath(pathKey{user: "ann", role: "ann", set: "app"}, "app")
	if got := s.planner.current(s); got == first || got == bob {
		t.Error("another search path has the same scope")
	}

	def := router.Set{Name: "search_path", Default: true}
	s.noteSet(&def)
	if got := s.planner.current(s); got != first {
		t.Errorf("back at the old path the scope is %d, not %d", got, first)
	}
}

func TestANewSchemaEndsTheScopes(t *testing.T) {
	s := testSession(t)
	testDatabase(s, "public", "public")
	old := s.planner.current(s)
	key := plancache.Key{Scope: old, Hash: 1, Text: []byte("SELECT 1")}
	s.srv.plans.Put(key, &cachedPlan{tmpl: &router.Template{}}, 100)
	s.db.schema.Store(&router.Schema{Epoch: 2, Relations: map[string]map[string]*router.Table{"public": {}}})
	if got := s.planner.current(s); got == old {
		t.Error("the new schema has the old scope")
	}
	if s.srv.plans.Get(key) != nil {
		t.Error("a plan of the old schema is kept")
	}
}

func TestTemporaryTablesKeepPlansPrivate(t *testing.T) {
	s := testSession(t)
	testDatabase(s, "public", "public")
	shared := s.planner.current(s)
	s.planner.setTemp(map[string]bool{"scratch": true}, nil)
	s.planner.stale()
	private := s.planner.current(s)
	s.planner.stale()
	if again := s.planner.current(s); private == shared || again == private || !s.planner.env.Temp["scratch"] {
		t.Errorf("scopes: %d shared, %d and %d private", shared, private, again)
	}
}

func TestTheTransactionsOwnSchemaEndsWithIt(t *testing.T) {
	s := testSession(t)
	shared := testDatabase(s, "public", "public")
	s.gang.Begin(executor.TxnExplicit, "BEGIN")
	s.planner.schemaChanged()
	s.planner.private = &router.Schema{Relations: shared.Relations}
	s.planner.reload = false
	inside := s.planner.current(s)
	if s.planner.env.Schema == shared {
		t.Error("the transaction plans from the shared schema")
	}
	s.gang.Txn.State = executor.TxnNone
	s.planner.endTransaction(s, false)
	if got := s.planner.current(s); got == inside || s.planner.env.Schema != shared {
		t.Error("the rolled back schema is planned from")
	}
}
