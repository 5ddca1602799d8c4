-- Reference tables with volatile functions and defaults, from queries over shards, and how copies stay alike.
--! setup
create table token (id int primary key, at timestamptz default clock_timestamp(), r float8 default random(), u uuid default gen_random_uuid()) with (pleiad.reference);
--! setup
create table tariff (code text collate "C" primary key, price numeric(10,2), n int) with (pleiad.reference);
--! setup
create table numbered (id int generated always as identity primary key, v text) with (pleiad.reference);
insert into token (id) values (1), (2), (3) returning id;
insert into token values (4, now(), random(), gen_random_uuid()) returning id;
insert into token (id) select id + 10 from meeting where id < 5 returning id;
insert into token (id, r) select 20 + g, random() from generate_series(1, 3) g returning id;
update token set r = random(), u = gen_random_uuid() where id < 3 returning id;
update token set at = clock_timestamp();
-- every row of t joins its own copy's u: unequal copies would differ by backend
select count(distinct t.u), count(*) from meeting m, token t where t.id = 1;
select count(distinct (t.r, t.u, t.at)) from meeting m join token t on t.id = 2;
select count(distinct u), count(distinct r), bool_and(at <= clock_timestamp()) from token;
insert into tariff values ('a', 1, 1), ('b', 2, 2), ('c', 3, 3) returning *;
insert into tariff select kind, sum(amount), count(*) from event group by kind returning *;
update tariff set n = (select count(*) from meeting) where code = 'a' returning *;
update tariff t set price = s.p from (select kind, max(amount) as p from event group by kind) s where s.kind = t.code returning t.code, t.price;
delete from tariff where n in (select floor from room) returning code;
delete from tariff where random() < 0;
update tariff set n = n + (random() * 0)::int returning code, n;
insert into tariff (code, n) values ('seq', (select count(*) from person)) on conflict (code) do update set n = excluded.n returning *;
with x as (delete from tariff where code = 'c' returning *) select * from x;
with x as (select max(id) as m from meeting) update tariff set n = x.m from x returning code, n;
insert into numbered (v) values ('a'), ('b') returning id, v;
insert into numbered (v) select title from meeting where id < 4 order by id returning v;
select v from numbered order by v nulls last;
select count(distinct n.id) from meeting m, numbered n;
delete from tariff where code = (select code from tariff order by price, code limit 1) returning code;
update dept set budget = budget * 2 where id in (select dept from person where active) returning id, budget;
update dept set name = name || '!' where exists (select from person p where p.dept = dept.id and p.salary > 2500) returning id, name;
select p.id, d.name from person p join dept d on d.id = p.dept order by p.id;
select code, n from tariff order by code;
truncate token;
select count(*) from token;
select count(*) from meeting, token;
create table worded (k int primary key, a text collate "C", b text collate "en-x-icu") with (pleiad.reference);
insert into worded values (1, 'a', 'a'), (2, 'B', 'B'), (3, '_', '_');
update worded set a = a || (random() * 0)::text returning k, a < 'b', b < 'B', a < '_x', least(a, 'b');
-- RETURNING that names what the table is joined with
update tariff t set price = s.p from (select kind, max(amount) as p from event group by kind) s where s.kind = t.code returning s.kind, t, price + 1 as x, price + 1 as x;
update tariff t set price = s.p from (select kind, max(amount) as p from event group by kind) s where s.kind = t.code returning *;
delete from tariff t using event e where e.kind = t.code and t.code = 'open' and e.amount > 8 returning t.code, (select count(*) from meeting);
delete from tariff t using event e where e.kind = t.code and e.amount > 800 returning *;
update tariff t set n = (select count(*) from meeting where minutes = 30) returning code, n, (select max(id) from meeting);
update tariff t set n = m.id from meeting m where m.id = 5 and m.room = 'r6' and random() < 2 returning t.code, m.title, m.starts;
update tariff t set n = 1 / 0 from meeting m where m.id = 5 returning m.id;
-- parts of columns, on every copy
--! setup
create table shelf (k int primary key, v int[], home address) with (pleiad.reference);
insert into shelf (k, v[1], v[2]) values (1, 2, 3), (2, 4, 5) returning *;
insert into shelf (k, home.zip) values (3, 9) on conflict (k) do update set v[1] = 1;
select count(distinct s.v), count(s.home), count(*) from meeting m, shelf s;
-- a row's fields as the values
--! setup
create table spot (street text primary key, zip int) with (pleiad.reference);
insert into spot values ((row('a', 1)::address).*) returning *;
insert into spot (street, zip) values ((row('b', 2)::address).*);
insert into spot (zip, street) values (3, 'c', 4);
insert into spot (street, zip) values ('d');
insert into spot (street, nosuch) select 'd', 4;
select s.street, s.zip, count(*) from meeting m, spot s group by 1, 2 order by 1;
update dept set name = (select max(name) from room) where id < 3 returning public.dept.id, public.dept.*, dept.name;
update dept set name = (select max(txt) from note) where id = 9 returning public.dept.id + 1 as next, dept;
delete from public.holiday where day < (select max(at) from event) and name = 'Epiphany' returning public.holiday.day;
-- what functions in RETURNING read is as it was before the statement
create function named(text) returns bigint language sql stable as 'select count(*) from dept where name = $1';
begin;
update dept set name = 'x' returning id, named('x');
update dept set name = 'y' || named('x') where id < 3 returning id, name, named('x');
delete from dept where name = 'x' returning id, named('x');
select * from dept order by id;
rollback;
create schema odd;
create function odd.never(smallint, smallint) returns bool language sql immutable as 'select false';
create operator odd.= (leftarg = smallint, rightarg = smallint, function = odd.never);
set search_path = odd, pg_catalog, public;
update dept set name = 'z' || named('x') where budget > 6000 returning id, name;
reset search_path;
select (select count(*) from dept where name = 'z0'), (select count(*) from person p join dept d on d.id = p.dept where d.name = 'z0');
-- constants and names that read like pleiad's own
begin;
update dept set name = name || (select count(*) from meeting) returning '"pleiad source rows"', id as "pleiad source rows";
delete from dept where id = (select min(dept) from person) returning '"pleiad source rows"', id;
rollback;
