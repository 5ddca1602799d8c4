package integration

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// free tells whether s may write: no other session has written in a transaction that is open. One that only reads there does not
// wait, and what it sees of the writes depends on its isolation level.
func (r *sharing) free(s *sharer) bool {
	for _, other := range r.sessions {
		if other != s && other.wrote {
			return false
		}
	}
	return true
}

// tenantRoutines are functions and procedures of each schema.
func tenantRoutines(schema string) []string {
	return []string{
		"create function " + schema + ".zone() returns text language sql stable set timezone = 'Asia/Tokyo' as 'select to_timestamp(0)::text'",
		"create function " + schema + ".path() returns text language sql stable set search_path = pb, pg_catalog as 'select current_schemas(false)::text'",
		"create function " + schema + ".mark(int) returns int language plpgsql as 'begin insert into m values ($1, now()) on conflict (k) do update set at = excluded.at; return $1; end'",
		"create procedure " + schema + ".clear(int) language plpgsql as 'begin delete from u where k = $1; delete from m where k = $1; end'",
	}
}

// sharedRoutines report from inside. Their schema is in no search_path: with which schema PostgreSQL names a function in the context of
// a report depends on the path with which the server process met the function first, and pleiad's sessions share those.
var sharedRoutines = []string{"create schema shared", "grant usage on schema shared to public",
	"create function shared.say(text) returns text language plpgsql as 'begin raise notice ''said %'', $1; return upper($1); end'",
	"create function shared.fault(int) returns int language plpgsql as 'begin if $1 > 15 then raise exception ''too many: %'', $1 using hint = ''fewer''; end if; return $1; end'",
}

// further lets a session do what is more than a statement.
func (r *sharing) further(n int, s *sharer) {
	inside := s.pair[0].conn.TxStatus() != 'I'
	switch pick := r.IntN(100); {
	case pick < 24:
		r.copying(n, s)
	case pick < 44:
		r.batch(n, s, inside)
	case pick < 52:
		r.query1(n, r.isolation(inside))
	case pick < 60:
		switch {
		case inside:
			r.query1(n, r.pick("savepoint a", "savepoint b", "rollback to a", "rollback to b", "release a", "release b", "commit", "commit and chain", "rollback", "rollback and chain"))
		case r.free(s):
			r.query1(n, r.pick("begin", "begin", "begin isolation level repeatable read", "begin isolation level repeatable read", "begin read only",
				"begin isolation level repeatable read read only", "begin isolation level serializable", "start transaction isolation level serializable read only"))
		}
	case pick < 68:
		r.routine(n, s)
	case pick < 76:
		r.cursor(n, inside)
	case pick < 82:
		r.notify(n, inside)
	case pick < 84:
		r.hear()
	case pick < 87:
		r.large(n)
	case pick < 88:
		r.late(n, inside)
	case pick < 89:
		r.cancelled(n)
	case pick < 97:
		r.view(n)
	default:
		r.query1(n, r.pick("discard all", "reset all", "deallocate all", "unlisten *", "close all", "discard temp", "discard sequences", "reset session authorization"))
		r.closeAll(n, s)
	}
}

// query1 is one message of the simple protocol that changes no rows.
func (r *sharing) query1(n int, sql string) {
	w := &exchange{ordered: true}
	w.add(sql, &pgproto3.Query{String: sql})
	r.exchange(n, w)
}

// query is one that reads tables.
func (r *sharing) query() string {
	for {
		text := tenantTexts[r.IntN(len(tenantTexts))].sql
		if (strings.HasPrefix(text, "select") || strings.HasPrefix(text, "with x as (select")) && !strings.HasSuffix(text, "for update") && strings.Contains(text, " from ") {
			return text
		}
	}
}

// orderedQueries say the order of all their rows. A portal or cursor gives them in parts.
var orderedQueries = []string{"select k from t order by k", "select v, k from t order by k desc", "select k, n, at from t where k > $1 order by k", "select t.k, u.k from t join u using (k) order by 1",
	"select k, count(*) over (order by k) from t order by k", "select k from t union all select k + 5000 from u order by 1", "select g from generate_series(1, 20) g", "select k, at < '2024-02-01' from m order by k",
	"select max(k), n from t group by n order by n, 1", "select k, repeat('x', 500) from t order by k"}

