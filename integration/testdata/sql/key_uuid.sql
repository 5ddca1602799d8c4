-- Routing by a key of type uuid: literals, casts and parameters all find the row they wrote.

create table t_uuid (k uuid primary key, n int) partition by hash (k);
insert into t_uuid values ('00112233-4455-6677-8899-aabbccddeeff', 0);
insert into t_uuid values ('ffffffff-ffff-ffff-ffff-ffffffffffff', 1);
insert into t_uuid values ('00000000-0000-0000-0000-000000000000', 2);
insert into t_uuid values ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 3);
insert into t_uuid values ('00112233-4455-6677-8899-aabbccddeeff', 99);
insert into t_uuid values (null, 99);
--! params ffffffff-ffff-ffff-ffff-ffffffffffff | 100
insert into t_uuid values ($1, $2) on conflict (k) do update set n = excluded.n returning *;
select * from t_uuid where k = '00112233-4455-6677-8899-aabbccddeeff';
select * from t_uuid where k = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
select * from t_uuid where k = '00000000-0000-0000-0000-000000000000';
select * from t_uuid where k = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
select * from t_uuid where k = '00112233-4455-6677-8899-aabbccddeeff'::uuid;
select * from t_uuid where k = cast('ffffffff-ffff-ffff-ffff-ffffffffffff' as uuid);
select * from t_uuid where uuid '00000000-0000-0000-0000-000000000000' = k;
--! params 00112233-4455-6677-8899-aabbccddeeff
select k, n from t_uuid where k = $1;
--! params ffffffff-ffff-ffff-ffff-ffffffffffff
select k, n from t_uuid where k = $1;
--! params 00000000-0000-0000-0000-000000000000
select k, n from t_uuid where k = $1;
--! params a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11
select k, n from t_uuid where k = $1;
--! params 00112233-4455-6677-8899-aabbccddeeff
select k, n from t_uuid where k = $1::uuid;
--! params null
select k, n from t_uuid where k = $1;
--! params 00112233-4455-6677-8899-aabbccddeeff | 00000000-0000-0000-0000-000000000000
select k, n from t_uuid where k in ($1, $2) order by n;
--! params {"00112233-4455-6677-8899-aabbccddeeff","ffffffff-ffff-ffff-ffff-ffffffffffff","00000000-0000-0000-0000-000000000000"}
select k, n from t_uuid where k = any($1) order by n;
select k, n from t_uuid where k = any('{"00112233-4455-6677-8899-aabbccddeeff","ffffffff-ffff-ffff-ffff-ffffffffffff","00000000-0000-0000-0000-000000000000"}') order by n;
select k, n from t_uuid where k in ('00112233-4455-6677-8899-aabbccddeeff', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') order by n;
select k, n from t_uuid where k = '00112233-4455-6677-8899-aabbccddeeff' or k = 'ffffffff-ffff-ffff-ffff-ffffffffffff' order by n;
select k, n from t_uuid where k is null;
select k, n from t_uuid where k is not distinct from '00000000-0000-0000-0000-000000000000';
select k, n from t_uuid where k >= 'ffffffff-ffff-ffff-ffff-ffffffffffff' order by n;
select k, n from t_uuid where k <> 'ffffffff-ffff-ffff-ffff-ffffffffffff' order by n;
select k, n from t_uuid order by k;
select k, n from t_uuid order by k desc limit 3;
select n from t_uuid order by k;
update t_uuid set n = n + 1000 where k = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' returning k, n;
--! params 00000000-0000-0000-0000-000000000000
update t_uuid set n = n + 1000 where k = $1 returning k, n;
delete from t_uuid where k = '00112233-4455-6677-8899-aabbccddeeff' returning *;
--! params ffffffff-ffff-ffff-ffff-ffffffffffff
delete from t_uuid where k = $1;
insert into t_uuid select k, n from t_uuid where k = '00000000-0000-0000-0000-000000000000' on conflict do nothing;
--! refused
select k, n, tableoid::regclass::text from t_uuid order by k;
