package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// outcome is everything a client can see of one statement.
type outcome struct {
	columns []string // name, type, type modifier, size, and whose column it is
	params  []string // types that a parse gave the parameters
	rows    []string
	tag     string
	err     *pgconn.PgError
	broken  error // the connection, not the statement
	notices []string
	failed  bool // some error is among the rows, which are messages
}

// mode is a way to send a statement.
type mode string

const (
	viaSimple mode = "simple"
	viaText   mode = "extended text"
	viaBinary mode = "extended binary"
)

var modes = []mode{viaSimple, viaText, viaBinary}

func formatCode(m mode) int16 {
	if m == viaBinary {
		return 1
	}
	return 0
}

// actor runs statements on one connection of one side.
type actor struct {
	side    *side
	conn    *pgconn.PgConn
	names   *pgconn.PgConn // resolves types
	types   map[uint32]serverType
	tables  map[uint32]string
	notices []string
	told    []string // notifications, as channel/payload
}

// major is the version of the server, 15 or more.
func (a *actor) major() (n int) {
	if _, err := fmt.Sscanf(a.conn.ParameterStatus("server_version"), "%d", &n); err != nil {
		return 0
	}
	return n
}

func (a *actor) heard(n *pgconn.Notice) {
	e := (*pgconn.PgError)(n)
	a.notices = append(a.notices, strings.ReplaceAll(errorText(e), "\n   ", ""))
}

func (a *actor) run(ctx context.Context, st *statement, m mode) outcome {
	a.notices = nil
	sql := a.side.dialect(st.sql)
	var o outcome
	switch {
	case copyFromStdin.MatchString(sql):
		tag, err := a.conn.CopyFrom(ctx, strings.NewReader(st.copyData), sql)
		o.tag = tag.String()
		o.fail(err)
	case copyToStdout.MatchString(sql):
		var out bytes.Buffer
		tag, err := a.conn.CopyTo(ctx, &out, sql)
		o.tag = tag.String()
		o.rows = strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		o.fail(err)
	case m == viaSimple && !st.bound:
		o = a.simple(ctx, sql)
	default:
		o = a.extended(ctx, st, sql, m)
	}
	if o.err == nil && o.broken == nil {
		if err := a.side.afterDDL(ctx, a.conn, st.sql); err != nil {
			o.broken = err
		}
	}
	o.notices = a.notices
	return o
}

func (o *outcome) fail(err error) {
	if err == nil || errors.As(err, &o.err) {
		return
	}
	o.broken = err
}

func (a *actor) simple(ctx context.Context, sql string) outcome {
	var o outcome
	results, err := a.conn.Exec(ctx, sql).ReadAll()
	o.fail(err)
	if len(results) > 0 {
		a.take(ctx, &o, results[len(results)-1])
	}
	return o
}

func (a *actor) extended(ctx context.Context, st *statement, sql string, m mode) (o outcome) {
	name := ""
	if m == viaBinary {
		name = "named"
	}
	desc, err := a.conn.Prepare(ctx, name, sql, nil)
	if err != nil {
		o.fail(err)
		return o
	}
	if name != "" {
		defer func() {
			if err := a.conn.Deallocate(ctx, name); err != nil && o.broken == nil && a.conn.TxStatus() != 'E' {
				o.broken = fmt.Errorf("close the statement: %w", err)
			}
		}()
	}
	for _, p := range desc.ParamOIDs {
		o.params = append(o.params, a.typeName(ctx, p))
	}
	o.broken = a.execute(ctx, &o, m, name, desc.ParamOIDs, st.params)
	if st.again != nil && o.err == nil && o.broken == nil {
		o.broken = a.execute(ctx, &o, m, name, desc.ParamOIDs, st.again)
	}
	return o
}

// execute runs a prepared statement and adds what comes of it.
func (a *actor) execute(ctx context.Context, o *outcome, m mode, name string, oids []uint32, params []*string) (err error) {
	values := make([][]byte, len(params))
	for i, p := range params {
		if p == nil {
			continue
		}
		values[i] = []byte(*p)
		if m == viaBinary && i < len(oids) {
			if values[i], err = toBinary(oids[i], *p); err != nil {
				return err
			}
		}
	}
	format := []int16{formatCode(m)}
	result := a.conn.ExecPrepared(ctx, name, values, format[:min(1, len(values))], format).Read()
	a.take(ctx, o, result)
	o.fail(result.Err)
	return o.broken
}

func toBinary(oid uint32, value string) ([]byte, error) {
	if oid >= firstUserOID {
		return []byte(value), nil // enums, whose binary form is the text
	}
	var v any
	var err error
	switch oid { // an infinite one does not survive in a plain any
	case pgtype.DateOID:
		v, err = scanned[pgtype.Date](oid, value)
	case pgtype.TimestampOID:
		v, err = scanned[pgtype.Timestamp](oid, value)
	case pgtype.TimestamptzOID:
		v, err = scanned[pgtype.Timestamptz](oid, value)
	default:
		v, err = scanned[any](oid, value)
	}
	if err != nil {
		return nil, fmt.Errorf("read parameter %q as %s: %w", value, typeName(oid), err)
	}
	b, err := pgtype.NewMap().Encode(oid, 1, v, nil) // a Map remembers plans, without a lock
	if err != nil {
		return nil, fmt.Errorf("write parameter %q as binary %s: %w", value, typeName(oid), err)
	}
	return b, nil
}

