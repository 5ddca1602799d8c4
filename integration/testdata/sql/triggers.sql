-- Triggers: functions that use the row, or read reference tables; what writes elsewhere is refused, and a statement-level
-- trigger fires once or the statement is refused.
create table s (k int primary key, v text, n int default 0, label text) partition by hash (k);
create table ref (id int primary key, label text) with (pleiad.reference);
create table l (id int primary key, v text);
create table log (at serial, what text);
insert into ref values (1, 'one'), (2, 'two'), (3, 'three');
create function row_only() returns trigger language plpgsql as $$ begin new.n := new.k * 2; if new.v is distinct from 'x' then new.v := upper(new.v); end if; return new; end $$;
create function reads_ref() returns trigger language plpgsql as $$ begin select r.label into new.label from ref r where r.id = new.k; return new; end $$;
create function logs() returns trigger language plpgsql as $$ begin insert into log (what) values (tg_op || ' ' || tg_level); return coalesce(new, old); end $$;
create function notices() returns trigger language plpgsql as $$ begin raise notice '% % %', tg_op, tg_level, tg_when; return coalesce(new, old); end $$;
create function counts_s() returns trigger language plpgsql as $$ begin new.n := (select count(*) from s); return new; end $$;
create function dynamic() returns trigger language plpgsql as $$ begin execute 'insert into log (what) values (1)'; return new; end $$;
create function sequenced() returns trigger language plpgsql as $$ begin new.n := nextval('log_at_seq'); return new; end $$;
create trigger a before insert or update on s for each row execute function row_only();
insert into s (k, v) values (1, 'a'), (2, 'x'), (3, 'c');
update s set v = 'q' where k = 1;
select * from s order by k;
create trigger b before insert or update on s for each row when (new.k > 1) execute function reads_ref();
insert into s (k, v) values (4, 'd'), (5, 'e');
update s set v = 'z';
select * from s order by k;
copy s (k, v) from stdin;
6	f
7	g
\.
select * from s where k > 5 order by k;
--! refused
create trigger c before insert on s for each row execute function logs();
--! refused
create trigger c before insert on s for each row execute function counts_s();
--! refused
create trigger c before insert on s for each row execute function dynamic();
--! refused
create trigger c before insert on s for each row execute function sequenced();
-- a trigger function that turns
create or replace function reads_ref() returns trigger language plpgsql as $$ begin insert into log (what) values ('x'); return new; end $$;
--! refused
insert into s (k, v) values (8, 'h');
delete from s where k = 1;
create or replace function reads_ref() returns trigger language plpgsql as $$ begin new.n := nextval('log_at_seq'); return new; end $$;
--! refused
insert into s (k, v) values (8, 'h');
--! refused
insert into s (k, v) values (8, 'h'), (9, 'i');
--! refused
update s set v = 'y' where k = 2;
drop trigger b on s;
insert into s (k, v) values (8, 'h');
-- statement-level triggers fire once
create trigger st after insert or update or delete on s for each statement execute function notices();
insert into s (k, v) values (10, 'j');
update s set v = 'one' where k = 10;
delete from s where k = 10;
delete from s where k = -1;
--! refused
update s set v = 'many';
--! refused
delete from s where n = -5;
--! refused
insert into s (k, v) values (11, 'k'), (12, 'l'), (13, 'm'), (14, 'n');
--! refused
copy s (k, v) from stdin;
20	f
21	g
\.
select k, v from s order by k;
drop trigger st on s;
create trigger tr before truncate on s for each statement execute function notices();
--! refused
truncate s;
drop trigger tr on s;
-- transition tables
create function transits() returns trigger language plpgsql as $$ begin raise notice '% rows', (select count(*) from inserted); return null; end $$;
create trigger tt after insert on s referencing new table as inserted for each statement execute function transits();
insert into s (k, v) values (30, 'j');
--! refused
insert into s (k, v) values (31, 'j'), (32, 'k'), (33, 'l'), (34, 'm');
drop trigger tt on s;
-- constraint triggers, at once and at COMMIT
create function checks() returns trigger language plpgsql as $$ begin if new.n < 0 then raise exception 'negative %', new.k; end if; return null; end $$;
drop trigger a on s;
create constraint trigger ct after insert or update on s deferrable initially deferred for each row execute function checks();
insert into s (k, v, n) values (40, 'j', 1), (41, 'k', 2);
insert into s (k, v, n) values (42, 'j', -1);
begin;
insert into s (k, v, n) values (43, 'j', -1);
update s set n = 1 where k = 43;
select k, n from s where k = 43;
--! code
set constraints all immediate;
commit;
begin;
insert into s (k, v, n) values (44, 'j', -1);
commit;
select k from s where k > 39 order by k;
-- reference tables
create function pure_row() returns trigger language plpgsql immutable as $$ begin new.label := upper(new.label); return new; end $$;
create trigger r before insert or update on ref for each row execute function pure_row();
insert into ref values (4, 'four');
select * from ref order by id;
--! refused
create trigger r2 after insert on ref for each row execute function logs();
create trigger r3 after insert on ref for each statement execute function notices();
--! refused
insert into ref values (5, 'five');
select * from ref order by id;
-- local tables: triggers that use local and reference tables, not sharded ones
create trigger lt after insert or delete on l for each row execute function logs();
create trigger ls after insert on l for each statement execute function logs();
insert into l values (1, 'a'), (2, 'b');
delete from l where id = 1;
select what from log order by at;
--! refused
create trigger lu before update on l for each row execute function counts_s();
--! refused
create trigger lr before update on l for each row execute function dynamic();
-- rules and event triggers
--! refused
create rule r as on insert to s do also insert into l values (1, 'x');
create rule r as on insert to l do also insert into s values (1, 'x');
--! refused
insert into l values (7, 'x');
create rule r2 as on delete to log do also select 1;
create event trigger et on ddl_command_start execute function notices();
create view lv as select * from l;
create rule vr as on insert to lv do instead insert into ref values (new.id, new.v);
--! refused
insert into lv values (50, 'x');
select * from ref order by id;
create view lv2 as select * from l;
create function instead() returns trigger language plpgsql as $$ begin insert into s (k) values (new.id); return new; end $$;
create function instead_l() returns trigger language plpgsql as $$ begin insert into log (what) values (new.v); return new; end $$;
--! refused
create trigger vi instead of insert on lv2 for each row execute function instead();
create trigger vi instead of insert on lv2 for each row execute function instead_l();
insert into lv2 values (60, 'through');
select what from log order by at;
create or replace function instead_l() returns trigger language plpgsql as $$ begin insert into s (k) values (new.id); return new; end $$;
--! refused
insert into lv2 values (61, 'through');
select k from s where k > 59;
-- a row's trigger is fired by a partition, which has another name than its table; an argument tells the table's
create table audited (k int primary key, v text) partition by hash (k);
create function names_table() returns trigger language plpgsql as $$ begin new.v := TG_TABLE_SCHEMA || '.' || Tg_Table_Name; return new; end $$;
create function numbers_table() returns trigger language plpgsql as $$ begin new.v := tg_relid::text; return new; end $$;
create function argued() returns trigger language plpgsql as $$ begin new.v := tg_argv[0]; return new; end $$;
--! refused
create trigger named before insert or update on audited for each row execute function names_table();
--! refused
create trigger numbered before insert or update on audited for each row execute function numbers_table();
create trigger argued before insert or update on audited for each row execute function argued('audited');
insert into audited values (1, 'a'), (2, 'b') returning *;
create or replace function argued() returns trigger language plpgsql as $$ begin new.v := tg_relname; return new; end $$;
--! refused
insert into audited values (3, 'c');
--! refused
update audited set v = 'd' where k = 1;
select * from audited order by k;
create table audited_here (k int primary key, v text);
create trigger named before insert or update on audited_here for each row execute function names_table();
insert into audited_here values (1, 'a') returning *;
