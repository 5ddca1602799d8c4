-- What needs rows of several servers at once: finished on one of them, or refused with a hint, never answered wrongly. The
-- same statements on one shard are in routing.sql.
create table t (k int primary key, v text, n int) partition by hash (k);
create table o (id bigint primary key, k int, v text) partition by hash (id);
create table l (k int primary key, v text);
--! load
insert into t select i, 'v' || i % 10, i % 7 from generate_series(1, 40) i;
--! load
insert into o select i, i % 20, 'o' || i from generate_series(1, 40) i;
insert into l values (1, 'one'), (2, 'two');
select count(*) from t;
select sum(n), avg(n), min(v), max(k) from t;
select n, count(*) from t group by n order by n;
select n from t group by n having count(*) > 5 order by n;
select distinct n from t order by n;
select distinct on (n) n, k from t order by n, k;
select k, row_number() over (order by k) from t order by k;
select k, sum(n) over (partition by n) from t order by k;
select array_agg(k order by k) from t;
select count(*) filter (where n = 1) from t;
select bool_and(n > 0), string_agg(v, ',' order by k) from t;
select grouping(n), count(*) from t group by rollup (n) order by 1, 2;
select k from t union select k from t order by 1;
select k from t union all select id from o order by 1;
select k from t intersect select k from o order by 1;
select k from t except select k from o order by 1;
select t.k, o.id from t join o on o.k = t.k order by t.k, o.id;
select t.k, l.v from t join l on l.k = t.k order by t.k;
select t.k, l.v from l left join t on l.k = t.k order by l.k;
select a.k, b.k from t a join t b on a.n = b.n and a.k < b.k order by 1, 2;
select a.k from t a cross join t b where a.k < 2 order by 1;
select k from t where n = (select max(n) from t) order by k;
select k from t where k in (select k from o) order by k;
select k from t where k in (select k from l) order by k;
select k from t where exists (select from o where o.k = t.k) order by k;
select k, (select count(*) from o) from t order by k;
select (select count(*) from t);
select * from l where k in (select k from t) order by k;
select * from (select k from t order by k limit 5) s order by k;
select count(*) from (select k from t) s;
with c as (select n, count(*) as c from t group by n) select * from c order by n;
with c as (select k from t order by k limit 3) select * from c order by k;
with recursive r as (select k from t where k = 1 union all select t.k from t join r on t.k = r.k + 1) select * from r order by k;
select k, x.k from t, lateral (select k from o where o.k = t.n order by id limit 1) x order by 1;
insert into l select k + 100, v from t;
insert into t select k + 100, v, n from t;
insert into t select id + 1000, v, 1 from o;
update t set v = o.v from o where o.k = t.k;
update t set n = (select count(*) from o);
delete from t using o where o.k = t.k;
delete from t where k in (select k from o);
merge into t using o on o.k = t.k when matched then update set v = o.v;
update t set k = k + 1000;
update t set k = 1000 where k = 1;
create materialized view mv as select count(*) as c from t;
create table copy_of as select * from t;
select * into copied from t;
create table part_of partition of t for values with (modulus 64, remainder 1);
alter table t attach partition l for values with (modulus 64, remainder 1);
--! refused
alter table t detach partition pleiad_1.t;
create table bad (k point) partition by hash (k);
create table icu (k text collate "en-x-icu") partition by hash (k);
create table bad (k text collate nosuch) partition by hash (k);
--! refused
create table bad (k int) partition by hash ((k + 1));
--! refused
create table bad (k int references t) with (pleiad.reference);
--! refused
create table bad (k int references t);
--! refused
alter system set work_mem = '5MB';
--! refused
load 'auto_explain';
copy l to '/nonexistent/never';
copy l from '/nonexistent/never';
--! refused
copy l to program 'cat >/dev/null';
--! refused
set standard_conforming_strings = off;
--! refused
set client_encoding = 'LATIN1';
drop schema pleiad cascade;
--! refused
drop table pleiad_1.t;
select sum(x) from (select count(*) as x from t group by n) s;
copy (select count(*) from t) to stdout;
declare c cursor with hold for select count(*) from t;
-- and nothing was changed by any of them
select * from t order by k;
select * from o order by id;
select * from l order by k;
