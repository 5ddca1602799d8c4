-- FOR UPDATE, SHARE, SKIP LOCKED and NOWAIT over shards: a job queue.
--! setup
set pleiad.shard_count = 8;
--! setup
create table job (id int primary key, state text, prio int, who text) partition by hash (id);
--! load
insert into job select i, case when i % 3 = 0 then 'done' else 'new' end, i % 4, null from generate_series(1, 30) i;
select id from job where state = 'new' order by prio desc, id limit 3 for update;
select id from job where state = 'new' order by prio desc, id limit 3 for update skip locked;
select id from job where id = 4 for update nowait;
select id, prio from job order by id for share;
select id from job where prio = 1 order by id for no key update;
select id from job where prio = 1 order by id for key share nowait;
select * from job for update;
begin;
select id from job where state = 'new' order by prio desc, id limit 2 for update skip locked;
update job set state = 'taken', who = 'a' where id in (3, 7) returning id, state;
commit;
update job set state = 'taken', who = 'me' where id in (select id from job where state = 'new' order by prio desc, id limit 3 for update skip locked) returning id;
update job set state = 'taken', who = 'me' where id = (select id from job where state = 'new' order by prio desc, id limit 1 for update skip locked) returning id, prio;
delete from job where id in (select id from job where state = 'done' order by id limit 2 for update skip locked) returning id;
with next as (select id from job where state = 'new' order by prio, id limit 2 for update skip locked) update job set state = 'run' from next where job.id = next.id returning job.id, job.state;
with gone as (select id from job where state = 'done' order by id for update skip locked limit 1) delete from job using gone where gone.id = job.id returning job.*;
select state, count(*) from job group by state order by state;
select m.id from meeting m join room r on r.id = m.room where r.floor = 2 order by m.id for update of m;
select m.id from meeting m join room r on r.id = m.room where r.floor = 2 order by m.id for update of m for share of r;
select p.name, d.name from person p join dept d on d.id = p.dept where p.id < 5 order by p.id for update of p;
select p.id, m.id from person p join meeting m on m.id = p.id where p.id < 5 order by p.id for update;
select s.id from (select id from meeting where minutes = 15 for update) s order by s.id;
select id from meeting where room = 'r4' order by id for update;
select count(*) from meeting for update;
select distinct minutes from meeting for update;
select minutes from meeting group by minutes for share;
select id from meeting union select id from job for update;
select id from meeting order by id for update of nosuch;
select key from setting order by key for update;
select id from dept order by id for update;
-- joins over shards, and locks inside of FROM
select p.id, m.id, p.name, m.title from person p, meeting m where m.id = p.id and p.name > 'b' order by p.name, p.id, m.id limit 4 for update of p;
select p.*, m.room from person p, meeting m where m.id = p.id and p.id < 3 order by 1 for share nowait;
select a.id, b.id from person a, person b where a.id = b.id + 1 and a.id < 6 order by a.id for update;
select p.id, m.id from person p join meeting m on m.id = p.id where p.id < 0 order by p.id for update;
select count(*) from person p join meeting m on m.id = p.id where p.id < 5 for update;
select p.id, m.id from person p join meeting m on m.id = p.id where p.id = (select max(id) from person where id < 10) order by p.id for update;
select s.id, s.t, p.name from (select id, title as t from meeting where minutes = 15 order by id for update) s join person p on p.id = s.id order by s.id;
select count(*), max(t) from (select title as t from meeting where minutes = 30 for share) s;
select e.id, a.meeting from attendance a join person e on e.id = a.person + 1 where e.id < 4 order by 1, 2 for update;
--! params 12 | b
select p.id, p.name, m.title, $2 || p.id as x from person p join meeting m on m.id = p.id where p.id < $1 and p.name > $2 order by p.name, p.id for update of m;
begin;
select p.id, m.id from person p join meeting m on m.id = p.id where p.id < 5 order by p.id for update;
update person set name = 'locked' where id = 1;
update meeting set title = 'locked' where id = 2;
commit;
begin isolation level repeatable read;
select p.id, p.name, m.title from person p join meeting m on m.id = p.id where p.id < 5 order by p.id for update;
rollback;
-- joins off the key with LIMIT or SKIP LOCKED, and subqueries off it
select p.id, m.id, m.title from person p join meeting m on m.id = p.id where p.dept = 2 order by p.id desc limit 3 for update of p skip locked;
select p.id, m.id, m.title from person p left join meeting m on m.id = p.id * 3 order by p.id limit 4 offset 2 for update of p skip locked;
select m.room, m.id, p.* from meeting m, person p where p.id = m.id and p.active order by m.id limit 3 for update skip locked;
select p.id, a.meeting, m.title from person p join attendance a on a.person = p.id + 1 join meeting m on m.id = a.meeting where p.id < 9 order by 1, 2, m.room limit 5 for update of p skip locked for share of a;
select p.id, d.name, m.title from person p join dept d on d.id = p.dept join meeting m on m.id = p.id order by d.name, p.id limit 3 for update of p skip locked;
select id from person p where exists (select from meeting m where m.id = p.id and m.minutes = 30) order by id limit 3 for update;
select id, name from person where id in (select meeting from attendance where role = 'chair') order by name, id limit 3 for no key update skip locked;
select id, (select count(m) from meeting m where m.id < person.id) as n from person where dept = 1 order by id limit 4 for update nowait;
select id from person p where not exists (select from meeting m where m.id = p.id + 50) order by id for update;
select a.id, b.id from person a join person b on b.id = a.boss order by a.id limit 4 for update skip locked;
select p.id, n.txt from person p join note n on n.person = p.id join meeting m on m.id = p.id order by p.id limit 3 for update of p skip locked;
select p.id, n.txt from person p join note n on n.person = p.id join meeting m on m.id = p.id order by p.id limit 3 for update of n skip locked;
select p.id from person p join meeting m on m.id = p.id where p.id < 0 limit 3 for update of p skip locked;
select p.id from person p join meeting m on m.id = p.id order by p.id limit 0 for update of p skip locked;
select p.id from person p join meeting m on m.id = p.id order by p.id limit -1 for update of p skip locked;
select p.id from person p join meeting m on m.id = p.id order by p.id limit 1 for update of x skip locked;
--! params 2 | 3
select p.id, m.title, $2::int as x from person p join meeting m on m.id = p.id where p.dept = $1 order by p.id limit $2 for update of p skip locked;
--! params 30 | 1
select p.id, m.title from person p join meeting m on m.id = p.id where m.minutes = $1 order by p.id offset $2 for update of p skip locked;
select count(*) from (select p.id from person p join meeting m on m.id = p.id where m.minutes = 30 limit 3 for update of p skip locked) s;
update person set name = 'picked' where id in (select p.id from person p join meeting m on m.id = p.id where m.minutes = 30 order by p.id limit 3 for update of p skip locked) returning id;
with next as (select p.id, m.title from person p join meeting m on m.id = p.id where m.minutes = 45 order by p.id desc limit 2 for update of p skip locked) update person set name = coalesce(title, 'none') from next where person.id = next.id returning person.id, name;
with next as (select p.id from person p join meeting m on m.id = p.id where m.minutes = 60 order by p.id limit 2 for update of p skip locked), gone as (delete from person using next where person.id = next.id returning person.id, person.email) select * from gone order by id;
begin isolation level repeatable read;
select p.id, m.title from person p join meeting m on m.id = p.id where m.minutes = 15 order by p.id limit 3 for update of p skip locked;
commit;
select id, name from person order by id;
-- LIMITs without an end
select id from person where dept = 3 order by id limit 5000000000000000000 for update skip locked;
select id from person where dept = 3 order by id limit 9223372036854775807 offset 2 for update;
--! params null
select id from person where dept = 3 order by id limit $1 for update skip locked;
select p.id, m.id from person p join meeting m on m.id = p.id where p.dept = 3 order by p.id, m.room limit 5000000000000000000 for update skip locked;
select p.id, m.id from person p join meeting m on m.id = p.id where p.dept = 3 order by p.id, m.room limit 9223372036854775807 offset 1 for update of p;
select nosuch from person order by id limit -1 for update;
select id from person order by id limit -1 for update;
-- rows of several tables under one name, and a search path that has another =
create table old_note (constraint old_note_key primary key (id)) inherits (note);
insert into old_note select id, person, 'old' from note where id < 9;
select p.id, n.txt from person p join note n on n.person = p.id order by 1, 2 limit 4 for update of p skip locked;
select p.id, n.txt from person p join only note n on n.person = p.id order by 1, 2 limit 4 for update of p skip locked;
select p.id, n.txt from person p join only note n on n.person = p.id order by 1, 2 limit 4 for update of n;
create schema odd;
create function odd.never(bigint, bigint) returns bool language sql immutable as 'select false';
create operator odd.= (leftarg = bigint, rightarg = bigint, function = odd.never);
set search_path = odd, pg_catalog, public;
select id from person where dept < 3 order by id limit 3 for update skip locked;
select p.id, m.room from person p join meeting m on m.id < p.dept where p.dept < 4 order by 1, 2 limit 3 for update skip locked;
reset search_path;
