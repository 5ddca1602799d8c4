--! shared
-- Subqueries, WITH queries and views with ORDER BY, below a SELECT that sorts nothing: PostgreSQL's rows keep their order.
--! sorted
select * from (select id, minutes from meeting order by minutes, id) x;
--! sorted
select * from (select id, minutes from meeting order by minutes desc, id) x limit 7;
--! sorted
select * from (select id, minutes from meeting order by 2, 1) x limit 5 offset 4;
--! sorted
select x.minutes + 1 as later, x.id from (select id, minutes from meeting order by minutes, id limit 9) x;
--! sorted
select id from (select id, cost from meeting order by cost nulls first, id) x limit 6;
--! sorted
select id, title from (select title, id from meeting order by title collate "C" desc nulls last, id) x limit 6;
--! sorted
select name from (select name, id from person order by name, id) x limit 8;
--! sorted
select * from (select name as n, id as k from person order by n desc, k) x(a, b) limit 8;
--! sorted
select * from (select id, minutes / 15 as q from meeting order by minutes / 15, id) x limit 8;
--! sorted
select id from (select id, minutes, room from meeting order by minutes, id) x where room > 'r3' limit 8;
--! sorted
select id from (select id from (select id, minutes from meeting order by minutes desc, id) a) b limit 4;
--! sorted
select * from (select * from (select id, minutes from meeting order by minutes desc, id) a limit 9) b offset 2;
--! sorted
with x as (select id, minutes from meeting order by minutes desc, id) select * from x limit 4;
--! sorted
with x as (select id, minutes from meeting order by minutes desc, id), y as (select id, minutes from x) select id from y where id > 10 limit 4;
--! sorted
with x as materialized (select id, minutes from meeting order by minutes desc, id) select * from x limit 4;
--! sorted
select id from (select id from meeting order by doc ->> 'kind', id) x limit 5;
--! sorted
select * from (select id from meeting order by minutes % 7, cost, id) x limit 5;
--! sorted
select * from (select distinct minutes from meeting order by minutes desc) x limit 3;
--! sorted
select * from (select distinct on (minutes) minutes, id from meeting order by minutes, id) x limit 3;
--! sorted
select * from (select minutes, count(*) as n from meeting group by minutes order by n desc, minutes) x limit 3;
--! sorted
select * from (select id from meeting where id < 9 union select id from person where id < 12 order by id desc) x limit 5;
--! sorted
select * from (select person, mood from profile order by mood, person) x limit 9;
--! sorted
select * from (select id, at from event order by at desc, id) x limit 5;
--! sorted
select e.id, e.at from (select * from event order by at, id) e where e.kind is not null;
--! sorted
select x from (select id, minutes from meeting order by minutes, id) x limit 3;
--! sorted
select to_jsonb(x) from (select id, minutes from meeting order by minutes, id) x limit 3;
--! sorted
(select * from (select id, minutes from meeting order by minutes, id) x limit 3);
select count(*), sum(minutes) from (select id, minutes from meeting order by minutes, id) x;
select array_agg(id) from (select id, minutes from meeting order by minutes, id) x;
select string_agg(name, ',') from (select name from person order by name, id) x;
select jsonb_agg(x) from (select id, minutes from meeting order by minutes, id limit 5) x;
select json_object_agg(id, minutes) from (select id, minutes from meeting order by minutes, id) x;
select array(select id from (select id, minutes from meeting order by minutes, id) x limit 5);
select array_agg(id) filter (where minutes > 30) from (select id, minutes from meeting order by minutes, id) x;
select array_agg(id order by id desc) from (select id, minutes from meeting order by minutes, id) x;
select row_number() over () as pos, id from (select id, minutes from meeting order by minutes, id) x order by pos limit 5;
select count(*) from (select * from meeting order by minutes, id limit 13) x;
select id from meeting where id in (select id from (select id, minutes from meeting order by minutes, id) x limit 5) order by id;
create view ranked as select id, minutes, title from meeting order by minutes desc, id;
--! sorted
select * from ranked;
--! sorted
select id from ranked limit 5;
--! sorted
select id as k, title from ranked where title is not null limit 5 offset 1;
--! sorted
table ranked limit 4;
select array_agg(id) from ranked;
select array_agg(r.id) from ranked r(id) where r.id < 30;
select count(*) from ranked;
select title, min(id) from ranked group by title order by title nulls last;
create view first_ranked as select id, title from ranked limit 6;
--! sorted
select * from first_ranked;
select string_agg(id::text, ' ') from first_ranked;
create view by_length as select id, title from meeting order by length(title), minutes, id;
--! sorted
select * from by_length limit 7;
select array_agg(id) from by_length;
--! sorted
select * from (select * from by_length) x limit 5;
create table copied (pos serial, id int) partition by hash (id);
insert into copied (id) select id from ranked limit 10;
select id from copied order by pos;
insert into copied (pos, id) select 100 + row_number() over (), id from ranked limit 3;
select pos, id from copied where pos > 100 order by pos;
--! sorted
prepare firsts as select id from (select id, minutes from meeting order by minutes, id) x limit 5;
--! sorted
execute firsts;
--! params 4 | 2
--! sorted
select id from (select id, minutes from meeting order by minutes, id) x limit $1 offset $2;
--! params 3
--! sorted
select id from (select id, minutes from meeting order by minutes, id limit $1) x;
--! params 30 | 3
--! sorted
select id, room from (select id, minutes, room from meeting where minutes > $1 order by minutes, id limit $2) x where room <> 'r1';
drop table copied;
drop view by_length, first_ranked, ranked;
deallocate firsts;
