package proxy

import (
	"testing"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// testSession is a session that has no client and no server.
func testSession(t *testing.T) *Session {
	t.Helper()
	srv := &Server{}
	srv.cfg.Store(config.Default())
	return &Session{
		srv: srv, ctx: newInterrupt(t.Context()), user: "ann", startup: backend.NoSettings,
		gang: executor.Gang{ID: 1, Settings: backend.NoSettings},
	}
}

func mustSet(t *testing.T, s *Session, name, value string, local bool) {
	t.Helper()
	if e := s.setOwn(name, &value, local); e != nil {
		t.Fatalf("SET %s = %s: %v", name, value, e)
	}
}

func wantOwn(t *testing.T, s *Session, name, want string) {
	t.Helper()
	if got := s.own(name); got != want {
		t.Errorf("%s is %q, want %q", name, got, want)
	}
}

const count = "pleiad.shard_count"

func TestOwnSettingsHaveTheConfigurationsDefaults(t *testing.T) {
	s := testSession(t)
	wantOwn(t, s, count, "32")
	wantOwn(t, s, "pleiad.default_distribution", "local")
	wantOwn(t, s, "pleiad.hash", "postgres")
}

func TestOwnSettingsAreChecked(t *testing.T) {
	s := testSession(t)
	for _, c := range []struct{ name, value, kept, code string }{
		{count, "1", "1", ""},
		{count, " 4096 ", "4096", ""},
		{count, "007", "7", ""},
		{count, "0", "", pgerr.InvalidParameterValue},
		{count, "4097", "", pgerr.InvalidParameterValue},
		{count, "-1", "", pgerr.InvalidParameterValue},
		{count, "many", "", pgerr.InvalidParameterValue},
		{count, "", "", pgerr.InvalidParameterValue},
		{count, "99999999999999999999", "", pgerr.InvalidParameterValue},
		{"pleiad.default_distribution", "PRIMARY_KEY", "primary_key", ""},
		{"pleiad.default_distribution", "reference", "reference", ""},
		{"pleiad.default_distribution", "sharded", "", pgerr.InvalidParameterValue},
		{"pleiad.hash", "Murmur3", "murmur3", ""},
		{"pleiad.hash", "md5", "", pgerr.InvalidParameterValue},
		{"pleiad.nosuch", "1", "", pgerr.UndefinedObject},
	} {
		before := s.own(c.name)
		e := s.setOwn(c.name, &c.value, false)
		switch {
		case c.code == "" && e != nil:
			t.Errorf("%s = %q: %v", c.name, c.value, e)
		case c.code == "":
			wantOwn(t, s, c.name, c.kept)
		case e == nil || e.Code != c.code:
			t.Errorf("%s = %q: %v, want %s", c.name, c.value, e, c.code)
		default:
			wantOwn(t, s, c.name, before)
		}
	}
}

// Each case is what a transaction does and what holds behind its COMMIT and behind its ROLLBACK. The value ahead of it is 5.
func TestOwnSettingsFollowTheTransaction(t *testing.T) {
	for name, c := range map[string]struct {
		do             func(t *testing.T, s *Session)
		inside         string
		commit, rolled string
	}{
		"set":              {func(t *testing.T, s *Session) { mustSet(t, s, count, "6", false) }, "6", "6", "5"},
		"set local":        {func(t *testing.T, s *Session) { mustSet(t, s, count, "6", true) }, "6", "5", "5"},
		"set, set local":   {func(t *testing.T, s *Session) { mustSet(t, s, count, "6", false); mustSet(t, s, count, "7", true) }, "7", "6", "5"},
		"set local, set":   {func(t *testing.T, s *Session) { mustSet(t, s, count, "7", true); mustSet(t, s, count, "6", false) }, "6", "6", "5"},
		"reset":            {func(_ *testing.T, s *Session) { s.setOwn(count, nil, false) }, "32", "32", "5"},
		"local to default": {func(_ *testing.T, s *Session) { s.setOwn(count, nil, true) }, "32", "5", "5"},
		"a wrong value":    {func(_ *testing.T, s *Session) { bad := "x"; s.setOwn(count, &bad, false) }, "5", "5", "5"},
		"another setting":  {func(t *testing.T, s *Session) { mustSet(t, s, "pleiad.hash", "murmur3", false) }, "5", "5", "5"},
	} {
		for _, committed := range []bool{true, false} {
			s := testSession(t)
			mustSet(t, s, count, "5", false)
			s.gang.Begin(executor.TxnExplicit, "BEGIN")
			c.do(t, s)
			if got := s.own(count); got != c.inside {
				t.Errorf("%s: %s inside, want %s", name, got, c.inside)
			}
			s.endOwn(committed)
			want := c.rolled
			if committed {
				want = c.commit
			}
			if got := s.own(count); got != want {
				t.Errorf("%s, committed %v: %s, want %s", name, committed, got, want)
			}
			s.gang.Txn.State = executor.TxnNone
			mustSet(t, s, count, "9", false)
			s.endOwn(false)
			wantOwn(t, s, count, "9")
		}
	}
}

func TestOwnSettingsFollowSavepoints(t *testing.T) {
	s := testSession(t)
	s.gang.Begin(executor.TxnExplicit, "BEGIN")
	s.savepointOwn("a")
	mustSet(t, s, count, "6", false)
	s.savepointOwn("b")
	mustSet(t, s, count, "7", true)
	s.savepointOwn("a")
	mustSet(t, s, count, "8", false)
	s.rollbackToOwn("a") // the later one of that name
	wantOwn(t, s, count, "7")
	mustSet(t, s, count, "9", false)
	s.rollbackToOwn("a")
	wantOwn(t, s, count, "7")
	s.releaseOwn("a")
	s.rollbackToOwn("b")
	wantOwn(t, s, count, "6")
	s.rollbackToOwn("a")
	wantOwn(t, s, count, "32")
	s.rollbackToOwn("b") // gone with the rollback to a
	wantOwn(t, s, count, "32")
	mustSet(t, s, count, "5", false)
	s.releaseOwn("a")
	s.endOwn(true)
	wantOwn(t, s, count, "5")
}

func TestResetAllOfOwnSettingsIsRolledBack(t *testing.T) {
	s := testSession(t)
	mustSet(t, s, count, "5", false)
	s.gang.Begin(executor.TxnExplicit, "BEGIN")
	s.noteSet(&router.Set{ResetAll: true})
	wantOwn(t, s, count, "32")
	s.endOwn(false)
	wantOwn(t, s, count, "5")
}

func TestSetLocalOutsideOfATransactionDoesNothing(t *testing.T) {
	s := testSession(t)
	mustSet(t, s, count, "6", true)
	wantOwn(t, s, count, "32")
}

func TestResetOfAnOwnSettingReturnsToTheStartupPacket(t *testing.T) {
	s := testSession(t)
	s.settings.startup = map[string]string{count: "8"}
	s.settings.current = copyMap(s.settings.startup)
	mustSet(t, s, count, "9", false)
	if e := s.setOwn(count, nil, false); e != nil {
		t.Fatal(e)
	}
	wantOwn(t, s, count, "8")
	mustSet(t, s, count, "9", false)
	s.noteSet(&router.Set{ResetAll: true})
	wantOwn(t, s, count, "8")
}

func TestServerSettingsAreNotedAsTheClientSetThem(t *testing.T) {
	s := testSession(t)
	s.startup = backend.NoSettings.With("statement_timeout", "'5s'")
	s.gang.Settings = s.startup
	note := func(set router.Set) { s.noteSet(&set) }
	want := func(name, value string) {
		t.Helper()
		if got, _ := s.gang.Settings.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	note(router.Set{Name: "work_mem", Value: "'1MB'"})
	want("work_mem", "'1MB'")
	want("statement_timeout", "'5s'")
	note(router.Set{Name: "work_mem", Value: "'2MB'", Local: true})
	want("work_mem", "'1MB'")
	note(router.Set{Name: "statement_timeout", Value: "0"})
	note(router.Set{Name: "statement_timeout", Default: true})
	want("statement_timeout", "'5s'")
	note(router.Set{Name: "role", Value: "'bob'"})
	note(router.Set{ResetAll: true, Default: true})
	want("work_mem", "")
	want("role", "'bob'") // RESET ALL leaves the role
	want("statement_timeout", "'5s'")
	note(router.Set{Name: "session_authorization", Value: "'cid'"})
	want("role", "") // a new session authorization ends SET ROLE
	note(router.Set{SetSession: true, Name: "session characteristics", Isolation: "serializable", ReadOnly: 1})
	want("default_transaction_isolation", "'serializable'")
	want("default_transaction_read_only", "on")
	note(router.Set{SetSession: true, Name: "session characteristics", ReadOnly: -1})
	want("default_transaction_read_only", "off")
	want("default_transaction_isolation", "'serializable'")
}

func TestEqualSettingsAreOneSet(t *testing.T) {
	a := backend.NoSettings.With("work_mem", "'1MB'").With("role", "'bob'")
	b := backend.NoSettings.With("role", "'ann'").With("work_mem", "'1MB'").With("role", "'bob'")
	if a != b {
		t.Error("two clients with equal settings do not share them")
	}
	if a.Without("role").Without("work_mem") != backend.NoSettings {
		t.Error("settings taken back differ from none")
	}
}

func TestEncodingsThatAreUTF8(t *testing.T) {
	for v, want := range map[string]bool{
		"UTF8": true, "utf-8": true, "'UTF8'": true, "Unicode": true, "default": true, "": false,
		"LATIN1": false, "SQL_ASCII": false, "utf16": false,
	} {
		if isUTF8(v) != want {
			t.Errorf("isUTF8(%q) = %v", v, !want)
		}
	}
}

func TestSettingValueQuotes(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"application_name", "it's", "'it''s'"},
		{"application_name", "a, b", "'a, b'"},
		{"search_path", `"$user", public`, "'$user', 'public'"},
		{"search_path", `a,"B ""c""", D`, `'a', 'B "c"', 'd'`},
		{"search_path", "", "''"},
		{"datestyle", "ISO, MDY", "'iso', 'mdy'"},
	} {
		if got := settingValue(c.name, c.value); got != c.want {
			t.Errorf("settingValue(%q, %q) = %s, want %s", c.name, c.value, got, c.want)
		}
	}
}
