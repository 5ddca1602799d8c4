-- Row comparison; user types and domains, arrays and composites of them, as one server's client sees them.
select id from meeting where (minutes, id) > (60, 50) order by id;
select id from meeting where (room, id) >= ('r5', 40) and room < 'r7' order by id;
select id from meeting where (minutes, title) in ((15, 'Topic 1'), (30, 'Topic 2')) order by id;
select id from meeting where (minutes, title) is not distinct from (null, 'Topic 2') order by id;
select id from meeting where row(minutes, title) is null order by id;
select id from meeting order by (minutes, id) desc nulls last limit 4;
select m.id, n.id from meeting m join meeting n on (m.minutes, m.title) = (n.minutes, n.title) and m.id < n.id order by 1, 2 limit 10;
select max(row(minutes, id)) from meeting;
select person, mood from profile order by mood nulls first, person;
select person, mood, moods, share, nick from profile where mood > 'sad' order by person;
select person, home, (home).zip, homes from profile order by person;
select person, homes[1], (homes[1]).street from profile where homes is not null order by person;
select person from profile where home = row('Street 1', 1001)::address order by person;
select person from profile where 'happy' = any (moods) order by person;
select person, moods || 'sad'::mood, array_append(moods, 'ok') from profile where person < 5 order by person;
select mood, array_agg(nick order by person) from profile group by mood order by mood;
select array_agg(home order by person), array_agg(mood order by person) from profile where person < 6;
select array_agg(distinct moods) from profile where person < 3;
select row(person, mood, home) from profile where person < 4 order by person;
select profile from profile where person < 4 order by person;
select array(select mood from profile where person < 6 order by person);
select array(select home from profile where person < 6 order by person);
select (select home from profile where person = 3), (select mood from profile where person = 2);
select enum_range(min(mood), max(mood)), enum_first(max(mood)) from profile;
select mood::text, count(*) from profile group by mood::text order by 1;
select 'ok'::mood, '{ok,sad}'::mood[], row('a', 1)::address, 5::percent, 'x'::label;
select p.mood, q.mood from profile p join profile q on q.mood = p.mood and q.person = p.person + 4 order by p.person;
select m.mood, r.id from profile m, room r where m.person = 2 and r.id = 'r3';
select coalesce(mood, 'ok') as m, count(*) from profile group by m order by m;
select case when person < 10 then mood end as m, count(*) from profile group by m order by m;
select lag(mood) over (order by person), first_value(home) over (order by person) from profile order by person limit 5;
with p as (select mood, home, share from profile) select mood, max(share), count(home) from p group by mood order by mood;
select distinct on (mood) mood, home, homes from profile order by mood, person;
select mood from profile union select unnest(moods) from profile order by 1;
select * from profile where person in (1, 2, 3) order by person;
--! params happy
select person from profile where mood = $1 order by person;
--! params ok
select person from profile where $1 = any (moods) order by person;
select person from profile where mood = 'angry';
insert into profile (person, mood, share) values (100, 'angry', 1);
insert into profile (person, mood, share) values (100, 'ok', 101);
insert into profile (person, mood, home, share, moods, homes) values (100, 'sad', row('New', 1), 7, '{sad,ok}', array[row('x', 2)::address]), (101, 'ok', null, 8, null, null) returning *;
update profile set home.zip = 99, moods[1] = 'happy' where person in (100, 101) returning person, home, moods;
update profile set share = share + 60 where person > 0;
update profile set nick = null where person < 5;
delete from profile where person >= 100 returning mood, home, nick;
--! setup
create type pairing as (who person, mood mood);
select (row(p, 'ok')::pairing).mood, ((row(p, 'ok')::pairing).who).id from person p where id < 4 order by id;
--! setup
create type span as range (subtype = int);
select span(id, id + 2), count(*) from meeting where id < 4 group by 1 order by 1;
select range_agg(span(id, id + 1)) from meeting where minutes = 15;
--! setup
alter type mood add value 'wild';
update profile set mood = 'wild' where person in (7, 8, 9) returning person, mood;
select mood, count(*) from profile group by mood order by mood;
--! setup
create table typed (m mood primary key, v address[]) with (pleiad.reference);
insert into typed values ('wild', array[row('ref', 1)::address]), ('sad', null) returning *;
select p.person, t.v, t.m from profile p join typed t on t.m = p.mood order by p.person;
--! setup
create table by_percent (p int primary key, x percent[], a address default row('dflt', 0)) partition by hash (p);
insert into by_percent values (1, '{1,2}'), (2, '{3,100}'), (3, null) returning *;
insert into by_percent values (4, '{1,200}');
select p, x, a, unnest(x) from by_percent order by 1, 4;
select max(x), array_agg(a order by p) from by_percent;
