--! shared
-- JSON operators and paths over ragged documents: in lists, conditions, joins, groups and orders.
select id, doc -> 'n', doc ->> 'n', doc #> '{deep,x}', doc #>> '{tags,0}' from meeting order by id limit 12;
select id from meeting where doc @> '{"n": 1}' order by id;
select id from meeting where doc ? 'n' order by id;
select id from meeting where doc ?| array['n', 'ok'] order by id;
select id from meeting where doc ?& array['n', 'deep'] order by id;
select id from meeting where doc @? '$.tags[*] ? (@ == 2)' order by id;
select id from meeting where doc @@ '$.n == 1' order by id;
select id, jsonb_path_query(doc, '$.tags[*]') from meeting order by 1, 2;
select id, jsonb_path_query_first(doc, '$.deep.x') from meeting where doc ? 'deep' order by id limit 5;
select jsonb_path_query_array(doc, '$.tags[*] ? (@ > $min)', '{"min": 0}') as a, count(*) from meeting group by a order by a;
select jsonb_path_exists(doc, '$.n ? (@.type() == "string")') as s, count(*) from meeting group by s order by s;
select id from meeting where doc -> 'tags' ->> 0 = 'a' and (doc ->> 'n')::int > 2 order by id;
select doc ->> 'n' as n, count(*) from meeting where doc ->> 'n' is not null group by n having count(*) > 5 order by n;
select a.id, b.id from meeting a join meeting b on a.doc ->> 'n' = b.doc ->> 'n' and a.id < b.id where a.id < 20 and b.id < 40 order by 1, 2;
select m.id, r.id from meeting m join room r on (r.doc ->> 'seats')::int = m.id order by 1, 2;
select r.id, r.doc['seats'] from room r order by r.doc['seats'] nulls first, r.id;
select id, doc || '{"more": true}' from room where jsonb_typeof(doc) = 'object' order by id;
select id, doc - 'n' from meeting where id < 8 order by id;
select id, jsonb_set(doc, '{n}', '99') from meeting where doc ? 'n' order by id limit 5;
select id from meeting where (doc ->> 'n')::int = 1 / (id - 5);
select jsonb_typeof(doc), count(*), min(id) from room group by 1 order by 1;
select id, coalesce(doc ->> 'n', doc -> 'deep' ->> 'x', '-') from meeting order by id limit 10;
select id from event where payload -> 'items' @> '[{"sku": "s9"}]' order by id limit 5;
select payload -> 'user' as u, sum(amount) from event group by u order by u;
select (payload ->> 'user')::int as u, count(*), max(at) from event where payload ? 'user' group by u order by u limit 4;
select jsonb_array_length(payload -> 'items') as n, count(*) from event group by n order by n;
select id from event where jsonb_array_length(payload -> 'items') > 1 and payload #>> '{items,0,sku}' = 's2' order by id;
select id from event order by payload #> '{items,0,qty}' desc nulls last, id limit 6;
select count(*) from event where payload = '{}';
select id, payload ->> 'v' from event where (payload ->> 'v')::numeric > 100 order by (payload ->> 'v')::numeric, id;
select distinct payload ->> 'user' from event order by 1;
select id, row_number() over (partition by payload ->> 'user' order by id) from event order by id limit 8;
select max(payload ->> 'v'), max((payload ->> 'v')::numeric) from event;
select e.id from event e where exists (select from jsonb_array_elements(e.payload -> 'items') i where i ->> 'qty' = '2') order by 1;
select e.id, (select sum((i ->> 'qty')::int) from jsonb_array_elements(e.payload -> 'items') i) as qty from event e order by 2 desc nulls last, 1 limit 5;
select p.doc ->> 'lang', count(*), avg((p.doc -> 'scores' ->> 0)::int) from person p group by 1 order by 1;
select p.id from person p where p.doc -> 'scores' @> '[2]' order by 1;
select to_jsonb(p) - 'doc' from person p where id < 3 order by id;
select row_to_json(r) from (select id, floor from room where floor = 0 order by id) r;
select jsonb_build_object('id', id, 'rooms', (select count(*) from attendance a where a.person = p.id)) from person p order by id limit 4;
--! params {"n": 2}
select id from meeting where doc @> $1 order by id;
--! params n | 3
select id from meeting where doc ->> $1 = $2 order by id;
--! params $.tags[*] ? (@ == 1)
select count(*) from meeting where doc @? $1::jsonpath;
select id from meeting where doc ->> 'n' > 5;
select (doc ->> 'seats')::int from room;
-- documents of which a join off the key means some keys alone: null, missing, scalars, arrays and nested ones
select a.id, b.payload -> 'user' as u, b.payload ->> 'v' as v from meeting a join event b on (b.payload ->> 'user')::int = a.minutes / 3 where a.id < 12 order by 1, 2, 3;
select a.payload -> 'user' is null as missing, jsonb_typeof(a.payload -> 'user') as t, count(*) from event a join event b on (a.payload -> 'v') = (b.payload -> 'v') group by 1, 2 order by 1, 2;
select a.id, r.doc -> 'seats' as s, r.doc ->> 'owner' as o, r.doc -> 'has' as h from room r join meeting a on a.id = length(r.id) or r.doc ->> 'seats' = a.doc ->> 'n' where a.id < 30 order by 1, 2, 3, 4;
select r.doc ->> 'seats' as s, m.id from (values ('"seats"'::jsonb), ('["seats"]'), ('{"seats": null}'), ('3'), (null)) v (doc) join room r on (v.doc ->> 'seats') is null or r.doc ->> 'seats' = '3' join meeting m on m.id = r.floor order by 1, 2 limit 20;
select b, a.doc ->> 'n' as n from meeting a join person b on (b.doc -> 'scores' -> 0)::int = a.id where a.id < 20 order by a.id;
select a, a.doc ->> 'n' as n from meeting a join person b on (b.doc ->> 'lang') = 'de' and b.id = a.id where a.id < 20 order by a.id;
select m.id, m.doc['n'], m.doc ->> 'n' as n from meeting m join person p on p.id = m.id + 1 where p.doc ->> 'lang' = 'en' order by 1;
select m.id from meeting m left join person p on p.id = m.id + 1 and p.doc ->> 'lang' = 'en' where p.doc ->> 'lang' is null and m.doc -> 'ok' = 'true' order by 1;
