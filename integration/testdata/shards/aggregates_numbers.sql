--! shared
-- Every built-in aggregate of numbers and booleans, over all rows.
select count(*), count(minutes), count(title), count(doc) from meeting;
select sum(minutes), sum(cost), sum(rating), sum(id::bigint), sum(id::smallint) from meeting;
select avg(minutes), avg(cost), avg(id::bigint), avg(id::smallint) from meeting;
select avg(rating) from meeting;
select avg(rating::real), sum(rating::real) from meeting;
select min(cost), max(cost), min(rating), max(rating), min(minutes), max(minutes) from meeting;
select variance(minutes), var_pop(minutes), var_samp(minutes) from meeting;
select stddev(cost), stddev_pop(cost), stddev_samp(cost) from meeting;
select stddev(salary), variance(salary) from person;
select bool_and(active), bool_or(active), every(active) from person;
select bool_and(minutes > 0), bool_or(minutes > 70) from meeting;
select bit_and(id), bit_or(id), bit_xor(id) from meeting;
select bit_and(id::bit(8)), bit_or(id::bit(8)) from meeting;
select sum(minutes * interval '1 minute'), avg(minutes * interval '1 minute') from meeting;
select min(starts), max(starts), max(starts) - min(starts) from meeting;
select sum(cost::money) from meeting;
select corr(id, id * 2) > 0.999, regr_count(id, minutes), regr_avgx(id, minutes) from meeting;
select round(regr_sxx(id, minutes::float8)::numeric, 6), regr_count(cost::float8, rating) from meeting;
select covar_pop(1, 1), covar_samp(2, 2) from meeting;
select regr_slope(id, id), regr_intercept(id, id), regr_r2(id, id) from meeting where id <= 64;
select sum(distinct minutes), avg(distinct minutes), count(distinct minutes), count(distinct title) from meeting;
select count(distinct (minutes, title)) from meeting;
select count(distinct room), count(distinct room || id) from meeting;
select sum(cost) filter (where minutes > 30), count(*) filter (where title is null), avg(cost) filter (where false) from meeting;
select sum(distinct minutes) filter (where minutes > 30) from meeting;
select count(*), sum(k), max(v) from nothing;
select avg(k), bool_and(k > 1), array_agg(k), string_agg(v, ',') from nothing;
select coalesce(sum(k), 0), count(*) = 0 as empty from nothing;
select sum(minutes) / count(*) as mean, round(avg(cost), 2), sum(cost) * 2 + 1 from meeting;
select max(id) - min(id) + count(*), -sum(minutes), sum(minutes)::text || 'm' from meeting;
select case when count(*) > 50 then 'many' else 'few' end as size from meeting;
select sum(minutes) from meeting where room in ('r1', 'r2', 'r3');
select sum(minutes) from meeting where room = 'r4';
select count(*) from meeting where false;
select sum(1), count(1), max(1), min('x'::text), avg(2.5) from meeting;
select 1 as one from meeting having count(*) > 10;
select 1 as one from meeting having count(*) > 1000;
select sum(minutes) from meeting having sum(minutes) > 100;
select sum(id) + (select count(*) from dept) from meeting;
select any_value_like(1) from meeting;
select sum(title) from meeting;
select sum(minutes), title from meeting;
select sum(sum(minutes)) from meeting;
select count(*) from meeting where sum(minutes) > 1;
select max(id) / (count(*) - count(*)) from meeting;
select sum(1 / (id - 50)) from meeting;
--! params 30
select count(*), sum(minutes) from meeting where minutes > $1;
--! params 7 | 2.5
select sum(minutes * $1), avg(cost + $2::numeric) from meeting;
--! params null
select count(*) + $1::int from meeting;
--! params 5
select count(*) filter (where minutes / 15 = $1) as n from meeting;
select sum(id) as "Sum", count(*) as "sum" from meeting;
select sum(percent_share), max(percent_share) from (select share as percent_share from profile) s;
select range_agg(int4range(id, id + 2)) from meeting where id < 20;
select range_intersect_agg(int4range(0, 100 + id)) from meeting;
select max(array[minutes, id]), min(array[minutes, id]) from meeting;
