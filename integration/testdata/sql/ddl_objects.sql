-- Types, views, functions, triggers, sequences, policies, rights, comments, extensions: on every server.
create type mood as enum ('sad', 'ok', 'happy');
create type pair as (a int, b text);
create domain positive as int check (value > 0);
create table t (k int primary key, m mood, p pair, n positive) partition by hash (k);
insert into t values (1, 'happy', (1, 'x'), 5), (2, 'sad', null, null), (3, 'ok', row(3, 'y'), 7), (4, 'happy', null, 1);
insert into t values (5, 'angry', null, 1);
insert into t values (5, 'ok', null, -1);
select k, m from t order by m, k;
select k, m, n from t where m = 'happy' order by k;
--! params sad
select k from t where m = $1;
select k, (p).b from t where k = 1;
alter type mood add value 'ecstatic' after 'happy';
insert into t values (6, 'ecstatic', null, 1), (7, 'sad', null, 1), (8, 'ecstatic', null, 1);
select k from t order by m desc, k limit 3;
alter type mood rename value 'ok' to 'fine';
select m from t where k = 3;
drop type mood;
create type mood as enum ('again');
-- views
create view v as select k, m from t where n > 1;
select * from v order by k;
select * from v where k = 1;
create or replace view v as select k, m, n from t;
select k, n from v where k = 3;
create view lv as select 1 as one;
select * from lv;
alter view v rename to v2;
select k from v2 where k = 1;
drop view v;
drop view v2, lv;
create materialized view mv as select 42 as answer;
select * from mv;
refresh materialized view mv;
drop materialized view mv;
-- functions
create function double(i int) returns int language sql immutable as 'select i * 2';
select k, double(k) from t order by k limit 3;
select k from t where k = double(1);
select k from t where double(k) = 4;
create function lookup(key int) returns mood language sql stable as 'select m from t where k = key';
create function noisy(i int) returns int language plpgsql as $$
begin
  if i = 3 then
    raise exception 'three is not liked' using errcode = 'P0003', hint = 'try four';
  end if;
  return i;
end $$;
select noisy(k) from t where k = 2;
select noisy(k) from t where k = 3;
update t set n = noisy(k) where k in (1, 2) returning k, n;
update t set n = noisy(k);
select k, n from t order by k;
create or replace function double(i int) returns int language sql immutable as 'select i * 20';
select double(2);
create function double(i text) returns text language sql immutable as 'select i || i';
select double('x'::text);
drop function double;
drop function double(text);
drop function double(int);
select double(2);
create procedure proc(inout x int) language plpgsql as $$ begin x := x + 1; end $$;
call proc(4);
drop procedure proc;
create aggregate mysum (int) (sfunc = int4pl, stype = int, initcond = '0');
select mysum(x) from generate_series(1, 4) x;
drop aggregate mysum (int);
-- triggers
create function stamp() returns trigger language plpgsql as $$ begin new.n := coalesce(new.n, 0) + 1; return new; end $$;
create trigger stamp before insert or update on t for each row execute function stamp();
insert into t (k) values (20), (21), (22) returning k, n;
update t set m = 'sad' where k = 20 returning n;
alter table t disable trigger stamp;
update t set m = 'sad' where k in (20, 21) returning k, n;
alter table t enable trigger stamp;
drop trigger stamp on t;
drop trigger stamp on t;
-- sequences
create sequence s start 5;
--! shape
select nextval('s');
--! shape
select currval('s'), lastval();
--! shape
select setval('s', 100);
alter sequence s increment 10;
--! shape
select nextval('s');
drop sequence s;
select nextval('s');
-- row level security
create table secret (k int primary key, owner text, v text) partition by hash (k);
insert into secret values (1, 'ddl_objects_a', 'x'), (2, 'ddl_objects_b', 'y'), (3, 'ddl_objects_a', 'z'), (4, 'ddl_objects_b', 'w');
create role ddl_objects_a;
create role ddl_objects_b login nosuperuser valid until 'infinity';
create role ddl_objects_a;
grant select, insert, update on secret to ddl_objects_a, ddl_objects_b;
alter table secret enable row level security;
create policy own on secret using (owner = current_user);
set role ddl_objects_a;
select * from secret order by k;
select * from secret where k = 2;
update secret set v = 'mine' returning k;
insert into secret values (5, 'ddl_objects_b', 'forged');
insert into secret values (5, 'ddl_objects_a', 'own'), (6, 'ddl_objects_a', 'own') returning k;
delete from secret where k = 1;
select * from t where k = 1;
create table denied (k int primary key) partition by hash (k);
drop table secret;
reset role;
select * from secret order by k;
revoke select on secret from ddl_objects_a;
set role ddl_objects_a;
select * from secret;
reset role;
alter policy own on secret using (true);
set role ddl_objects_b;
select k from secret order by k;
reset role;
drop policy own on secret;
alter table secret disable row level security;
grant select (k) on secret to ddl_objects_a;
set role ddl_objects_a;
select k from secret order by k;
select v from secret where k = 1;
reset role;
alter table secret owner to ddl_objects_b;
select tableowner from pg_tables where tablename = 'secret' and schemaname = 'public';
alter role ddl_objects_b rename to ddl_objects_c;
grant ddl_objects_a to ddl_objects_c;
reassign owned by ddl_objects_c to current_user;
drop owned by ddl_objects_a, ddl_objects_c;
drop role ddl_objects_a, ddl_objects_c;
drop role ddl_objects_a;
-- comments and extensions
comment on table t is 'a comment';
select obj_description('t'::regclass);
comment on column t.n is 'positive';
select col_description('t'::regclass, 4);
comment on table t is null;
create extension pgcrypto;
select encode(digest('x', 'md5'), 'hex');
select k, encode(digest(k::text, 'md5'), 'hex') from t where k = 1;
create extension if not exists pgcrypto;
create extension nosuchextension;
drop extension pgcrypto;
create collation german (provider = libc, locale = 'C');
drop collation german;
create cast (text as pair) with inout;
drop cast (text as pair);
create operator === (leftarg = int, rightarg = int, function = int4eq);
select 1 === 1;
drop operator === (int, int);
create statistics st on k, n from t;
drop statistics st;
--! refused
create rule r as on delete to t do instead nothing;
security label on table t is 'x';
create event trigger et on ddl_command_end execute function nosuch();
create publication pub for table nosuch;
alter database nosuch set work_mem = '1MB';
drop table t;
drop type mood, pair;
drop domain positive;
