package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// keptSchema has what a table can have; every shard of it moves.
const keptSchema = `
create domain positive as int check (value > 0);
create type mood as enum ('sad', 'ok');
create type pair as (a int, b text);
create table owner_of (k int primary key, name text not null unique) with (pleiad.reference);
insert into owner_of select i, 'o' || i from generate_series(1, 3) i;
create function stamp() returns trigger language plpgsql as $$ begin new.stamps := coalesce(new.stamps, 0) + 1; return new; end $$;
create table kept (
  k int not null, id bigint generated always as identity, serial bigserial, n positive default 5, f numeric(12,3), label text collate "C" default 'x' || 'y',
  doc jsonb, up text generated always as (upper(label)) stored, stamps int, off int, m mood, ms mood[], p pair, raw bytea, at timestamptz default 'epoch',
  owner int references owner_of (k), gone int, primary key (k, id), constraint off_is_even check (off % 2 = 0)) partition by hash (k);
alter table kept drop column gone;
alter table kept add column late int not null default 42;
create unique index kept_unique on kept (k, lower(label), serial) where label is not null;
create index kept_doc on kept using gin (doc jsonb_path_ops) with (fastupdate = off);
create index kept_cover on kept (f desc nulls last) include (label) with (fillfactor = 70);
create table child (k int, id bigint, n int, note text, foreign key (k, id) references kept (k, id) on update cascade on delete cascade deferrable initially deferred) partition by hash (k);
create trigger stamps before insert or update on kept for each row execute function stamp();
create trigger never before delete on kept for each row execute function stamp();
alter table kept disable trigger never;
alter table kept alter column doc set statistics 700;
alter table kept alter column label set storage external;
alter table kept alter column f set (n_distinct = -0.5);
comment on table kept is 'a table';
comment on column kept.doc is 'a document';
comment on constraint off_is_even on kept is 'a check';
comment on index kept_doc is 'an index';
create table plain (k int, body json, at point, n int) partition by hash (k);
create table full_identity (k int not null, v text) partition by hash (k);
insert into kept (k, f, label, doc, off, m, ms, p, raw, owner) select i, i / 7.0, 'L' || i, jsonb_build_object('i', i), 2 * i, 'ok', '{sad,ok}', ('(' || i || ',b)')::pair, decode(md5(i::text), 'hex'), 1 + i % 3 from generate_series(1, 60) i;
insert into kept (k, off) values (7, 1000);
insert into plain select i % 20, '{"a":1}', point(i, i), i from generate_series(1, 100) i;
insert into full_identity select i, 'v' from generate_series(1, 40) i;
insert into child select k, id, 1, 'c' from kept where k < 30;
alter table kept enable row level security;
create policy mine on kept to keeper using (k <= 20);
grant select (k, id, label), update (label) on kept to keeper;
grant select on plain to keeper`

// partitionsSQL is all that a partition and what belongs to it have.
const partitionsSQL = `
select n.nspname, c.relname, 'table', concat_ws(' ', c.relpersistence, c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.reloptions,
  pg_get_userbyid(c.relowner), obj_description(c.oid, 'pg_class')) from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname ~ '^pleiad_[0-9]+$' and c.relkind = 'r'
union all select n.nspname, c.relname, 'column ' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
  a.attstattarget, a.attstorage, a.attcompression, a.attcollation, (select array_agg(o) from unnest(a.attoptions) o where o not like 'pg\_attver=%'), a.attacl, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
  from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
  left join pg_attrdef d on (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
  where n.nspname ~ '^pleiad_[0-9]+$' and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
union all select n.nspname, c.relname, 'constraint ' || k.conname, concat_ws(' ', k.contype, k.convalidated, k.conislocal, k.coninhcount, k.condeferrable, pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'))
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname ~ '^pleiad_[0-9]+$'
union all select n.nspname, c.relname, 'index ' || x.relname, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident, i.indisclustered, x.reloptions, obj_description(x.oid, 'pg_class'),
  (select p.relname from pg_inherits h join pg_class p on p.oid = h.inhparent where h.inhrelid = x.oid))
  from pg_index i join pg_class c on c.oid = i.indrelid join pg_class x on x.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname ~ '^pleiad_[0-9]+$'
union all select n.nspname, c.relname, 'trigger ' || t.tgname, concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid))
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname ~ '^pleiad_[0-9]+$' and not t.tgisinternal
order by 1, 2, 3`

