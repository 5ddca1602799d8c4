-- Routing by a key of type date: literals, casts and parameters all find the row they wrote.

create table t_date (k date primary key, n int) partition by hash (k);
insert into t_date values ('2024-01-01', 0);
insert into t_date values ('1999-12-31', 1);
insert into t_date values ('2024-02-29', 2);
insert into t_date values ('infinity', 3);
insert into t_date values ('-infinity', 4);
insert into t_date values ('0044-03-15 BC', 5);
insert into t_date values ('2024-01-01', 99);
insert into t_date values (null, 99);
--! params 1999-12-31 | 100
insert into t_date values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_date where k = '2024-01-01';
select * from t_date where k = '1999-12-31';
select * from t_date where k = '2024-02-29';
select * from t_date where k = 'infinity';
select * from t_date where k = '-infinity';
select * from t_date where k = '0044-03-15 BC';
select * from t_date where k = '2024-01-01'::date;
select * from t_date where k = cast('1999-12-31' as date);
select * from t_date where date '2024-02-29' = k;
--! params 2024-01-01
select k, n from t_date where k = $1;
--! params 1999-12-31
select k, n from t_date where k = $1;
--! params 2024-02-29
select k, n from t_date where k = $1;
--! params infinity
select k, n from t_date where k = $1;
--! params 2024-01-01
select k, n from t_date where k = $1::date;
--! params null
select k, n from t_date where k = $1;
--! params 2024-01-01 | 2024-02-29
select k, n from t_date where k in ($1, $2) order by n;
--! params {"2024-01-01","1999-12-31","2024-02-29"}
select k, n from t_date where k = any($1) order by n;
select k, n from t_date where k = any('{"2024-01-01","1999-12-31","2024-02-29"}') order by n;
select k, n from t_date where k in ('2024-01-01', '1999-12-31', '2024-02-29', 'infinity', '-infinity', '0044-03-15 BC') order by n;
select k, n from t_date where k = '2024-01-01' or k = '1999-12-31' order by n;
select k, n from t_date where k is null;
select k, n from t_date where k is not distinct from '2024-02-29';
select k, n from t_date where k >= '1999-12-31' order by n;
select k, n from t_date where k <> '1999-12-31' order by n;
select k, n from t_date order by k;
select k, n from t_date order by k desc limit 3;
select n from t_date order by k;
update t_date set n = n + 1000 where k = 'infinity' returning k, n;
--! params 2024-02-29
update t_date set n = n + 1000 where k = $1 returning k, n;
delete from t_date where k = '2024-01-01' returning *;
--! params 1999-12-31
delete from t_date where k = $1;
insert into t_date select k, n from t_date where k = '2024-02-29' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_date order by k;
