-- Functions in PL/pgSQL over sharded tables that call each other: arguments, recursion, notices and errors with their contexts.
--! setup
create table t (k text, id int, v int, d jsonb, primary key (k, id)) partition by hash (k, id);
--! setup
create table u (k text primary key, n int default 0, note text) partition by hash (k);
--! setup
insert into t select 'k' || (i % 20), i, i * 3 % 17, jsonb_build_object('a', i) from generate_series(1, 100) i;
--! setup
insert into u select 'k' || i, i, 'n' || i from generate_series(0, 19) i;
--! setup
create function p1(x text) returns int language plpgsql as $$ declare n int; begin select count(*) into n from t where k = x; raise notice 'p1 %', x; return n; end $$;
--! setup
create function nn(x text) returns int language plpgsql as $$ declare n int; begin n := p1(x); raise notice 'nn %', n; n := n + 1; select p1(x || '0') into n; perform p1('k3'); if found then return p1(x); end if; return 0; end $$;
select nn('k1');
select nn('k1'), nn('k2'), p1('k5');
--! setup
create function fac(i int) returns int language plpgsql as $$ declare m int; begin if i <= 1 then return (select count(*) from t where k = 'k1'); end if; m := fac(i - 1); insert into u values ('fac' || i, m); return i * m; end $$;
select fac(4);
select k, n from u where k like 'fac%' order by 1;
select * from fac(1);
do $$ declare a int; begin a := fac(1); raise notice '%', a; perform fac(2); end $$;
--! setup
create function boom(i int) returns int language plpgsql as $$ begin
  insert into u values ('boom' || i, i);
  return 10 / i + (select count(*) * 0 from t); end $$;
--! setup
create function outerf(i int) returns text language plpgsql as $$ declare r int; c text;
begin
  begin
    r := boom(i);
    perform boom(i + 1);
    return 'fine ' || r;
  exception when division_by_zero then
    get stacked diagnostics c = pg_exception_context;
    raise notice '%', c;
    return 'caught ' || sqlerrm;
  end;
end $$;
select outerf(1);
select outerf(0);
select outerf(-1);
select k from u where k like 'boom%' order by 1;
do $$ begin perform boom(5); perform boom(0); end $$;
do $$ declare x int; begin x := boom(0); end $$;
do $$ declare x int; begin select boom(0) into x; end $$;
--! setup
create function vo(i int) returns void language plpgsql as $$ begin update u set n = i where k = 'k1'; raise notice 'vo'; end $$;
do $$ begin for i in 1..2 loop perform vo(i); raise notice '%', found; end loop; end $$;
--! setup
create function sq(i int) returns bigint language sql as $$ update u set n = n + i where k = 'k2'; select count(*) from t; $$;
do $$ declare b bigint; begin b := sq(3); raise notice '%', b; b := sq(4); end $$;
select n from u where k = 'k2';
--! setup
create function strict1(x int) returns int language plpgsql strict as $$ begin return (select count(*) from t) + x; end $$;
do $$ declare a int; begin a := strict1(null); raise notice '%', a; a := strict1(1); raise notice '%', a; end $$;
--! setup
create function even(i int) returns boolean language plpgsql as $$ declare b boolean; begin if i = 0 then perform 1 from t; return true; end if; b := odd(i - 1); return b; end $$;
--! setup
create function odd(i int) returns boolean language plpgsql as $$ declare b boolean; begin if i = 0 then return false; end if; b := even(i - 1); return b; end $$;
select even(4), even(3);
do $$ begin while even(3) loop null; end loop; if even(2) then raise notice 'yes'; end if; end $$;
--! setup
create function defs(a int, b text default 'k1') returns text language plpgsql as $$ begin return a || b || (select count(*) from t where k = b); end $$;
do $$ declare r text; begin r := defs(1); raise notice '%', r; r := defs(b => 'k2', a => 2); raise notice '%', r; end $$;
do $$ declare r int; begin r := p1((select max(k) from u where n = 1)); raise notice '%', r; end $$;
--! setup
create function inner_caught() returns int language plpgsql as $$ begin begin insert into u values ('k1', 1); exception when unique_violation then raise notice 'inner'; end; insert into u values ('ic', 1); raise exception 'out'; end $$;
do $$ declare r int; begin begin insert into u values ('before', 1); r := inner_caught(); exception when raise_exception then raise notice '%', (select count(*) from u where k in ('before', 'ic')); end; end $$;
do $$ declare r int; begin r := inner_caught(); end $$;
--! setup
create function deep(i int) returns int language plpgsql as $$ declare r int; begin perform 1 from u; if i = 0 then return 0; end if; r := deep(i - 1); return r + 1; end $$;
select deep(20);
--! setup
create procedure prc(i int) language plpgsql as $$ declare x int; begin x := p1('k1'); perform vo(x); end $$;
call prc(1);