// TestMoveKeeps moves every shard of tables that have what tables can have to another backend: each partition is as it was,
// and so is what everybody reads.
func TestMoveKeeps(t *testing.T) {
	s := serve(t, "")
	s.admin(t, "create role keeper login")
	t.Cleanup(func() { s.admin(t, "drop role keeper") })
	db := s.newDatabase(t)
	c := s.conn(t, db)
	s.exec(t, c, "set pleiad.shard_count = 2")
	for _, sql := range strings.Split(keptSchema, ";\n") {
		s.exec(t, c, sql)
	}
	// A check that was never applied to the rows that were there does not keep them from moving.
	s.exec(t, c, "insert into full_identity values (1000, 'odd')")
	s.exec(t, c, "alter table full_identity add constraint short check (length(v) < 3) not valid")
	s.exec(t, c, "alter table full_identity replica identity full")
	shapes := func() string {
		var all []string
		for _, b := range s.servers() {
			all = append(all, b.text(t, b.conn(t, db), "select * from ("+partitionsSQL+") x")...)
		}
		// The servers' rows are put together as one list of partitions, whoever has them.
		return strings.Join(sorted(all), "\n")
	}
	keeper := s.conn(t, db, "user=keeper")
	contents := func() string {
		var all []string
		for _, q := range []string{"select * from kept order by k, id", "select k, body::text, at::text, n from plain order by n", "select * from full_identity order by k",
			"select * from child order by k, id"} {
			all = append(all, s.text(t, c, q)...)
		}
		return strings.Join(append(all, s.text(t, keeper, "select k, id, label from kept order by k, id")...), "\n")
	}
	shapesBefore, contentsBefore := shapes(), contents()
	for _, row := range s.text(t, c, "select distinct g.colocation, p.shard, p.backend from pleiad.shards p join pleiad.tables g on g.name = p.table_name order by 1, 2") {
		f := strings.Split(row, "|")
		to := map[string]string{"b1": "b2", "b2": "b3", "b3": "b1"}[f[2]]
		s.job(t, c, time.Minute, fmt.Sprintf("move_shard(%s, '%s', %s)", f[1], to, f[0]))
	}
	if after := shapes(); after != shapesBefore {
		t.Errorf("partitions differ after their moves:\n%s", lineDiff(shapesBefore, after))
	}
	if after := contents(); after != contentsBefore {
		t.Errorf("contents differ after the moves:\n%s", lineDiff(contentsBefore, after))
	}
	s.noLeftovers(t, db)
	s.verified(t, db)
	// What the schema makes of new rows.
	s.exec(t, c, "insert into kept (k, label) values (7, 'new')")
	if got := s.one(t, c, "select n, up, stamps, late, id > 60, serial > 60 from kept where label = 'new'"); got != "5|NEW|1|42|t|t" {
		t.Errorf("a new row is %s", got)
	}
	for sql, code := range map[string]string{
		"insert into kept (k, off) values (7, 3)":             "23514",
		"insert into kept (k, n) values (7, -1)":              "23514",
		"insert into kept (k, owner) values (7, 99)":          "23503",
		"insert into child values (7, -5)":                    "23503",
		"insert into full_identity values (1, 'long enough')": "23514",
	} {
		if e := s.failure(t, c.PgConn(), sql); e.Code != code {
			t.Errorf("%s: %v", sql, e)
		}
	}
	if e := s.failure(t, keeper.PgConn(), "select doc from kept"); e.Code != "42501" {
		t.Errorf("grants: %v", e)
	}
}

// TestMoveLargeRow moves documents far larger than any buffer, one that is copied and one that follows; the proxy does not hold
// what it copies.
func TestMoveLargeRow(t *testing.T) {
	s := serve(t, "rebalancer:\n  max_slot_wal: 2GiB\n")
	db := s.newDatabase(t)
	c, other := s.conn(t, db), s.conn(t, db)
	size := 16 << 20
	if long() {
		size = 100 << 20
	}
	s.exec(t, c, "set pleiad.shard_count = 1")
	s.exec(t, c, "create table note (k int primary key, n int default 0, doc jsonb) partition by hash (k)")
	s.exec(t, c, "alter table note alter column doc set storage external")
	write := func(k int) {
		s.exec(t, c, fmt.Sprintf("insert into note (k, doc) values (%d, jsonb_build_object('a', repeat('0123456789abcdef', %d)))", k, size/16))
	}
	write(1)
	await := func(step string) {
		t.Helper()
		eventually(t, 2*time.Minute, "step "+step, func() bool {
			return s.one(t, other, "select exists (select from pleiad.moves where step = '"+step+"')") == "t"
		})
	}
	_, to := s.elsewhere(t, c, "note", 0)
	watch := func(what string, f func()) {
		base, err := rssBytes(s.pid)
		if err != nil {
			t.Fatal(err)
		}
		peak, stop := watchRSS(t, s.pid)
		f()
		stop()
		t.Logf("%s: %d MiB more for a row of %d MiB", what, (peak.Load()-base)>>20, size>>20)
		if limit := memoryLimit(32<<20) + 6*int64(size); what == "follow" && peak.Load()-base > limit {
			t.Errorf("a row of %d MiB that follows took %d MiB", size>>20, (peak.Load()-base)>>20)
		} else if limit := memoryLimit(32 << 20); what == "copy" && peak.Load()-base > limit {
			t.Errorf("a row of %d MiB that is copied took %d MiB", size>>20, (peak.Load()-base)>>20)
		}
	}
	id := s.one(t, c, "select pleiad.move_shard(0, '"+to+"', null, '"+fmt.Sprint(size/2)+"')")
	var tx pgx.Tx
	watch("copy", func() {
		await("prepared")
		var err error
		if tx, err = s.conn(t, db).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead}); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "select n from note"); err != nil {
			t.Fatal(err)
		}
		await("following")
	})
	watch("follow", func() {
		write(2)
		s.exec(t, c, "update note set n = 1") // the documents do not travel again
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.await(t, c, 2*time.Minute, id, "done")
	})
	want := fmt.Sprintf("2|2|%d|t", 2*size)
	if got := s.one(t, c, "select count(*), sum(n), sum(length(doc ->> 'a')), bool_and(doc ->> 'a' = repeat('0123456789abcdef', "+fmt.Sprint(size/16)+")) from note"); got != want {
		t.Errorf("the table has %s, want %s", got, want)
	}
	s.verified(t, db)
}

// lineDiff shows the lines that only one of two texts has.
func lineDiff(want, got string) string {
	var out []string
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range a {
		if !slices.Contains(b, line) {
			out = append(out, "- "+line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out = append(out, "+ "+line)
		}
	}
	return strings.Join(out, "\n")
}
