-- PL/pgSQL over sharded tables: savepoints over servers, handlers in loops, what stays when a block is undone, names and scopes.
--! setup
create table t (k text, id int, v int, d jsonb, primary key (k, id)) partition by hash (k, id);
--! setup
create table u (k text primary key, n int default 0, note text) partition by hash (k);
--! setup
create table ref (id int primary key, name text) with (pleiad.reference);
--! setup
create table loc (id serial primary key, name text);
--! setup
create sequence s;
--! setup
insert into t select 'k' || (i % 20), i, i * 3 % 17, jsonb_build_object('a', i) from generate_series(1, 100) i;
--! setup
insert into u select 'k' || i, i, 'n' || i from generate_series(0, 19) i;
-- savepoints over servers: each key on its own server
do $$ declare i int; begin
 for i in 1..10 loop
  begin
   insert into u values ('sp' || i, i);
   if i % 3 = 0 then insert into u values ('sp' || i - 1, 0); end if;
   insert into u values ('spx' || i, i);
  exception when unique_violation then insert into u values ('caught' || i, i);
  end;
 end loop;
end $$;
select k, n from u where k like 'sp%' or k like 'caught%' order by 1;
-- nested three deep, with errors leaving two levels
do $$ begin
 begin
  insert into u values ('d1', 1);
  begin
   insert into u values ('d2', 1);
   begin
    insert into u values ('d3', 1);
    raise exception 'deep';
   exception when unique_violation then raise notice 'wrong';
   end;
  exception when division_by_zero then raise notice 'wrong';
  end;
 exception when raise_exception then raise notice 'got %', sqlerrm;
 end;
 insert into u values ('d4', 1);
end $$;
select k from u where k like 'd_' order by 1;
-- error in handler, exit from guarded block, return from it
--! setup
create function gx(a int) returns text language plpgsql as $$ begin
 for i in 1..5 loop
  begin
   insert into u values ('gx' || a || i, i);
   if i = a then exit; end if;
   if i = 4 then return 'four'; end if;
   continue when i = 2;
   perform 1 / (i - 3) from u where k = 'k1';
  exception when division_by_zero then raise notice 'dz at %', i;
  end;
 end loop;
 return 'end';
end $$;
select gx(2), gx(9);
select k from u where k like 'gx%' order by 1;
-- sequences are not rolled back
do $$ declare n bigint; begin begin n := nextval('s'); insert into u values ('sq', n); raise exception 'x'; exception when others then raise notice '%', n; end; n := nextval('s'); insert into u values ('sq', n); raise notice '%', n; end $$;
select currval('s'), (select n from u where k = 'sq');
-- serial local table in a loop
do $$ declare i int; r record; begin for r in select k from u where n < 3 and k like 'k_' order by k loop insert into loc (name) values (r.k) returning id into i; update u set note = i where k = r.k; end loop; end $$;
select l.id, l.name, u.note from loc l join u on u.k = l.name order by 1;
-- reference table
do $$ begin for i in 100..103 loop insert into ref values (i, 'x' || i); begin insert into ref values (100, 'dup'); exception when unique_violation then update ref set name = name || '+' where id = 100; end; end loop; end $$;
select * from ref where id >= 100 order by 1;
-- isolation
begin isolation level repeatable read;
do $$ begin for i in 1..2 loop begin insert into u values ('rr' || i, 1); insert into u values ('rr1', 1); exception when unique_violation then null; end; end loop; end $$;
select k from u where k like 'rr%' order by 1;
rollback;
-- read only
begin read only;
do $$ begin begin update u set n = 1; exception when read_only_sql_transaction then raise notice 'ro %', sqlerrm; end; end $$;
rollback;
-- client's savepoints around
begin;
savepoint x;
do $$ begin begin insert into u values ('cs1', 1); perform 1/0 from u; exception when others then insert into u values ('cs2', 1); end; end $$;
rollback to x;
do $$ begin begin insert into u values ('cs3', 1); exception when others then null; end; end $$;
release x;
select k from u where k like 'cs%' order by 1;
commit;
-- caught error then an uncaught one; the transaction's state after
begin;
do $$ begin begin perform 1/0 from u; exception when others then null; end; perform 1/0 from u; end $$;
select 1;
rollback;
-- handlers see variables as they were left
do $$ declare n int := 1; r record; begin for r in select id from t where id < 4 order by id loop begin n := n * 10; update u set n = r.id / (r.id - 2) where k = 'k1'; exception when division_by_zero then n := n + 1; end; end loop; raise notice '% %', n, (select u.n from u where k = 'k1'); end $$;
do $$ declare m int := 1; r record; begin for r in select id from t where id < 4 order by id loop begin m := m * 10; update u set n = r.id / (r.id - 2) where k = 'k1'; exception when division_by_zero then m := m + 1; end; end loop; raise notice '% %', m, (select u.n from u where k = 'k1'); end $$;
-- foreign keys, checks, not null, casts
--! setup
create table chk (k text primary key, id int check (id > 0)) partition by hash (k);
do $$ declare c text; begin
 begin insert into chk values ('a', -1); exception when check_violation then get stacked diagnostics c = constraint_name; raise notice '%', c; end;
 begin insert into chk values (null, 1); exception when not_null_violation then get stacked diagnostics c = column_name; raise notice '% %', sqlerrm, c; end;
 begin execute 'select ' || quote_literal('x') || '::int from u'; exception when invalid_text_representation then raise notice '%', sqlerrm; end;
 begin execute 'selekt'; exception when syntax_error then raise notice '%', sqlerrm; end;
 begin execute 'select * from nowhere'; exception when undefined_table then raise notice '%', sqlerrm; end;
 begin insert into u select k, n from u; exception when unique_violation then raise notice 'dup'; end;
 begin insert into u (k, n) values ('big', 3000000000); exception when numeric_value_out_of_range then raise notice '%', sqlerrm; end;
 begin raise exception using errcode = '22012'; exception when division_by_zero then raise notice '% %', sqlstate, sqlerrm; end;
 begin raise notice 'in'; raise sqlstate '40001'; exception when serialization_failure then raise notice '% %', sqlstate, sqlerrm; end;
 begin raise exception '%', null; exception when others then raise notice '[%]', sqlerrm; end;
 begin raise exception ''; exception when others then raise notice '[%]', sqlerrm; end;
