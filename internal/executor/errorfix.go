package executor

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// Derived are names on one backend that PostgreSQL or pleiad derived for partitions, and what they stand for. A nil Derived
// knows none.
type Derived struct {
	// Tables has a partition's name ("pleiad_7" + "\x00" + "meetings") → its table's schema and name.
	Tables map[string][2]string
	// Parts has the same by the partition's name alone → the table's name.
	Parts map[string]string
	// Constraints has a table's schema and name and, with "\x00" between them, a constraint's or unique index's name on it → the name that the user's own has.
	Constraints map[string]string
}

// clientTerms makes an ErrorResponse or NoticeResponse speak of what the client knows: positions count from the start of
// its whole message, shift characters ahead of the statement, a shard's table is the table itself, and a constraint is the
// one that the user made; what pleiad did beside the statement is no context of it. A frame that needs no change is returned as it is.
func (m *Member) clientTerms(frame []byte, shift int) []byte {
	if shift != 0 {
		frame = MovePosition(frame, func(p int) int { return p + shift })
	}
	if ownContext.MatchString(wire.ErrorField(frame, 'W')) {
		frame = withoutFields(frame, "W")
	}
	if m.Unseen {
		frame = withoutPortal(frame)
	}
	if wire.ErrorField(frame, 'C') == pgerr.UndefinedTable {
		if found := goneShard.FindStringSubmatch(wire.ErrorField(frame, 'M')); found != nil {
			return replaceField(frame, 'M', `relation "`+found[1]+`" does not exist`)
		}
	}
	if wire.ErrorField(frame, 'C') == pgerr.DuplicateColumn {
		if found := takenColumn.FindStringSubmatch(wire.ErrorField(frame, 'M')); found != nil {
			return replaceField(frame, 'M', found[1]+`relation "`+found[2]+`" already exists`)
		}
	}
	schema := wire.ErrorField(frame, 's')
	if !isShardSchema(schema) && wire.ErrorField(frame, 'n') == "" {
		return frame
	}
	var d *Derived
	if m.gang != nil && m.gang.Servers != nil {
		d = m.gang.Servers.Derived(m.Backend)
	}
	return d.fix(frame, schema)
}

// withoutPortal leaves out the last line of a CONTEXT, where that is what log_parameter_max_length_on_error adds in the extended
// protocol.
func withoutPortal(frame []byte) []byte {
	context := wire.ErrorField(frame, 'W')
	last := strings.LastIndexByte(context, '\n') + 1
	if !strings.HasPrefix(context[last:], "unnamed portal ") {
		return frame
	}
	if last == 0 {
		return withoutFields(frame, "W")
	}
	return replaceField(frame, 'W', context[:last-1])
}

// ownContext is the CONTEXT of an error that a function of pleiad's raised in a statement that is pleiad's, too.
var ownContext = regexp.MustCompile(`^PL/pgSQL function pleiad\.(begin_ddl|check_owner|next_identity|lock_ddl|partition_key|register_\w+|create_shards|sync_shards|close_shards|open_shards|attach_indexes)\(`)

// goneShard is the error of a statement that names a shard of a table that was dropped meanwhile.
var goneShard = regexp.MustCompile(`^relation "pleiad_[0-9]+\.(.*)" does not exist$`)

// takenColumn is the error of RENAME, which PostgreSQL has of a partition first: its name is that of the schema and the table.
var takenColumn = regexp.MustCompile(`^(column ".*" of )relation "[^."]+\.([^"]+)" already exists$`)

// restricted is how a foreign key's error names the table whose rows are referenced.
var restricted = regexp.MustCompile(`^(update or delete on table )"([^"]+)"`)

// Renamed makes an ErrorResponse about an index speak of another one.
func Renamed(frame []byte, from, to string) []byte {
	if wire.ErrorField(frame, 'n') == from {
		frame = replaceField(frame, 'n', to)
	}
	message := wire.ErrorField(frame, 'M')
	return replaceField(frame, 'M', strings.ReplaceAll(message, `"`+from+`"`, `"`+to+`"`))
}

