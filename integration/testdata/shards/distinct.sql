--! shared
-- DISTINCT and DISTINCT ON.
select distinct minutes from meeting order by minutes;
select distinct minutes from meeting;
select distinct title, minutes from meeting order by title, minutes;
select distinct room from meeting order by room;
select distinct room, minutes from meeting where id < 20 order by room, minutes;
select distinct doc from room order by doc;
select distinct doc -> 'n' from meeting order by 1;
select distinct name from person order by name;
select distinct left(name, 1) as initial from person order by initial desc;
select distinct on (minutes) minutes, id, title from meeting order by minutes, id;
select distinct on (minutes) minutes, id, title from meeting order by minutes desc nulls last, id desc;
select distinct on (room) room, id, cost from meeting order by room, cost desc nulls last, id;
select distinct on (minutes / 30, title) minutes / 30 as h, title, id from meeting order by minutes / 30, title, id desc;
select distinct on (kind) kind, at, id from event order by kind, at desc, id;
select distinct on (dept) dept, name, salary from person order by dept, salary desc nulls last, id limit 3;
select distinct on (1) minutes, id from meeting order by 1, 2;
select distinct on (a) a, b from (select minutes as a, id as b from meeting) s order by a, b;
select distinct count(*) from meeting group by room order by 1;
select distinct minutes, count(*) over (partition by minutes) from meeting order by 1;
select distinct mood from profile order by mood;
select distinct home from profile order by home;
select distinct moods from profile order by moods nulls first;
select distinct unnest(tags) from room order by 1;
select distinct r.floor, m.minutes from room r join meeting m on m.room = r.id order by 1, 2;
select distinct d.name from dept d join person p on p.dept = d.id order by d.name;
select distinct minutes from meeting order by minutes limit 3 offset 1;
select distinct minutes from meeting order by minutes desc fetch first 2 rows with ties;
select distinct minutes from meeting order by id;
select distinct on (minutes) id from meeting order by id;
select count(*) from (select distinct title, minutes from meeting) s;
select distinct 1 from meeting;
select distinct active, null as nothing from person order by active;
select distinct row(minutes, title) from meeting where id < 9 order by 1;
select distinct * from attendance where person < 3 order by person, room, meeting;
select all minutes from meeting where id < 4 order by id;
--! params 15
select distinct minutes / $1 as q from meeting order by q;
