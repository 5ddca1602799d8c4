-- EXPLAIN of every plan: that there is one, with PostgreSQL's column; costs and servers differ.
--! ok
explain select * from meeting where room = 'r1' and id = 1;
--! ok
explain select * from meeting order by id;
--! ok
explain (costs off) select minutes, count(*) from meeting group by minutes;
--! ok
explain (format json) select count(*) from meeting;
--! ok
explain select p.id from person p join meeting m on m.id = p.id;
--! ok
explain analyze select count(*) from meeting;
--! ok
explain (analyze, timing off, summary off) select p.id from person p join meeting m on m.id = p.id;
--! ok
explain update meeting set title = 'x' where minutes = 15;
--! ok
explain delete from meeting;
--! ok
explain insert into meeting (room, id) values ('r1', 5000), ('r2', 5001);
--! ok
explain insert into note select id + 100, id, title from meeting;
--! ok
explain (verbose) select room from meeting union select id from room;
--! ok
explain with m as (select * from meeting) select count(*) from m;
--! ok
explain select * from dept;
--! ok
explain select * from setting;
--! ok
explain insert into dept values (50, 'x', 1);
--! ok
explain declare c cursor for select * from meeting;
--! ok
explain merge into room r using meeting m on m.room = r.id and m.id = 1 when matched then delete;
--! ok
explain create table as_made as select * from meeting;
--! ok
explain (costs off) create table as_made (a, b) as select room, id as data from meeting where room = 'r1' with no data;
explain create table person as select * from meeting;
explain create table as_made as select nosuch from meeting;
explain declare c cursor for select nosuch from meeting;
--! ok
explain analyze declare c cursor with hold for select count(*) from meeting;
fetch c;
select * from as_made;
--! params r1
--! ok
explain select * from meeting where room = $1;
explain select nosuch from meeting;
explain select * from nosuch;
explain (nosuch) select * from meeting;
select count(*) from meeting;
begin;
--! ok
explain analyze update meeting set title = 'analysed' where minutes = 15;
select count(*) from meeting where title = 'analysed';
rollback;
