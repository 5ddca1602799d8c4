-- Calls of SQL functions over sharded and reference tables: arguments, NULL, first rows, names, types, sets in FROM.
--! setup
create function n_in(r text) returns bigint language sql stable as 'select count(*) from meeting where room = r';
--! setup
create function n_over(m int, r text default 'r3') returns bigint language sql stable as 'select count(*) from meeting where minutes > m and room = r';
--! setup
create function n_strict(r text) returns bigint language sql stable strict as 'select count(*) from meeting where room = $1 or $1 is null';
--! setup
create function n_called(r text) returns bigint language sql stable as 'select count(*) from meeting where room = $1 or $1 is null';
--! setup
create function twice(a int) returns bigint language sql stable as 'select count(*) + a - a from meeting';
--! setup
create function unused(a int) returns bigint language sql stable as 'select count(*) from meeting';
--! setup
create function by_name(room text) returns bigint language sql stable as 'select count(*) from meeting m where m.room = by_name.room';
--! setup
create function last_title(r text) returns text language sql stable as 'select title from meeting where room = r order by id desc';
--! setup
create function third_title(r text) returns text language sql stable as 'select title from meeting where room = r order by id limit 5 offset 2';
--! setup
create function as_float(r text) returns float8 language sql stable as 'select sum(minutes) from meeting where room = r';
--! setup
create function as_varchar(r text) returns varchar language sql stable as 'select distinct title from meeting where room = r order by title';
--! setup
create function as_mood(p bigint) returns mood language sql stable as 'select mood from profile where person = p';
--! setup
create function as_percent(p bigint) returns percent language sql stable as 'select share from profile where person = p';
--! setup
create function as_moods(p bigint) returns mood[] language sql stable as 'select moods from profile where person = p';
--! setup
create function as_json(r text) returns jsonb language sql stable as 'select jsonb_build_object(''n'', count(*), ''m'', max(minutes)) from meeting where room = r';
--! setup
create function dept_of(p bigint) returns text language sql stable as 'select d.name from person p join dept d on d.id = p.dept where p.id = $1';
--! setup
create function folded(r text, i int) returns bigint language sql stable as 'select sum(minutes * (10 / i)) from meeting where room = r';
--! setup
create function counted(r text) returns bigint language sql stable as 'select count(r) from meeting';
--! setup
create function folds(i int) returns smallint language sql stable as 'select i from meeting where id < 0';
--! setup
create function nested(r text) returns bigint language sql stable as 'select n_in(r) + n_over(20, r) + count(*) from room where id = r';
--! setup
create function over2(a int) returns bigint language sql stable as 'select count(*) from meeting where id < a';
--! setup
create function over2(a int, b int) returns bigint language sql stable as 'select count(*) from meeting where id between a and b';
--! setup
create function atomic(r text, m int default 10) returns bigint begin atomic select count(*) from meeting where room = r and minutes > m; end;
--! setup
create function ret(r text) returns bigint stable return (select count(*) from meeting where room = r);
--! setup
create function busy(m int) returns table (room text, n bigint) language sql stable as 'select room, count(*) from meeting where minutes >= m group by room';
--! setup
create function ids(r text) returns setof int language sql stable as 'select id from meeting where room = r order by id';
--! setup
create function ids_strict(r text) returns setof int language sql stable strict as 'select id from meeting where room = r or r is null';
--! setup
create function rooms(f int) returns setof room language sql stable as 'select * from room where floor = f';
--! setup
create function wide(m int) returns table (a bigint, b varchar, c numeric) language sql stable as 'select id, title, cost from meeting where minutes = m';
--! setup
create function one_out(r text, out n bigint) language sql stable as 'select count(*) from meeting where room = r';
--! setup
create function two_out(r text, out n bigint, out m int) language sql stable as 'select count(*), max(minutes) from meeting where room = r';
--! setup
create function vol_in(r text) returns bigint language sql as 'select count(*) from meeting where room = r';
--! setup
create function definer(r text) returns bigint language sql stable security definer as 'select count(*) from meeting where room = r';
--! setup
create function with_cte(r text) returns bigint language sql stable as 'with x as (select * from meeting where room = r) select count(*) from x a join x b on a.id = b.id';
--! setup
create function sets(r text) returns int language sql stable as 'select id from meeting where room = r union select -1 order by 1';
--! setup
create function none(r text) returns int language sql stable as 'select id from meeting where room = r and id < 0';
--! setup
create function row_of(r text) returns room language sql stable as 'select * from room where id = r';
--! setup
create function whole(meeting text) returns bigint language sql stable as 'select count(meeting) from meeting';
--! setup
create function clock(r text) returns boolean language sql stable as 'select bool_and(starts < now()) from meeting where room = r';
select n_in('r3'), n_in('r4'), n_in(null), n_in('none');
select n_in('r3') + 1 as next, n_in('r3')::int, -n_in('r3'), coalesce(n_in(null), 7), (n_in('r3'));
select n_over(20), n_over(20, 'r5'), n_over(r => 'r5', m => 20), n_over(20, r => 'r6'), n_over(m := 30);
select n_over(r => 'r5');
select n_strict('r3'), n_strict(null), n_called(null), n_strict(null::text), n_strict(lower('R3')), n_strict(nullif('a', 'a'));
select twice(1 + 1), twice(length('abc')), twice(null);
select unused(5), unused(null), unused(length('x'));
select unused(1 / 0);
select unused(1 / length(''));
select twice(('1' || '2')::int), twice((random() * 0)::int);
select by_name('r3'), by_name(room => 'r4');
select last_title('r3'), last_title('r4'), last_title('zz');
select third_title('r3'), third_title('r1'), third_title('zz');
select as_float('r3'), as_float('zz'), as_varchar('r3'), as_varchar('zz');
select as_mood(3), as_mood(4), as_percent(7), as_moods(4), as_json('r3') ->> 'n', as_json('r3');
select dept_of(3), dept_of(10), dept_of(1000);
select folded('r3', 1), folded('r3', null), folds(1);
select folded('r3', 0);
select counted('x');
select id, folded(id, 2) from room order by id;
select nested('r3'), nested('zz');
select over2(50), over2(10, 20);
select atomic('r3'), atomic('r3', 40), ret('r3'), ret(r => 'r5');
select vol_in('r3'), vol_in('r4');
select definer('r3');
select with_cte('r3');
select sets('r3'), none('r3');
select whole('x');
select clock('r3'), now() is not null;
select id, n_in(id), n_in(room.id), n_in(r => id) from room order by id;
select r.id, n_in(r.id) from room r where n_in(r.id) > 6 order by n_in(r.id), r.id;
select m.room, m.id, n_in(m.room) from meeting m where m.id < 12 order by m.room, m.id;
select meeting.id, n_in(meeting.room) from meeting where id < 12 order by 1, 2;
select id, n_strict(name), n_strict(case when floor = 1 then id end) from room order by id;
select id, twice(floor), twice(floor + 1), n_over(floor * 10, id) from room order by id;
select n_in(room), count(*) from meeting group by n_in(room) order by 1;
select room, n_in(room), count(*) from meeting group by room order by 1;
select sum(n_in(id)), max(n_in(id)) from room;
select n_in(id), row_number() over (order by n_in(id), id) from room order by 2;
select id from room where id in (select room from meeting where n_in(room) = 7) order by id;
select (select n_in(r.id)) from room r order by r.id limit 3;
select distinct n_in(id) from room order by 1;
select p.id, dept_of(p.id) from person p where p.id < 8 order by p.id;
select p.id, dept_of(id) from person p where dept_of(id) = 'IT' order by 1;
select k.key, n_over(k.value) from setting k where value is not null order by key;
select * from busy(30) order by room;
select b.n, b.room from busy(60) b order by b.room;
select b.x, b.n from busy(m => 60) as b(x) order by 1;
select busy.room from busy(60) order by 1;
select sum(n) from busy(15);
select r.id, r.name, b.n from room r left join busy(45) b on b.room = r.id order by r.id;
select * from ids('r3');
select ids from ids('r3') order by ids desc;
select i from ids('r3') i order by i;
select v from ids('r3') as i(v) order by v;
select * from ids_strict(null);
select * from ids_strict('r3') order by 1;
select count(*) from ids_strict(lower('R3')) x;
select r.id, i from room r, ids(r.id) i order by r.id, i;
select r.id, i.v from room r join lateral ids(r.id) as i(v) on true where r.floor = 1 order by 1, 2;
select r.id, i from room r left join ids_strict(nullif(r.id, 'r3')) i on i < 20 order by 1, 2;
select * from rooms(2) order by id;
select id, opened, tags, doc from rooms(3) x where name like '%1%' order by id;
select * from wide(30) order by a;
select pg_typeof(a), pg_typeof(b), pg_typeof(c) from wide(30) limit 1;
select * from one_out('r3');
select one_out('r3');
select o.x from one_out('r3') as o(x);
select * from two_out('r3');
select * from n_in('r3');
select * from n_in('r3') as t;
select t.c + 1 from n_in('r3') as t(c);
select * from row_of('r3');
select * from row_of('zz');
select x.name, r.id from room r left join row_of(r.id) x on x.floor = 2 order by r.id;
select m from two_out('zz') where m is null;
select a.room, b.room from busy(45) a join busy(60) b on a.n = b.n order by 1, 2;
select exists (select from ids('zz')), array(select i from ids('r3') i order by 1), 5 in (select ids from ids('r3'));
insert into note select 900 + n_in(id)::int * 20 + row_number() over (order by id), 1, id from room where floor = 1 returning id, txt;
insert into note values (1000, n_in('r3'), last_title('r3')) returning *;
update meeting set minutes = n_in('r3') where room = 'r5' returning id, minutes;
update room set floor = n_in(id) where id in ('r1', 'r2', 'r3') returning id, floor;
delete from meeting where room = 'r6' and id > n_in('r3') returning id;
with x as (select n_in('r3') as n) select n, n + 1 from x;
values (n_in('r3')), (n_in('r4'));
select n_in('r3') union all select n_in('r4') order by 1;
--! setup
create view loads as select id, n_in(id) as n, name from room;
--! setup
create view busy_loads as select l.id, b.n as b from loads l join busy(45) b on b.room = l.id;
select * from loads order by id;
select x.n, count(*) from loads x group by x.n order by 1;
select a, y from busy_loads b(a, y) where y > 1 order by a;
with loads as (select 1 as n) select n from loads;
select r.name, (select max(n) from loads l where l.id = r.id) from room r order by r.id;
prepare calls as select n_in($1), id from room where n_in(id) > $2 order by id limit 2;
execute calls('r3', 1);
create or replace function n_in(r text) returns bigint language sql stable as 'select -count(*) from meeting where room = r';
select n_in('r3');
execute calls('r3', -100);
select id, n from loads order by id limit 3;
begin;
create or replace function n_in(r text) returns bigint language sql stable as 'select 1000 + count(*) from meeting where room = r';
select n_in('r3');
rollback;
select n_in('r3');
-- the order of a function's rows is seen where nothing sorts them again; what is volatile is evaluated as often as in PostgreSQL
--! setup
create function sorted_ids(m int) returns table (id int, minutes int) language sql stable as 'select id, minutes from meeting where minutes > m order by minutes desc, id';
select row_number() over () as n, id from sorted_ids(20) order by n;
select n, id from (select row_number() over () as n, s.* from sorted_ids(20) s limit 10) x order by n;
select array_agg(id) from sorted_ids(40);
select * from sorted_ids(20) order by id;
select id from sorted_ids(60) s(id, x) where x > 70 order by 1;
select count(*) from room, sorted_ids(40);
--! setup
create temp table sorted_note (n serial, id int);
insert into sorted_note (id) select id from sorted_ids(40);
select n, id from sorted_note order by n;
select twice((random() * 0)::int), twice(nextval('pg_temp.sorted_note_n_seq')::int) as again;
select * from sorted_ids(20 + (random() * 0)::int) order by 1;
