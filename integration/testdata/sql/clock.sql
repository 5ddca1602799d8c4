-- The transaction's time is one over all servers, in whatever way a statement reads it. The values themselves differ
-- from run to run, so these statements ask how they relate.
create table t (k int primary key, note text, at timestamptz default now(), d date default current_date, x timestamptz, z timestamp default timezone('utc', now())) partition by hash (k);
create table l (id serial primary key, m text, at timestamptz default current_timestamp);
create table r (id int primary key, at timestamptz default transaction_timestamp(), n text) with (pleiad.reference);

-- one statement
insert into t (k) values (1), (2), (3), (4), (5), (6);
select min(at) = max(at), min(d) = max(d), min(z) = max(z) from t;
insert into t (k, at, note) values (7, default, 'a'), (8, now(), 'b'), (9, current_timestamp, 'c');
select min(at) = max(at) from t where k >= 7;
insert into t values (-1), (-2), (-3);
select min(at) = max(at) from t where k < 0;
update t set x = now(), note = localtimestamp(0) - localtimestamp;
update t set x = statement_timestamp() where x <= now();
select min(x) = max(x), max(x) <= now() from t;
delete from t where at > now() returning k;
insert into r (id) values (1), (2), (3);
insert into r values (4, now(), 'x') returning at = now() as same;
update r set n = (now() - at)::text where at = now();
update r set at = now();
select count(distinct at) from r;
--! code
insert into r default values;

-- names, types and values of outputs
--! shape
select now(), current_date, current_time(0), current_timestamp(2), localtime, localtimestamp(3), transaction_timestamp(), statement_timestamp() from t where k < 4;
--! shape
select now()::date, (now()), case when k is distinct from 2 then at else now() end, now() at time zone 'utc', coalesce(now(), at), age(at) < interval '1 day' as young, (select now()), array[now()], extract(year from now()) > 2000 from t order by k limit 3;
select now() = current_timestamp, now()::date = current_date, localtimestamp = now()::timestamp, localtime = now()::time, current_time = now()::timetz, now() <= statement_timestamp() from t;
select current_timestamp(3) = now()::timestamptz(3), current_time(1) = now()::timetz(1), localtime(0) = now()::time(0) from t order by k;
select k, n.at <= now() as past from (select k, at, now() as n from t) n where n.n = now() order by k;
with c as (select now() as n, k from t) select min(n) = max(n) from c;
--! shape
select now() as n from t where k = 1 union all select now() from t where k = 2;
select count(*), max(now()) = now() from t where at <= now();
select k, age(x::timestamp) = age(current_date, x::timestamp), age(d) = age(current_date, d), age(x) = age(current_date, x) from t order by k;
--! shape
select date_trunc('day', now()) d, k from t order by d, k;
select nosuch from t where at < now() + interval '1 hour' and x > now();
select k from t where at < now() and nosuch = now();
insert into t (k, x, note) values (100, now(), 'a'), (101, now(), nosuch);
insert into t (k, x, note) values (100, now(), 'a'), (101, 1, 'b');
set timezone = 'Asia/Kolkata';
set datestyle = 'SQL, DMY';
select current_date = now()::date, localtimestamp = now()::timestamp, current_date - d between 0 and 1 from t;
insert into t (k) values (200), (201), (202);
select min(at) = max(at), bool_and(at::timestamp - z = interval '5:30') from t where k >= 200;
reset datestyle;
reset timezone;

-- one transaction over several servers
begin;
insert into t (k) values (10);
insert into t (k) values (11) returning at = now();
insert into t (k, x) values (12, now()) returning x = at;
insert into t values (13, 'a') returning at = now(), d = current_date, z = timezone('utc', now());
insert into t (k, at, note) values (14, default, 'z');
insert into t (k) values (15), (16), (17);
insert into l (m) values ('a');
insert into l default values;
insert into l values (default, 'b', default);
insert into r (id) values (20);
insert into r (id, at) values (21, current_timestamp);
select min(at) = max(at), min(at) = now() from t where k between 10 and 17;
select at = now() from l;
select at = now() from r where id >= 20;
update t set x = now() where k = 12;
update t set x = now() where k = 13;
update t set x = now() where k = 14;
select k, x = now(), x = at from t where k in (12, 13, 14) order by k;
select now() = at from t where k = 10;
select now() = at from t where k = 16;
select now() = min(at) from t where k in (15, 16, 17);
delete from t where k = 15 and at = now();
delete from t where k = 16 and at = now();
select now() <= statement_timestamp(), now() < clock_timestamp() from t where k = 11;
select now() <= statement_timestamp() from t;
declare c cursor for select k, at = now() from t where k = 12;
fetch all from c;
declare d cursor for select k, at = now() from t where k = 13;
fetch all from d;
prepare p (int) as select k, at = now() from t where k = $1;
execute p (12);
execute p (13);
execute p (14);
copy t (k) from stdin;
30
31
32
33
\.
select min(at) = now(), max(at) = now() from t where k >= 30 and k < 40;
savepoint one;
insert into t (k) values (40);
rollback to one;
insert into t (k) values (41), (42) returning at = now();
commit;
select min(at) = max(at) from t where k between 10 and 50;
begin isolation level repeatable read;
insert into t (k) values (60);
insert into t (k) values (61);
insert into l (m) values ('c');
select min(at) = now(), max(at) = now() from t where k >= 60 and k < 70;
commit;

-- words that dates and times read as the present
insert into t (k, note, at, d, z) values (300, 'now', 'now', 'today', ' Now '), (301, 'today', 'today', 'tomorrow', 'now'), (302, 'x', 'now', 'yesterday', 'today');
select k, note, at <= now(), at::date - current_date, d - current_date, z <= localtimestamp from t where k >= 300 order by k;
select min(at) = max(at), min(z) = max(z), min(z) = min(at)::timestamp from t where k in (300, 302);
set timezone = 'America/Caracas';
update t set at = 'now', z = 'now', d = 'now', x = timestamptz 'tomorrow' where k >= 300;
select at = (select max(at) from t where k = 300) from t where k = 300;
select min(at) = max(at), bool_and(z = at::timestamp), bool_and(d = at::date), bool_and(x::date - d = 1) from t where k >= 300;
reset timezone;
select k from t where at >= 'yesterday' and k >= 300 and d < date 'tomorrow' and d between 'yesterday' and 'tomorrow' and x > now() order by k;
select count(*) from t where at > 'tomorrow' or note like '%now%' or note = 'today';
select k from t where d in ('tomorrow', '2001-01-01');
begin;
insert into t (k, at) values (310, 'now');
insert into t (k, at) values (311, 'now');
insert into t (k, at) values (312, 'now');
select min(at) = max(at), min(at) = now() from t where k >= 310;
insert into r (id, at) values (310, 'now') returning at = now();
rollback;
select date_trunc('day', 'today'::timestamptz) <= now(), k from t where k >= 300 order by k;
--! refused
select k from t where at > coalesce('yesterday', now()) and k >= 300;
