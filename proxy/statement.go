package proxy

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// statement is a prepared statement of a client. Server connections get it when they first need it, under a name
// that is the same for all clients with the same text and types.
type statement struct {
	name string
	id   uint64
	text string
	oids []uint32 // as in Parse, home's
	// types is the type list of a SQL-level PREPARE: then text is prepared with PREPARE, not Parse.
	sql   bool
	types string
	// message is the client's whole one with a SQL-level PREPARE, and made when the statement was prepared.
	message string
	made    time.Time

	// epoch is that of the schema the statement was prepared under: after a change, the same text is another
	// statement, since servers keep the old one's result type. 0 is a schema of the session's own, or one beside temporary
	// relations: tempAge is the planner's when the servers were told of the statement.
	epoch, tempAge uint64
	// reading is how names and constants in the text were read when it was prepared: a server keeps what they mean. nil is not known.
	reading *backend.Settings

	plan planned
	// shape is what servers have told of its parameters and columns, valid for shapeScope.
	shape      *executor.Shape
	shapeScope uint64
	// described is the ParameterDescription and RowDescription or NoData of the statement, once asked for,
	// valid for scope.
	described      []byte
	describedScope uint64
	// combined is how the statement was taken apart over several backends, valid for the template that it has.
	combined *combined
	direct   directStatements
	kept     keptText
	// told are the columns' types that the client was told of, home's oids, once the schema or the path has changed since; in
	// sameScope the statement has been seen to have them still.
	told      *[]uint32
	sameScope uint64
}

// shaped is what is known of a statement's parameters and columns under its plan.
func (st *statement) shaped() *executor.Shape {
	if st.shape == nil || st.shapeScope != st.plan.scope {
		st.shape, st.shapeScope = new(executor.Shape), st.plan.scope
	}
	return st.shape
}

// planned is a statement's plan and where its literals stand.
type planned struct {
	tmpl   *router.Template
	points *points
	lits   []router.Span
	kinds  literals
	scope  uint64
}

var statementIDs = struct {
	sync.Mutex
	byText map[string]*internedStatement
	next   atomic.Uint64
}{byText: map[string]*internedStatement{}}

type internedStatement struct {
	id    uint64
	users int
	// direct is the statement itself where nothing of it is one client's.
	direct *statement
}

// internStatement returns the id shared by all named statements of this text and these types.
func internStatement(st *statement) {
	if st.epoch == 0 {
		st.id = statementIDs.next.Add(1)
		return
	}
	key := st.internKey()
	statementIDs.Lock()
	defer statementIDs.Unlock()
	st.id = intern(key).id
}

// internDirect returns the statement that all clients share who have st, which names a shard.
func internDirect(st *statement) *statement {
	key := st.internKey()
	statementIDs.Lock()
	defer statementIDs.Unlock()
	e := intern(key)
	if e.direct == nil {
		st.id, e.direct = e.id, st
	}
	return e.direct
}

// intern counts one more user of a statement. The caller holds the lock.
func intern(key string) *internedStatement {
	e := statementIDs.byText[key]
	if e == nil {
		e = &internedStatement{id: statementIDs.next.Add(1)}
		statementIDs.byText[key] = e
	}
	e.users++
	return e
}

// forgetStatement is the end of one named statement.
func forgetStatement(st *statement) {
	key := st.internKey()
	statementIDs.Lock()
	defer statementIDs.Unlock()
	if e := statementIDs.byText[key]; e != nil {
		if e.users--; e.users == 0 {
			delete(statementIDs.byText, key)
		}
	}
}

func (st *statement) internKey() string {
	var b strings.Builder
	b.WriteString(strconv.FormatUint(st.epoch, 10))
	b.WriteByte(' ')
	if st.reading != nil {
		b.WriteString(strconv.FormatUint(st.reading.ID, 10))
	}
	b.WriteByte(' ')
	if st.sql {
		b.WriteString("sql ")
		b.WriteString(st.types)
	}
	for _, o := range st.oids {
		b.WriteString(strconv.FormatUint(uint64(o), 10))
		b.WriteByte(',')
	}
	b.WriteByte(0)
	b.WriteString(st.text)
	return b.String()
}

// typeList is PREPARE's list of parameter types, in parentheses.
func (st *statement) typeList() string {
	types := strings.TrimSpace(st.types)
	if types == "" || strings.HasPrefix(types, "(") {
		return types
	}
	return " (" + types + ")"
}

// typeCount is how many types PREPARE lists.
func (st *statement) typeCount() int {
	list := strings.Trim(st.typeList(), " ()")
	if list == "" {
		return 0
	}
	depth, n := 0, 1
	for _, c := range list {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				n++
			}
		}
	}
	return n
}

// ensureParsed composes whatever makes the statement known to m's server session. sent is true when a Parse
// was composed, whose answer has the given fate.
func (s *Session) ensureParsed(m *executor.Member, st *statement, reply executor.Reply) (name string, sent bool) {
	if st.name == "" && !st.sql {
		if m.Unnamed == st.id {
			return "", false
		}
		m.Out = wire.Parse(m.Out, "", st.text, m.OIDs(st.oids))
		m.Unnamed = st.id
		m.Extended = true
		m.Queue.Push(executor.Owed{Msg: 'P', Reply: reply, Unnamed: true})
		return "", true
	}
	if m.Statements.Has(st.id) {
		return backend.StatementName(st.id), false
	}
	defer s.readAlike(m, st)()
	name = backend.StatementName(st.id)
	if st.sql {
		m.Out = wire.Parse(m.Out, "", "PREPARE "+name+st.typeList()+" AS "+st.text, nil)
		m.Unnamed = 0
		m.Queue.Push(executor.Owed{Msg: 'P', Reply: executor.Quiet})
		m.Out = wire.Bind(m.Out, "", "", wire.NoParams)
		m.Queue.Push(executor.Owed{Msg: 'B', Reply: executor.Quiet})
		m.Out = wire.Execute(m.Out, "", 0)
		m.Queue.Push(executor.Owed{Msg: 'E', Reply: executor.Quiet, Statement: st.id})
	} else {
		m.Out = wire.Parse(m.Out, name, st.text, m.OIDs(st.oids))
		m.Queue.Push(executor.Owed{Msg: 'P', Reply: reply, Statement: st.id, Client: st.name, Server: name})
	}
	m.Extended = true
	if old, full := m.Statements.Add(st.id, s.srv.config().Limits.MaxPreparedPerServer); full {
		s.evict(m, old)
	}
	return name, !st.sql
}

// evict composes the end of a statement that m's server has and that is not counted there any longer.
func (s *Session) evict(m *executor.Member, id uint64) {
	m.Out = wire.CloseMessage(m.Out, 'S', backend.StatementName(id))
	m.Extended = true
	m.Queue.Push(executor.Owed{Msg: 'C', Reply: executor.Skip, Evicted: id})
}

// statementNamed finds a client's prepared statement.
func (s *Session) statementNamed(name []byte) *statement {
	if len(name) == 0 {
		return s.unnamed
	}
	return s.stmts[string(name)]
}
