package integration

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestSessions plays the same messages to PostgreSQL and to pleiad; the replies must be the same, one by
// one. Each script runs twice: with messages sent together as far as the script lets them, and one by one.
func TestSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/sessions/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no session scripts: %v", err)
	}
	for _, file := range files {
		steps, err := readScript(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			for _, oneByOne := range []bool{false, true} {
				var logs [2][]string
				for i, s := range both() {
					logs[i] = playScript(t, s, steps, oneByOne)
				}
				if differences := differentSteps(steps, logs[0], logs[1]); differences != "" {
					t.Errorf("%s (messages one by one: %t): %s answers some steps otherwise than PostgreSQL:\n%s",
						file, oneByOne, suite.target.name, differences)
					break // the other rhythm would say the same
				}
			}
		})
	}
}

// player runs one script on one side.
type player struct {
	t        *testing.T
	side     *side
	database string
	oneByOne bool
	conns    map[string]*rawConn
	now      *rawConn
	heard    map[*rawConn][]string // notifications not yet printed
	setup    *pgconn.PgConn
	log      bytes.Buffer // of the step that runs
}

// playScript returns what each step printed.
func playScript(t *testing.T, s *side, steps []step, oneByOne bool) []string {
	t.Helper()
	p := &player{t: t, side: s, database: s.newDatabase(t), oneByOne: oneByOne, conns: map[string]*rawConn{}, heard: map[*rawConn][]string{}}
	p.setup = s.low(t, p.database, nil)
	var printed []string
	for _, st := range steps {
		err := p.play(st)
		printed = append(printed, strings.ReplaceAll(p.log.String(), p.database, "DATABASE"))
		p.log.Reset()
		if err != nil {
			t.Errorf("%s, line %d: %s: %v", s.name, st.line, st.verb, err)
			break
		}
	}
	for _, c := range p.conns {
		c.Close()
	}
	return printed
}

var refusedStep = regexp.MustCompile(`ErrorResponse ERROR 0A000 ".*hint=`)

// differentSteps shows each step whose replies differ.
func differentSteps(steps []step, want, got []string) string {
	var out strings.Builder
	for i, st := range steps[:min(len(want), len(got))] {
		if st.refused && suite.target.pleiad {
			if !refusedStep.MatchString(got[i]) {
				fmt.Fprintf(&out, "line %d: %s %s\nis said to be refused, but:\n%s", st.line, st.verb, st.rest, got[i])
			}
			continue
		}
		if want[i] != got[i] {
			fmt.Fprintf(&out, "line %d: %s %s\nPostgreSQL:\n%s%s:\n%s", st.line, st.verb, st.rest, want[i], suite.target.name, got[i])
		}
	}
	return out.String()
}

func (p *player) play(st step) error {
	switch st.verb {
	case "setup":
		return p.runSetup(st.rest)
	case "load":
		table, query, _ := strings.Cut(st.rest, " ")
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		return loadRows(ctx, p.setup, table, query)
	case "conn":
		return p.switchTo(st.rest)
	case "query":
		if err := p.needConn(); err != nil {
			return err
		}
		if err := p.now.queue(queryMessage(p.side.dialect(st.rest))); err != nil {
			return err
		}
		return p.print(p.now.until("ReadyForQuery"))
	case "FunctionCall":
		if err := p.needConn(); err != nil {
			return err
		}
		oid, err := p.functionOID(st.rest)
		if err != nil {
			return err
		}
		b, err := st.functionCall(oid)
		if err != nil {
			return err
		}
		return p.now.queue(b)
	case "until":
		return p.print(p.now.until(strings.Fields(st.rest)...))
	case "closed":
		return p.printClosed(p.now.until("never"))
	case "heard":
		return p.printHeard(st.rest)
	case "cancel":
		return p.cancelUntilAnswered()
	default:
		if err := p.needConn(); err != nil {
			return err
		}
		if st.verb == "Query" || st.verb == "Parse" {
			st.rest = p.side.dialect(st.rest)
		}
		b, err := st.encode()
		if err != nil {
			return err
		}
		return p.now.queue(b)
	}
}

