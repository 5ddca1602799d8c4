-- ORDER BY over several servers: NULLS, directions, expressions, hidden columns, LIMIT and OFFSET.
create table t (k int primary key, i int, b bigint, f float8, n numeric(12,3), d date, ts timestamptz, bo bool, u uuid, j jsonb, x text collate "C", by bytea, iv interval) partition by hash (k);
--! load
insert into t select i, nullif(i % 9, 4), -i * 1000000000::bigint, case i % 6 when 0 then 'NaN' when 1 then 'Infinity' when 2 then '-Infinity' when 3 then null else i / 3.0 end, (i % 11) - 5.125, '2024-01-01'::date + i % 13, '2024-01-01 00:00+00'::timestamptz + i % 17 * interval '1 hour', nullif(i % 3, 2) = 1, md5(i::text)::uuid, case i % 4 when 0 then 'null'::jsonb when 1 then to_jsonb(i) when 2 then to_jsonb('s' || i) else jsonb_build_object('n', i) end, chr(65 + i % 7) || chr(97 + i % 5), decode(md5(i::text), 'hex'), i % 5 * interval '1 day' + i % 3 * interval '12 hours' from generate_series(1, 60) i;
select k from t order by k;
select k from t order by k desc;
select k, i from t order by i, k;
select k, i from t order by i desc, k;
select k, i from t order by i nulls first, k;
select k, i from t order by i desc nulls last, k desc;
select k, b from t order by b;
select k, f from t order by f, k;
select k, f from t order by f desc, k;
select k, f from t order by f nulls first, k;
select k, n from t order by n, k;
select k, n from t order by n desc, k;
select k, d from t order by d, k;
select k, ts from t order by ts desc, k;
select k, bo from t order by bo, k;
select k, bo from t order by bo desc nulls last, k;
select k, u from t order by u;
select k, u from t order by u desc limit 7;
select k, x from t order by x, k;
select k, x from t order by x desc, k desc limit 11;
select k from t order by by;
select k from t order by by desc limit 3 offset 5;
select k, iv from t order by iv, k;
select k, j from t order by j, k;
-- what is sorted by is not selected
select i from t order by k;
select k from t order by i, k;
select x from t order by k desc limit 5;
select 1 as one from t order by k limit 3;
select k + 1 as next from t order by k limit 3;
-- expressions, positions, aliases
select k, i from t order by 2, 1;
select k, i from t order by 2 desc nulls last, 1 desc;
select k as z, i from t order by z desc limit 4;
select k, -k as minus from t order by minus limit 4;
select k from t order by -k;
select k from t order by k % 7, k;
select k from t order by k % 7 desc, k / 7;
select k from t order by abs(k - 30), k limit 9;
select k from t order by (k = 5) desc, k limit 3;
select k from t order by case when k > 50 then 0 else 1 end, k limit 12;
select k, coalesce(i, -1) as ci from t order by coalesce(i, -1), k limit 9;
select k, n * 2 as dbl from t order by n * 2 desc, k limit 6;
select k, f::numeric from t where i > 6 and k % 6 > 3 order by f::numeric, k;
select k from t order by (j ->> 'n')::int nulls last, k limit 20;
select k from t order by j -> 'n' desc nulls last, k limit 8;
select k from t order by md5(k::text) collate "C" limit 6;
select k from t order by d + 1, ts - interval '1 day', k limit 10;
select k, i from t order by i using <, k limit 5;
select k, i from t order by i using >, k limit 5;
select k from t order by random() * 0, k limit 3;
select k from t order by 'x' || k limit 3;
select k from t order by (select 1), k limit 3;
select t.* from t order by t.k limit 1;
select * from t x order by x.k desc limit 1;
-- row values
select k from t order by (i, k) limit 5;
select k from t order by row(d, k) desc limit 5;
-- LIMIT and OFFSET
select k from t order by k limit 0;
select k from t order by k limit 1;
select k from t order by k limit 100;
select k from t order by k limit all;
select k from t order by k limit null;
select k from t order by k offset 55;
select k from t order by k offset 100;
select k from t order by k limit 5 offset 3;
select k from t order by k desc limit 5 offset 57;
select k from t order by k offset 2 limit 2;
select k from t order by k limit 2 + 1;
select k from t order by k fetch first 3 rows only;
select k from t order by k offset 3 rows fetch next 2 rows only;
select k from t order by k fetch first row only;
--! params 3
select k from t order by k limit $1;
--! params 3 | 10
select k from t order by k limit $1 offset $2;
--! params null | 58
select k from t order by k limit $1 offset $2;
--! params 0
select k from t order by k limit $1;
--! params -1
select k from t order by k limit $1;
--! params -1
select k from t order by k offset $1;
--! params 5
select k, $1::int as p from t order by k limit $1;
--! params 4 | 2
select k from t where i = $1 + 1 order by k desc limit $2;
select k from t order by k limit -1;
select k from t order by k offset -1;
select k from t order by i desc nulls last, k fetch first 3 rows with ties;
--! shape
select k from t limit 7;
--! shape
select k from t limit 7 offset 10;
--! shape
select k from t offset 50;
select k from t limit 0;
-- several columns from few servers
select k, i from t where k in (1, 2, 3, 4, 5) order by i desc nulls last, k;
select k from t where k = any('{9,8,7}') order by k desc;
select k from t where i = 3 and bo order by n, k;
-- names
select k as "Order", i as "by" from t order by "Order" limit 2;
select k order_ from t order by order_ limit 2;
select k, k from t order by 1 limit 2;
select i as k from t order by k nulls first, t.k limit 2;
select k from t order by nosuch;
select k from t order by 3;
