--! shared
-- LATERAL, on the key and off it, with LIMIT, aggregates, functions and outer joins.
select r.id, m.id from room r, lateral (select id from meeting m where m.room = r.id order by id limit 2) m order by 1, 2;
select r.id, m.id from room r left join lateral (select id from meeting m where m.room = r.id and minutes = 75 order by id limit 1) m on true order by 1, 2;
select r.id, m.c from room r cross join lateral (select count(*) as c from meeting m where m.room = r.id) m order by 1;
select r.id, m.c from room r cross join lateral (select count(*) as c, max(id) as i from meeting m where m.minutes = r.floor * 15) m order by 1;
select m.id, a.person from meeting m, lateral (select person from attendance a where a.meeting = m.id order by person limit 1) a order by 1, 2;
select d.name, p.name from dept d left join lateral (select name from person p where p.dept = d.id order by salary desc nulls last, id limit 1) p on true order by 1;
select s.key, m.id from setting s, lateral (select id from meeting where minutes = s.value * 15 order by id limit 2) m order by 1, 2;
select n.id, p.name from note n, lateral (select name from person where id = n.person) p order by n.id;
select m.id, t.tag from meeting m, lateral jsonb_array_elements_text(m.doc -> 'tags') t(tag) order by 1, 2;
select r.id, t.tag from room r left join lateral unnest(r.tags) t(tag) on true order by 1, 2;
select r.id, g from room r, lateral generate_series(1, r.floor) g order by 1, 2;
select m.id, x.half from meeting m, lateral (select m.minutes / 2 as half) x where x.half > 20 order by 1;
select r.id, x.a, y.b from room r, lateral (select r.floor + 1 as a) x, lateral (select count(*) as b from meeting where minutes = x.a * 15) y order by 1;
select p.id, x.n from person p, lateral (select n.txt as n from note n where n.person = p.id order by n.id limit 1) x order by 1;
select g, m.id from generate_series(1, 3) g, lateral (select id from meeting where minutes = g * 15 order by id limit 2) m order by 1, 2;
select v.x, m.c from (values (15), (30)) v(x), lateral (select count(*) as c from meeting where minutes = v.x) m order by 1;
select count(*) from room r, lateral (select id from meeting m where m.room = r.id order by id limit 2) m;
select r.floor, sum(m.minutes) from room r, lateral (select minutes from meeting m where m.room = r.id order by cost desc nulls last, id limit 3) m group by r.floor order by 1;
select e.id, i.item ->> 'sku' from event e cross join lateral jsonb_array_elements(e.payload -> 'items') with ordinality i(item, pos) where i.pos = 2 order by 1;
select p.id, a.* from person p join lateral (select room, count(*) as c from attendance a where a.person = p.id group by room) a on true where p.id < 4 order by 1, 2;
select r.id from room r right join lateral (select r.id as x) m on true;
