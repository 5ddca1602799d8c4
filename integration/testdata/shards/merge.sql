-- MERGE with any source, on the key and off it.
--! setup
set pleiad.shard_count = 8;
--! setup
create table stock (sku text collate "C" primary key, qty int, note text) partition by hash (sku);
--! setup
create table delivery (id int primary key, sku text collate "C", qty int) partition by hash (id);
--! setup
create table here (sku text collate "C" primary key, qty int) partition by hash (sku);
--! setup
insert into stock values ('a', 1, 'x'), ('b', 2, 'y'), ('c', 3, null), ('d', 4, 'z');
--! load
insert into delivery select i, chr(96 + i), i * 10 from generate_series(1, 6) i;
--! setup
insert into here values ('a', 100), ('d', 400), ('h', 800);
merge into stock s using here h on h.sku = s.sku when matched then update set qty = s.qty + h.qty when not matched then insert values (h.sku, h.qty, 'new');
select * from stock order by sku;
merge into stock s using delivery d on d.sku = s.sku when matched and d.qty > 20 then update set qty = d.qty, note = 'big' when matched then delete when not matched then insert (sku, qty) values (d.sku, d.qty);
select * from stock order by sku;
merge into stock s using (values ('c', 5), ('q', 6)) v(sku, qty) on v.sku = s.sku when matched then update set qty = v.qty when not matched then insert values (v.sku, v.qty, 'value');
merge into stock s using (select sku, sum(qty) as qty from delivery group by sku) d on d.sku = s.sku when matched then update set qty = s.qty - d.qty;
merge into stock s using dept d on d.name = s.sku when not matched then insert values (d.name, d.id, 'dept');
merge into stock s using setting t on t.key = s.sku when not matched and t.value is not null then insert values (t.key, t.value, 'setting');
merge into stock s using (select 'a' as sku) d on d.sku = s.sku when matched then do nothing when not matched then insert values ('a', 0, null);
merge into stock s using delivery d on d.sku = s.sku and d.id < 3 when matched then delete;
merge into stock s using delivery d on true when matched then update set qty = 0;
merge into delivery d using stock s on s.sku = d.sku when matched then update set qty = s.qty when not matched then insert values (hashtext(s.sku), s.sku, s.qty);
merge into dept d using (select dept, count(*) as c from person where dept is not null group by dept) p on p.dept = d.id when matched then update set budget = p.c when not matched then insert values (p.dept, 'made', p.c);
merge into setting t using (select kind, count(*) as c from event group by kind) e on e.kind = t.key when not matched then insert values (e.kind, e.c);
--! params b | 9
merge into stock s using (select $1::text as sku, $2::int as qty) v on v.sku = s.sku when matched then update set qty = v.qty when not matched then insert values (v.sku, v.qty, 'param');
with d as (select sku, qty from delivery where id > 2) merge into stock s using d on d.sku = s.sku when matched then update set note = 'with';
merge into stock s using nosuch n on n.sku = s.sku when matched then delete;
merge into stock s using delivery d on d.sku = s.sku when matched then update set qty = 1 / (s.qty - s.qty);
select * from stock order by sku;
select * from delivery order by id;
select * from dept order by id;
select * from setting order by key;
-- off the key, with rows to insert, and into reference tables
--! setup
create table bin (sku text collate "C" primary key, qty int, note text) partition by hash (sku);
--! setup
create table shipment (id int primary key, sku text collate "C", qty int, made text default 'def') partition by hash (id);
--! setup
create table loc (sku text, n int);
--! setup
insert into loc values ('a', 1), ('zz', 2), ('c', 9);
--! setup
insert into bin values ('a', 1, 'x'), ('b', 2, 'y'), ('c', 3, null), ('d', 4, 'z');
--! setup
insert into shipment select i, chr(96 + i), i * 10 from generate_series(1, 6) i;
merge into bin s using (select * from shipment where id = 1) d on true when matched then update set qty = 0;
merge into bin s using shipment d on s.qty + 10 = d.qty and s.note is not null when matched and s.sku = 'a' then delete when matched then update set note = d.sku || s.note;
merge into bin s using shipment d on d.qty > 1000 when matched then delete;
merge into shipment d using loc on loc.sku = d.sku when matched and d.qty > 3 then update set qty = loc.n when not matched and loc.n > 5 then insert (id, sku) values (500 + loc.n, loc.sku) when not matched then insert (sku, id, made) values (loc.sku, 600 + loc.n, default);
merge into shipment d using (values ('q', 1), ('r', 2), ('a', 3)) v(k, n) on v.k = d.sku when not matched then insert values (700 + n, v.k, (select count(*) from meeting where minutes = 30));
merge into shipment d using (values ('q', 1), ('r', 2), ('s', 3)) v(k, n) on v.k = d.sku when matched and v.n = 1 then do nothing when matched then update set qty = d.qty * 2, made = v.k when not matched and v.n = 7 then do nothing when not matched then insert values (800 + n, v.k, v.n, 'made');
with w as (select sku, max(qty) as m from bin group by sku), z as (select 1 as one) merge into shipment d using w on w.sku = d.sku when matched then update set qty = m when not matched then insert values (hashtext(w.sku), w.sku, w.m, null);
merge into shipment d using (values ('q1', 1), ('q2', 1)) v(k, n) on v.k = d.sku when not matched then insert values (5000 + n, v.k, 1);
merge into shipment d using (values ('w1', 1), ('w2', 1)) v(k, n) on v.k = d.sku when matched then delete;
merge into shipment d using (values ('a', 1), ('a', 2)) v(k, n) on v.k = d.sku when matched then update set qty = n when not matched then insert values (0, '', 1);
merge into shipment d using nosuch v on v.k = d.sku when matched then update set qty = n when not matched then insert values (0, '', 1);
merge into shipment d using (values ('zq', 1)) v on v.column1 = d.sku when matched then update set qty = column2 when not matched then insert values (column2 + 7777, v.column1, '12');
merge into dept d using person p on p.id = d.id and p.id < 4 when matched then update set name = p.name;
merge into dept d using loc p on p.n = d.id when matched then update set name = sku when not matched then insert values (n * 10, sku, n);
merge into dept d using (values (1, 'one'), (77, 'seven')) p(n, w) on p.n = d.id when matched and d.budget > (select count(*) from meeting) then delete when matched then update set name = w || 'x' when not matched then insert values (n * 10, w, (select count(*) from meeting));
merge into setting s using (select kind, count(*) as c from event group by kind) p on p.kind = s.key when matched then delete when not matched then insert values (kind, c);
merge into setting s using dept d on d.name = s.key when not matched then insert values (d.name, d.id);
merge into setting s using dept d on true when matched and d.id = 1 then update set value = d.id;
merge into setting s using dept d on true when matched then update set value = d.id;
--! params zz | 3
merge into shipment d using (select $1::text as k, $2::int as n) v on v.k = d.sku when matched then update set qty = v.n when not matched then insert (id, sku) values (v.n + 9000, v.k);
--! params new | 4
merge into shipment d using (select $1::text as k, $2::int as n) v on v.k = d.sku when matched then update set qty = v.n when not matched then insert (id, sku) values (v.n + 9000, v.k);
select * from bin order by sku;
select * from shipment order by id;
select * from dept order by id;
select * from setting order by key;
-- A source's column of a name that the proxy's own might have.
merge into room using (select name as c0, 'x' as c1 from holiday) s on room.id = s.c0 when matched then update set tags = null;
merge into room using (select 'r' || person as c0, txt as c1 from note) s on room.id = s.c0 when matched then update set name = s.c1 when not matched then insert (id, name) values (s.c0, s.c1);
select id, name from room order by id;
