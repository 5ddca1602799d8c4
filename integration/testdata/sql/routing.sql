-- Where a key can stand in a query: IN, ANY, OR, row values, casts, joins, subqueries, CTEs.
create table t (k int primary key, v text, n int) partition by hash (k);
create table c (a int, b text, n int, primary key (a, b)) partition by hash (a, b);
create table local (k int primary key, v text);
--! load
insert into t select i, 'v' || i, i % 7 from generate_series(1, 60) i;
--! load
insert into c select i, chr(96 + j), i * j from generate_series(1, 12) i, generate_series(1, 3) j;
--! load
insert into local select i, 'l' || i from generate_series(1, 10) i;
-- one key
select * from t where k = 5;
select * from t where 5 = k;
select * from t where (k) = (5);
select * from t where k = 5 and n = 5;
select * from t where k = 5 and n = 6;
select * from t where n = 5 and (v = 'v5' and k = 5);
select * from t where k = 5 and k = 6;
select * from t where k = 5::int8;
select * from t where k = 5::int2;
select * from t where k = '5';
select * from t where k = 5.0;
select * from t where k = 5.5;
select * from t where k = 5e0;
select * from t where k = -5;
select * from t where k = - 5;
select * from t where k = +5;
select * from t where k = 2 + 3;
select * from t where k = abs(-5);
select * from t where k + 0 = 5;
select * from t where k::text = '5';
select * from t where not k <> 5;
select * from t where k between 5 and 5;
select * from t where k >= 5 and k <= 6 order by k;
select * from t where k < 4 order by k;
select * from t where k > 57 order by k desc;
select * from t where k = 5 or n = 100;
select * from t where (k = 5) is true;
select * from t where (k = 5) is not false order by k;
select * from t where case when k = 5 then true else false end;
select * from t where coalesce(k, 0) = 5;
select * from t where k = null;
select * from t where k is null;
select * from t where k is not null order by k limit 3;
select * from t where k is not distinct from 5;
select * from t where k is distinct from 5 and k < 8 order by k;
select * from t as x where x.k = 5;
select x.* from public.t as x (key, val) where x.key = 5;
select public.t.v from public.t where public.t.k = 5;
select * from only t where k = 5;
select * from t * where k = 5;
select * from (select * from t) s where s.k = 5;
select * from (select * from t where k = 5) s;
select * from (select k as kk, v from t) s where kk = 5;
select * from (select * from t where k = 5 offset 0) s where v = 'v5';
with s as (select * from t where k = 5) select * from s;
with s as materialized (select * from t where k = 5) select v from s where k = 5;
with s as (select 5 as k) select t.* from t, s where t.k = s.k and t.k = 5;
select (select v from t where k = 5);
select (select v from t where k = 500) is null as none;
select exists (select from t where k = 5);
select * from local where k = (select n from t where k = 5);
select 1 where exists (select * from t where k = 7) and not exists (select * from t where k = 700);
select count(*), sum(n), min(v), max(v), array_agg(v) from t where k = 5;
select n, count(*) from t where k = 5 group by n having count(*) > 0;
select distinct v from t where k = 5;
select v, row_number() over (order by v), lag(v) over () from t where k = 5;
select v from t where k = 5 union all select v from t where k = 5;
select v from t where k = 5 union select 'x' order by 1;
select v from t where k = 5 except select v from t where k = 5;
select * from t where k = 5 for update;
select * from t where k = 5 for share of t;
select k, v from t where k = 5 limit 1 offset 0;
select k, v from t where k = 5 fetch first row only;
select * from t tablesample system (100) where k = 5;
select generate_series(1, n) from t where k = 3 order by 1;
select k, x from t, generate_series(1, 2) x where k = 5 order by x;
select k, x from t, lateral (select n + 1 as x) s where k = 5;
select k, s.v from t, lateral (select l.v from local l where l.k = t.k) s where t.k = 5;
-- parameters
--! params 5
select * from t where k = $1;
--! params 5
select * from t where $1 = k;
--! params 5 | v5
select * from t where k = $1 and v = $2;
--! params 5
select * from t where k = $1::bigint;
--! params 5
select * from t where k = $1::text::int;
--! params 2 | 3
select * from t where k = $1 + $2;
--! params 5 | x
select k, $2::text from t where k = $1;
--! params 5
select * from t where k = $1 and exists (select from t u where u.k = $1);
-- several keys
select * from t where k in (5, 6, 7) order by k;
select * from t where k in (5);
select * from t where k in (5, 5, 5);
select * from t where k in (5, null) order by k;
select * from t where k not in (1, 2, 3) and k < 7 order by k;
select * from t where k in (select 5);
select * from t where k = any(array[5, 6]) order by k;
select * from t where k = any('{5,6,7}') order by k;
select * from t where k = any('{5,6,7}'::int[]) order by k;
select * from t where k = any('{}');
select * from t where k = any(null);
select * from t where k = any('{5,null,6}') order by k;
select * from t where k <> all('{5,6}') and k < 8 order by k;
select * from t where k = some(array[5, 6]) order by k;
--! params {5,6,9}
select * from t where k = any($1) order by k;
--! params {5,6,9}
select * from t where k = any($1::int[]) order by k;
--! params {}
select * from t where k = any($1) order by k;
--! params null
select * from t where k = any($1) order by k;
--! params 5 | 6 | 7
select k from t where k in ($1, $2, $3) order by k;
--! params 5 | 6
select k from t where k = any(array[$1, $2]::int[]) order by k;
select * from t where k = 5 or k = 6 order by k;
select * from t where k = 5 or (k = 6 and n = 6) order by k;
select * from t where (k = 5 and n = 5) or (k = 6 and n = 100) order by k;
select * from t where k = 5 or k in (7, 8) or k = any('{9}') order by k;
select * from t where (k = 5 or k = 6) and (k = 6 or k = 7) order by k;
select * from t where k = 5 and (n = 1 or n = 5) order by k;
select * from t where k in (5, 6) and n = 6 order by k;
-- composite keys
select * from c where a = 3 and b = 'b';
select * from c where b = 'b' and a = 3;
select * from c where (a, b) = (3, 'b');
select * from c where row(a, b) = row(3, 'b');
select * from c where (b, a) = ('b', 3);
select * from c where (a, b) in ((3, 'b'), (4, 'c')) order by a, b;
select * from c where a in (3, 4) and b = 'b' order by a;
select * from c where a = 3 and b in ('a', 'c') order by b;
select * from c where a = 3 order by b;
select * from c where b = 'b' order by a;
select * from c where a = 3 and b = 'b' or a = 4 and b = 'c' order by a, b;
select * from c where a = 3 and b = any('{a,b}') order by b;
--! params 3 | b
select * from c where a = $1 and b = $2;
--! params 3 | b | 4 | c
select * from c where (a, b) in (($1, $2), ($3, $4)) order by a, b;
select * from c where (a, b, n) = (3, 'b', 6);
select * from c where (a, b) > (11, 'b') order by a, b;
-- joins of one shard
select x.v, y.v from t x join t y on x.k = y.k where x.k = 5;
select x.v, y.v from t x join t y using (k) where k = 5;
select x.v, y.v from t x, t y where x.k = y.k and y.k = 5;
select x.v, y.v from t x natural join t y where x.k = 5;
select x.v, y.v from t x left join t y on x.k = y.k and y.n = 100 where x.k = 5;
select x.v, y.v from t x join t y on y.k = 5 where x.k = 5;
select x.v, y.v from t x full join t y on x.k = y.k where x.k = 5 and y.k = 5;
select x.v, y.v from t x join t y on x.k = y.k where x.k in (5, 6) order by x.k;
select x.k, y.k from t x, t y where x.k = 5 and y.k = 5;
select x.k, count(*) from t x join t y on x.k = y.k where x.k = 5 group by x.k;
select * from t where k = 5 and exists (select from t u where u.k = t.k and u.k = 5);
-- nothing to route by
select v from t order by k limit 4;
select k from t where v = 'v33';
select k from t where n = 3 order by k;
select k, v from t where v like 'v1%' order by k;
select * from t where false;
select * from t where true order by k limit 2;
select * from t where k in (select k from local where k < 0);
select k from t where random() >= 0 order by k limit 5;
table local;
table t order by k limit 2;
