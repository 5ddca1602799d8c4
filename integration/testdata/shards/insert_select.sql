-- INSERT … SELECT between tables of every kind, from every kind of query; VALUES with subqueries; defaults.
--! setup
set pleiad.shard_count = 8;
--! setup
create table copy_meeting (room text collate "C", id int, title text, minutes int, at timestamptz default '2024-01-01', primary key (room, id)) partition by hash (room);
--! setup
create table by_id (id int primary key, what text default 'dflt', n bigint) partition by hash (id);
--! setup
create table summary (what text primary key, n bigint) with (pleiad.reference);
--! setup
create table log (id int, what text, n numeric);
insert into copy_meeting select room, id, title, minutes from meeting where id < 20;
insert into copy_meeting (id, room) select id + 1000, room from meeting where minutes = 15 returning room, id, title, at;
select count(*), sum(id), max(at) from copy_meeting;
insert into by_id select id, title, minutes from meeting where id <= 40;
insert into by_id (id) select id + 100 from meeting where id < 5 returning *;
insert into by_id select id + 200, max(what) || '!', count(*) from by_id group by id having id < 4 returning *;
insert into by_id select row_number() over (order by room) + 300, room, count(*) from meeting group by room returning *;
insert into by_id select minutes + 400, 'grouped', sum(id) from meeting where minutes is not null group by minutes returning *;
insert into by_id select p.id + 500, p.name, m.id from person p join meeting m on m.id = p.id where p.id < 6 returning *;
insert into by_id (select id + 600, title, 0 from meeting order by cost desc nulls last, id limit 3) returning *;
insert into by_id select id + 700, name, budget from dept returning *;
insert into by_id select value + 800, key, value from setting where value is not null returning *;
insert into by_id select g + 900, 'series', g from generate_series(1, 5) g returning id;
insert into by_id with m as (select id, title from meeting where id < 3) select id + 1000, title, 1 from m returning *;
with m as (select minutes, count(*) as c from meeting group by minutes) insert into by_id select minutes + 1100, 'cte', c from m where minutes > 30 returning *;
insert into by_id select id + 1200, what, n from by_id where id < 3 union all select 1299, 'union', null returning *;
insert into by_id values ((select max(id) from meeting) + 1300, (select title from meeting where id = 5), (select count(*) from room)) returning *;
insert into by_id values (1401, 'plain', 1), (1402, (select min(title) from meeting), (select sum(minutes) from meeting)) returning *;
insert into by_id (id, n) values (1501, default), (1502, (select 7)) returning *;
insert into by_id values (1600 + (select max(value) from setting), (select name from dept where id = 1), null) returning *;
insert into by_id select 1700, what, n from (values ('a', 1), ('b', 2)) v(what, n) where n = 1;
insert into by_id select distinct minutes + 1800, 'distinct' from meeting where minutes > 0 returning id;
insert into by_id select id + 1900, jsonb_array_elements(payload -> 'items') ->> 'sku' from (select 1 as id, payload from event e where payload ? 'items' order by e.id limit 1) s limit 1 returning *;
select count(*), sum(n), sum(id) from by_id;
insert into by_id select id, 'again', 0 from meeting where id in (3, 4);
insert into by_id select null, 'null', 0 from meeting where id = 3;
insert into by_id select id + 5000, title, 1 / (id - 7) from meeting where id < 10;
select count(*) from by_id where id > 5000;
insert into by_id select id + 6000, title from meeting where id < 10 limit 0;
insert into by_id select * from nothing;
insert into by_id select room, id from meeting;
insert into summary select title, count(*) from meeting where title is not null group by title returning *;
insert into summary select kind, sum(amount) from event group by kind returning what;
insert into summary values ('max', (select max(id) from meeting)) returning *;
select * from summary order by what collate "C";
select c.id, s.n from copy_meeting c join summary s on s.what = c.title order by 1 limit 5;
insert into log select id, title, cost from meeting where minutes = 75 returning id;
insert into log select room.floor, max(m.title), sum(m.cost) from room join meeting m on m.room = room.id group by room.floor returning *;
insert into log values ((select count(*) from event), 'value', (select avg(amount) from event)) returning *;
select count(*), sum(n) from log;
insert into room (id, floor) select distinct 'new-' || room, 9 from attendance where role = 'chair' returning id;
insert into room (id) select 'r1' from meeting limit 1;
select count(*) from room;
insert into person (id, name, salary) select max(id) + 1, 'Next', avg(salary) from person returning id, name, salary;
insert into attendance select p.id, m.room, m.id, 'auto' from person p cross join meeting m where p.id in (41, 42) and m.minutes = 75 returning person, room, meeting;
create table made as select room, count(*) as c from meeting group by room;
select * from made order by room;
create table made2 (a, b) as select id, title from meeting where id < 5 with no data;
select count(*) from made2;
select id, minutes into made3 from meeting where minutes = 30;
select count(*) from made3;
create temp table scratch as select id, title from meeting where id < 8;
select * from scratch order by id;
insert into scratch select id, name from person where id < 4 returning *;
--! code
insert into by_id select id + 8000, title from scratch where id < 3 returning *;
select s.id, m.minutes from scratch s join meeting m on m.id = s.id order by 1, 2;
begin;
insert into copy_meeting select room, id + 2000, title, minutes from copy_meeting;
insert into log select count(*), 'in block', null from copy_meeting;
select count(*) from copy_meeting;
rollback;
select count(*) from copy_meeting;
-- one row of VALUES with a set in it is a SELECT
insert into nothing values (generate_series(9001, 9005), 'x' || 1) returning *;
insert into nothing (v, k) values ('y', (select max(id) from meeting) + 9100 + generate_series(1, 2)) returning *;
insert into nothing values (generate_series(9003, 9007), 'z') on conflict (k) do update set v = excluded.v returning *;
insert into nothing values (generate_series(9008, 9009), 'a'), (9010, 'b');
delete from nothing where k > 9000;
-- what one shard alone computes
insert into copy_meeting (id, room, minutes) select 9000 + row_number() over (order by id), 'w', sum(minutes) over (order by id) from meeting where room = 'r3' returning id, room, minutes;
insert into copy_meeting (id, room, title) select 9100 + count(*), 'w', max(title) from meeting where room = 'r4' returning id, title;
insert into copy_meeting (id, room, title) select id + 9200, 'w', title from meeting where room = 'r5' order by id desc limit 2 returning id, title;
insert into copy_meeting (id, room, minutes) select 9300 + rank() over (order by minutes, id), 'w', count(*) over () from (select * from meeting where room = 'r6' order by id limit 3) m returning id, minutes;
