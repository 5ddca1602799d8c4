-- CREATE TABLE AS, SELECT INTO and materialized views over several backends: the new table is a local one.
create table s (k int primary key, v varchar(20), n numeric(6,2), at date default '2020-02-02') partition by hash (k);
create table o (id int, k int, v text, primary key (id)) partition by hash (id);
create table ref (id int primary key, label text) with (pleiad.reference);
create table l (id int primary key, v text);
--! load
insert into s (k, v, n) select i, 'v' || i % 5, i * 1.5 from generate_series(1, 40) i;
--! load
insert into o select i, i % 10, 'o' || i from generate_series(1, 40) i;
insert into ref values (1, 'one'), (2, 'two');
insert into l values (1, 'un'), (2, 'deux');
create table a1 as select * from s;
select * from a1 order by k;
select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a where attrelid = 'a1'::regclass and attnum > 0 order by attnum;
create table a2 (x, y) as select v, sum(n) from s group by v;
select * from a2 order by x;
create table a3 as select s.k, o.id, ref.label, l.v from s join o on o.k = s.k left join ref on ref.id = s.k left join l on l.id = s.k where s.k < 5 with data;
select * from a3 order by k, id;
create table a4 as select k from s where k = 3;
select * from a4;
create table a5 as with x as (select k from s where n > 50) select count(*) as c, 'text' as t, null as nothing from x;
select * from a5;
create table a6 as select * from s with no data;
select * from a6;
create table if not exists a6 as select * from s;
select count(*) from a6;
create table a7 as table s;
select count(*) from a7;
create table a1 as select * from s;
create table bad as select nothing from s;
create table bad as select 1 / (k - 3) as d from s;
select * from bad;
create unlogged table a8 as select k from s order by k desc limit 3;
select * from a8 order by k;
create table a9 as select 1 as one;
create table a10 as values (1, 2);
create temp table t1 as select k, v from s where k < 10;
select * from t1 order by k;
insert into t1 select k, v from s where k between 20 and 22;
select count(*) from t1;
create temp table t2 on commit drop as select k from s;
begin;
create temp table t3 on commit drop as select k from s where k < 4;
select * from t3 order by k;
commit;
--! refused
create temp table s as select * from s;
select k, v into i1 from s where k < 4;
select * from i1 order by k;
select k into temp i2 from s where k = 5;
select * from i2;
select count(*) into table i3 from s;
select * from i3;
select nothing into i4 from s;
select k into i5 from s union all select id from o;
select count(*), sum(k) from i5;
begin;
create table b1 as select count(*) as c from s;
insert into b1 values (1);
select * from b1 order by c;
savepoint p;
create table b2 as select 1 / (k - 1) as c from s;
rollback to p;
create table b2 as select k from s where k in (1, 2, 30);
rollback;
select * from b1;
create function all_s() returns bigint language sql stable as 'select count(*) from s';
--! refused
create table f1 as select all_s() as c;
--! refused
create table f2 as select k, all_s() as c from s;
prepare p as select k from s;
--! refused
create table p1 as execute p;
--! refused
create materialized view m1 as select k from s;
create materialized view m2 as select * from ref;
select * from m2 order by id;
insert into ref values (3, 'three');
refresh materialized view m2;
select * from m2 order by id;
create view lv as select id, v from l;
create materialized view m3 as select * from lv;
refresh materialized view m3;
create or replace view lv as select k as id, v::text from s;
--! refused
refresh materialized view m3;
select * from m3 order by id;