func (r *sharing) orderedQuery() string {
	return r.inlined(orderedQueries[r.IntN(len(orderedQueries))])
}

// isolation is about isolation levels and snapshots.
func (r *sharing) isolation(inside bool) string {
	level := r.pick("read committed", "repeatable read", "repeatable read", "serializable")
	switch r.IntN(8) {
	case 0:
		return "set default_transaction_isolation = '" + r.pick("read committed", "read committed", level) + "'"
	case 1:
		return "set session characteristics as transaction isolation level " + r.pick("read committed", level)
	case 2:
		if inside {
			return "set transaction isolation level " + level
		}
		return "reset default_transaction_isolation"
	case 3, 4:
		local := ""
		if inside {
			local = r.pick("", "local ")
		}
		return "set " + local + "pleiad.snapshot = " + r.pick("on", "off")
	case 5:
		return "reset pleiad.snapshot"
	case 6:
		return "show " + r.pick("transaction_isolation", "default_transaction_isolation", "transaction_read_only", "pleiad.snapshot")
	}
	return "set " + r.pick("default_transaction_read_only = off", "default_transaction_deferrable = off", "transaction_read_only = off")
}

// cursor is about SQL cursors, and about portals by their names.
func (r *sharing) cursor(n int, inside bool) {
	name := "p" + strconv.Itoa(r.IntN(3))
	hold := r.pick("", " with hold")
	if !inside {
		hold = " with hold"
	}
	switch r.IntN(5) {
	case 0, 1: // without a word about SCROLL it is the plan that decides
		r.query1(n, "declare "+name+r.pick(" scroll", " no scroll", " binary scroll", " insensitive no scroll")+" cursor"+hold+" for "+r.orderedQuery())
	case 2, 3:
		r.query1(n, r.pick("fetch ", "fetch 3 from ", "fetch all from ", "fetch 0 from ", "move 2 in ", "fetch forward 5 from ", "move all in ", "fetch prior from ", "fetch absolute 4 from ", "fetch last from ")+name)
	case 4:
		r.query1(n, r.pick("close "+name, "close "+name, "close all", "select name, statement, is_holdable, is_binary from pg_cursors order by name"))
	}
}

// routine calls functions, or runs code.
func (r *sharing) routine(n int, s *sharer) {
	number := strconv.Itoa(1 + r.IntN(30))
	if r.IntN(3) == 0 {
		r.query1(n, "select "+r.pick("zone()", "path(), current_schemas(false)", "shared.say('a')", "zone(), shared.say('b')", "shared.fault("+number+")", "pa.zone(), current_setting('timezone')", "set_config('timezone', 'UTC', true)"))
		return
	}
	if !r.free(s) || !r.idle(s) { // some read the clock
		return
	}
	w := &exchange{writes: true}
	sql := r.pick("select mark("+number+")", "call clear("+number+")",
		"do $$ begin insert into m values ("+number+", now()) on conflict do nothing; raise notice 'now %', "+number+"; end $$",
		"do $$ declare x int; begin select count(*) into x from t; raise notice 'rows %', x; end $$",
		"do $$ begin insert into u (k) values ("+number+"); exception when unique_violation then raise notice 'there'; end $$",
		"do $$ declare x int; begin for x in select k from u order by k loop update t set n = x where k = x; end loop; end $$",
		"do $$ begin perform 1 / ("+number+" - 7); end $$", "do $$ begin set local timezone = 'UTC'; end $$")
	if r.IntN(2) == 0 {
		w.add(sql, &pgproto3.Query{String: sql})
	} else {
		w.extended("", "", sql, 0, 0, true)
		w.add("sync", &pgproto3.Sync{})
	}
	r.exchange(n, w)
}

// notify is about LISTEN and NOTIFY; hear compares what came of it.
func (r *sharing) notify(n int, inside bool) {
	channel := "ch" + strconv.Itoa(r.IntN(3))
	r.query1(n, r.pick("listen "+channel, "listen "+channel, "notify "+channel, "notify "+channel+", 'by "+strconv.Itoa(n)+"'", "select pg_notify('"+channel+"', '"+strconv.Itoa(r.done)+"')", "unlisten "+channel,
		"notify "+channel+", 'one'; notify "+channel+", 'one'; notify "+channel+", 'two'"))
}

