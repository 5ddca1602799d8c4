-- Statements over shards by tables of every key type, and composite keys.
--! setup
set pleiad.shard_count = 6;
--! setup
create table k_int2 (k smallint primary key, v int) partition by hash (k);
--! setup
create table k_varchar (k varchar(12) primary key, v int) partition by hash (k);
--! setup
create table k_bpchar (k char(6) primary key, v int) partition by hash (k);
--! setup
create table k_date (k date primary key, v int) partition by hash (k);
--! setup
create table k_ts (k timestamp primary key, v int) partition by hash (k);
--! setup
create table k_tstz (k timestamptz primary key, v int) partition by hash (k);
--! setup
create table k_bool (k bool primary key, v int) partition by hash (k);
--! setup
create table k_bytea (k bytea primary key, v int) partition by hash (k);
--! setup
create table k_numeric (k numeric primary key, v int) partition by hash (k);
--! setup
create table k_icu (k text collate "en-x-icu" primary key, v int) partition by hash (k);
--! setup
create table k_pair (a int, b text collate "C", v int, primary key (a, b)) partition by hash (a, b);
insert into k_int2 select id, minutes from meeting where id <= 20;
insert into k_varchar select 'v' || id, minutes from meeting where id <= 20;
insert into k_bpchar select 'c' || id, minutes from meeting where id <= 20;
insert into k_date select date '2024-01-01' + id, minutes from meeting where id <= 20;
insert into k_ts select timestamp '2024-01-01' + id * interval '1 hour', minutes from meeting where id <= 20;
insert into k_tstz select starts, minutes from meeting where id <= 20;
insert into k_bool select active, count(*) from person where active is not null group by active;
insert into k_bytea select id::text::bytea, minutes from meeting where id <= 20;
insert into k_numeric select id * 1.50, minutes from meeting where id <= 20;
insert into k_icu select name || id, dept from person where id <= 20;
insert into k_pair select id % 4, title, max(minutes) from meeting where title is not null group by 1, 2;
select v, count(*), max(k), min(k) from k_int2 group by v order by v;
select v, count(*), max(k), min(k) from k_varchar group by v order by v;
select v, count(*), max(k), min(k) from k_bpchar group by v order by v;
select v, count(*), max(k), min(k) from k_date group by v order by v;
select v, count(*), max(k), min(k) from k_ts group by v order by v;
select v, count(*), max(k), min(k) from k_tstz group by v order by v;
select v, count(*), bool_and(k) from k_bool group by v order by v;
select v, count(*), array_agg(k order by k) from k_bytea group by v order by v;
select v, count(*), max(k), sum(k) from k_numeric group by v order by v;
select v, count(*), max(k), array_agg(k order by k) from k_icu group by v order by v;
select b, sum(v), count(distinct a) from k_pair group by b order by b;
select a.k, b.k from k_int2 a join k_numeric b on b.k = a.k order by 1;
select a.k, b.k from k_varchar a join k_bpchar b on substr(a.k, 2) = trim(substr(b.k, 2)) order by 1;
select a.k, b.k from k_date a join k_ts b on a.k = b.k order by 1;
select a.k, b.k from k_ts a left join k_tstz b on a.k = b.k at time zone 'UTC' order by 1;
select a.k, b.v from k_bpchar a join k_bpchar b using (k) order by 1;
select p.a, p.b, q.v from k_pair p join k_pair q on q.a = p.a and q.b = p.b order by 1, 2;
select p.a, p.b, q.b from k_pair p join k_pair q on q.a = p.a and q.b > p.b order by 1, 2, 3;
select * from k_icu order by k desc limit 4;
select k from k_icu union select k from k_varchar order by 1 limit 5;
update k_numeric set k = k + 100 where v = 15 returning *;
update k_date set k = k + 1000 where v > 30 returning *;
update k_bool set k = not k;
update k_bool set k = not k where k;
update k_bool set k = k where v > 0;
update k_int2 set k = 21 - k where k in (10, 11);
update k_int2 set k = k + 100 where k > 15;
update k_pair set b = b || '!' where a = 1 returning *;
update k_bpchar set k = 'd' || v where v = 15 and k = 'c1' returning *;
update k_tstz set k = k + interval '1 second' where v = 30;
delete from k_bytea where k in (select id::text::bytea from meeting where minutes = 15) returning *;
delete from k_varchar v using k_bpchar c where c.v = v.v and c.k = 'c2' returning v.k;
select count(*), sum(v) from k_varchar;
select count(distinct k) from (select k::text from k_int2 union all select k::text from k_numeric union all select k::text from k_date) s;
insert into k_int2 values (1.6, 0);
insert into k_int2 select 40000, 1;
insert into k_numeric values (1.50, 1);
insert into k_numeric values (1.500, 1), ('NaN', 2), ('Infinity', 3) on conflict do nothing returning *;
select k from k_numeric order by k desc limit 3;
-- text keys from other columns, with lengths
create table kb (k char(6) primary key, v int, c char(3), w varchar(4)) partition by hash (k);
insert into kb values ('c1', 15, 'a', 'x'), ('c2', 16, 'b', 'y'), ('c3', 17, 'c', 'z');
update kb set k = 'e' || v where v > 15 returning *, k || '|', length(c);
update kb set k = 'e' || v || v || v || v where v > 15 returning *;
update kb set k = 'q   ' || '     ' where v = 15 returning *, octet_length(k);
update kb set k = 'z' || v, c = 'abcd' where v > 15 returning *;
update kb set k = 'z' || v, w = 'abcde' where v > 15 returning *;
update kb set (k, w, c) = ('z' || v, 'abcd  ', 'a ' || '   ') where v > 15 returning *;
update kb set k = v where v > 15 returning *;
update kb set k = c, c = k::char(3) where v = 16 returning *;
select * from kb order by 1;
-- values that a key's column rounds, or has no digits of
--! setup
create table k_ts2 (k timestamp(2) primary key, v int) partition by hash (k);
--! setup
create table k_tens (k numeric(4, -1) primary key, v int) partition by hash (k);
insert into k_ts2 values ('infinity', 1), ('-infinity', 2), ('2024-01-01 10:00:00.126', 3) returning *;
insert into k_ts2 values ('-infinity', 4) on conflict (k) do update set v = excluded.v returning *;
insert into k_ts2 select 'infinity'::timestamp, 5 on conflict do nothing;
select v from k_ts2 where k = '-infinity';
insert into k_tens values (1234, 1), (57, 2), (-8, 3) returning *;
insert into k_tens select id * 7, id from meeting where id between 10 and 14 returning *;
select * from k_tens where k = 60;
-- parts of columns
--! setup
create table grid (k serial primary key, v int[], home address) partition by hash (k);
insert into grid (v[1], v[2], home.zip) values (1, 2, 3), (4, 5, 6) returning v, home;
insert into grid (k, v[2], home.street) values (100, 5, 'a'), (101, 6, 'b'), (102, 7, null) returning *;
insert into grid (home.zip, k) values (1, 103) on conflict (k) do update set v[1] = 2 returning *;
insert into grid (k, v[1]) values (104, default);
insert into grid (k[1], v) values (104, '{1}');
insert into grid (k, v.x) values (104, 1);
select k, v, home from grid where k >= 100 order by k;
create table k_open (a int, b int, v int) partition by hash (a, b);
insert into k_open values (default, 1 + 1, 3) returning *;
insert into k_open values (default, abs(-2), 4), (1, default, 5), (default, default, 6) returning *;
select * from k_open where b = 2 order by v;
drop table k_open;
--! code
insert into k_pair values (default, 1 + 1);
-- A key that home evaluates first, beside subqueries over rows of every backend.
insert into k_tstz values ('2024-01-01 16:00+00', 1) on conflict (k) do update set v = 99 where (select count(*) from meeting) > 85 returning *;
insert into k_tstz values ('2024-01-01 16:00+00', 1) on conflict (k) do update set v = (select count(*) from person) returning *;
insert into k_tstz values ('2025-01-01 16:00+00', 1) returning v, (select count(*) from meeting), (select max(name) from dept);
insert into k_ts values ('2025-01-01 16:00', 1) on conflict (k) do update set v = (select id from person order by id desc limit 1) returning *, (select count(*) from k_ts where k < '2025-01-01');
-- Values of subqueries for columns of char(n).
create table padded (k char(4) primary key, c char(3), v int) partition by hash (k);
insert into padded values ((select 'a' || max(id) from person), (select 'x ' || min(floor) from room), 1) returning *, octet_length(k);
insert into padded (k, c) values ((select min(k) from padded) || '!', 'q '), (5, (select true from person limit 1) ::text::char(1)) returning *;
insert into padded values ((select 'abcd   ' from person limit 1), null, 2) returning *;
--! code
insert into padded values ((select 'abcde' from person limit 1), null, 2);
drop table padded;
