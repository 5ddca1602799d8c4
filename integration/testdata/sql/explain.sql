-- EXPLAIN answers wherever the statement would; the plans are the servers' own and not compared.
create table t (k int primary key, v text, n int) partition by hash (k);
--! load
insert into t select i, 'v' || i, i from generate_series(1, 50) i;
--! ok
explain select * from t where k = 1;
--! ok
explain select * from t order by n limit 3;
--! ok
explain (costs off) select * from t where k in (1, 2, 3, 4, 5);
--! ok
explain analyze select * from t order by k;
--! ok
explain (analyze, buffers, timing off) select * from t where n > 10;
--! ok
explain (format json) select * from t order by k;
--! ok
explain (format yaml) select * from t where k = 1;
--! ok
explain (format xml) select * from t;
--! ok
explain verbose update t set n = 1 where n = 2;
--! ok
explain insert into t values (100, 'x', 1);
--! ok
explain delete from t;
--! ok
explain select 1;
--! params 7
explain (costs off) select 1 where $1::int > 0;
select count(*) from t where k = 1;
select n from t order by k limit 4;
explain select * from nosuch;
explain select nosuch from t;
explain selec;
-- EXPLAIN ANALYZE of what writes does write
begin;
--! ok
explain analyze update t set n = n + 1000;
select n from t order by k limit 2;
rollback;
select n from t order by k limit 2;
