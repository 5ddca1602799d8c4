package proxy

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"

	"github.com/pleiad/pleiad/internal/catalog"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/plancache"
	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// literals are where a text's literals stand.
type literals = []sqlparse.Literal

// planner is what a session's plans depend on: the schema as it sees it, and its search path.
type planner struct {
	fresh bool
	env   router.Env
	scope uint64
	// private is the schema inside a transaction that has changed it; nil otherwise. reload says that it has to
	// be read anew.
	private *router.Schema
	// privateAge counts the readings of private, from 1.
	privateAge uint64
	// oids are home's in the open transaction, as of oidsAge.
	oids    oidLists
	oidsAge uint64
	changed bool // this transaction has changed the schema
	reload  bool
	// as is the role that statements of the proxy's own run as for the moment; "" for the session's.
	as string
	// temp are the session's temporary relations.
	temp map[string]bool
	// tempCode is the source of the session's temporary objects, by name.
	tempCode map[string]string
	// tempStale says that temporary relations may have come or gone, tempAge how often they have been found to.
	tempStale bool
	tempAge   uint64
	// unknown is why what plans depend on could not be learned: statements are refused with it, since a plan
	// from an older state could read one server's part of a table and call it the whole.
	unknown *pgerr.Error
}

// stale says that settings changed on which plans depend.
func (p *planner) stale() { p.fresh = false }

// current returns the scope of plans made now.
func (p *planner) current(s *Session) uint64 {
	if s.gang.Txn.Failed && p.env.Schema != nil {
		p.unknown = nil
		return p.scope // nothing runs before the transaction's end, and no server would answer
	}
	p.unknown = nil
	if p.reload {
		s.loadPrivate()
	}
	schema := p.private
	if schema == nil {
		schema = s.sharedSchema()
	}
	if p.tempStale {
		s.loadTemp()
	}
	if p.fresh && p.env.Schema == schema && p.unknown == nil {
		return p.scope
	}
	path, role := s.searchPath(schema)
	count, _ := strconv.ParseUint(s.own("pleiad.shard_count"), 10, 32)
	p.env = router.Env{
		Schema: schema, Path: path, User: role, Temp: p.temp, TempCode: p.tempCode,
		DefaultDistribution: s.own("pleiad.default_distribution"),
		ShardCount:          uint32(count),
		Major:               s.serverMajor(),
	}
	if s.own("pleiad.hash") == "murmur3" {
		p.env.Family = shardmap.FamilyMurmur3
	}
	if p.private != nil || len(p.temp) > 0 || len(p.tempCode) > 0 {
		p.scope = s.srv.scopes.Add(1)
	} else {
		p.scope = s.db.scopeOf(schema, p.env.User, path)
	}
	s.gang.Snapshot = s.own("pleiad.snapshot") == "on"
	p.fresh = p.unknown == nil
	if !p.fresh {
		p.scope = s.srv.scopes.Add(1) // no other plan is made in it
	}
	return p.scope
}

// mustAsk tells whether current will have to ask a server.
func (p *planner) mustAsk(s *Session) bool {
	if s.gang.Txn.Failed {
		return false
	}
	return p.reload || p.tempStale || !p.fresh || p.private == nil && p.env.Schema != s.db.schema.Load()
}

// schemaless are the first words of statements whose plans depend on neither schema nor path.
var schemaless = map[string]bool{
	"begin": true, "start": true, "commit": true, "end": true, "abort": true, "rollback": true, "savepoint": true, "release": true,
	"set": true, "reset": true, "show": true,
}

// needsNoSchema tells whether a statement can be planned without asking a server: a question ahead of SET TRANSACTION would take the
// transaction's snapshot.
func needsNoSchema(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	end := bytes.IndexFunc(text, func(c rune) bool { return !unicode.IsLetter(c) })
	if end < 0 {
		end = len(text)
	}
	return end <= len("savepoint") && schemaless[strings.ToLower(string(text[:end]))]
}

// scopeOf is the scope that a statement is planned in now.
func (p *planner) scopeOf(s *Session, text []byte) uint64 {
	if p.env.Schema != nil && p.mustAsk(s) && needsNoSchema(text) {
		p.unknown = nil
		return p.scope
	}
	return p.current(s)
}

// readyToPlan drains the batch's connection when planning has to ask a server: a question in the middle of a pipeline
// would end what the pipeline has executed.
func (s *Session) readyToPlan() error {
	if s.batch.member == nil || !s.planner.mustAsk(s) {
		return nil
	}
	return s.leave()
}

