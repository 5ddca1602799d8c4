-- Syntax and functions that came after PostgreSQL 15. On a server that is older than a statement both sides must say the
-- same error: on 15 all of this file is about that.

create table n (k int primary key, a int, b int, v text collate "C", j jsonb) partition by hash (k);
create table m (k int, s int, w text, primary key (k, s)) partition by hash (k);
create table r (id int primary key, name text) with (pleiad.reference);
create table l (id int primary key, x int, t text);
insert into n values (1, 10, 1, 'one', '{"a": 1, "b": [1, 2]}'), (2, 20, 1, 'two', '{"a": 2}'), (3, 30, 2, 'three', '[3]'),
  (4, 40, 2, 'four', 'null'), (5, null, 3, null, '{"c": "x"}'), (6, 60, 3, '{"q": 1}', null), (7, 70, 3, '[7]', '"s"');
insert into m values (1, 1, 'p'), (1, 2, 'q'), (2, 1, 'r'), (3, 1, 's'), (8, 1, 't');
insert into r values (1, 'x'), (2, 'y'), (3, 'z');
insert into l values (1, 100, 'a'), (2, 200, 'b'), (9, 900, 'i');

-- 16: a subquery needs no alias.
select * from (select k, a from n where k = 3);
select * from (select k, a from n where a > 20) order by k;
select count(*), sum(a) from (select a from n where b = 3);
select k, x from (select k from n), (select x from l) order by k, x;
select k from (select k from n where a > 10 order by k limit 2) order by k desc;
select b, c from (select b, count(*) from n group by b) as g (b, c) order by b;

-- 16: numbers in other notations.
select 1_000, 0x1F, 0o17, 0b101, 1_0.5_0, 0xFFFF_FFFF_FF;
select k, a from n where k = 0x3;
select k, a from n where k = 0b11 or k = 0_4 order by k;
select k, a from n where k in (0o1, 0x2) order by k;
insert into n (k, a) values (1_001, 0xFF), (0x3EA, 1_0);
select k, a from n where k > 1_000 order by k;
select k, a from n where k = '1_001';
select k, a from n where k = '0x3EA'::int;
insert into n (k, a) values ('1_003', '0b11'), ('0x3EC', '0o17');
select k, a from n where k > 1000 order by k;
delete from n where k > 1_000;
select k from n order by k limit 0x2 offset 0b1;

-- 16: aggregates and SQL/JSON.
select any_value(b) from n where k = 3;
select any_value(b) from n where b = 2;
select b, any_value(b + 1) from n group by b order by b;
select any_value(b) filter (where b > 2) from n;
select k, v is json, v is json object, v is json array, v is json scalar from n order by k;
select k from n where v is json with unique keys order by k;
select json_array(k, a, v absent on null), json_array(k, a null on null) from n where k = 5;
select k, json_object('k': k, 'v': v absent on null returning jsonb) from n order by k;
select json_objectagg(k: a returning jsonb) from n where k = 2;
select json_objectagg(k: a returning jsonb) from n;
select json_objectagg(v: k absent on null with unique keys returning jsonb) from n where v is not null;
select json_arrayagg(v order by k) from n;
select json_arrayagg(a order by k null on null returning jsonb) from n;
select b, json_arrayagg(k order by k desc) from n group by b order by b;
select json_array(select k from n order by k);
select json_array(select k from n where k < 3 order by k returning jsonb);

-- 16: functions and settings.
select system_user is null;
--! shape
select k, random_normal() from n order by k;
select k, array_length(array_shuffle(array[1, 2, 3]), 1), cardinality(array_sample(array[1, 2, 3], 2)) from n order by k;
select k, pg_input_is_valid(v, 'json') from n order by k;
select * from pg_input_error_info('x', 'int');
select round(erf(0.5)::numeric, 6), round(erfc(0.5)::numeric, 6);
select k, date_add('2024-03-31 00:30+00', a * interval '1 hour', 'Europe/Berlin') from n where k < 3 order by k;
select k from n where k in (select extract(day from g) from generate_series('2024-01-01 00:00+00', '2024-01-03 00:00+00', '1 day', 'UTC') g) order by k;
select name, version from pg_available_extension_versions where false;
--! ok
explain (generic_plan, costs off) select * from n where k = $1;
--! ok
explain (generic_plan) select * from n where a = $1;
create statistics on a, b from n;
create table st (k int primary key, v text storage external, w text storage default) partition by hash (k);
alter table st alter column v set storage default;
analyze (buffer_usage_limit '1MB') n;
vacuum (process_main false, skip_database_stats, buffer_usage_limit 0) n;
copy n (k, a, v) from stdin (default '\D');
2001	1	two thousand
2002	\D	\D
\.
copy n (k, a, v) from stdin with (format csv, default 'DEF');
2003,DEF,x
2004,4,DEF
\.
select k, a, v from n where k > 2000 order by k;
delete from n where k > 2000;
copy r (id, name) from stdin (default 'none');
4	none
\.
select * from r order by id;

