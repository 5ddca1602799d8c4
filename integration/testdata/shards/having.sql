--! shared
-- HAVING, with and without GROUP BY, with aggregates that are not selected and with subqueries.
select minutes from meeting group by minutes having count(*) > 15 order by minutes;
select minutes, sum(cost) from meeting group by minutes having sum(cost) > 700 and min(id) < 5 order by minutes;
select room from meeting group by room having count(*) >= (select max(floor) from room) + 3 order by room;
select room from meeting group by room having count(*) > (select avg(c) from (select count(*) as c from meeting group by room) s) order by room;
select title from meeting group by title having max(id) in (select id from meeting where minutes = 15) order by title;
select minutes from meeting group by minutes having exists (select from room where floor * 15 = minutes) order by minutes;
select minutes, count(*) from meeting m group by minutes having exists (select from room r where r.floor * 15 = m.minutes) order by minutes;
select dept, count(*) from person group by dept having count(*) > (select count(*) from dept) order by dept;
select dept from person p group by dept having avg(salary) > (select avg(salary) from person) order by dept;
select kind from event group by kind having bool_or(payload ? 'items') and not bool_and(payload ? 'items') order by kind;
select kind from event group by kind having sum(amount) > all (select amount from event where amount is not null) order by kind;
select kind, count(*) from event group by kind having count(*) = any (array[20, 21]) order by kind;
select count(*) from meeting having count(*) between 1 and 1000;
select sum(minutes) from meeting having false;
select 'x' from nothing having count(*) = 0;
select minutes from meeting group by minutes having minutes > 30 order by minutes;
select minutes from meeting group by minutes having count(distinct room) > 10 order by minutes;
select d.name from dept d join person p on p.dept = d.id group by d.name having sum(p.salary) > (select max(budget) from dept where budget < 10000) order by 1;
select room, max(cost) from meeting group by room having max(cost) = (select max(cost) from meeting);
--! params 900
select minutes from meeting group by minutes having sum(cost) > $1 order by 1;
select minutes from meeting group by minutes having title = 'x';
select id from meeting having id > 3;