// hear waits until every session outside of a transaction has all notifications that were sent until now: its own last one is
// behind them.
func (r *sharing) hear() {
	for n, s := range r.sessions {
		if s.pair[0].conn.TxStatus() != 'I' {
			continue
		}
		r.heard++
		channel, last := fmt.Sprint("own", n), strconv.Itoa(r.heard)
		r.query1(n, "listen "+channel)
		r.query1(n, "notify "+channel+", '"+last+"'")
		r.reads = true
		r.both(n, "hear", func(ctx context.Context, a *actor) (o outcome) {
			for o.broken == nil && (len(a.told) == 0 || a.told[len(a.told)-1] != channel+"/"+last) {
				o.broken = a.conn.WaitForNotification(ctx)
			}
			o.rows, a.told = a.told, nil
			return o
		}, true)
	}
}

// view looks at what a session has.
func (r *sharing) view(n int) {
	r.query1(n, r.pick("select name, parameter_types::text, from_sql from pg_prepared_statements order by name", "select name, is_holdable from pg_cursors order by name",
		"select pg_listening_channels() order by 1", "show transaction_isolation", "show statement_timeout", "show pleiad.snapshot", "show default_transaction_read_only",
		"select current_setting('search_path'), current_setting('timezone'), current_setting('datestyle'), current_setting('intervalstyle'), current_setting('extra_float_digits'), current_setting('bytea_output')",
		"select current_setting('transaction_isolation'), current_setting('default_transaction_isolation'), current_setting('transaction_read_only'), current_user, session_user"))
}

// large reads a part of a large result, lets another session read, and reads the rest.
func (r *sharing) large(n int) {
	sql := r.pick("select k, g, repeat(chr(97 + k % 26), 900) from t cross join generate_series(1, 12) g order by k, g", "select g, repeat('y', 1000) from generate_series(1, 300) g",
		"copy (select k, repeat('z', 3000) from t order by k) to stdout", "select k, g, repeat('a', 900) from t cross join generate_series(1, 12) g")
	other := r.IntN(len(r.sessions))
	query := r.inlined(r.query())
	ordered := strings.Contains(sql, "order by") || strings.Contains(sql, "generate_series(1, 300)")
	r.reads = true
	refused := r.both(n, fmt.Sprintf("read a part of %s; meanwhile %d: %s", sql, other, query), func(ctx context.Context, a *actor) (o outcome) {
		a.send(&o, []pgproto3.FrontendMessage{&pgproto3.Query{String: sql}})
		lines := a.receive(ctx, &o, "DataRow", "CopyData", "ReadyForQuery")
		var meanwhile []string
		if other != n {
			for i, side := range r.sessions[n].pair {
				if side == a {
					b := r.sessions[other].pair[i]
					b.send(&o, []pgproto3.FrontendMessage{&pgproto3.Query{String: query}})
					meanwhile = withoutStart(runsSorted(settle(b.receive(ctx, &o, "ReadyForQuery")), false))
				}
			}
		}
		if len(lines) > 0 && !strings.HasPrefix(lines[len(lines)-1], "ReadyForQuery") {
			lines = append(lines, a.receive(ctx, &o, "ReadyForQuery")...)
		}
		o.rows = append(withoutStart(runsSorted(settle(lines), ordered)), meanwhile...)
		return o
	}, true)
	for _, a := range r.sessions[other].pair {
		if refused { // the other's, maybe
			_, _ = a.conn.Exec(context.Background(), "rollback; close all").ReadAll()
			r.sessions[other].wrote = false
		}
	}
}

// late lets a statement meet its time limit, which holds for no other.
func (r *sharing) late(n int, inside bool) {
	sleep := r.pick("select pg_sleep(30)", "select pg_sleep(30)", "do $$ begin perform pg_sleep(30); end $$")
	if inside {
		r.query1(n, "savepoint late")
	}
	r.query1(n, "begin; set local statement_timeout = 60; "+sleep)
	if inside {
		r.query1(n, "rollback to late")
	}
	r.query1(n, "rollback")
}

