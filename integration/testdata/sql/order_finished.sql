-- Orders that the proxy does not reproduce: PostgreSQL sorts the rows of all servers.
create type pair as (a int, b text);
create table t (k int primary key, x text collate "en-x-icu", y text, p pair, ps pair[], r int4range) partition by hash (k);
--! load
insert into t select g, (array['a', 'B', 'ä', 'Z', 'b', 'A', null])[1 + g % 7] || g % 3, 'y' || g % 4, case when g % 9 > 0 then row(g % 5, 'p' || g % 2)::pair end, array[row(g % 3, null)::pair], int4range(g % 6, g % 6 + 3) from generate_series(1, 90) g;
select x, k from t order by x, k;
select x, k from t order by x desc nulls last, k limit 7 offset 2;
select k from t where k > 10 order by lower(x), k limit 5;
select k, p from t order by p, k limit 9;
select k, p from t order by p desc, k fetch first 3 rows with ties;
select k, p from t order by p nulls first, k desc limit 15;
select p, k from t where p is null order by 1 nulls first, 2;
select k from t order by ps, r, k limit 12;
select x || y as z from t order by z, k limit 5;
select y from t order by y collate "de-x-icu", k limit 5;
select x, 10 / (k - k) from t order by x;
select k from t where k = 3 order by x;
begin;
select x, k from t order by x, k limit 3;
select k from t order by p, k limit 3;
select count(*) from t;
commit;
--! params 5
select x from t where k > $1 order by x, k limit 4;
select distinct x from t order by x;
select x, count(*) from t group by x order by x;
select max(x), min(x) from t;
select y, max(x), min(x collate "C") from t group by y order by max(x), y;
drop table t;
drop type pair;
