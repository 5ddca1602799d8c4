package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestDifferentialSessions has sessions that share few server connections do by chance what makes the same text mean other things:
// each is a tenant by search_path or role, in a time zone and with other settings of its own, and they prepare the same
// texts by the same names, execute them again and again, inside of transactions and outside, and change tables
// between. They COPY in and out, keep portals and cursors, listen, change isolation levels and go back to savepoints (further).
// In PostgreSQL each session has a server process for itself. PLEIAD_TEST_SEED and PLEIAD_TEST_STEPS choose others and more.
func TestDifferentialSessions(t *testing.T) {
	seed, steps := uint64(20261121), 1500
	for name, to := range map[string]func(uint64){
		"PLEIAD_TEST_SEED":  func(n uint64) { seed = n },
		"PLEIAD_TEST_STEPS": func(n uint64) { steps = int(n) },
	} {
		if s := os.Getenv(name); s != "" {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			to(n)
		}
	}
	t.Logf("seed %d", seed)
	s := serve(t, fmt.Sprintf("pool: {size: 8}\nlimits: {max_prepared_per_server: %d}\n", 5+seed%3*25))
	r := &sharing{t: t, Rand: rand.New(rand.NewPCG(seed, 1))}
	sides := []*side{suite.plain, s.side}
	var databases [2]string
	for i, side := range sides {
		side.admin(t, "drop role if exists tenant_role")
		side.admin(t, "create role tenant_role")
		databases[i] = side.newDatabase(t)
		c := side.conn(t, databases[i])
		for _, sql := range append(tenantSchemas(), sharedRoutines...) {
			side.exec(t, c, sql)
		}
	}
	for n := range 4 {
		var pair [2]*actor
		for i, side := range sides {
			a := &actor{side: side, types: map[uint32]serverType{}, tables: map[uint32]string{}}
			params := []string{"timezone=UTC", "pleiad.snapshot=off", "search_path=" + tenants[n]} // PostgreSQL keeps a setting that it does not know
			if n == 3 {
				params = params[:2]
			}
			if n%2 == 0 {
				params = append(params, "plan_cache_mode=force_generic_plan") // statements name their shard at once
			}
			a.conn = side.listening(t, databases[i], a.heard, a.notified, params...)
			a.names = side.low(t, databases[i], nil)
			pair[i] = a
		}
		r.sessions = append(r.sessions, &sharer{pair: pair, prepared: map[int]bool{}})
	}
	for r.done < steps && r.wrong < 5 {
		r.step()
	}
	t.Logf("%d steps: %d identical, %d refused (%d for the isolation level), %d errors on both sides, %d WRONG", r.done, r.done-r.refused-r.wrong, r.refused, r.designed, r.errors, r.wrong)
	if r.refused-r.designed > r.done/20 {
		t.Errorf("%d of %d were refused", r.refused, r.done)
	}
}

// tenants are schemas with relations and functions of equal names; the last one is that of "$user" for tenant_role.
var tenants = []string{"pa", "pb", "pc", "tenant_role"}

// tenantSchemas makes them: sharded, local, reference and sharded tables.
func tenantSchemas() (all []string) {
	types := []string{"int", "text", "date", "numeric"}
	values := []string{"i % 7", "'v' || i % 7", "date '2024-01-01' + i % 7", "i % 7 * 0.5"}
	for i, schema := range tenants {
		place := [...]string{" partition by hash (k)", "", " with (pleiad.reference)", " partition by hash (k)"}[i]
		first := [...]string{"", "x int, ", "", "v2 text, "}[i]
		all = append(all, "create schema "+schema, "create sequence "+schema+".s",
			fmt.Sprintf("create table %s.t (%sk int primary key, v %s, at timestamptz, n int)%s", schema, first, types[i], place),
			fmt.Sprintf("create table %s.m (k int primary key, at timestamptz)%s", schema, place),
			fmt.Sprintf("create table %s.u (k int primary key, a %s) partition by hash (k)", schema, types[i]),
			fmt.Sprintf("insert into %s.t (k, v, at, n) select i, %s, '2024-03-30 23:30+00', i from generate_series(1, %d) i", schema, values[i], 20+i),
			fmt.Sprintf("insert into %s.u (k, a) select i, %s from generate_series(1, 20) i where i %% 2 = 0", schema, values[i]),
			fmt.Sprintf("create view %s.w as select t.k, u.a, t.v from %s.t join %s.u using (k)", schema, schema, schema),
			fmt.Sprintf("create function %s.f() returns %s language sql stable as 'select max(v) from %s.t'", schema, types[i], schema),
			fmt.Sprintf("create function %s.g(int) returns %s language sql immutable as 'select null::%s'", schema, types[i], types[i]))
		all = append(all, tenantRoutines(schema)...)
		if schema != "pa" {
			all = append(all, "grant usage on schema "+schema+" to tenant_role", "grant all on all tables in schema "+schema+" to tenant_role")
		}
	}
	return all
}