// fix puts the user's names into an error about an object of schema.
func (d *Derived) fix(frame []byte, schema string) []byte {
	table, constraint := wire.ErrorField(frame, 't'), wire.ErrorField(frame, 'n')
	message := wire.ErrorField(frame, 'M')
	before := message
	if d != nil && constraint != "" {
		if own, ok := d.Constraints[schema+"\x00"+table+"\x00"+constraint]; ok {
			frame = replaceField(frame, 'n', own)
			message = strings.Replace(message, `constraint "`+constraint+`"`, `constraint "`+own+`"`, 1)
		}
		if found := restricted.FindStringSubmatch(message); found != nil {
			if own, ok := d.Parts[found[2]]; ok {
				message = found[1] + `"` + own + `"` + message[len(found[0]):]
			}
		}
	}
	if isShardSchema(schema) {
		own := d.table(schema, table)
		frame = replaceField(replaceField(frame, 's', own[0]), 't', own[1])
		for _, kind := range []string{"relation", "table"} {
			message = strings.Replace(message, kind+` "`+table+`"`, kind+` "`+own[1]+`"`, 1)
		}
	}
	if message != before {
		frame = replaceField(frame, 'M', message)
	}
	return frame
}

// table is what a partition is part of. Of one that is not known, because this transaction made it, the name says it.
func (d *Derived) table(schema, name string) [2]string {
	if d != nil {
		if own, ok := d.Tables[schema+"\x00"+name]; ok {
			return own
		}
	}
	if s, t, ok := strings.Cut(name, "."); ok {
		return [2]string{s, t}
	}
	return [2]string{"public", name}
}

// Judged is judged for an error of either side.
func (g *Gang) Judged(e *pgerr.Error) *pgerr.Error {
	if e.Code == pgerr.QueryCanceled {
		if v := g.Verdict.Load(); v != nil {
			return v
		}
	}
	return e
}

// JudgedFrame is Judged for a server's ErrorResponse.
func (g *Gang) JudgedFrame(frame []byte) []byte { return g.judged(frame) }

// judged replaces the error of a statement that was cancelled for a reason by that reason, and that of currval by the loss
// of its value.
func (g *Gang) judged(frame []byte) []byte {
	switch {
	case g == nil:
		return frame
	case wire.ErrorField(frame, 'C') != pgerr.QueryCanceled:
		return g.undefined(frame)
	}
	if v := g.Verdict.Load(); v != nil {
		return wire.Error(nil, v)
	}
	return frame
}

// isShardSchema tells the schemas that partitions are in: pleiad_0 and so on.
func isShardSchema(name string) bool {
	n, ok := strings.CutPrefix(name, "pleiad_")
	if !ok || n == "" {
		return false
	}
	_, err := strconv.ParseUint(n, 10, 16)
	return err == nil
}

// MovePosition returns an ErrorResponse with its position, if it has one, translated; 0 takes it away.
func MovePosition(frame []byte, to func(int) int) []byte {
	p, err := strconv.Atoi(wire.ErrorField(frame, 'P'))
	if err != nil {
		return frame
	}
	if p = to(p); p == 0 {
		return withoutFields(frame, "P")
	}
	return replaceField(frame, 'P', strconv.Itoa(max(p, 1)))
}

// WithoutPosition returns an ErrorResponse without its position: the statement that failed is not the client's.
func WithoutPosition(frame []byte) []byte { return withoutFields(frame, "Pqp") }

// withoutFields returns an ErrorResponse or NoticeResponse without the fields whose letters are given.
func withoutFields(frame []byte, letters string) []byte {
	out, at := wire.Begin(nil, frame[0])
	b := wire.BodyOf(frame)
	for k := b.Byte(); k != 0; k = b.Byte() {
		v := b.Text()
		if strings.IndexByte(letters, k) < 0 {
			out = append(append(append(out, k), v...), 0)
		}
	}
	return wire.End(append(out, 0), at)
}
