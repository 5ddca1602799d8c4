-- Tables whose shards are chosen by MurmurHash3.
create table i4 (k int, v text) partition by hash (k pleiad.murmur3_ops);
create table i8 (k bigint, v text) partition by hash (k pleiad.murmur3_ops);
create table tx (k text, v text) partition by hash (k pleiad.murmur3_ops);
create table uu (k uuid, v text) partition by hash (k pleiad.murmur3_ops);
--! load
insert into i4 select i, 'v' || i from generate_series(-20, 20) i;
--! load
insert into i8 select i * 10000000000, 'v' || i from generate_series(-20, 20) i;
--! load
insert into tx select repeat('k', i), 'v' || i from generate_series(0, 20) i;
--! load
insert into uu select md5(i::text)::uuid, 'v' || i from generate_series(1, 20) i;
insert into i4 values (100, 'a'), (101, 'b'), (102, 'c'), (103, 'd') returning *;
insert into tx values ('ä', 'a'), ('日本', 'b'), ('', 'c');
select v from i4 where k = 7;
select v from i4 where k = -7;
select v from i8 where k = 30000000000;
select v from tx where k = 'kkk';
select v from tx where k = 'ä';
select v from tx where k = '' order by v;
select v from uu where k = md5('5')::uuid;
select v from uu where k = 'e4da3b7f-bbce-2345-d777-2b0674a318d5';
--! params 12
select v from i4 where k = $1;
--! params -50000000000
select v from i8 where k = $1;
--! params kkkk
select v from tx where k = $1;
--! params e4da3b7f-bbce-2345-d777-2b0674a318d5
select v from uu where k = $1;
select k from i4 where k in (1, 2, 3, 100) order by k;
select k, v from i4 order by k;
select k from i8 order by k desc limit 5;
update i4 set v = 'changed' where k = 5 returning *;
delete from tx where k = 'k' returning v;
select a.k from i4 a join i4 b on a.k = b.k where a.k < -15 order by a.k;
copy i4 from stdin;
200	x
201	y
202	z
\.
select k, v from i4 where k >= 200 order by k;
--! refused
create table num (k numeric) partition by hash (k pleiad.murmur3_ops);