// sharedSchema is the database's schema, read anew where that had failed after a change.
func (s *Session) sharedSchema() *router.Schema {
	if s.db.stale.Load() {
		s.db.refresh(s.ctx)
		if s.db.stale.Load() {
			s.planner.unknown = pgerr.New(pgerr.ConnectionFailure, "backend %q does not tell the schema, which has changed",
				s.db.targets[s.db.home].Name)
		}
	}
	return s.db.schema.Load()
}

// asking gives a connection for a question of the planner's own. A batch that still waits for answers on it was not
// drained (readyToPlan) only if the schema has changed since, an instant ago.
func (s *Session) asking(b int) (*executor.Member, error) {
	if m := s.batch.member; m != nil && (m.Extended || m.Queue.Len() > 0) {
		return nil, pgerr.New(pgerr.TransactionRollback, "the schema changed in the middle of a pipeline").
			WithHint("Run the transaction again.")
	}
	return s.gang.Join(s.ctx, b)
}

// cannotLearn notes that a question of the planner's own was not answered.
func (s *Session) cannotLearn(what string, errFrame []byte, err error) {
	switch {
	case err != nil:
		s.planner.unknown = executor.ClientError(err)
	case errFrame != nil:
		s.planner.unknown = executor.FrameToError(errFrame)
	default:
		s.planner.unknown = pgerr.New(pgerr.InternalError, "the server did not tell %s", what)
	}
}

// planText plans one statement. The result's literals are valid until the next call.
func (s *Session) planText(text []byte) planned {
	scope := s.planner.scopeOf(s, text)
	if limit := int(s.srv.config().Limits.MaxQueryBytes); len(text) > limit {
		return planned{tmpl: tooLong(text, limit), scope: scope}
	}
	if e := s.planner.unknown; e != nil {
		return planned{tmpl: &router.Template{Kind: router.KindRefuse, Refusal: e}, scope: scope}
	}
	sc := s.scanner.Fold(text)
	if sc.NewNumber && s.serverMajor() < 16 {
		return planned{tmpl: &router.Template{Kind: router.KindSyntax}, scope: scope}
	}
	if len(sc.Folds) > 0 {
		if t := s.planFolded(text, &sc, scope); t != nil {
			return planned{tmpl: t, kinds: sc.Lits, scope: scope}
		}
		sc = s.scanner.Scan(text)
	}
	key := plancache.Key{Scope: scope, Hash: sc.Hash, Text: sc.Key}
	if sc.Cacheable {
		if c := s.srv.plans.Get(key); c != nil {
			return planned{tmpl: c.tmpl, points: c.points, kinds: sc.Lits, scope: scope}
		}
	}
	t := router.Plan(string(text), s.planner.env)
	if t.Unknown && s.planner.private == nil && s.db.refreshIfNewer(s.ctx) {
		scope = s.planner.current(s)
		key.Scope = scope
		t = router.Plan(string(text), s.planner.env)
	}
	if (utility(t) || t.Kind == router.KindRefuse && sc.Utility) && hasParameter(text) {
		// The parser takes $1 where PostgreSQL's grammar does not: let PostgreSQL say so.
		t = &router.Template{Kind: router.KindSyntax, Command: t.Command}
	}
	if showsConnection(text) {
		t = ownViews(t, text)
	}
	if t.Kind == router.KindHome && s.freshen(text) {
		return planned{tmpl: t, kinds: sc.Lits, scope: scope}
	}
	if sc.Cacheable && t.Cacheable && s.planner.private == nil {
		s.srv.plans.Put(key, cached(t), planBytes(t))
	}
	return planned{tmpl: t, kinds: sc.Lits, scope: scope}
}

// cachedPlan is what is kept of a text's plan for all sessions.
type cachedPlan struct {
	tmpl   *router.Template
	points *points // nil where the text cannot become a prepared statement
}

func cached(t *router.Template) *cachedPlan {
	c := &cachedPlan{tmpl: t}
	if t.Direct != nil && t.Direct.Point != nil {
		c.points = new(points)
	}
	return c
}

// planFolded is the plan of a text with lists of constants, made of one that the cache has for such lists of every length;
// nil where the text has to be planned by itself.
func (s *Session) planFolded(text []byte, sc *sqlparse.Scanned, scope uint64) *router.Template {
	if !sc.Cacheable || s.planner.private != nil {
		return nil
	}
	key := plancache.Key{Scope: scope, Hash: sc.Hash, Text: sc.Key}
	c := s.srv.plans.Get(key)
	if c == nil {
		if shards, backends := clusterViews(text); shards || backends || showsConnection(text) {
			return nil
		}
		c = cached(router.PlanFolded(text, sc, s.planner.env))
		s.srv.plans.Put(key, c, planBytes(c.tmpl))
	}
	if !c.tmpl.Foldable() {
		return nil
	}
	return c.tmpl.Unfold(text, sc)
}

