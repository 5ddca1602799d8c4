package startup

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// maxCancelSecret is the longest cancel key of protocol 3.2.
const maxCancelSecret = 256

// protocolOptionPrefix marks parameters that belong to the protocol itself; none exists so far.
const protocolOptionPrefix = "_pq_."

// parseCancel reads a cancel request behind its code: process id, then the key up to the end.
func parseCancel(body []byte) (*CancelRequest, error) {
	if len(body) < 5 || len(body) > 4+maxCancelSecret {
		return nil, ErrInvalidCancel
	}
	return &CancelRequest{PID: int32(binary.BigEndian.Uint32(body)), Secret: bytes.Clone(body[4:])}, nil
}

// parameters are a startup packet's, sorted by who reads them; the last of equal names counts.
type parameters struct {
	user, database, options string
	replication             *string
	settings                []Setting
	protocolOptions         []string
}

// parseParameters reads pairs of NUL-terminated strings up to an empty name, which has to be the last byte.
func parseParameters(body []byte) (parameters, error) {
	var p parameters
	rest := body
	for {
		name, after, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return parameters{}, errLayout()
		}
		if len(name) == 0 {
			if len(after) != 0 {
				return parameters{}, errLayout()
			}
			return p, nil
		}
		value, after, ok := bytes.Cut(after, []byte{0})
		if !ok {
			return parameters{}, errLayout()
		}
		p.add(string(name), string(value))
		rest = after
	}
}

func errLayout() error {
	return pgerr.Fatal(pgerr.ProtocolViolation, "invalid startup packet layout: expected terminator as last byte")
}

func (p *parameters) add(name, value string) {
	switch {
	case name == "user":
		p.user = value
	case name == "database":
		p.database = value
	case name == "options":
		p.options = value
	case name == "replication":
		p.replication = &value
	case strings.HasPrefix(name, protocolOptionPrefix):
		p.protocolOptions = append(p.protocolOptions, name)
	default:
		p.settings = append(p.settings, Setting{name, value})
	}
}

func (p *parameters) session(v Version) (*Session, error) {
	if err := p.refuseReplication(); err != nil {
		return nil, err
	}
	if p.user == "" {
		return nil, pgerr.Fatal(pgerr.InvalidAuthorization, "no PostgreSQL user name specified in startup packet")
	}
	s := &Session{Protocol: v, User: p.user, Database: p.database}
	if s.Database == "" {
		s.Database = p.user
	}
	settings, err := parseOptions(p.options)
	if err != nil {
		return nil, err
	}
	s.Settings = append(settings, p.settings...)
	return s, nil
}

func (p *parameters) refuseReplication() error {
	if p.replication == nil {
		return nil
	}
	on, ok := parseBool(*p.replication)
	switch {
	case *p.replication == "database" || on:
		return pgerr.Fatal(pgerr.FeatureNotSupported, "replication connections are not supported").
			WithHint("Connect to the backend itself for the replication protocol.")
	case !ok:
		return pgerr.Fatal(pgerr.InvalidParameterValue, `invalid value for parameter "replication": "%s"`, *p.replication).
			WithHint("Valid values are: \"false\", 0, \"true\", 1, \"database\".")
	}
	return nil
}

// parseBool is parse_bool of PostgreSQL's bool.c: unique prefixes of the words, any letter case.
func parseBool(s string) (value, ok bool) {
	low := strings.ToLower(s)
	prefixOf := func(word string, least int) bool { return len(low) >= least && strings.HasPrefix(word, low) }
	switch {
	case prefixOf("true", 1), prefixOf("yes", 1), low == "on", low == "1":
		return true, true
	case prefixOf("false", 1), prefixOf("no", 1), prefixOf("off", 2), low == "0":
		return false, true
	}
	return false, false
}

// parseOptions reads the options parameter: a command line of the server, of which -c and -- set parameters.
// Other switches would change a server process that a client of pleiad does not have alone.
func parseOptions(line string) ([]Setting, error) {
	var settings []Setting
	args := splitOptions(line)
	for i := 0; i < len(args); i++ {
		arg := args[i]
		var assignment, switchName string
		switch {
		case arg == "-c":
			switchName = "-c "
			if i++; i == len(args) {
				return nil, errOption(arg)
			}
			assignment = args[i]
		case strings.HasPrefix(arg, "-c"), strings.HasPrefix(arg, "--") && len(arg) > 2:
			assignment, switchName = arg[2:], "--"
			if arg[1] == 'c' {
				switchName = "-c "
			}
		default:
			return nil, errOption(arg)
		}
		name, value, ok := strings.Cut(assignment, "=")
		if !ok {
			return nil, pgerr.Fatal(pgerr.SyntaxError, "%s%s requires a value", switchName, name)
		}
		settings = append(settings, Setting{strings.ReplaceAll(name, "-", "_"), value})
	}
	return settings, nil
}

func errOption(arg string) error {
	return pgerr.Fatal(pgerr.SyntaxError, "invalid command-line argument for server process: %s", arg).
		WithHint("Only -c name=value and --name=value can be given in options.")
}

// splitOptions is pg_split_opts of postinit.c: words at white space, a backslash takes the next byte as it is.
func splitOptions(line string) []string {
	var args []string
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args
		}
		var word []byte
		for escaped := false; i < len(line) && (escaped || !isSpace(line[i])); i++ {
			if !escaped && line[i] == '\\' {
				escaped = true
				continue
			}
			word, escaped = append(word, line[i]), false
		}
		args = append(args, string(word))
	}
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
