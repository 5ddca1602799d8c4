package proxy

import (
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// settings are the pleiad.* settings of a session; the proxy keeps them, the servers do not know them.
type settings struct {
	current map[string]string
	startup map[string]string // from the startup packet
	role    map[string]string // from ALTER ROLE and ALTER DATABASE, as of the login
	// In a transaction that may change them: undo is what ROLLBACK leaves and after what COMMIT leaves, which is
	// current without SET LOCAL. Both are nil outside.
	undo, after map[string]string
	marks       []ownMark // savepoints, oldest first
}

// ownMark is what a savepoint returns to.
type ownMark struct {
	name           string
	current, after map[string]string
}

// ownSetting is one pleiad.* setting.
type ownSetting struct {
	check func(v string) (string, *pgerr.Error)
}

var ownSettings = map[string]ownSetting{
	"pleiad.shard_count":          {check: checkShardCount},
	"pleiad.default_distribution": {check: checkDistribution},
	"pleiad.hash":                 {check: oneOf("pleiad.hash", "postgres", "murmur3")},
	"pleiad.snapshot":             {check: checkBool("pleiad.snapshot")},
	"pleiad.consistency":          {check: oneOf("pleiad.consistency", "strong", "bounded_staleness", "session", "consistent_prefix", "eventual")},
	"pleiad.max_staleness":        {check: checkStaleness},
	"pleiad.replication":          {check: oneOf("pleiad.replication", "async", "sync")},
	partialDump:                   {check: checkBool(partialDump)},
	sessionToken:                  {check: checkToken},
}

func checkShardCount(v string) (string, *pgerr.Error) {
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil {
		return "", pgerr.New(pgerr.InvalidParameterValue, "invalid value for parameter \"pleiad.shard_count\": %q", v)
	}
	if n < 1 || n > 4096 {
		return "", pgerr.New(pgerr.InvalidParameterValue,
			"%d is outside the valid range for parameter \"pleiad.shard_count\" (1 .. 4096)", n)
	}
	return strconv.Itoa(n), nil
}

// checkDistribution takes a kind of table, or the key of those to come: what follows PARTITION BY.
func checkDistribution(v string) (string, *pgerr.Error) {
	if len(v) <= 8192 && router.DistributedBy(v) {
		return v, nil
	}
	kind, bad := oneOf("pleiad.default_distribution", "local", "primary_key", "reference")(v)
	if bad != nil {
		bad = bad.WithHint("Available values: local, primary_key, reference, or a key as PARTITION BY takes it: hash (column, …).")
	}
	return kind, bad
}

func oneOf(name string, allowed ...string) func(string) (string, *pgerr.Error) {
	return func(v string) (string, *pgerr.Error) {
		for _, a := range allowed {
			if strings.EqualFold(v, a) {
				return a, nil
			}
		}
		return "", pgerr.New(pgerr.InvalidParameterValue, "invalid value for parameter %q: %q", name, v).
			WithHint("Available values: %s.", strings.Join(allowed, ", "))
	}
}

// checkBool takes what PostgreSQL takes for a boolean (parse_bool): the words' beginnings too, where they are clear.
func checkBool(name string) func(string) (string, *pgerr.Error) {
	return func(v string) (string, *pgerr.Error) {
		word := strings.ToLower(strings.TrimSpace(v))
		is := func(of string, least int) bool { return len(word) >= least && strings.HasPrefix(of, word) }
		switch {
		case is("true", 1), is("yes", 1), is("on", 2), word == "1":
			return "on", nil
		case is("false", 1), is("no", 1), is("off", 2), word == "0":
			return "off", nil
		}
		return "", pgerr.New(pgerr.InvalidParameterValue, "parameter %q requires a Boolean value", name)
	}
}

// own returns the value of a pleiad.* setting in force.
func (s *Session) own(name string) string {
	if v, ok := s.settings.current[name]; ok {
		return v
	}
	if v, ok := s.settings.role[name]; ok {
		return v
	}
	c := s.srv.config()
	switch name {
	case "pleiad.shard_count":
		return strconv.Itoa(c.Sharding.ShardCount)
	case "pleiad.default_distribution":
		return string(c.Sharding.DefaultDistribution)
	case "pleiad.hash":
		return string(c.Sharding.Hash)
	case "pleiad.snapshot", partialDump:
		return "off"
	case "pleiad.consistency":
		return string(c.Reads.Consistency)
	case "pleiad.max_staleness":
		return strconv.FormatInt(c.Reads.MaxStaleness.D().Milliseconds(), 10)
	case "pleiad.replication":
		return string(c.Replication.Default)
	}
	return ""
}

// setOwn changes a pleiad.* setting; value nil is its default, which the startup packet may have given.
func (s *Session) setOwn(name string, value *string, local bool) *pgerr.Error {
	o, ok := ownSettings[name]
	if !ok {
		return pgerr.New(pgerr.UndefinedObject, "unrecognized configuration parameter %q", name)
	}
	if local && s.gang.Txn.State == executor.TxnNone {
		return nil
	}
	v, given := s.settings.startup[name]
	if value != nil {
		var bad *pgerr.Error
		if v, bad = o.check(*value); bad != nil {
			return bad
		}
		given = true
	}
	if name == sessionToken {
		return s.setToken(v)
	}
	s.trackOwn()
	if s.settings.current == nil {
		s.settings.current = map[string]string{}
	}
	change := func(m map[string]string) {
		if given {
			m[name] = v
		} else {
			delete(m, name)
		}
	}
	change(s.settings.current)
	if s.settings.after != nil && !local {
		change(s.settings.after)
	}
	s.settingsChanged()
	return nil
}

// resetOwn is RESET ALL for the pleiad.* settings.
func (s *Session) resetOwn() {
	s.trackOwn()
	s.settings.current = copyMap(s.settings.startup)
	if s.settings.after != nil {
		s.settings.after = copyMap(s.settings.startup)
	}
}

// settingsChanged is called after any change of a setting that plans or reads may depend on.
func (s *Session) settingsChanged() {
	s.planner.stale()
	s.reads.fresh = false
}

// trackOwn notes, before the first change in a transaction, what its end may return to.
func (s *Session) trackOwn() {
	if s.gang.Txn.State != executor.TxnNone && s.settings.undo == nil {
		s.settings.undo, s.settings.after = copyMap(s.settings.current), copyMap(s.settings.current)
	}
}

// endOwn ends the transaction for the pleiad.* settings.
func (s *Session) endOwn(committed bool) {
	if s.settings.undo == nil {
		return
	}
	s.settings.current = s.settings.undo
	if committed {
		s.settings.current = s.settings.after
	}
	s.settings.undo, s.settings.after, s.settings.marks = nil, nil, nil
	s.settingsChanged()
}

// savepointOwn is SAVEPOINT for the pleiad.* settings.
func (s *Session) savepointOwn(name string) {
	s.trackOwn()
	s.settings.marks = append(s.settings.marks, ownMark{name, copyMap(s.settings.current), copyMap(s.settings.after)})
}

// releaseOwn is RELEASE: what was set since stays.
func (s *Session) releaseOwn(name string) {
	if i := s.markOwn(name); i >= 0 {
		s.settings.marks = s.settings.marks[:i]
	}
}

// rollbackToOwn is ROLLBACK TO; the savepoint stays.
func (s *Session) rollbackToOwn(name string) {
	if i := s.markOwn(name); i >= 0 {
		m := s.settings.marks[i]
		s.settings.current, s.settings.after = copyMap(m.current), copyMap(m.after)
		s.settings.marks = s.settings.marks[:i+1]
		s.settingsChanged()
	}
}

// markOwn is the place of the latest savepoint of that name, or -1.
func (s *Session) markOwn(name string) int {
	for i := len(s.settings.marks) - 1; i >= 0; i-- {
		if s.settings.marks[i].name == name {
			return i
		}
	}
	return -1
}

func copyMap(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// runSet is SET, RESET and their kin. The statement itself runs on a server, which judges it; what it changes is
// remembered and follows the client to other connections.
func (s *Session) runSet(r *request) error {
	set := r.tmpl.Set
	if !set.Local && set.Name != "transaction" {
		s.openPipeline()
	}
	if set.Pleiad {
		return s.runSetOwn(set)
	}
	if set.Name == "client_encoding" && !set.Default && !isUTF8(set.Text) {
		s.fail(encodingRefusal(set.Text))
		return nil
	}
	if set.Name == "standard_conforming_strings" && !set.Default && !isOn(set.Text) {
		s.fail(pgerr.New(pgerr.FeatureNotSupported, "standard_conforming_strings = off is not supported").
			WithHint("Write escape strings as E'…'."))
		return nil
	}
	if s.gang.Txn.State == executor.TxnNone {
		return s.setAlone(r, set)
	}
	return s.setInTransaction(r, set)
}

func (s *Session) runSetOwn(set *router.Set) error {
	if set.Local && s.gang.Txn.State == executor.TxnNone {
		s.warn(pgerr.NoActiveSQLTransaction, "SET LOCAL can only be used in transaction blocks")
	}
	var value *string
	if !set.Default {
		value = &set.Text
	}
	e := error(nil)
	if set.Name == failoverOrder && value != nil {
		e = s.orderFailover(*value)
	} else if bad := s.setOwn(set.Name, value, set.Local); bad != nil {
		e = bad
	}
	if e != nil {
		s.fail(executor.ClientError(e))
		return nil
	}
	s.out.Out = wire.CommandComplete(s.out.Out, setTag(set))
	return nil
}

func setTag(set *router.Set) string {
	if set.ResetAll || set.Default && strings.HasPrefix(strings.ToUpper(strings.TrimSpace(set.Statement)), "RESET") {
		return "RESET"
	}
	return "SET"
}

func (s *Session) setAlone(r *request, set *router.Set) error {
	m, err := s.gang.Join(s.ctx, s.anyBackend())
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	again := s.composeSet(m, r, set)
	before := s.batch.failed
	s.batch.failed = false
	if err := s.relay(m); err != nil {
		return err
	}
	if s.batch.failed {
		return nil
	}
	s.batch.failed = before
	s.noteSet(set)
	if again != "" {
		s.tag(setTag(set))
	}
	if !set.Local {
		m.Conn.Settings = s.gang.Settings.ID
	}
	return nil
}

// composeSet composes the client's statement, and behind it in the same message what puts its startup settings back, which is
// returned: only what is different at the message's end is told to the client. The tag is the caller's to give then.
func (s *Session) composeSet(m *executor.Member, r *request, set *router.Set) (again string) {
	if again = s.restore(set); again == "" {
		s.compose(m, r)
		return again
	}
	m.Internal(string(r.text) + "\n;" + again)
	owed := m.Queue.Last()
	owed.Reply, owed.Report = executor.Quiet, true
	return again
}

// firstInTransaction tells whether no backend has joined the transaction yet.
func (s *Session) firstInTransaction() bool {
	for _, m := range s.gang.Members() {
		if m.Began {
			return false
		}
	}
	return true
}

// restore is the SQL that puts the client's startup settings back after a RESET, which on a pooled connection
// returns to the server's defaults instead.
func (s *Session) restore(set *router.Set) string {
	switch {
	case set.ResetAll:
		return s.startup.Apply
	case set.Default && !set.Local:
		if v, ok := s.startup.Get(set.Name); ok {
			return backend.SetSQL(set.Name, v)
		}
	}
	return ""
}

// setInTransaction runs SET on every backend that has joined; the ones that join later are sent it then.
func (s *Session) setInTransaction(r *request, set *router.Set) error {
	if set.Name == "transaction" && (set.Isolation != "" || set.ReadOnly != 0) && s.firstInTransaction() && s.gang.Txn.Savepoints() == 0 {
		// Heeded by the backends when they join; until then nothing has run that it could come too late for.
		s.gang.Txn.NoteMode(string(r.text))
		if set.Isolation != "" {
			s.gang.Txn.Isolation = set.Isolation
		}
		if set.ReadOnly != 0 {
			s.gang.Txn.ReadOnly = set.ReadOnly > 0
		}
		s.tag("SET")
		return nil
	}
	if set.Name == "transaction" && set.ReadOnly > 0 && s.gang.Writers() > 1 {
		s.fail(pgerr.New(pgerr.FeatureNotSupported, "SET TRANSACTION READ ONLY is not supported behind writes on several backends").
			WithHint("Set it ahead of the transaction's first statement, or commit first."))
		return nil
	}
	first, err := s.gang.Join(s.ctx, s.anyBackend())
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	again := s.composeSet(first, r, set)
	if err := s.relay(first); err != nil || s.gang.Txn.Failed {
		return err
	}
	if again != "" {
		s.tag(setTag(set))
	}
	sql := string(r.text)
	for _, m := range s.gang.Members() {
		if !m.Began || m == first {
			continue
		}
		m.Internal(sql + "\n;" + again)
		if err := s.relay(m); err != nil || s.gang.Txn.Failed {
			return err
		}
	}
	if note := sql + "\n;" + again; set.Name == "transaction" {
		s.gang.Txn.NoteMode(note)
	} else {
		s.gang.Txn.NoteSetting(note)
	}
	if set.Name == "transaction" && set.Isolation != "" {
		s.gang.Txn.Isolation = set.Isolation
	}
	if !set.Local {
		s.noteSet(set)
	} else {
		s.settingsChanged()
	}
	return nil
}

// noteSet records a setting that has been accepted.
func (s *Session) noteSet(set *router.Set) {
	cur := s.gang.Settings
	switch {
	case set.Local || set.Name == "transaction":
	case set.ResetAll:
		keep := cur.Only(func(n string) bool { return n == "role" || n == "session_authorization" })
		s.gang.Settings = keep.Merge(s.startup)
		s.resetOwn()
	case set.SetSession:
		s.gang.Settings = noteCharacteristics(cur, set)
	case set.Default && set.Name == "session_authorization":
		s.gang.Settings = cur.Without(set.Name).Without("role")
	case set.Default:
		s.gang.Settings = s.startupDefault(cur.Without(set.Name), set.Name)
	case set.Name == "session_authorization":
		s.gang.Settings = cur.Without("role").With(set.Name, set.Value)
	default:
		s.gang.Settings = cur.With(set.Name, s.keptValue(set.Name, set.Value))
	}
	s.settingsChanged()
}

// noteCharacteristics turns SET SESSION CHARACTERISTICS into the settings that it changes.
func noteCharacteristics(cur *backend.Settings, set *router.Set) *backend.Settings {
	if set.Isolation != "" {
		cur = cur.With("default_transaction_isolation", "'"+set.Isolation+"'")
	}
	switch set.ReadOnly {
	case 1:
		cur = cur.With("default_transaction_read_only", "on")
	case -1:
		cur = cur.With("default_transaction_read_only", "off")
	}
	return cur
}

// startupDefault puts back what the client's startup packet asked for: that is what RESET returns to.
func (s *Session) startupDefault(cur *backend.Settings, name string) *backend.Settings {
	if v, ok := s.startup.Get(name); ok {
		return cur.With(name, v)
	}
	return cur
}

func isOn(v string) bool {
	switch strings.ToLower(v) {
	case "on", "true", "yes", "1", "t", "y":
		return true
	}
	return false
}

func isUTF8(v string) bool {
	switch strings.ToLower(strings.NewReplacer("-", "", "_", "", "'", "", " ", "").Replace(v)) {
	case "utf8", "unicode", "default":
		return true
	}
	return false
}

func encodingRefusal(v string) *pgerr.Error {
	return pgerr.New(pgerr.FeatureNotSupported, "client encoding %q is not supported", v).
		WithHint("Use client_encoding UTF8.")
}

// warn sends a WARNING.
func (s *Session) warn(code, message string) {
	s.warnOf(&pgerr.Error{Code: code, Message: message})
}

// warnOf sends an error as a WARNING.
func (s *Session) warnOf(e *pgerr.Error) {
	w := *e
	w.Severity = "WARNING"
	s.out.Out = wire.Notice(s.out.Out, &w)
}
