package proxy

import (
	"bytes"
	"slices"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// readingSettings are those by which PostgreSQL finds what a statement names and reads its constants when it prepares it, or
// computes with them when it plans.
var readingSettings = []string{
	"search_path", "datestyle", "timezone", "timezone_abbreviations", "intervalstyle", "lc_monetary", "array_nulls", "xmloption",
	"bytea_output", "extra_float_digits", "transform_null_equals", "backslash_quote",
}

// identitySettings say who reads: "$user" in the path.
var identitySettings = []string{"session_authorization", "role"}

// readingOf remembers the last answer.
type readingOf struct{ of, only *backend.Settings }

// reading is how the session reads statements: sessions of one login role with equal ones can share what a server has prepared.
// known is false where the transaction has settings of its own.
func (s *Session) reading() (only *backend.Settings, known bool) {
	if s.gang.Txn.State != executor.TxnNone && s.gang.Txn.HasSettings() {
		return backend.NoSettings, false
	}
	if s.read.of != s.gang.Settings {
		only := s.gang.Settings.Only(func(name string) bool {
			return slices.Contains(readingSettings, name) || slices.Contains(identitySettings, name)
		})
		s.read = readingOf{s.gang.Settings, only}
	}
	return s.read.only, true
}

// readsAlike tells whether the session reads st as when it was prepared, so far as that is known.
func (s *Session) readsAlike(st *statement) bool {
	now, known := s.reading()
	return st.reading == nil || known && now.ID == st.reading.ID
}

// readAlike makes m's server, which is about to prepare st, read it as when the client prepared it. done composes what comes
// behind that. Where that cannot be, the server reads it as the session does now, for this session alone.
func (s *Session) readAlike(m *executor.Member, st *statement) (done func()) {
	now, known := s.reading()
	switch {
	case s.readsAlike(st):
	case known && sameSettings(now, st.reading, identitySettings):
		readAs(m, now, st.reading)
		return func() { readAs(m, st.reading, now) }
	case st.epoch != 0:
		s.renew(st)
	}
	return func() {}
}

// sameSettings tells whether two sets have the same values of some settings.
func sameSettings(a, b *backend.Settings, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		x, hasX := a.Get(name)
		y, hasY := b.Get(name)
		return x != y || hasX != hasY
	})
}

// readAs composes what makes m's server read statements in another way, in messages of the extended protocol that end no
// transaction.
func readAs(m *executor.Member, from, to *backend.Settings) {
	for _, name := range readingSettings {
		was, had := from.Get(name)
		value, has := to.Get(name)
		switch {
		case was == value && had == has:
		case has:
			m.Aside(backend.SetSQL(name, value))
		default:
			m.Aside("RESET " + name)
		}
	}
}

// presentWords are those that PostgreSQL reads as the time at which it prepares a statement.
var presentWords = [][]byte{[]byte("now"), []byte("today"), []byte("tomorrow"), []byte("yesterday")}

// readsPresent tells whether one of them may stand in literals, if in escapes.
func readsPresent(literals []byte) bool {
	lower := bytes.ToLower(literals)
	if escapes := bytes.Contains(lower, []byte("e'")) || bytes.Contains(lower, []byte("u&'")); escapes && bytes.IndexByte(lower, '\\') >= 0 {
		return true
	}
	return slices.ContainsFunc(presentWords, func(w []byte) bool { return bytes.Contains(lower, w) })
}

// shareable tells whether all sessions mean the same by a statement's constants whenever they prepare it.
func (st *statement) shareable() bool {
	return !slices.ContainsFunc(st.plan.kinds, func(l sqlparse.Literal) bool { return readsPresent([]byte(st.text[l.Start:l.End])) })
}
