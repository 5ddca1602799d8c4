-- Documents.
create table d (id text primary key, doc jsonb not null) partition by hash (id);
--! load
insert into d select 'd' || i, jsonb_build_object('n', i, 'name', 'doc ' || i, 'tags', jsonb_build_array('t' || i % 3, 't' || i % 5), 'nested', jsonb_build_object('even', i % 2 = 0, 'score', i * 37 % 101 / 10.0)) from generate_series(1, 50) i;
create index on d using gin (doc jsonb_path_ops);
select doc from d where id = 'd7';
select doc ->> 'name' from d where id = 'd7';
select doc -> 'nested' -> 'score', doc #>> '{tags,0}' from d where id = 'd7';
select doc['tags'][1], doc['nested']['even'] from d where id = 'd8';
select id from d where doc @> '{"nested": {"even": true}}' order by id collate "C" limit 5;
select id from d where doc @> '{"tags": ["t1", "t4"]}' order by (doc ->> 'n')::int;
select id from d where doc ? 'name' and (doc ->> 'n')::int > 45 order by (doc ->> 'n')::int;
select id from d where doc ?| array['x', 'n'] order by (doc -> 'n') limit 3;
select id, doc -> 'nested' ->> 'score' as score from d order by (doc -> 'nested' ->> 'score')::numeric desc, id collate "C" limit 5;
select id from d order by doc -> 'nested' -> 'score' desc, id collate "C" limit 5;
select id, jsonb_path_query(doc, '$.tags[*] ? (@ == "t2")') from d where id in ('d2', 'd5', 'd17') order by id collate "C";
select id from d where doc @@ '$.n > 48' order by id collate "C";
select id from d where jsonb_path_exists(doc, '$.nested ? (@.score > 9.5)') order by id collate "C";
select id, x from d, jsonb_array_elements_text(doc -> 'tags') x where id = 'd4' order by x;
select id, key from d, jsonb_each(doc) e where id = 'd4' order by key collate "C";
update d set doc = doc || '{"new": 1}' where id = 'd1' returning doc;
update d set doc = jsonb_set(doc, '{nested,score}', '0') where doc @> '{"n": 2}' returning doc -> 'nested';
update d set doc = doc - 'tags' where (doc ->> 'n')::int < 4 returning id, doc ? 'tags';
update d set doc['added'] = '"by subscript"' where id = 'd9' returning doc ->> 'added';
insert into d values ('d1', '{"replaced": true}') on conflict (id) do update set doc = excluded.doc returning doc;
--! params d60 | {"bound": [1, 2]}
insert into d values ($1, $2) returning *;
--! params {"bound": [2]}
select id from d where doc @> $1;
--! params d60 | {bound,0}
select doc #> $2 from d where id = $1;
--! params $.n ? (@ == 10)
select id from d where doc @? $1::jsonpath;
delete from d where doc @> '{"n": 33}' returning id;
select id, jsonb_typeof(doc), jsonb_pretty(doc) from d where id = 'd60';
select row_to_json(d) from d where id = 'd60';
select to_jsonb(d) from d where id in ('d60', 'd1') order by id collate "C";
insert into d values ('bad', '{');
insert into d values ('x1', '{}'), ('x2', '[]'), ('x3', '{bad}');
insert into d values ('x1', '"a"'), ('x2', '1e400'), ('x3', 'null'), ('x4', '"\u00e4\ud83d\ude00"');
select id, doc from d where id like 'x%' order by doc, id;
select id from d where doc = 'null';
insert into d values ('x5', '"\u0000"');
create table j (k int primary key, body json) partition by hash (k);
insert into j values (1, '{"b": 1,  "a": 2, "b": 3}');
select body, body ->> 'b' from j where k = 1;
select k from j order by body ->> 'a';
select k from j order by body;
