-- Views over sharded tables, over views, with aggregates; updatable ones; materialised views.
select * from long_meeting order by room, id;
select count(*), sum(cost) from long_meeting;
select title, count(*) from long_meeting group by title order by title;
select * from long_meeting where room = 'r3' order by id;
select * from staff order by id;
select dept, count(*), avg(salary) from staff group by dept order by dept;
select * from rich_staff order by dept, name collate "C", salary;
select dept, count(*) from rich_staff group by dept order by dept;
select * from room_load order by room;
select max(meetings), sum(minutes) from room_load;
select l.room, r.name, l.meetings from room_load l join room r on r.id = l.room order by 1;
select room, meetings from room_load where meetings > (select avg(meetings) from room_load) order by room;
select s.name, n.txt from staff s join note n on n.person = s.id order by s.id;
select * from staff s where exists (select from attendance a where a.person = s.id and a.role = 'chair') order by id;
select id, name from staff order by salary desc nulls last, id limit 5;
--! setup
create view by_minutes as select minutes, count(*) as c, max(title) as t from meeting group by minutes;
select * from by_minutes order by minutes;
select m.id, b.c from meeting m join by_minutes b using (minutes) where m.id < 8 order by 1;
--! setup
create view numbered as select id, room, row_number() over (order by id) as pos from meeting;
select * from numbered where pos between 3 and 6 order by pos;
--! setup
create view both_names as select name from person union select name from dept;
select count(*) from both_names;
select * from both_names order by name limit 5;
--! setup
create view attended with (security_barrier) as select a.person, a.role, m.id, m.title from attendance a join meeting m on m.room = a.room and m.id = a.meeting;
select * from attended order by person, id;
select role, count(*) from attended group by role order by role;
--! setup
create view deep as select b.minutes, b.c, l.meetings from by_minutes b join room_load l on l.meetings = b.c / 2;
select * from deep order by 1, 2, 3;
select definition from pg_views where viewname = 'long_meeting';
select column_name, data_type from information_schema.columns where table_name = 'staff' order by ordinal_position;
-- updatable ones
insert into long_meeting values ('r1', 1001, 'viewed', 60, 5.00);
insert into long_meeting values ('r2', 1002, 'short', 10, 5.00), ('r3', 1003, 'long', 90, 6.00) returning *;
update long_meeting set title = 'changed' where id > 80 returning room, id, title;
update long_meeting set cost = cost + 1 where room = 'r3' returning id, cost;
delete from long_meeting where id in (1001, 1003) returning room, id;
delete from long_meeting where minutes = 75 and cost > 100;
select count(*), sum(cost) from meeting;
--! setup
create view checked as select room, id, minutes from meeting where minutes > 10 with check option;
insert into checked values ('r1', 2001, 5);
insert into checked values ('r1', 2001, 15);
update checked set minutes = 1 where id = 2001;
delete from checked where id = 2001 returning *;
insert into room_load values ('x', 1, 1);
update staff set name = 'x' where id = 1;
insert into staff (id) values (1);
delete from numbered where pos = 1;
-- materialised
create materialized view mv as select minutes, count(*) as c, sum(cost) as s from meeting group by minutes;
select * from mv order by minutes;
select m.id, mv.c from meeting m join mv using (minutes) where m.id < 5 order by 1;
update meeting set minutes = 60 where minutes = 45;
select * from mv order by minutes;
refresh materialized view mv;
select * from mv order by minutes;
create unique index on mv (minutes);
refresh materialized view concurrently mv;
create materialized view mv2 as select id, title from meeting where room = 'r1' with no data;
select * from mv2;
refresh materialized view mv2;
select * from mv2 order by id;
create materialized view mv3 (person, n) as select p.id, count(*) from person p join attendance a on a.person = p.id group by p.id;
select count(*), max(n) from mv3;
drop materialized view mv2;
drop view by_minutes;
drop view deep;
