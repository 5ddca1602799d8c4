-- Tables with equal key type and modulus lie together: joins and foreign keys on the key stay local.
-- eight shards, because a plain PostgreSQL needs minutes for the foreign keys between 32 × 32 partitions
set pleiad.shard_count = 8;
create table room (id text primary key, name text) partition by hash (id);
create table meeting (room text, id int, title text, primary key (room, id), foreign key (room) references room (id) on delete cascade) partition by hash (room);
create table guest (room text, meeting int, who text, primary key (room, meeting, who), foreign key (room, meeting) references meeting) partition by hash (room);
--! load
insert into room select 'r' || i, 'Room ' || i from generate_series(1, 12) i;
--! load
insert into meeting select 'r' || (i % 12 + 1), i, 'm' || i from generate_series(1, 40) i;
--! load
insert into guest select 'r' || (i % 12 + 1), i, 'g' || j from generate_series(1, 20) i, generate_series(1, 2) j;
select r.name, m.title from room r join meeting m on m.room = r.id where r.id = 'r3' order by m.id;
select r.name, m.title from room r join meeting m on m.room = r.id order by m.id;
select r.name, m.title from room r join meeting m on m.room = r.id where m.id < 6 order by m.id desc;
select r.id, m.id from room r left join meeting m on m.room = r.id and m.id > 38 order by r.id collate "C", m.id;
select m.id, g.who from meeting m join guest g on g.room = m.room and g.meeting = m.id order by m.id, g.who collate "C" limit 7;
select r.name, m.id, g.who from room r join meeting m on m.room = r.id join guest g on (g.room, g.meeting) = (m.room, m.id) where g.who = 'g1' order by m.id limit 5;
select m.id from meeting m join guest g using (room) where m.id = g.meeting and g.who = 'g2' order by m.id;
select r.id from room r where exists (select from meeting m where m.room = r.id and m.id = 7) order by 1;
select r.id from room r where not exists (select from meeting m where m.room = r.id and m.id < 30) order by r.id collate "C";
select m.id, (select r.name from room r where r.id = m.room) as room from meeting m where m.id < 5 order by m.id;
select m.id, x.who from meeting m cross join lateral (select g.who from guest g where g.room = m.room and g.meeting = m.id order by g.who collate "C" desc limit 1) x order by m.id limit 4;
select a.id, b.id from meeting a join meeting b on a.room = b.room and a.id < b.id and b.id < 16 order by a.id, b.id;
--! params r5
select m.id from room r join meeting m on m.room = r.id where r.id = $1 order by m.id;
--! params {r5,r6}
select m.id from room r join meeting m on m.room = r.id where r.id = any($1) order by m.id;
insert into meeting values ('nosuch', 1, 'x');
insert into meeting values ('r1', 100, 'x'), ('nosuch', 101, 'y'), ('r2', 102, 'z');
select id from meeting where id >= 100 order by id;
insert into guest values ('r1', 100, 'nobody');
delete from meeting where room = 'r2' and id = 1;
delete from room where id = 'r12' returning id;
select count(*) from meeting where room = 'r12';
delete from room where id = 'r1';
update meeting set title = r.name from room r where r.id = meeting.room and meeting.id = 30 returning meeting.title;
update meeting set title = r.name from room r where r.id = meeting.room and meeting.id > 35 returning meeting.id, meeting.title;
delete from guest g using meeting m where m.room = g.room and m.id = g.meeting and m.id < 3 returning g.meeting, g.who;
select id, title from meeting where id > 28 order by id;
create table other (id bigint primary key, room text) partition by hash (id);
insert into other values (1, 'r1'), (2, 'r2');
create table bad (room int primary key references room (id)) partition by hash (room);
--! refused
create table bad (id int primary key, room text references room (id)) partition by hash (id);
-- insert between tables that lie together
create table archive (room text, id int, title text, primary key (room, id)) partition by hash (room);
insert into archive select * from meeting where room = 'r4';
select room, id from archive order by id;
begin;
update room set name = 'changed' where id = 'r7';
update meeting set title = 'changed' where room = 'r7';
select r.name, m.title from room r join meeting m on m.room = r.id where r.id = 'r7' order by m.id;
rollback;
select r.name, m.title from room r join meeting m on m.room = r.id where r.id = 'r7' order by m.id;
