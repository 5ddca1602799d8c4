-- UPDATE and DELETE on one shard and on many.
create table t (k int primary key, v text, n int) partition by hash (k);
create table s (k int primary key, w text) partition by hash (k);
create table l (k int primary key, v text);
--! load
insert into t select i, 'v' || i, i % 5 from generate_series(1, 40) i;
--! load
insert into s select i, 'w' || i from generate_series(1, 40, 2) i;
--! load
insert into l select i, 'l' || i from generate_series(1, 10) i;
update t set v = 'x' where k = 1;
update t set v = 'x' where k = 1 returning *;
update t set v = 'x' where k = 1000 returning *;
update t set v = v || '+', n = n + 1 where k in (1, 2, 3) returning k, v, n;
update t set n = n + 10 where n = 2;
update t set n = n + 10 where n = 3 returning k, n, v;
update t set v = default where k > 38;
update t as x set v = upper(x.v) where x.n = 1 returning x.k, x.v;
update t set (v, n) = ('both', 99) where k = 4 returning *;
update t set (v, n) = row('both', 98) where k in (4, 5) returning *;
update t set n = 5 where false returning *;
update t set n = n where k < 0;
update t set v = (select 'scalar') where k = 6 returning v;
update t set v = 'y' where k = any('{7,8,9}') returning k;
update t set v = case when n > 50 then 'big' else 'small' end where k < 10 returning k, v;
--! params 11 | bound
update t set v = $2 where k = $1 returning *;
--! params bound again | 3
update t set v = $1 where n = $2 returning k, v;
--! params {12,13,14}
update t set n = 0 where k = any($1) returning k, n;
update t set n = 1/0 where k = 5;
update t set n = 1 / (k - 20);
select k, n from t where k between 15 and 25 order by k;
update t set n = 'x' where k = 5;
update t set k = k where k = 5 returning *;
update nosuch set v = 1;
update t set v = 'a', v = 'b';
update t set v = s.w from s where s.k = t.k and t.k = 15 returning t.k, t.v, s.w;
update t set v = s.w from s where s.k = t.k returning t.k, t.v;
update t set n = 1000 where exists (select from s where s.k = t.k) returning k, n;
update t set n = 2000 where k = 16 and not exists (select from s where s.k = 16) returning k, n;
with x as (update t set n = 7 where k = 17 returning *) select k, n from x;
delete from t where k = 30;
delete from t where k = 30;
delete from t where k = 31 returning *;
delete from t where k in (32, 33, 34) returning k, v;
delete from t where n = 14 returning k;
delete from t as x where x.k > 36 and x.v is null returning x.k;
delete from t using s where s.k = t.k and t.k = 21 returning t.k, s.w;
delete from t using s where s.k = t.k and t.k < 10 returning t.k, s.w;
delete from t where exists (select from s where s.k = t.k and s.w like 'w1%') returning k;
--! params 22
delete from t where k = $1 returning k;
--! params {23,24}
delete from t where k = any($1) returning k;
--! params 4
delete from t where n = $1 returning k, n;
with gone as (delete from t where k = 25 returning *) select k from gone;
delete from t where nosuch = 1;
select * from t order by k;
delete from t;
delete from t;
select * from t;
-- rows keep their place when a key is set to itself, and cannot be lost when it changes
insert into t values (1, 'a', 1), (2, 'b', 2);
update t set k = 1, v = 'same' where k = 1 returning *;
select * from t where k = 1;
-- local tables as ever
update l set v = 'z' where k < 3 returning *;
delete from l where k > 8 returning *;
merge into l using (values (1, 'm'), (100, 'new')) as m (k, v) on l.k = m.k when matched then update set v = m.v when not matched then insert values (m.k, m.v);
select * from l order by k;
-- MERGE on one shard
merge into t using (values (1, 'merged')) as m (k, v) on t.k = m.k and t.k = 1 when matched then update set v = m.v;
select * from t order by k;
truncate t;
select * from t;
