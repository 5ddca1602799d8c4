-- What errors say: the user's own objects in every field, never a partition's schema; positions in the user's text.
--! setup
set pleiad.shard_count = 8;
--! setup
create schema app;
--! setup
create table app.part (k int primary key, a int not null check (a > 0), b int, u text, constraint order_ab check (a < b), unique (k, u)) partition by hash (k);
--! setup
create table app.child (k int, n int, primary key (k, n), foreign key (k) references app.part) partition by hash (k);
--! setup
create domain app.pos as int constraint is_pos check (value > 0);
--! setup
create table app.dom (k int primary key, p app.pos) partition by hash (k);
insert into app.part values (1, 1, 2, 'x'), (2, 2, 3, 'y'), (3, 3, 4, 'z'), (4, 4, 5, 'w');
insert into app.part values (1, 1, 2, 'x');
insert into app.part values (11, 1, 2, 'x'), (1, 1, 2, 'x');
insert into app.part values (12, null, 2, 'x');
insert into app.part values (12, -1, 2, 'x');
insert into app.part values (12, 5, 2, 'x');
insert into app.part values (null, 1, 2, 'x');
update app.part set a = null where k = 2;
update app.part set a = 100 where k = 2;
update app.part set a = -1 where k = 3;
insert into app.part select 2, 1, 2, 'x';
insert into app.part select k, a, b, u from app.part where k = 2;
insert into app.child values (1, 1), (2, 1);
insert into app.child values (99, 1);
insert into app.child values (1, 1);
delete from app.part where k = 1;
update app.child set k = 98 where k = 1;
truncate app.part;
drop table app.part;
insert into app.dom values (1, -5);
insert into app.dom values (1, 5), (2, 6), (3, -7);
update app.dom set p = p - 10 where k = 1;
insert into app.part (k, nosuch) values (1, 1);
insert into app.part values (1, 'x');
insert into app.part values (1, 2, 3, 'x', 5);
select nosuch from app.part;
select k from app.nosuch;
select k from app.part where a = 'x';
select k from app.part where nosuch(a) = 1;
select p.k, from app.part p;
select k from app.part order by;
select k from app.part where a = 1 and b = 1 / 0;
select 1 / (a - a) from app.part;
select sum(1 / (a - a)) from app.part;
--! code
select a::text::date from app.part;
--! code
select k from app.part where u::int = 1;
--! code
select max(u::int) from app.part;
select k, sum(a) from app.part;
select p.k from app.part p join app.child p on true;
select k from app.part, app.child;
select c.k from app.part p, (select k from app.child where k = p.k) c;
select * from app.part union select * from app.child;
select k from app.part where (select k, a from app.part) = 1;
select (select k from app.part);
select k from app.part where k = (select n from app.child union all select 1 union all select 2);
select k from app.part limit 'many';
select k from app.part for update of q;
update app.part set nosuch = 1;
update app.part set k = 1, k = 2;
delete from app.part using app.part where true;
delete from app.part returning nosuch;
insert into app.part values (1, 2, 3, 'x') on conflict (a) do nothing;
insert into app.part values (1, 2, 3, 'x') returning nosuch;
select k from app.part where k = 99999999999999999999;
select k from app.part where k = 99999999999;
select k::smallint * 30000::smallint from app.part;
--! code
select 'x' || k || 1 / (k - 3) from app.part order by k;
select jsonb_path_query('{"a": 1}', 'strict $.b') from app.part;
select ('{"a": }')::jsonb from app.part;
select k from app.part group by u;
select row_number() over (partition by nosuch) from app.part;
--! params x
select k from app.part where u = $1;
--! params 1
select k / ($1::int - 1) from app.part order by k;
select k from app.part tablesample bernoulli (-1);
begin;
insert into app.part values (50, 1, 2, 'in'), (51, 1, 2, 'in');
insert into app.part values (1, 1, 2, 'x');
select count(*) from app.part;
rollback;
select count(*) from app.part where u = 'in';
begin;
savepoint s;
select sum(1 / (a - a)) from app.part;
rollback to s;
select count(*), sum(a) from app.part;
commit;
set statement_timeout = '200ms';
select count(*) from meeting a, meeting b, meeting c, meeting d, meeting e where a.id + b.id + c.id + d.id + e.id = -1;
reset statement_timeout;
--! setup
create role errors_nobody;
--! setup
set role errors_nobody;
select * from app.part;
select count(*) from meeting;
select m.id from meeting m join person p on p.id = m.id;
--! setup
reset role;
--! setup
drop role errors_nobody;
