-- Functions in FROM whose code runs statement by statement: RETURN NEXT and RETURN QUERY, OUT and TABLE columns, SQL functions that write.
--! setup
create table t (k text, id int, v int, d jsonb, primary key (k, id)) partition by hash (k, id);
--! setup
create table u (k text primary key, n int default 0, note text) partition by hash (k);
--! setup
insert into t select 'k' || (i % 20), i, i * 3 % 17, jsonb_build_object('a', i) from generate_series(1, 100) i;
--! setup
insert into u select 'k' || i, i, 'n' || i from generate_series(0, 19) i;
--! setup
create function rq(x text) returns setof t language plpgsql as $$ begin return query select * from t where k = x order by id; return; end $$;
select * from rq('k1');
select id, d->>'a' as a from rq('k1') where id > 20 order by id desc limit 2;
select count(*), sum(v) from rq('k2');
select q.id + 1 as z, q.* from rq(x => 'k3') q where q.v > 3 or q.id < 10 order by 1;
select q.b from rq('k3') q(a, b, c) order by 1;
--! setup
create function rt(x text) returns table (a int, b int) language plpgsql as $$ begin return query select id, v from t where k = x order by id; raise notice '%', found; a := 0; return next; b := 5; return next; end $$;
select * from rt('k1');
select a from rt('k1') group by a order by a desc;
select distinct b from rt('k1') order by 1;
select rt.a from rt('k1') order by b nulls first, a;
select row_number() over (order by a desc), a from rt('k1') order by 1;
--! setup
create function rs() returns setof int language plpgsql as $$ declare r record; begin for r in select id from t order by id limit 3 loop return next r.id; insert into u values ('rs' || r.id, r.id); end loop; end $$;
select * from rs();
select * from rs() limit 1;
delete from u where k like 'rs%';
select sum(rs) from rs();
select x from rs() x where x > 100;
select count(*) from u where k like 'rs%';
--! setup
create function rr() returns setof u language plpgsql as $$ declare r record; begin for r in select * from u where n < 3 order by k loop return next r; end loop; end $$;
select * from rr();
select k, n from rr() where note is null or n >= 0 order by 1 desc;
--! setup
create function rv() returns setof text language plpgsql as $$ declare x text := 'a'; begin return next x; x := (select max(k) from t); return next x; return next null; return next x || 1; end $$;
select * from rv();
select rv from rv() order by 1 nulls first;
--! setup
create function rd(tab text) returns table (k text) language plpgsql as $$ begin return query execute format('select k from %I where k like $1 order by 1', tab) using 'k1%'; end $$;
select * from rd('u');
select * from rd('nowhere');
--! setup
create function ro(a int, out b int, out c text) language plpgsql as $$ begin select count(*) + a, max(k) into b, c from t; end $$;
select * from ro(3);
select c, b from ro(a => 4);
--! setup
create function ro1(a int, out b bigint) language plpgsql as $$ begin select count(*) + a into b from t; end $$;
select * from ro1(3);
--! setup
create function ros(out b int, out c text) returns setof record language plpgsql as $$ begin for b in 1..3 loop c := (select max(k) from t where id = b); return next; end loop; end $$;
select * from ros();
--! setup
create function p1(x text) returns int language plpgsql as $$ declare n int; begin select count(*) into n from t where k = x; return n; end $$;
select * from p1('k1');
select * from p1('k1') as foo(bar) where bar > 3;
--! setup
create function err() returns setof int language plpgsql as $$ begin return next 1; perform 1 / 0 from t; end $$;
select * from err();
--! setup
create function errq() returns setof int language plpgsql as $$ begin return query select 1 / (v - v) from t; end $$;
select * from errq();
--! setup
create function wr(x int) returns table (k text, n int) language plpgsql as $$ begin return query insert into u values ('wr' || x, x) returning u.k, u.n; return query update u set n = u.n + 1 where u.k = 'wr' || x returning u.k, u.n; end $$;
select * from wr(1);
select * from u where k like 'wr%';
--! setup
create function srf(x int) returns setof text language sql as $$ insert into u values ('srf' || x, x); select k from u where k like 'srf%' order by k $$;
select * from srf(1);
select * from srf(2) where srf <> 'srf1';
--! setup
create function sru(x int) returns setof text language sql as $$ update u set n = x where n < 3 and k like 'k_' returning k $$;
select * from sru(-1) order by 1;
--! setup
create function srt(x int) returns table (a text, b int) language sql as $$ delete from u where k = 'wr1'; select k, n from u where n = x order by k $$;
select * from srt(-1);
--! setup
create function strictf(x int) returns setof int language plpgsql strict as $$ begin return next (select count(*) from t); end $$;
select * from strictf(1);
select * from strictf(null);
begin;
select * from rs() order by 1;
select k from u where k like 'rs%' order by 1;
rollback;
--! setup
create function exq() returns setof text language plpgsql as $$ begin
 for i in 1..3 loop begin return next 'try' || i; insert into u values ('k' || i * 7, 1); return next 'ok' || i; exception when unique_violation then return next sqlerrm; end; end loop; end $$;
select * from exq();
--! setup
create function lot() returns setof int language plpgsql as $$ begin return query select id from t; for i in 1..5 loop return query select i; end loop; end $$;
select count(*), max(lot) from lot();
select * from lot() order by 1 limit 5 offset 2;
--! setup
create function strict1(x int) returns int language plpgsql strict as $$ begin return (select count(*) from t) + x; end $$;
select * from strict1(null);
select strict1 is null from strict1(null);
--! setup
create function sqlnone(x int) returns text language sql as $$ insert into u values ('sqlnone' || x, x); select k from u where n = -77 $$;
select * from sqlnone(1);
select sqlnone(2), strict1(1), strict1(2), strict1(null);
