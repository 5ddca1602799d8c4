-- Routing by a key of type bigint: literals, casts and parameters all find the row they wrote.

create table t_int8 (k bigint primary key, n int) partition by hash (k);
insert into t_int8 values ('1', 0);
insert into t_int8 values ('2', 1);
insert into t_int8 values ('-3', 2);
insert into t_int8 values ('9223372036854775807', 3);
insert into t_int8 values ('-9223372036854775808', 4);
insert into t_int8 values ('4294967296', 5);
insert into t_int8 values ('0', 6);
insert into t_int8 values ('1', 99);
insert into t_int8 values (null, 99);
--! params 2 | 100
insert into t_int8 values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_int8 where k = '1';
select * from t_int8 where k = '2';
select * from t_int8 where k = '-3';
select * from t_int8 where k = '9223372036854775807';
select * from t_int8 where k = '-9223372036854775808';
select * from t_int8 where k = '4294967296';
select * from t_int8 where k = '0';
select * from t_int8 where k = '1'::bigint;
select * from t_int8 where k = cast('2' as bigint);
select * from t_int8 where int8 '-3' = k;
--! params 1
select k, n from t_int8 where k = $1;
--! params 2
select k, n from t_int8 where k = $1;
--! params -3
select k, n from t_int8 where k = $1;
--! params 9223372036854775807
select k, n from t_int8 where k = $1;
--! params 1
select k, n from t_int8 where k = $1::bigint;
--! params null
select k, n from t_int8 where k = $1;
--! params 1 | -3
select k, n from t_int8 where k in ($1, $2) order by n;
--! params {"1","2","-3"}
select k, n from t_int8 where k = any($1) order by n;
select k, n from t_int8 where k = any('{"1","2","-3"}') order by n;
select k, n from t_int8 where k in ('1', '2', '-3', '9223372036854775807', '-9223372036854775808', '4294967296', '0') order by n;
select k, n from t_int8 where k = '1' or k = '2' order by n;
select k, n from t_int8 where k is null;
select k, n from t_int8 where k is not distinct from '-3';
select k, n from t_int8 where k >= '2' order by n;
select k, n from t_int8 where k <> '2' order by n;
select k, n from t_int8 order by k;
select k, n from t_int8 order by k desc limit 3;
select n from t_int8 order by k;
update t_int8 set n = n + 1000 where k = '9223372036854775807' returning k, n;
--! params -3
update t_int8 set n = n + 1000 where k = $1 returning k, n;
delete from t_int8 where k = '1' returning *;
--! params 2
delete from t_int8 where k = $1;
insert into t_int8 select k, n from t_int8 where k = '-3' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_int8 order by k;
