-- PL/pgSQL over sharded tables: blocks, loops, CASE, records, EXCEPTION and what it tells.
--! setup
create table t (k text, id int, v int, d jsonb, primary key (k, id)) partition by hash (k, id);
--! setup
create table u (k text primary key, n int default 0, note text) partition by hash (k);
--! setup
insert into t select 'k' || (i % 20), i, i * 3 % 17, jsonb_build_object('a', i) from generate_series(1, 100) i;
--! setup
insert into u select 'k' || i, i, 'n' || i from generate_series(0, 19) i;
do $$ declare r record; n int := 0; begin
 for r in select k, id, v from t where id < 5 order by id loop raise notice '% % % %', r.k, r.id, r.v, found; n := n + r.id; end loop;
 raise notice 'n % found %', n, found;
 for r in select * from t where id < 0 loop raise notice 'never'; end loop;
 raise notice 'found %', found;
end $$;
do $$ declare n int; m text; begin
 for n, m in select id, k from t where id < 4 order by id desc loop raise notice '% %', n, m; end loop;
 raise notice 'after % %', n, m;
 for n, m in select id from t where id < 0 loop null; end loop;
 raise notice 'none % %', n, m;
end $$;
do $$ declare i int := 100; begin
 for i in 1..3 loop insert into u values ('l' || i, i); end loop;
 raise notice 'i % %', i, found;
 for i in reverse 5..1 by 2 loop raise notice 'r %', i; end loop;
 for i in 3..1 loop raise notice 'no'; end loop;
 raise notice 'f %', found;
 for i in 2147483645..2147483647 loop raise notice '%', i; end loop;
 for i in reverse -2147483647..-2147483648 loop raise notice '%', i; end loop;
 for i in 1..10 by 4 loop raise notice 'x %', i; i := i + 1; raise notice 'y %', i; end loop;
end $$;
select * from u where k like 'l%' order by 1;
do $$ begin perform 1 from t; for i in null..1 loop null; end loop; end $$;
do $$ begin perform 1 from t; for i in 1..null loop null; end loop; end $$;
do $$ begin perform 1 from t; for i in 1..2 by 0 loop null; end loop; end $$;
do $$ begin perform 1 from t; for i in 1..2 by null loop null; end loop; end $$;
do $$ begin perform 1 from t; for i in 1.4..2.6 loop raise notice '%', i; end loop; end $$;
do $$ begin perform 1 from t; for i in 1..3000000000 loop raise notice '%', i; end loop; end $$;
do $$ declare n int := 0; begin while n < (select count(*) from u where k like 'l%') loop n := n + 1; raise notice 'w %', n; end loop; end $$;
do $$ declare n int := 0; begin
 loop n := n + 1; exit when n > 5; continue when n % 2 = 0; insert into u values ('lo' || n, n); end loop;
 raise notice '%', n;
 <<a>> for i in 1..3 loop <<b>> for j in 1..3 loop
   continue a when j = 2 and i = 1; exit a when i = 3; raise notice '% %', i, j; end loop; end loop;
 <<blk>> begin exit blk; raise notice 'never'; end;
 raise notice 'done';
end $$;
select count(*) from u where k like 'lo%';
do $$ declare x int; a int[] := '{3,1,2}'; begin
 foreach x in array a loop update u set n = n + x where k = 'l' || x; raise notice '% %', x, found; end loop;
 raise notice '% %', x, found;
 foreach x in array array[[1,2],[3,4]] loop raise notice '%', x; end loop;
 foreach x in array '{}'::int[] loop raise notice '%', x; end loop;
 raise notice '% %', x, found;
 foreach x in array null::int[] loop raise notice '%', x; end loop;
end $$;
do $$ declare x text; begin foreach x in array (select array_agg(k order by k) from u where n < 3) loop raise notice '%', x; end loop; end $$;
do $$ declare n int := 3; t text; begin
 perform 1 from t where k = 'k1';
 case n when 1, 2 then raise notice 'a'; when 3 then raise notice 'b'; else raise notice 'c'; end case;
 case when n > 5 then raise notice 'a'; when n > 2 then raise notice 'b'; end case;
 case (select count(*) from u where k = 'k1') when 1 then raise notice 'one'; else null; end case;
 case n when 9 then null; else end case;
 case n when 9 then null; end case;
