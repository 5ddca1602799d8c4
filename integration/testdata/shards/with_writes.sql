-- Data-modifying WITH: moves, archives, counters, several writes in one statement.
--! setup
set pleiad.shard_count = 8;
--! setup
create table archive (room text collate "C", id int, title text, primary key (room, id)) partition by hash (room);
--! setup
create table counter (name text collate "C" primary key, n bigint) partition by hash (name);
--! setup
create table journal (what text, n bigint);
with gone as (delete from meeting where minutes = 15 returning room, id, title) insert into archive select * from gone returning room, id;
with gone as (delete from meeting where minutes = 30 returning id) select count(*), sum(id) from gone;
with new as (insert into counter values ('a', 1), ('b', 2), ('c', 3) returning *) select name, n from new order by name;
with up as (update counter set n = n + 10 returning name, n) select sum(n) from up;
with up as (update counter set n = n + 1 where name = 'a' returning n) insert into journal select 'a', n from up returning *;
with up as (update meeting set title = 'up' where minutes = 45 returning room) select room, count(*) from up group by room order by room;
with a as (update counter set n = 0 where name = 'a' returning name), b as (delete from counter where name = 'b' returning name) select name from a union all select name from b order by 1;
with a as (insert into counter values ('x', 1) returning name), b as (insert into journal values ('x', 1) returning what) select * from a, b;
with a as (insert into counter values ('y', 1)) select count(*) from counter;
select name, n from counter order by name;
with s as (select minutes, count(*) as c from meeting group by minutes) insert into journal select minutes::text, c from s where minutes > 0 returning *;
with s as (select max(id) as m from meeting) update counter set n = s.m from s where name = 'x' returning *;
with s as (select id from meeting order by id limit 3) delete from meeting using s where meeting.id = s.id returning meeting.id;
with d as (delete from archive returning *), i as (insert into meeting (room, id, title) select room, id + 10000, title from d returning id) select count(*), min(id) from i;
with new as (insert into person (id, name) values (900, 'Nine') returning id) insert into note select 900, id, 'from cte' from new returning *;
with d as (update dept set budget = 0 where id = 1 returning id) select p.id from person p join d on d.id = p.dept order by p.id;
with x as (delete from person where id = 1 returning *) select x.name, (select count(*) from person) from x;
with x as (insert into counter values ('a', 1) returning *) select * from x;
with x as (delete from nosuch) select 1;
select * from (with x as (delete from counter returning *) select * from x) s;
select count(*), sum(id) from meeting;
select * from journal order by what, n;
select * from counter order by name;
-- what a foreign key does to another table is not seen by the rest of the statement either
create table house (id int primary key) partition by hash (id);
create table flat (house int references house on delete cascade, n int, primary key (house, n)) partition by hash (house);
insert into house select generate_series(1, 6);
insert into flat select h, n from generate_series(1, 6) h, generate_series(1, 3) n;
with gone as (delete from house where id < 3 returning id) select gone.id, count(flat.n) from gone left join flat on flat.house = gone.id group by gone.id order by 1;
with gone as (delete from house where id = 4 returning id) select id from gone;
select house, count(*) from flat group by house order by house;