// sharing is a run.
type sharing struct {
	*rand.Rand
	t                            *testing.T
	sessions                     []*sharer
	log                          []string
	done, refused, errors, wrong int
	designed                     int // of the refused ones: those of an isolation level, see byDesign
	columns, fresh, heard        int
	reads                        bool // the step writes nothing: it has no locks that others wait for
}

// sharer is a session on both sides: PostgreSQL's first.
type sharer struct {
	pair     [2]*actor
	prepared map[int]bool
	temp     bool // it has made a temporary table
	wrote    bool // in the open transaction
}

// tenantTexts are statements with as many parameters, all int.
var tenantTexts = []struct {
	sql  string
	args int
}{
	{"select * from t where k = $1", 1}, {"select * from t where k = 3", 0}, {"select * from t", 0}, {"select v, k from t where k = $1", 1},
	{"select v, count(*) from t group by v", 0}, {"select max(k), count(*) from t", 0}, {"select min(v), count(*), sum(n) from t where n > $1", 1},
	{"select count(*) from m where at = now()", 0}, {"select count(*), max(k) from m where at <= now()", 0}, {"select count(*) from m where at < now() - interval '1 hour'", 0},
	{"select max(k), now() - now() from t", 0}, {"select k, now() = at from m order by k desc limit $1", 1}, {"select at, k from t where k = $1", 1},
	{"select at::text, at::date, k from t order by k limit 3", 0}, {"select min(at)::text, max(at::date) from t", 0}, {"select v::text, k from t order by v, k limit $1", 1},
	{"select k from t where at::date = date '2024-03-31' order by k", 0}, {"select distinct v from t", 0}, {"select v, k, row_number() over (order by k) from t order by k", 0},
	{"select t.k, u.* from t join u using (k) order by t.k", 0}, {"select t.k, u.a from t left join u on u.k = t.n order by t.k limit $1", 1},
	{"select f(), g(1)", 0}, {"select f(), k from t where k = $1", 1}, {"select g(k), k from t order by k limit 2", 0}, {"select * from w order by k limit 3", 0}, {"select * from w where k = $1", 1},
	{"select current_user, current_schema(), current_setting('timezone')", 0}, {"select current_schemas(false), $1::int", 1}, {"select pg_typeof(v), count(*) from t group by 1", 0},
	{"select (select count(*) from u where u.k = t.k), k from t order by k", 0}, {"select k from t where k in (select k from u) order by k", 0}, {"select count(*) from t, u where t.n = u.k", 0},
	{"select sum(v::text::numeric) from t where v is not null", 0}, {"select interval '1 day 02:00', 0.1::float8 + 0.2::float8, '\\x01ff'::bytea, to_timestamp(0)", 0}, {"select to_timestamp($1), now() > to_timestamp(0)", 1},
	{"with x as (select k, v from t where k < $1) select count(*), max(v) from x", 1}, {"select k from t union select k + 100 from u order by 1 limit 5", 0},
	{"insert into m values ($1, now()) on conflict (k) do update set at = excluded.at", 1}, {"insert into t (k) values ($1) on conflict (k) do nothing", 1}, {"insert into t (k, n) values ($1, $2), ($2 + 30, $1) on conflict do nothing", 2},
	{"update t set n = coalesce(n, 0) + 1 where k = $1", 1}, {"update t set n = coalesce(n, 0) + $1", 1}, {"update m set at = now() where k = $1 returning at = now()", 1}, {"update m set at = now() where k > $1", 1},
	{"delete from t where k = $1 returning *", 1}, {"insert into u (k, a) select k, v from t where k = $1 on conflict do nothing", 1}, {"delete from u where k > $1", 1},
	{"with x as (update t set n = 0 where k = $1 returning *) select count(*) from x", 1}, {"select v from t where k = $1 for update", 1},
}

