--! shared
-- GROUPING SETS, ROLLUP, CUBE and GROUPING().
select room, minutes, count(*) from meeting where room < 'r12' group by rollup (room, minutes) order by room, minutes;
select minutes, title, count(*) from meeting group by rollup (minutes, title) order by minutes, title, count(*);
select minutes, title, grouping(minutes), grouping(title), grouping(minutes, title), count(*) from meeting group by cube (minutes, title) order by 5, 1, 2;
select dept, active, sum(salary) from person group by grouping sets ((dept), (active), ()) order by dept, active, 3;
select dept, active, sum(salary), grouping(dept, active) as g from person group by grouping sets ((dept, active), dept) order by g, dept, active;
select kind, count(*) from event group by rollup (kind) order by kind nulls first;
select kind, sum(amount), avg(amount) from event group by rollup (kind) having count(*) > 10 order by kind;
select extract(day from at) as d, kind, count(*) from event group by cube (d, kind) order by d, kind, count(*);
select room, grouping(room), array_agg(id order by id) from meeting where id < 12 group by rollup (room) order by 2, 1;
select d.name, p.active, count(*) from person p join dept d on d.id = p.dept group by rollup (d.name, p.active) order by 1, 2, 3;
select count(*) from meeting group by grouping sets ((), ());
select minutes, count(*) from meeting group by grouping sets (minutes, ()) order by grouping(minutes), minutes limit 3;
select minutes, count(*) from meeting group by distinct rollup (minutes), rollup (minutes) order by 1, 2;
select v, count(*) from nothing group by rollup (v);
select coalesce(title, 'all') as t, count(distinct minutes), string_agg(distinct minutes::text, ',' order by minutes::text) from meeting group by rollup (title) order by grouping(title), t;
select grouping(id) from meeting group by room;
select doc ->> 'n' as n, minutes, count(*) from meeting group by grouping sets ((doc ->> 'n'), (minutes)) order by n, minutes;
select a, b, sum(s) from (select room as a, minutes as b, sum(cost) as s from meeting group by room, minutes) x group by rollup (a, b) order by a, b, 3 limit 9;
-- other columns of a table whose primary key is in every set
select id, name, grouping(id, dept, boss), count(*) from person group by grouping sets ((id, dept), (id, boss)) order by 1, 3;
select id, name, dept, grouping(dept, active), count(*) from person group by id, rollup (dept, active) order by 1, 4, 3;
select id, name, count(*) from person group by rollup (id) order by 1;
