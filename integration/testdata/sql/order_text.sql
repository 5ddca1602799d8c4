-- Text in several collations: the order is the database's, whatever merges it.
create table t (k int primary key, dflt text, c text collate "C", posix text collate "POSIX", utf text collate "C.utf8", vc varchar(20), ch char(12), nm name) partition by hash (k);
--! load
insert into t select n, w, w, w, w, w, w, w from (select row_number() over () as n, w from unnest(array['apple','Apple','APPLE','banana','Banana','äpfel','Äpfel','zebra','Zebra','éclair','eclair','Eclair','_under','-dash',' space','1one','10ten','2two','ångström','öl','ol','straße','strasse','ß','ss','日本','中国','','ab','a b','a-b','aB','Ab','ÿ','🎉','~','^','o''brien','O''Neil','co-op','coop','naïve','naive','résumé','resume']) w) s;
insert into t values (100, null, null, null, null, null, null, null);
select k, dflt from t order by dflt, k;
select k, dflt from t order by dflt desc, k;
select k, dflt from t order by dflt nulls first, k limit 10;
select k, c from t order by c, k;
select k, c from t order by c desc nulls last, k limit 15;
select k from t order by posix, k;
select k from t order by utf, k;
select k, vc from t order by vc, k;
select k, ch from t order by ch, k;
select k from t order by ch desc nulls last, k limit 9;
select k from t order by nm, k;
select k from t order by dflt collate "C", k;
select k from t order by c collate "default", k;
select k from t order by lower(dflt), k;
select k from t order by lower(dflt collate "C"), k limit 20;
select k from t order by dflt || 'x', k limit 20;
select k from t order by left(c, 1), k;
select k from t order by length(dflt), dflt, k;
select k from t order by upper(c) desc nulls last, k limit 5;
select dflt from t where k < 20 order by dflt;
select k from t where c > 'a' order by c, k;
select k from t where c like 'a%' order by k;
select k from t where c ilike 'A%' order by c, k;
select k from t order by dflt collate "nosuch";
select k from t order by k collate "C";
--! params m
select k from t where dflt > $1 order by dflt, k;
