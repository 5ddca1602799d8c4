package integration

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// step is one instruction of a session script; testdata/sessions/README says what they mean.
type step struct {
	line int
	verb string
	rest string
	// refused says that pleiad answers 0A000 with a HINT here, whatever PostgreSQL does.
	refused bool
}

// readScript splits a file into steps. A line that starts with white space continues the one before.
func readScript(path string) ([]step, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	var steps []step
	number := 0
	for line := range strings.Lines(string(raw)) {
		number++
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case line[0] == ' ' || line[0] == '\t':
			if len(steps) == 0 {
				return nil, fmt.Errorf("%s:%d: continues nothing", path, number)
			}
			steps[len(steps)-1].rest += "\n" + strings.TrimSpace(line)
		default:
			line, refused := strings.CutPrefix(line, "refused ")
			verb, rest, _ := strings.Cut(line, " ")
			steps = append(steps, step{line: number, verb: verb, rest: rest, refused: refused})
		}
	}
	return steps, nil
}

// options takes leading name=value words off s as long as their names are known.
func options(s string, known ...string) (map[string]string, string) {
	opts := map[string]string{}
next:
	for {
		word, rest, _ := strings.Cut(s, " ")
		name, value, ok := strings.Cut(word, "=")
		if ok {
			for _, k := range known {
				if k == name {
					opts[name], s = value, rest
					continue next
				}
			}
		}
		return opts, s
	}
}

var typeOIDs = map[string]uint32{
	"0": 0, "bool": 16, "bytea": 17, "int8": 20, "int2": 21, "int4": 23, "text": 25, "json": 114,
	"float8": 701, "bpchar": 1042, "varchar": 1043, "date": 1082, "timestamptz": 1184, "numeric": 1700,
	"uuid": 2950, "jsonb": 3802, "int4[]": 1007, "unknown": 705,
}

// encode makes the bytes of a message step.
func (s step) encode() ([]byte, error) {
	var m pgproto3.FrontendMessage
	var err error
	switch s.verb {
	case "Query":
		m = &pgproto3.Query{String: s.rest}
	case "Parse":
		m, err = s.parse()
	case "Bind":
		m, err = s.bind()
	case "Describe", "Close":
		kind, name, _ := strings.Cut(s.rest, " ")
		if len(kind) != 1 {
			return nil, fmt.Errorf("line %d: want S or P", s.line)
		}
		m = &pgproto3.Describe{ObjectType: kind[0], Name: name}
		if s.verb == "Close" {
			m = &pgproto3.Close{ObjectType: kind[0], Name: name}
		}
	case "Execute":
		opts, _ := options(s.rest, "portal", "max")
		var most uint64
		if opts["max"] != "" {
			most, err = strconv.ParseUint(opts["max"], 10, 32)
		}
		m = &pgproto3.Execute{Portal: opts["portal"], MaxRows: uint32(most)}
	case "Flush":
		m = &pgproto3.Flush{}
	case "Sync":
		m = &pgproto3.Sync{}
	case "Terminate":
		m = &pgproto3.Terminate{}
	case "CopyData":
		var v []byte
		v, err = scriptValue(s.rest)
		m = &pgproto3.CopyData{Data: v}
	case "CopyDone":
		m = &pgproto3.CopyDone{}
	case "CopyFail":
		m = &pgproto3.CopyFail{Message: s.rest}
	case "Raw":
		return hex.DecodeString(strings.Join(strings.Fields(s.rest), ""))
	default:
		return nil, fmt.Errorf("line %d: unknown verb %q", s.line, s.verb)
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", s.line, err)
	}
	return m.Encode(nil)
}

func (s step) parse() (*pgproto3.Parse, error) {
	opts, text := options(s.rest, "name", "types")
	m := &pgproto3.Parse{Name: opts["name"], Query: text}
	if opts["types"] != "" {
		for name := range strings.SplitSeq(opts["types"], ",") {
			oid, ok := typeOIDs[name]
			if !ok {
				return nil, fmt.Errorf("unknown type %q", name)
			}
			m.ParameterOIDs = append(m.ParameterOIDs, oid)
		}
	}
	return m, nil
}

func (s step) bind() (*pgproto3.Bind, error) {
	opts, values := options(s.rest, "portal", "stmt", "pf", "rf")
	m := &pgproto3.Bind{DestinationPortal: opts["portal"], PreparedStatement: opts["stmt"]}
	var err error
	if m.ParameterFormatCodes, err = formats(opts["pf"]); err != nil {
		return nil, err
	}
	if m.ResultFormatCodes, err = formats(opts["rf"]); err != nil {
		return nil, err
	}
	for word := range strings.FieldsSeq(values) {
		v, err := scriptValue(word)
		if err != nil {
			return nil, err
		}
		m.Parameters = append(m.Parameters, v)
	}
	return m, nil
}

// functionCall makes the message that calls a function by its oid: SIGNATURE [af=…] [rf=…] VALUE ...
func (s step) functionCall(oid uint32) ([]byte, error) {
	_, words, _ := strings.Cut(s.rest, " ")
	opts, values := options(words, "af", "rf")
	m := &pgproto3.FunctionCall{Function: oid}
	codes, err := formats(opts["af"])
	if err != nil {
		return nil, err
	}
	for _, c := range codes {
		m.ArgFormatCodes = append(m.ArgFormatCodes, uint16(c))
	}
	if opts["rf"] == "binary" {
		m.ResultFormatCode = 1
	}
	for word := range strings.FieldsSeq(values) {
		v, err := scriptValue(word)
		if err != nil {
			return nil, err
		}
		m.Arguments = append(m.Arguments, v)
	}
	return m.Encode(nil)
}

func formats(s string) ([]int16, error) {
	if s == "" {
		return nil, nil
	}
	var codes []int16
	for f := range strings.SplitSeq(s, ",") {
		switch f {
		case "text":
			codes = append(codes, 0)
		case "binary":
			codes = append(codes, 1)
		default:
			return nil, fmt.Errorf("unknown format %q", f)
		}
	}
	return codes, nil
}

// scriptValue reads null, x'00ff', a Go string in double quotes, or a plain word.
func scriptValue(word string) ([]byte, error) {
	switch {
	case word == "null":
		return nil, nil
	case strings.HasPrefix(word, "x'") && strings.HasSuffix(word, "'"):
		return hex.DecodeString(word[2 : len(word)-1])
	case strings.HasPrefix(word, `"`):
		v, err := strconv.Unquote(word)
		return []byte(v), err
	default:
		return []byte(word), nil
	}
}
