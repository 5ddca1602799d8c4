-- Routing by a key of type bool: literals, casts and parameters all find the row they wrote.

create table t_bool (k bool primary key, n int) partition by hash (k);
insert into t_bool values ('true', 0);
insert into t_bool values ('false', 1);
insert into t_bool values ('t', 2);
insert into t_bool values ('f', 3);
insert into t_bool values ('true', 99);
insert into t_bool values (null, 99);
--! params false | 100
insert into t_bool values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_bool where k = 'true';
select * from t_bool where k = 'false';
select * from t_bool where k = 't';
select * from t_bool where k = 'f';
select * from t_bool where k = 'true'::bool;
select * from t_bool where k = cast('false' as bool);
select * from t_bool where bool 't' = k;
--! params true
select k, n from t_bool where k = $1;
--! params false
select k, n from t_bool where k = $1;
--! params t
select k, n from t_bool where k = $1;
--! params f
select k, n from t_bool where k = $1;
--! params true
select k, n from t_bool where k = $1::bool;
--! params null
select k, n from t_bool where k = $1;
--! params true | t
select k, n from t_bool where k in ($1, $2) order by n;
--! params {"true","false","t"}
select k, n from t_bool where k = any($1) order by n;
select k, n from t_bool where k = any('{"true","false","t"}') order by n;
select k, n from t_bool where k in ('true', 'false', 't', 'f') order by n;
select k, n from t_bool where k = 'true' or k = 'false' order by n;
select k, n from t_bool where k is null;
select k, n from t_bool where k is not distinct from 't';
select k, n from t_bool where k >= 'false' order by n;
select k, n from t_bool where k <> 'false' order by n;
select k, n from t_bool order by k;
select k, n from t_bool order by k desc limit 3;
select n from t_bool order by k;
update t_bool set n = n + 1000 where k = 'f' returning k, n;
--! params t
update t_bool set n = n + 1000 where k = $1 returning k, n;
delete from t_bool where k = 'true' returning *;
--! params false
delete from t_bool where k = $1;
insert into t_bool select k, n from t_bool where k = 't' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_bool order by k;