end $$;
-- exceptions
do $$ declare a text; b text; c text; d text; e text; f text; g text; h text; begin
 begin
  insert into u values ('ex1', 1);
  insert into u values ('k1', 1);
  raise notice 'never';
 exception when unique_violation then
  get stacked diagnostics a = returned_sqlstate, b = message_text, c = pg_exception_detail, d = pg_exception_hint, e = table_name, f = constraint_name, g = schema_name, h = pg_exception_context;
  raise notice 'caught % %', sqlstate, sqlerrm;
  raise notice '%|%|%|%|%|%|%', a, b, c, d, e, f, h;
 end;
 raise notice 'rows %', (select count(*) from u where k = 'ex1');
 insert into u values ('ex2', 1);
end $$;
select k from u where k like 'ex%';
do $$ begin
 begin perform 1 / 0 from t; exception when division_by_zero then raise notice 'dz'; end;
 begin perform 1 / 0 from t; exception when sqlstate '22012' then raise notice 'dz2'; end;
 begin perform 1 / 0 from t; exception when data_exception then raise notice 'class'; end;
 begin perform 1 / 0 from t; exception when unique_violation then raise notice 'no'; when others then raise notice 'others %', sqlerrm; end;
 begin raise exception 'mine %', 5 using errcode = 'P9999', hint = 'hh'; exception when sqlstate 'P9999' then raise notice 'p9 %', sqlerrm; end;
 begin perform 1 from t; raise no_data_found; exception when no_data_found then raise notice 'ndf %', sqlerrm; end;
 begin perform 1 from t; assert 1 = 2, 'as' || 'sert'; exception when others then raise notice 'no'; end;
end $$;
do $$ begin begin update u set n = n / 0; exception when unique_violation then raise notice 'no'; end; end $$;
do $$ begin
 begin
  begin insert into u values ('n1', 1); perform 1 / 0 from t; exception when unique_violation then raise notice 'no'; end;
 exception when others then raise notice 'outer % %', sqlerrm, (select count(*) from u where k = 'n1'); end;
 begin
  begin insert into u values ('n2', 1); perform 1 / 0 from t; exception when others then insert into u values ('n3', 1); raise notice 'inner'; raise; end;
 exception when division_by_zero then raise notice 'again % %', sqlerrm, (select count(*) from u where k in ('n2', 'n3')); end;
 begin
   insert into u values ('n4', 4); perform 1 / 0 from t;
 exception when others then insert into u values ('k1', 4); end;
end $$;
select k from u where k like 'n_';
--! setup
create function safe_insert(x text) returns text language plpgsql as $$
declare r text; tries int := 0;
begin
 loop
  begin
   tries := tries + 1;
   insert into u values (x, tries) returning k into r;
   return 'inserted ' || r || tries;
  exception when unique_violation then
   if tries > 2 then return 'gave up ' || tries || sqlerrm; end if;
  end;
 end loop;
end $$;
select safe_insert('si1'), safe_insert('si1');
select safe_insert('k5');
select * from u where k = 'si1';
--! setup
create function noret(x int) returns int language plpgsql as $$ begin for i in 1..x loop insert into u values ('nr' || i); if i = 2 then return i; end if; end loop; end $$;
select noret(3);
select noret(1);
select count(*) from u where k like 'nr%';
-- nested scopes
do $$ declare i int := 1; t text := 'outer'; begin
 declare i int := i + 10; t text; begin raise notice '% %', i, t; i := 5; t := 'inner'; perform 1 from t; end;
 raise notice '% %', i, t;
 for k in 1..2 loop declare q int; z int := 7; begin raise notice '% %', q, z; q := k; z := k; end; end loop;
