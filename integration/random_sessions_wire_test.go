package integration

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// exchange is what one step sends in one go, message by message, and what it says of it.
type exchange struct {
	messages []pgproto3.FrontendMessage
	what     []string
	prepares bool // names statements
	writes   bool
	unplaced bool // PostgreSQL is given a query in a table's place, and says where in it an error is
	ordered  bool // every query in it says the order of its rows
}

func (w *exchange) add(what string, messages ...pgproto3.FrontendMessage) {
	w.messages = append(w.messages, messages...)
	w.what = append(w.what, what)
}

// exchange plays messages to both sides. All that comes back up to as many ReadyForQuery as there are Sync and Query is compared,
// message by message.
func (r *sharing) exchange(n int, w *exchange) {
	if len(w.messages) == 0 {
		return
	}
	r.reads = !w.writes
	ready := 0
	for _, m := range w.messages {
		switch m.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
			ready++
		}
	}
	refused := r.both(n, strings.Join(w.what, " | "), func(ctx context.Context, a *actor) (o outcome) {
		a.send(&o, w.messages)
		var lines []string
		for range ready {
			lines = append(lines, a.receive(ctx, &o, "ReadyForQuery")...)
		}
		o.rows = withoutStart(runsSorted(settle(lines), w.ordered))
		for i, line := range o.rows {
			if w.unplaced {
				o.rows[i] = place.ReplaceAllString(line, "")
			}
		}
		return o
	}, true)
	if refused && w.prepares {
		r.forget(n)
	}
}

// withoutStart leaves out how far a statement came that fails without a row: PostgreSQL looks at rights and constants at Bind, and pleiad
// says which columns there are with the first row.
func withoutStart(lines []string) []string {
	var out []string
	for _, line := range lines {
		for n := len(out); n > 0 && strings.HasPrefix(line, "ErrorResponse") && begun.MatchString(out[n-1]); n-- {
			out = out[:n-1]
		}
		out = append(out, line)
	}
	return out
}

var begun = regexp.MustCompile(`^(RowDescription|BindComplete)`)

var place = regexp.MustCompile(`\n    position: \d+`)

// forget closes the statements that a refused step may have left on one side alone.
func (r *sharing) forget(n int) {
	w := &exchange{}
	for i := range 3 {
		w.add("close e"+strconv.Itoa(i), &pgproto3.Close{ObjectType: 'S', Name: "e" + strconv.Itoa(i)})
	}
	w.add("sync", &pgproto3.Sync{})
	r.exchange(n, w)
}

// send writes messages; nothing must come back that the server would wait to be read.
func (a *actor) send(o *outcome, messages []pgproto3.FrontendMessage) {
	f := a.conn.Frontend()
	for _, m := range messages {
		switch text := m.(type) {
		case *pgproto3.Query:
			m = &pgproto3.Query{String: a.side.dialect(text.String)}
		case *pgproto3.Parse:
			m = &pgproto3.Parse{Name: text.Name, Query: a.side.dialect(text.Query)}
		}
		f.Send(m)
	}
	if err := f.Flush(); err != nil {
		o.broken = errors.Join(o.broken, err)
	}
}

// receive reads up to a message of this kind, and prints them. A refusal is noted.
func (a *actor) receive(ctx context.Context, o *outcome, until ...string) (lines []string) {
	for o.broken == nil {
		m, err := a.conn.ReceiveMessage(ctx)
		if err != nil {
			o.broken = err
			break
		}
		line := printed(m)
		switch m := m.(type) {
		case *pgproto3.NotificationResponse, *pgproto3.ParameterStatus:
			continue // what has been heard is compared where it is waited for, and settings as they are at the end
		case *pgproto3.ErrorResponse:
			e := pgconn.ErrorResponseToPgError(m)
			if (outcome{err: e}).refusal() {
				o.err = e
			}
			e.Where = ownContext(e.Where)
			line = "ErrorResponse " + withoutPlacement(errorText(e))
			if e.Code == "40001" { // which of several rows is met first is open, and what happened to it
				line = "ErrorResponse 40001"
			}
			o.failed = true
		case *pgproto3.NoticeResponse:
			line = "NoticeResponse " + withoutPlacement(errorText(pgconn.ErrorResponseToPgError((*pgproto3.ErrorResponse)(m))))
		}
		lines = append(lines, line)
		name, _, _ := strings.Cut(line, " ")
		if slices.Contains(until, name) {
			break
		}
	}
	return lines
}

func (a *actor) notified(n *pgconn.Notification) { a.told = append(a.told, n.Channel+"/"+n.Payload) }

// runsSorted puts rows that follow each other into an order of their own, where their order is not said. The header of binary
// COPY data comes with the first row.
func runsSorted(lines []string, ordered bool) []string {
	const header = `CopyData "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00`
	var out []string
	for from := 0; from < len(lines); {
		to := from
		for to < len(lines) && (strings.HasPrefix(lines[to], "DataRow") || strings.HasPrefix(lines[to], "CopyData")) {
			to++
		}
		run := slices.Clone(lines[from:to])
		if len(run) > 0 && strings.HasPrefix(run[0], header) {
			out = append(out, header)
			run[0] = `CopyData "` + strings.TrimPrefix(run[0], header)
		}
		if !ordered {
			slices.Sort(run)
		}
		out = append(out, run...)
		if to < len(lines) {
			out = append(out, lines[to])
		}
		from = to + 1
	}
	return out
}

// extended are the messages that run a text without parameters in the extended protocol.
func (w *exchange) extended(statement, portal, sql string, max uint32, format int16, describe bool) {
	what := "run " + portal + " " + sql
	if statement == "" {
		w.messages = append(w.messages, &pgproto3.Parse{Query: sql})
	}
	w.messages = append(w.messages, &pgproto3.Bind{PreparedStatement: statement, DestinationPortal: portal, ResultFormatCodes: []int16{format}})
	if describe {
		w.messages = append(w.messages, &pgproto3.Describe{ObjectType: 'P', Name: portal})
	}
	if max > 0 {
		what += fmt.Sprint(" max ", max)
	}
	w.add(strings.TrimSpace(statement+" "+what), &pgproto3.Execute{Portal: portal, MaxRows: max})
}
