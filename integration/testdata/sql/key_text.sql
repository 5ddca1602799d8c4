-- Routing by a key of type text: literals, casts and parameters all find the row they wrote.

create table t_text (k text primary key, n int) partition by hash (k);
insert into t_text values ('alpha', 0);
insert into t_text values ('beta', 1);
insert into t_text values ('it''s', 2);
insert into t_text values ('ünïcödé', 3);
insert into t_text values ('', 4);
insert into t_text values ('a space', 5);
insert into t_text values ('Zeta', 6);
insert into t_text values ('with "quotes"', 7);
insert into t_text values ('back\slash', 8);
insert into t_text values ('trailing ', 9);
insert into t_text values ('alpha', 99);
insert into t_text values (null, 99);
--! params beta | 100
insert into t_text values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_text where k = 'alpha';
select * from t_text where k = 'beta';
select * from t_text where k = 'it''s';
select * from t_text where k = 'ünïcödé';
select * from t_text where k = '';
select * from t_text where k = 'a space';
select * from t_text where k = 'Zeta';
select * from t_text where k = 'with "quotes"';
select * from t_text where k = 'back\slash';
select * from t_text where k = 'trailing ';
select * from t_text where k = 'alpha'::text;
select * from t_text where k = cast('beta' as text);
select * from t_text where text 'it''s' = k;
--! params alpha
select k, n from t_text where k = $1;
--! params beta
select k, n from t_text where k = $1;
--! params it's
select k, n from t_text where k = $1;
--! params ünïcödé
select k, n from t_text where k = $1;
--! params alpha
select k, n from t_text where k = $1::text;
--! params null
select k, n from t_text where k = $1;
--! params alpha | it's
select k, n from t_text where k in ($1, $2) order by n;
--! params {"alpha","beta","it's"}
select k, n from t_text where k = any($1) order by n;
select k, n from t_text where k = any('{"alpha","beta","it''s"}') order by n;
select k, n from t_text where k in ('alpha', 'beta', 'it''s', 'ünïcödé', '', 'a space', 'Zeta', 'with "quotes"', 'back\slash', 'trailing ') order by n;
select k, n from t_text where k = 'alpha' or k = 'beta' order by n;
select k, n from t_text where k is null;
select k, n from t_text where k is not distinct from 'it''s';
select k, n from t_text where k >= 'beta' order by n;
select k, n from t_text where k <> 'beta' order by n;
select k, n from t_text order by k;
select k, n from t_text order by k desc limit 3;
select n from t_text order by k;
update t_text set n = n + 1000 where k = 'ünïcödé' returning k, n;
--! params it's
update t_text set n = n + 1000 where k = $1 returning k, n;
delete from t_text where k = 'alpha' returning *;
--! params beta
delete from t_text where k = $1;
insert into t_text select k, n from t_text where k = 'it''s' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_text order by k;