// runSetup runs SQL beside the script, with the partitions a plain server needs.
func (p *player) runSetup(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	if err := p.setup.Exec(ctx, p.side.dialect(sql)).Close(); err != nil {
		return err
	}
	return p.side.afterDDL(ctx, p.setup, sql)
}

// functionOID looks a function up by its signature, which must have no blanks; a number is its oid.
func (p *player) functionOID(words string) (uint32, error) {
	signature, _, _ := strings.Cut(words, " ")
	if oid, err := strconv.ParseUint(signature, 10, 32); err == nil {
		return uint32(oid), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	r := p.setup.ExecParams(ctx, "select $1::regprocedure::oid", [][]byte{[]byte(signature)}, nil, nil, nil).Read()
	if r.Err != nil {
		return 0, r.Err
	}
	oid, err := strconv.ParseUint(string(r.Rows[0][0]), 10, 32)
	return uint32(oid), err
}

func (p *player) needConn() error {
	if p.now != nil {
		return nil
	}
	return p.switchTo("main")
}

// switchTo names the connection that the following steps use, and opens it the first time:
// NAME [key=value …] with startup parameters.
func (p *player) switchTo(words string) error {
	fields := strings.Fields(words)
	if c := p.conns[fields[0]]; c != nil {
		p.now = c
		return nil
	}
	pairs := []string{"user", p.side.user, "database", p.database}
	for _, f := range fields[1:] {
		k, v, _ := strings.Cut(f, "=")
		switch k {
		case "user":
			pairs[1] = v
		case "database":
			pairs[3] = v
		default:
			pairs = append(pairs, k, strings.ReplaceAll(v, "%20", " "))
		}
	}
	c := dialRaw(p.t, p.side.addr)
	c.oneByOne = p.oneByOne
	p.conns[fields[0]], p.now = c, c
	lines, err := c.start(pairs...)
	if len(fields) > 1 || err != nil {
		return p.print(lines, err) // the plain greeting has a script of its own
	}
	return nil
}

func (p *player) print(lines []string, err error) error {
	for _, l := range settle(lines) {
		if strings.HasPrefix(l, "NotificationResponse ") {
			p.heard[p.now] = append(p.heard[p.now], l)
			continue
		}
		fmt.Fprintf(&p.log, "  %s\n", l)
	}
	return err
}

// printHeard waits until this connection has heard so many notifications and prints them. With which answer
// one arrives says nothing: PostgreSQL tells a session of its own at once, others when it can.
func (p *player) printHeard(count string) error {
	want, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	if err := p.now.flush(); err != nil {
		return err
	}
	for len(p.heard[p.now]) < want {
		if err := p.print(p.now.until("NotificationResponse")); err != nil {
			return err
		}
	}
	for _, l := range p.heard[p.now] {
		fmt.Fprintf(&p.log, "  %s\n", l)
	}
	p.heard[p.now] = nil
	return nil
}

// printClosed expects that the server closes the connection.
func (p *player) printClosed(lines []string, err error) error {
	if err := p.print(lines, nil); err != nil {
		return err
	}
	if err == nil || readable(err) != "closed" {
		return fmt.Errorf("the connection is still open: %v", err)
	}
	return nil
}

// ahead are the answers that come before a statement runs.
var ahead = regexp.MustCompile(`^(RowDescription|ParseComplete|BindComplete)`)

// cancelUntilAnswered repeats the request, because one that comes before the statement runs is void, and
// prints the replies up to ReadyForQuery.
func (p *player) cancelUntilAnswered() error {
	if err := p.now.flush(); err != nil {
		return err
	}
	for began := time.Now(); ; {
		if err := p.now.cancel(); err != nil {
			return err
		}
		kind, body, err := p.now.receive(200 * time.Millisecond)
		if err == nil {
			line, err := message(kind, body)
			if err != nil {
				return err
			}
			lines, err := p.now.until("ReadyForQuery")
			// What was answered ahead of the error depends on how far the statement had come.
			lines = append([]string{line}, lines...)
			for len(lines) > 0 && ahead.MatchString(lines[0]) {
				lines = lines[1:]
			}
			return p.print(lines, err)
		}
		if readable(err) == "closed" || time.Since(began) > callLimit {
			return fmt.Errorf("cancel is not answered: %w", err)
		}
	}
}
