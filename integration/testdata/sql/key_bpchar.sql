-- Routing by a key of type char(8): literals, casts and parameters all find the row they wrote.

create table t_bpchar (k char(8) primary key, n int) partition by hash (k);
insert into t_bpchar values ('alpha', 0);
insert into t_bpchar values ('beta', 1);
insert into t_bpchar values ('gamma', 2);
insert into t_bpchar values ('delta', 3);
insert into t_bpchar values ('x', 4);
insert into t_bpchar values ('alpha', 99);
insert into t_bpchar values (null, 99);
--! params beta | 100
insert into t_bpchar values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_bpchar where k = 'alpha';
select * from t_bpchar where k = 'beta';
select * from t_bpchar where k = 'gamma';
select * from t_bpchar where k = 'delta';
select * from t_bpchar where k = 'x';
select * from t_bpchar where k = 'alpha'::char(8);
select * from t_bpchar where k = cast('beta' as char(8));
select * from t_bpchar where bpchar 'gamma' = k;
--! params alpha
select k, n from t_bpchar where k = $1;
--! params beta
select k, n from t_bpchar where k = $1;
--! params gamma
select k, n from t_bpchar where k = $1;
--! params delta
select k, n from t_bpchar where k = $1;
--! params alpha
select k, n from t_bpchar where k = $1::char(8);
--! params null
select k, n from t_bpchar where k = $1;
--! params alpha | gamma
select k, n from t_bpchar where k in ($1, $2) order by n;
--! params {"alpha","beta","gamma"}
select k, n from t_bpchar where k = any($1) order by n;
select k, n from t_bpchar where k = any('{"alpha","beta","gamma"}') order by n;
select k, n from t_bpchar where k in ('alpha', 'beta', 'gamma', 'delta', 'x') order by n;
select k, n from t_bpchar where k = 'alpha' or k = 'beta' order by n;
select k, n from t_bpchar where k is null;
select k, n from t_bpchar where k is not distinct from 'gamma';
select k, n from t_bpchar where k >= 'beta' order by n;
select k, n from t_bpchar where k <> 'beta' order by n;
select k, n from t_bpchar order by k;
select k, n from t_bpchar order by k desc limit 3;
select n from t_bpchar order by k;
update t_bpchar set n = n + 1000 where k = 'delta' returning k, n;
--! params gamma
update t_bpchar set n = n + 1000 where k = $1 returning k, n;
delete from t_bpchar where k = 'alpha' returning *;
--! params beta
delete from t_bpchar where k = $1;
insert into t_bpchar select k, n from t_bpchar where k = 'gamma' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_bpchar order by k;
