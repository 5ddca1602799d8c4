package integration

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// firstUserOID is FirstNormalObjectId of PostgreSQL's access/transam.h: such OIDs differ between servers.
const firstUserOID = 16384

var typeNames = pgtype.NewMap()

func typeName(oid uint32) string {
	if oid >= firstUserOID {
		return "user"
	}
	if t, ok := typeNames.TypeForOID(oid); ok {
		return t.Name
	}
	return fmt.Sprint(oid)
}

// message prints one server message such that two servers with the same behaviour print the same.
func message(kind byte, body []byte) (string, error) {
	m, err := decodeMessage(kind, body)
	if err != nil {
		return "", err
	}
	return printed(m), nil
}

func printed(m pgproto3.BackendMessage) string {
	switch m := m.(type) {
	case *pgproto3.RowDescription:
		var cols []string
		for _, f := range m.Fields {
			table := ""
			if f.TableOID != 0 {
				table = fmt.Sprintf(" col=%d", f.TableAttributeNumber)
			}
			cols = append(cols, fmt.Sprintf("%s(%s size=%d mod=%d %s%s)",
				f.Name, typeName(f.DataTypeOID), f.DataTypeSize, f.TypeModifier, formatName(f.Format), table))
		}
		return "RowDescription " + strings.Join(cols, " ")
	case *pgproto3.DataRow:
		fields := make([]string, len(m.Values))
		for i, v := range m.Values {
			fields[i] = "null"
			if v != nil {
				fields[i] = fmt.Sprintf("%q", v)
			}
		}
		return "DataRow " + strings.Join(fields, " ")
	case *pgproto3.FunctionCallResponse:
		if m.Result == nil {
			return "FunctionCallResponse null"
		}
		return fmt.Sprintf("FunctionCallResponse %q", m.Result)
	case *pgproto3.ErrorResponse:
		return "ErrorResponse " + reportFields(m)
	case *pgproto3.NoticeResponse:
		return "NoticeResponse " + reportFields((*pgproto3.ErrorResponse)(m))
	case *pgproto3.ParameterDescription:
		var names []string
		for _, oid := range m.ParameterOIDs {
			names = append(names, typeName(oid))
		}
		return "ParameterDescription " + strings.Join(names, " ")
	case *pgproto3.ReadyForQuery:
		return "ReadyForQuery " + string(m.TxStatus)
	case *pgproto3.CommandComplete:
		return fmt.Sprintf("CommandComplete %q", m.CommandTag)
	case *pgproto3.ParameterStatus:
		return fmt.Sprintf("ParameterStatus %s=%q", m.Name, m.Value)
	case *pgproto3.NotificationResponse:
		return fmt.Sprintf("NotificationResponse %s %q", m.Channel, m.Payload)
	case *pgproto3.CopyData:
		return fmt.Sprintf("CopyData %q", m.Data)
	case *pgproto3.CopyInResponse:
		return fmt.Sprintf("CopyInResponse %d %v", m.OverallFormat, m.ColumnFormatCodes)
	case *pgproto3.CopyOutResponse:
		return fmt.Sprintf("CopyOutResponse %d %v", m.OverallFormat, m.ColumnFormatCodes)
	case *pgproto3.BackendKeyData:
		return "BackendKeyData"
	case *pgproto3.NegotiateProtocolVersion:
		return fmt.Sprintf("NegotiateProtocolVersion %d %q", m.NewestMinorProtocol, m.UnrecognizedOptions)
	default:
		return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
	}
}

func formatName(code int16) string {
	if code == 1 {
		return "binary"
	}
	return "text"
}

var (
	processNumber = regexp.MustCompile(`\b(process|PID) \d+`)
	userOID       = regexp.MustCompile(`\b(pg_temp_|pg_toast_)\d+`)
)

var placedSchema = regexp.MustCompile(`^pleiad_\d+(?:_(.+))?$`)

// ownSchema is the schema of the table whose partition lies in this one: to a client it is the table.
func ownSchema(s string) string {
	m := placedSchema.FindStringSubmatch(s)
	switch {
	case m == nil:
		return s
	case m[1] == "":
		return "public"
	default:
		return m[1]
	}
}

