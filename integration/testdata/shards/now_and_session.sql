-- now() and its kin are one instant over all servers of a transaction; session functions.
--! setup
set pleiad.shard_count = 8;
--! setup
create table stamped (k int primary key, at timestamptz default now(), tx timestamptz, st timestamptz, d date default current_date, who text default current_user) partition by hash (k);
insert into stamped (k) select i from generate_series(1, 12) i;
insert into stamped (k) values (21), (22), (23), (24), (25), (26);
select count(distinct at) from stamped where k > 20;
update stamped set tx = now(), st = statement_timestamp();
select count(distinct tx), count(distinct st) from stamped;
update stamped set at = current_timestamp, tx = transaction_timestamp() where k < 30;
select count(distinct (at, tx)), bool_and(at = tx) from stamped;
select count(distinct now()), count(distinct current_timestamp), count(distinct statement_timestamp()) from stamped;
select count(distinct n) from (select now() as n, k from stamped) s;
select bool_and(at <= now()), bool_and(d = current_date), bool_and(who = current_user) from stamped;
select k from stamped where at > now() - interval '1 hour' order by k limit 3;
select count(*) from stamped where d = current_date and at <= current_timestamp;
select k from stamped where at < localtimestamp + interval '1 minute' order by k limit 2;
begin;
insert into stamped (k) values (31), (32), (33), (34);
update stamped set tx = now() where k between 31 and 34;
insert into stamped (k, tx) values (35, now());
select count(distinct at), count(distinct tx), bool_and(at = tx) from stamped where k > 30;
select count(*) from stamped where at = now();
select bool_and(at = now()), bool_and(statement_timestamp() >= now()) from stamped where k > 30;
select count(distinct x) from (select now() as x from stamped union all select now() from meeting union all select now()) s;
commit;
delete from stamped where at < now() - interval '1 day';
begin;
update stamped set who = who where k = 1;
insert into stamped (k) select 901;
insert into stamped (k) select 902;
insert into stamped (k) select 903;
insert into stamped (k) select 904;
insert into stamped (k, tx) select 905, now();
insert into stamped (k, tx) select 906, now();
insert into stamped (k, tx) select 907, current_timestamp returning at = now(), tx = now();
insert into stamped (k, tx) select 908, now();
select count(*), count(distinct at), bool_and(at = now() and coalesce(tx = now(), true)) from stamped where k > 900;
rollback;
select age(at) < interval '1 hour', at - now() < interval '1 hour' from stamped where k = 1;
select k, now() - at < interval '1 hour' from stamped order by k limit 3;
select k, extract(year from now()) = extract(year from at) from stamped order by k limit 3;
select k from stamped order by at - now(), k limit 0;
select current_user, session_user, current_schema, count(*) from stamped group by 1, 2, 3;
select current_setting('server_encoding'), count(*) from stamped;
select k, current_database() = current_database(), pg_typeof(at) from stamped order by k limit 2;
select count(*) from stamped where who = session_user;
--! setup
set timezone = 'Asia/Kolkata';
select at = at::text::timestamptz, date_trunc('day', timestamptz '2024-01-01 20:00+00') from stamped where k < 3 order by k;
select starts from meeting where id < 4 order by starts;
select starts::date, count(*) from meeting group by 1 order by 1 limit 4;
select max(starts), string_agg(starts::text, ',' order by id) from meeting where id < 4;
--! setup
set datestyle = 'German, DMY';
select starts, starts::date from meeting where id < 4 order by id;
select max(starts) from meeting;
select count(*) from meeting where starts > '02.01.2024';
--! setup
set intervalstyle = 'iso_8601';
select sum(minutes * interval '1 minute'), max(starts) - min(starts) from meeting;
--! setup
set extra_float_digits = 0;
select id, rating / 3 from meeting where id < 5 order by id;
select sum(rating / 3 - rating / 3), max(rating / 3), min(rating / 7) from meeting;
select max(rating / 3) = (select max(rating / 3) from meeting) from meeting;
select array_agg(rating / 3 order by id) from meeting where id < 5;
select m.id, p.r from meeting m join (select id, rating / 3 as r from meeting) p on p.r = m.rating / 3 and p.id = m.id + 10 order by 1 limit 5;
--! setup
set bytea_output = 'escape';
select string_agg(id::text::bytea, '\x2c'::bytea order by id) from meeting where id < 5;
--! setup
set search_path = nosuch, public;
select count(*) from meeting m join person p on p.id = m.id;
--! setup
reset all;
begin isolation level repeatable read;
select count(*), sum(minutes) from meeting;
select p.id from person p join meeting m on m.id = p.id where m.minutes = 75 order by 1;
commit;
begin read only;
select count(*) from meeting m join person p on p.id = m.id;
update meeting set title = 'x' where minutes = 15;
rollback;
