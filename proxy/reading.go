package proxy

import (
	"bytes"
	"slices"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// readingSettings are those by which PostgreSQL reads the constants of a statement when it prepares it, or computes with them
// when it plans.
var readingSettings = []string{
	"datestyle", "timezone", "timezone_abbreviations", "intervalstyle", "lc_monetary", "array_nulls", "xmloption", "bytea_output",
	"extra_float_digits", "transform_null_equals", "backslash_quote",
}

// readingOf remembers the last answer.
type readingOf struct{ of, only *backend.Settings }

// reading is how the session reads constants: sessions of one role with equal ones can share what a server has prepared. known is
// false where the transaction has settings of its own.
func (s *Session) reading() (only *backend.Settings, known bool) {
	if s.gang.Txn.State != executor.TxnNone && s.gang.Txn.HasSettings() {
		return backend.NoSettings, false
	}
	if s.read.of != s.gang.Settings {
		only := s.gang.Settings.Only(func(name string) bool { return slices.Contains(readingSettings, name) })
		s.read = readingOf{s.gang.Settings, only}
	}
	return s.read.only, true
}

// readAs composes what makes m's server read constants in another way: a statement that is prepared there anew means what it
// meant when the client prepared it. The messages are of the extended protocol, and end no transaction.
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

// readsPresent tells whether one of them may stand in literals.
func readsPresent(literals []byte) bool {
	lower := bytes.ToLower(literals)
	return slices.ContainsFunc(presentWords, func(w []byte) bool { return bytes.Contains(lower, w) })
}

// shareable tells whether all sessions mean the same by a statement's constants whenever they prepare it.
func (st *statement) shareable() bool {
	return !slices.ContainsFunc(st.plan.kinds, func(l sqlparse.Literal) bool { return readsPresent([]byte(st.text[l.Start:l.End])) })
}
