--! shared
-- LIMIT, OFFSET, FETCH FIRST … WITH TIES, also with expressions, subqueries and NULL, on every level.
select id from meeting order by id limit 5;
select id from meeting order by cost desc nulls last, id limit 5 offset 3;
select minutes from meeting order by minutes fetch first 3 rows with ties;
--! multiset
select minutes, title from meeting order by minutes desc nulls last fetch first 1 row with ties;
select count(*) from (select minutes from meeting order by minutes fetch first 3 rows with ties) s;
--! multiset
select minutes, count(*) from meeting group by minutes order by count(*) desc fetch first 2 rows with ties;
select id from meeting order by id limit (select value from setting where key = 'limit');
select id from meeting order by id limit (select count(*) from room) offset (select max(floor) from room);
select id from meeting order by id limit (select null::int) offset 85;
select id from meeting order by id limit null offset 87;
select id from meeting order by id limit 2 + 1 offset 10 / 3;
select id from meeting order by id limit all offset 88;
select id from meeting order by id limit 0;
select id from meeting order by id limit -1;
select id from meeting order by id offset -1;
select id from meeting order by id offset 1000;
select id from meeting order by id limit 2.5;
select id from meeting order by id limit 'x';
select id from meeting limit id;
--! params 3
select id from meeting order by id limit $1;
--! params 3 | 80
select id from meeting order by id limit $1 offset $2;
--! params null
select id from meeting order by id limit $1;
--! params 2
select minutes from meeting order by minutes fetch first ($1) rows with ties;
select * from (select id, minutes from meeting order by id limit 5) s order by id desc;
select * from (select id from meeting order by id desc limit 3) a, (select id from room order by id limit 2) b order by 1, 2;
select count(*), sum(id) from (select id from meeting order by id limit 10) s;
select minutes, count(*) from (select * from meeting order by cost desc nulls last, id limit 20) s group by minutes order by minutes;
select id from room where id in (select room from meeting order by cost desc nulls last, id limit 4) order by id;
select (select id from meeting order by cost desc nulls last, id limit 1) as costliest;
select r.id, (select m.id from meeting m where m.room = r.id order by m.cost desc nulls last, m.id limit 1) from room r order by r.id;
(select id from meeting order by id limit 2) union all (select id from meeting order by id desc limit 2) order by 1;
(select id from meeting order by id limit 7) order by id desc limit 3;
select id from (select id from (select id from meeting order by id limit 20) a order by id desc limit 10) b order by id limit 5;
select name from person order by name, id limit 8;
select name from person order by name desc, id offset 40;
select name from person order by lower(name), id limit 6;
select id from meeting order by doc ->> 'n' nulls last, id limit 6;
select id from meeting order by (doc -> 'deep' ->> 'x')::int desc nulls last, id limit 4;
select id from event order by payload -> 'user' desc nulls last, id limit 4;
select id, minutes from meeting where minutes > 15 order by minutes * id desc, id limit 5;
select person from profile order by mood desc nulls last, person limit 5;
select person from profile order by home desc nulls last, person limit 5;
select id from room order by tags, id limit 5;
select id from meeting order by rating desc nulls last, id limit 5;
select id from meeting order by title collate "en-x-icu" desc nulls last, id limit 4;
select id from meeting order by id using > limit 3;
select id from meeting order by 1 desc limit 3;
select id as x from meeting order by x limit 3;
select id from meeting order by 2;
select count(*) from meeting limit 1;
select count(*) from meeting limit 0;
select count(*) from meeting offset 1;
table room order by floor, id limit 2;
values (3), (1), (2) order by 1 limit 2;
