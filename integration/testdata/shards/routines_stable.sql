-- STABLE functions in PL/pgSQL over sharded tables, whose one query has the one snapshot.
--! setup
create function how_many(r text, bound int default 0) returns bigint language plpgsql stable as $$
declare n bigint; low int := coalesce(bound, 0) * 2 / 2;
begin
  if r is null then
    select count(*) into n from meeting where minutes >= low;
  else
    select count(*) into n from meeting where room = r and minutes >= low;
  end if;
  if not found then raise notice 'never'; end if;
  return n;
end $$;
--! setup
create function longest(r text) returns text language plpgsql stable strict as $$
declare m record;
begin
  for m in select id, title, minutes from meeting where room = r and minutes is not null order by minutes desc, id loop
    return m.id || ': ' || coalesce(m.title, 'none') || ' ' || m.minutes;
  end loop;
  return null;
end $$;
--! setup
create function meetings_of(r text) returns table (id int, title text) language plpgsql stable as $$ begin return query select m.id, m.title from meeting m where m.room = r order by m.id; end $$;
--! setup
create function share(r text) returns numeric language plpgsql stable as $$
begin
  return (select round(100.0 * count(*) filter (where room = r) / count(minutes), 2) from meeting where room in ('r1', r));
exception when division_by_zero then return -1;
end $$;
--! setup
create function report_of(r text) returns text language plpgsql as $$
declare a bigint; b text;
begin
  a := how_many(r);
  update meeting set title = 'seen' where room = r and id = (select min(id) from meeting where room = r);
  b := longest(r);
  return a || ' ' || b;
end $$;
select how_many('r3');
select how_many('r3', 30);
select how_many(null, bound => 45);
select how_many('zz') as none;
select longest('r3');
select longest(null);
select * from meetings_of('r5');
select title, count(*) from meetings_of('r5') group by title order by 1 nulls first;
select id from meetings_of('r5') where id > 30 order by id desc limit 2;
select share('r2');
select * from how_many('r4');
begin;
update meeting set minutes = 100 where room = 'r3' and id = 2;
select longest('r3');
rollback;
select report_of('r3');
select title from meeting where title = 'seen';
