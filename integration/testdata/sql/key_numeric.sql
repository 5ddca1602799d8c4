-- Routing by a key of type numeric: literals, casts and parameters all find the row they wrote.

create table t_numeric (k numeric primary key, n int) partition by hash (k);
insert into t_numeric values ('1', 0);
insert into t_numeric values ('2.50', 1);
insert into t_numeric values ('-3.000', 2);
insert into t_numeric values ('1e10', 3);
insert into t_numeric values ('0', 4);
insert into t_numeric values ('123456789012345678901234567890.5', 5);
insert into t_numeric values ('NaN', 6);
insert into t_numeric values ('1', 99);
insert into t_numeric values (null, 99);
--! params 2.50 | 100
insert into t_numeric values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_numeric where k = '1';
select * from t_numeric where k = '2.50';
select * from t_numeric where k = '-3.000';
select * from t_numeric where k = '1e10';
select * from t_numeric where k = '0';
select * from t_numeric where k = '123456789012345678901234567890.5';
select * from t_numeric where k = 'NaN';
select * from t_numeric where k = '1'::numeric;
select * from t_numeric where k = cast('2.50' as numeric);
select * from t_numeric where numeric '-3.000' = k;
--! params 1
select k, n from t_numeric where k = $1;
--! params 2.50
select k, n from t_numeric where k = $1;
--! params -3.000
select k, n from t_numeric where k = $1;
--! params 10000000000
select k, n from t_numeric where k = $1;
--! params 1
select k, n from t_numeric where k = $1::numeric;
--! params null
select k, n from t_numeric where k = $1;
--! params 1 | -3.000
select k, n from t_numeric where k in ($1, $2) order by n;
--! params {"1","2.50","-3.000"}
select k, n from t_numeric where k = any($1) order by n;
select k, n from t_numeric where k = any('{"1","2.50","-3.000"}') order by n;
select k, n from t_numeric where k in ('1', '2.50', '-3.000', '1e10', '0', '123456789012345678901234567890.5', 'NaN') order by n;
select k, n from t_numeric where k = '1' or k = '2.50' order by n;
select k, n from t_numeric where k is null;
select k, n from t_numeric where k is not distinct from '-3.000';
select k, n from t_numeric where k >= '2.50' order by n;
select k, n from t_numeric where k <> '2.50' order by n;
select k, n from t_numeric order by k;
select k, n from t_numeric order by k desc limit 3;
select n from t_numeric order by k;
update t_numeric set n = n + 1000 where k = '1e10' returning k, n;
--! params -3.000
update t_numeric set n = n + 1000 where k = $1 returning k, n;
delete from t_numeric where k = '1' returning *;
--! params 2.50
delete from t_numeric where k = $1;
insert into t_numeric select k, n from t_numeric where k = '-3.000' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_numeric order by k;