func scanned[T any](oid uint32, value string) (v T, err error) {
	err = pgtype.NewMap().Scan(oid, pgtype.TextFormatCode, []byte(value), &v)
	return v, err
}

func (a *actor) take(ctx context.Context, o *outcome, r *pgconn.Result) {
	o.tag = r.CommandTag.String()
	for _, f := range r.FieldDescriptions {
		o.columns = append(o.columns, fmt.Sprintf("%s %s(%d)", f.Name, a.typeName(ctx, f.DataTypeOID), f.TypeModifier)+a.origin(ctx, f))
	}
	for _, row := range r.Rows {
		fields := make([]string, len(row))
		for i, f := range row {
			if i >= len(r.FieldDescriptions) {
				fields[i] = fmt.Sprintf("undescribed %q", f)
				continue
			}
			fields[i] = a.printed(ctx, f, r.FieldDescriptions[i])
		}
		o.rows = append(o.rows, strings.Join(fields, " "))
	}
}

// origin names the table's column that a result's column shows, as drivers do that look it up.
func (a *actor) origin(ctx context.Context, f pgconn.FieldDescription) string {
	if f.TableOID == 0 {
		return ""
	}
	name, ok := a.tables[f.TableOID]
	if !ok {
		r := a.names.ExecParams(ctx, "select oid::regclass from pg_class where oid = $1", [][]byte{fmt.Append(nil, f.TableOID)}, nil, nil, nil).Read()
		name = "unknown"
		if r.Err == nil && len(r.Rows) == 1 {
			name = userOID.ReplaceAllString(string(r.Rows[0][0]), "${1}N")
		}
		a.tables[f.TableOID] = name
	}
	return fmt.Sprintf(" from %s.%d", name, f.TableAttributeNumber)
}

// typeName asks the server for what it made itself.
func (a *actor) typeName(ctx context.Context, oid uint32) string {
	return a.typeOf(ctx, oid).name
}

// serverType is what is known of a type on one server.
type serverType struct {
	name string
	kind typeKind
}

func (a *actor) typeOf(ctx context.Context, oid uint32) serverType {
	if t, ok := a.types[oid]; ok {
		return t
	}
	t := serverType{name: typeName(oid)}
	if oid >= firstUserOID {
		t.name = fmt.Sprintf("unknown type %d", oid)
	}
	r := a.names.ExecParams(ctx, `select format_type(t.oid, -1), case when t.typsubscript = 'array_subscript_handler'::regproc then 1 when t.typtype = 'c' or t.oid = 2249 then 2 else 0 end
		from pg_type t where t.oid = $1`, [][]byte{fmt.Append(nil, oid)}, nil, nil, nil).Read()
	if r.Err == nil && len(r.Rows) == 1 {
		if oid >= firstUserOID {
			t.name = string(r.Rows[0][0])
		}
		t.kind = typeKind(r.Rows[0][1][0] - '0')
	}
	a.types[oid] = t
	return t
}

// printed is a value as two servers print the same value.
func (a *actor) printed(ctx context.Context, v []byte, f pgconn.FieldDescription) string {
	if v == nil {
		return "null"
	}
	if f.Format != pgtype.BinaryFormatCode {
		return fmt.Sprintf("%q", v)
	}
	return nameOIDs(v, a.typeOf(ctx, f.DataTypeOID).kind, func(oid uint32) (string, typeKind) {
		t := a.typeOf(ctx, oid)
		return t.name, t.kind
	})
}

// String prints what must agree, for a reader.
func (o outcome) String() string {
	var b strings.Builder
	switch {
	case o.broken != nil:
		fmt.Fprintf(&b, "connection: %v", o.broken)
	case o.err != nil:
		b.WriteString(errorText(o.err))
	default:
		fmt.Fprintf(&b, "%s, %d rows", o.tag, len(o.rows))
		if len(o.columns) > 0 {
			fmt.Fprintf(&b, "\n    columns: %s", strings.Join(o.columns, ", "))
		}
		for i, r := range o.rows {
			if i == 12 {
				fmt.Fprintf(&b, "\n    …")
				break
			}
			fmt.Fprintf(&b, "\n    %s", r)
		}
	}
	for _, n := range o.notices {
		fmt.Fprintf(&b, "\n    notice: %s", n)
	}
	return b.String()
}

