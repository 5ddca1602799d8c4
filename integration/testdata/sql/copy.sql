-- COPY in and out, by row over the servers.
create table t (k int primary key, v text, n numeric, j jsonb) partition by hash (k);
copy t from stdin;
1	one	1.5	{"a": 1}
2	two	\N	null
3	tab\there	-3	[]
4	back\\slash	4	"s"
5	new\nline	5	{}
6		6	0
\.
select * from t order by k;
copy t (v, k) from stdin with (format csv);
"quoted, comma",10
"quoted ""quote""",11
"two
lines",12
,13
"",14
plain,15
\.
select k, v, v is null from t where k >= 10 order by k;
copy t (k, v, n) from stdin with (format csv, header match, delimiter '|', quote '~', escape '!', null 'nil');
k|v|n
20|~a|b~|1
21|~a!~b~|nil
22|nil|3
\.
select k, v, n from t where k >= 20 order by k;
copy t (k, v, n) from stdin with (format csv, header match);
k,v,nosuch
30,x,1
\.
copy t (k, v) from stdin with (delimiter ',', null '');
31,
32,a\,b
33,\x41\102
\.
select k, v from t where k > 30 order by k;
copy t (k, v) from stdin with (format csv, force_null (v), force_not_null (k));
40,""
41,
\.
select k, v is null from t where k >= 40 order by k;
copy t from stdin;
50	x	1	{}
51	x	1
52	x	1	{}
\.
copy t (k, v) from stdin;
60	a
61	b
62x	c
\.
copy t (k, v) from stdin csv;
70,a
71,b
1,dup
72,c
\.
copy t (k, j) from stdin;
80	{"ok": true}
81	{broken}
\.
select k from t where k >= 50;
copy t to stdout;
copy t (k, v) to stdout csv header;
copy (select k, v from t order by k) to stdout;
copy (select k, n from t where k < 5 order by k desc) to stdout with (format csv, header);
copy (select v from t where k = 3) to stdout;
copy t to stdout (format csv, force_quote *, null 'NULL');
copy (select k from t order by v nulls first, k limit 3) to stdout;
copy t from '/etc/passwd';
copy t to program 'cat';
create table p (a int, b int, v text, primary key (a, b)) partition by hash (b, a);
copy p from stdin csv;
1,1,a
1,2,b
2,1,c
2,2,d
\.
copy p (v, b, a) from stdin csv;
e,3,3
f,4,4
\.
select * from p order by a, b;
copy p (a, v) from stdin csv;
5,x
\.
create table d (k int primary key, v text default 'dflt', at date default '2024-01-01', s serial) partition by hash (k);
copy d (k) from stdin;
1
2
3
\.
select k, v, at from d order by k;
select count(distinct s) = 3 as distinct_serials from (select s from d where k = 1 union select s from d where k = 2 union select s from d where k = 3) x;
create table e (k text primary key) partition by hash (k);
copy e from stdin;
ä
ünïcödé
日本
\\.
trailing 
\.
select * from e order by k collate "C";
create table gen (k int primary key, a int, b int generated always as (a + 1) stored) partition by hash (k);
copy gen (k, a) from stdin;
1	1
2	5
\.
copy gen from stdin;
3	7
\.
copy gen (b) from stdin;
1
\.
select * from gen order by k;
create table l (k int, v text);
copy l from stdin;
1	x
\.
copy l to stdout;
-- a query of sharded tables and a local one, which home has to finish
copy (select gen.k, gen.b, l.v from gen left join l on l.k = gen.k order by gen.k) to stdout;
copy (select gen.k, l.v from l join gen on gen.k = l.k where gen.k = 1) to stdout;
copy (select gen.k, l.v from l join gen on gen.k = l.k where gen.k = 2) to stdout with (format csv, header);
copy (select count(*) from l, gen) to stdout;
begin;
copy t (k, v) from stdin;
200	in block
201	in block
202	in block
\.
select k from t where k >= 200 order by k;
rollback;
select k from t where k >= 200 order by k;
