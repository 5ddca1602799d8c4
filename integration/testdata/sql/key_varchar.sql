-- Routing by a key of type varchar(30): literals, casts and parameters all find the row they wrote.

create table t_varchar (k varchar(30) primary key, n int) partition by hash (k);
insert into t_varchar values ('alpha', 0);
insert into t_varchar values ('beta', 1);
insert into t_varchar values ('it''s', 2);
insert into t_varchar values ('ünïcödé', 3);
insert into t_varchar values ('a space', 4);
insert into t_varchar values ('Zeta', 5);
insert into t_varchar values ('alpha', 99);
insert into t_varchar values (null, 99);
--! params beta | 100
insert into t_varchar values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_varchar where k = 'alpha';
select * from t_varchar where k = 'beta';
select * from t_varchar where k = 'it''s';
select * from t_varchar where k = 'ünïcödé';
select * from t_varchar where k = 'a space';
select * from t_varchar where k = 'Zeta';
select * from t_varchar where k = 'alpha'::varchar(30);
select * from t_varchar where k = cast('beta' as varchar(30));
select * from t_varchar where varchar 'it''s' = k;
--! params alpha
select k, n from t_varchar where k = $1;
--! params beta
select k, n from t_varchar where k = $1;
--! params it's
select k, n from t_varchar where k = $1;
--! params ünïcödé
select k, n from t_varchar where k = $1;
--! params alpha
select k, n from t_varchar where k = $1::varchar(30);
--! params null
select k, n from t_varchar where k = $1;
--! params alpha | it's
select k, n from t_varchar where k in ($1, $2) order by n;
--! params {"alpha","beta","it's"}
select k, n from t_varchar where k = any($1) order by n;
select k, n from t_varchar where k = any('{"alpha","beta","it''s"}') order by n;
select k, n from t_varchar where k in ('alpha', 'beta', 'it''s', 'ünïcödé', 'a space', 'Zeta') order by n;
select k, n from t_varchar where k = 'alpha' or k = 'beta' order by n;
select k, n from t_varchar where k is null;
select k, n from t_varchar where k is not distinct from 'it''s';
select k, n from t_varchar where k >= 'beta' order by n;
select k, n from t_varchar where k <> 'beta' order by n;
select k, n from t_varchar order by k;
select k, n from t_varchar order by k desc limit 3;
select n from t_varchar order by k;
update t_varchar set n = n + 1000 where k = 'ünïcödé' returning k, n;
--! params it's
update t_varchar set n = n + 1000 where k = $1 returning k, n;
delete from t_varchar where k = 'alpha' returning *;
--! params beta
delete from t_varchar where k = $1;
insert into t_varchar select k, n from t_varchar where k = 'it''s' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_varchar order by k;
