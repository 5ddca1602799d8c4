--! shared
-- UNION, INTERSECT, EXCEPT with and without ALL, nested, over sharded, reference and local relations.
select room from meeting union select id from room order by 1;
select room from meeting union all select id from room order by 1 limit 20;
select room from meeting intersect select id from room order by 1;
select room from meeting except select id from room order by 1;
select id from room except select room from meeting where minutes = 75 order by 1;
select minutes from meeting except all select floor * 15 from room order by 1;
select minutes from meeting intersect all select floor * 15 from room order by 1;
select minutes from meeting union select dept from person order by 1 nulls first;
select dept from person except select id from dept order by 1;
select id from dept except select dept from person order by 1;
select id::int from dept union all select value from setting union all select id from note where id < 3 order by 1;
select name from dept union select name from person where id < 5 order by 1;
select title from meeting where id < 10 union select name from dept union select txt from note order by 1 nulls last;
(select minutes from meeting union select floor from room) except (select value from setting) order by 1;
select minutes from meeting union (select floor from room intersect select value from setting) order by 1;
(select id from meeting where id < 5 union select id from note where id > 17) intersect select generate_series(1, 18) order by 1;
((select id from meeting where minutes = 15) except (select id from meeting where title = 'Topic 1')) union all (select 1000) order by 1;
select count(*) from (select room from meeting union select id from room) s;
select x, count(*) from (select minutes as x from meeting union all select floor from room) s group by x order by x;
select * from (select id, title from meeting where id < 4 union all select id, txt from note where id < 4) s order by id, title;
select id from meeting where id in (select id from note union select value from setting) order by id;
select exists (select room from meeting except select id from room);
select room, id from meeting where id < 6 union all select room, id from meeting where id < 4 order by 1, 2;
select distinct x from (select minutes as x from meeting union all select id from dept) s order by x;
select 1 as one union select count(*)::int from meeting order by 1;
select max(id) from meeting union all select min(id) from meeting order by 1;
select minutes, count(*) from meeting group by minutes union all select null, count(*) from meeting order by 2, 1;
select minutes, max(cost) from meeting group by minutes intersect select minutes, max(cost) from meeting where id > 40 group by minutes order by 1;
select doc from room union select doc from meeting where id < 6 order by 1;
select tags from room union select array['x'] order by 1;
select mood from profile union select 'happy' order by 1;
select home from profile where person < 4 union all select row('x', 1)::address order by 1;
select salary from person union select cost from meeting where id < 10 order by 1 limit 8;
select name from person union select title from meeting;
select id from meeting union select title from meeting;
select id, title from meeting union select id from meeting;
select room from meeting union select id from room order by length(room);
select id from meeting where id < 3 union all select null union all select null order by 1;
select null union select null;
select room from meeting where room = 'r1' union select id from room where id = 'r1';
select room from meeting where room = 'r1' union select id from room where id = 'r2' order by 1;
--! params 3 | r2
select id::text from meeting where id < $1 union select id from room where id = $2 order by 1;
values ('r1'), ('r99') intersect select id from room;
select id from room except values ('r1'), ('r2') order by 1;
table attendance except select person, room, meeting, role from attendance where person > 2 order by 1, 2, 3;
select kind from event union all select kind from event order by 1 limit 3 offset 40;
(select kind from event order by at, id limit 3) union (select kind from event order by at desc, id limit 3) order by 1;
(select minutes from meeting except select 15) union all (select minutes from meeting intersect select 15) order by 1;

-- columns named by what is cast, not by the type
(select row(id, 'y')::text, coalesce(name, 'x')::varchar from person) union all (select row(id, 'z')::text, 'q' from person) order by 1, 2;
(select array[id]::int8[] from person) union all (select array[1]) order by 1 limit 7;
(select (case when id > 3 then 1 else 2 end)::int8, id from person) union (select 3, 4) order by 1, 2;
(select id + 1, id from person) union (select 3, 4) order by 1, 2;