// tooLong refuses a statement over limits.max_query_bytes.
func tooLong(text []byte, limit int) *router.Template {
	return &router.Template{Kind: router.KindRefuse, Refusal: executor.ClientError(sqlparse.GuardLength(text, limit))}
}

// utility tells the statements that have no expressions, and so no parameters.
func utility(t *router.Template) bool {
	switch t.Kind {
	case router.KindTxn, router.KindSet, router.KindShow, router.KindDiscard, router.KindDeallocate,
		router.KindListen, router.KindUnlisten, router.KindNotify:
		return true
	}
	return false
}

// hasParameter tells whether $1 or the like stands in a statement.
func hasParameter(text []byte) bool {
	if bytes.IndexByte(text, '$') < 0 {
		return false
	}
	for _, t := range sqlparse.Tokens(string(text)) {
		if s := text[t.Start:t.End]; len(s) > 1 && s[0] == '$' && s[1] >= '0' && s[1] <= '9' {
			return true
		}
	}
	return false
}

// showsConnection tells whether a statement reads what shows a server connection's own state, which is not the session's.
func showsConnection(text []byte) bool {
	if !bytes.Contains(bytes.ToLower(text), []byte("pg_")) {
		return false
	}
	for _, t := range sqlparse.Tokens(string(text)) {
		if router.ShowsSession(t.Word) {
			return true
		}
	}
	return false
}

var refuseConnectionState = pgerr.New(pgerr.FeatureNotSupported,
	"this use of pg_prepared_statements, pg_cursors or pg_listening_channels is not supported").
	WithHint("SELECT … FROM pg_prepared_statements or pg_cursors and SELECT pg_listening_channels() are, beside nothing sharded.")

// ownViews is the plan of a statement that may read such objects.
func ownViews(t *router.Template, text []byte) *router.Template {
	own := t
	switch t.Kind {
	case router.KindSyntax, router.KindRefuse, router.KindPrepare:
		return t
	case router.KindHome, router.KindAny:
		own = router.PlanSessionViews(string(text))
	default:
		if router.ReadsSession(string(text)) {
			own = nil
		}
	}
	if own == nil {
		own = &router.Template{Kind: router.KindRefuse, Refusal: refuseConnectionState}
	}
	own.NParams = t.NParams
	return own
}

// freshen brings what a statement shows of the cluster up to date, and tells whether there is such a thing: its plan is
// not kept then, for the next one has to see to it again.
func (s *Session) freshen(text []byte) bool {
	shards, backends := clusterViews(text)
	switch {
	case shards:
		s.refreshStats()
	case backends:
		s.srv.health.publish(s.ctx, s.db)
	default:
		return false
	}
	return true
}

func clusterViews(text []byte) (shards, backends bool) {
	lower := bytes.ToLower(text)
	return bytes.Contains(lower, []byte("pleiad.shards")), bytes.Contains(lower, []byte("pleiad.backends"))
}

// refreshStats brings the sizes up to date that view pleiad.shards shows. Old ones do where a backend is down.
func (s *Session) refreshStats() {
	ctx, stop := s.srv.controlContext()
	defer stop()
	if err := s.db.refreshStats(ctx); err != nil {
		s.srv.log.Warn("shard_sizes_not_refreshed", "database", s.db.name, "error", err)
	}
}

// planBytes estimates a plan's size in memory.
func planBytes(t *router.Template) int {
	n := 1024 + 64*len(t.Spans)
	for _, p := range t.Prune {
		n += 128 + 96*len(p.Tuples)
	}
	if t.Insert != nil {
		for _, r := range t.Insert.Rows {
			n += 64 + 96*len(r.Cells)
		}
	}
	return n
}

// planOwned is planText for a text that is kept: the literals are copied.
func (s *Session) planOwned(text []byte) planned {
	p := s.planText(text)
	p.kinds = append(literals(nil), p.kinds...)
	return p
}

// spansOf are the byte ranges of a request's literals.
func (r *request) spansOf() []router.Span {
	if r.lits == nil && len(r.kinds) > 0 {
		r.lits = sqlparse.AppendSpans(make([]router.Span, 0, len(r.kinds)), r.kinds)
	}
	return r.lits
}

// schemaChanged is called after a statement of an open transaction has changed the schema.
func (p *planner) schemaChanged() {
	p.changed = true
	p.reload = true
	p.fresh = false
}

// endTransaction drops the private schema; after a commit the shared one is read anew first.
func (p *planner) endTransaction(s *Session, committed bool) {
	if p.changed && committed {
		s.db.refresh(s.ctx)
	}
	p.tempStale = p.tempStale || p.tempAge > 0 // dropped ones may be there again
	if p.changed || p.private != nil {
		p.private, p.changed, p.reload, p.oids, p.oidsAge = nil, false, false, oidLists{}, 0
	}
	p.fresh = false
}

