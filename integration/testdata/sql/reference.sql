-- Reference tables: a full copy everywhere, so they join with anything.
create table country (code char(2) primary key, name text not null unique, pop bigint) with (pleiad.reference);
create table city (id int primary key, country char(2) references country, name text) partition by hash (id);
create table note (id int primary key, txt text);
insert into country values ('DE', 'Germany', 83), ('FR', 'France', 68), ('CH', 'Switzerland', 9), ('IT', 'Italy', 59);
insert into country values ('AT', 'Austria', 9) returning *;
insert into country select 'ES', 'Spain', 48;
insert into city values (1, 'DE', 'Berlin'), (2, 'FR', 'Paris'), (3, 'CH', 'Bern'), (4, 'DE', 'Hamburg'), (5, 'IT', 'Roma'), (6, null, 'Atlantis'), (7, 'AT', 'Wien'), (8, 'ES', 'Madrid');
insert into note values (1, 'one'), (2, 'two');
select * from country order by code;
select count(*), sum(pop), max(name) from country;
select name, rank() over (order by pop desc, code) from country order by 2;
select code from country where code = 'DE';
select c.name, k.name from city c join country k on k.code = c.country where c.id = 1;
select c.name, k.name from city c join country k on k.code = c.country order by c.id;
select c.name, k.name from city c left join country k on k.code = c.country order by c.id;
select c.name from city c left join country k on k.code = c.country where k.code is null order by c.id;
select c.name, k.pop from city c, country k where k.code = c.country and k.pop > 50 order by k.pop desc, c.id limit 3;
select c.name from city c where exists (select from country k where k.code = c.country and k.pop < 10) order by c.id;
select c.name from city c where c.country in (select code from country where pop > 60) order by c.id;
select c.name from city c where c.country not in (select code from country where pop > 60) order by c.id;
select c.name, (select k.name from country k where k.code = c.country) as land from city c order by c.id;
select c.name, x.pop from city c cross join lateral (select pop from country k where k.code = c.country) x order by c.id;
select k.name, n.txt from country k, note n where n.id = 1 order by k.name;
select k.name from country k join country o on o.pop = k.pop and o.code <> k.code order by k.name;
update country set pop = pop + 1 where code = 'DE' returning *;
update country set pop = pop * 2;
select code, pop from country order by code;
update country set pop = 1/0;
delete from country where code = 'DE';
delete from country where code = 'ZZ' returning *;
insert into country values ('DE', 'again', 1);
insert into country values ('XX', 'Germany', 1);
insert into country values ('DE', 'Deutschland', 84) on conflict (code) do update set name = excluded.name returning *;
insert into country values ('LI', 'Liechtenstein', 0), ('LU', 'Luxembourg', 1) on conflict do nothing returning code;
insert into city values (20, 'ZZ', 'Nowhere');
insert into city values (21, 'LI', 'Vaduz') returning *;
update city set country = 'LU' where id = 21 returning *;
update city set country = 'ZZ' where id = 21;
update city c set name = k.name from country k where k.code = c.country and c.id in (1, 2) returning c.id, c.name;
delete from city c using country k where k.code = c.country and k.pop < 5 returning c.id;
delete from country where code = 'LU' returning name;
select * from country order by code;
-- values a server makes must be the same everywhere
create table token (id int primary key, at timestamptz default clock_timestamp(), r float8 default random(), u uuid default gen_random_uuid()) with (pleiad.reference);
--! shape
insert into token (id) values (1), (2), (3) returning *;
--! shape
insert into token values (4, clock_timestamp(), random(), gen_random_uuid());
select count(*), count(distinct u), count(distinct r) from token;
create table numbered (id serial primary key, v text) with (pleiad.reference);
--! shape
insert into numbered (v) values ('a'), ('b') returning id, v;
select v from numbered order by id;
copy country (code, name, pop) from stdin;
NL	Netherlands	18
BE	Belgium	12
\.
select code from country order by code;
copy country to stdout;
copy (select code from country order by code) to stdout csv;
truncate token;
select * from token;
begin;
insert into country values ('PT', 'Portugal', 10);
select name from country where code = 'PT';
insert into city values (30, 'PT', 'Lisboa');
select c.name, k.name from city c join country k on k.code = c.country where c.id = 30;
rollback;
select code from country where code = 'PT';
create view big as select * from country where pop > 100;
select code from big order by code;
create table country2 (code char(2) primary key) with (pleiad.reference);
insert into country2 select code from country;
select code from country2 order by code;
select k.code from country k join country2 z using (code) order by 1 limit 2;
insert into note select 10 + row_number() over (order by code), name from country;
select count(*) from note;
drop table country2;
drop table country;
drop table country cascade;
select * from city where id = 1;
