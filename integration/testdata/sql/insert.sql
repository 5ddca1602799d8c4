-- INSERT of every shape.
create table t (k int primary key, v text default 'dflt', n int not null default 7, at date default '2024-01-01') partition by hash (k);
create table l (k int primary key, v text);
create table two (a text, b int, v text, primary key (a, b)) partition by hash (a);
create table g (k int primary key, a int, b int generated always as (a * 2) stored) partition by hash (k);
insert into t values (1, 'one', 1, '2024-02-01');
insert into t values (2);
insert into t values (3, default, default, default);
insert into t (k) values (4);
insert into t (v, k) values ('five', 5);
insert into t (n, v, k, at) values (6, null, 6, null) returning *;
insert into t values (7, 'seven') returning k as key, upper(v) as up, n + 1;
insert into t as x values (8, 'eight') returning x.k, x.*;
insert into public.t (k, v) values (9, 'nine');
insert into t (k, v) values (10, 'ten'), (11, 'eleven'), (12, 'twelve'), (13, 'thirteen') returning k, v;
insert into t (k, v) values (14, default), (15, 'x'), (16, default);
insert into t values (17), (18), (19);
insert into t values (20, 'x'), (21, 'y', 3), (22);
insert into t (k, v, n) values (1 + 22, 'a' || 'b', length('abc'));
insert into t (k, v) values (24, (select 'sub')), (25, (select v from l where k = 1));
insert into t (k, v) values ((select 26), 'x');
insert into t (k, v) values (abs(-27), 'function'), (28::int8, 'cast'), ('29', 'string'), (30.0, 'numeric'), (31.4, 'rounded');
insert into t (k, v) select 40, 'forty';
insert into t (k, v) values (41, 'it''s'), (42, E'a\tb\n'), (43, $$dollar$$), (44, 'ünïcödé');
--! params 50 | fifty
insert into t (k, v) values ($1, $2);
--! params 51 | 52 | shared
insert into t (k, v) values ($1, $3), ($2, $3) returning k, v;
--! params 53 | null
insert into t (k, v) values ($1, $2), ($1 + 1, 'next') returning *;
--! params 60 | 61 | 62 | 63 | 64 | 65
insert into t (k) values ($1), ($2), ($3), ($4), ($5), ($6) returning k;
insert into t default values;
insert into t (v) values ('no key');
insert into t (k, v) values (null, 'null key');
insert into t (k, v) values (70, 'x'), (null, 'y');
insert into t values (1, 'dup');
insert into t (k, v) values (80, 'a'), (81, 'b'), (1, 'dup'), (82, 'c');
select k from t where k between 80 and 89;
insert into t (k, v) values (83, 'a'), (83, 'b');
insert into t (k, v) values (84, 'a'), (84, 'b') on conflict do nothing;
insert into t (k, n) values (85, null);
insert into t (k, n) values (86, 1), (87, null), (88, 2);
insert into t (k, v) values ('x', 'bad');
insert into t (k, v) values (2147483648, 'too big');
insert into t (k, v) values (1, 2, 3);
insert into t (k, v, k) values (1, 2, 3);
insert into t (k, nosuch) values (1, 2);
insert into nosuch values (1);
insert into t (k, at) values (89, 'notadate');
insert into t (k, v) values (90, 1/0);
insert into t (k, v) values (91, 'a'), (92, (1/0)::text);
select * from t order by k;
insert into two values ('a', 1, 'x'), ('a', 2, 'y'), ('b', 1, 'z') returning *;
insert into two values ('a', 3), ('c', 1), ('d', 1), ('e', 1);
insert into two (b, a) values (9, 'nine'), (10, 'ten');
insert into two values ('a', 1, 'dup');
select * from two order by a, b;
insert into g (k, a) values (1, 2), (2, 3), (3, default) returning *;
insert into g values (4, 5, default) returning b;
insert into g values (5, 5, 6);
insert into g (k, a, b) values (6, 1, 7), (7, 1, default);
select * from g order by k;
insert into l values (1, 'one'), (2, 'two') returning k;
insert into l select k + 10, v from l;
insert into l select k, v from t where k = 5;
with x as (insert into t (k, v) values (100, 'cte') returning k, v) select * from x;
with x as (select 101 as k) insert into t (k) select k from x;
insert into t (k, v) with w as (select 102, 'with') select * from w;
insert into t (k, v) values (103, 'a'), (104, 'b'), (105, 'c'), (106, 'd'), (107, 'e'), (108, 'f'), (109, 'g'), (110, 'h'), (111, 'i'), (112, 'j'), (113, 'k'), (114, 'l'), (115, 'm'), (116, 'n'), (117, 'o'), (118, 'p'), (119, 'q'), (120, 'r'), (121, 's'), (122, 't');
select k, v from t where k > 99 order by k;
-- values that only a server can make; rows are compared in number
create table vol (k int primary key, r float8 default random(), at timestamptz default now(), u uuid default gen_random_uuid()) partition by hash (k);
--! shape
insert into vol (k) values (1), (2), (3), (4) returning *;
--! shape
insert into vol values (5, random(), clock_timestamp(), gen_random_uuid()), (6) returning *;
select count(*) from vol where k = 5 and r between 0 and 1;
-- keys that only a server can make
create table keyed (id uuid default gen_random_uuid() primary key, v int) partition by hash (id);
--! shape
insert into keyed (v) values (1) returning *;
--! shape
insert into keyed (v) values (2), (3), (4), (5) returning *;
--! shape
insert into keyed values (default, 6), (gen_random_uuid(), 7) returning id;
select v from keyed order by v;
create table ser (id serial primary key, v text) partition by hash (id);
--! shape
insert into ser (v) values ('a') returning id;
--! shape
insert into ser (v) values ('b'), ('c'), ('d') returning id, v;
--! shape
insert into ser values (default, 'e'), (default, 'f') returning *;
select v from ser order by v;
create table idt (id bigint generated always as identity primary key, v text) partition by hash (id);
--! shape
insert into idt (v) values ('a'), ('b'), ('c') returning id, v;
insert into idt (id, v) values (1000, 'no');
insert into idt (id, v) overriding system value values (1000, 'yes') returning *;
--! shape
insert into idt (id, v) overriding user value values (2000, 'mine') returning *;
select v from idt order by v;
create table idd (id int generated by default as identity primary key, v text) partition by hash (id);
--! shape
insert into idd (v) values ('a'), ('b') returning *;
insert into idd values (500, 'given'), (501, 'given') returning *;

-- DEFAULT for a key that has none
create table lone (k int, v int not null) partition by hash (k);
insert into lone values (default, 5);
insert into lone values (default, null);
insert into lone (v, k) values (6, default) returning *;
insert into lone values (default, 7), (3, 8);
insert into lone default values;
--! params 9
insert into lone values (default, $1);
select * from lone order by v;
drop table lone;
