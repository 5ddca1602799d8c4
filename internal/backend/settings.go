package backend

import (
	"sort"
	"strings"
	"sync"
)

// Settings is an immutable set of session settings a client has changed from the server's defaults. Equal sets
// are one object, so that "does this connection have them" is a comparison of ids.
type Settings struct {
	ID     uint64
	values map[string]string // name → SQL behind SET name TO
	// Apply is the SQL that puts a clean session into this state, "" for none.
	Apply string
}

var interned = struct {
	sync.Mutex
	byText map[string]*Settings
	bytes  int // of the texts
	next   uint64
}{byText: map[string]*Settings{}, next: 1}

// NoSettings is the empty set.
var NoSettings = &Settings{}

// Get returns the SQL value of name.
func (s *Settings) Get(name string) (string, bool) {
	v, ok := s.values[name]
	return v, ok
}

// With returns the set with name at value (SQL text).
func (s *Settings) With(name, value string) *Settings {
	m := s.copy()
	m[name] = value
	return intern(m)
}

// Without returns the set with name back at its default.
func (s *Settings) Without(name string) *Settings {
	if _, ok := s.values[name]; !ok {
		return s
	}
	m := s.copy()
	delete(m, name)
	return intern(m)
}

// Only returns the set reduced to the names for which keep is true.
func (s *Settings) Only(keep func(name string) bool) *Settings {
	m := s.copy()
	for n := range m {
		if !keep(n) {
			delete(m, n)
		}
	}
	return intern(m)
}

// Merge returns the set with all of o's values in it.
func (s *Settings) Merge(o *Settings) *Settings {
	m := s.copy()
	for k, v := range o.values {
		m[k] = v
	}
	return intern(m)
}

func (s *Settings) copy() map[string]string {
	m := make(map[string]string, len(s.values)+1)
	for k, v := range s.values {
		m[k] = v
	}
	return m
}

// internLimit and internBytes bound the table of sets. A full one is emptied: equal sets made before and after that
// have different ids, which costs a replay of the settings and nothing else.
const (
	internLimit = 10000
	internBytes = 8 << 20
)

func intern(m map[string]string) *Settings {
	if len(m) == 0 {
		return NoSettings
	}
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	// session_authorization and then role come last: what the login role may set, the later one perhaps may
	// not, and SET SESSION AUTHORIZATION resets the role.
	sort.Slice(names, func(i, j int) bool { return settingRank(names[i]) < settingRank(names[j]) })
	var b strings.Builder
	for _, n := range names {
		b.WriteString(SetSQL(n, m[n]))
	}
	text := b.String()
	interned.Lock()
	defer interned.Unlock()
	if s, ok := interned.byText[text]; ok {
		return s
	}
	s := &Settings{ID: interned.next, values: m, Apply: text}
	interned.next++
	if len(text) > internBytes/16 {
		return s
	}
	if len(interned.byText) >= internLimit || interned.bytes+len(text) > internBytes {
		clear(interned.byText)
		interned.bytes = 0
	}
	interned.byText[text] = s
	interned.bytes += len(text)
	return s
}

func settingRank(n string) string {
	switch n {
	case "session_authorization":
		return "\xfe"
	case "role":
		return "\xff"
	}
	return n
}

// SetSQL is the statement that gives a setting a value (SQL text).
func SetSQL(name, value string) string {
	switch name {
	case "session_authorization":
		return "SET SESSION AUTHORIZATION " + value + ";"
	case "role":
		return "SET ROLE " + value + ";"
	case "timezone":
		if len(value) > 8 && strings.EqualFold(value[:8], "interval") { // no word: those are quoted
			return "SET TIME ZONE " + value + ";"
		}
	}
	return "SET " + quoteName(name) + " TO " + value + ";"
}

// quoteName quotes each part of a possibly dotted setting name.
func quoteName(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
	}
	return strings.Join(parts, ".")
}

// ResetSQL brings a session whose settings were changed, and nothing else, back to its defaults. RESET ALL leaves the
// role alone, and RESET SESSION AUTHORIZATION leaves it to come back with a ROLLBACK.
const ResetSQL = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL;"
