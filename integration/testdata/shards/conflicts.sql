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
select * from stock order by sku;
select * from dept order by id;