-- 17: MERGE.
merge into n using (values (1, 11), (3, 33)) s (k, x) on n.k = s.k when matched then update set a = x
  returning merge_action(), s.x, n.k, n.a;
merge into n using (values (1, 11)) s (k, x) on n.k = s.k and n.k = 1 when matched then update set a = x
  returning merge_action(), s.*, n.k, n.a;
merge into n using (values (1, 12), (100, 33)) s (k, x) on n.k = s.k when matched then update set a = x
  when not matched then insert (k, a) values (s.k, s.x) returning merge_action(), n.k, n.a;
merge into n using l on n.k = l.id when matched and l.x = 100 then delete when matched then update set a = l.x
  when not matched then insert (k, a) values (l.id, l.x) returning merge_action(), n.k, n.a;
select k, a from n order by k;
--! refused since 17
merge into n using (values (2, 0)) s (k, x) on n.k = s.k when matched then do nothing when not matched by source then delete;
--! refused since 17
merge into n using (values (2, 0)) s (k, x) on n.k = s.k and n.k = 2 when matched then update set a = 5 when not matched by source and n.k = 9 then delete;
--! refused since 17
merge into m using (values (1, 2)) s (k, x) on m.k = s.k and m.s = s.x and m.k = 1
  when matched then update set w = 'Q' when not matched by source and m.k = 1 then update set w = 'gone' returning merge_action(), m.*;
--! refused since 17
merge into m using r on m.k = r.id and m.s = 1 when matched then update set w = m.w || r.name
  when not matched by target then insert values (r.id, 1, r.name) when not matched by source then update set w = 'no source';
select * from m order by k, s;
--! refused since 17
merge into m using r on m.k = r.id when matched then update set w = r.name when not matched by source then delete returning merge_action(), m.k, m.s, m.w;
select * from m order by k, s;
merge into r using (values (1, 'X'), (9, 'N')) s (id, name) on r.id = s.id when matched then update set name = s.name
  when not matched by target then insert values (s.id, s.name) when not matched by source then delete returning merge_action(), r.*;
select * from r order by id;
merge into l using r on l.id = r.id when matched then update set t = r.name when not matched by source then delete returning merge_action(), l.*;
with done as (merge into n using (values (6, 66)) s (k, x) on n.k = s.k and n.k = 6 when matched then update set a = x returning merge_action() as act, n.k)
  select * from done;
with done as (merge into n using (values (6, 67), (7, 77)) s (k, x) on n.k = s.k when matched then update set a = x returning merge_action() as act, n.k)
  select act, count(*) from done group by act;

-- 17: SQL/JSON queries.
select k, json_value(j, '$.a' returning int default 0 on empty) from n order by k;
select k, json_query(j, '$.b[*]' with wrapper), json_exists(j, '$.a ? (@ > 1)') from n order by k;
select k from n where json_exists(j, '$.a') order by k;
select sum(json_value(j, '$.a' returning int)) from n;
select jt.* from n, json_table(n.j, '$.b[*]' columns (o for ordinality, x int path '$')) jt where n.k = 1;
select k, jt.* from n, json_table(n.j, '$' columns (a int path '$.a', nested path '$.b[*]' columns (x int path '$'))) jt order by k, x;
select k, jt.x from n left join lateral json_table(n.j, '$.b[*]' columns (x int path '$')) jt on true order by k, x;
select x, count(*) from n, json_table(n.j, '$.a' columns (x int path '$')) jt group by x order by x;
select k, json_scalar(a), json_serialize(j returning text), json(v) from n where v is json order by k;
select * from json_table('[1, 2]', '$[*]' columns (x int path '$')) jt join n on n.k = jt.x order by k;

