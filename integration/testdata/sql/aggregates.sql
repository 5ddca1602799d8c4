-- One row of aggregates over several servers.
create table t (k int primary key, s smallint, i int, b bigint, n numeric, nn numeric(10,2), f float8, x text, d date, m money, iv interval) partition by hash (k);
select count(*), avg(i), sum(n), max(x), count(*) + 1 as more from t;
--! load
insert into t select g, g % 100, nullif(g * 37 % 1000, 5), g::bigint * 4000000000, case g % 4 when 0 then null else g / 7.0 end, g * 1.25, g / 3.0, 'x' || g, '2024-01-01'::date + g, g::numeric::money, g * interval '1 hour' from generate_series(1, 300) g;
select avg(s), avg(i), avg(b), avg(n), avg(nn) from t;
select avg(i) as mean, avg(n) filter (where k > 290), avg(n) filter (where k < 0) from t;
select avg(i) from t where k in (1, 2, 3);
select round(avg(f)::numeric, 6) from t;
select avg(iv) from t;
select round(sum(f)::numeric, 6) from t;
select count(*) + 1, count(*) * 2.5, -count(*), count(*)::text || ' rows' from t;
select max(i) - min(i), max(d) - min(d) as days, coalesce(sum(i) filter (where k < 0), 0) from t;
select round(avg(n), 3), trunc(avg(i)), avg(n)::int, avg(i)::numeric(8,2), sum(b) / count(*) from t;
select case when count(*) > 100 then 'many' else 'few' end, greatest(max(i), count(*)), least(min(k), 5), nullif(count(*), 300) from t;
select max(i) is null, count(*) > 3 and min(k) = 1, not bool_or(k > 3), count(*) between 1 and 1000 from t;
select upper(max(x)), max(x) || min(x), length(max(x)) from t;
select 'const', count(*), 5 as five, null as nothing from t;
select sum(m), max(m), sum(iv), min(iv) from t;
select 1 / (count(*) - count(*)) from t;
select count(*) || true from t;
select count(*) + nosuch(1) from t;
select count(*) + nosuch from t;
select sum(x) from t;
select avg(k) /* a */ , -- b
  count(*) from t;
select count(*) filter (where x like 'x1%') * 100.0 / count(*) as percent from t;
--! params 5
select count(*) filter (where k > $1), avg(i + $1) from t;
--! params 5
select count(*) + $1::int from t;
with w as (select i * 2 as j from t where k % 2 = 0) select avg(j), max(j) + 1 from w;
select avg(a.i + b.s) from t a join t b on a.k = b.k;
explain (costs off) select 1;
drop table t;