// rolledBack is ROLLBACK TO: the schema may be an older one again.
func (p *planner) rolledBack() {
	p.tempStale = p.tempStale || p.tempAge > 0
	if p.changed {
		p.reload = true
	}
}

// loadPrivate reads the schema as the open transaction sees it.
func (s *Session) loadPrivate() {
	if s.gang.Txn.State == executor.TxnNone {
		s.planner.reload = false
		return
	}
	m, err := s.asking(s.db.home)
	if err != nil {
		s.cannotLearn("the schema", nil, err)
		return
	}
	rows, errFrame, err := m.Ask(catalog.SnapshotSQL)
	if err != nil || errFrame != nil || len(rows) != 1 {
		s.cannotLearn("the schema", errFrame, err)
		return
	}
	schema, err := catalog.DecodeSnapshot(rows[0][0])
	if err != nil {
		s.srv.log.Error("schema_unreadable", "database", s.db.name, "error", err)
		s.cannotLearn("the schema", nil, err)
		return
	}
	s.planner.reload = false
	schema.Epoch = 0
	s.planner.private = schema
	s.planner.privateAge++
	s.planner.fresh = false
}

// actingRole is the role whose rights and "$user" count.
func (s *Session) actingRole() string {
	if s.planner.as != "" {
		return s.planner.as
	}
	for _, name := range []string{"role", "session_authorization"} {
		if v, ok := s.gang.Settings.Get(name); ok {
			v = unquoteSetting(v)
			if v != "none" {
				return v
			}
		}
	}
	return s.user
}

// searchPath is the effective search path in a schema: the setting as a server shows it, "$user" replaced, schemas
// that do not exist left out. It tells the role that acts as well.
func (s *Session) searchPath(schema *router.Schema) (path []string, role string) {
	raw, role := s.rawSearchPath()
	for _, name := range splitIdentifiers(raw) {
		if name == "$user" {
			name = role
		}
		if _, ok := schema.Relations[name]; ok || name == "pg_catalog" || router.ShardSchema(name) {
			path = append(path, name)
		}
	}
	return path, role
}

// rawSearchPath is the setting's text, and the role that acts. Servers are asked once for each role and value, and in a
// transaction that may have changed them.
func (s *Session) rawSearchPath() (raw, role string) {
	set, _ := s.gang.Settings.Get("search_path")
	role = s.actingRole()
	key := pathKey{user: s.user, role: role, set: set}
	inTxn := s.gang.Txn.State != executor.TxnNone && s.gang.Txn.HasSettings()
	if !inTxn {
		if raw, ok := s.db.path(key); ok {
			return raw, role
		}
	}
	m, err := s.asking(s.anyBackend())
	if err != nil {
		s.cannotLearn("search_path", nil, err)
		return "", role
	}
	rows, errFrame, err := m.Ask("SELECT pg_catalog.current_setting('search_path'), current_user")
	if err != nil || errFrame != nil || len(rows) != 1 {
		s.cannotLearn("search_path", errFrame, err)
		return "", role
	}
	raw = string(rows[0][0])
	if inTxn {
		return raw, string(rows[0][1]) // SET LOCAL may have given it another
	}
	s.db.rememberPath(key, raw)
	return raw, role
}

// splitIdentifiers splits a list like "$user", public.
func splitIdentifiers(list string) []string {
	var out []string
	for list = strings.TrimSpace(list); list != ""; {
		var name string
		if list[0] == '"' {
			var b strings.Builder
			i := 1
			for ; i < len(list); i++ {
				if list[i] == '"' {
					if i+1 < len(list) && list[i+1] == '"' {
						i++
					} else {
						break
					}
				}
				b.WriteByte(list[i])
			}
			name, list = b.String(), list[min(i+1, len(list)):]
		} else {
			end := strings.IndexByte(list, ',')
			if end < 0 {
				end = len(list)
			}
			name, list = strings.ToLower(strings.TrimSpace(list[:end])), list[end:]
		}
		out = append(out, name)
		list = strings.TrimLeft(list, ", \t\n")
	}
	return out
}

// unquoteSetting reads a setting's SQL text: a quoted literal or identifier, or a plain word.
func unquoteSetting(v string) string {
	v = strings.TrimSpace(v)
	if len(v) >= 2 && (v[0] == '\'' || v[0] == '"') && v[len(v)-1] == v[0] {
		q := string(v[0])
		return strings.ReplaceAll(v[1:len(v)-1], q+q, q)
	}
	return strings.ToLower(v)
}