// errorText prints all that a program can read from an error or notice but its place in the server's source.
func errorText(e *pgconn.PgError) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", e.Severity, e.Code, e.Message)
	for _, f := range [][2]string{{"detail", e.Detail}, {"hint", e.Hint}, {"where", e.Where}, {"schema", ownSchema(e.SchemaName)},
		{"table", e.TableName}, {"column", e.ColumnName}, {"type", e.DataTypeName}, {"constraint", e.ConstraintName},
		{"internal query", e.InternalQuery}} {
		if f[1] != "" {
			fmt.Fprintf(&b, "\n    %s: %s", f[0], f[1])
		}
	}
	if e.Position != 0 {
		fmt.Fprintf(&b, "\n    position: %d", e.Position)
	}
	return b.String()
}

// refusal tells what pleiad does not do from answers: "not supported" with advice, "not allowed" with
// advice, and PostgreSQL's own word where a table is sharded that is not partitioned on the plain side.
func (o outcome) refusal() bool {
	switch {
	case o.err == nil:
		return false
	case o.err.Code == "0A000":
		return o.err.Hint != "" || strings.HasPrefix(o.err.Message, "unique constraint on partitioned table")
	default:
		return o.err.Code == "42501" && o.err.Hint != ""
	}
}

// differs returns what a client could tell apart, "" when nothing.
func (o outcome) differs(other outcome, ordered bool, how comparison) string {
	switch {
	case o.broken != nil || other.broken != nil:
		return "connection"
	case (o.err == nil) != (other.err == nil):
		return "success"
	case how == compareOK:
		return ""
	case o.err != nil && how == compareCode && o.err.Code == other.err.Code:
		return ""
	case o.err != nil:
		return differentErrors(o.err, other.err)
	case o.tag != other.tag:
		return "tag"
	case strings.Join(o.params, ",") != strings.Join(other.params, ","):
		return "parameters"
	case o.shownColumns(how) != other.shownColumns(how):
		return "columns"
	case len(o.rows) != len(other.rows):
		return "number of rows"
	case how == compareShape:
		return ""
	case strings.Join(o.notices, "\n") != strings.Join(other.notices, "\n"):
		return "notices"
	}
	a, b := o.rows, other.rows
	if !ordered {
		a, b = sorted(a), sorted(b)
	}
	for i := range a {
		if a[i] != b[i] {
			return "rows"
		}
	}
	return ""
}

var typmod = regexp.MustCompile(`\(-?\d+\)`)

// shownColumns are the columns to compare. Generated statements fold constants, and what a server tells of a portal's
// columns has the type modifier of what is left: CASE WHEN true THEN a ELSE b END is a there.
func (o outcome) shownColumns(how comparison) string {
	all := strings.Join(o.columns, ",")
	if how == compareCode {
		return typmod.ReplaceAllString(all, "")
	}
	return all
}

// unlike shows the first rows that differ.
func unlike(a, b []string, ordered bool) string {
	if !ordered {
		a, b = sorted(a), sorted(b)
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("\nfirst difference:\n    %s\n    %s", a[i], b[i])
		}
	}
	return ""
}

func sorted(rows []string) []string {
	s := append([]string(nil), rows...)
	sort.Strings(s)
	return s
}

// clonedKey is the name of the copy of a foreign key that belongs to one partition: the number depends on
// how many partitions a server has.
var clonedKey = regexp.MustCompile(`(_fkey)_?\d+`)

// partitionLine is a line of a DETAIL that lists dependent objects, about a partition.
var partitionLine = regexp.MustCompile(`(?m)^.*\bpleiad_\d+\..*\n?`)

func withoutPlacement(s string) string {
	return strings.TrimSuffix(partitionLine.ReplaceAllString(clonedKey.ReplaceAllString(s, "$1"), ""), "\n")
}

// differentErrors compares all that a program can read from an error; not the place in the server's source.
func differentErrors(a, b *pgconn.PgError) string {
	for _, f := range []struct{ name, a, b string }{
		{"severity", a.Severity, b.Severity}, {"SQLSTATE", a.Code, b.Code}, {"message", a.Message, b.Message},
		{"detail", a.Detail, b.Detail}, {"hint", a.Hint, b.Hint}, {"where", ownContext(a.Where), ownContext(b.Where)},
		{"internal query", a.InternalQuery, b.InternalQuery},
		{"schema", ownSchema(a.SchemaName), b.SchemaName},
		{"table", a.TableName, b.TableName}, {"column", a.ColumnName, b.ColumnName},
		{"type", a.DataTypeName, b.DataTypeName}, {"constraint", a.ConstraintName, b.ConstraintName},
		{"position", fmt.Sprint(a.Position), fmt.Sprint(b.Position)},
	} {
		if withoutPlacement(f.a) != withoutPlacement(f.b) {
			return f.name
		}
	}
	return ""
}

// ownContext is an error's context without the line that PostgreSQL adds where a parallel worker was the first to meet it,
// which is chance.
func ownContext(where string) string {
	return strings.TrimSuffix(strings.TrimSuffix(where, "parallel worker"), "\n")
}