func (r *sharing) pick(of ...string) string { return of[r.IntN(len(of))] }

// idle tells whether no session is in a transaction, except one.
func (r *sharing) idle(but *sharer) bool {
	for _, s := range r.sessions {
		if s != but && s.pair[0].conn.TxStatus() != 'I' {
			return false
		}
	}
	return true
}

// step lets one session do something.
func (r *sharing) step() {
	n := r.IntN(len(r.sessions))
	s := r.sessions[n]
	if r.IntN(5) < 2 {
		r.further(n, s)
		return
	}
	inside := s.pair[0].conn.TxStatus() != 'I'
	switch pick := r.IntN(100); {
	case pick < 48:
		r.text(n, s)
	case pick < 56:
		if r.idle(s) {
			r.pipeline(n, s)
		}
	case pick < 68:
		if r.idle(s) { // there may be a write among them
			r.simple(n, r.kept())
		}
	case pick < 80:
		r.query1(n, r.setting(inside))
	case pick < 84 && !inside && r.idle(nil):
		r.query1(n, r.pick("begin", "begin", "begin isolation level repeatable read"))
	case pick < 88 && inside:
		r.query1(n, r.pick("commit", "commit", "rollback", "savepoint a", "rollback to a", "release a"))
	case pick < 90:
		r.simple(n, r.pick("deallocate all", "discard plans", "discard all", "deallocate s1", "deallocate s1"))
		r.closeAll(n, s)
	case pick < 96 && r.idle(nil):
		r.change(n)
	case pick < 98 && !inside:
		if s.temp = !s.temp; s.temp {
			r.simple(n, "deallocate all") // PostgreSQL reads the other relation on, until anything makes it plan anew
			r.closeAll(n, s)
			r.simple(n, r.pick("create temp table t (k int, v bool, at timestamptz, n int)", "create temp table u as select 1 as k, true as a"))
		} else {
			r.simple(n, "drop table if exists pg_temp.t, pg_temp.u")
		}
	default:
		r.block(n, s)
	}
}

// block changes a table in a transaction and looks at it, if nobody else is in one.
func (r *sharing) block(n int, s *sharer) {
	if !r.idle(nil) {
		return
	}
	r.simple(n, "begin")
	for range 1 + r.IntN(4) {
		if r.IntN(2) == 0 {
			r.change(n)
		} else {
			r.text(n, s)
		}
	}
	r.simple(n, r.pick("rollback", "commit"))
}

// kept is a statement about what a session keeps between transactions.
func (r *sharing) kept() string {
	number, query := strconv.Itoa(r.IntN(4)), r.inlined(tenantTexts[r.IntN(len(tenantTexts))].sql)
	switch r.IntN(6) {
	case 0:
		return "select " + r.pick("nextval('pa.s')", "nextval('pa.s')", "currval('pa.s')", "lastval()", "setval('pa.s', 100)", "nextval('pb.s')", "currval('pb.s')")
	case 1:
		return "select " + r.pick("pg_try_advisory_lock(", "pg_advisory_unlock(", "pg_try_advisory_xact_lock(") + number + ")"
	case 2:
		return r.pick("prepare q"+number+" as "+query, "execute q"+number, "execute q"+number, "deallocate q"+number)
	case 3:
		return r.pick("declare c"+number+" cursor with hold for select k from t order by k", "fetch 3 from c"+number, "fetch all from c"+number, "move 2 in c"+number, "close c"+number,
			"declare c"+number+" cursor for select v, k from t order by k desc")
	case 4:
		return "set " + r.pick("default_transaction_read_only = on", "default_transaction_read_only = off",
			"session characteristics as transaction read write", "transaction read only")
	}
	other := r.inlined(tenantTexts[r.IntN(len(tenantTexts))].sql)
	return r.pick(query+"; "+other, other+"; select 1/0; "+query, "begin; "+query+"; "+other+"; commit", other+"; rollback; "+query)
}

