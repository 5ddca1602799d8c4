-- The tables that the families start from. Floats have few binary digits, so that their sums are the same in any
-- order of addition; numerics of one column have one scale.
set pleiad.shard_count = 8;
create type mood as enum ('sad', 'ok', 'happy');
create type address as (street text, zip int);
create domain percent as int check (value between 0 and 100);
create domain label as text not null;
create table room (id text collate "C" primary key, name text, floor int, opened date, tags text[], doc jsonb) partition by hash (id);
create table meeting (room text collate "C", id int, title text, starts timestamptz, minutes int, cost numeric(10,2), rating float8, doc jsonb, primary key (room, id)) partition by hash (room);
create table person (id bigint primary key, name text collate "en-x-icu", born date, salary numeric(10,2), boss bigint, dept smallint, email varchar(40), active bool, doc jsonb) partition by hash (id);
create table attendance (person bigint, room text collate "C", meeting int, role text, primary key (person, room, meeting)) partition by hash (person);
create table event (id uuid primary key, at timestamp, kind text collate "C", amount numeric(12,3), payload jsonb) partition by hash (id);
create table profile (person bigint primary key, mood mood, home address, share percent, moods mood[], homes address[], nick label default 'nobody') partition by hash (person);
create table dept (id smallint primary key, name text, budget numeric(12,2)) with (pleiad.reference);
create table holiday (day date primary key, name text) with (pleiad.reference);
create table setting (key text collate "C" primary key, value int);
create table note (id int primary key, person bigint, txt text);
create table nothing (k int primary key, v text) partition by hash (k);
--! load
insert into room select 'r' || i, 'Room ' || i, i % 4, date '2020-01-01' + i * 10, case when i % 3 = 0 then null else array['t' || i % 2, 'x'] end, case i % 5 when 0 then null when 1 then jsonb_build_object('seats', i, 'has', jsonb_build_array('tv', 'phone')) when 2 then jsonb_build_object('seats', i::text) when 3 then '[1, 2, {"seats": 3}]'::jsonb else jsonb_build_object('seats', i, 'owner', jsonb_build_object('id', i * 2)) end from generate_series(1, 12) i;
--! load
insert into meeting select 'r' || (i % 14 + 1), i, case when i % 11 = 0 then null else 'Topic ' || i % 7 end, timestamptz '2024-01-01 09:00+00' + i * interval '7 hours', case when i % 9 = 0 then null else 15 * (i % 5 + 1) end, case when i % 8 = 0 then null else i * 1.25 end, case when i % 6 = 0 then null else (i % 10) * 0.5 end, case i % 4 when 0 then null when 1 then jsonb_build_object('n', i % 6, 'tags', jsonb_build_array('a', i % 3)) when 2 then jsonb_build_object('n', (i % 6)::text, 'deep', jsonb_build_object('x', i)) else jsonb_build_object('tags', '[]'::jsonb, 'ok', i % 2 = 0) end from generate_series(1, 90) i;
--! load
insert into person select i, (array['Ann', 'bob', 'Änne', 'Zoe', 'ann', 'Bob', 'Émile', 'emil', 'zoë', 'O''Neil'])[i % 10 + 1] || case when i > 20 then i::text else '' end, date '1960-01-01' + i * 100, case when i % 7 = 0 then null else 1000 + (i % 8) * 250.50 end, case when i < 4 then null else i / 4 end, case when i % 10 = 0 then null else i % 5 + 1 end, 'p' || i || '@example.com', case i % 3 when 0 then true when 1 then false end, case when i % 2 = 0 then jsonb_build_object('lang', (array['de', 'en', 'fr'])[i % 3 + 1], 'scores', jsonb_build_array(i, i % 4, 'z')) end from generate_series(1, 50) i;
--! load
insert into attendance select p, 'r' || ((p + m) % 14 + 1), (p * 7 + m * 13) % 90 + 1, case when (p + m) % 4 = 0 then 'chair' when (p + m) % 4 = 1 then null else 'guest' end from generate_series(1, 40) p, generate_series(1, 4) m;
--! load
insert into event select ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, timestamp '2024-02-01' + (i % 25) * interval '90 minutes', (array['open', 'close', 'click', 'view'])[i % 4 + 1], case when i % 10 = 0 then null else i * 0.125 end, case i % 3 when 0 then jsonb_build_object('user', i % 10, 'items', jsonb_build_array(jsonb_build_object('sku', 's' || i % 4, 'qty', i % 3), jsonb_build_object('sku', 's9', 'qty', 1))) when 1 then jsonb_build_object('user', null, 'v', i * 1.5) else '{}'::jsonb end from generate_series(1, 80) i;
--! load
insert into profile select i, (array['sad', 'ok', 'happy', null])[i % 4 + 1]::mood, case when i % 5 = 0 then null else row('Street ' || i % 3, 1000 + i)::address end, i * 5 % 101, case when i % 3 = 0 then null else array['ok', (array['sad', 'happy'])[i % 2 + 1]]::mood[] end, case when i % 4 = 0 then null else array[row('a', i)::address, row('b', null)::address] end, 'nick' || i % 6 from generate_series(1, 24) i;
insert into dept values (1, 'Sales', 10000), (2, 'IT', 20000.50), (3, 'Legal', null), (4, 'Ops', 5000), (9, 'Empty', 0);
insert into holiday values ('2024-01-01', 'New Year'), ('2024-01-06', 'Epiphany'), ('2024-05-01', 'Labour Day');
insert into setting values ('limit', 5), ('floor', 2), ('factor', 3), ('none', null);
insert into note select i, i * 3, 'note ' || i % 4 from generate_series(1, 20) i;
create view long_meeting as select room, id, title, minutes, cost from meeting where minutes >= 45;
create view staff as select p.id, p.name, p.salary, d.name as dept from person p left join dept d on d.id = p.dept;
create view rich_staff as select dept, name, salary from staff where salary > 1500;
create view room_load as select room, count(*) as meetings, sum(minutes) as minutes from meeting group by room;
create index on meeting (id);
create index on person (dept);
