-- INSERT … ON CONFLICT.
create table t (k int primary key, v text, n int default 0) partition by hash (k);
--! load
insert into t select i, 'v' || i, i from generate_series(1, 10) i;
insert into t values (1, 'new') on conflict do nothing;
insert into t values (1, 'new') on conflict (k) do nothing returning *;
insert into t values (11, 'new') on conflict (k) do nothing returning *;
insert into t values (1, 'new') on conflict (k) do update set v = excluded.v returning *;
insert into t values (1, 'newer', 5) on conflict (k) do update set v = excluded.v, n = t.n + excluded.n returning k, v, n;
insert into t as x values (1, 'alias', 5) on conflict (k) do update set n = x.n + 1 returning x.n;
insert into t values (2, 'a'), (3, 'b'), (20, 'c'), (21, 'd') on conflict (k) do update set v = excluded.v;
insert into t values (4, 'a'), (5, 'b'), (22, 'c') on conflict (k) do update set v = excluded.v || t.v where t.n > 4 returning *;
insert into t values (6, 'a'), (23, 'b'), (7, 'c') on conflict do nothing returning k;
insert into t values (30, 'a'), (30, 'b') on conflict (k) do update set v = excluded.v;
insert into t values (1, 'x') on conflict on constraint t_pkey do update set v = 'by name' returning *;
insert into t values (1, 'x') on conflict (v) do nothing;
insert into t values (1, 'x') on conflict (nosuch) do nothing;
insert into t values (1, 'x') on conflict (k) do update set nosuch = 1;
insert into t values (1, 'x') on conflict do update set v = 1;
insert into t values (1, 'x') on conflict (k) do update set k = excluded.k + 100;
insert into t values (1, 'x') on conflict (k) do update set (v, n) = (excluded.v, 99) returning *;
insert into t values (1, 'x') on conflict (k) do update set v = (select 'sub') returning v;
insert into t values (1, default, default) on conflict (k) do update set v = default, n = default returning *;
--! params 1 | bound
insert into t (k, v) values ($1, $2) on conflict (k) do update set v = $2 returning *;
--! params 1 | 2 | 40 | many
insert into t (k, v) values ($1, $4), ($2, $4), ($3, $4) on conflict (k) do update set v = excluded.v || '!' returning k, v;
select * from t order by k;
create table d (id text primary key, doc jsonb) partition by hash (id);
insert into d values ('a', '{"n": 1}'), ('b', '{"n": 2}'), ('c', '{"n": 3}');
insert into d values ('a', '{"m": 1}'), ('x', '{"m": 2}') on conflict (id) do update set doc = d.doc || excluded.doc returning id, doc;
insert into d values ('b', '{}') on conflict (id) do update set doc = jsonb_set(d.doc, '{n}', to_jsonb((d.doc ->> 'n')::int + 1)) returning doc ->> 'n';
select * from d order by id;
create table u (a int, b int, c int, primary key (a, b), unique (a, c)) partition by hash (a);
insert into u values (1, 1, 1), (1, 2, 2), (2, 1, 1);
insert into u values (1, 1, 5) on conflict (a, b) do update set c = excluded.c returning *;
insert into u values (1, 9, 5) on conflict (a, c) do update set c = 50 returning *;
insert into u values (1, 9, 2) on conflict do nothing;
insert into u values (1, 9, 2), (3, 3, 3), (2, 5, 1) on conflict (a, c) do nothing returning *;
insert into u values (1, 9, 2);
select * from u order by a, b;

-- SET names the key, too, as what it is
create table whole (key int primary key, fruit text, n int) partition by hash (key);
insert into whole values (1, 'a', 1), (2, 'b', 2);
insert into whole values (1, 'y', 5), (2, 'z', 6) on conflict (key) do update set key = excluded.key, fruit = excluded.fruit;
insert into whole values (1, 'c', 5), (2, 'd', 6), (3, 'e', 7) on conflict (key) do update set (key, fruit) = (excluded.key, excluded.fruit);
insert into whole values (1, 'f', 5), (2, 'g', 6) on conflict (key) do update set (fruit, key) = row(excluded.fruit, excluded.key) returning *;
insert into whole values (1, 'h', 8) on conflict (key) do update set (fruit, key, n) = (excluded.fruit, excluded.key, excluded.n + whole.n);
select * from whole order by key;
drop table whole;