// inlined is a text with values for its parameters.
func (r *sharing) inlined(sql string) string {
	for k := 1; k <= 2; k++ {
		sql = strings.ReplaceAll(sql, fmt.Sprint("$", k), strconv.Itoa(1+r.IntN(30)))
	}
	return sql
}

// closeAll ends what the session has prepared, in the order of its numbers.
func (r *sharing) closeAll(n int, s *sharer) {
	for i := range tenantTexts {
		if s.prepared[i] {
			delete(s.prepared, i)
			r.both(n, fmt.Sprint("close s", i), func(ctx context.Context, a *actor) (o outcome) {
				o.fail(a.conn.Deallocate(ctx, fmt.Sprint("s", i)))
				return o
			}, false)
		}
	}
}

// setting is a statement that changes a setting, or shows one.
func (r *sharing) setting(inside bool) string {
	local := ""
	if inside {
		local = r.pick("", "local ")
	}
	switch r.IntN(10) {
	case 0, 1:
		return "set " + local + "search_path = " + r.pick(append([]string{"pb, pa", "pc", `"$user", public, pb`}, tenants[:3]...)...)
	case 2:
		return "set " + local + "timezone = " + r.pick("'UTC'", "'America/New_York'", "'Asia/Kolkata'")
	case 3:
		return "set " + local + "datestyle = " + r.pick("'ISO'", "'German'", "'SQL, DMY'")
	case 4:
		return "set " + local + r.pick("intervalstyle = 'iso_8601'", "extra_float_digits = 0", "bytea_output = 'escape'", "plan_cache_mode = auto", "plan_cache_mode = force_generic_plan")
	case 5, 6:
		return "set " + local + "role " + r.pick("tenant_role", "none")
	case 7:
		return "reset " + r.pick("search_path", "timezone", "datestyle", "role", "all")
	case 8:
		return "select set_config('search_path', '" + r.pick("pa", "pb", "pc") + "', " + r.pick("false", "true") + ")"
	}
	return "show " + r.pick("search_path", "timezone", "datestyle")
}

// change alters what is there.
func (r *sharing) change(n int) {
	schema := tenants[r.IntN(len(tenants))]
	switch r.IntN(9) {
	case 0, 1:
		r.columns++
		r.simple(n, fmt.Sprintf("alter table %s.t add column c%d int default %d", schema, r.columns, r.columns))
	case 2:
		r.simple(n, fmt.Sprintf("alter table %s.t drop column if exists c%d", schema, r.IntN(r.columns+1)))
	case 3:
		r.simple(n, "alter table "+schema+".t alter column n type "+r.pick("int", "bigint"))
	case 4:
		r.simple(n, "create or replace function "+schema+".f() returns "+map[string]string{"pa": "int", "pb": "text", "pc": "date", "tenant_role": "numeric"}[schema]+
			" language sql stable as 'select "+r.pick("max", "min")+"(v) from "+schema+".t'")
	case 5:
		r.simple(n, "alter table "+schema+".u rename column a to "+r.pick("a", "b"))
		r.simple(n, "alter table "+schema+".u rename column b to a")
	case 6:
		r.simple(n, r.pick("revoke select on ", "grant select on ")+schema+".t "+"from tenant_role")
		r.simple(n, "grant select on "+schema+".t to tenant_role")
	case 7:
		r.simple(n, "drop table if exists pb.z; create table pb.z (k int primary key)"+r.pick(" partition by hash (k)", ""))
	case 8:
		r.simple(n, r.pick("create index on ", "analyze ", "vacuum ")+schema+".t"+r.pick("", "(n)"))
	}
}

