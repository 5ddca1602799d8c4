-- Routing by a key of type timestamp: literals, casts and parameters all find the row they wrote.

create table t_timestamp (k timestamp primary key, n int) partition by hash (k);
insert into t_timestamp values ('2024-01-01 00:00:00', 0);
insert into t_timestamp values ('1999-12-31 23:59:59.999999', 1);
insert into t_timestamp values ('2024-02-29 12:00:00.5', 2);
insert into t_timestamp values ('infinity', 3);
insert into t_timestamp values ('-infinity', 4);
insert into t_timestamp values ('2024-01-01 00:00:00', 99);
insert into t_timestamp values (null, 99);
--! params 1999-12-31 23:59:59.999999 | 100
insert into t_timestamp values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_timestamp where k = '2024-01-01 00:00:00';
select * from t_timestamp where k = '1999-12-31 23:59:59.999999';
select * from t_timestamp where k = '2024-02-29 12:00:00.5';
select * from t_timestamp where k = 'infinity';
select * from t_timestamp where k = '-infinity';
select * from t_timestamp where k = '2024-01-01 00:00:00'::timestamp;
select * from t_timestamp where k = cast('1999-12-31 23:59:59.999999' as timestamp);
select * from t_timestamp where timestamp '2024-02-29 12:00:00.5' = k;
--! params 2024-01-01 00:00:00
select k, n from t_timestamp where k = $1;
--! params 1999-12-31 23:59:59.999999
select k, n from t_timestamp where k = $1;
--! params 2024-02-29 12:00:00.5
select k, n from t_timestamp where k = $1;
--! params infinity
select k, n from t_timestamp where k = $1;
--! params 2024-01-01 00:00:00
select k, n from t_timestamp where k = $1::timestamp;
--! params null
select k, n from t_timestamp where k = $1;
--! params 2024-01-01 00:00:00 | 2024-02-29 12:00:00.5
select k, n from t_timestamp where k in ($1, $2) order by n;
--! params {"2024-01-01 00:00:00","1999-12-31 23:59:59.999999","2024-02-29 12:00:00.5"}
select k, n from t_timestamp where k = any($1) order by n;
select k, n from t_timestamp where k = any('{"2024-01-01 00:00:00","1999-12-31 23:59:59.999999","2024-02-29 12:00:00.5"}') order by n;
select k, n from t_timestamp where k in ('2024-01-01 00:00:00', '1999-12-31 23:59:59.999999', '2024-02-29 12:00:00.5', 'infinity', '-infinity') order by n;
select k, n from t_timestamp where k = '2024-01-01 00:00:00' or k = '1999-12-31 23:59:59.999999' order by n;
select k, n from t_timestamp where k is null;
select k, n from t_timestamp where k is not distinct from '2024-02-29 12:00:00.5';
select k, n from t_timestamp where k >= '1999-12-31 23:59:59.999999' order by n;
select k, n from t_timestamp where k <> '1999-12-31 23:59:59.999999' order by n;
select k, n from t_timestamp order by k;
select k, n from t_timestamp order by k desc limit 3;
select n from t_timestamp order by k;
update t_timestamp set n = n + 1000 where k = 'infinity' returning k, n;
--! params 2024-02-29 12:00:00.5
update t_timestamp set n = n + 1000 where k = $1 returning k, n;
delete from t_timestamp where k = '2024-01-01 00:00:00' returning *;
--! params 1999-12-31 23:59:59.999999
delete from t_timestamp where k = $1;
insert into t_timestamp select k, n from t_timestamp where k = '2024-02-29 12:00:00.5' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_timestamp order by k;
