-- Triggers, rules, row level security and checks whose expressions read other tables; statement-level triggers.
--! setup
set pleiad.shard_count = 8;
--! setup
create table item (k int primary key, v text, n int) partition by hash (k);
--! setup
create table seen (what text, k int);
--! setup
create table tally (k int primary key, n int) partition by hash (k);
--! setup
create function stamp() returns trigger language plpgsql as $$ begin new.v := coalesce(new.v, '') || '!'; return new; end $$;
--! setup
create trigger stamp before insert or update on item for each row execute function stamp();
insert into item values (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, null, 4) returning *;
update item set n = n + 1 where k > 1 returning *;
insert into item values (1, 'x', 1) on conflict (k) do update set v = excluded.v returning *;
--! setup
drop trigger stamp on item;
--! setup
create function veto() returns trigger language plpgsql as $$ begin if old.n = 3 then return null; end if; if old.n = 4 then raise exception 'four stays' using errcode = 'P0004', hint = 'leave it'; end if; return old; end $$;
--! setup
create trigger veto before delete on item for each row execute function veto();
delete from item where n = 3 returning *;
delete from item where n = 4;
delete from item where k = 1 returning k;
--! setup
drop trigger veto on item;
create function note_it() returns trigger language plpgsql as $$ begin insert into seen values (tg_op, new.k); return null; end $$;
create trigger note_it after insert on item for each row execute function note_it();
insert into item values (10, 'ten', 10), (11, 'eleven', 11);
select * from seen order by what, k;
drop trigger note_it on item;
create function count_it() returns trigger language plpgsql as $$ begin insert into tally values (new.k, 1) on conflict (k) do update set n = tally.n + 1; return null; end $$;
create trigger count_it after insert or update on item for each row execute function count_it();
insert into item values (20, 'twenty', 20), (21, 'x', 21) on conflict do nothing;
update item set n = 0 where k in (20, 21);
select * from tally order by k;
drop trigger count_it on item;
create function look() returns trigger language plpgsql as $$ begin new.n := (select count(*) from meeting); return new; end $$;
create trigger look before insert on item for each row execute function look();
insert into item values (30, 'thirty', 0), (31, 'x', 0);
select k, n from item where k in (30, 31) order by k;
drop trigger look on item;
create function once() returns trigger language plpgsql as $$ begin raise notice 'once: %', tg_op; return null; end $$;
create trigger once after insert or update or delete on item for each statement execute function once();
insert into item values (40, 'a', 1), (41, 'b', 1), (42, 'c', 1);
update item set n = 2 where k in (40, 41, 42);
delete from item where k > 41;
update item set n = 2 where k = 40;
drop trigger once on item;
create function moved() returns trigger language plpgsql as $$ begin raise notice '% rows', (select count(*) from new_rows); return null; end $$;
create trigger moved after update on item referencing new table as new_rows for each statement execute function moved();
update item set n = 3;
drop trigger moved on item;
-- rules
create rule keep as on delete to item do instead nothing;
delete from item where k = 40;
select count(*) from item where k = 40;
delete from item where n > 0;
delete from item where k = 40 returning k;
delete from item using meeting m where m.id = item.k;
with x as (select 1) select count(*) from item where k < 5;
prepare del as delete from item where k = $1;
execute del(40);
create rule no_update as on update to item do instead nothing;
update item set n = 1 / 0;
update item set k = k + 1;
drop rule no_update on item;
delete from item;
drop rule keep on item;
delete from item where k = 40 returning k;
create rule also as on insert to item do also insert into seen values ('rule', new.k);
insert into item values (50, 'x', 1);
select * from seen where what = 'rule';
drop rule also on item;
create rule v_insert as on insert to long_meeting do instead nothing;
insert into long_meeting values ('r1', 9999, 'x', 90, 1);
select count(*) from meeting where id = 9999;
insert into long_meeting (room) select id from room returning room;
drop rule v_insert on long_meeting;
insert into long_meeting values ('r1', 9999, 'x', 90, 1);
select count(*) from meeting where id = 9999;
-- policies
--! setup
create role triggers_rules_reader;
--! setup
grant select, insert, update, delete on item, meeting, seen, tally to triggers_rules_reader;
--! setup
alter table item enable row level security;
create policy low on item for select to triggers_rules_reader using (k < 30);
--! setup
set role triggers_rules_reader;
select k from item order by k;
select count(*) from item;
insert into item values (60, 'x', 1);
--! setup
reset role;
create policy by_meeting on item for select to triggers_rules_reader using (k in (select id from meeting));
--! setup
set role triggers_rules_reader;
select k from item order by k;
select count(*) from item;
--! setup
reset role;
drop policy by_meeting on item;
drop policy low on item;
--! setup
drop owned by triggers_rules_reader;
--! setup
-- an identity column needs no right on its sequence, a serial one does
--! setup
create table badge (id int generated always as identity, k int primary key, v text) partition by hash (k);
--! setup
create table coat (id serial, k int primary key) partition by hash (k);
--! setup
create view badges as select * from badge;
--! setup
grant select, insert on badge, coat to triggers_rules_reader;
set role triggers_rules_reader;
insert into badge (k) values (1), (2), (3) returning *;
insert into badge (k, v) select k + 10, v from badge returning k, v;
insert into coat (k) values (1);
select lastval();
insert into badge values (default, 21, 'x') on conflict (k) do nothing returning k;
reset role;
revoke insert on badge from triggers_rules_reader;
grant insert on badges to triggers_rules_reader;
set role triggers_rules_reader;
insert into badges (k, v) values (31, 'y') returning k, v;
insert into badge (k) values (32);
reset role;
drop view badges;
drop table badge, coat;
drop role triggers_rules_reader;
-- statement-level triggers of a table whose rows a foreign key's action deletes
--! setup
create table crate (k int primary key, v int) partition by hash (k);
--! setup
create table apple (k int primary key references crate on delete cascade, n int) partition by hash (k);
--! setup
insert into crate select g, g from generate_series(1, 12) g;
--! setup
insert into apple select k, v from crate;
create function gone() returns trigger language plpgsql as 'begin raise notice ''% %'', tg_op, tg_level; return null; end';
create trigger gone after delete on apple for each statement execute function gone();
delete from crate where k = 3;
delete from crate where v > 9;
update crate set v = v + 1 where k > 5;
drop trigger gone on apple;
delete from crate where v > 9;
select * from apple order by k;
-- generated columns and checks
--! setup
create table calc (k int primary key, a int, b int generated always as (a * 2) stored, check (a < b or a <= 0)) partition by hash (k);
insert into calc (k, a) values (1, 1), (2, 5), (3, -1) returning *;
update calc set a = a + 1 where b > 1 returning *;
update calc set b = 3;
insert into calc values (4, 1, 2);