// reportFields leaves out where in PostgreSQL's source an error arose.
func reportFields(e *pgproto3.ErrorResponse) string {
	text := []string{e.Severity, e.Code, fmt.Sprintf("%q", e.Message)}
	if e.SeverityUnlocalized != e.Severity {
		text = append(text, "V="+e.SeverityUnlocalized)
	}
	for _, f := range []struct{ name, value string }{
		{"detail", e.Detail}, {"hint", e.Hint}, {"where", e.Where}, {"internal-query", e.InternalQuery},
		{"schema", ownSchema(e.SchemaName)}, {"table", e.TableName}, {"column", e.ColumnName},
		{"type", e.DataTypeName}, {"constraint", e.ConstraintName},
	} {
		if f.name == "where" && e.Code == "08P01" {
			continue // which field of a message could not be read
		}
		if f.value != "" {
			text = append(text, fmt.Sprintf("%s=%q", f.name, f.value))
		}
	}
	if e.Position != 0 {
		text = append(text, fmt.Sprintf("position=%d", e.Position))
	}
	if e.InternalPosition != 0 {
		text = append(text, fmt.Sprintf("internal-position=%d", e.InternalPosition))
	}
	for k, v := range e.UnknownFields {
		text = append(text, fmt.Sprintf("%c=%q", k, v))
	}
	s := strings.Join(text, " ")
	s = processNumber.ReplaceAllString(s, "$1 N")
	return userOID.ReplaceAllString(s, "${1}N")
}

func decodeMessage(kind byte, body []byte) (pgproto3.BackendMessage, error) {
	var m pgproto3.BackendMessage
	switch kind {
	case '1':
		m = &pgproto3.ParseComplete{}
	case '2':
		m = &pgproto3.BindComplete{}
	case '3':
		m = &pgproto3.CloseComplete{}
	case 'A':
		m = &pgproto3.NotificationResponse{}
	case 'C':
		m = &pgproto3.CommandComplete{}
	case 'd':
		m = &pgproto3.CopyData{}
	case 'c':
		m = &pgproto3.CopyDone{}
	case 'D':
		m = &pgproto3.DataRow{}
	case 'E':
		m = &pgproto3.ErrorResponse{}
	case 'G':
		m = &pgproto3.CopyInResponse{}
	case 'H':
		m = &pgproto3.CopyOutResponse{}
	case 'I':
		m = &pgproto3.EmptyQueryResponse{}
	case 'K':
		m = &pgproto3.BackendKeyData{}
	case 'N':
		m = &pgproto3.NoticeResponse{}
	case 'n':
		m = &pgproto3.NoData{}
	case 'R':
		if len(body) == 4 && string(body) == "\x00\x00\x00\x00" {
			return &pgproto3.AuthenticationOk{}, nil
		}
		return nil, fmt.Errorf("authentication request %x, want AuthenticationOk", body)
	case 's':
		m = &pgproto3.PortalSuspended{}
	case 'S':
		m = &pgproto3.ParameterStatus{}
	case 't':
		m = &pgproto3.ParameterDescription{}
	case 'T':
		m = &pgproto3.RowDescription{}
	case 'v':
		m = &pgproto3.NegotiateProtocolVersion{}
	case 'V':
		m = &pgproto3.FunctionCallResponse{}
	case 'Z':
		m = &pgproto3.ReadyForQuery{}
	default:
		return nil, fmt.Errorf("message type %q is unknown", kind)
	}
	if err := m.Decode(body); err != nil {
		return nil, fmt.Errorf("decode %T: %w", m, err)
	}
	return m, nil
}

// settle moves the settings told within one answer to its end, the last value of each: at which message the
// server tells of a change says nothing.
func settle(lines []string) []string {
	var out []string
	told := map[string]string{}
	for _, l := range lines {
		rest, ok := strings.CutPrefix(l, "ParameterStatus ")
		if ok {
			name, _, _ := strings.Cut(rest, "=")
			told[name] = l
			continue
		}
		if strings.HasPrefix(l, "ReadyForQuery") {
			for _, name := range slices.Sorted(maps.Keys(told)) {
				out = append(out, told[name])
			}
			clear(told)
		}
		out = append(out, l)
	}
	return out
}

// greeting prints what a connection begins with; the order of settings says nothing.
func greeting(lines []string) []string {
	var settings, others []string
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l, "ParameterStatus "):
			settings = append(settings, l)
		case l == "AuthenticationOk": // PostgreSQL under trust says so before it has looked at anything
		default:
			others = append(others, l)
		}
	}
	sort.Strings(settings)
	return append(settings, others...)
}
