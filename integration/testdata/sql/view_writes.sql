-- Writes through views: PostgreSQL looks through a view of one table to the table, and so does the router.
create table s (room text, id int, n int default 3, at timestamptz default '2020-01-01', doc jsonb, primary key (room, id)) partition by hash (room);
create table ref (id int primary key, label text, extra text default 'none') with (pleiad.reference);
create table l (id int primary key, v text);
create table ser (k int primary key, no serial, v text) partition by hash (k);
insert into s (room, id) select 'r' || i % 6, i from (values (1), (2), (3)) x(i) where false;
--! load
insert into s (room, id, n) select 'r' || i % 6, i, i from generate_series(1, 30) i;
insert into ref (id, label) values (1, 'one'), (2, 'two'), (3, 'three');
insert into l values (1, 'un'), (2, 'deux');
-- the whole table under other names
create view v as select room as place, id, n as number, doc from s;
insert into v values ('r1', 100, 1, null);
insert into v (number, place, id) values (2, 'r2', 101);
insert into v (place, id) values ('r1', 102), ('r2', 103), ('r3', 104), ('r4', 105);
insert into v (place, id, number) values ('r1', 106, default), ('r5', 107, default) returning place, id, number;
insert into v (place, id) values ('r1', 1);
insert into v (place, id, number) values ('r1', 100, 5) on conflict (place, id) do update set number = excluded.number + v.number;
insert into v (place, id, number) values ('r1', 100, 5), ('r2', 101, 6) on conflict do nothing;
select * from v where id >= 100 order by id;
select room, id, n, at from s where id >= 100 order by id;
update v set number = 7 where place = 'r1' and id = 100;
update v set number = number + 1 where id > 100;
update v set number = 0 where place = 'r2' returning *;
update v set place = 'r9' where place = 'r1' and id = 100;
update v x set number = y.n from s y where y.room = x.place and y.id = x.id and x.place = 'r3';
delete from v where place = 'r1' and id = 102;
delete from v where id = 103 returning place, number;
delete from v where number > 1000;
select place, id, number from v order by id;
select * from v where place = 'r4' for update;
prepare ins as insert into v (place, id, number) values ($1, $2, $3);
execute ins('r2', 200, 1);
execute ins('r3', 201, 2);
--! params r4 | 202 | 9
insert into v (place, id, number) values ($1, $2, $3);
--! params r4
update v set number = 10 where place = $1;
explain (costs off) select 1;
select place, id, number from v where id >= 200 order by id;
update v set nothing = 1 where place = 'r1';
insert into v values ('r1', 300, 1, null, 5);
insert into v (place, id, number) select room, id + 1000, n from s where room = 'r1' and id < 10;
insert into v (place, id, number) select room, id + 2000, n from s where id < 6;
select count(*), sum(number) from v where id > 1000;
with gone as (delete from v where place = 'r1' and id > 1000 returning id) select count(*) from gone;
-- WITH CHECK OPTION, conditions, expressions
create view quiet as select room, id, n, n * 10 as ten from s where room = 'r2' with check option;
insert into quiet (room, id, n) values ('r2', 400, 1);
insert into quiet (room, id, n) values ('r3', 401, 1);
insert into quiet (room, id, n) values ('r2', 402, 1), ('r3', 403, 1);
insert into quiet (room, id, n, ten) values ('r2', 404, 1, 10);
update quiet set n = 50;
update quiet set ten = 1;
update quiet set room = 'r4' where id = 400;
update quiet set n = 51 where room = 'r3';
delete from quiet where ten > 500;
delete from quiet where id = 400;
select * from quiet order by id;
create view small as select room, id, n from s where n < 10;
insert into small values ('r5', 500, 100);
update small set n = 11 where id = 6;
update small set n = 5 where room = 'r5';
select * from small order by id;
select room, id, n from s where id in (6, 500) order by id;
-- views over views
create view v2 as select place, id, number from v where number < 20 with local check option;
create view v3 as select id, place as p, number as m from v2 where id < 1000 with cascaded check option;
insert into v3 values (600, 'r1', 3);
insert into v3 values (601, 'r1', 300);
insert into v3 values (6001, 'r1', 3);
update v3 set m = 19 where p = 'r1' and id = 600;
update v3 set m = 99 where p = 'r1' and id = 600;
update v3 set m = m + 1 where m < 5;
delete from v3 where id = 600 returning *;
select * from v3 order by id;
-- the key is not shown
create view hidden as select id, n from s;
insert into hidden values (1, 2);
update hidden set n = -1 where id = 3;
delete from hidden where id = 4;
select * from hidden where id < 6 order by id;
create view pinned as select id, n from s where room = 'r0';
update pinned set n = -2;
select * from pinned order by id;
-- a view's own defaults
create view vd as select room, id, n from s;
alter view vd alter column n set default 77;
insert into vd (room, id) values ('r1', 700);
insert into vd (room, id) values ('r1', 701), ('r2', 702), ('r3', 703);
insert into s (room, id) values ('r1', 704);
select * from vd where id >= 700 order by id;
-- sequences
create view vs as select k, no, v from ser;
create view vs_less as select k, v from ser;
insert into vs (k, v) values (1, 'a');
insert into vs (k, v) values (2, 'b'), (3, 'c');
--! refused
insert into vs_less (k, v) values (4, 'd');
update vs_less set v = 'z' where k = 1;
select * from vs order by k;
-- reference tables
create view rv as select id as code, label from ref where id < 100 with check option;
insert into rv values (4, 'four');
insert into rv values (5, 'five'), (6, 'six') returning *;
insert into rv values (500, 'too many');
update rv set label = upper(label) where code < 3;
update rv set label = 'x' where code = 3 returning *;
delete from rv where code = 6;
insert into rv values (1, 'again') on conflict (code) do update set label = excluded.label;
select * from ref order by id;
create view rv_sub as select id, label from ref where id in (select id from ref where label = 'x');
update rv_sub set label = 'y';
select * from ref order by id;
-- conditions that read other tables
create view in_ref as select room, id, n from s where id in (select id from ref);
update in_ref set n = 1000;
delete from in_ref where id = 5;
select * from in_ref order by id;
create view in_s as select room, id, n from s where id in (select id from s where n = 1000);
--! refused
update in_s set n = 1001;
create view in_l as select room, id, n from s where id in (select id from l);
--! refused
update in_l set n = 1002;
-- what PostgreSQL does not write through
create view agg as select room, count(*) as c from s group by room;
update agg set c = 1;
insert into agg values ('r1', 1);
create view joined as select s.room, ref.label from s join ref on ref.id = s.id;
delete from joined where room = 'r1';
create view lim as select room, id from s limit 3;
delete from lim where room = 'r1';
create view uni as select room from s union all select label from ref;
delete from uni where room = 'r1';
--! code
copy v from stdin;
r1	900	1	\N
\.
merge into v using ref on ref.id = v.id and v.place = 'r1' when matched then delete;
-- triggers and rules on a view
create function instead() returns trigger language plpgsql as $$ begin raise notice 'instead'; return new; end $$;
create view vt as select room, id from s;
create trigger i instead of insert on vt for each row execute function instead();
--! refused
insert into vt values ('r1', 910);
--! refused
update vt set id = 5 where room = 'nothing';
create view vr as select room, id from s;
create rule r as on insert to vr do instead nothing;
insert into vr values ('r1', 911);
-- views over local tables
create view lv as select * from l where id < 10 with check option;
insert into lv values (3, 'trois');
insert into lv values (30, 'trente');
update lv set v = 'x' where id = 1;
delete from lv where id = 2;
select * from l order by id;
select count(*), sum(n) from s;
-- what does not exist is said as PostgreSQL says it, also beside sharded tables
select s.id from s join nowhere using (id);
update s set n = nowhere.n from nowhere where s.id = nowhere.id;
select count(*) from s, lateral (select * from nowhere.nothing) x;
-- an identity column's value under two views, for whom may write the outer one alone
create role vw_writer;
create table vw_ident (k int primary key, id int generated always as identity, v text) partition by hash (k);
create view vw_one as select k, id, v from vw_ident;
create view vw_two as select k, id, v from vw_one;
grant insert on vw_two to vw_writer;
set role vw_writer;
insert into vw_two (k, v) values (1, 'x');
reset role;
select * from vw_ident;
drop table vw_ident cascade;
drop role vw_writer;