-- 17: others.
--! shape
select k, random(1, 10) from n order by k;
select k, to_bin(k), to_oct(k) from n order by k;
select uuid_extract_version('018f4c2e-0000-7000-8000-000000000000'::uuid);
select timestamptz '2024-06-01 12:00+00' at local = timestamp '2024-06-01 12:00';
select k, (timestamptz '2024-06-01 12:00+00' + a * interval '1 hour') at local from n where k < 3 order by k;
select interval 'infinity', interval '-infinity' < interval '1 day';
select k, case k when 2 then interval 'infinity' when 3 then '-infinity' else make_interval(days => k) end as i from n order by i;
select k from n order by v collate pg_c_utf8 nulls first, k;
select max(v collate pg_c_utf8) from n;
copy n (k, a) from stdin (on_error ignore);
3001	1
3002	x
3003	3
\.
copy n (k, a, v) from stdin (format csv, force_null *);
3004,4,""
\.
--! refused since 17
copy n (k, a, v) from stdin (format csv, on_error 'ignore', log_verbosity verbose);
3005,y,z
3006,6,z
\.
copy n (k, a) from stdin (on_error ignore);
3010	x
3011	11
3012	y
3013	z
three	1
3014	14
3_1	x
3x1	1
\.
copy r (id, name) from stdin (on_error ignore);
60	six
x	seven
y	eight
\.
select count(*) from r where id = 60;
delete from r where id = 60;
create table def (k int primary key, a int, n int default 1, s serial) partition by hash (k);
copy def (k, a, s) from stdin (on_error ignore);
1	x	1
2	2	2
\.
--! refused since 17
copy def (k, a) from stdin (on_error ignore);
3	x
4	4
\.
select k, a, n, s from def order by k;
copy n (k, a) from stdin (format csv);
3020,1
\.
copy n (k, v) from stdin (format csv);
3021,"a
b\."
3022,\.
\.
select k, a, v from n where k > 3000 order by k;
delete from n where k > 3000;
copy n (k, a) from stdin (on_error stop);
3001	x
\.
create table idt (k int generated always as identity primary key, v text) partition by hash (k);
insert into idt (v) values ('a'), ('b') returning k, v;
select * from idt order by k;
create table gen (k int primary key, a int, d int generated always as (a * 2) stored) partition by hash (k);
insert into gen (k, a) values (1, 1), (2, 2), (3, 3);
alter table gen alter column d set expression as (a * 3);
select * from gen order by k;
grant maintain on n to public;
select has_table_privilege('n', 'maintain');
revoke maintain on n from public;
set transaction_timeout = '60s';
show transaction_timeout;
reset transaction_timeout;
--! ok
explain (memory, costs off) select * from n where k = 1;
--! ok
explain (analyze, serialize, costs off, timing off, summary off, memory off) select * from n where k = 1;
alter table n set access method heap;
alter table n set access method default;

-- 18: RETURNING OLD and NEW.
update n set a = a + 1 where k = 2 returning old.a, new.a, k;
update n set a = coalesce(a, 0) + 1 where k in (2, 3, 5) returning k, old.a as was, new.a as now;
update n set a = 7 where k = 2 returning old.*, new.*;
--! refused since 18
update n set a = 7 where k = 2 returning with (old as o, new as n2) o.a, n2.a;
update n set k = 12 where k = 2 returning old.k, new.k, k;
--! refused since 18
update n set k = k + 20 where k in (3, 5) returning old.k, new.k, old.a;
select k, a from n order by k;
update n set k = k - 20 where k > 20;
update n set k = 2 where k = 12;
insert into n (k, a) values (200, 1) returning old.k, new.k;
insert into n (k, a) values (201, 1), (202, 2) returning old.a, new.a, k;
insert into n (k, a) values (200, 5) on conflict (k) do update set a = excluded.a returning old.a, new.a, old is null as fresh;
insert into n (k, a) values (200, 6), (203, 7) on conflict (k) do update set a = excluded.a returning k, old.a, new.a;
insert into n (k, a) select k + 1, 8 from n where k = 203 returning old.k, new.k;
delete from n where k = 200 returning old.k, new.k, old.*;
delete from n where k > 200 returning old.k, new.a;
merge into n using (values (2, 22), (210, 33)) s (k, x) on n.k = s.k when matched then update set a = x
  when not matched then insert (k, a) values (s.k, s.x) returning merge_action(), old.a, new.a, new.k;
delete from n where k = 210;
update r set name = upper(name) || 'u' returning old.name, new.name, id;
insert into r values (50, 'f') returning old.name, new.name;
delete from r where id = 50 returning old.name, new.name;
update l set x = x + 1 where id = 1 returning old.x, new.x;
with u as (update n set a = a + 1 where k = 2 returning old.a as was, new.a as now) select * from u;
with u as (update n set a = a + 1 returning old.a as was, new.a as now) select count(*), sum(now - was) from u;
update n set a = n.a + r.id from r where r.id = n.k returning old.a, new.a, n.k, r.name;
update n set a = x.top from (select k, max(s) as top from m group by k) x where x.top = n.b returning old.a, new.a, n.k;
update n set a = (select max(s) from m) where k in (1, 4) returning old.a, new.a;
insert into n (k, a) select k + 300, max(s) from m group by k on conflict (k) do update set a = excluded.a returning old.a, new.a, k;
delete from n using (select max(k) + 300 as k from m) x where x.k = n.k returning old.k, new.k, new.a;
delete from n where k > 300 and a in (select s from m) returning old.k;
delete from n where k > 300;
--! refused since 18
update r set name = clock_timestamp()::text where id = 1 returning old.name;
create sequence drawn;
update n set a = nextval('drawn') where k = 1 returning old.a, new.a, k;
--! refused since 18
update n set a = 0 where k in (1, 4) returning old.a is null, new.a, nextval('drawn') > 0;
create table old (k int primary key, a int) partition by hash (k);
insert into old values (1, 1), (2, 2);
update old set a = a + 1 where k = 1 returning old.a;
update old set k = k + 10 returning old.k;
update n as new set a = 3 where k = 2 returning new.a;
drop table old;
--! refused since 18
with d as (delete from m where k = 1 returning *) select count(*), (select max((k, s)) from m) from d;

