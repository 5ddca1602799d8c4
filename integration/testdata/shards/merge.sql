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
merge into delivery d using stock s on s.sku = d.sku when matched then update set qty = s.qty when not matched then insert values (100 + s.qty % 1000, s.sku, s.qty);
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
