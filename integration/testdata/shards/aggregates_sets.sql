--! shared
-- Ordered-set and hypothetical-set aggregates, and aggregates that users make.
select percentile_cont(0.5) within group (order by minutes) from meeting;
select percentile_cont(0.25) within group (order by rating), percentile_cont(0.75) within group (order by rating desc) from meeting;
select percentile_cont(array[0, 0.5, 1]) within group (order by id) from meeting;
select percentile_disc(0.5) within group (order by cost), percentile_disc(0.9) within group (order by title) from meeting;
select percentile_disc(array[0.1, 0.5]) within group (order by name) from person;
select percentile_cont(0.5) within group (order by minutes * interval '1 minute') from meeting;
select mode() within group (order by minutes desc) from meeting;
select mode() within group (order by title) filter (where id < 40) from meeting;
select rank(30) within group (order by minutes) from meeting;
select dense_rank(30) within group (order by minutes), percent_rank(30) within group (order by minutes) from meeting;
select cume_dist(45) within group (order by minutes) from meeting;
select rank('Topic 3', 20) within group (order by title, id) from meeting;
select rank(30) within group (order by minutes desc nulls last) filter (where room <> 'r1') from meeting;
--! params 0.3
select percentile_disc($1) within group (order by id) from meeting;
select room, percentile_disc(0.5) within group (order by id) from meeting group by room order by room;
select minutes, percentile_disc(0.5) within group (order by id), mode() within group (order by title) from meeting group by minutes order by minutes;
select percentile_cont(1.5) within group (order by id) from meeting;
select mode() within group (order by k) from nothing;
select rank(1, 2) within group (order by id) from meeting;
select percentile_cont(0.5) within group (order by title) from meeting;
select percentile_disc(0.5) within group (order by mood) from profile;
select count(*) from (select percentile_disc(0.5) within group (order by id) as m from meeting group by room) s where m > 40;
select avg(m) from (select percentile_disc(0.5) within group (order by id) as m from meeting group by title) s;
