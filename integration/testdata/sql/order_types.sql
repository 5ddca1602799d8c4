-- ORDER BY over several servers: types with parts, collations that only the server knows, and queries of other shapes.
create type mood as enum ('sad', 'ok', 'happy');
alter type mood add value 'meh' before 'ok';
create domain age as int check (value >= 0);
create domain word as text collate "C";
create type pair as (a int, b text);
create table t (k int primary key, m mood, a age, w word, p pair, ip inet, net cidr, b bit(5), vb varbit, ia int[], ta text[], j jsonb, x text, c text collate "C", tz timetz, r int4range, mac macaddr) partition by hash (k);
--! load
insert into t select i, (array['happy', 'sad', null, 'meh', 'ok'])[i % 5 + 1]::mood, i % 7, chr(65 + i % 3 * 32 + i % 4), row(i % 3, 'x')::pair, ('10.' || i % 3 || '.0.' || i || '/' || 8 + i % 24)::inet, ('10.' || i % 9 || '.0.0/16')::cidr, (i % 32)::bit(5), (i * 7 % 64)::bit(6)::varbit, case i % 5 when 0 then '{}' when 1 then null else array[i % 4, nullif(i % 3, 1)] end::int[], array[chr(65 + i % 3 * 32), 'z'], case i % 6 when 0 then '[]' when 1 then to_jsonb(i % 5) when 2 then to_jsonb('s' || i % 3) when 3 then jsonb_build_object('a', i % 4) when 4 then jsonb_build_array(i % 2, null) else 'null' end::jsonb, chr(97 + i % 5) || chr(65 + i % 3), chr(65 + i % 2 * 32 + i % 5), ((i % 24) || ':00+0' || i % 3)::timetz, int4range(i % 3, 9), ('08002b0102' || 10 + i % 20)::macaddr from generate_series(1, 60) i;
select k, m from t order by m, k;
select k, m from t order by m desc nulls last, k limit 20;
select k from t order by t.m nulls first, k offset 50;
select m, k from t where k in (1, 2, 3, 4, 5) order by 1, 2;
select k, a from t order by a desc, k limit 9;
select k, w from t order by w, k;
select k, w from (select k, w from t) s order by w desc, k;
select k from t order by lower(w), k;
select k from t order by p, k;
select k, ip from t order by ip, k;
select k, ip from t order by ip desc, k limit 11;
select k, net from t order by net, k;
select k, b from t order by b desc, k;
select k, vb from t order by vb, k;
select k, ia from t order by ia, k;
select k, ia from t order by ia desc nulls last, k;
select k, ta from t order by ta, k;
select k, j from t order by j, k;
select k, j from t order by j desc, k limit 17;
select k from t order by j -> 'a' nulls first, k;
select k, tz from t order by tz, k;
select k, mac from t order by mac, k;
select k, r from t order by r, k;
-- collations
select k from t order by x || c, k;
select k from t order by c || 'x', k;
select k from t order by left(c, 1) desc, k;
select k from t order by x || current_user, k;
select k from t order by coalesce(x, c), k;
select k from t order by case when k > 30 then x else 'q' end, k;
select k from t order by j ->> 'a', k;
select k from t order by (c || x) collate "POSIX", k;
with s as (select k, x || 'a' as y, c as z from t) select * from s order by y, z, k;
with s as (select k, c || 'a' as y from t) select * from s order by y desc, k;
select * from (select k, lower(x) as l, max(c) as m from t group by k, x) s order by l, m desc, k;
select k, count(*) as n, min(x) as x from t group by k order by min(x), n, k limit 12;
create view v as select k, x collate "C" as xc, upper(x) as u, c from t;
select * from v order by xc, k;
select * from v order by lower(xc), u desc, k;
select xc || u as joined from v order by joined, k;
--! params a
select k from t order by x || $1, k;
--! params a
select k from t order by j ->> $1 desc nulls last, k;
-- rows
select k from t order by (x, k);
select k from t order by (c, m) desc, k;
select k from t order by row(j, ia) nulls first, k limit 30;
select k, m, c from t order by (x, c || 'z'), k;
-- shapes
table t order by k limit 2;
table t order by 2 nulls first, k desc offset 55;
(select k, x from t) order by c, k;
((select k from t where k > 10)) order by k desc limit 5;
(select k from t order by x, k limit 3);
(select k from t limit 3) order by k;
select k, x from t union all select k + 100, c from t order by x, k;
select k, x from t union all select k + 100, c from t order by 2 desc, 1 limit 7 offset 3;
(select k from t) union all (select -k from t) order by k;
select k from t union select k from t where m = 'ok' order by k desc limit 9;
select k from t except select k from t where k > 5 order by k;
with s as (select k, m from t) select k, m::text from s union all select k, x from s order by m, k limit 10;
select k as a, k as a from t union all select k, k from t order by 1;
select k, x from t union all select k, x from t order by lower(x);
-- LIMIT
select k from t order by k limit 2 + 1;
select k from t order by k limit 2 * 3 - 1 offset 1 + 1;
select k from t order by k limit 2.5;
select k from t order by k limit 3.5 offset 0.4;
select k from t order by k limit - 1;
select k from t order by k limit 1 - 2;
select k from t order by k limit 2147483647 + 1;
select k from t order by k limit 9223372036854775807 offset 58;
select k from t order by k limit 9223372036854775808;
select k from t order by k limit '3';
select k from t order by k fetch first (1 + 1) rows only;
select x from t order by x fetch first 3 rows with ties;
select m from t order by m nulls first fetch first row with ties;
select c from t order by c desc offset 2 rows fetch next 4 rows with ties;
select k % 4 as r, j from t order by k % 4 desc, j offset 3 fetch first (1 + 1) rows with ties;
select k % 4 as r from t order by k % 4 fetch first 0 rows with ties;
select k % 4 as r from t order by r fetch first 100 rows with ties;
select k from t fetch first 1 rows with ties;
--! params 4
select ia from t order by ia fetch first $1 rows with ties;
--! params null
select k from t order by k fetch first $1 rows with ties;
begin;
declare c cursor for select x from t order by x fetch first 3 rows with ties;
fetch 2 from c;
fetch 2 from c;
fetch all from c;
commit;
drop view v;
drop table t;
