-- Routing by a key of type timestamptz: literals, casts and parameters all find the row they wrote.

create table t_timestamptz (k timestamptz primary key, n int) partition by hash (k);
insert into t_timestamptz values ('2024-01-01 00:00:00+00', 0);
insert into t_timestamptz values ('1999-12-31 23:59:59.999999+00', 1);
insert into t_timestamptz values ('2024-02-29 12:00:00.5+02', 2);
insert into t_timestamptz values ('infinity', 3);
insert into t_timestamptz values ('-infinity', 4);
insert into t_timestamptz values ('2024-01-01 00:00:00+00', 99);
insert into t_timestamptz values (null, 99);
--! params 1999-12-31 23:59:59.999999+00 | 100
insert into t_timestamptz values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_timestamptz where k = '2024-01-01 00:00:00+00';
select * from t_timestamptz where k = '1999-12-31 23:59:59.999999+00';
select * from t_timestamptz where k = '2024-02-29 12:00:00.5+02';
select * from t_timestamptz where k = 'infinity';
select * from t_timestamptz where k = '-infinity';
select * from t_timestamptz where k = '2024-01-01 00:00:00+00'::timestamptz;
select * from t_timestamptz where k = cast('1999-12-31 23:59:59.999999+00' as timestamptz);
select * from t_timestamptz where timestamptz '2024-02-29 12:00:00.5+02' = k;
--! params 2024-01-01 00:00:00+00
select k, n from t_timestamptz where k = $1;
--! params 1999-12-31 23:59:59.999999+00
select k, n from t_timestamptz where k = $1;
--! params 2024-02-29 12:00:00.5+02
select k, n from t_timestamptz where k = $1;
--! params infinity
select k, n from t_timestamptz where k = $1;
--! params 2024-01-01 00:00:00+00
select k, n from t_timestamptz where k = $1::timestamptz;
--! params null
select k, n from t_timestamptz where k = $1;
--! params 2024-01-01 00:00:00+00 | 2024-02-29 12:00:00.5+02
select k, n from t_timestamptz where k in ($1, $2) order by n;
--! params {"2024-01-01 00:00:00+00","1999-12-31 23:59:59.999999+00","2024-02-29 12:00:00.5+02"}
select k, n from t_timestamptz where k = any($1) order by n;
select k, n from t_timestamptz where k = any('{"2024-01-01 00:00:00+00","1999-12-31 23:59:59.999999+00","2024-02-29 12:00:00.5+02"}') order by n;
select k, n from t_timestamptz where k in ('2024-01-01 00:00:00+00', '1999-12-31 23:59:59.999999+00', '2024-02-29 12:00:00.5+02', 'infinity', '-infinity') order by n;
select k, n from t_timestamptz where k = '2024-01-01 00:00:00+00' or k = '1999-12-31 23:59:59.999999+00' order by n;
select k, n from t_timestamptz where k is null;
select k, n from t_timestamptz where k is not distinct from '2024-02-29 12:00:00.5+02';
select k, n from t_timestamptz where k >= '1999-12-31 23:59:59.999999+00' order by n;
select k, n from t_timestamptz where k <> '1999-12-31 23:59:59.999999+00' order by n;
select k, n from t_timestamptz order by k;
select k, n from t_timestamptz order by k desc limit 3;
select n from t_timestamptz order by k;
update t_timestamptz set n = n + 1000 where k = 'infinity' returning k, n;
--! params 2024-02-29 12:00:00.5+02
update t_timestamptz set n = n + 1000 where k = $1 returning k, n;
delete from t_timestamptz where k = '2024-01-01 00:00:00+00' returning *;
--! params 1999-12-31 23:59:59.999999+00
delete from t_timestamptz where k = $1;
insert into t_timestamptz select k, n from t_timestamptz where k = '2024-02-29 12:00:00.5+02' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_timestamptz order by k;
