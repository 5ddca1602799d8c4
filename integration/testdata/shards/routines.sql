-- DO, CALL and volatile functions alone in a SELECT, whose code runs statement by statement.
--! setup
create function pl_count(r text) returns bigint language plpgsql as $$
declare
  n bigint;
begin
  select count(*) into n from meeting where room = r;
  return n;
end $$;
--! setup
create function pl_add(i int, t text default 'none') returns int language plpgsql as $$
declare
  n int := 0;
  m int;
begin
  insert into note values (i, null, t);
  update meeting set title = t where minutes = i;
  get diagnostics n = row_count;
  if found then
    n := n + 100;
  elsif i > 60 then
    n := -1;
  else
    n = n + 7;
  end if;
  select dept into m from person where id = i;
  if not found then m := 5; end if;
  return n * 1000 + coalesce(m, 0);
end $$;
--! setup
create function pl_noted(i int) returns text language plpgsql as $$
begin
  raise notice 'called with % and %%, %', i, null::int;
  raise warning 'now % of %', i, (select count(*) from meeting) using detail = 'some ' || i, hint = 'none', errcode = '01234';
  raise info 'info';
  raise debug 'not seen';
  if i < 0 then
    raise exception 'negative: %', i using errcode = 'P0042';
  end if;
  return 'ok ' || i;
end $$;
--! setup
create function pl_div(i int) returns int language plpgsql as $$
declare n int;
begin

  n := 100 / i;
  select count(*) / (i - 1) into n from meeting;
  perform count(*) / (i - 2) from meeting;
  update meeting set minutes = 1 / (i - 3) where room = 'r3';
  execute 'select count(*) / ($1 - 4) from meeting' into n using i;
  n := (select count(*) / (i - 5) from meeting);
  if 1 / (i - 6) > 0 then null; end if;
  return (select count(*) from room) / (i - 7);
end $$;
--! setup
create function pl_dyn(t text, c text) returns bigint language plpgsql as $$
declare n bigint; m text;
begin
  execute format('select count(*), max(%I::text) from %I', c, t) into n, m;
  get diagnostics n = row_count;
  execute 'delete from ' || quote_ident(t) || ' where false';
  get diagnostics n = row_count;
  execute 'select count(*) from ' || quote_ident(t) || ' where ' || quote_ident(c) || ' is not null' into n;
  return n;
end $$;
--! setup
create function pl_strict(r text, m int) returns int language plpgsql as $$
declare n int;
begin
  select id into strict n from meeting where room = r and id < m;
  return n;
end $$;
--! setup
create function pl_types(p bigint) returns numeric language plpgsql as $$
declare a smallint; b numeric; c float8; d text; e date; f timestamp := '2024-01-02 03:04'; g jsonb := '{"a": 1}'; h boolean := true; i interval := '1 day'; j text[]; k varchar;
begin
  select salary, salary, salary, salary, born into a, b, c, d, e from person where id = p;
  j := array[d, k];
  k := h;
  raise notice '% % % % % % % % % % %', a, b, c, d, e, f, g, h, i, j, k;
  a := c;
  e := f::text;
  d := b;
  return a;
end $$;
--! setup
create function pl_strict_args(a int, b int) returns bigint language plpgsql strict as $$ begin return (select count(*) from meeting where id between a and b); end $$;
--! setup
create function pl_void(i int) returns void language plpgsql as $$ begin delete from meeting where id = i; end $$;
--! setup
create function pl_void_return(i int) returns void language plpgsql as $$ begin if i < 0 then return; end if; delete from meeting where id = i; return; end $$;
--! setup
create function pl_null_query() returns int language plpgsql as $$ declare n int; begin perform 1 from meeting; execute null::text into n; return n; end $$;
--! setup
create function pl_bad_query(q text) returns int language plpgsql as $$ declare n int; begin perform 1 from meeting; execute q into n; return n; end $$;
--! setup
create function sql_many(i int, t text) returns bigint language sql as $$
  insert into note values (i, null, t);
  update meeting set title = t where id = i;
  delete from attendance where meeting = i;
  select count(*) from meeting where title = t;
$$;
--! setup
create function sql_returning(i int) returns text language sql as $$ update meeting set title = 'returned' where id = i returning room $$;
--! setup
create function sql_void(i int) returns void language sql as $$ delete from meeting where id = i; select count(*) from meeting $$;
--! setup
create function sql_div(i int) returns bigint language sql as $$ insert into note values (9000 + i, 10 / i, 'x'); select count(*) / 0 from meeting where id > i $$;
--! setup
create function sql_atomic(i int) returns bigint begin atomic update meeting set title = 'atomic' where id = i; select count(*) from meeting where title = 'atomic'; end;
--! setup
create function sql_fold(i int) returns bigint language sql as $$ insert into note values (8000 + i, 10 / (i + 1), 'x'); select count(*) from note where person = i $$;
--! setup
create procedure proc(i int, t text) language plpgsql as $$
begin
  update meeting set title = t where id = i;
  if not found then raise notice 'nothing at %', i; end if;
  insert into dept values (i, t, 0);
