-- Data-modifying WITH: moves, archives, counters, several writes in one statement.
--! setup
set pleiad.shard_count = 8;
--! setup
create table archive (room text collate "C", id int, title text, primary key (room, id)) partition by hash (room);
--! setup
create table counter (name text collate "C" primary key, n bigint) partition by hash (name);
--! setup
create table journal (what text, n bigint);
--! setup
create table dated (id int primary key, title text, at timestamptz default now(), st timestamptz) partition by hash (id);
with gone as (delete from meeting where minutes = 15 returning room, id, title) insert into archive select * from gone returning room, id;
with gone as (delete from meeting where minutes = 30 returning id) select count(*), sum(id) from gone;
with new as (insert into counter values ('a', 1), ('b', 2), ('c', 3) returning *) select name, n from new order by name;
with up as (update counter set n = n + 10 returning name, n) select sum(n) from up;
with up as (update counter set n = n + 1 where name = 'a' returning n) insert into journal select 'a', n from up returning *;
with up as (update meeting set title = 'up' where minutes = 45 returning room) select room, count(*) from up group by room order by room;
with a as (update counter set n = 0 where name = 'a' returning name), b as (delete from counter where name = 'b' returning name) select name from a union all select name from b order by 1;
with a as (insert into counter values ('x', 1) returning name), b as (insert into journal values ('x', 1) returning what) select * from a, b;
with a as (insert into counter values ('y', 1)) select count(*) from counter;
select name, n from counter order by name;
with s as (select minutes, count(*) as c from meeting group by minutes) insert into journal select minutes::text, c from s where minutes > 0 returning *;
with s as (select max(id) as m from meeting) update counter set n = s.m from s where name = 'x' returning *;
with s as (select id from meeting order by id limit 3) delete from meeting using s where meeting.id = s.id returning meeting.id;
with d as (delete from archive returning *), i as (insert into meeting (room, id, title) select room, id + 10000, title from d returning id) select count(*), min(id) from i;
with new as (insert into person (id, name) values (900, 'Nine') returning id) insert into note select 900, id, 'from cte' from new returning *;
with u as (update meeting set minutes = minutes where minutes = 75 returning id, title) insert into dated (id, title) select id, title from u returning id, at = now();
with u as (update meeting set minutes = minutes where minutes = 60 returning id, title, now() as n) insert into dated (id, title, st) select id + 20000, title, statement_timestamp() from u where n = now();
with u as (update counter set n = n where name = 'x' returning n) insert into dated (id, title) select n + 40000, 'one' from u returning id, title, at = now();
select count(*), count(distinct at), count(distinct st) from dated;
begin;
insert into person (id, name) values (901, 'Nine hundred and one');
with u as (update meeting set minutes = minutes where minutes = 75 returning id, title) insert into dated (id, title) select id + 60000, title from u;
with u as (update person set name = name || '!' where id = 901 returning id) insert into dated (id, title) select id + 80000, 'one' from u;
select count(distinct at), count(*) filter (where at = now()) from dated where id > 60000;
rollback;
with d as (update dept set budget = 0 where id = 1 returning id) select p.id from person p join d on d.id = p.dept order by p.id;
with x as (delete from person where id = 1 returning *) select x.name, (select count(*) from person) from x;
with x as (insert into counter values ('a', 1) returning *) select * from x;
with x as (delete from nosuch) select 1;
select * from (with x as (delete from counter returning *) select * from x) s;
select count(*), sum(id) from meeting;
select * from journal order by what, n;
select * from counter order by name;
-- what a foreign key does to another table is not seen by the rest of the statement either
create table house (id int primary key) partition by hash (id);
create table flat (house int references house on delete cascade, n int, primary key (house, n)) partition by hash (house);
insert into house select generate_series(1, 6);
insert into flat select h, n from generate_series(1, 6) h, generate_series(1, 3) n;
with gone as (delete from house where id < 3 returning id) select gone.id, count(flat.n) from gone left join flat on flat.house = gone.id group by gone.id order by 1;
with gone as (delete from house where id = 4 returning id) select id from gone;
select house, count(*) from flat group by house order by house;
-- every part sees the tables as they were before all of them
with gone as (delete from house where id = 5 returning id) select id, (select count(*) from flat), (select count(*) from house h where h.id >= gone.id) from gone;
with a as (update counter set n = n + 1 returning name, n) select a.name, a.n, c.n, c.* from a join counter c using (name) order by a.name;
with a as (update counter set n = n + 1), b as (select sum(n) as s from counter) select * from b;
with a as (update counter set n = n + 1 returning n), b as (select sum(n) as s from counter) select b.s, sum(a.n) from a, b group by 1;
with a as (update counter set n = n + 1), b as (insert into flat select 6, n from counter where n > 12 returning *) select * from b order by n;
with a as (delete from counter where n > 15 returning name), b as (update house set id = id where id in (select n from counter) returning id) select count(*) from a, b;
with a as (delete from flat where n = 1 returning house) update house set id = id where (select count(*) from flat f where f.house = house.id) = 3 returning id;
with a as (delete from flat where n = 2 returning house) select house, exists (select from flat f where f.house = a.house and n = 2) from a order by 1;
with a as (insert into flat values (3, 9), (6, 9) returning *) select f.house, f.n from flat f union all select house, n from a order by 1, 2;
with a as (insert into flat values (3, 12) returning *) table flat order by 1, 2;
with a as (insert into flat values (3, 13) returning *) select row_to_json(f) from flat f where n > 9 order by n;
with a as (insert into flat values (3, 14) returning *), v as (select n from flat where house = 3) select * from v order by 1;
with a as (insert into flat values (3, 15) returning *) select flat from flat order by 1;
with a as (update meeting set minutes = 60 where minutes = 45 returning id) select count(*), sum(minutes) from long_meeting;
with a as (update meeting set minutes = 30 where minutes = 60 and id > 40 returning id) select m.room, m.id, m.title from meeting m where m.minutes = 60 and exists (select from a where a.id = m.id) order by 2 limit 3;
with a as (update person set salary = salary + 1 returning id) select p.name from person p where p.id < 12 order by name;
with a as (update person set salary = salary + 1 returning id) select p.id, p.name from person p group by p.id order by p.id limit 3;
with a as (delete from profile where person < 5 returning *) select count(*), (select array_agg(mood order by person) from profile where person < 8), (select max(nick) from profile) from a;
with a as (delete from profile where person < 7 returning *) select p.person, p.mood, p.home, p.moods, p.nick, p.share from profile p join a using (person) order by person;
with a as (update counter set n = 1 / (n - n)) select count(*) from counter;
with a as (delete from counter where name = 'q' returning *) select x.n from counter x where x.nosuch = 1;
--! params a | 2
with a as (update counter set n = n * $2 where name >= $1 returning name) select c.name, c.n, $2 from counter c left join a using (name) order by 1;
-- what a write gives keeps its collation
insert into counter values ('aa', 1), ('Bb', 2), ('cC', 3), ('_z', 9), ('ä', 3);
with up as (update counter set n = n + 10 returning name, n) select * from up order by name;
with up as (update counter set n = n + 10 returning name as x, n), z as (select * from counter) select * from up, z where x = name order by name, x;
with up as (update counter set n = n + 10 returning name as x, n) select min(x), max(x), (select max(name) from counter) from up;
with d as (delete from person where id < 14 returning name), c as (delete from counter) select name from d order by name;
with d as (delete from person p using attendance a where a.person = p.id and p.id > 30 returning upper(p.name) as n, a.room), c as (delete from house returning 1) select n, room, count(*) from d group by n, room order by n, room;
-- WITH RECURSIVE in front of a write: each query runs once, ahead
with recursive sub as (select id from person where id = 5 union all select p.id from person p join sub on p.boss = sub.id) update person set active = true from sub where sub.id = person.id returning person.id, active;
with recursive sub (i, depth) as (select id, 0 from person where id = 2 union all select p.id, depth + 1 from person p join sub on p.boss = sub.i) delete from attendance a using sub where a.person = sub.i and depth > 1 returning a.person, a.meeting, depth;
with recursive t (n) as (select 1 union all select n + 1 from t where n < 9), u as (select n * 2 as m from t), unused as (select 1 / 0) delete from event where amount * 8 in (select m from u) returning id, amount;
with recursive t as (select 3 as n union select n + 1 from t where n < 6) update person set salary = salary + (select count(*) from t where n < person.id) where id in (select n from t) returning id, salary;
with recursive t as (select 1 as n union all select n + 1 from t where n < 4) merge into nothing using t on nothing.k = t.n when matched then delete when not matched then insert values (n, 'new');
with recursive up (id, boss) as (select id, boss from person where id = 33 union all select p.id, p.boss from person p join up on p.id = up.boss) delete from person using up where up.id = person.id and person.boss is not null returning person.id;
with recursive t as (select 1 as n union all select nosuch from t) delete from person using t where id = n;
-- rows and what refers to them in one statement, and parts that change rows of one table
--! setup
create table orders (client int, id int, total numeric(8,2) default 0, at timestamptz default now(), primary key (client, id)) partition by hash (client);
--! setup
create table line (client int, id int, pos int, qty int, primary key (client, id, pos), foreign key (client, id) references orders on delete cascade) partition by hash (client);
--! setup
create table account (id bigint primary key, owner text collate "C", balance numeric(8,2), checked bool) partition by hash (id);
--! setup
create table entry (account bigint, no int generated by default as identity, amount numeric(8,2), at timestamptz default current_timestamp, primary key (account, no)) partition by hash (account);
--! load
insert into account select i, 'o' || i % 3, 100, false from generate_series(1, 9) i;
with o as (insert into orders (client, id) values (1, 1), (2, 2), (3, 3) returning client, id) insert into line select client, id, p, p * 10 from o, generate_series(1, 2) p returning client, id, pos, qty;
with o as (insert into orders (client, id) values (4, 4) returning *), l as (insert into line select client, id, 1, 5 from o returning *) select l.qty, o.at = now() and o.total = 0 as ok from o, l;
with o as (insert into orders (client, id) select client + 4, id + 4 from orders returning *), l as (insert into line select client, id, 1, 7 from o returning *), a as (update account set balance = balance - s.n from (select client, sum(qty) n from l group by client) s where s.client = account.id returning account.id, account.balance) select a.*, (select count(*) from o where at = now()) from a order by id;
with l as (insert into line values (1, 1, 9, 2), (8, 8, 9, 3) returning *) update orders o set total = o.total + l.qty from l where (o.client, o.id) = (l.client, l.id) returning o.client, o.id, o.total;
with l as (insert into line values (1, 77, 9, 2) returning *) select * from l;
with l as (delete from line where id = 8 returning *) delete from orders o using l where (o.client, o.id) = (l.client, l.id) returning o.client, o.id;
with a as (update account set balance = balance - 10 where id = 1 returning *), b as (update account set balance = balance + 10 where id = 2 returning *) insert into entry (account, amount) select id, -10 from a union all select id, 10 from b returning account, amount, at = now();
with a as (update account set balance = balance - 10 where id = 1 returning id, balance) update account b set balance = b.balance + 10, checked = true from a where b.id = 3 returning b.id, b.balance, a.balance;
with a as (update account set balance = 0 where id = 1 or id = 2 returning id) update account set balance = (select sum(balance) from account) where id in (3, 4) and balance > 0 returning id, balance;
with a as (delete from account where id in (1, 2) returning *), b as (update account set balance = balance + (select sum(balance) from a) where id = 5 returning *) select id, balance, (select count(*) from account) from b;
with a as (delete from account where id = 3 returning balance) delete from account where id = 4 returning id, (select balance from a);
--! params 5 | 6 | 2.5
with a as (update account set balance = balance - $3 where id = $1 returning balance), b as (update account set balance = balance + $3 where id = $2 returning balance) select a.balance, b.balance from a, b;
with a as (update account set balance = 1 where id = 5 returning id), b as (update account set balance = 2 where id = null returning id) select (select count(*) from a), (select count(*) from b);
with a as (insert into account values (10, 'x', 1), (11, 'y', 2) returning id), b as (insert into account (id, owner) select id + 10, 'z' from a returning id) insert into account (id) select id + 20 from b returning id;
with a as (insert into account values (10, 'x', 1) on conflict do nothing returning id), b as (insert into account values (30, 'x', 1), (11, 'y', 1) on conflict (id) do nothing returning id) select (select count(*) from a), (select count(*) from b), (select count(*) from account);
with a as (insert into account values (40, 'x', 1) returning id), b as (insert into account values (40, 'x', 1) returning id) select count(*) from a, b;
with a as (update account set balance = balance + 1 where id = 7 returning id), b as (update account set balance = balance + 1 where id = 7 returning id) select count(*) from account;
with l as (insert into line values (9, 90, 1, 1) returning *) insert into orders (client, id) select client, id from l returning client, id;
with o as (insert into orders (client, id, total) values (1, 1, 5), (31, 31, 6) on conflict (client, id) do update set total = excluded.total returning client, id, total) insert into line select client, id, 8, 1 from o returning client, id, pos;
with l as (delete from line where pos = 8 returning *), o as (update orders o set total = total - l.qty from l where (o.client, o.id) = (l.client, l.id) returning o.client, o.total) select * from o order by client;
with o as (update orders set total = total * 2 where client < 3 returning *) select o.client, o.total, (select count(*) from line l where l.client = o.client) from o order by 1;
with o as (update orders set total = total + 1 where client < 3 returning *) update line l set qty = qty + o.total from o where (l.client, l.id) = (o.client, o.id) and l.pos = 1 returning l.client, l.qty;
with o as (delete from orders where client = 31 returning *) select count(*), (select count(*) from line where client = 31) from o;
create function stamp_line() returns trigger language plpgsql as 'begin new.qty := new.qty + 1000; return new; end';
create trigger stamp before insert or update on line for each row execute function stamp_line();
with o as (insert into orders (client, id) values (21, 21) returning client, id), l as (insert into line select client, id, 1, 1 from o returning *) select * from l;
with l as (update line set pos = pos + 1 where client = 1 and pos > 1 returning client, id, pos, qty) select l.pos, l.qty, o.total from l join orders o using (client, id) order by pos;
select client, id, pos, qty from line order by 1, 2, 3;
select client, id, total from orders order by 1, 2;
select id, owner, balance, checked from account order by id;
select account, amount from entry order by 1, 2;
-- a query of the WITH that several parts read runs once
create sequence drawn;
create table made (id bigint primary key, tag text) partition by hash (id);
with r as (select gen_random_uuid() u), a as (insert into made select 1, u::text from r returning tag), b as (insert into made select 2, u::text from r) select a.tag = r.u::text as same from a, r;
with r as (select random() x) insert into made select 3, x::text from r union all select 4, x::text from r;
select count(distinct tag), count(*) from made;
with n as (select nextval('drawn') + 10 as id, gen_random_uuid() u), a as (insert into made select id, u::text from n returning id), b as (insert into made select id + 1, u::text from n returning id) insert into made select id + 2, u::text from n returning id;
select count(distinct tag), count(*) from made where id > 10;
with n as (select nextval('drawn')::int + 100 as id), o as (insert into orders (client, id) select id, id from n returning id) insert into line (client, id, pos) select id, id, 1 from n returning client - id, pos;
begin;
with r as (select id from person order by random() limit 5), a as (update person p set dept = 77 from r where r.id = p.id returning p.id), b as (insert into made select id + 5000, 'r' from r returning id) select (select count(*) from a join r using (id)), (select count(*) from b join r on b.id = r.id + 5000), (select count(*) from person where dept = 77);
rollback;
with r as (select id, random() x from person where id < 30), a as (insert into made select id + 7000, x::text from r returning id, tag), s as (select id + 7000 as id, x::text as t from r) select count(*) > 0, bool_and(a.tag = s.t) from a join s using (id);
begin;
with r as (select id, row_number() over (order by random()) n from person), a as (update person p set email = r.n::text from r where r.id = p.id returning p.id, email) select count(*) > 0, bool_and(r.n::text = a.email) from a join r using (id);
rollback;
with r as (select random() x) update account set balance = (select (x * 1000)::int from r), checked = (select x is not null from r);
select count(distinct balance), bool_and(checked) from account;
with r as (select id from account order by balance, id limit 2), d as (delete from account where id in (select id from r) returning id) insert into made select id + 9000, 'gone' from d returning id, tag;
with batch as (select id from person where dept = 2 order by id limit 3), u as (update person p set name = 'batch' from batch where batch.id = p.id returning p.id) select count(*), (select count(*) from batch), (select min(id) from batch) from u;
with src as (select * from line where pos = 2), ins as (insert into made select client * 100000 + id, qty::text from src returning id), del as (delete from line l using src where (l.client, l.id, l.pos) = (src.client, src.id, src.pos) returning l.id) select (select count(*) from src), (select count(*) from ins), (select count(*) from del);
with unused as (select 1 / 0), a as (insert into made values (90, 'x') returning id) select * from a;
-- writes in a WITH RECURSIVE
with recursive t as (select 1 as n union all select n + 1 from t where n < 3), a as (insert into made select n + 200, 'r' from t returning id) select count(*), sum(a.id) from a, t;
with recursive t as (select id, 1 as lvl from person where id = 2 union all select p.id, t.lvl + 1 from t join person p on p.boss = t.id), u as (update person p set dept = t.lvl from t where t.id = p.id returning p.id, p.dept) select * from u order by id;
with recursive t as (select id from person where id = 3 union all select p.id from t join person p on p.boss = t.id), d as (delete from attendance a using t where a.person = t.id returning a.person, a.meeting), e as (delete from profile using t where profile.person = t.id) insert into made select person * 1000000 + meeting, 'att' from d on conflict do nothing returning id;
with recursive t as (select id from person where id = 5 union all select p.id from t join person p on p.boss = t.id), d as (delete from person p using t where p.id = t.id returning p.id) select count(*), (select count(*) from t), (select count(*) from person where id < 30) from d;
with recursive d as (delete from made where id in (201, 202) returning id), t as (select min(id) as n from d union all select n + 1 from t where n < 205) select * from t order by 1;
with recursive a as (insert into made select id, 'z' from b returning id), b as (select 7000001 as id) select * from a;
select count(*) from made where id between 200 and 300;
-- UPDATE, and INSERT of what it did not find
with v (id, tag) as (values (200, 'x'), (300, 'y'), (301, 'z')), u as (update made set tag = v.tag from v where v.id = made.id returning made.id) insert into made select id, tag from v where not exists (select from u where u.id = v.id) returning id, tag;
with v (id, tag) as (values (203, 'x'), (300, 'yy'), (302, 'z')), u as (update made set tag = v.tag from v where v.id = made.id returning made.id), i as (insert into made select id, tag from v left join u using (id) where u.id is null returning id) select (select count(*) from u), (select count(*) from i), (select count(*) from made where id >= 300 and id < 400);
--! params 303 | new
with u as (update made set tag = $2 where id = $1 returning id) insert into made select $1, $2 where not exists (select from u) returning id;
--! params 303 | newer
with u as (update made set tag = $2 where id = $1 returning id) insert into made select $1, $2 where not exists (select from u) returning id;
with u as (update made set tag = 'all' where id >= 300 and id < 400 returning id) insert into made select id + 100, 'of ' || (select count(*) from made where id >= 300 and id < 400) from u returning *;
with u as (update made set tag = 'all' where id = 300 returning id) insert into made select id, 'dup' from u;
select id, tag from made where id between 290 and 500 order by id;
-- names: of a WITH query that another needs, of tables that have a WITH query's, and constants that read like pleiad's own
begin;
with setting as (select 3 as value), b as (select value from setting), d as (delete from attendance a using b where a.meeting = b.value returning a.person), u as (update room set floor = 9 where floor = 1 returning id) select count(*), (select count(*) from u) from d;
with setting as (select 4 as value), b as (select value from setting), d as (delete from attendance a where a.meeting in (select b.value + 1 from b) returning a.person), u as (update room set floor = 8 where floor = 2 returning id) select count(*), (select count(*) from u) from d;
with person as (select 1 as x), c as (update person set email = 'first' where dept = 3 returning id) update person set email = person.email || 'second' from c where person.dept = 3 and person.id = c.id returning person.id;
with c as (update person set email = 'left' where dept = 4 returning id), d as (delete from attendance where person in (select id from person where email = 'left') returning person), person as (select 1 as y) select count(*), (select count(*) from d), min(person.y) from c, person;
with person as (select 1 as x), c as (delete from attendance where meeting = 9 returning person) update person set email = 'joined' from c where person.id = c.person returning person.id, email;
with w as (delete from attendance where meeting < 9 returning person), x as (update person set name = '"pleiad rows of step 0"' where dept = 5 returning id, name) select count(*), min(name), '"pleiad rows of step 1"' as lit from w, x;
select count(*) from person where name = '"pleiad rows of step 0"';
with w as (delete from attendance where meeting < 19 returning person as "pleiad rows of step 0") select count(*) from w;
rollback;
-- functions that read what a part writes
create function depts() returns bigint language sql stable as 'select count(*) from dept';
create function notes() returns bigint language sql stable as 'select count(*) from note';
begin;
with w as (insert into dept values (60, 'New', 1) returning id) select id, depts(), (select count(*) from meeting) from w;
with w as (insert into note values (6000, 1, 'x') returning id) select id, notes(), (select count(*) from meeting) from w;
with w as (update person set email = depts()::text where dept = 1 returning id, email) select count(*), min(email), (select count(*) from meeting) from w;
with w as (insert into dept values (61, 'New', 1) returning id), x as (update person set email = depts()::text where dept = 1 returning id) select count(*) from w, x;
rollback;
-- Subqueries that take some rows of a reference table are read first.
update person set active = id % 2 = 0 where id < 9 returning id, (select name from dept order by 1 limit 1 offset 1), (select cost from meeting order by 1 limit 1 offset 6);
delete from meeting where id in (select id from dept order by id offset 3) returning id, (select id from public.dept order by 1 limit 1 offset 1);
update dept set name = 'changed' where id = 9 returning id, (select min(at) from event), (select day from holiday order by 1 limit 1 offset 1);
