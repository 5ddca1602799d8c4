-- Code that reads or writes tables: functions, DO blocks, and what runs without being named (operators, types, casts,
-- defaults, constraints, policies, fields that are functions). Each is exact or refused, never one server's part.
create table s (k int primary key, v text, n int default 0) partition by hash (k);
create table o (k int, id int, v text, primary key (k, id)) partition by hash (k);
create table ref (id int primary key, label text) with (pleiad.reference);
create table l (id int primary key, v text);
--! load
insert into s select i, 'v' || i % 5, i % 7 from generate_series(1, 40) i;
insert into ref values (1, 'one'), (2, 'two'), (3, 'three');
insert into l values (1, 'un'), (2, 'deux');
-- functions in SQL
create function pure(i int) returns int language sql immutable as 'select i + 1';
create function all_s() returns bigint language sql stable as 'select count(*) from s';
create function all_s_atomic() returns bigint language sql stable begin atomic select count(*) from s; end;
create function one_s(i int) returns text language sql stable as 'select v from s where k = i';
create function all_l() returns bigint language sql stable as 'select count(*) from l';
create function label(i int) returns text language sql stable as 'select label from ref where id = i';
create function add_l(i int) returns int language sql as 'insert into l values (i, ''added'') returning id';
create function add_ref(i int) returns int language sql as 'insert into ref values (i, ''added'') returning id';
create function lock_ref() returns bigint language sql as 'select count(*) from (select 1 from ref for update) x';
select pure(1);
select k, pure(k) from s where k < 4 order by k;
select all_s();
select all_s_atomic();
select one_s(3);
select all_l();
select label(2);
select k, label(k) from s where k < 5 order by k;
select k from s where k = 3 and label(k) = 'three';
select id, label(id) from ref order by id;
select id, label(id) from l order by id;
select add_l(10);
select * from l order by id;
select add_ref(10);
select * from ref order by id;
select lock_ref();
select k + 0, all_l() from s order by k;
select all_l() from ref order by id;
--! refused
select * from rows from (all_s(), pure(1)) as x(a, b);
select * from all_s();
select * from rows from (all_l(), label(1)) as x(a, b);
select (select all_s());
select 1 where all_s() > 0;
values (all_s());
select 1 order by all_s();
select 1 limit all_s();
insert into l values (11, all_s()::text);
insert into l select 12, one_s(1);
update l set v = one_s(1) where id = 1;
delete from l where all_s() > 100;
insert into s values (100, label(1), 1);
select * from s where k = 100;
insert into s values (101, label(1), 1), (102, label(2), all_l()::int);
select * from s where k > 100 order by k;
update s set v = label(3) where k = 100;
select v from s where k = 100;
update s set n = all_s()::int where k = 100;
-- functions in PL/pgSQL
create function p_all_s() returns bigint language plpgsql as $$
declare c bigint; begin select count(*) into c from s; return c; end $$;
create function p_loop() returns bigint language plpgsql as $$
declare c bigint := 0; r record; begin for r in select * from s loop c := c + r.k; end loop; return c; end $$;
create function p_cursor() returns bigint language plpgsql as $$
declare c bigint := 0; x int; cur cursor for select k from s; begin
  open cur; loop fetch cur into x; exit when not found; c := c + x; end loop; close cur; return c; end $$;
create function p_catch() returns bigint language plpgsql as $$
declare c bigint := -1; begin
  begin select count(*) into c from s; raise exception 'undo'; exception when others then null; end; return c; end $$;