// text runs one of the texts in some way.
func (r *sharing) text(n int, s *sharer) {
	i := r.IntN(len(tenantTexts))
	text := tenantTexts[i]
	first, _, _ := strings.Cut(text.sql, " ")
	reads := first == "select" && !strings.HasSuffix(text.sql, "update")
	if !reads && (!r.free(s) || !r.idle(s) && strings.Contains(text.sql, "now()")) {
		return // it would wait for the other's locks; or the other's clock, which begins with its first statement, would show
	}
	var args []string
	for range text.args {
		args = append(args, strconv.Itoa(1+r.IntN(30)))
	}
	ordered := strings.Contains(text.sql, "order by")
	switch pick := r.IntN(10); {
	case pick < 5:
		if !s.prepared[i] {
			r.reads = true
			r.both(n, fmt.Sprintf("parse s%d: %s", i, text.sql), func(ctx context.Context, a *actor) (o outcome) {
				d, err := a.conn.Prepare(ctx, fmt.Sprint("s", i), text.sql, nil)
				o.fail(err)
				if err == nil {
					for _, p := range d.ParamOIDs {
						o.params = append(o.params, a.typeName(ctx, p))
					}
					a.take(ctx, &o, &pgconn.Result{FieldDescriptions: d.Fields})
				}
				s.prepared[i] = err == nil
				return o
			}, true)
			if !s.prepared[i] {
				return
			}
		}
		format := []int16{int16(r.IntN(2))}
		r.reads = reads
		r.both(n, fmt.Sprintf("execute s%d %v (%s)", i, args, text.sql), func(ctx context.Context, a *actor) (o outcome) {
			values := make([][]byte, len(args))
			for k, arg := range args {
				values[k] = []byte(arg)
			}
			res := a.conn.ExecPrepared(ctx, fmt.Sprint("s", i), values, nil, format).Read()
			a.take(ctx, &o, res)
			o.fail(res.Err)
			return o
		}, ordered)
	default:
		sql := r.inlined(text.sql)
		r.reads = reads
		if pick < 7 {
			r.both(n, "unnamed: "+sql, func(ctx context.Context, a *actor) (o outcome) {
				res := a.conn.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
				a.take(ctx, &o, res)
				o.fail(res.Err)
				return o
			}, ordered)
			return
		}
		r.both(n, sql, func(ctx context.Context, a *actor) outcome { return a.simple(ctx, sql) }, ordered)
	}
}

// pipeline sends several statements before it reads the answer to the first.
func (r *sharing) pipeline(n int, s *sharer) {
	type sent struct {
		name, sql string
		sync      bool
	}
	if conn := s.pair[0].conn; r.has(conn, "pleiad.snapshot") == "on" || r.has(conn, "default_transaction_isolation") != "read committed" {
		return // some of it may be refused, behind what has been committed
	}
	var all []sent
	var what []string
	for range 2 + r.IntN(3) {
		i := r.IntN(len(tenantTexts))
		if sql := tenantTexts[i].sql; strings.Contains(sql, " w ") || strings.Contains(sql, "f()") {
			continue // may be refused, behind what has been done
		}
		one := sent{sql: r.inlined(tenantTexts[i].sql), sync: r.IntN(4) == 0}
		switch {
		case s.prepared[i] && tenantTexts[i].args == 0:
			one.name = fmt.Sprint("s", i)
		case r.IntN(8) == 0:
			one.sql = r.pick("begin", "commit", "rollback", "select 1/0", "set search_path = pb", "set timezone = 'UTC'", "create temp table piped (k int)", "drop table if exists piped")
		}
		all = append(all, one)
		what = append(what, strings.TrimSpace(one.name+" "+one.sql)+map[bool]string{true: " (sync)"}[one.sync])
	}
	if len(all) == 0 {
		return
	}
	r.both(n, "pipeline: "+strings.Join(what, "; "), func(ctx context.Context, a *actor) (o outcome) {
		p := a.conn.StartPipeline(ctx)
		for i, one := range all {
			if one.name != "" {
				p.SendQueryPrepared(one.name, nil, nil, nil)
			} else {
				p.SendQueryParams(one.sql, nil, nil, nil, nil)
			}
			if one.sync || i == len(all)-1 {
				o.broken = errors.Join(o.broken, p.Sync())
			}
		}
		var read []*pgconn.Result
		var tags []string
		for {
			next, err := p.GetResults()
			var failure *pgconn.PgError
			switch rr := next.(type) {
			case *pgconn.ResultReader:
				res := rr.Read()
				if errors.As(res.Err, &failure) { // PostgreSQL may say so before it says which columns there are
					tags = append(tags, errorText(failure))
					break
				}
				read = append(read, res)
				tags = append(tags, res.CommandTag.String())
			case *pgconn.PipelineSync:
				tags = append(tags, "ready")
			}
			if errors.As(err, &failure) {
				tags = append(tags, errorText(failure))
			} else if err != nil {
				o.broken = err
			}
			if next == nil && failure == nil || o.broken != nil {
				break
			}
		}
		o.broken = errors.Join(o.broken, p.Close())
		var failure *pgconn.PgError
		if errors.As(o.broken, &failure) {
			o.broken = nil
		}
		for _, res := range read { // names of types are asked for on another connection
			a.take(ctx, &o, res)
		}
		o.tag = strings.Join(tags, ", ")
		return o
	}, false)
}