// cancelled sends a cancel request for a statement that runs.
func (r *sharing) cancelled(n int) {
	r.reads = true
	r.both(n, "select pg_sleep(30), cancelled", func(ctx context.Context, a *actor) (o outcome) {
		a.send(&o, []pgproto3.FrontendMessage{&pgproto3.Query{String: "select pg_sleep(30)"}})
		done := make(chan struct{})
		go func() {
			for { // one that comes before the statement runs is void
				_ = a.conn.CancelRequest(ctx)
				select {
				case <-done:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		}()
		for _, line := range settle(a.receive(ctx, &o, "ReadyForQuery")) {
			if !ahead.MatchString(line) { // depends on how far the statement had come
				o.rows = append(o.rows, line)
			}
		}
		done <- struct{}{}
		return o
	}, true)
}

// batch sends several things of the extended protocol at once, behind one Sync; more than one where all of it is in a transaction
// that can be rolled back.
func (r *sharing) batch(n int, s *sharer, inside bool) {
	w := &exchange{ordered: true}
	free := r.free(s)
	for range 1 + r.IntN(4) {
		r.part(w, free, inside)
		if inside && r.IntN(5) == 0 {
			w.add("sync", &pgproto3.Sync{})
		}
	}
	w.add("sync", &pgproto3.Sync{})
	r.exchange(n, w)
}

// part is one of them.
func (r *sharing) part(w *exchange, free, inside bool) {
	portal := r.pick("", "p0", "p1", "p2")
	statement := "e" + strconv.Itoa(r.IntN(3))
	max := uint32(r.IntN(3) * r.IntN(4))
	format := int16(r.IntN(2))
	switch pick := r.IntN(14); {
	case pick < 4:
		w.extended("", portal, r.orderedQuery(), max, format, r.IntN(2) == 0)
	case pick < 6 && portal != "": // whether there is an unnamed one depends on how far a statement of before came that failed
		w.add(fmt.Sprint("execute portal ", portal, " max ", max), &pgproto3.Execute{Portal: portal, MaxRows: max})
	case pick == 6:
		w.add("close portal "+portal, &pgproto3.Close{ObjectType: 'P', Name: portal})
	case pick < 9:
		sql := r.orderedQuery()
		if r.IntN(3) == 0 {
			sql = r.pick("copy t (k, n) from stdin", "copy (select k from t order by k) to stdout", "fetch 2 from p0", "savepoint a", "set timezone = 'UTC'", "listen ch0")
		}
		w.prepares = true
		w.add("close "+statement, &pgproto3.Close{ObjectType: 'S', Name: statement})
		w.add("parse "+statement+" "+sql, &pgproto3.Parse{Name: statement, Query: sql})
		// Always described: of a statement that nobody has described pleiad does not know that its columns are others on another path.
		w.add("describe "+statement, &pgproto3.Describe{ObjectType: 'S', Name: statement})
	case pick < 11:
		w.extended(statement, portal, "", max, format, r.IntN(2) == 0)
		w.writes = true
		w.add("data, if it is COPY", &pgproto3.CopyData{Data: []byte(fmt.Sprint(r.next(), "\t1\n"))}, &pgproto3.CopyDone{})
	case pick == 11 && free:
		c := r.copyIn()
		w.writes = true
		w.extended("", "", c.sql, 0, 0, false)
		w.add(c.what(), c.data()...)
	case pick == 12 && free:
		w.writes, w.ordered = true, false
		w.extended("", "", r.pick("delete from t where k = 2 returning k", "update t set n = 5 where k < 6", "insert into u (k) values ("+strconv.Itoa(r.next())+") returning k", "insert into m values (5) on conflict do nothing"), 0, format, false)
	default:
		utilities := []string{"set timezone = 'UTC'", "show search_path", "fetch 2 from p0", "close p1", "notify ch1, 'batch'", "select 1/0", "deallocate e1", "set pleiad.snapshot = on"}
		if inside {
			utilities = append(utilities, "savepoint a", "rollback to a", "release a", "savepoint b", "rollback to b", "declare p2 no scroll cursor for select k from t order by k")
		}
		w.extended("", "", r.pick(utilities...), 0, 0, false)
		if r.IntN(4) == 0 {
			w.add("flush", &pgproto3.Flush{})
		}
	}
}

func (r *sharing) next() int {
	r.fresh++
	return 1000 + r.fresh
}