end $$;
--! setup
create procedure sql_proc(i int) language sql as $$ delete from meeting where minutes = i; delete from dept where id = i $$;
select pl_count('r3'), pl_count('r4'), pl_count(null), pl_count('zz');
select pl_count(r => 'r3') as renamed;
select pl_add(15, 'changed');
select title, count(*) from meeting group by 1 order by 1;
select pl_add(61), pl_add(62, t => 'x'), pl_add(40, null);
select id, txt from note where id in (15, 40, 61, 62) order by id;
select pl_add(15, 'again');
select pl_noted(5);
select pl_noted(-1);
select pl_noted(1 + 1);
select pl_div(0);
select pl_div(1);
select pl_div(2);
select pl_div(3);
select pl_div(4);
select pl_div(5);
select pl_div(6);
select pl_div(7);
select pl_div(8);
select pl_dyn('meeting', 'minutes'), pl_dyn('note', 'person'), pl_dyn('dept', 'name');
select pl_dyn('nowhere', 'x');
select pl_dyn('meeting', 'nothing');
select pl_strict('r3', 17);
select pl_strict('zz', 17);
select pl_strict('r3', 1000);
select pl_types(3), pl_types(10);
select pl_types(7), pl_types(1000);
select pl_strict_args(1, 20), pl_strict_args(null, 20);
select pl_void(3);
select pl_void_return(-3), pl_void_return(4);
select count(*) from meeting where id in (3, 4);
select pl_null_query();
select pl_bad_query('select');
select pl_bad_query('selekt 1');
select pl_bad_query('select 1/0');
select pl_bad_query('select id from room order by id');
select pl_bad_query('select count(*) from meeting');
select sql_many(200, 'm'), sql_many(12, 'n');
select sql_many(200, 'm');
select sql_returning(20), sql_returning(-1);
select sql_void(21);
select sql_div(1);
select sql_atomic(30);
select sql_fold(0), sql_fold(5);
call proc(31, 'by proc');
call proc(3100, 'by proc');
call proc(31, 'again');
select id, title from meeting where id = 31;
select * from dept order by id;
call sql_proc(45);
call sql_proc(3100);
select count(*) from meeting;
do $$
declare
  n int;
  t text := 'x' || 1;
begin
  raise notice 'first %', t;
  update meeting set title = t where room = 'r3';
  get diagnostics n = row_count;
  if n > 0 then
    insert into note values (7000, n, t);
  end if;
  perform 1 / 0 from meeting where room = 'zz';
  raise notice 'found % rows %', found, n;
end $$;
select * from note where id = 7000;
do $$
begin
  update meeting set title = 'gone' where room = 'r3';
  raise exception 'no, %', 'really' using hint = 'stop';
end $$;
select count(*) from meeting where title = 'gone';
do $$ declare n int; begin select count(*) / 0 into n from meeting; end $$;
do $$ declare n smallint; begin select count(*) * 100000 into n from meeting; end $$;
do $$ declare n int := 'x' || (select count(*) from meeting); begin perform n; end $$;
begin;
do $$ begin update room set name = 'in a transaction' where floor = 1; end $$;
select count(*) from room where name = 'in a transaction';
savepoint s;
do $$ begin update room set name = 'undone' where floor = 1; perform 1/0 from room; end $$;
rollback to s;
select pl_count('r3');
rollback;
select count(*) from room where name = 'in a transaction';
create or replace function pl_count(r text) returns bigint language plpgsql as $$ begin return (select -count(*) from meeting where room = r); end $$;
select pl_count('r3');
do language plpgsql $$ begin delete from meeting where now() < '2000-01-01' or room = 'r5'; end $$;
select count(*) from meeting where room = 'r5';
set client_min_messages = warning;
select pl_noted(5);
reset client_min_messages;
-- what a write returns goes into variables: one row, none, or too many
create or replace function pl_bump(r text, i int) returns numeric language plpgsql as $$
declare c numeric; t text := 'kept';
begin
  update meeting set cost = coalesce(cost, 0) + 1 where room = r and id = i returning cost, title into c, t;
  if not found then return -1; end if;
  get diagnostics i = row_count;
  raise notice '% % %', c, t, i;
  return c;
end $$;
select pl_bump('r3', 2), pl_bump('r9', 8);
select pl_bump('r3', 3);
select cost from meeting where id in (2, 8) order by id;
do $$ declare n int; begin update meeting set minutes = 20 where minutes = 15 returning id into n; end $$;
do $$ declare n int; begin delete from meeting where room = 'r14' and minutes is null returning id into strict n; raise notice 'never %', n; end $$;
do $$ declare n int := 5; m text; begin delete from meeting where id = -1 returning id, title into n, m; raise notice '% % %', n, m, found; end $$;
do $$ declare k int; begin insert into note (id) values (7100) returning id into strict k; raise notice 'made %', k; end $$;
do $$ declare k int; begin with w as (delete from note where id = 7100 returning id) select id into k from w; raise notice 'gone %', k; end $$;
-- MERGE in code
--! setup
create function pl_merge(p int, q text) returns text language plpgsql as $$
declare
  n int;
  r text := '';
begin
  merge into nothing t using (select p + g as a from generate_series(0, 2) g) s on t.k = s.a
    when matched and t.v = q then delete
    when matched then update set v = t.v || q
    when not matched and s.a < 100 then insert values (s.a, q || p);
  get diagnostics n = row_count;
  if found then r := 'found '; end if;
  return r || n;
end $$;
select pl_merge(1, 'x1');
select pl_merge(2, 'y');
select pl_merge(1, 'x1');
select pl_merge(500, 'x');
select * from nothing order by k;
do $$ declare n int; begin merge into room r using (values ('r1', 7), ('r2', 8)) v(id, f) on r.id = v.id when matched then update set floor = v.f; get diagnostics n = row_count; raise notice '%', n; end $$;
select id, floor from room where id < 'r3' order by id;