end $$;
-- select into record
do $$ declare r record; begin select id, v, d into r from t where id = 7; raise notice '% % %', r.id, r.v, r.d->>'a'; if found then raise notice 'f'; end if; end $$;
do $$ declare r record; begin select id, v into strict r from t where id = 1000; raise notice '%', r.id; exception when no_data_found then raise notice 'none'; end $$;
do $$ declare r record; begin select id, v into strict r from t; exception when too_many_rows then raise notice 'many %', sqlerrm; end $$;
do $$ declare r record; begin update u set n = n + 1 where k = 'k1' returning n, k into r; raise notice '% %', r.n, r.k; end $$;
do $$ declare r record; begin for r in update u set n = n + 1 where k in ('k1', 'k2') returning n, k loop insert into t values ('fl' || r.k, r.n); end loop; end $$;
select k, id from t where k like 'fl%' order by 1;
do $$ declare r record; s record; begin
 for r in select k, n from u where n between 3 and 4 order by k loop
  for s in select id, v from t where t.k = r.k order by id limit 2 loop raise notice '% % %', r.k, s.id, s.v; end loop;
 end loop;
end $$;
do $$ declare r record; begin for r in select 10 / (id - 3) as q, id from t where id < 6 order by id loop raise notice '%', r.q; end loop; end $$;
do $$ declare r record; begin for r in select 10 / (n - n) as q from u where k = 'k1' loop raise notice '%', r.q; end loop; end $$;
do $$ declare r int; begin for r in execute 'select id from t where id < $1 order by 1' using 4 loop raise notice '%', r; end loop; for r in execute null loop null; end loop; end $$;
do $$ declare r int; begin for r in execute 'select id from nowhere' loop raise notice '%', r; end loop; end $$;
do $$ declare n int; m int; begin n := (select count(*) from t); get diagnostics m = row_count; raise notice '%', m; update u set n = 1 where k = 'k1' or k = 'k2'; get diagnostics m = row_count; raise notice '%', m; end $$;
do $$ declare x u.n%type := 4; y public.t.k%type; begin select k into y from t where id = x; raise notice '% %', x, y; end $$;
do $$ begin raise exception using errcode = 'P0099', message = 'only using'; exception when others then perform 1 from t; raise notice '% %', sqlstate, sqlerrm; end $$;
begin;
insert into u values ('tx1', 1);
do $$ begin begin insert into u values ('tx2', 1); insert into u values ('tx1', 2); exception when unique_violation then raise notice 'tx'; end; insert into u values ('tx3', 1); end $$;
savepoint a;
do $$ begin begin insert into u values ('tx4', 1); perform 1/0 from t; exception when others then raise; end; end $$;
rollback to a;
select k from u where k like 'tx%' order by 1;
commit;
select k from u where k like 'tx%' order by 1;
do $$ declare c constant int := 5; begin perform 1 from t; raise notice '%', c; end $$;
-- variables of a table's row type
do $$ declare r u%rowtype; begin select * into r from u where k = 'k1'; raise notice '% % %', r.k, r.n, r.note; select * into r from u where k = 'k2'; raise notice '%', r.n; select * into r from u where k = 'zz'; raise notice '% %', r.n, found; end $$;
do $$ declare r u; begin for r in select * from u where n < 3 order by k loop raise notice '%', r.k; end loop; raise notice 'last %', r.k; for r in select * from u where n < 0 loop null; end loop; raise notice 'none %', r.k; end $$;
do $$ declare r public.u%rowtype; begin for i in 1..2 loop declare q u%rowtype; begin if i = 1 then select * into q from u where k = 'k1'; end if; raise notice '%', q.n; end; end loop; end $$;
do $$ declare q u%rowtype; begin update u set n = n + 5 where k = 'k3' returning * into q; raise notice '% %', q.n, q.k; delete from u where k = 'k4' returning * into q; raise notice '% %', q.n, q.k; insert into u values (q.k, q.n + 1, q.note) returning * into q; raise notice '%', q.n; end $$;
--! setup
create function allu() returns setof u language plpgsql as $$ declare r u%rowtype; begin for r in select * from u where n < 3 order by k loop return next r; end loop; end $$;
select * from allu();
--! setup
create function firstu() returns text language plpgsql as $$ declare r u%rowtype; begin select * into r from u order by k limit 1; if r.n = 0 then return r.k || ' zero'; end if; return r.k; end $$;
select firstu();