end $$;
do $$ begin perform 1 from u; raise; end $$;
do $$ declare t text; begin perform 1 from u; get stacked diagnostics t = message_text; end $$;
do $$ begin perform 1 from u; begin perform 1 / 0 from u; exception when others then begin raise exception 'two'; exception when others then raise notice '% %', sqlstate, sqlerrm; end; raise notice '% %', sqlstate, sqlerrm; raise; end; end $$;
do $$ begin begin perform 1 / 0 from u; exception when others then raise exception 'wrapped: %', sqlerrm using errcode = 'P0007', detail = sqlstate; end; end $$;
-- labels and shadows
do $$ <<o>> declare n int := 1; begin <<i>> declare n int := 2; begin perform 1 from u; raise notice '%', n; n := 3; end; raise notice '%', n; end $$;
do $$ declare found boolean := true; begin perform 1 from u where k = 'zz'; raise notice '%', found; end $$;
do $$ declare n int; begin for n in 1..2 loop for n in 5..6 loop perform 1 from u; raise notice '%', n; end loop; raise notice '%', n; end loop; end $$;
--! setup
create function sh(n int) returns int language plpgsql as $$ declare m int := n; begin declare n int := sh.n + 1; begin m := m * 10 + n; end; perform 1 from u; return m + n; end $$;
select sh(3);
--! setup
create function sh2(k text) returns bigint language plpgsql as $$ begin for i in 1..2 loop declare k text := 'k2'; begin raise notice '%', (select count(*) from t x where x.k = sh2.k); end; end loop; return 1; end $$;
select sh2('k1');
-- while with complex conditions, case expressions, arrays
do $$ declare a int[] := '{}'; i int := 0; s text := ''; begin while coalesce(array_length(a, 1), 0) < 5 loop i := i + 1; a := a || i; s := s || i::text || ','; end loop; raise notice '% %', a, s; update u set note = s where k = any(select 'k' || x from unnest(a) x); end $$;
select k, note from u where note like '1,%' order by 1;
do $$ declare j jsonb := '[]'; r record; begin for r in select id, d from t where k = 'k1' order by id loop j := j || jsonb_build_object('id', r.id, 'a', r.d->'a'); end loop; raise notice '%', j; end $$;
do $$ declare d date := '2024-01-30'; begin perform 1 from u; for i in 1..3 loop d := d + 1; raise notice '%', d; end loop; end $$;
do $$ declare x numeric := 1.5; y float8 := 2; z int; begin perform 1 from u; z := x * y; raise notice '%', z; z := x; raise notice '%', z; end $$;
do $$ declare u1 uuid := '00000000-0000-0000-0000-000000000001'; b bytea := '\x01'; ts timestamptz := '2024-01-01 00:00+00'; begin perform 1 from u; raise notice '% % %', u1, b, ts; end $$;
do $$ declare r record; c int := 0; begin for r in select id from t order by id loop c := c + 1; exit when r.id >= 50; end loop; raise notice '%', c; end $$;
do $$ declare r record; c int := 0; begin for r in (select k, count(*) as cnt from t group by k) union all (select 'x', 5) order by 1 loop c := c + r.cnt; end loop; raise notice '%', c; end $$;
do $$ declare r record; c int := 0; begin for r in with q as (select * from t where id < 3) select * from q order by id loop raise notice '%', r.k; end loop; end $$;
do $$ declare r record; begin for r in select * from (values (1, 'a'), (2, 'b')) x(p, q) loop insert into u values ('va' || r.p, r.p, r.q); end loop; end $$;
do $$ declare r record; begin for r in select id, id + 1 as id from t where id = 3 loop raise notice '%', r.id; end loop; end $$;
do $$ declare r record; begin for r in select 1 from u where k = 'k1' loop raise notice '%', r."?column?"; end loop; end $$;
do $$ declare r record; begin select id into r from t where id = -3; raise notice '% %', r.id, found; end $$;
do $$ declare a int; b int; begin select id, v into a, b from t where id = 5; if a > 3 and b is not null then update t set v = a where id = 5; elsif b is null then null; else raise 'x'; end if; raise notice '%', (select v from t where id = 5); end $$;
