package wire

import (
	"encoding/binary"
	"strconv"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// Begin appends a frame's type and an open length word, and returns where the frame starts for End.
func Begin(dst []byte, typ byte) ([]byte, int) {
	return append(dst, typ, 0, 0, 0, 0), len(dst)
}

// End closes the frame that Begin opened at start.
func End(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-1))
	return dst
}

// String appends s and its NUL.
func String(dst []byte, s string) []byte { return append(append(dst, s...), 0) }

// Query appends a simple query.
func Query(dst []byte, sql string) []byte {
	dst, at := Begin(dst, 'Q')
	return End(String(dst, sql), at)
}

// Parse appends a Parse with the given parameter types.
func Parse(dst []byte, name, sql string, oids []uint32) []byte {
	dst, at := Begin(dst, 'P')
	dst = String(String(dst, name), sql)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(oids)))
	for _, o := range oids {
		dst = binary.BigEndian.AppendUint32(dst, o)
	}
	return End(dst, at)
}

// Bind appends a Bind; tail is what follows the two names in a client's own Bind: formats, values and result
// formats.
func Bind(dst []byte, portal, statement string, tail []byte) []byte {
	dst, at := Begin(dst, 'B')
	dst = String(String(dst, portal), statement)
	return End(append(dst, tail...), at)
}

// NoParams is a Bind tail without parameters, results in text.
var NoParams = []byte{0, 0, 0, 0, 0, 0}

// FormatOf is the format of parameter or result column i, by Bind's rule: none given is text, one is for all.
func FormatOf[F int16 | uint16](given []F, i int) F {
	switch {
	case len(given) == 1:
		return given[0]
	case i < len(given):
		return given[i]
	}
	return 0
}

// DataRow appends a DataRow; a nil value is NULL.
func DataRow(dst []byte, values [][]byte) []byte {
	dst, at := Begin(dst, 'D')
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(values)))
	for _, v := range values {
		if v == nil {
			dst = binary.BigEndian.AppendUint32(dst, 0xffffffff)
			continue
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...)
	}
	return End(dst, at)
}

// Describe appends a Describe of a statement ('S') or portal ('P').
func Describe(dst []byte, kind byte, name string) []byte {
	dst, at := Begin(dst, 'D')
	return End(String(append(dst, kind), name), at)
}

// CloseMessage appends a Close of a statement ('S') or portal ('P').
func CloseMessage(dst []byte, kind byte, name string) []byte {
	dst, at := Begin(dst, 'C')
	return End(String(append(dst, kind), name), at)
}

// Execute appends an Execute; rows 0 means all.
func Execute(dst []byte, portal string, rows int32) []byte {
	dst, at := Begin(dst, 'E')
	dst = String(dst, portal)
	return End(binary.BigEndian.AppendUint32(dst, uint32(rows)), at)
}

// Sync appends a Sync.
func Sync(dst []byte) []byte { return append(dst, 'S', 0, 0, 0, 4) }

// Flush appends a Flush.
func Flush(dst []byte) []byte { return append(dst, 'H', 0, 0, 0, 4) }

// Terminate appends a Terminate.
func Terminate(dst []byte) []byte { return append(dst, 'X', 0, 0, 0, 4) }

// Empty appends a frame without a body: ParseComplete '1', BindComplete '2', CloseComplete '3', NoData 'n',
// PortalSuspended 's', EmptyQueryResponse 'I', CopyDone 'c'.
func Empty(dst []byte, typ byte) []byte { return append(dst, typ, 0, 0, 0, 4) }

// ReadyForQuery appends the transaction status: 'I', 'T' or 'E'.
func ReadyForQuery(dst []byte, status byte) []byte {
	return append(dst, 'Z', 0, 0, 0, 5, status)
}

// CommandComplete appends a command tag.
func CommandComplete(dst []byte, tag string) []byte {
	dst, at := Begin(dst, 'C')
	return End(String(dst, tag), at)
}

// ParameterStatus appends a report of a setting.
func ParameterStatus(dst []byte, name, value string) []byte {
	dst, at := Begin(dst, 'S')
	return End(String(String(dst, name), value), at)
}

// CopyFail appends a CopyFail with its reason.
func CopyFail(dst []byte, reason string) []byte {
	dst, at := Begin(dst, 'f')
	return End(String(dst, reason), at)
}

// CopyData appends one CopyData.
func CopyData(dst, data []byte) []byte {
	dst, at := Begin(dst, 'd')
	return End(append(dst, data...), at)
}

// Error appends e as an ErrorResponse ('E').
func Error(dst []byte, e *pgerr.Error) []byte { return report(dst, 'E', e) }

// Notice appends e as a NoticeResponse ('N').
func Notice(dst []byte, e *pgerr.Error) []byte { return report(dst, 'N', e) }

func report(dst []byte, typ byte, e *pgerr.Error) []byte {
	dst, at := Begin(dst, typ)
	dst = field(dst, 'S', e.Severity)
	dst = field(dst, 'V', e.Severity)
	dst = field(dst, 'C', e.Code)
	dst = field(dst, 'M', e.Message)
	if e.Detail != "" {
		dst = field(dst, 'D', e.Detail)
	}
	if e.Hint != "" {
		dst = field(dst, 'H', e.Hint)
	}
	if e.Context != "" {
		dst = field(dst, 'W', e.Context)
	}
	if e.Position > 0 {
		dst = field(dst, 'P', strconv.Itoa(e.Position))
	}
	if e.Routine != "" {
		dst = field(dst, 'R', e.Routine)
	}
	return End(append(dst, 0), at)
}

func field(dst []byte, code byte, value string) []byte {
	return String(append(dst, code), value)
}