create function p_dynamic(q text) returns bigint language plpgsql as $$
declare c bigint; begin execute q into c; return c; end $$;
create function p_format(t text) returns bigint language plpgsql as $$
declare c bigint; begin execute format('select count(*) from %I', t) into c; return c; end $$;
create function p_fordyn(t text) returns bigint language plpgsql as $$
declare c bigint := 0; r record; begin for r in execute 'select * from ' || t loop c := c + 1; end loop; return c; end $$;
create function p_opendyn(t text) returns bigint language plpgsql as $$
declare c bigint; cur refcursor; begin open cur for execute 'select count(*) from ' || t; fetch cur into c; return c; end $$;
create function p_write() returns int language plpgsql as $$ begin update s set n = n + 1; return 1; end $$;
create function p_callee() returns bigint language plpgsql as $$ begin return p_all_s(); end $$;
create function p_perform() returns int language plpgsql as $$ begin perform 1 from s where k = 1; if found then return 1; end if; return 0; end $$;
create function p_label(i int) returns text language plpgsql stable as $$
declare x text; begin select r.label into x from ref r where r.id = i; return x; end $$;
create function p_diff(a int, b int) returns boolean language plpgsql immutable as $$ begin return a is distinct from b; end $$;
create function p_path() returns bigint language plpgsql set search_path = public, pg_temp as $$ begin return (select count(*) from s); end $$;
create function "P ""odd"" s"() returns bigint language sql as 'select count(*) from "s"';
create function p_notable() returns bigint language plpgsql as $$
begin return (select count(*) from not_there); exception when undefined_table then return -1; end $$;
select p_all_s();
select p_loop();
--! refused
select p_cursor();
select p_catch();
select p_dynamic('select count(*) from s');
select p_dynamic('select 1');
select p_format('s');
--! refused
select p_fordyn('s');
--! refused
select p_opendyn('s');
select p_write();
select sum(n) from s;
select p_callee();
select p_perform();
select k, p_label(k) from s where k < 5 order by k;
select p_diff(1, 2);
select k, p_diff(k, 2) from s where k < 4 order by k;
--! refused
select p_path();
select "P ""odd"" s"();
select p_notable();
create table not_there (k int primary key) partition by hash (k);
--! load
insert into not_there select i from generate_series(1, 9) i;
select p_notable();
-- built-in functions that run SQL
--! refused
select query_to_xml('select count(*) from s', true, true, '');
--! refused
select table_to_xml('s', true, true, '');
--! refused
select * from ts_stat('select to_tsvector(v) from s');
--! refused
select schema_to_xml('public', true, true, '');
select cursor_to_xml('x', 1, true, true, '');
--! refused
select ts_rewrite('a'::tsquery, 'select ''a''::tsquery, ''b''::tsquery from s');
-- DO and procedures
do $$ begin perform 1; end $$;
do $$ declare c bigint; begin select count(*) into c from s; raise notice '%', c; end $$;
do $$ declare c bigint; begin select count(*) into c from l; raise notice '%', c; end $$;
do $$ declare c bigint; begin select count(*) into c from ref where id < 4; raise notice '%', c; end $$;
do $$ begin insert into ref values (20, 'x'); end $$;
do $$ begin insert into l values (20, 'x'); end $$;
do $$ begin execute 'select 1'; end $$;
do $$ declare c bigint; begin select count(*) into c from U&"\0073"; raise notice '%', c; end $$;
do $$ begin create table made (a int); end $$;
--! refused
do $$ begin raise notice '%', p_callee(); end $$;
create procedure pr_l(i int) language sql as 'insert into l values (i, ''call'')';
create procedure pr_s(i int) language sql as 'update s set n = i';
call pr_l(30);
call pr_s(30);
--! refused
call pr_l(p_all_s()::int);
select * from l order by id;
-- fields that are functions
create function peek(l) returns bigint language sql stable as 'select count(*) from s where $1.id > 0';
create function plain(l) returns text language sql immutable as 'select $1.v || ''!''';
select l.id, l.plain from l where id < 3 order by id;
--! refused
select l.id, l.peek from l where id < 3 order by id;
--! refused
select id, (l).peek from l where id < 3 order by id;
-- aggregates
create function agg_step(a bigint, i int) returns bigint language plpgsql as $$ begin return a + (select count(*) from s); end $$;
create aggregate all_s_sum(int) (sfunc = agg_step, stype = bigint, initcond = '0');
create aggregate good_sum(int) (sfunc = int4pl, stype = int, initcond = '0');
--! refused
select all_s_sum(id) from l;
select good_sum(id) from l where id < 3;
select good_sum(n) from s where k = 3;
-- operators
create function op_all(a int, b int) returns bigint language sql stable as 'select count(*) from s where k between a and b';
create operator |#| (leftarg = int, rightarg = int, function = op_all);
create function op_pure(a int, b int) returns int language sql immutable as 'select a * 10 + b';
create operator |+| (leftarg = int, rightarg = int, function = op_pure);
--! refused
select 1 |#| 100;
--! refused
select 1 operator(public.|#|) 100;
select k from s where k |+| 1 = 31 order by k;
select 1 |+| 2;
--! refused
select id from l where 1 |#| 100 > 0 order by id;
create function uses_op() returns bigint language sql stable as 'select 1 |#| 100';
--! refused
select uses_op();
create operator |~| (leftarg = text, rightarg = text, function = ts_stat);
--! refused
select 'select to_tsvector(v) from s' |~| 'abcd';
-- domains
create function ok_key(i int) returns boolean language sql stable as 'select exists (select from s where k = i)';
create domain pos as int check (value > 0);
--! refused
create domain in_s as int check (ok_key(value));
select 3::pos;
select 3::in_s;
select cast(3 as in_s);
select in_s '3';
select '{1,2}'::in_s[];
create table dom (id int, x in_s);
create table dom (id int primary key, x pos);
insert into dom values (1, 2);
insert into dom values (2, -2);
create function dom_arg(x in_s) returns int language sql as 'select 1';
select dom_arg(3);
select domain_in('3', 'in_s'::regtype, -1);
select * from jsonb_populate_record(null::dom, '{"id": 1, "x": 3}');
select * from jsonb_to_record('{"x": 3}') as r(x in_s);
--! params 3
select $1::in_s;
-- a domain that turns: the function changes under it
create function ok_later(i int) returns boolean language sql stable as 'select i > 0';
create domain later as int check (ok_later(value));
create table dom_later (id int primary key, x later);
create table dom_s (k int primary key, x later) partition by hash (k);
insert into dom_later values (1, 1);
insert into dom_s values (1, 1), (2, 2), (3, 3);
select 5::later;
create or replace function ok_later(i int) returns boolean language sql stable as 'select exists (select from s where k = i)';
--! refused
select 5::later;
--! refused
insert into dom_later values (2, 2);
--! refused
insert into dom_s values (4, 4);
--! refused
select * from dom_later order by id;
--! refused
select * from dom_s order by k;
create or replace function ok_later(i int) returns boolean language sql stable as 'select exists (select from l where id = i)';
insert into dom_later values (3, 2);
insert into dom_later values (4, 7777);
--! refused
insert into dom_s values (5, 2);
select * from dom_later where id > 2 order by id;
create or replace function ok_later(i int) returns boolean language sql stable as 'select exists (select from ref where id = i)';
insert into dom_s values (5, 2), (6, 3), (7, 1);
insert into dom_s values (8, 7777);
select * from dom_s order by k;
-- casts
create type pair as (a int, b int);
create function pair_to_int(pair) returns bigint language sql stable as 'select count(*) from s where k between $1.a and $1.b';
create cast (pair as bigint) with function pair_to_int(pair) as implicit;
--! refused
select row(1, 100)::pair::bigint;
--! refused
select row(1, 100)::pair;
select 1 + 1;
--! refused
create table pairs (id int primary key, p pair);
-- defaults
create function next_n() returns int language sql stable as 'select count(*)::int from s';
--! refused
create table def_l (id int primary key, n int default next_n());
create table def_l (id int primary key, n int);
create function fresh() returns int language sql stable as 'select 7';
create table def_later (id int primary key, n int default fresh());
create table def_s (k int primary key, n int default fresh()) partition by hash (k);
insert into def_later (id) values (1);
insert into def_s (k) values (1), (2);
create or replace function fresh() returns int language sql stable as 'select count(*)::int from s';
--! refused
insert into def_later (id) values (2);
--! refused
insert into def_s (k) values (3);
--! refused
alter table def_l add column m int default fresh();
create or replace function fresh() returns int language sql volatile as 'select count(*)::int from public.l where id < 3';
insert into def_later (id) values (3);
insert into def_s (k) values (4), (5);
select * from def_later order by id;
select * from def_s order by k;
-- check constraints and generated columns
create function chk(i int) returns boolean language sql immutable as 'select i > 0';
create table chk_l (id int primary key check (chk(id)), g int generated always as (op_pure(id, 1)) stored);
create table chk_s (k int primary key check (chk(k)), g int generated always as (op_pure(k, 1)) stored) partition by hash (k);
insert into chk_l values (1);
insert into chk_s values (1), (2);
insert into chk_s values (-1);
create or replace function chk(i int) returns boolean language sql immutable as 'select exists (select from s where k = i)';
--! refused
insert into chk_l values (2);
--! refused
insert into chk_s values (3);
--! refused
update chk_s set k = k where k = 1;
--! refused
delete from chk_s where k = 2;
--! refused
delete from chk_l where id = 1;
select * from chk_s order by k;
--! refused
alter table chk_l add constraint again check (chk(id));
-- indexes
create function idx(i int) returns int language sql immutable as 'select i % 3';
create table idx_l (id int primary key);
create index on idx_l (idx(id));
insert into idx_l values (1);
create or replace function idx(i int) returns int language sql immutable as 'select count(*)::int from s';
--! refused
insert into idx_l values (2);
--! refused
create index on idx_l (idx(id));
select * from idx_l order by id;
-- foreign keys and partitions carry a write on to another table's triggers
create table parent (id int primary key);
create table child (id int primary key, p int references parent on delete cascade);
insert into parent values (1), (2);
insert into child values (1, 1), (2, 2);
create function on_child() returns trigger language plpgsql as $$ begin update s set n = 99; return old; end $$;
create function on_child_l() returns trigger language plpgsql as $$ begin insert into l values (old.id + 500, 'gone'); return old; end $$;
create trigger t before delete on child for each row execute function on_child_l();
delete from parent where id = 1;
select * from l where id > 500;
create or replace function on_child_l() returns trigger language plpgsql as $$ begin update s set n = 99; return old; end $$;
--! refused
delete from parent where id = 2;
--! refused
delete from child;
select count(*) from s where n = 99;
create table parted (k int, v int) partition by range (k);
create table parted_1 partition of parted for values from (0) to (100);
create function on_part() returns trigger language plpgsql as $$ begin new.v := 1; return new; end $$;
create trigger t before insert on parted_1 for each row execute function on_part();
insert into parted values (1, 0);
create or replace function on_part() returns trigger language plpgsql as $$ begin new.v := (select count(*) from s); return new; end $$;
--! refused
insert into parted values (2, 0);
select * from parted order by k;
-- views and materialized views over such functions
create view v_fn as select id, label(id) from l where id < 3;
select * from v_fn order by id;
create view v_op as select id |#| 100 as c from l;
--! refused
select * from v_op;
create view v_dyn as select query_to_xml('select count(*) from s', true, true, '') as x;
--! refused
select * from v_dyn;
create function reads_v() returns bigint language sql stable as 'select count(*) from v_op';
--! refused
select reads_v();
create materialized view m_fn as select fresh() as n;
select * from m_fn;
create materialized view m_s as select all_s() as n;
create table as_fn as select all_s() as n;
create or replace function fresh() returns int language sql volatile as 'select count(*)::int from public.s';
--! refused
refresh materialized view m_fn;
select * from m_fn;
-- policies
create table secret (k int primary key, who text) partition by hash (k);
create table secret_l (id int primary key, who text);
--! refused
create policy p on secret using (exists (select from s where s.k = secret.k));
--! refused
create policy p on secret using (exists (select from l));
create policy p on secret using (who in (select label from ref));
--! refused
create policy p on secret_l using (exists (select from s));
create policy p on secret_l using (exists (select from l));
alter table secret enable row level security;
insert into secret values (1, 'one'), (2, 'nobody'), (3, 'three');
set role pg_read_all_data;
select * from secret order by k;
select * from secret where k = 2;
select count(*) from secret;
reset role;
-- temporary tables and functions
--! refused
create temp table scratch (id int, n int default all_s());
--! refused
create temp table scratch (id int, n int default fresh());
create or replace function fresh() returns int language sql volatile as 'select 5';
create temp table scratch (id int, n int default fresh(), t int default pure(1));
insert into scratch (id) values (1);
create or replace function fresh() returns int language sql volatile as 'select count(*)::int from s';
--! refused
insert into scratch (id) values (2);
--! refused
select * from scratch order by id;

create function pg_temp.t_all() returns bigint language plpgsql as $$ begin return (select count(*) from later_s); end $$;
create table later_s (k int primary key) partition by hash (k);
--! load
insert into later_s select i from generate_series(1, 20) i;
--! refused
select pg_temp.t_all();
create function pg_temp.t_ok(i int) returns int language sql as 'select i + 1';
select pg_temp.t_ok(1);
create temp table ref (id int, label text);
insert into ref values (1, 'temporary');
select label(1);
select id, label(id) from l where id = 1;
select k + 0, label(k) from s where k = 1;
drop table pg_temp.ref;
select label(1);
