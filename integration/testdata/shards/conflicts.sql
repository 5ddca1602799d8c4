-- ON CONFLICT, with subqueries, conditions, excluded, and INSERT … SELECT.
--! setup
set pleiad.shard_count = 8;
--! setup
create table stock (sku text collate "C" primary key, qty int not null default 0, note text, at date default '2024-01-01') partition by hash (sku);
--! setup
insert into stock values ('a', 1, 'first'), ('b', 2, 'second'), ('c', 3, null), ('d', 4, 'fourth');
insert into stock values ('a', 10), ('z', 26) on conflict do nothing returning *;
insert into stock values ('b', 10, 'x') on conflict (sku) do update set qty = stock.qty + excluded.qty, note = excluded.note returning *;
insert into stock values ('a', 5), ('c', 5), ('e', 5) on conflict (sku) do update set qty = excluded.qty * 2 where stock.qty < 3 returning sku, qty;
insert into stock values ('a', 1), ('d', 1) on conflict (sku) do update set qty = (select max(id) from meeting) returning *;
insert into stock values ('c', 1) on conflict (sku) do update set note = (select title from meeting where id = 5), qty = stock.qty + (select count(*) from room) returning *;
insert into stock values ('a', (select count(*) from dept)), ('f', 0) on conflict (sku) do update set qty = excluded.qty returning *;
insert into stock select kind, count(*), max(kind) from event group by kind on conflict (sku) do update set qty = excluded.qty returning *;
insert into stock select kind, count(*), max(kind) from event group by kind on conflict (sku) do update set qty = stock.qty + excluded.qty, note = 'twice' returning *;
insert into stock select room, id from meeting where id < 5 on conflict do nothing returning sku;
insert into stock select room, sum(minutes) from meeting group by room on conflict (sku) do update set qty = excluded.qty where stock.qty <> excluded.qty returning sku, qty;
insert into stock select id, floor from room on conflict (sku) do nothing;
insert into stock select sku, qty + 1 from stock where sku < 'e' on conflict (sku) do update set qty = excluded.qty returning *;
insert into stock values ('dup', 1), ('dup', 2) on conflict (sku) do update set qty = excluded.qty;
insert into stock values ('dup', 1), ('dup', 2) on conflict (sku) do nothing returning *;
insert into stock values ('a', 1) on conflict (qty) do nothing;
insert into stock values ('a', null) on conflict (sku) do nothing;
insert into stock values ('a', 1) on conflict (sku) do update set qty = null;
insert into stock values ('a', 1) on conflict on constraint stock_pkey do update set qty = -1 returning *;
insert into stock values ('b', 1) on conflict (sku) do update set (qty, note) = (select count(*), max(kind) from event) returning *;
insert into stock values ('b', 1) on conflict (sku) do update set qty = stock.qty where exists (select from meeting where minutes = stock.qty) returning *;
insert into stock as s values ('c', 9) on conflict (sku) do update set note = s.note || '+' || excluded.qty returning s.*;
--! params a | 77
insert into stock values ($1, $2) on conflict (sku) do update set qty = $2 + 1 returning *;
insert into dept values (1, 'Sales+', 1), (5, 'New', 5) on conflict (id) do update set name = excluded.name, budget = dept.budget + (select count(*) from meeting) returning *;
insert into dept select id + 20, name, 0 from room_load r join room on room.id = r.room join lateral (select 3 as id) x on true where r.room = 'r1' on conflict do nothing returning *;
insert into setting values ('limit', 6) on conflict (key) do update set value = (select count(*) from meeting) returning *;
-- subqueries that depend on the row, over other shards
insert into stock values ('b', 1) on conflict (sku) do update set qty = 30 where exists (select from meeting where minutes = stock.qty) returning *;
insert into stock values ('b', 1), ('d', 2), ('a', 3) on conflict (sku) do update set qty = 45 where exists (select from meeting where minutes = stock.qty) returning *;
insert into stock values ('b', 1), ('d', 2), ('a', 3) on conflict (sku) do update set (qty, note) = (select count(*), max(title) from meeting where id < stock.qty + excluded.qty) returning sku, qty, note, (select count(*) from stock s where s.qty < stock.qty);
insert into stock values ('b', 1), ('d', 2), ('z', 3) on conflict (sku) do update set qty = (select max(p.id) from person p, note n where n.person = p.id and p.id < excluded.qty * 10) returning sku, (select count(*) from stock s where s.sku < stock.sku), (select name from dept where id = 1);
insert into stock values ('b', 1), ('d', 2), ('y', 3) on conflict (sku) do update set (note, qty) = (excluded.note, excluded.qty + (select count(*) from long_meeting l where l.id < excluded.qty)) returning *;
insert into stock select 'q' || id, id from dept returning sku, (select max(title) from meeting where id = stock.qty);
insert into stock values ('b', 1), ('c', 3) on conflict (sku) do update set note = (select max(m::text) from meeting m where m.id = excluded.qty) returning *;
insert into dept values (1, 'S', 1), (60, 'N', 5) on conflict (id) do update set name = (select max(title) from meeting where id = dept.id) returning *;
insert into dept values (1, 'S', 1), (60, 'N', 5) on conflict (id) do update set (name, budget) = (select max(title), 7 from meeting) returning *;
update stock set (qty, note) = (select count(*), max(kind) from event) where sku in ('a', 'b', 'c') returning *;
update stock set (qty, note) = (select count(*), max(title) from meeting where id = stock.qty) returning *;
update stock set (note, qty) = (select max(title), count(*) from meeting m where m.room = 'r' || stock.qty) where sku > 'b' returning sku, qty;
with x as (select 'a' as sku, 5 as n) insert into stock select * from x on conflict (sku) do update set (qty, note) = (select count(*), max(kind) from event where amount > stock.qty) returning *;
insert into stock (sku, qty) select kind, count(*) from event group by kind on conflict (sku) do update set (qty, note) = (select count(*), max(kind) from event where amount > stock.qty) returning *;
insert into stock (sku, qty) select kind, count(*) from event where kind = 'click' group by kind on conflict (sku) do update set qty = (select max(m.id) from meeting m join event e on m.minutes = length(e.kind) * 5) + excluded.qty returning *;
select * from stock order by sku;
select * from dept order by id;
