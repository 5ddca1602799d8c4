-- Functions, procedures and DO blocks whose bodies read or write sharded tables; none may see one server's part only.
--! setup
create function double(i int) returns int language sql immutable as 'select i * 2';
--! setup
create function pl_double(i int) returns int language plpgsql immutable as $$ begin return i * 2; end $$;
--! setup
create function label_of(m int) returns text language plpgsql stable as $$ begin return case when m > 40 then 'long' else 'short' end; end $$;
--! setup
create function meetings_in(r text) returns bigint language sql stable as 'select count(*) from meeting where room = r';
--! setup
create function all_meetings() returns bigint language sql stable as 'select count(*) from meeting';
--! setup
create function all_meetings_pl() returns bigint language plpgsql as $$ declare n bigint; begin select count(*) into n from meeting; return n; end $$;
--! setup
create function title_of(r text, i int) returns text language sql stable as 'select title from meeting where room = r and id = i';
--! setup
create function dept_name(d smallint) returns text language sql stable as 'select name from dept where id = d';
--! setup
create function floor_of(k text) returns int language sql stable as 'select value from setting where key = k';
--! setup
create function rooms_on(f int) returns setof room language sql stable as 'select * from room where floor = f';
--! setup
create function add_note(i int, t text) returns void language sql as 'insert into note values (i, null, t)';
--! setup
create function rename_all(t text) returns int language plpgsql as $$ declare n int; begin update meeting set title = t; get diagnostics n = row_count; return n; end $$;
--! setup
create function dynamic(t text) returns bigint language plpgsql as $$ declare n bigint; begin execute 'select count(*) from ' || quote_ident(t) into n; return n; end $$;
--! setup
create procedure tidy(m int) language plpgsql as $$ begin delete from meeting where minutes = m; end $$;
--! setup
create procedure local_only(v int) language plpgsql as $$ begin update setting set value = v where key = 'none'; end $$;
--! setup
create aggregate total (int) (sfunc = int4pl, stype = int, initcond = '0');
--! setup
create aggregate joined (text) (sfunc = textcat, stype = text, initcond = '');
--! setup
create aggregate total_par (bigint) (sfunc = int8pl, stype = bigint, combinefunc = int8pl, initcond = '0', parallel = safe);
--! setup
create operator === (leftarg = int, rightarg = int, function = int4eq);
select double(id), pl_double(id) from meeting where id < 4 order by id;
select label_of(minutes), count(*) from meeting group by label_of(minutes) order by 1;
select id from meeting where double(id) === 8;
select total(minutes), total(id) filter (where id < 5) from meeting where minutes is not null;
select total_par(id) from meeting;
select joined(title order by id) from meeting where id < 10;
select minutes, total(id) from meeting group by minutes order by minutes;
select id, total(id) over (order by id) from meeting where id < 6 order by id;
select meetings_in('r3');
select all_meetings();
select all_meetings_pl();
select id, meetings_in(id) from room order by id;
select title_of('r3', 2), title_of('r1', -1);
select id, dept_name(dept) from person where id < 6 order by id;
select dept_name(dept), count(*) from person group by 1 order by 1;
select floor_of('floor');
select id from room where floor = floor_of('floor') order by id;
select id, name from rooms_on(2) order by id;
select count(*) from rooms_on(2) r join meeting m on m.room = r.id;
select dynamic('meeting'), dynamic('setting');
select add_note(500, 'by function');
select txt from note where id = 500;
select rename_all('renamed');
select count(*) from meeting where title = 'renamed';
call tidy(15);
select count(*) from meeting;
call local_only(42);
select value from setting where key = 'none';
do $$ begin update meeting set title = 'by do' where minutes = 30; end $$;
select count(*) from meeting where title = 'by do';
do $$ begin update setting set value = 43 where key = 'none'; end $$;
do $$ begin raise notice 'hello %', 1 + 1; end $$;
do $$ declare n bigint; begin select count(*) into n from meeting; raise notice 'meetings: %', n; end $$;
do $$ begin perform 1 / 0; end $$;
create function body_only() returns bigint begin atomic select count(*) from meeting; end;
select body_only();
create function ref_write(i smallint) returns void language sql as $$ insert into dept values (i, 'made', 0) $$;
select ref_write(77::smallint);
select count(*) from dept where id = 77;
select p.id from person p join dept d on d.id = 77 where p.id < 3 order by 1;
create function trap() returns int language plpgsql as $$ begin perform 1 / 0; exception when division_by_zero then return -1; end $$;
select trap();
select id, trap() from room order by id limit 2;
create function vol() returns float8 language sql volatile as 'select random()';
select count(*) from (select vol() from meeting) s;
select id from meeting where vol() < 0;