-- 18: a function's body is planned with the values of its arguments, and what they make of constants is computed then.
set plan_cache_mode = force_custom_plan;
create function over_n(i int) returns bigint language sql stable as 'select sum(a * (10 / i)) from n where b > i';
select over_n(1), over_n(2), over_n(null);
select over_n(0);
--! params 0
select over_n($1);
--! refused since 18
select id, over_n(id) from r order by id;
create function low_n(t text) returns bigint language sql stable as 'select count(*) from n where v >= lower(t) and t || v <> v';
select id, low_n(name), low_n('P') from r order by id;
create function small_n(i int) returns smallint language sql stable as 'select i from n where k < 0';
select small_n(1);
select small_n(100000);
drop function over_n(int), low_n(text), small_n(int);
reset plan_cache_mode;

-- 18: columns and constraints.
--! refused since 18
create table vg (k int primary key, a int, d int generated always as (a * 2) virtual) partition by hash (k);
--! refused since 18
create table vg2 (k int primary key, a int, d int generated always as (a * 2)) partition by hash (k);
--! refused since 18
create table vl (k int primary key, a int, d int generated always as (a * 2));
create table nn (k int primary key, a int constraint a_there not null, b int) partition by hash (k);
--! refused since 18
alter table nn add constraint b_there not null b;
alter table nn alter column b set not null;
insert into nn values (1, null, 1);
insert into nn values (1, 1, null);
insert into nn values (1, 1, 1), (2, 2, 2);
alter table nn drop constraint nn_b_not_null;
insert into nn values (3, 3, null);
alter table nn rename constraint a_there to a_is_there;
comment on constraint a_is_there on nn is 'named';
alter table nn drop constraint a_is_there;
insert into nn values (4, null, null);
alter table nn alter column a set not null;
delete from nn where a is null;
alter table nn alter column a set not null;
insert into nn values (4, null, null);
alter table nn add column c int not null default 5;
alter table nn add column d int constraint d_there not null default 6;
create table nn_like (like nn including all) partition by hash (k);
select conrelid::regclass::text, conname, contype from pg_constraint where conrelid in ('nn'::regclass, 'nn_like'::regclass) order by 1, 2;
--! refused since 18
create table ne (k int primary key, a int check (a > 0) not enforced) partition by hash (k);
--! refused since 18
create table per (k int4range, during daterange, primary key (k, during without overlaps)) partition by hash (k);
--! refused since 18
create table pl (k int4range, during int4range, primary key (k, during without overlaps));

-- 18: functions.
--! shape
select k, uuidv7() <> uuidv4() from n order by k;
select k, casefold(v), reverse(v::bytea), crc32(v::bytea), crc32c(v::bytea) from n order by k;
select array_sort(array_agg(a)) from n;
select array_agg(a order by k), array_reverse(array_agg(a order by k)) from n;
select b, array_sort(array_agg(k)), array_sort(array_agg(k), true) from n group by b order by b;
select max(v::bytea), min(v::bytea) from n;
select min(array[a, b]), max(array[b, a]) from n;
select max((b, k)) from n;
select b, max(array[k]) from n group by b order by b;
select gamma(3), lgamma(3), to_number('XIV', 'RN'), 5::bytea;
select jsonb_strip_nulls('[null, {"a": null}]', true);
select k from n order by v collate pg_unicode_fast nulls first, k;
--! refused since 18
copy n (k, a) from stdin (on_error ignore, reject_limit 1);
4001	x
4002	2
\.
--! refused since 18
copy n (k, a) from stdin (on_error ignore, reject_limit 1);
4001	x
4003	y
4004	4
\.
select k, a from n where k > 4000 order by k;
--! refused since 18
vacuum only n;
--! refused since 18
analyze only n;
--! ok
explain (analyze, timing off, summary off) select * from n where a = 1;
select name, setting from pg_settings where name in ('io_combine_limit') and false;

drop table n, m, r, l;
