-- Routing by a key of type bytea: literals, casts and parameters all find the row they wrote.

create table t_bytea (k bytea primary key, n int) partition by hash (k);
insert into t_bytea values ('\x00', 0);
insert into t_bytea values ('\x', 1);
insert into t_bytea values ('\xdeadbeef', 2);
insert into t_bytea values ('\x616263', 3);
insert into t_bytea values ('\x00', 99);
insert into t_bytea values (null, 99);
--! params \x | 100
insert into t_bytea values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_bytea where k = '\x00';
select * from t_bytea where k = '\x';
select * from t_bytea where k = '\xdeadbeef';
select * from t_bytea where k = '\x616263';
select * from t_bytea where k = '\x00'::bytea;
select * from t_bytea where k = cast('\x' as bytea);
select * from t_bytea where bytea '\xdeadbeef' = k;
--! params \x00
select k, n from t_bytea where k = $1;
--! params \x
select k, n from t_bytea where k = $1;
--! params \xdeadbeef
select k, n from t_bytea where k = $1;
--! params \x616263
select k, n from t_bytea where k = $1;
--! params \x00
select k, n from t_bytea where k = $1::bytea;
--! params null
select k, n from t_bytea where k = $1;
--! params \x00 | \xdeadbeef
select k, n from t_bytea where k in ($1, $2) order by n;
--! params {"\\x00","\\x","\\xdeadbeef"}
select k, n from t_bytea where k = any($1) order by n;
select k, n from t_bytea where k = any('{"\\x00","\\x","\\xdeadbeef"}') order by n;
select k, n from t_bytea where k in ('\x00', '\x', '\xdeadbeef', '\x616263') order by n;
select k, n from t_bytea where k = '\x00' or k = '\x' order by n;
select k, n from t_bytea where k is null;
select k, n from t_bytea where k is not distinct from '\xdeadbeef';
select k, n from t_bytea where k >= '\x' order by n;
select k, n from t_bytea where k <> '\x' order by n;
select k, n from t_bytea order by k;
select k, n from t_bytea order by k desc limit 3;
select n from t_bytea order by k;
update t_bytea set n = n + 1000 where k = '\x616263' returning k, n;
--! params \xdeadbeef
update t_bytea set n = n + 1000 where k = $1 returning k, n;
delete from t_bytea where k = '\x00' returning *;
--! params \x
delete from t_bytea where k = $1;
insert into t_bytea select k, n from t_bytea where k = '\xdeadbeef' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_bytea order by k;