// has is a setting as PostgreSQL has it, outside of a transaction that has failed.
func (r *sharing) has(conn *pgconn.PgConn, setting string) string {
	if conn.TxStatus() == 'E' {
		return "unknown"
	}
	results, err := conn.Exec(context.Background(), "show "+setting).ReadAll()
	if err != nil {
		r.t.Fatal(err)
	}
	return string(results[0].Rows[0][0])
}

func (r *sharing) simple(n int, sql string) {
	last := strings.TrimSpace(sql[strings.LastIndexByte(sql, ';')+1:])
	ordered := strings.Contains(last, "order by") || !strings.Contains(last, " from ") && !strings.HasPrefix(last, "execute") || strings.HasPrefix(last, "fetch")
	r.both(n, sql, func(ctx context.Context, a *actor) outcome {
		o := a.simple(ctx, a.side.dialect(sql))
		if o.err == nil && o.broken == nil {
			o.broken = a.side.afterDDL(ctx, a.conn, sql)
		}
		return o
	}, ordered)
}

// both does one thing on both sides, the judged one first: what is refused does not happen on the other.
// It tells whether it was refused.
func (r *sharing) both(n int, what string, do func(context.Context, *actor) outcome, ordered bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	pair := r.sessions[n].pair
	reads := r.reads
	r.reads = false
	r.done++
	r.log = append(r.log, fmt.Sprintf("%d: %s", n, what))
	got := do(ctx, pair[1])
	if got.refusal() {
		r.refused++
		if byDesign.MatchString(got.err.Message) {
			r.designed++
		}
		r.t.Logf("refused: %s: %v", what, got.err)
		for _, a := range pair {
			_, _ = a.conn.Exec(ctx, "rollback; close all").ReadAll() // what is held open over a commit may have been moved
		}
		r.sessions[n].wrote = false
		return true
	}
	want := do(ctx, pair[0])
	if want.err != nil || want.failed {
		r.errors++
	}
	if s := r.sessions[n]; pair[0].conn.TxStatus() == 'I' {
		s.wrote = false
	} else if !reads {
		s.wrote = true
	}
	difference := want.differs(got, ordered, compareAll)
	if p, t := pair[0].conn.TxStatus(), pair[1].conn.TxStatus(); difference == "" && p != t {
		difference = fmt.Sprintf("transaction status (%c, PostgreSQL's is %c)", t, p)
	}
	for _, name := range toldSettings {
		if p, t := pair[0].conn.ParameterStatus(name), pair[1].conn.ParameterStatus(name); difference == "" && p != t {
			difference = fmt.Sprintf("%s (%s, PostgreSQL's is %s)", name, t, p)
		}
	}
	if difference != "" {
		r.wrong++
		if f := os.Getenv("PLEIAD_TEST_LOG"); f != "" {
			_ = os.WriteFile(f+strconv.Itoa(r.wrong), []byte(strings.Join(r.log, "\n")), 0o644)
		}
		r.t.Errorf("step %d: %s differs:\n%s\nPostgreSQL: %s\npleiad: %s\n%s", r.done, difference, strings.Join(r.log[max(0, len(r.log)-60):], "\n"), want, got,
			unlike(want.rows, got.rows, ordered))
	}
	return false
}

// toldSettings are those that a server tells its client of.
var toldSettings = []string{"application_name", "client_encoding", "DateStyle", "default_transaction_read_only", "in_hot_standby", "integer_datetimes",
	"IntervalStyle", "is_superuser", "server_encoding", "session_authorization", "standard_conforming_strings", "TimeZone"}

// byDesign are refusals of what the steps ask for on purpose: a transaction over several backends at a level that these do not have
// together.
var byDesign = regexp.MustCompile(`^a SERIALIZABLE transaction over several|^a REPEATABLE READ pipeline without BEGIN|^with pleiad.snapshot, this `)
